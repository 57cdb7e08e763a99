"""From a stored chart to the page: a static SVG in the HTML, and Vega drawn over it.

The page holds, for each chart, its SVG (seen at once, and without JavaScript) and its
specification as inert JSON. `charts.js`, bundled with Vega, replaces the first by a live drawing
of the second. Both stand in a box of one size, so nothing moves when they change places.
"""

import hashlib
import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import vl_convert
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from . import MIME_TYPE

VEGA_LITE = "6.4"
"""The version that draws, in the page and beneath it: one for both, or they would differ."""

ASSETS = Path(__file__).parent
SCRIPT, STYLE = "charts.js", "charts.css"

logger = logging.getLogger(__name__)


class chart(nodes.General, nodes.Element):
    """A stored chart: its `spec` (a dictionary) and the number of its `cell`, from 1."""


class ChartRenderer:
    """MyST-NB's plugin for the stored type: it makes a `chart` node."""

    mime_priority_overrides = (("*", MIME_TYPE, 1),)

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Element] | None:
        """Return the node for a chart, None for any other type."""
        if inline or data.mime_type != MIME_TYPE:
            return None
        node = chart("", spec=data.content, cell=(data.cell_index or 0) + 1)
        node.source, node.line = renderer.source, data.line
        return [node]


def static_svg(spec: dict[str, Any]) -> str:
    """Draw `spec` as a compact SVG that the page's own stylesheet can color.

    Raises `ValueError` where Vega does, and where the chart would load data from elsewhere.
    """
    config = {**spec.get("config", {}), "aria": False}  # one name for the picture, not per mark
    quiet = {**spec, "config": config, "background": "transparent"}
    svg = vl_convert.vegalite_to_svg(quiet, vl_version=VEGA_LITE, allowed_base_urls=[])
    # Vega numbers its clip paths through the life of the process: count them here, per chart.
    names = dict.fromkeys(re.findall(r' id="([^"]+)"', svg))
    prefix = "c" + hashlib.sha256(json.dumps(spec).encode()).hexdigest()[:8]
    for number, name in enumerate(names):
        svg = re.sub(rf'(?<=id="){name}(?=")|(?<=url\(#){name}(?=\))', f"{prefix}-{number}", svg)
    svg = re.sub(r"<[^>]+>", _compact, svg)
    label = f'role="img" aria-label="{escape(spec.get("description", ""))}" '
    return svg.replace("<svg ", "<svg " + label, 1)


def _compact(tag: re.Match) -> str:
    """Leave out of one tag what the page's stylesheet says, and digits that no eye can see."""
    if re.match(r'<path class="(?:background|foreground)".* d="(?:M0,0h0v0h0Z)?"', tag[0]):
        return ""
    kept = re.sub(r' (?:font-family|role|aria-\w+|pointer-events|version)="[^"]*"', "", tag[0])
    kept = re.sub(r' (?:xmlns(?::\w+)?="[^"]*"|(?:opacity|stroke-width)="1")', "", kept)
    return re.sub(r"(\d+\.\d\d)\d+", r"\1", kept)


def bound_inputs(spec: dict[str, Any]) -> int:
    """Count the sliders and menus that Vega will make for `spec`."""
    count = 0
    for param in spec.get("params", []):
        bind = param.get("bind")
        if isinstance(bind, dict):
            count += 1 if "input" in bind else len(bind)
    return count


def chart_html(spec: dict[str, Any], svg: str) -> str:
    """Return the HTML of one chart: room for its controls, its picture, its specification."""
    width, height = (float(re.search(rf' {side}="([\d.]+)"', svg)[1]) for side in SIDES)
    controls = bound_inputs(spec)
    inert = json.dumps(spec, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return (
        f'<div class="chart" style="--width:{width:g};--height:{height:g};--controls:{controls}">'
        + ('<div class="chart-controls"></div>' if controls else "")
        + f'<div class="chart-picture">{svg}</div>'
        + f'<script type="application/json">{inert}</script></div>\n'
    )


SIDES = ("width", "height")


def bundle() -> str:
    """Return `charts.js` with Vega, Vega-Lite and vega-embed: a classic script, no globals."""
    snippet = (ASSETS / SCRIPT).read_text(encoding="utf-8")
    return f"(()=>{{{vl_convert.javascript_bundle(snippet, VEGA_LITE)}}})();\n"


def _kept(app: Sphinx, kind: str, source: str, make: Callable[[], bytes]) -> bytes:
    """Return what `make` returns, from the build's cache where the same was made before."""
    code = Path(__file__).read_text(encoding="utf-8")
    made_of = f"{vl_convert.__version__} {VEGA_LITE} {code} {source}"
    key = hashlib.sha256(made_of.encode()).hexdigest()
    file = Path(app.doctreedir) / "charts" / f"{key}.{kind}"
    if not file.exists():
        made = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(made)
    return file.read_bytes()


def _visit_html(self: Any, node: chart) -> None:
    spec = node["spec"]
    source = json.dumps(spec)
    if not spec.get("description"):
        _complain(self, node, "this chart has no description; say .properties(description=...)")
    try:
        svg = _kept(self.builder.app, "svg", source, lambda: static_svg(spec).encode()).decode()
    except ValueError as error:
        _complain(self, node, f"this chart cannot be drawn: {_reason(error)}")
    else:
        self.body.append(chart_html(spec, svg))
    raise nodes.SkipNode


def _visit_latex(self: Any, node: chart) -> None:
    spec = node["spec"]
    source = json.dumps(spec)
    name = f"chart-{hashlib.sha256(source.encode()).hexdigest()[:16]}.pdf"
    try:
        pdf = _kept(
            self.builder.app,
            "pdf",
            source,
            lambda: vl_convert.vegalite_to_pdf(spec, vl_version=VEGA_LITE, allowed_base_urls=[]),
        )
    except ValueError as error:
        _complain(self, node, f"this chart cannot be drawn: {_reason(error)}")
    else:
        (Path(self.builder.outdir) / name).write_bytes(pdf)
        self.body.append(rf"\noindent\sphinxincludegraphics{{{name}}}")
    raise nodes.SkipNode


def _visit_text(self: Any, node: chart) -> None:
    self.add_text(f"[{node['spec'].get('description', 'chart')}]")
    raise nodes.SkipNode


def _reason(error: ValueError) -> str:
    """Vega's own sentence, without the stack beneath it."""
    lines = str(error).splitlines()
    return next((line for line in lines[1:] if "Error" in line), lines[0])


def _complain(translator: Any, node: chart, message: str) -> None:
    logger.error(f"cell {node['cell']}: {message}", location=node, type="chart")


def _add_assets(app: Sphinx, page: str, template: str, context: dict, doctree: Any) -> None:
    """Only pages with charts load what draws them."""
    if doctree is not None and next(doctree.findall(chart), None) is not None:
        app.add_css_file(STYLE)
        app.add_js_file(SCRIPT, loading_method="defer")


def _write_assets(app: Sphinx) -> None:
    if app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        source = (ASSETS / SCRIPT).read_text(encoding="utf-8")
        script = _kept(app, "js", source, lambda: bundle().encode())
        (static / SCRIPT).write_bytes(script)
        (static / STYLE).write_bytes((ASSETS / STYLE).read_bytes())


def setup(app: Sphinx) -> None:
    """Register the node, and the files that draw it."""
    app.add_node(
        chart,
        html=(_visit_html, None),
        latex=(_visit_latex, None),
        text=(_visit_text, None),
    )
    app.connect("builder-inited", _write_assets)
    app.connect("html-page-context", _add_assets)
