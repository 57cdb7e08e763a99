"""Figures with a range input that works without a kernel: the whole grid lies in the figure."""

import altair as alt
import pandas as pd

from helpers.charts.shapes import violin_marks, violin_rows
from helpers.charts.theme import GREY, INK, PALETTE, WIDTH, axis_of, domain_of, rule, scale_of
from helpers.tables import nested, significant


def slider(
    profiles: pd.DataFrame,
    spreads: pd.DataFrame | None = None,
    *,
    parameter: str = "sigma",
    start: float,
    description: str,
    name: str = "σ",
    x_title: str = "hidden layer",
    spread_title: str = "activation",
    level: float | None = 1.0,
    limits: tuple[float, float] = (1e-6, 1e6),
    height: int = 190,
) -> alt.VConcatChart:
    """What flows forward and backward, for the value of a parameter that the reader moves.

    The values of ``parameter`` are evenly spaced; the slider steps through them, without a kernel.
    ``profiles`` holds ``parameter``, ``panel`` (title of one of the charts side by side),
    ``position`` (the layer's number), ``predicted`` and ``measured``. ``spreads``, drawn above
    them as violins, holds ``parameter``, ``position``, ``center``, ``width`` and ``density``.
    ``level`` is marked across the lower charts, ``limits`` their vertical range.
    """
    chosen, here = _chooser(profiles[parameter], parameter, name, start)
    log = alt.Scale(type="log", domain=list(limits))
    panels = domain_of(profiles["panel"])
    each = (WIDTH - 80 * len(panels)) // len(panels) if len(panels) > 1 else WIDTH - 70
    charts = []
    for number, panel in enumerate(panels):
        rows = nested(profiles[profiles["panel"] == panel].drop(columns="panel"), [parameter])
        base = (
            alt.Chart(rows)
            .transform_filter(here)
            .transform_flatten(["position", "predicted", "measured"])
            .encode(
                x=alt.X(
                    "position:Q",
                    title=x_title,
                    scale=scale_of(False, padding=10),
                    axis=axis_of(profiles["position"], False),
                )
            )
        )
        y_axis = axis_of(pd.Series(limits), True)
        y_title = "relative second moment" if number == 0 else ""
        layers = [
            base.mark_line(color=INK, clip=True, strokeWidth=2).encode(
                y=alt.Y("predicted:Q", title=y_title, scale=log, axis=y_axis)
            ),
            base.mark_point(color=PALETTE[0], clip=True, size=75).encode(
                y=alt.Y("measured:Q", title=y_title, scale=log, axis=y_axis)
            ),
        ]
        if level is not None:
            layers.insert(
                0,
                alt.Chart()
                .mark_rule(color=GREY, strokeDash=[4, 4])
                .encode(y=alt.datum(level, type="quantitative", scale=log)),
            )
        charts.append(alt.layer(*layers).properties(width=each, height=height, title=panel))
    rows = [alt.hconcat(*charts)]
    if spreads is not None:
        rows.insert(
            0,
            violin_marks(
                alt.Chart(violin_rows(spreads, parameter)).transform_filter(here),
                PALETTE[0],
                x_title,
                spread_title,
            ).properties(width=WIDTH - 70, height=170),
        )
    return alt.vconcat(*rows).add_params(chosen).properties(description=description)


def curve_slider(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    start: float,
    description: str,
    parameter: str = "sigma",
    name: str = "σ",
    x_title: str | None = None,
    y_title: str | None = None,
    log_y: bool = False,
    rules: dict[str, float] | None = None,
    height: int = 280,
) -> alt.LayerChart:
    """One curve for every value of a parameter; the reader's value stands out from the others.

    ``table`` holds ``parameter`` (evenly spaced values), ``x`` and ``y``. ``rules`` draws labeled
    horizontal lines.
    """
    chosen, here = _chooser(table[parameter], parameter, name, start)
    kept = table[[parameter, x, y]]
    rows = nested(kept[kept[y] > 0] if log_y else kept, [parameter])
    base = (
        alt.Chart(rows)
        .transform_flatten([x, y])
        .encode(
            x=alt.X(
                x,
                type="quantitative",
                title=x_title or x,
                scale=scale_of(False, padding=4),
                axis=axis_of(table[x], False),
            ),
            y=alt.Y(
                y,
                type="quantitative",
                title=y_title or y,
                scale=scale_of(log_y),
                axis=axis_of(table[y], log_y),
            ),
            detail=alt.Detail(parameter, type="quantitative"),
        )
    )
    layers = [
        base.mark_line(color=GREY, opacity=0.25, strokeWidth=1),
        base.transform_filter(here).mark_line(color=PALETTE[0], strokeWidth=3),
        *[rule(label, value, axis="y") for label, value in (rules or {}).items()],
    ]
    return (
        alt.layer(*layers)
        .add_params(chosen)
        .properties(width=WIDTH - 60, height=height, description=description)
    )


def _chooser(
    column: pd.Series, parameter: str, name: str, start: float
) -> tuple[alt.Parameter, str]:
    """A range input through the values of a column, and the test that a row has the chosen one."""
    grid = sorted(column.unique().tolist())
    steps = [b - a for a, b in zip(grid, grid[1:])]
    if not steps or max(steps) - min(steps) > 0.01 * min(steps):
        raise ValueError(
            f"The values of {parameter!r} are not evenly spaced ({grid[:3]} …), and a slider steps "
            "evenly. Space them with torch.linspace or range."
        )
    step = (grid[-1] - grid[0]) / len(steps)
    if not any(abs(start - value) < step / 100 for value in grid):
        raise ValueError(f"start is {start!r}; expected a value of {parameter!r}, one of {grid}.")
    bind = alt.binding_range(
        min=significant(grid[0]), max=significant(grid[-1]), step=significant(step), name=f"{name} "
    )
    chosen = alt.param(name=parameter, value=start, bind=bind)
    return chosen, f"abs(datum['{parameter}'] - {parameter}) < {significant(step / 2.1)}"
