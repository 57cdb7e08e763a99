"""Charts that are stored in notebooks as Vega-Lite and drawn in the page by the book's own files.

`notebook_renderer` is what Altair stores with, in a kernel; the rest is the Sphinx extension of
the book, listed in `_config.yml`. Nothing here imports torch, and importing this package alone
imports neither Sphinx nor Altair.
"""

from typing import Any

MIME_TYPE = "application/vnd.vegalite.v5+json"
"""The type that JupyterLab draws by itself, whatever the version of Vega-Lite within."""

PLAIN_TEXT = "A Vega-Lite chart: it is drawn in JupyterLab and on the pages of the book."


def notebook_renderer(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """Store `spec` and a fixed text: the same chart is the same output, byte for byte.

    Altair finds it by its entry point: `altair.renderers.enable("first-weights")`.
    """
    return {MIME_TYPE: spec, "text/plain": PLAIN_TEXT}


def setup(app: Any) -> dict[str, Any]:
    """Register the extension with Sphinx (`sphinx.extra_extensions` in `_config.yml`)."""
    from . import charts, citing, formulas, found, pages, printing

    charts.setup(app)
    formulas.setup(app)
    pages.setup(app)
    found.setup(app)
    citing.setup(app)
    printing.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
