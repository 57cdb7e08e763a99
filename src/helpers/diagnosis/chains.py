"""Faults of a chain: a scheme that does not fit its activations, so that signals and gradients
vanish or explode layer by layer."""

import math
from collections import Counter

from helpers.diagnosis import expecting, remedies
from helpers.diagnosis.findings import Analysis, Finding, listed, names
from helpers.diagnosis.recording import Use

#: Second moments that change by more than this along a chain, forward and backward taken together,
#: are a fault; from its power 2/3 on, a note.
CHAIN = 1e3
_STEP = math.log(1.2)  # a layer that does less than this is not named
_LOUD = 4.0  # of fan_in · E[w²] in the first layer, whose input is the data


def chains(analysis: Analysis) -> list[Finding]:
    """Chains along which the signal or the gradient changes by orders of magnitude."""
    found = []
    starts = [u for u in analysis.uses if u not in analysis.next.values()]
    for start in starts:
        use, links = start, []
        while (then := analysis.next[use]) is not None:
            links.append((use, then, *factors(analysis, use, then)))
            use = then
        if analysis.after[use].normalizer:
            continue
        total = sum((math.log(f) + math.log(b)) / 2 for _, _, f, b in links)
        if abs(total) < math.log(CHAIN) * 2 / 3:
            continue
        sign = 1 if total > 0 else -1
        if sign < 0 and (analysis.after[use].additions or analysis.after[use].product):
            continue  # a branch or a gate that starts small does no harm
        guilty = [then for _, then, f, b in links if sign * math.log(f * b) / 2 > _STEP]
        if not guilty:
            continue
        found.append(_chain(analysis, links, guilty, math.exp(total)))
    return found


def factors(analysis: Analysis, use: Use, then: Use) -> tuple[float, float]:
    """By how much second moments change from one pre-activation to the next, and gradients back.

    1 where something else is named as the cause: weights that are no draw, sigmoids, activations
    that have leveled off. The last layer has as many outputs as there are classes; the gradient is
    counted as if it had fan_in of them.
    """
    own, name, q = analysis.weights[then], analysis.activation[use], use.output.second_moment
    fixed = ("zeros", "constant", "not finite")
    if own.form in fixed or name in ("sigmoid", "hardsigmoid") or own.variance == 0:
        return 1.0, 1.0
    named = then.layer in analysis.explained | analysis.chosen
    if named or not analysis.open(use) or analysis.leveled(use):
        return 1.0, 1.0
    if not math.isfinite(q) or q <= 0:
        q = 1.0
    value, slope = expecting.through(name, q)
    if not (value > 0 and slope > 0):
        return 1.0, 1.0
    fan_out = own.fan_in if analysis.last(then) else own.fan_out
    return own.gain2 * value / q, fan_out * own.variance * slope


def _chain(analysis: Analysis, links, guilty: list[Use], total: float) -> Finding:
    grows = total > 1
    activations = Counter(analysis.activation[u] for u, *_ in links)
    activation = activations.most_common(1)[0][0]
    gains = sorted(analysis.weights[u].gain2 for u in guilty)
    schemes = Counter(analysis.weights[u].scheme for u in guilty)
    scheme, count = schemes.most_common(1)[0]
    first, last = links[0][0], links[-1][1]
    everyone = [first, *(then for _, then, *_ in links)]
    if grows and analysis.weights[first].gain2 > _LOUD:
        guilty = [first, *guilty]
    layers = names(guilty)
    wanted = 1 / expecting.through(activation, 1.0)[0] if activation else 1.0
    big = not 1 / CHAIN < total < CHAIN
    mild = ("grow", "growing") if grows else ("shrink", "shrinking")
    strong = ("explode", "exploding") if grows else ("vanish", "vanishing")
    what, kind = strong if big else mild
    behind = f"behind {activation}" if activation else "without an activation between"
    drawn = f"Most are {scheme}. " if count > len(guilty) / 2 and "σ" not in scheme else ""
    cause = (
        f"Along {len(links) + 1} layers, {first.layer!r} to {last.layer!r}, signals and gradients "
        f"{what}: the weights of {listed(layers)} have fan_in · E[w²] = "
        f"{gains[len(gains) // 2]:.3g} (the median), where about {wanted:.2g} keeps the size "
        f"{behind}. {drawn}Second moments, of signal and gradient taken together, change by a "
        f"factor {total:.1e} along the chain."
    )
    overflow = [u for u in analysis.uses if u.output.finite < 1]
    evidence = {
        "factor along the chain": total,
        "layers": float(len(links) + 1),
        "fan_in · E[w²], median": gains[len(gains) // 2],
        "second moment at the first layer": first.output.second_moment,
        "second moment at the last layer": last.output.second_moment,
        "gradient's second moment at the first layer": first.backward,
        "gradient's second moment at the last layer": last.backward,
    }
    if overflow and grows:
        cause += f" At {overflow[0].layer!r} the first value overflows."
        analysis.block(overflow[0])
    if big:
        analysis.explained |= set(layers if not grows else names(everyone))
    return Finding(
        kind,
        layers,
        cause,
        evidence,
        remedies.draw(analysis, everyone, activation),
        "fault" if big else "note",
    )
