"""The schemes that weights are compared with: the variance that each asks for, and its name."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from helpers.activations import gain
from helpers.initializers import FANS, SCHEMES, Scheme

if TYPE_CHECKING:
    from helpers.diagnosis.weights import Weights

#: More rules than the book's schemes: a gain is all that they differ in.
RULES: dict[str, Scheme] = {
    key: scheme
    for key, scheme in SCHEMES.items()
    if scheme.fan is not None and scheme.gain and key not in ("rai", "orthogonal", "article-he")
} | {
    "glorot × 5/3": Scheme("Glorot with PyTorch's gain for tanh", "arithmetic", gain=5 / 3),
    "glorot × √2": Scheme("Glorot with the gain for ReLU", "arithmetic", gain=math.sqrt(2)),
    "tanh": Scheme("variance 2.54/fan_in, tanh's own gain", gain=gain("tanh")),
    "gelu": Scheme("variance 2.35/fan_in, GELU's own gain", gain=gain("gelu")),
    "silu": Scheme("variance 2.81/fan_in, SiLU's own gain", gain=gain("silu")),
    "selu of torch.nn.init": Scheme("PyTorch's gain 3/4 for SELU", gain=0.75),
}
# What a rule is called, in the order in which they are told where several fit.
_LABELS = {
    "PyTorch's default": ("pytorch",),
    "He": ("he", "he-uniform", "he-truncated"),
    "He, fan_out": ("he-fan-out",),
    "Glorot": ("glorot", "glorot-uniform", "keras"),
    "LeCun": ("lecun", "lecun-uniform", "selu"),
}
#: Rules for whose variance another key of `helpers.initializers.SCHEMES` stands.
STANDING_FOR = {"keras": "glorot-uniform", "selu": "lecun"}


def asked(rule: str, fan_in: float, fan_out: float) -> float:
    """The variance that a rule asks for."""
    return RULES[rule].gain ** 2 / FANS[RULES[rule].fan](fan_in, fan_out)


def words(rules: Sequence[str], form: str, few: bool, square: bool) -> str:
    """The schemes that weights of this form fit, in words; "" where none of those with a name does.

    ``few`` weights do not tell their distribution; in a ``square`` layer the fans are equal.
    """
    fitting = [key for key in rules if RULES[key].distribution == form]
    labels = [label for label, keys in _LABELS.items() if any(key in fitting for key in keys)]
    if labels:
        same = " (fan_in = fan_out here)" if len(labels) > 1 and square else ""
        return f"{' or '.join(labels[:2])}{same}, {form}"
    labels = [label for label, keys in _LABELS.items() if any(key in rules for key in keys)]
    return f"like {' or '.join(labels[:2])}" if labels and few else ""


def title(rule: str) -> str:
    """The variance that a rule asks for, in words."""
    fan = {
        "fan_in": "fan_in",
        "fan_out": "fan_out",
        "arithmetic": "the mean of fan_in and fan_out",
        "geometric": "√(fan_in · fan_out)",
    }[RULES[rule].fan]
    return f"variance {RULES[rule].gain ** 2:.3g}/{fan}"


def common(layers: "Sequence[Weights]") -> str | None:
    """The rule that most layers follow; None if few do, or if one σ for all says more."""
    fits = Counter(rule for own in layers for rule in own.rules)
    most = max(fits.values(), default=0)
    if most < max(1, len(layers) / 2):
        return None
    if max(sum(own.close(other) for other in layers) for own in layers) > most:
        return None

    def misfit(rule: str) -> tuple[bool, float]:
        apart = [
            (math.log(own.ratio(rule)) / own.error) ** 2 for own in layers if rule in own.rules
        ]
        return rule not in SCHEMES, sum(apart)

    return min((rule for rule, count in fits.items() if count == most), key=misfit)
