"""Faults that stop the signal: weights that are zero or the same for every unit, inf and NaN."""

from helpers.diagnosis import remedies
from helpers.diagnosis.findings import Analysis, Finding, listed, names
from helpers.diagnosis.recording import UNITS


def weights(analysis: Analysis) -> list[Finding]:
    """Zero and constant weights, where they block."""
    zeros, constant, heads, found = [], [], [], []
    for use in analysis.once():
        own, after = analysis.weights[use], analysis.after[use]
        if not use.trainable or not isinstance(use.module, UNITS):
            continue
        if own.form == "zeros":
            if after.additions or after.product:
                continue  # a branch that starts as nothing, as in Fixup and zero-init residual
            (heads if analysis.last(use) else zeros).append(use)
        elif own.form == "constant" and own.fan_out > 1 and getattr(use.module, "groups", 1) == 1:
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
        after = analysis.graph.follow(use)
        if not (after.additions or after.product or after.output):
            name = analysis.named[use.module]
            later = [u for u in analysis.uses if use.node in u.inputs or u in after.next]
            found.append(
                Finding(
                    "zero",
                    (name,),
                    f"The normalizer {name!r} multiplies by zero, and no shortcut goes around it: "
                    "every example gives the same behind it, and no gradient passes.",
                    {"scale": 0.0},
                    remedies.loop(analysis, (name,), ["torch.nn.init.ones_(layer.weight)"]),
                )
            )
            if later:
                analysis.block(later[0])
    return found


def not_finite(analysis: Analysis) -> list[Finding]:
    """The first place where inf or NaN appears, if nothing else has explained it."""
    for use in analysis.uses:
        if not analysis.open(use):
            return []
        own, x = analysis.weights[use], use.input
        redraw = remedies.draw(analysis, [use], analysis.activation[use])
        if x is not None and x.finite < 1:
            what = f"{100 * (1 - x.finite):.2g} % of the values that reach {use.layer!r}"
            cause, code = f"{what} are inf or NaN: look at the data and what runs before it.", ""
        elif own.form == "not finite":
            cause, code = f"{use.layer!r} holds weights that are inf or NaN.", redraw
        elif use.output.finite < 1:
            low = "float32" if use.output.second_moment != use.output.second_moment else "its type"
            cause = (
                f"The output of {use.layer!r} is the first that overflows {low}: fan_in · E[w²] is "
                f"{own.gain2:.3g}, and its input has the second moment {x.second_moment:.3g}."
                if x is not None
                else f"The output of {use.layer!r} is not finite."
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
