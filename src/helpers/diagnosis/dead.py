"""The fault of dead units: rectified, and zero for every example."""

import math

from helpers.diagnosis import moments, remedies
from helpers.diagnosis.findings import Analysis, Finding, listed, names
from helpers.diagnosis.recording import Use

_RARE = 1e-5  # so rarely may chance alone switch that many units off
_LIKELY = 0.05  # the same, where biases far below zero say why


def dead(analysis: Analysis) -> list[Finding]:
    """Rectified units that are off for every example, more of them than chance explains."""
    for use in analysis.uses:
        stats = analysis.signal(use)
        if stats is None or not analysis.open(use) or stats.units == 0:
            continue
        units, off = stats.units, round(stats.dead * stats.units)
        shift, cause, code = _why(analysis, use)
        everything = off == units and not analysis.last(use) and analysis.after[use].plain
        chance = _tail(units, off)
        # Where signals vanish, biases of any size lie far from zero in units of what is left.
        biased = shift < -2 and use.layer not in analysis.explained
        if not (chance < _RARE or everything or (chance < _LIKELY and biased)):
            continue
        later = [
            u
            for u in analysis.uses[analysis.uses.index(use) + 1 :]
            if (s := analysis.signal(u)) is not None and s.dead > 0.5
        ]
        consequence = f" What is off in {listed(names(later))} follows from it." if later else ""
        analysis.block(use)
        return [
            Finding(
                "dead",
                (use.layer,),
                f"Behind {use.layer!r}, {off} of {units} units are zero for every example; signs "
                f"alone explain half at most. {cause}{consequence}",
                {
                    "share of dead units": off / units,
                    "probability by chance": chance,
                    "shift in standard deviations": shift,
                },
                code,
            )
        ]
    return []


def _tail(n: int, k: int) -> float:
    """P(at least k of n) for a fair coin."""
    if k <= n / 2:
        return 1.0
    terms = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2)
        for i in range(k, n + 1)
    )
    return sum(map(math.exp, terms))


def _why(analysis: Analysis, use: Use) -> tuple[float, str, str]:
    """(shift of the pre-activation in standard deviations, the cause in words, a remedy)."""
    activation = analysis.activation[use]
    norm = next(
        (
            u
            for u in analysis.record.nodes.values()
            if u.weight is None and u.node in analysis.graph.position and use.node in u.inputs
        ),
        None,
    )
    if norm is not None and getattr(norm.module, "bias", None) is not None:
        scale = math.sqrt(moments.second_moment(norm.module.weight)) or 1.0
        shift = norm.module.bias.detach().double().mean().item() / scale
        name = analysis.named[norm.module]
        return (
            shift,
            f"The shift of the normalizer {name!r} lies {-shift:.2g} standard deviations below 0.",
            remedies.zero_bias(analysis, (name,)),
        )
    own, x = analysis.weights[use], use.input
    if x is not None and x.second_moment == 0:
        redraw = remedies.draw(analysis, [use], activation)
        return 0.0, "Its input is zero for every example; look at the data.", redraw
    spread = math.sqrt(own.gain2 * x.second_moment) if x is not None else 0.0
    bias = 0.0 if use.bias is None else use.bias.double().mean().item()
    drift = own.fan_in * own.mean * x.mean if x is not None else 0.0
    shift = (bias + drift) / spread if spread > 0 else math.copysign(math.inf, bias)
    if min(bias, drift) < 0 and shift < -0.5:
        if bias <= drift:
            size = f"{-bias / spread:.2g} standard deviations" if spread else "far"
            cause = f"Its biases are on average {bias:.3g}, {size} below zero."
            return shift, cause, remedies.zero_bias(analysis, (use.layer,))
        cause = f"Its weights have the mean {own.mean:.2g}, and its inputs are mostly positive."
        return shift, cause, remedies.draw(analysis, [use], activation)
    cause = f"With {own.fan_in} inputs and few units that can happen by chance; draw them again."
    return shift, cause, remedies.draw(analysis, [use], activation)
