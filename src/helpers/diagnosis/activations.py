"""Faults of activations: sigmoids in a row, and bounded activations that have leveled off."""

import math

from helpers.diagnosis import expecting, moments, remedies
from helpers.diagnosis.findings import Analysis, Finding, listed, names
from helpers.diagnosis.recording import Use

_SIGMOIDS = ("sigmoid", "hardsigmoid")
#: Less than this share of the gradient's second moment behind each sigmoid, on average.
LEFT = 1 / 8


def sigmoids(analysis: Analysis) -> list[Finding]:
    """Two hidden sigmoids or more in a row, between which the gradient shrinks."""
    found = []
    uses = [u for u in analysis.uses if analysis.hidden(u) in _SIGMOIDS and analysis.next[u]]
    starts = [u for u in uses if not any(analysis.next[v] is u for v in uses)]
    for start in starts:
        run, use = [], start
        while use in uses:
            run.append(use)
            use = analysis.next[use]
        factor = math.prod(_passed(analysis, u) for u in run)
        if len(run) < 2 or not factor < LEFT ** len(run) or not analysis.open(start):
            continue
        layers = names(run)
        behind = list({id(u): u for u in map(analysis.next.get, run)}.values())
        found.append(
            Finding(
                "sigmoid",
                layers,
                f"Sigmoids stand in a row behind {listed(layers)}. A sigmoid's slope is 1/4 at "
                "most, so each takes the gradient's second moment down by 16 or more, unless the "
                f"weights behind it make up for it; these together leave {factor:.1e}. Take ReLU "
                "with He's variance, or tanh with Glorot's.",
                {
                    "factor of the gradient's second moment": factor,
                    "sigmoids in a row": float(len(run)),
                    "gradient's second moment at the first layer": run[0].backward,
                    "gradient's second moment at the last layer": behind[-1].backward,
                },
                remedies.center_sigmoids(analysis, behind),
            )
        )
        analysis.explained |= set(layers) | set(names(behind))
    return found


def _passed(analysis: Analysis, use: Use) -> float:
    """What is left of the gradient behind a sigmoid: by fan_in, for what a narrower layer takes
    away it would take away from any activation."""
    own = analysis.weights[analysis.next[use]]
    slope = expecting.through(analysis.activation[use], use.output.second_moment)[1]
    factor = own.gain2 * slope
    return factor if factor > 0 else 1.0


def saturated(analysis: Analysis) -> list[Finding]:
    """Bounded activations with many values at a bound, where the slope is next to nothing."""
    flat = []
    for use in analysis.uses:
        bounded = analysis.hidden(use) in moments.BOUNDS
        if bounded and analysis.leveled(use) and analysis.open(use):
            if not analysis.after[use].normalizer:
                flat.append(use)
    by_input = [u for u in flat if u.input is not None and u.input.second_moment > 4]
    by_input = [u for u in by_input if analysis.weights[u].gain2 <= 4]
    by_weights = [u for u in flat if u not in by_input and u.layer not in analysis.explained]
    found = []
    for uses, why in ((by_input, "input"), (by_weights, "weights")):
        if not uses:
            continue
        layers, use = names(uses), uses[0]
        analysis.explained |= set(layers)
        share = analysis.signal(use).saturated
        own = analysis.weights[use]
        if why == "input":
            q = use.input.second_moment
            reason = f"the input has the second moment {q:.3g}; standardize it"
            code = remedies.rescale(analysis, use.layer, 1 / math.sqrt(q))
        else:
            reason = f"fan_in · E[w²] is {own.gain2:.3g}, where 1 to 2.5 fits"
            code = remedies.draw(analysis, uses, analysis.activation[use])
        found.append(
            Finding(
                "saturation",
                layers,
                f"Behind {listed(layers)} the {analysis.activation[use]} has leveled off: "
                f"{100 * share:.0f} % of its values lie within 1 % of a bound, where no gradient "
                f"passes, because {reason}.",
                {
                    "share saturated": share,
                    "second moment before it": use.output.second_moment,
                    "fan_in · E[w²]": own.gain2,
                },
                code,
            )
        )
    return found
