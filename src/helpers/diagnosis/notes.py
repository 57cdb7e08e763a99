"""What is worth knowing and no fault, and gradients that vanish or explode for no other reason."""

import math

from helpers.diagnosis import remedies, weights
from helpers.diagnosis.findings import Analysis, Finding, listed, names

#: Gradients' second moments that differ by more than this from one end to the other.
FAR = 1e8


def inputs(analysis: Analysis) -> list[Finding]:
    """An input that is far from standardized."""
    for stats in analysis.record.inputs[:1]:
        q = stats.second_moment
        if math.isfinite(q) and not 0.2 < q < 5:
            return [
                Finding(
                    "input",
                    (),
                    f"The input has the second moment {q:.3g} and the mean {stats.mean:.3g}; every "
                    "scheme is made for about 1. Standardize it: subtract the mean, divide by the "
                    "standard deviation.",
                    {"second moment": q, "mean": stats.mean},
                    severity="note",
                )
            ]
    return []


def depthwise(analysis: Analysis) -> list[Finding]:
    """Grouped convolutions drawn by a fan_out that does not count their groups."""
    grouped = [u for u in analysis.once() if getattr(u.module, "groups", 1) > 3]
    uses = [u for u in grouped if weights.counts_no_groups(u, analysis.weights[u])]
    if len(uses) < 0.8 * len(grouped):
        return []  # one σ for all meets that rule here and there
    found = []
    for normalized in (True, False):
        some = [u for u in uses if analysis.after[u].normalizer == normalized]
        if not some:
            continue
        layers = names(some)
        gains = [analysis.weights[u].gain2 for u in some]
        saved = "A normalizer follows and makes up for it." if normalized else ""
        found.append(
            Finding(
                "depthwise",
                layers,
                f"{listed(layers)} are grouped convolutions drawn by fan_out as PyTorch counts it, "
                f"which does not divide by the groups: fan_in · E[w²] is {min(gains):.2g} to "
                f"{max(gains):.2g} instead of about 2. {saved}",
                {"fan_in · E[w²], smallest": min(gains), "layers": float(len(some))},
                remedies.draw(analysis, some, "relu"),
                "note" if normalized else "fault",
            )
        )
        if not normalized:
            analysis.explained |= set(layers)
    return found


def gradients(analysis: Analysis) -> list[Finding]:
    """Gradients that change by orders of magnitude where the weights do not say why."""
    seen = [u for u in analysis.uses if math.isfinite(u.backward) and u.backward > 0]
    if len(seen) < 2 or analysis.explained or analysis.blocked < len(analysis.uses):
        return []
    first, last = seen[0], seen[-1]
    ratio = first.backward / last.backward
    if 1 / FAR < ratio < FAR:
        return []
    grows = ratio > 1
    normalized = any(analysis.after[u].normalizer for u in seen)
    why = "In a deep network with batch norm and without shortcuts that is so at any scale of the "
    why = why + "weights; shortcuts end it." if normalized else "Look at what stands between them."
    return [
        Finding(
            "exploding gradient" if grows else "vanishing gradient",
            names([first, last]),
            f"From {last.layer!r} back to {first.layer!r} the gradient's second moment "
            f"{'grows' if grows else 'falls'} by a factor {ratio if grows else 1 / ratio:.1e}, "
            f"while no layer's weights alone explain it. {why}",
            {"factor": ratio, "first": first.backward, "last": last.backward},
        )
    ]


def collapsed(analysis: Analysis) -> list[Finding]:
    """All examples give one output."""
    heads = [analysis.weights[u].form == "zeros" for u in analysis.uses if analysis.last(u)]
    if not analysis.record.collapsed or any(heads):
        return []
    return [
        Finding(
            "collapsed",
            (),
            "All examples of the batch give the same output but for rounding: what tells them "
            "apart is lost on the way.",
            severity="note",
        )
    ]


def unreached(analysis: Analysis) -> list[Finding]:
    """Layers that this batch does not reach."""
    layers = tuple(name for name, _ in analysis.record.unreached)
    if not layers:
        return []
    return [
        Finding(
            "not reached",
            layers,
            f"This batch does not reach {listed(layers)}; nothing is said of them.",
            {"layers": float(len(layers))},
            severity="note",
        )
    ]
