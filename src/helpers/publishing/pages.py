"""Pages that ask no other host for anything, in a book whose links follow the fork."""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from shutil import copy2, copytree
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.writers.html5 import HTML5Translator

MATHJAX = "mathjax/tex-chtml.js"
"""Relative to `_static`, as Sphinx's own `mathjax_path` is."""

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'self'; "
    "form-action 'self'"
)
"""What a page may load: its own files, and what stands in it. Never evaluated text."""

UNUSED = re.compile(r"thebe|require\.js|html-manager", re.IGNORECASE)


def repository(default: str, environment: dict[str, str] | None = None) -> str:
    """Return the address of the repository: that of the workflow's, or else `default`."""
    environment = os.environ if environment is None else environment
    name = environment.get("GITHUB_REPOSITORY")
    if not name:
        return default
    return f"{environment.get('GITHUB_SERVER_URL', 'https://github.com').rstrip('/')}/{name}"


def mathjax_files() -> Path:
    """Return the folder of MathJax's files, from the package that carries them."""
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "the package sphinx-mathjax-offline is missing: the pages' formulas need it; "
            "install the book's requirements with: pip install -e '.[book]'"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "static" / "mathjax"


def _configure(app: Sphinx, config: Config) -> None:
    options = config.html_theme_options
    if "repository_url" in options:
        options["repository_url"] = repository(options["repository_url"])
    config.mathjax_path = MATHJAX
    config.mathjax3_config = {
        "loader": {"load": ["[tex]/textmacros"]},  # so that \text{fan\_in} is read as TeX does
        "tex": {"packages": {"[+]": ["textmacros"]}},
        "options": {"enableMenu": False},  # it offers what the book does not carry
    }
    config.templates_path.append(str(Path(__file__).parent / "templates"))


def _write_mathjax(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    source, target = mathjax_files(), Path(app.outdir) / "_static" / "mathjax"
    script = Path(MATHJAX).name
    if (target / script).exists():
        return
    for folder in ("output/chtml/fonts/woff-v2", "input/tex/extensions"):
        copytree(source / folder, target / folder, dirs_exist_ok=True)
    copy2(source / script, target)  # last: where it stands, all of it stands


def _lean(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Drop the scripts that would ask other hosts, and let the browser refuse what is left."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if not UNUSED.search(f"{script.filename or ''} {script.attributes.get('body', '')}")
    ]
    context["css_files"] = [
        style for style in context["css_files"] if not UNUSED.search(str(style.filename))
    ]
    context["metatags"] = (
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
        + context.get("metatags", "")
    )
    context["lean_head"] = lean_head


def lean_head(head: str) -> str:
    """Return the theme's own part of the `<head>` without what no page needs.

    Its icons are a font: the script that draws them again as SVG is half of a page's bytes. Its
    preloads of fonts fail where the page is a file on the reader's own disk. And it knows the
    reader's light or dark mode too late, after a complaint in the console.
    """
    head = re.sub(r'<script src="[^"]*fontawesome[^"]*"></script>', "", head)
    head = re.sub(r'<link rel="preload" as="font"[^>]*>', "", head)
    return re.sub(r'<script data-cfasync="false">.*?</script>', MODE, head, flags=re.DOTALL)


MODE = """<script>
  (({ dataset }) => {
    dataset.mode = localStorage.getItem("mode") || "auto";
    dataset.theme = dataset.mode !== "auto" ? dataset.mode
      : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    dataset.defaultMode = "auto";
  })(document.documentElement);
</script>"""


def _visit_citation(self: Any, node: nodes.citation) -> None:
    """Give a source the role that its list asks for; the one that docutils gives is deprecated."""
    HTML5Translator.visit_citation(self, node)
    self.body[-1] = self.body[-1].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app: Sphinx) -> None:
    """Register the hooks."""
    app.connect("config-inited", _configure)
    app.connect("builder-inited", _write_mathjax)
    app.connect("html-page-context", _lean, priority=900)
    app.add_node(
        nodes.citation, override=True, html=(_visit_citation, HTML5Translator.depart_citation)
    )
