"""Curves: predictions as lines, measurements as marks on them, training as lines with bands."""

import altair as alt
import pandas as pd

from helpers.charts.theme import (
    SHAPES,
    WIDTH,
    axis_of,
    colors_of,
    domain_of,
    in_one_row,
    rows_of,
    rule,
    scale_of,
)
from helpers.tables import significant


def curves(
    predicted: pd.DataFrame | None = None,
    measured: pd.DataFrame | None = None,
    *,
    x: str,
    y: str,
    description: str,
    color: str | None = None,
    panel: str | None = None,
    error: str | None = None,
    low: str | None = None,
    high: str | None = None,
    rules: dict[str, float] | None = None,
    log_x: bool = False,
    log_y: bool = False,
    x_title: str | None = None,
    y_title: str | None = None,
    color_title: str | None = None,
    height: int = 260,
) -> alt.Chart:
    """Lines for what is predicted, marks for what is measured; either may be left out.

    Both tables hold the columns ``x`` and ``y`` and, where given, ``color`` (one line or series
    each, in order of first appearance) and ``panel`` (small charts side by side). ``error`` names
    a column of ``measured``: a bar reaches that far above and below. ``low`` and ``high`` name
    columns that bound a band. ``rules`` draws labeled vertical lines at these ``x``.
    On a logarithmic axis values at or below zero are left out, and an error bar reaches as far
    down as it does up, from y² / (y + error) to y + error: for a small error y - error, and never
    below zero. Raises ValueError without a table, and for more colors than can be told apart.
    """
    tables = [table for table in (predicted, measured) if table is not None]
    if not tables:
        raise ValueError("No table to draw; give predicted, measured, or both.")
    everything = pd.concat(tables)
    colors = {}
    if color:
        scale = colors_of(everything[color])
        shapes = alt.Scale(domain=scale.domain, range=SHAPES[: len(scale.domain)])
        title = color_title or color
        colors["color"] = alt.Color(color, type="nominal", title=title, scale=scale)
        colors["shape"] = alt.Shape(color, type="nominal", title=title, scale=shapes)

    def draw(*tables: pd.DataFrame | None) -> alt.LayerChart:
        points = pd.concat([table for table in tables if table is not None])
        axes = {
            "x": alt.X(
                x,
                type="quantitative",
                title=x_title or x,
                scale=scale_of(log_x, padding=8),
                axis=axis_of(points[x], log_x),
            ),
            "y": alt.Y(
                y,
                type="quantitative",
                title=y_title or y,
                scale=scale_of(log_y),
                axis=axis_of(points[y], log_y),
            ),
        } | {name: encoding for name, encoding in colors.items() if name == "color"}
        layers = []
        for table, is_measured in zip(tables, (False, True)):
            if table is None:
                continue
            kept = table[[c for c in (x, y, color, error, low, high) if c in table.columns]]
            kept = significant(kept.loc[:, ~kept.columns.duplicated()])
            for log, column in ((log_x, x), (log_y, y)):
                kept = kept[kept[column] > 0] if log else kept
            base = rows_of(kept, [color] if color else []).encode(**axes)
            if low in kept.columns and high in kept.columns:
                edge = alt.Y(low, type="quantitative", title=y_title or y)
                layers.append(base.mark_area(opacity=0.22).encode(y=edge, y2=alt.Y2(high)))
            if not is_measured:
                layers.append(base.mark_line(clip=True))
                continue
            if error:
                edge = alt.Y("lower:Q", title=y_title or y, scale=scale_of(log_y))
                lower, upper = (f"datum['{y}'] {sign} datum['{error}']" for sign in "-+")
                if log_y:
                    lower = f"datum['{y}'] * datum['{y}'] / ({upper})"
                layers.append(
                    base.transform_calculate(lower=lower, upper=upper)
                    .mark_rule(strokeWidth=1.5)
                    .encode(y=edge, y2="upper:Q")
                )
            layers.append(base.encode(**colors).mark_point(clip=True))
        layers += [rule(label, value) for label, value in (rules or {}).items()]
        return alt.layer(*layers)

    labels = domain_of(everything[color]) if color else []
    if panel is None:
        chart = draw(predicted, measured)
        chart = chart.properties(width=WIDTH - 60, height=height, description=description)
        return in_one_row(chart, labels)
    panels = domain_of(everything[panel])
    each = (WIDTH - 70) // len(panels) - 20
    parts = [
        draw(
            *(
                None if table is None else table[table[panel] == name]
                for table in (predicted, measured)
            )
        ).properties(width=each, height=height, title=str(name))
        for name in panels
    ]
    return in_one_row(alt.hconcat(*parts).properties(description=description), labels)


def training_curves(
    table: pd.DataFrame,
    *,
    description: str,
    x: str = "step",
    y: str = "loss",
    color: str = "scheme",
    log_y: bool = False,
    x_title: str = "training step",
    y_title: str = "training loss",
    color_title: str = "first weights",
    rules: dict[str, float] | None = None,
    height: int = 280,
) -> alt.Chart:
    """Loss (or accuracy) during training: per ``color`` the mean over runs, and, where several
    rows share an ``x``, a band from the lowest to the highest of them. ``rules`` draws labeled
    horizontal lines, such as a loss that theory names."""
    grouped = table.groupby([color, x], sort=False)[y]
    summary = grouped.agg(mean="mean", lowest="min", highest="max").reset_index()
    summary = significant(summary)
    scale = scale_of(log_y)
    several = bool((grouped.count() > 1).any())
    base = rows_of(summary, [color]).encode(
        x=alt.X(x, type="quantitative", title=x_title, scale=scale_of(False, padding=4)),
        color=alt.Color(color, type="nominal", title=color_title, scale=colors_of(table[color])),
    )
    axis = axis_of(table[y], log_y)
    layers = [
        base.mark_line(strokeWidth=1.8).encode(
            y=alt.Y("mean:Q", title=y_title, scale=scale, axis=axis)
        )
    ]
    if several:
        layers.insert(
            0,
            base.mark_area(opacity=0.25).encode(
                y=alt.Y("lowest:Q", title=y_title, scale=scale, axis=axis), y2="highest:Q"
            ),
        )
    layers += [rule(label, value, axis="y") for label, value in (rules or {}).items()]
    chart = alt.layer(*layers)
    chart = chart.properties(width=WIDTH - 60, height=height, description=description)
    return in_one_row(chart, domain_of(table[color]))
