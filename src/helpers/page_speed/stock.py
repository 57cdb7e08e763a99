"""The same notebooks as a stock Jupyter Book 1 with stock Altair: what the pages are measured by.

Nothing of the book's own extension, theme settings or stylesheets is in it. Its charts are what
Altair's default renderer would have stored, and its `_config.yml` holds what the content needs.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from helpers.publishing import MIME_TYPE

#: Of the book's `_config.yml`: what its text needs, and no setting of how a page looks or loads.
KEPT = ("title", "author", "only_build_toc_files", "execute", "parse", "bibtex_bibfiles")
EXTENSIONS = ("sphinx_exercise", "sphinx_design", "sphinxcontrib.bibtex")
NUMBERING = ("numfig", "math_numfig", "bibtex_default_style", "bibtex_reference_style")


def notebook(ours: dict) -> dict:
    """Return a notebook whose charts are stored as Altair stores them where nobody asks otherwise.

    The text beside each is the one of a chart's class, and each division has a random name.
    """
    import altair as alt

    theirs = json.loads(json.dumps(ours))
    with alt.renderers.enable("default"):
        render = alt.renderers.get()
        for cell in theirs["cells"]:
            for output in cell.get("outputs", []):
                spec = output.get("data", {}).pop(MIME_TYPE, None)
                if spec is not None:
                    output["data"] = {**render(spec), "text/plain": ["alt.Chart(...)"]}
    return theirs


def configuration(ours: dict) -> dict:
    """Return a `_config.yml` for the same content, and nothing that is this book's own."""
    sphinx = ours.get("sphinx", {})
    extensions = [name for name in sphinx.get("extra_extensions", []) if name in EXTENSIONS]
    numbering = {key: value for key, value in sphinx.get("config", {}).items() if key in NUMBERING}
    theirs = {key: ours[key] for key in KEPT if key in ours}
    return theirs | {"sphinx": {"extra_extensions": extensions, "config": numbering}}


def contents(ours: dict, there: set[str]) -> dict:
    """Return a `_toc.yml` with those entries whose file is among ``there``, without its suffix."""
    theirs = {**ours, "parts": []}
    for part in ours["parts"]:
        chapters = [chapter for chapter in part["chapters"] if chapter.get("file") in there]
        if chapters:
            theirs["parts"].append({**part, "chapters": chapters})
    return theirs


def build(root: Path, folder: Path) -> Path:
    """Write the stock book of the book in ``root`` into ``folder``, build it; return its pages.

    Raises ValueError, with the last lines that were printed, where the build fails.
    """
    shutil.copytree(root / "book", folder / "book")
    for path in notebooks(folder):
        path.write_text(json.dumps(notebook(json.loads(path.read_text("utf-8")))), "utf-8")
    files = {f"book/{path.stem}" for path in (folder / "book").iterdir()}
    for name, change in {
        "_config.yml": configuration,
        "_toc.yml": lambda ours: contents(ours, files),
    }.items():
        ours = yaml.safe_load((root / name).read_text("utf-8"))
        (folder / name).write_text(yaml.safe_dump(change(ours), sort_keys=False), "utf-8")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True)
    pages = folder / "_build" / "html"
    if made.returncode or not (pages / "book").is_dir():
        last = "\n".join((made.stdout + made.stderr).splitlines()[-20:])
        raise ValueError(f"the stock book cannot be built from {root}:\n{last}")
    return pages


def notebooks(root: Path) -> Iterator[Path]:
    """Every notebook of a book."""
    yield from sorted((root / "book").glob("*.ipynb"))
