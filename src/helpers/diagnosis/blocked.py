"""Faults that stop the signal: weights that are zero or the same for every unit, units that are
off for every example, values that are not finite."""

import math

from helpers.diagnosis import moments, remedies
from helpers.diagnosis.findings import Analysis, Finding, listed, names
from helpers.diagnosis.following import Following
from helpers.diagnosis.watching import Use

_RARE = 1e-5  # so rarely may chance alone switch that many units off


def weights(analysis: Analysis) -> list[Finding]:
    """Zero and constant weights, where they block."""
    zeros, constant, heads, found = [], [], [], []
    for use in analysis.once():
        own, after = analysis.weights[use], analysis.after[use]
        if (not use.module.training and not use.trainable) or not use.trainable:
            continue
        if own.form == "zeros":
            if after.additions or after.product:
                continue  # a branch that starts as nothing, as in Fixup and zero-init residual
            (heads if analysis.last(use) else zeros).append(use)
        elif own.form == "constant" and getattr(use.module, "groups", 1) == 1:
            constant.append(use)
    if zeros:
        layers = names(zeros)
        activation = next((a for a in map(analysis.activation.get, zeros) if a), None)
        every = "has" if len(layers) == 1 else "have"
        found.append(
            Finding(
                "zero",
                layers,
                f"{listed(layers)} {every} zero weights only: every example gives the same output "
                "there, and no gradient passes to the layers before. Nothing normalizes or adds "
                "to it that could help.",
                {"E[w²]": 0.0},
                remedies.draw(analysis, zeros, activation),
            )
        )
        analysis.block(zeros[0])
    if constant:
        layers = names(constant)
        activation = next((a for a in map(analysis.activation.get, constant) if a), None)
        found.append(
            Finding(
                "symmetric",
                layers,
                f"In {listed(layers)} every unit has the same weights, so all of them compute the "
                "same: the layer is as good as one unit. Random weights tell units apart.",
                {"constant weight": analysis.weights[constant[0]].mean},
                remedies.draw(analysis, constant, activation),
            )
        )
        analysis.block(constant[0])
    if heads:
        layers = names(heads)
        found.append(
            Finding(
                "zero head",
                layers,
                f"The last layer, {listed(layers)}, starts at zero. That is a known choice: every "
                "example scores alike at first, and in the first step this layer alone learns.",
                severity="note",
            )
        )
    return found + _norms(analysis)


def _norms(analysis: Analysis) -> list[Finding]:
    found = []
    for use in analysis.record.nodes.values():
        scale = getattr(use.module, "weight", None)
        if use.weight is not None or scale is None or scale.any() or use.node is None:
            continue
        after = Following()
        if use.node in analysis.graph.position:
            analysis.graph._walk(use.node, after)
        if not (after.additions or after.product or after.output):
            name = {m: n for n, m in analysis.network.named_modules()}[use.module]
            later = [u for u in analysis.uses if use.node in u.inputs or u in after.next]
            found.append(
                Finding(
                    "zero",
                    (name,),
                    f"The normalizer {name} multiplies by zero, and no shortcut goes around it: "
                    "every example gives the same behind it, and no gradient passes.",
                    {"scale": 0.0},
                    f"import torch\n\ntorch.nn.init.ones_({remedies.module(analysis, name)}.weight)",
                )
            )
            if later:
                analysis.block(later[0])
    return found


def dead(analysis: Analysis) -> list[Finding]:
    """Rectified units that are off for every example, more of them than chance explains."""
    for use in analysis.uses:
        stats = analysis.signal(use)
        if stats is None or not analysis.open(use) or stats.units == 0 or analysis.after[use].gate:
            continue
        units, off = stats.units, round(stats.dead * stats.units)
        shift, cause, code = _why(analysis, use)
        everything = off == units and not analysis.last(use) and analysis.after[use].plain
        if not (_tail(units, off) < _RARE or everything or (off > units / 2 and shift < -2)):
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
                f"Behind {use.layer}, {off} of {units} units are zero for every example; signs "
                f"alone explain half at most. {cause}{consequence}",
                {
                    "share of dead units": off / units,
                    "probability by chance": _tail(units, off),
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
        name = {m: n for n, m in analysis.network.named_modules()}[norm.module]
        return (
            shift,
            f"The shift of the normalizer {name} lies {-shift:.2g} standard deviations below zero.",
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


def not_finite(analysis: Analysis) -> list[Finding]:
    """The first place where inf or NaN appears, if nothing else has explained it."""
    for use in analysis.uses:
        if not analysis.open(use):
            return []
        own, x = analysis.weights[use], use.input
        redraw = remedies.draw(analysis, [use], analysis.activation[use])
        if x is not None and x.finite < 1:
            what = f"{100 * (1 - x.finite):.2g} % of the values that reach {use.layer}"
            cause, code = f"{what} are inf or NaN: look at the data and what runs before it.", ""
        elif own.form == "not finite":
            cause, code = f"{use.layer} holds weights that are inf or NaN.", redraw
        elif use.output.finite < 1:
            low = "float32" if use.output.second_moment != use.output.second_moment else "its type"
            cause = (
                f"The output of {use.layer} is the first that overflows {low}: fan_in · E[w²] is "
                f"{own.gain2:.3g}, and its input has the second moment {x.second_moment:.3g}."
                if x is not None
                else f"The output of {use.layer} is not finite."
            )
            code = redraw
        else:
            continue
        analysis.block(use)
        return [
            Finding(
                "not finite",
                (use.layer,),
                cause,
                {"share of finite values": min(use.output.finite, x.finite if x else 1.0)},
                code,
            )
        ]
    return []
