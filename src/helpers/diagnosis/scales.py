"""Faults of scale: one layer that falls out of its network's scheme, and a chain whose scheme does
not fit its activations, so that signal or gradient vanishes or explodes."""

import math
from collections import Counter

from helpers.diagnosis import expecting, moments, remedies, weights
from helpers.diagnosis.activations import SATURATED
from helpers.diagnosis.findings import Analysis, Finding, listed, names
from helpers.diagnosis.watching import Use
from helpers.initializers import LAYERS, SCHEMES

OUT = 4.0  # a variance off by more than this falls out of the scheme: twice in σ
#: Second moments that change by more than this along a chain, forward and backward taken together,
#: are a fault; by the square root's cube, a note.
CHAIN = 1e3
#: Weights so large that no scheme asks for them: fan_in · E[w²].
LARGE = 25.0


def candidates(analysis: Analysis) -> list[Use]:
    """Layers whose scale comes through: no normalizer takes it away before the next one."""
    return [
        use
        for use in analysis.once()
        if isinstance(use.module, LAYERS)
        and not analysis.normalized(use)
        and analysis.weights[use].form not in ("zeros", "constant", "identity", "not finite")
        and not weights.counts_no_groups(use, analysis.weights[use])
    ]


def common_rule(analysis: Analysis, uses: list[Use]) -> str | None:
    """The rule that most layers follow; None if few do, or if one σ for all says more."""
    fits: Counter = Counter()
    for use in uses:
        fits.update(analysis.weights[use].rules)
    if not fits:
        return None
    most = max(fits.values())
    if most < max(1, len(uses) / 2):
        return None
    same = 0
    for use in uses:
        own = analysis.weights[use]
        close = [
            other
            for other in (analysis.weights[v] for v in uses)
            if abs(math.log(other.variance / own.variance)) < 4 * (own.error + other.error)
        ]
        same = max(same, len(close))
    if same > most:
        return None

    def misfit(rule: str) -> tuple[bool, float]:
        apart = [
            (math.log(w.ratio(rule)) / w.error) ** 2
            for w in (analysis.weights[u] for u in uses)
            if rule in w.rules
        ]
        return (rule not in SCHEMES, sum(apart))

    best = [rule for rule, count in fits.items() if count == most]
    return min(best, key=misfit)


def outliers(analysis: Analysis) -> list[Finding]:
    """One layer whose σ is off by a factor against what the others follow."""
    uses = candidates(analysis)
    rule = common_rule(analysis, uses)
    if rule is None:
        return []
    off = {use: analysis.weights[use].ratio(rule) for use in uses}
    beyond = [use for use, ratio in off.items() if not 1 / OUT < ratio < OUT]
    found = []
    for use in beyond:
        large = off[use] > 1
        if not large and (analysis.last(use) or analysis.in_branch(use)):
            continue  # a head or a branch that starts small is a choice that works
        if _deliberate(analysis, use, uses, large) or _shared(analysis, use, beyond):
            continue
        factor = math.sqrt(off[use])
        times = f"{factor:.2g} times" if large else f"1/{1 / factor:.2g} of"
        words = f"{times} what the other layers' scheme asks for, {_title(rule)}"
        key = RULE_KEYS.get(rule, rule)
        if key in SCHEMES:
            code = remedies.draw(analysis, [use], None, scheme=f'"{key}"')
        else:
            code = remedies.rescale(analysis, use.layer, 1 / factor)
        found.append(_one(analysis, use, off[use], words, code))
    return found


def loud(analysis: Analysis) -> list[Finding]:
    """Layers with weights larger than any scheme asks for, and an output to match."""
    found = []
    for use in candidates(analysis):
        own, moment = analysis.weights[use], use.output.second_moment
        quiet = own.gain2 < LARGE or own.rules or use.layer in analysis.explained
        if not quiet and moment > LARGE * max(1.0, use.input.second_moment):
            activation = analysis.activation[use] or _before(analysis, use)
            words = f"{math.sqrt(own.gain2):.2g} times 1/√fan_in"
            code = remedies.draw(analysis, [use], activation)
            found.append(_one(analysis, use, own.gain2, words, code))
    return found


def _one(analysis: Analysis, use: Use, ratio: float, words: str, code: str) -> Finding:
    own = analysis.weights[use]
    analysis.explained.add(use.layer)
    effect, size = ("multiplied", ratio) if ratio > 1 else ("divided", 1 / ratio)
    return Finding(
        "scale",
        (use.layer,),
        f"The standard deviation of the weights of {use.layer} is {words}. Nothing behind it "
        "normalizes, so every signal from there on, and every gradient before it, is "
        f"{effect} by about {size:.2g} in its second moment.",
        {
            "standard deviation": math.sqrt(own.variance),
            "factor": math.sqrt(ratio),
            "fan_in · E[w²]": own.gain2,
            "second moment of the output": use.output.second_moment,
        },
        code,
    )


