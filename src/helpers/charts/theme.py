"""What all figures share: the theme, the palette, the axes."""

import math
import sys

import altair as alt
import pandas as pd

from helpers.tables import packed, significant

#: Told apart under the common color-vision deficiencies, and on white and on near-black.
PALETTE = ["#0072B2", "#009E73", "#D55E00", "#B65FA0", "#A07400", "#5D7F99"]
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
WIDTH = 560
GREY = "#808080"
INK = "black"  # neutral marks: the page draws black in its text color, light or dark


@alt.theme.register("first-weights", enable=True)
def theme() -> alt.theme.ThemeConfig:
    """Fonts, greys and the palette, over white."""
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    return {
        "config": {
            # For JupyterLab's dark theme, where black ink would be lost; pages let theirs through.
            "background": "white",
            "font": font,
            "view": {"stroke": None, "continuousWidth": WIDTH, "continuousHeight": 260},
            "range": {"category": PALETTE, "symbol": SHAPES},
            "axis": {
                "labelFontSize": 12,
                "titleFontSize": 13,
                "titleFontWeight": "normal",
                "gridColor": GREY,
                "gridOpacity": 0.22,
                "domainColor": GREY,
                "tickColor": GREY,
                "titlePadding": 8,
                "labelOverlap": True,
            },
            "legend": {
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "orient": "top",
                "titleOrient": "left",
                "labelLimit": 260,
                "symbolSize": 90,
                "symbolStrokeWidth": 2.5,
                "symbolOpacity": 1,
                "columns": 3,
            },
            "title": {
                "fontSize": 14,
                "fontWeight": 600,
                "anchor": "start",
                "frame": "group",
                "offset": 10,
            },
            "header": {"labelFontSize": 13, "titleFontSize": 13, "titleFontWeight": "normal"},
            "mark": {"color": PALETTE[0]},
            "line": {"strokeWidth": 2.2},
            "point": {"size": 60, "filled": True, "opacity": 1},
        }
    }


# Colab draws no chart that is stored as Vega-Lite: there Altair brings its own way to.
alt.renderers.enable("colab" if "google.colab" in sys.modules else "first-weights")


def scale_of(log: bool, padding: float | None = None, column: pd.Series | None = None) -> alt.Scale:
    """A linear scale that need not start at zero, or a logarithmic one; ``padding`` in pixels.

    It spans what is drawn, or the whole of ``column``: then what a reader selects leaves it as it
    is, and nothing that stands still is drawn again.
    """
    options = {} if padding is None else {"padding": padding, "nice": False}
    if column is not None:
        finite = column[column.abs() < math.inf]
        finite = finite[finite > 0] if log else finite
        options["domain"] = significant([finite.min().item(), finite.max().item()], floor=0.0)
        options.setdefault("nice", True)
    return alt.Scale(type="log", **options) if log else alt.Scale(zero=False, **options)


def axis_of(column: pd.Series, log: bool) -> alt.Axis:
    """Whole numbers for counts; powers of ten, seven at most, for a logarithmic axis that spans
    decades: Vega would draw a grid line for every multiple."""
    if not log:
        whole = column.dtype.kind in "iu"
        return alt.Axis(format="d", tickMinStep=1) if whole else alt.Axis()
    shown = column[column > 0]
    first, last = (math.floor(math.log10(shown.min())), math.ceil(math.log10(shown.max())))
    if last - first < 2:
        return alt.Axis(format="~g", tickCount=6)
    step = -(-(last - first) // 7)
    decades = range(-(-first // step) * step, last + 1, step)  # 10⁰ is among them, if in sight
    far = first < -3 or last > 4
    return alt.Axis(values=[10.0**d for d in decades], format=".0e" if far else "~g")


def domain_of(column: pd.Series) -> list:
    """The values of a column, each once, in order of first appearance."""
    return list(dict.fromkeys(column.tolist()))


def colors_of(column: pd.Series) -> alt.Scale:
    """One color of the palette for each value; raises ValueError when they run out."""
    domain = domain_of(column)
    if len(domain) > len(PALETTE):
        raise ValueError(
            f"{len(domain)} colors in {column.name!r}; a figure can tell {len(PALETTE)} apart. "
            "Show fewer, or use panels."
        )
    return alt.Scale(domain=domain, range=PALETTE[: len(domain)])


def in_one_row(chart: alt.TopLevelMixin, labels: list) -> alt.TopLevelMixin:
    """Keep a short legend on one line; the theme breaks a long one after three entries."""
    short = sum(3 + len(str(label)) for label in labels) <= 48
    return chart.configure_legend(columns=0) if short else chart


def unpacked(chart: alt.Chart, *columns: str, separator: str = " ") -> alt.Chart:
    """Take apart in the chart what `tables.packed` joined: a row for each entry again.

    What a space separates are numbers. Filter before: what a reader does not see need not be
    taken apart.
    """
    # Under other names: Vega would take new rows for changed ones, and complain.
    split = {f"split {column}": f"split(datum['{column}'], '{separator}')" for column in columns}
    chart = chart.transform_calculate(**split)
    chart = chart.transform_flatten(list(split), as_=list(columns))
    if separator != " ":
        return chart
    return chart.transform_calculate(**{c: f"toNumber(datum['{c}'])" for c in columns})


def rows_of(table: pd.DataFrame, by: list[str]) -> alt.Chart:
    """A chart of the rows of a table, which is stored packed by the columns ``by`` if long."""
    columns = [column for column in table.columns if column not in by]
    if len(table) < 30 or any(table[column].dtype.kind not in "fiu" for column in columns):
        return alt.Chart(table)
    return unpacked(alt.Chart(packed(table, by)), *columns)


def rule(label: str, value: float, axis: str = "x") -> alt.LayerChart:
    """A dashed line at ``value`` on an axis, with its label at the end."""
    at = alt.datum(significant(float(value)), type="quantitative")
    line = alt.Chart().mark_rule(color=GREY, strokeDash=[4, 4], strokeWidth=1.5)
    text = alt.Chart().mark_text(color=INK, fontSize=12, align="left")
    if axis == "x":
        return line.encode(x=at) + text.mark_text(
            text=label, dx=4, dy=9, baseline="top", color=INK, fontSize=12, align="left"
        ).encode(x=at, y=alt.value(0))
    return line.encode(y=at) + text.mark_text(
        text=label, dx=-2, dy=-6, color=INK, fontSize=12, align="right"
    ).encode(y=at, x=alt.value("width"))
