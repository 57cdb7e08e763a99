"""Charts in Sphinx: MyST-NB makes a node of a stored one, and each builder writes it its way."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vl_convert
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.texescape import escape

from . import MIME_TYPE, drawing
from .keeping import kept

logger = logging.getLogger(__name__)


class chart(nodes.General, nodes.Element):
    """A stored chart: its `spec` (a dictionary) and the number of its `cell`, from 1."""


class ChartRenderer:
    """MyST-NB's plugin for the stored type."""

    mime_priority_overrides = (("*", MIME_TYPE, 1),)

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Element] | None:
        """Return the node for a chart, None for any other type."""
        if inline or data.mime_type != MIME_TYPE:
            return None
        node = chart("", spec=data.content, cell=(data.cell_index or 0) + 1)
        node.source, node.line = renderer.source, data.line
        return [node]


def _visit_html(self: Any, node: chart) -> None:
    spec = node["spec"]
    if not spec.get("description"):
        _complain(node, "this chart has no description; say .properties(description=...)")
    made = _made(self, node, "html", lambda: drawing.chart_html(spec).encode())
    if made:
        self.body.append(made.decode())
    raise nodes.SkipNode


def _visit_latex(self: Any, node: chart) -> None:
    made = _made(self, node, "pdf", lambda: drawing.static_pdf(node["spec"]))
    if made:
        name = f"chart-{hashlib.sha256(made).hexdigest()[:16]}.pdf"
        (Path(self.builder.outdir) / name).write_bytes(made)
        self.body.append(rf"\bookchart{{{name}}}")
        if state := drawing.start_state(node["spec"]):
            self.body.append(rf"\bookchartnote{{{escape(state, 'xelatex')}}}")
    raise nodes.SkipNode


def _visit_text(self: Any, node: chart) -> None:
    self.add_text(f"[{node['spec'].get('description', 'chart')}]")
    raise nodes.SkipNode


def _made(translator: Any, node: chart, kind: str, make: Callable[[], bytes]) -> bytes | None:
    """Return what `make` returns; where Vega refuses, fail the build and name the cell."""
    try:
        return _kept(translator.builder.app, kind, json.dumps(node["spec"]), make)
    except ValueError as error:
        # Vega's own sentence, without the stack beneath it.
        lines = str(error).splitlines()
        reason = next((line for line in lines[1:] if "Error" in line), lines[0])
        _complain(node, f"this chart cannot be drawn: {reason}")
        return None


def _complain(node: chart, message: str) -> None:
    logger.error(f"cell {node['cell']}: {message}", location=node, type="chart")


def _kept(app: Sphinx, kind: str, source: str, make: Callable[[], bytes]) -> bytes:
    """Return what `make` returns, from the build's cache where the same was made before."""
    code = Path(drawing.__file__).read_text(encoding="utf-8")
    return kept(app, kind, f"{vl_convert.__version__} {code} {source}", make)


def _write_assets(app: Sphinx) -> None:
    if app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        source = (drawing.ASSETS / "charts.js").read_text(encoding="utf-8")
        script = _kept(app, "js", source, lambda: drawing.bundle().encode())
        (static / "charts.js").write_bytes(script)
        (static / "charts.css").write_bytes((drawing.ASSETS / "charts.css").read_bytes())


def _add_assets(app: Sphinx, page: str, template: str, context: dict, doctree: Any) -> None:
    """Only pages with charts load what draws them."""
    if doctree is not None and next(doctree.findall(chart), None) is not None:
        app.add_css_file("charts.css")
        app.add_js_file("charts.js", loading_method="defer")


def setup(app: Sphinx) -> None:
    """Register the node, and the files that draw it."""
    app.add_node(
        chart, html=(_visit_html, None), latex=(_visit_latex, None), text=(_visit_text, None)
    )
    app.connect("builder-inited", _write_assets)
    app.connect("html-page-context", _add_assets)
