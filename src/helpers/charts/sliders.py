"""Figures with a range input that works without a kernel: the whole grid lies in the figure.

What both functions take for their controls:

``parameter``
    The column whose evenly spaced values the range input steps through; ``name`` is what readers
    see, ``start`` where it stands at first. With ``log`` the values are evenly spaced in log10
    (``numpy.geomspace``; 41 from 0.01 to 1 contain 0.1 and nearly √2/10), and ``start`` is the
    nearest of them.
``marks``
    Values that theory names, ``{"1/√n": 0.1, "He": 0.1414}``: buttons under the slider that set it
    to the nearest of its values. Keep labels short; equal values get one label. A value may
    be a function of the menus' columns by name that returns a number, or None for no mark:
    ``{"He": lambda width, **_: math.sqrt(2 / width)}``.
``menus``
    Further columns to choose in, with the title of each, ``{"activation": "activation",
    "depth": "layers"}``. Every table holds every combination of their values and the parameter's.
    Menus list values in order of first appearance; the first is chosen, or what ``chosen`` says,
    ``{"activation": "relu"}``.
``play``
    True offers a button that runs through all values and back. ``"at once"`` also starts by
    itself, again and again, for readers who have not asked for less motion; so does
    ``"onward"``, from the first value to the last and never back.
"""

from collections.abc import Mapping

import altair as alt
import pandas as pd

from helpers.charts.choosing import Choice, Mark
from helpers.charts.shapes import violin_marks, violin_rows
from helpers.charts.theme import (
    GREY,
    INK,
    PALETTE,
    SHAPES,
    WIDTH,
    axis_of,
    colors_of,
    domain_of,
    in_one_row,
    rule,
    scale_of,
    unpacked,
)
from helpers.tables import packed


def slider(
    profiles: pd.DataFrame,
    spreads: pd.DataFrame | None = None,
    *,
    parameter: str = "sigma",
    start: float,
    description: str,
    name: str = "σ",
    log: bool = False,
    marks: Mapping[str, Mark] | None = None,
    menus: Mapping[str, str] | None = None,
    chosen: Mapping[str, object] | None = None,
    play: bool | str = False,
    x_title: str = "hidden layer",
    y_title: str = "relative second moment",
    spread_title: str = "activation",
    level: float | None = 1.0,
    limits: tuple[float, float] = (1e-6, 1e6),
    height: int = 190,
) -> alt.VConcatChart:
    """What flows forward and backward, for the value of a parameter that the reader moves.

    The controls (``parameter`` to ``play``) are described at the top of this module.
    ``profiles`` holds ``parameter``, the menus' columns, ``panel`` (title of one of the charts side
    by side), ``position`` (the layer's number), ``predicted`` and ``measured``. ``spreads``, drawn
    above them as violins, holds ``parameter``, the menus' columns, ``position``, ``center``,
    ``width`` and ``density``. ``level`` is marked across the lower charts, ``limits`` their
    vertical range. Raises ValueError where a table lacks a combination.
    """
    choice = Choice(
        profiles,
        parameter=parameter,
        name=name,
        start=start,
        log=log,
        marks=marks,
        menus=menus,
        chosen=chosen,
        play=play,
    )
    scale = alt.Scale(type="log", domain=list(limits))
    panels = domain_of(profiles["panel"])
    each = (WIDTH - 80 * len(panels)) // len(panels) if len(panels) > 1 else WIDTH - 70
    values = ["position", "predicted", "measured"]
    charts = []
    for number, panel in enumerate(panels):
        one = choice.rows(profiles[profiles["panel"] == panel], f"The panel {panel!r}")
        one = one[[*choice.by, *values]]
        one[values[1:]] = one[values[1:]].where(one[values[1:]] > 0)  # the axis is logarithmic
        base = choice.chosen_rows(packed(one, choice.by, floor=0.0))
        base = unpacked(base, *values).encode(
            x=alt.X(
                "position:Q",
                title=x_title,
                scale=scale_of(False, padding=10, column=profiles["position"]),
                axis=axis_of(profiles["position"], False),
            )
        )
        axis = axis_of(pd.Series(limits), True)
        title = y_title if number == 0 else ""
        layers = [
            base.mark_line(color=INK, clip=True, strokeWidth=2).encode(
                y=alt.Y("predicted:Q", title=title, scale=scale, axis=axis)
            ),
            base.mark_point(color=PALETTE[0], clip=True, size=75).encode(
                y=alt.Y("measured:Q", title=title, scale=scale, axis=axis),
                tooltip=[
                    alt.Tooltip("position:Q", title=x_title),
                    alt.Tooltip("predicted:Q", format=".3~g"),
                    alt.Tooltip("measured:Q", format=".3~g"),
                ],
            ),
        ]
        if level is not None:
            layers.insert(
                0,
                alt.Chart()
                .mark_rule(color=GREY, strokeDash=[4, 4])
                .encode(y=alt.datum(level, type="quantitative", scale=scale)),
            )
        charts.append(alt.layer(*layers).properties(width=each, height=height, title=panel))
    rows = [alt.hconcat(*charts)]
    if spreads is not None:
        shapes = violin_rows(choice.rows(spreads, "The table of spreads"), *choice.by)
        rows.insert(
            0,
            violin_marks(choice.chosen_rows(shapes), PALETTE[0], x_title, spread_title).properties(
                width=WIDTH - 70, height=170
            ),
        )
    return choice.offer(alt.vconcat(*rows), description=description)


