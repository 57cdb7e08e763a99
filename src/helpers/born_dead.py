"""Networks that are dead before training begins: how likely, and which of many drawn ones.

A ReLU network is born dead if some hidden layer is off, all its units zero, for every input of the
domain: then the output is a constant and no weight has a gradient. Layer l = 1 … L computes
s = x w + b, with a ReLU behind every layer but the last; ``hidden`` are the widths n_1 … n_{L−1} of
the layers with a ReLU, for the linear output layer cannot die.

Sources: Lu et al. 2020 (1903.06733), section 3, for the question and the chance at a given input;
the bounds are derived in the book's chapter "Dead on arrival".
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from helpers import checks, initializers

#: (weights, biases) of every layer, of many networks at once: what `draw` returns.
Layers = list[tuple[Tensor, Tensor]]


class Bounds(NamedTuple):
    """Between these lies the chance that a network is born dead."""

    low: float
    high: float


def given_input(hidden: Sequence[int]) -> float:
    """Return the chance that some hidden layer is off at one given input, 1 − ∏(1 − 2^{−n_l}).

    Exact if weights (and biases, if there are any) are independent, continuous and symmetric about
    zero, and the input is not zero. Raises ValueError for no width and for one below 1.
    """
    widths = _widths(hidden)
    # By logarithms: at a hundred units the product itself would round to 1.
    return -math.expm1(sum(math.log1p(-(0.5**n)) for n in widths))


def whole_domain(hidden: Sequence[int], inputs: int = 2) -> Bounds:
    """Bound the chance of being born dead on a ball around zero, without biases.

    For weights that are independent, continuous and symmetric. ``inputs`` is the dimension n_0.
    High, in any dimension: the inputs x and −x share their fate, except that the first layer cannot
    lose both. Low, for one input: their fates are independent; for more: some layer behind the
    first has no positive weight. Raises ValueError as `given_input` does.
    """
    first, *later = _widths(hidden)
    if not later:
        return Bounds(0.0, 0.0)
    high = given_input(later)
    if checks.count("inputs", inputs) == 1:
        one_sided = 2.0 * 0.5**first
        return Bounds(one_sided * high + (1 - one_sided) * high**2, high)
    pairs = zip([first, *later], later)
    return Bounds(given_input([before * width for before, width in pairs]), high)


def width_needed(layers: int, chance: float) -> int:
    """Return the least width at which ``layers`` hidden layers of it keep `given_input` ≤ chance.

    About log2(layers/chance). Raises ValueError for no layer and for a chance outside (0, 1).
    """
    layers = checks.count("layers", layers)
    if not 0 < checks.positive("chance", chance) < 1:
        raise ValueError(f"chance is {chance!r}; expected a number between 0 and 1, such as 0.01.")
    width = 1
    while given_input([width] * layers) > chance:
        width += 1
    return width


def draw(
    widths: Sequence[int],
    scheme: str | initializers.Scheme,
    networks: int,
    *,
    generator: torch.Generator,
    **options,
) -> Layers:
    """Draw many networks at once; return (weights, biases) of every layer.

    ``widths`` are n_0 … n_L; weights have shape (networks, n_l, n_{l−1}), biases (networks, n_l),
    in float64. ``options`` go to `initializers.initialize`, as do its errors. The units of a layer
    must be drawn independently: ValueError for an orthogonal scheme, whose rows are not.
    """
    networks = checks.count("networks", networks)
    pairs = list(zip(_widths(widths), widths[1:]))
    # The fan_in of a unit does not depend on how many units there are: one tall layer holds all.
    tall = nn.ModuleList(
        nn.utils.skip_init(nn.Linear, n_in, networks * n_out, dtype=torch.float64)
        for n_in, n_out in pairs
    )
    chosen = scheme if isinstance(scheme, initializers.Scheme) else initializers.SCHEMES.get(scheme)
    if chosen and (chosen.distribution == "orthogonal" or chosen.fan not in ("fan_in", None)):
        raise ValueError(
            f"The scheme '{chosen.summary}' depends on how many units a layer has; draw those "
            "networks one by one, or take a scheme that counts fan_in only, such as 'he'."
        )
    initializers.initialize(tall, scheme, generator=generator, **options)
    return [
        (
            layer.weight.detach().view(networks, n_out, n_in),
            layer.bias.detach().view(networks, n_out),
        )
        for layer, (n_in, n_out) in zip(tall, pairs)
    ]


def layer_of_death(hidden: Layers, inputs: Tensor) -> Tensor:
    """Return the first layer, from 1, of each network that is off for all inputs; 0 if none is.

    ``hidden`` is what `draw` returned, without the output layer; ``inputs`` has shape (examples,
    n_0). The domain is what the inputs say it is: without biases 1 and −1 stand for all of n_0 = 1,
    elsewhere a grid misses what happens between its points, and the count is a little high.
    """
    x = inputs.expand(len(hidden[0][0]), *inputs.shape)
    died = torch.zeros(len(x), dtype=torch.int64)
    for number, (weight, bias) in enumerate(hidden, start=1):
        x = torch.relu(torch.baddbmm(bias[:, None], x, weight.mT))
        off = (x == 0).flatten(1).all(1)
        died[off & (died == 0)] = number
    return died


def _widths(widths: Sequence[int]) -> list[int]:
    widths = [checks.count("width", width) for width in widths]
    if not widths:
        raise ValueError("No widths; expected one for every layer, such as [2, 2, 2].")
    return widths
