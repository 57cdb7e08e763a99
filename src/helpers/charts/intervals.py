"""Measurements with their spread, one row for each thing that was measured."""

import altair as alt
import pandas as pd

from helpers.charts.theme import GREY, SHAPES, WIDTH, colors_of, domain_of, in_one_row
from helpers.tables import significant


def ranges(
    table: pd.DataFrame,
    *,
    y: str,
    x: str,
    low: str,
    high: str,
    color: str,
    panel: str,
    description: str,
    rules: dict[str, float] | None = None,
    each: int = 20,
) -> alt.ConcatChart:
    """A mark at ``x`` and a line from ``low`` to ``high``, in a row for each value of ``y``.

    The values of ``color`` lie one under another in a row, each so many pixels high. Those of
    ``panel`` are charts of their own, two side by side, with their name as the title of an axis
    that begins at zero; ``rules`` draws a dashed line in the panel of that name, which the caption
    has to explain. Raises ValueError for more colors than can be told apart.
    """
    colors, names = colors_of(table[color]), domain_of(table[color])
    shapes = alt.Scale(domain=names, range=SHAPES[: len(names)])
    parts = []
    for name in domain_of(table[panel]):
        rows = table.loc[table[panel] == name, list(dict.fromkeys([y, x, low, high, color]))]
        across = {
            "type": "quantitative",
            "title": name,
            "scale": alt.Scale(zero=True),
            "axis": alt.Axis(tickCount=4),
        }
        base = alt.Chart(significant(rows)).encode(
            y=alt.Y(y, type="nominal", title=None, sort=domain_of(table[y])),
            yOffset=alt.YOffset(color, type="nominal", sort=names),
            color=alt.Color(color, type="nominal", title=None, scale=colors),
        )
        layers = [
            base.mark_rule(strokeWidth=1.5).encode(x=alt.X(low, **across), x2=alt.X2(high)),
            base.mark_point().encode(
                x=alt.X(x, **across),
                shape=alt.Shape(color, type="nominal", title=None, scale=shapes),
            ),
        ]
        if name in (rules or {}):
            line = alt.Chart().mark_rule(color=GREY, strokeDash=[4, 4], strokeWidth=1.5)
            layers.insert(0, line.encode(x=alt.datum(rules[name], type="quantitative")))
        # The rows' names take what is left of the width, on both sides.
        chart = alt.layer(*layers)
        parts.append(chart.properties(width=WIDTH // 2 - 110, height=alt.Step(each)))
    return in_one_row(alt.concat(*parts, columns=2).properties(description=description), names)
