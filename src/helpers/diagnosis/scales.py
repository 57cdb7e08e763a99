"""The fault of scale: one layer that falls out of its network's scheme."""

import math

from helpers.diagnosis import remedies, schemes, weights
from helpers.diagnosis.findings import Analysis, Finding
from helpers.diagnosis.recording import Use
from helpers.initializers import LAYERS, SCHEMES

#: A variance off by more than this falls out of the scheme: twice in σ.
OUT = 4.0
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


def outliers(analysis: Analysis) -> list[Finding]:
    """One layer whose σ is off by a factor against what the others follow."""
    uses = candidates(analysis)
    rule = schemes.common([analysis.weights[use] for use in uses])
    if rule is None:
        return []
    off = {use: analysis.weights[use].ratio(rule) for use in uses}
    beyond = [use for use, ratio in off.items() if not 1 / OUT < ratio < OUT]
    found = []
    for use in beyond:
        large, factor = off[use] > 1, math.sqrt(off[use])
        if not large and analysis.in_branch(use):
            continue  # a branch that starts small is a choice that works
        if _deliberate(analysis, use, uses, rule) or _shared(analysis, use, beyond):
            continue
        times = f"{factor:.3g} times" if large else f"1/{1 / factor:.3g} of"
        words = f"{times} what the other layers' scheme asks for, {schemes.title(rule)}"
        if not large and analysis.last(use):
            found.append(_head(use, words, factor))
            analysis.chosen.add(use.layer)
            continue
        key = schemes.STANDING_FOR.get(rule, rule)
        if key in SCHEMES and analysis.weights[use].form != "orthogonal":
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
        quiet = quiet or analysis.leveled(use)  # and so its output is not as large
        if not quiet and moment > LARGE * max(1.0, use.input.second_moment):
            activation = analysis.activation[use] or _before(analysis, use)
            words = f"{math.sqrt(own.gain2):.2g} times 1/√fan_in"
            code = remedies.draw(analysis, [use], activation)
            found.append(_one(analysis, use, own.gain2, words, code))
    return found


def _head(use: Use, words: str, factor: float) -> Finding:
    return Finding(
        "small head",
        (use.layer,),
        f"The standard deviation of the weights of {use.layer!r}, the last layer, is {words}. That "
        "is a known choice: all classes score nearly alike at first, and the gradients that reach "
        "the layers before are as much smaller.",
        {"factor": factor},
        severity="note",
    )


def _one(analysis: Analysis, use: Use, ratio: float, words: str, code: str) -> Finding:
    own = analysis.weights[use]
    analysis.explained.add(use.layer)
    effect, size = ("multiplied", ratio) if ratio > 1 else ("divided", 1 / ratio)
    effect += f" by about {size:.2g}"
    if analysis.leveled(use):
        stats, name = analysis.signal(use), analysis.activation[use]
        effect = (
            f"the second moment of its output is {effect}, and the {name} levels off: "
            f"{100 * stats.saturated:.0f} % of its values are at a bound, where no gradient passes."
        )
    else:
        effect = (
            f"every signal from there on, and every gradient before it, is {effect} in its second "
            "moment."
        )
    return Finding(
        "scale",
        (use.layer,),
        f"The standard deviation of the weights of {use.layer!r} is {words}. Nothing behind it "
        f"normalizes, so {effect}",
        {
            "standard deviation": math.sqrt(own.variance),
            "factor": math.sqrt(ratio),
            "fan_in · E[w²]": own.gain2,
            "second moment of the output": use.output.second_moment,
        },
        code,
    )


def _deliberate(analysis: Analysis, use: Use, uses: list[Use], rule: str) -> bool:
    """Whether the layer follows a common scheme, or one that another layer shows to be in use.

    Glorot's variance in a layer that widens much is small enough to be a slip of another scheme.
    """
    own = analysis.weights[use]
    common = ["pytorch", "lecun", "lecun-uniform", "he", "he-uniform"]
    common += ["glorot", "glorot-uniform"] if own.ratio(rule) > 1 else []
    others = [analysis.weights[u].rules for u in uses if u is not use]
    shown = {key for rules in others if rule not in rules for key in rules}
    drawn = [key for key in own.rules if schemes.RULES[key].distribution == own.form]
    return any(key in common or key in shown for key in drawn)


def _shared(analysis: Analysis, use: Use, beyond: list[Use]) -> bool:
    """Whether another outlier of another shape has the same σ: then σ was set by hand."""
    own = analysis.weights[use]
    for other in beyond:
        theirs = analysis.weights[other]
        if other is not use and (own.fan_in, own.fan_out) != (theirs.fan_in, theirs.fan_out):
            if own.close(theirs):
                return True
    return False


def _before(analysis: Analysis, use: Use) -> str | None:
    """The activation that a last layer's input went through."""
    for other, then in analysis.next.items():
        if then is use:
            return analysis.activation[other]
    return None
