"""From a chart's specification to what the page holds of it. Pure functions; no Sphinx.

The page holds each chart's SVG (seen at once, and without JavaScript) and its specification as
inert JSON. `charts.js`, bundled with Vega, replaces the first by a live drawing of the second.
Both stand in a box of one size, so nothing moves when they change places. On a phone a chart is
not shrunk but laid out anew: panels that stood side by side stand one above the other.
"""

import hashlib
import json
import re
from html import escape
from pathlib import Path
from typing import Any

import vl_convert

VEGA_LITE = "6.4"
"""The version that draws, in the page and beneath it: one for both, or they would differ."""

NARROW = 265
"""Width of a phone's chart without its axis, in pixels: with it, a 360-pixel screen is filled."""

ASSETS = Path(__file__).parent

Spec = dict[str, Any]


def narrow(spec: Spec) -> Spec:
    """Return `spec` laid out for a phone: one panel wide, legends in short rows.

    Panels made by `facet`, and those whose width is a step for each category, stay as they are.
    """
    config = spec.get("config", {})
    legend = {**config.get("legend", {}), "columns": 2, "labelLimit": 130, "titleOrient": "top"}
    return {**_one_wide(spec), "config": {**config, "legend": legend}}


def _one_wide(view: Spec) -> Spec:
    if "facet" in view or "repeat" in view:
        return view
    view = {("vconcat" if key == "hconcat" else key): value for key, value in view.items()}
    if "concat" in view:
        view["columns"] = 1
    for operator in ("vconcat", "concat"):
        if operator in view:
            view[operator] = [_one_wide(part) for part in view[operator]]
    if isinstance(view.get("width"), (int, float)):
        view["width"] = NARROW
    return view


def static_svg(spec: Spec) -> str:
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


def static_pdf(spec: Spec) -> bytes:
    """Draw `spec` as a PDF, for LaTeX; raises `ValueError` as `static_svg` does."""
    return vl_convert.vegalite_to_pdf(spec, vl_version=VEGA_LITE, allowed_base_urls=[])


def bound_inputs(spec: Spec) -> int:
    """Count the sliders and menus that Vega will make for `spec`."""
    binds = [param.get("bind") for param in spec.get("params", [])]
    binds = [bind for bind in binds if isinstance(bind, dict)]
    return sum(1 if "input" in bind else len(bind) for bind in binds)


def start_state(spec: Spec) -> str:
    """Say at which values the sliders and menus of `spec` start; "" where it has none."""
    said = []
    for param in spec.get("params", []):
        bind, value = param.get("bind"), param.get("value")
        if isinstance(bind, dict):
            inputs = {param["name"]: bind} if "input" in bind else bind
            for name, shown in inputs.items():
                start = value.get(name) if isinstance(value, dict) else value
                said.append(f"{shown.get('name', name).strip()} = {start}")
    return ", ".join(said)


def chart_html(spec: Spec) -> str:
    """Return the HTML of one chart: room for its controls, its pictures, its specification."""
    layouts = {"wide": spec, "narrow": narrow(spec)}
    pictures = {name: static_svg(layout) for name, layout in layouts.items()}
    style = f"--controls:{bound_inputs(spec)}"
    for name, svg in pictures.items():
        for side in ("width", "height"):
            size = re.search(rf' {side}="([0-9.]+)"', svg)[1]
            style += f";--{name}-{side}:{size}"
    data = {"datasets": spec.get("datasets", {})}
    for name, layout in layouts.items():
        data[name] = {key: value for key, value in layout.items() if key != "datasets"}
    inert = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    drawn = "".join(
        svg.replace("<svg ", f'<svg data-layout="{name}" ', 1) for name, svg in pictures.items()
    )
    return (
        f'<div class="chart" style="{style}">'
        + ('<div class="chart-controls"></div>' if bound_inputs(spec) else "")
        + f'<div class="chart-picture">{drawn}</div>'
        + f'<script type="application/json">{inert}</script></div>\n'
    )


def bundle() -> str:
    """Return `charts.js` with Vega, Vega-Lite and vega-embed: a classic script, no globals."""
    snippet = (ASSETS / "charts.js").read_text(encoding="utf-8")
    return f"(()=>{{{vl_convert.javascript_bundle(snippet, VEGA_LITE)}}})();\n"
