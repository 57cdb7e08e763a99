"""Pages that ask no other host for anything, in a book whose links follow the fork."""

import hashlib
import os
import re
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

import pydata_sphinx_theme
import sphinx_book_theme
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.jinja2glue import BuiltinTemplateLoader
from sphinx.writers.html5 import HTML5Translator

from . import fonts
from .keeping import kept

HERE = Path(__file__).parent
THEMES = [Path(module.__file__).parent for module in (pydata_sphinx_theme, sphinx_book_theme)]

POLICY = (
    "default-src 'none'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'self'; "
    "form-action 'self'"
)
"""What a page may load: its own files, and the scripts in it whose text was known when it was
built. Never another host's, and never evaluated text."""

UNUSED = re.compile(r"thebe|require\.js|html-manager|\.pagename|design-tabs", re.IGNORECASE)


def repository(default: str, environment: dict[str, str] | None = None) -> str:
    """Return the address of the repository: that of the workflow's, or else `default`."""
    environment = os.environ if environment is None else environment
    name = environment.get("GITHUB_REPOSITORY")
    if not name:
        return default
    return f"{environment.get('GITHUB_SERVER_URL', 'https://github.com').rstrip('/')}/{name}"


def _configure(app: Sphinx, config: Config) -> None:
    options = config.html_theme_options
    if "repository_url" in options:
        options["repository_url"] = repository(options["repository_url"])
    config.templates_path.append(str(HERE / "templates"))
    config.template_bridge = f"{__name__}.{StrictTemplates.__name__}"


def _write_assets(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    (static / "page.js").write_bytes((HERE / "page.js").read_bytes())
    if app.config.html_theme == "sphinx_book_theme":  # others have no icons
        fontawesome = next(THEMES[0].rglob("vendor/fontawesome/*/"))
        versions = f"{pydata_sphinx_theme.__version__} {sphinx_book_theme.__version__}"
        icons = cache(lambda: fonts.icons(THEMES, fontawesome))
        source = versions + "".join(
            (HERE / name).read_text(encoding="utf-8") for name in ("fonts.py", "icons.css")
        )
        for file in fonts.ICON_FILES:
            content = kept(app, file, source, lambda file=file: icons()[file])
            (static / file).write_bytes(content)


def _lean(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Drop the scripts that would ask other hosts, and those that no page needs."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if not UNUSED.search(f"{script.filename or ''} {script.attributes.get('body', '')}")
    ]
    context["css_files"] = [
        style for style in context["css_files"] if not UNUSED.search(str(style.filename))
    ]
    context["lean_head"] = lean_head


def lean_head(head: str) -> str:
    """Return the theme's own part of the `<head>` without what no page needs.

    Of its icons a page needs a few, which `fonts.icons` cut out; and no script that draws them
    again as SVG. Its preloads of fonts fail where the page is a file on the reader's own disk.
    And it knows the reader's light or dark mode too late, after a complaint in the console.
    """
    head = re.sub(r'<script src="[^"]*fontawesome[^"]*"></script>', "", head)
    head = re.sub(r'<link rel="preload" as="font"[^>]*>', "", head)
    head = re.sub(r'(?<=/)vendor/fontawesome/[^"]*/all\.min\.css[^"]*', "icons.css", head)
    return re.sub(r'<script data-cfasync="false">.*?</script>', MODE, head, flags=re.DOTALL)


MODE = """<script>
  (({ dataset }) => {
    dataset.mode = localStorage.getItem("mode") || "auto";
    dataset.theme = dataset.mode !== "auto" ? dataset.mode
      : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    dataset.defaultMode = "auto";
  })(document.documentElement);
</script>"""


NAMED_TOGGLE = '<summary aria-label="Pages beneath"><span class="toctree-toggle"'


class StrictTemplates(BuiltinTemplateLoader):
    """The theme's templates, each page made `strict` before it is written."""

    def render(self, template: str, context: dict[str, Any]) -> str:
        return strict(super().render(template, context))


def strict(html: str) -> str:
    """Return a whole page under the policy that its own text fulfills.

    Scripts that stand in the page are allowed by their hashes. Handlers that stand in attributes
    could not be: what they do is named instead (`data-action`), for `page.js` to do. No script
    holds up the first paint. Other text than a page's is returned as it is.
    """
    if "</head>" not in html:
        return html
    html = re.sub(r'<script type="text/x-thebe-config">.*?</script>', "", html, flags=re.DOTALL)
    html = re.sub(r"<script\b(?![^>]*\bdefer\b)(?=[^>]*\bsrc=)", "<script defer", html)
    html = re.sub(r'\bonclick="(\w+(?:\.\w+)*)\(\)"', r'type="button" data-action="\1"', html)
    html = re.sub(r"<th>\s*</th>", "<td></td>", html)  # over an index: no heading of anything
    # What opens the contents beneath a page has a picture for all its text.
    html = html.replace('<summary><span class="toctree-toggle"', NAMED_TOGGLE)
    viewport = re.compile(r'\s*<meta name="viewport"[^>]*>')
    html = viewport.sub("", html)
    inline = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digests = {b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline}
    hashes = "".join(f" 'sha256-{digest}'" for digest in sorted(digests))
    policy = POLICY.format(hashes=hashes)
    first = (
        '<meta charset="utf-8" />\n'
        f'    <meta http-equiv="Content-Security-Policy" content="{policy}" />\n'
        '    <meta name="viewport" content="width=device-width, initial-scale=1" />'
    )
    return re.sub(r'<meta charset="utf-8" ?/?>', lambda _: first, html, count=1)


def _visit_citation(self: Any, node: nodes.citation) -> None:
    """Give a source the role that its list asks for; the one that docutils gives is deprecated."""
    HTML5Translator.visit_citation(self, node)
    self.body[-1] = self.body[-1].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app: Sphinx) -> None:
    """Register the hooks."""
    app.connect("config-inited", _configure)
    app.connect("builder-inited", _write_assets)
    app.connect("html-page-context", _lean, priority=900)
    app.add_js_file("page.js", loading_method="defer")
    app.add_node(
        nodes.citation, override=True, html=(_visit_citation, HTML5Translator.depart_citation)
    )