#: Rules that one key of `SCHEMES` stands for when weights are to be drawn again.
RULE_KEYS = {"keras": "glorot-uniform", "selu": "lecun", "article-he": "he"}


def _title(rule: str) -> str:
    scheme = weights.RULES[rule]
    gain2 = scheme.gain**2
    fan = {
        "fan_in": "fan_in",
        "fan_out": "fan_out",
        "arithmetic": "the mean of fan_in and fan_out",
        "geometric": "√(fan_in · fan_out)",
    }[scheme.fan]
    return f"variance {gain2:.3g}/{fan}"


def _deliberate(analysis: Analysis, use: Use, uses: list[Use], large: bool) -> bool:
    """Whether the layer follows a common scheme, or one that half of the layers fit.

    Glorot's variance in a layer that widens much is small enough to be a slip of another scheme.
    """
    own = analysis.weights[use].rules
    common = ["pytorch", "lecun", "lecun-uniform", "he", "he-uniform"]
    common += ["glorot", "glorot-uniform"] if large else []
    half = [r for r in own if sum(r in analysis.weights[u].rules for u in uses) >= len(uses) / 2]
    return bool(half) or any(rule in own for rule in common)


def _shared(analysis: Analysis, use: Use, beyond: list[Use]) -> bool:
    """Whether another outlier of another shape has the same σ: then σ was set by hand."""
    own = analysis.weights[use]
    for other in beyond:
        theirs = analysis.weights[other]
        if other is not use and (own.fan_in, own.fan_out) != (theirs.fan_in, theirs.fan_out):
            if abs(math.log(own.variance / theirs.variance)) < 4 * (own.error + theirs.error):
                return True
    return False


def _before(analysis: Analysis, use: Use) -> str | None:
    """The activation that a last layer's input went through."""
    for other, then in analysis.next.items():
        if then is use:
            return analysis.activation[other]
    return None


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
        guilty = [
            then
            for _, then, f, b in links
            if sign * (math.log(f) + math.log(b)) / 2 > math.log(1.2)
        ]
        if not guilty:
            continue
        found.append(_chain(analysis, links, guilty, math.exp(total)))
    return found


def factors(analysis: Analysis, use: Use, then: Use) -> tuple[float, float]:
    """By how much second moments change from one pre-activation to the next, and gradients back.

    1 where something else is named as the cause: weights that are no draw, sigmoids, activations
    that have leveled off. The last layer has as many outputs as there are classes; the gradient is counted as if it had fan_in.
    """
    own, name, q = analysis.weights[then], analysis.activation[use], use.output.second_moment
    fixed = ("zeros", "constant", "not finite")
    if own.form in fixed or name in ("sigmoid", "hardsigmoid") or own.variance == 0:
        return 1.0, 1.0
    stats = analysis.signal(use)
    leveled = name in moments.BOUNDS and stats is not None and stats.saturated > SATURATED
    if then.layer in analysis.explained or not analysis.open(use) or leveled:
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
    if grows and analysis.weights[first].gain2 > OUT:
        guilty = [first, *guilty]
    layers = names(guilty)
    wanted = 1 / expecting.through(activation, 1.0)[0] if activation else 1.0
    what = "explode" if grows else "vanish"
    per = "grow" if grows else "shrink"
    behind = f"behind {activation}" if activation else "without an activation between"
    drawn = f"Most are {scheme}. " if count > len(guilty) / 2 and "σ" not in scheme else ""
    cause = (
        f"Along {len(links) + 1} layers, {first.layer} to {last.layer}, signals and gradients "
        f"{what}: {listed(layers)} have fan_in · E[w²] = {gains[len(gains) // 2]:.3g} in the "
        f"middle, and {behind} about {wanted:.2g} would keep the size. {drawn}Layer by layer "
        f"second moments {per}; together they change by a factor {total:.1e}."
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
        cause += f" At {overflow[0].layer} the first value overflows."
        analysis.block(overflow[0])
    big = not 1 / CHAIN < total < CHAIN
    if big:
        analysis.explained |= set(layers if not grows else names(everyone))
    return Finding(
        "exploding" if grows else "vanishing",
        layers,
        cause,
        evidence,
        remedies.draw(analysis, everyone, activation),
        "fault" if big else "note",
    )
