"""The same signal through several networks, layer by layer."""

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from helpers.charts.choosing import Choice
from helpers.charts.shapes import violin_marks, violin_rows
from helpers.charts.theme import PALETTE, WIDTH


def passage(
    spreads: pd.DataFrame,
    factors: Mapping[str, float],
    *,
    description: str,
    limits: tuple[float, float],
    notes: Mapping[str, str] | None = None,
    name: str = "layers passed",
    height: int = 180,
) -> alt.HConcatChart:
    """Violins of every layer, side by side for networks whose weights differ by a factor.

    ``spreads`` holds ``position`` (the layer, from 1), ``center``, ``width`` and ``density`` for
    the network whose factor is 1. With ``factors`` (by the panel's title; three, in the order too
    small, right, too large) every value of layer ``l`` is ``factor ** (l - 1)`` times as large.
    That is exact where layers have no biases and an activation that lets factors through, as ReLU
    does. ``notes`` stand under the titles; ``limits`` are the vertical range, beyond which violins
    are cut off. The picture plays by itself: the signal passes the layers, again and again.
    """
    layers = int(spreads["position"].max())
    steps = pd.DataFrame({"passed": np.linspace(0, layers, 8 * layers + 1)})
    choice = Choice(steps, parameter="passed", name=name, start=layers, play="onward")
    ticks = [1, *range(5, layers + 1, 5)]
    panels = []
    for (title, factor), color in zip(factors.items(), PALETTE):
        violins = violin_marks(
            alt.Chart(violin_rows(spreads)),
            color,
            "layer",
            "",
            stretched=f"pow({factor}, datum.place - 1)",
            grown="clamp(passed - datum.place + 1, 0, 1)",
        )
        panel = violins.mark_area(orient="horizontal", color=color, clip=True).encode(
            x=alt.X(
                "left:Q",
                title="layer",
                axis=alt.Axis(values=ticks, grid=False, domain=False, ticks=False),
                scale=alt.Scale(domain=[0.4, layers + 0.6], nice=False),
            ),
            y=alt.Y("value:Q", axis=None, scale=alt.Scale(domain=list(limits))),
        )
        note = (notes or {}).get(title, "")
        heading = alt.Title(title, subtitle=note, color=color, fontSize=19, offset=4)
        panels.append(panel.properties(width=WIDTH / 3 - 8, height=height, title=heading))
    chart = choice.offer(alt.hconcat(*panels, spacing=12), description=description)
    chart.title = alt.Undefined  # the violins themselves show how far the signal has come
    return chart