def curve_slider(
    table: pd.DataFrame,
    measured: pd.DataFrame | None = None,
    *,
    x: str,
    y: str,
    start: float,
    description: str,
    parameter: str = "sigma",
    name: str = "σ",
    log: bool = False,
    marks: Mapping[str, Mark] | None = None,
    menus: Mapping[str, str] | None = None,
    chosen: Mapping[str, object] | None = None,
    play: bool | str = False,
    color: str | None = None,
    x_title: str | None = None,
    y_title: str | None = None,
    color_title: str | None = None,
    log_y: bool = False,
    limits: tuple[float, float] | None = None,
    rules: dict[str, float] | None = None,
    height: int = 280,
) -> alt.LayerChart:
    """One curve for every value of a parameter; the reader's value stands out from the others.

    The controls (``parameter`` to ``play``) are described at the top of this module.
    ``table`` holds ``parameter``, the menus' columns, ``x`` and ``y``, and, where given, ``color``:
    then there is a curve for each color, at the reader's value alone. ``measured`` holds the same
    columns: marks over the curves, at the reader's value. ``limits`` is the vertical range, or else
    all values find room, so that the axis stays while the reader moves. ``rules`` draws labeled
    horizontal lines. On a logarithmic axis values at or below zero are left out. Raises ValueError
    where a table lacks a combination.
    """
    choice = Choice(
        table,
        parameter=parameter,
        name=name,
        start=start,
        log=log,
        marks=marks,
        menus=menus,
        chosen=chosen,
        play=play,
    )
    everything = table if measured is None else pd.concat([table, measured])
    heights = pd.Series(limits) if limits else everything[y]
    scale = scale_of(log_y, column=heights, padding=0 if limits else None)
    colors = {}
    if color:
        colors["color"] = alt.Color(
            color, type="nominal", title=color_title or color, scale=colors_of(everything[color])
        )
    x_title, y_title = x_title or x, y_title or y

    def draw(rows: pd.DataFrame, keep, what: str) -> alt.Chart:
        by = [color] if color else []
        rows = choice.rows(rows, what)[[*choice.by, *by, x, y]]
        # What is tiny is no rounding error of zero where the axis is logarithmic.
        rounding = {"floor": 0.0} if log_y else {}
        rows = rows[rows[y] > 0] if log_y else rows
        rows = packed(rows, [*choice.by, *by], **rounding)
        return unpacked(keep(rows, by), x, y).encode(
            x=alt.X(
                x,
                type="quantitative",
                title=x_title,
                scale=scale_of(False, padding=4, column=everything[x]),
                axis=axis_of(everything[x], False),
            ),
            y=alt.Y(
                y, type="quantitative", title=y_title, scale=scale, axis=axis_of(heights, log_y)
            ),
            detail=alt.Detail(choice.column, type="quantitative"),
            **colors,
        )

    tips = [alt.Tooltip(x, type="quantitative", title=x_title, format=".4~g")]
    tips += [alt.Tooltip(y, type="quantitative", title=y_title, format=".3~g")]
    tips += [alt.Tooltip(color, type="nominal", title=color_title or color)] if color else []
    layers = []
    if not color:
        others = draw(table, choice.menu_rows, "The table")
        layers.append(others.mark_line(color=GREY, opacity=0.25, strokeWidth=1, clip=True))
    one = draw(table, choice.chosen_rows, "The table")
    paint = {} if color else {"color": PALETTE[0]}
    layers.append(one.mark_line(strokeWidth=2 if color else 3, clip=True, **paint))
    if measured is None:
        # Nothing to see, but a pointer over the curve finds its numbers.
        layers.append(one.mark_point(opacity=0, size=150, clip=True).encode(tooltip=tips))
    else:
        points = draw(measured, choice.chosen_rows, "The table of measurements")
        points = points.mark_point(clip=True, **({} if color else {"color": INK}))
        if color:
            shapes = alt.Scale(
                domain=domain_of(everything[color]), range=SHAPES[: everything[color].nunique()]
            )
            shape = alt.Shape(color, type="nominal", title=color_title or color, scale=shapes)
            points = points.encode(shape=shape)
        layers.append(points.encode(tooltip=tips))
    layers += [rule(label, value, axis="y") for label, value in (rules or {}).items()]
    chart = choice.offer(
        alt.layer(*layers), width=WIDTH - 60, height=height, description=description
    )
    return in_one_row(chart, domain_of(everything[color])) if color else chart
