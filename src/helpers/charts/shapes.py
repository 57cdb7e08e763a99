"""Distributions as violins, matrices as colored cells."""

import altair as alt
import pandas as pd

from helpers.charts.theme import PALETTE, WIDTH, domain_of
from helpers.tables import joined, significant


def violins(
    table: pd.DataFrame,
    *,
    panel: str,
    description: str,
    label: str = "{}",
    x_title: str = "hidden layer",
    y_title: str = "activation",
    height: int = 130,
) -> alt.VConcatChart:
    """The spread of the values in every layer, one row of violins for each value of ``panel``.

    ``table`` holds ``panel``, ``position`` (the layer's number), ``center``, ``width`` and
    ``density``, as ``propagation.histograms`` gives them. Every row has its own vertical scale,
    so that a layer is seen relative to the widest in its row; a violin's width is relative to its
    own peak. ``label`` formats the panel's value for its title, such as ``"σ = {}"``.
    """
    rows = []
    values = domain_of(table[panel])
    for number, value in enumerate(values):
        shapes = violin_rows(table[table[panel] == value])
        rows.append(
            violin_marks(
                alt.Chart(shapes),
                PALETTE[number % len(PALETTE)],
                x_title if value == values[-1] else "",
                y_title,
            ).properties(width=WIDTH - 70, height=height, title=label.format(value))
        )
    return alt.vconcat(*rows, spacing=14).properties(description=description)


def matrix(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    value: str,
    description: str,
    panel: str | None = None,
    x_title: str | None = None,
    y_title: str | None = None,
    value_title: str | None = None,
    diverging: bool = True,
    labels: bool = False,
    cell: int = 14,
) -> alt.Chart:
    """Numbers as colored cells: a weight matrix, the correlations of pairs, an image.

    Rows of ``table`` are cells at (``x``, ``y``). Diverging colors are centered at zero (blue
    below, vermilion above); otherwise they run from light gray to blue. ``labels`` writes the
    values of ``x`` and ``y`` along the axes; an empty title leaves it away.
    """
    data = significant(table[[c for c in (x, y, value, panel) if c]], digits=3)
    largest = float(data[value].abs().max()) or 1.0
    scale = (
        alt.Scale(domain=[-largest, 0, largest], range=[PALETTE[0], "#f2f2f2", PALETTE[2]])
        if diverging
        else alt.Scale(domain=[0, largest], range=["#f2f2f2", PALETTE[0]])
    )
    axis = alt.Axis(labels=labels, labelAngle=0, ticks=False, domain=False, grid=False)
    chart = (
        alt.Chart(data)
        .mark_rect()
        .encode(
            x=alt.X(x, type="ordinal", title=x if x_title is None else x_title, axis=axis),
            y=alt.Y(y, type="ordinal", title=y if y_title is None else y_title, axis=axis),
            color=alt.Color(value, type="quantitative", title=value_title or value, scale=scale),
        )
    )
    chart = chart.properties(width=alt.Step(cell), height=alt.Step(cell), description=description)
    if panel is None:
        return chart
    return chart.facet(
        alt.Column(panel, type="nominal", title=None, sort=domain_of(table[panel])), spacing=16
    ).properties(description=description)


def violin_rows(table: pd.DataFrame, *by: str) -> pd.DataFrame:
    """The violins that agree in ``by`` in one row, as texts that `violin_marks` takes apart.

    ``position`` and ``reach`` are numbers between spaces, one for each violin; ``half`` is half
    its width at every bin, in thousandths of the distance between two, a slash between violins.
    """
    rows = []
    groups = table.groupby(list(by), sort=False) if by else [((), table)]
    for key, group in groups:
        violins = []
        for position, one in group.groupby("position", sort=False):
            peak = one["density"].max() or 1.0
            half = " ".join(f"{440 * density / peak:.0f}" for density in one["density"])
            reach = one["center"].max() + one["width"].iloc[0] / 2
            violins.append({"position": position, "reach": reach, "half": half})
        violins = pd.DataFrame(violins)
        rows.append(
            dict(zip(by, key))
            | {column: joined(significant(violins[column])) for column in ("position", "reach")}
            | {"half": "/".join(violins["half"])}
        )
    return pd.DataFrame(rows)


def violin_marks(
    chart: alt.Chart,
    color: str,
    x_title: str,
    y_title: str,
    *,
    grown: str = "",
    stretched: str = "",
) -> alt.Chart:
    """Violins from `violin_rows`. Two expressions of Vega's, of ``datum.place``, may say which part
    of its width a violin has ``grown`` to, and by what its values are ``stretched``."""
    half = "datum.part / 1000" + (f" * {grown}" if grown else "")
    reach = "datum.reach" + (f" * {stretched}" if stretched else "")
    return (
        # New names at every step: Vega would take new rows for changed ones, and complain.
        chart.transform_calculate(
            positions="split(datum.position, ' ')",
            reaches="split(datum.reach, ' ')",
            halves="split(datum.half, '/')",
        )
        .transform_flatten(["positions", "reaches", "halves"], as_=["place", "reach", "violin"])
        .transform_calculate(parts="split(datum.violin, ' ')", bins="length(datum.parts)")
        .transform_calculate(numbers="sequence(datum.bins)")
        .transform_flatten(["parts", "numbers"], as_=["part", "bin"])
        .transform_calculate(half=half, middle="toNumber(datum.place)")
        .transform_filter("datum.half > 0")
        .transform_calculate(
            value=f"{reach} * ((2 * datum.bin + 1) / datum.bins - 1)",
            left="datum.middle - datum.half",
            right="datum.middle + datum.half",
        )
        .mark_area(orient="horizontal", color=color, opacity=1, stroke=color, strokeWidth=1)
        .encode(
            x=alt.X(
                "left:Q",
                title=x_title,
                scale=alt.Scale(zero=False, nice=False, padding=12),
                axis=alt.Axis(format="d", tickMinStep=1, grid=False),
            ),
            x2="right:Q",
            y=alt.Y("value:Q", title=y_title, axis=alt.Axis(tickCount=5)),
            detail="middle:N",
        )
    )
