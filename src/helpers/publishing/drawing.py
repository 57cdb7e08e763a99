"""From a chart's specification to what the page holds of it. Pure functions; no Sphinx.

The page holds each chart's SVG (seen at once, and without JavaScript) and its specification as
inert JSON. `charts.js`, bundled with Vega, replaces the first by a live drawing of the second.
Both stand in a box of one size, so nothing moves when they change places. On a phone a chart is
not shrunk but laid out anew: panels that stood side by side stand one above the other.
"""

import hashlib
import json
import math
import re
from collections import defaultdict
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


def bound_inputs(spec: Spec) -> list[tuple[str, Spec]]:
    """Return the name and the binding of every slider and menu that Vega will make for `spec`."""
    inputs = []
    for param in spec.get("params", []):
        bind = param.get("bind")
        if isinstance(bind, dict):
            inputs += [(param["name"], bind)] if "input" in bind else bind.items()
    return inputs


def control_rows(spec: Spec, track: int, phone: bool) -> int:
    """Count the rows that `charts.js` fills with the controls of `spec`, each 44 pixels high.

    A slider takes two, and more for its marks on a `track` so many pixels long; menus stand in one
    row, or on a phone one above the other.
    """
    said = spec.get("usermeta", {}).get("controls", {})
    inputs = bound_inputs(spec)
    sliders = [(name, bind) for name, bind in inputs if bind["input"] == "range"]
    menus = len(inputs) - len(sliders)
    rows = menus if phone else min(menus, 1)
    for name, bind in sliders:
        control = said.get(name, {})
        unit = math.log10 if control.get("log") else float
        sets = defaultdict(list)  # what the menus say -> the marks that stand together
        fixed = [mark[:2] for mark in control.get("marks", []) if len(mark) == 2]
        for label, value, menu in (mark for mark in control.get("marks", []) if len(mark) == 3):
            sets[json.dumps(menu)].append([label, value])
        reach = bind["max"] - bind["min"]
        rows += 2 + max(
            _rows_of_marks(
                [(label, track * (unit(value) - bind["min"]) / reach) for label, value in marks],
                track,
            )
            for marks in ([*fixed, *some] for some in sets.values() or [[]])
        )
    return rows


def _rows_of_marks(marks: list[tuple[str, float]], track: int) -> int:
    """Rows that labels, centered at their places in pixels, take so that no two overlap."""
    ends: list[float] = []
    for label, place in sorted(marks, key=lambda mark: mark[1]):
        width = max(44, 16 + 7.6 * len(label))  # as in charts.css, with some air
        left = min(max(place - width / 2, 0), track - width)
        row = next((row for row, end in enumerate(ends) if end <= left), len(ends))
        ends[row : row + 1] = [left + width]
    return len(ends)


def start_state(spec: Spec) -> str:
    """Say at which values the sliders and menus of `spec` start; "" where it has none."""
    told = spec.get("usermeta", {}).get("controls", {})
    starts: dict[str, Any] = {}
    for param in spec.get("params", []):
        value = param.get("value")
        starts |= value if isinstance(value, dict) else {param["name"]: value}
    said = []
    for name, bind in bound_inputs(spec):
        options, value = told.get(name, {}), starts.get(name)
        label = options.get("label") or bind.get("name", name).strip()
        if isinstance(value, (int, float)):
            value = f"{10**value:.3g}" if options.get("log") else f"{value:.4g}"
        said.append(f"{label} = {value}")
    return ", ".join(said)


def chart_html(spec: Spec) -> str:
    """Return the HTML of one chart: room for its controls, its pictures, its specification."""
    layouts = {"wide": spec, "narrow": narrow(spec)}
    pictures = {name: static_svg(layout) for name, layout in layouts.items()}
    style = f"--wide-controls:{control_rows(spec, 500, phone=False)}"
    style += f";--narrow-controls:{control_rows(spec, 288, phone=True)}"
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
