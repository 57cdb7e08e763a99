"""The laboratory's pictures: what flows, and how training goes, each as SVG text."""

import math
from collections.abc import Sequence

from helpers.charts.theme import PALETTE
from helpers.laboratory import Flow, Trial, Way
from helpers.laboratory.words import number, power
from helpers.widgets import drawing
from helpers.widgets.drawing import Panel

#: A card's size in pixels; it is drawn at the width that it finds.
WIDTH, HEIGHT = 360, 400
_LEFT, _RIGHT = 56, WIDTH - 8
#: Blue is what flows forward, and this training; vermilion what flows back, ocher the run before.
FORWARD, BACKWARD, BEFORE = PALETTE[0], PALETTE[2], PALETTE[4]


def flow_cards(flow: Flow) -> list[str]:
    """Two cards, forward and backward: violins above, second moments below."""
    what = "cell states" if flow.settings.recurrent else "activations"
    return [
        _card(flow.forward, "Forward", what, flow.place, FORWARD),
        _card(flow.backward, "Backward", "gradients", flow.place, BACKWARD),
    ]


def _card(way: Way, title: str, what: str, place: str, color: str) -> str:
    layers = way.layers
    count = len(layers)
    x = (0.4, count + 0.6)
    across = {"left": _LEFT, "width": _RIGHT - _LEFT, "x": x}
    x_ticks = drawing.whole_ticks(1, count)
    # Violins share one axis, in units of a power of ten.
    largest = max((layer.log_reach for layer in layers), default=-math.inf)
    largest = 0.0 if largest == -math.inf else largest
    unit = 0 if -2 <= largest < 3 else math.floor(largest)
    top = 1.04 * 10 ** (largest - unit)
    # Behind a ReLU nothing is negative: then the axis begins at zero.
    bottom = -top if any(any(layer.density[: len(layer.density) // 2]) for layer in layers) else 0.0
    above = Panel(top=34, height=140, y=(bottom, top), **across)
    units = f", in units of {power(unit)}" if unit else ""
    parts = [above.axes([], drawing.even_ticks(bottom, top), title=f"{title}: {what}{units}")]
    for layer in layers:
        reach = 10 ** (layer.log_reach - unit) if layer.density else math.nan
        parts.append(above.violin(layer.position, reach, layer.density, color))
    logs = way.measured + (way.predicted or ())
    shown = [log for log in logs if math.isfinite(log) and abs(log) < 310] or [0.0]
    low, high = _room(min(shown), max(shown), 2.0)
    below = Panel(top=216, height=140, y=(low, high), **across)
    parts.append(
        below.axes(x_ticks, powers(low, high), x_title=place, title="Mean square, by " + place)
    )
    start = way.measured[0 if title == "Forward" else -1]
    parts.append(below.level(start))
    if way.predicted is not None:
        theory = list(enumerate(way.predicted, 1))
        parts.append(below.line([p for p in theory if low <= p[1] <= high], "currentColor"))
    radius = 4.5 if count <= 12 else 3
    parts.append(below.marks(list(enumerate(way.measured, 1)), color, radius))
    first, last = (number(log) for log in (way.measured[0], way.measured[-1]))
    label = (
        f"{title}: violins of the {what} by {place}, 1 to {count}, and below them the mean square: "
        f"measured {first} at {place} 1 and {last} at {place} {count}"
    )
    if way.predicted is not None:
        ends = number(way.predicted[0]), number(way.predicted[-1])
        label += f"; predicted {ends[0]} and {ends[1]}"
    return drawing.picture(parts, WIDTH, HEIGHT, label + ".")


def training_cards(runs: Sequence[tuple[Trial, str]]) -> list[str]:
    """Two cards, the loss of every step and the test accuracy; one color for each run."""
    losses = [_summary(_thinned(trial.losses), log=True) for trial, _ in runs]
    scores = [_summary(trial.scores) for trial, _ in runs]
    steps = max([trial.total for trial, _ in runs if trial.total] or [1])
    across = {"left": _LEFT, "width": _RIGHT - _LEFT, "x": (0, steps)}
    shown = [y for lines in losses for line in lines for _, y in line if math.isfinite(y)]
    low, high = _room(min(shown, default=-1.0), max(shown, default=1.0), 1.0)
    cards = []
    for name, lines, y, ticks in (
        ("Training loss", losses, (low, high), powers(low, high)),
        ("Test accuracy", scores, (0.0, 1.0), [(k / 4, f"{25 * k} %") for k in range(5)]),
    ):
        panel = Panel(top=34, height=200, y=y, **across)
        parts = [
            panel.axes(drawing.whole_ticks(0, steps, 5), ticks, x_title="training step", title=name)
        ]
        label = []
        for (mean, lowest, highest), (_, color) in zip(lines, runs):
            parts.append(panel.band(lowest, highest, color))
            parts.append(panel.line(mean, color))
            ends = [y for _, y in mean if math.isfinite(y)]
            if ends and name == "Test accuracy":
                label.append(f"from {ends[0]:.0%} to {ends[-1]:.0%}")
            elif ends:
                label.append(f"from {number(ends[0])} to {number(ends[-1])}")
        said = " and, in the run before, ".join(label) or "nothing yet"
        label = f"{name} against training step, to step {steps}: {said}."
        cards.append(drawing.picture(parts, WIDTH, 276, label))
    return cards


def powers(low: float, high: float) -> list[drawing.Tick]:
    """Ticks for an axis of log10: whole powers of ten, six at most; for less than a decade also
    2 and 5."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if last - first < 1:
        between = [k + math.log10(m) for k in range(first - 1, last + 1) for m in (1, 2, 5)]
        return [(log, number(log, 1)) for log in between if low <= log <= high]
    step = -(-(last - first) // 5)
    return [(k, _plain(k)) for k in range(-(-first // step) * step, last + 1, step)]


def _plain(exponent: int) -> str:
    return f"{10.0**exponent:g}" if -3 <= exponent <= 3 else power(exponent)


def _room(low: float, high: float, least: float) -> tuple[float, float]:
    """Widen a range to so many decades, and a little more."""
    more = max(least - (high - low), 0) / 2 + 0.06 * max(high - low, least)
    return low - more, high + more


def _thinned(losses: Sequence[tuple[float, ...]], most: int = 150) -> list[tuple[int, tuple]]:
    """Steps with every network's loss, means over neighboring steps where there are many."""
    each = -(-len(losses) // most) or 1
    return [
        (first + len(part), tuple(sum(run) / len(part) for run in zip(*part)))
        for first in range(0, len(losses), each)
        for part in [losses[first : first + each]]
    ]


def _summary(points: Sequence[tuple[int, tuple]], log: bool = False) -> tuple[list, list, list]:
    """The mean line of several networks, the lowest and the highest; NaN where one of them is."""

    def height(value: float) -> float:
        if not log:
            return value
        return math.log10(value) if 0 < value < math.inf else math.nan

    lines: tuple[list, list, list] = ([], [], [])
    for step, values in points:
        for line, value in zip(lines, (sum(values) / len(values), min(values), max(values))):
            line.append((step, height(value)))
    return lines
