"""The first weights: every scheme by name, as the variance that it asks for.

All schemes but the orthogonal one say the same thing: draw each weight independently with mean
zero and variance ``gain² / fan``. They differ in which fan they divide by, in the gain, and in
the distribution that they draw from. So a scheme is an entry in `SCHEMES`, not a function.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from helpers import checks
from helpers.activations import gain as gain  # schemes are named by it

#: Variance of a standard normal cut at two standard deviations, 1 - 4·pdf(2) / (cdf(2) - cdf(-2)).
TRUNCATED_VARIANCE = 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))

#: What a variance is divided by, by name, as a function of fan_in and fan_out.
FANS: dict[str, Callable[[float, float], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "arithmetic": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
    "geometric": lambda fan_in, fan_out: math.sqrt(fan_in * fan_out),
}
#: The distributions by name; ``truncated`` is a normal one, ``orthogonal`` a matrix as a whole.
DISTRIBUTIONS = ("normal", "uniform", "truncated", "orthogonal")
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
#: The layers that have first weights to draw.
LAYERS = (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED)


@dataclass(frozen=True)
class Scheme:
    """How first weights are drawn: mean zero, variance ``gain² / fan``.

    ``fan`` is a key of `FANS`, or None where the user gives the standard deviation sigma.
    ``distribution`` is one of `DISTRIBUTIONS`; a truncated normal is cut at two standard
    deviations and widened so that its variance is the one asked for. ``bias`` is ``"zeros"``,
    ``"uniform"`` (within ±1/√fan_in, as in PyTorch) or ``"asymmetric"`` (Lu et al. 2019).
    ``torch_counting`` counts fans from the weight's shape alone, as PyTorch does.
    """

    summary: str
    fan: str | None = "fan_in"
    gain: float = 1.0
    distribution: str = "normal"
    bias: str = "zeros"
    torch_counting: bool = False

    def __post_init__(self):
        if self.fan is not None:
            checks.known("fan", self.fan, FANS)
        checks.known("distribution", self.distribution, DISTRIBUTIONS)
        checks.known("bias rule", self.bias, ("zeros", "uniform", "asymmetric"))
        checks.nonnegative("gain", self.gain)


#: He's gain, for ReLUs.
SQRT2 = math.sqrt(2)
#: The schemes by name.
SCHEMES: dict[str, Scheme] = {
    "zeros": Scheme("every weight zero", gain=0.0),
    "normal": Scheme("normal with a standard deviation of your choice", fan=None),
    "uniform": Scheme(
        "uniform with a standard deviation of your choice", fan=None, distribution="uniform"
    ),
    "lecun": Scheme("variance 1/fan_in (LeCun et al. 1998)"),
    "lecun-uniform": Scheme("variance 1/fan_in, uniform", distribution="uniform"),
    "fan-out": Scheme("variance 1/fan_out: LeCun's rule for the backward pass", "fan_out"),
    "glorot": Scheme("variance 2/(fan_in + fan_out) (Glorot and Bengio 2010)", "arithmetic"),
    "glorot-uniform": Scheme("Glorot's variance, uniform", "arithmetic", distribution="uniform"),
    "geometric": Scheme("variance 1/√(fan_in · fan_out)", "geometric"),
    "he": Scheme("variance 2/fan_in (He et al. 2015)", gain=SQRT2),
    "he-fan-out": Scheme("variance 2/fan_out (He et al. 2015)", "fan_out", gain=SQRT2),
    "he-uniform": Scheme("variance 2/fan_in, uniform", gain=SQRT2, distribution="uniform"),
    "he-truncated": Scheme(
        "variance 2/fan_in, normal cut at two standard deviations",
        gain=SQRT2,
        distribution="truncated",
    ),
    "article-he": Scheme(
        "He as the article's scripts drew it: cut at two standard deviations and "
        "not widened, so that 0.774 of the variance is left",
        gain=math.sqrt(2 * TRUNCATED_VARIANCE),
        distribution="truncated",
    ),
    "orthogonal": Scheme(
        "a random orthogonal matrix (Saxe et al. 2013)", distribution="orthogonal"
    ),
    "selu": Scheme("variance 1/fan_in, the fixed point of SELU (Klambauer et al. 2017)"),
    "pytorch": Scheme(
        "PyTorch's default for linear and convolutional layers: weights and biases "
        "uniform within ±1/√fan_in",
        gain=1 / math.sqrt(3),
        distribution="uniform",
        bias="uniform",
        torch_counting=True,
    ),
    "keras": Scheme(
        "Keras's default: Glorot uniform, zero biases", "arithmetic", distribution="uniform"
    ),
    "rai": Scheme(
        "randomized asymmetric, against ReLUs born dead (Lu et al. 2019)",
        gain=0.6007,
        bias="asymmetric",
    ),
}


def fans(layer: nn.Module | Tensor) -> tuple[int, int]:
    """Count the inputs that feed one output, and the outputs that one input feeds.

    Of a linear or convolutional layer: (fan_in, fan_out), groups taken into account and borders
    and strides not. Of a bare weight tensor, shape ``(out, in, *kernel)``: what
    ``torch.nn.init`` counts, which knows neither groups nor transposed convolutions. Raises
    ValueError for a tensor of fewer than two dimensions.
    """
    weight = layer if isinstance(layer, Tensor) else layer.weight
    if weight.ndim < 2:
        raise ValueError(
            f"Fans of a tensor of shape {tuple(weight.shape)}: expected two dimensions or more, "
            "(out, in, *kernel). Set biases and normalization scales by hand."
        )
    receptive_field = math.prod(weight.shape[2:])
    groups = getattr(layer, "groups", 1)
    if isinstance(layer, _TRANSPOSED):
        return weight.shape[0] // groups * receptive_field, weight.shape[1] * receptive_field
    return weight.shape[1] * receptive_field, weight.shape[0] // groups * receptive_field


def variance(
    scheme: str | Scheme,
    fan_in: float,
    fan_out: float,
    *,
    sigma: float | None = None,
    gain: float | None = None,
) -> float:
    """Return the variance of one weight under a scheme.

    ``sigma``, the standard deviation itself, is for schemes without a fan and for them only;
    ``gain`` replaces the scheme's own. Raises ValueError for an unknown scheme, a fan that is not
    above zero, a sigma or gain that is not wanted or not a finite number above zero, and a sigma
    that is missing.
    """
    scheme = _scheme(scheme)
    for what, fan in (("fan_in", fan_in), ("fan_out", fan_out)):
        checks.positive(what, fan)
    if gain is not None and (scheme.fan is None or scheme.gain == 0):
        raise ValueError(
            f"gain is {gain!r}, but the scheme '{scheme.summary}' has none. "
            "Leave gain out, or take a scheme that divides by a fan, such as 'lecun'."
        )
    if scheme.fan is None:
        if sigma is None:
            raise ValueError(f"The scheme '{scheme.summary}' needs sigma, such as sigma=0.1.")
        return checks.positive("sigma", sigma) ** 2
    if sigma is not None:
        raise ValueError(
            f"sigma is {sigma!r}, but the scheme '{scheme.summary}' sets it from the fans. "
            "Leave sigma out, or take the scheme 'normal'."
        )
    gain = scheme.gain if gain is None else checks.positive("gain", gain)
    return gain**2 / FANS[scheme.fan](fan_in, fan_out)


def variances(scheme: str | Scheme, widths: list[int], **options) -> list[float]:
    """Return the variance of the weights between every two neighbors of ``widths``.

    ``options`` go to `variance`, as do its errors.
    """
    return [variance(scheme, *pair, **options) for pair in zip(widths, widths[1:])]


def initialize(
    network: nn.Module,
    scheme: str | Scheme,
    *,
    generator: torch.Generator,
    sigma: float | None = None,
    gain: float | None = None,
) -> nn.Module:
    """Draw the weights and biases of every linear and convolutional layer, in place.

    Layers are visited in the order in which the network holds them, so one generator state means
    one network. Other layers (normalization, embeddings, recurrent cells) stay as they are.
    Returns the network. Raises ValueError as `variance` does, and where there is nothing to draw.
    """
    scheme = _scheme(scheme)
    if not isinstance(generator, torch.Generator):
        raise ValueError(
            f"generator is {generator!r}; expected a torch.Generator, such as "
            "torch.Generator().manual_seed(0)."
        )
    layers = [module for module in network.modules() if isinstance(module, LAYERS)]
    if not layers:
        raise ValueError(
            f"{type(network).__name__} holds no linear or convolutional layer; nothing to draw."
        )
    # Every variance first: an error must not leave half a network drawn.
    counted = [fans(layer.weight if scheme.torch_counting else layer) for layer in layers]
    stds = [math.sqrt(variance(scheme, *pair, sigma=sigma, gain=gain)) for pair in counted]
    for depth, (layer, pair, std) in enumerate(zip(layers, counted, stds)):
        _draw_weight(layer.weight, scheme.distribution, std, gain or scheme.gain, generator)
        if scheme.bias == "asymmetric":
            _asymmetric(layer, depth, generator)
        elif layer.bias is not None:
            bound = 1 / math.sqrt(pair[0]) if scheme.bias == "uniform" else 0.0
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return network


def _scheme(scheme: str | Scheme) -> Scheme:
    return (
        scheme if isinstance(scheme, Scheme) else SCHEMES[checks.known("scheme", scheme, SCHEMES)]
    )


def _draw_weight(weight, distribution, std, gain, generator) -> None:
    if distribution == "orthogonal":
        nn.init.orthogonal_(weight, gain, generator=generator)
    elif std == 0:
        nn.init.zeros_(weight)
    elif distribution == "normal":
        nn.init.normal_(weight, 0.0, std, generator=generator)
    elif distribution == "uniform":
        bound = math.sqrt(3) * std
        nn.init.uniform_(weight, -bound, bound, generator=generator)
    else:
        cut = std / math.sqrt(TRUNCATED_VARIANCE)
        nn.init.trunc_normal_(weight, 0.0, cut, -2 * cut, 2 * cut, generator=generator)


@torch.no_grad()
def _asymmetric(layer: nn.Module, depth: int, generator: torch.Generator) -> None:
    """Lu et al. 2019, section 4: He in the first layer; in each later one, one entry of every
    unit's weights and bias, chosen at random, is drawn from Beta(2, 1) and so is positive."""
    if depth == 0:
        _draw_weight(layer.weight, "normal", math.sqrt(2 / fans(layer)[0]), SQRT2, generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        return
    if layer.bias is None or isinstance(layer, _TRANSPOSED):
        raise ValueError(
            f"The scheme 'rai' draws weights and biases together; {layer} has no bias of that "
            "kind. Give the layer one (bias=True), or take 'he'."
        )
    fan_in = fans(layer)[0]
    nn.init.normal_(layer.bias, 0.0, SCHEMES["rai"].gain / math.sqrt(fan_in), generator=generator)
    joint = torch.cat([layer.weight.flatten(1), layer.bias[:, None]], dim=1)
    chosen = torch.randint(fan_in + 1, (len(joint), 1), generator=generator)
    uniform = torch.rand(len(joint), 1, dtype=joint.dtype, generator=generator)
    joint.scatter_(1, chosen, uniform.sqrt())  # the square root of a uniform draw is Beta(2, 1)
    layer.weight.copy_(joint[:, :-1].view_as(layer.weight))
    layer.bias.copy_(joint[:, -1])
