"""What should flow through layers that are normalized over a batch, forward and backward.

Layer l = 1 … L computes s_l = x_{l−1} w_l, then ŝ_l = (s_l − m)/√(v + ε) with the mean m and the
variance v of each unit over the batch, then x_l = φ(ŝ_l). Scales and shifts are at their start,
1 and 0. Weights are independent with mean zero and layers are wide, so that s is Gaussian.

Sources: Ioffe & Szegedy 2015 (1502.03167) for the layer; Yang et al. 2019 (1902.08129) for what a
batch of B examples does to gradients.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from helpers import checks
from helpers.activations import Elementwise, derivative, expectation, second_moments, square

#: What PyTorch adds to a variance before it divides by its root.
EPSILON = 1e-5


class Layers(NamedTuple):
    """By layer, 1 … L along the first axis: v over the batch, E[ŝ²] and E[x²]."""

    variance: np.ndarray
    normalized: np.ndarray
    activation: np.ndarray


def forward(
    widths: Sequence[int],
    weight_variance: ArrayLike,
    activation: Elementwise,
    *,
    input_variance: float,
    eps: float = EPSILON,
) -> Layers:
    """Return v_l = n_{l−1}·Var(w)·Var(x_{l−1}), E[ŝ_l²] = v_l/(v_l + ε) and E[x_l²].

    ``widths`` are n_0 … n_L, and every one of the L layers is normalized. Var(x) is a unit's
    variance over the examples, for the input ``input_variance`` (the mean over its components);
    behind a layer it is Var φ(√E[ŝ²] z), z ~ N(0, 1). ``weight_variance`` may be an array (a grid
    of σ), which adds an axis. For batches so large that v is the same in every unit. Raises
    ValueError for fewer than two widths and for a variance or ε that is negative or not finite.
    """
    widths = _widths(widths)
    weight_variance = second_moments("weight_variance", weight_variance)
    eps = checks.nonnegative("eps", eps)
    spread, layers = checks.nonnegative("input_variance", input_variance), []
    for fan_in in widths[:-1]:
        v = fan_in * weight_variance * spread
        normalized = np.divide(v, v + eps, out=np.zeros_like(v), where=v > 0)
        x2 = expectation(square(activation), normalized)
        spread = x2 - np.square(expectation(activation, normalized))
        layers.append((v, normalized, x2))
    return Layers(*(np.stack(values) for values in zip(*layers)))


def backward(
    widths: Sequence[int],
    weight_variance: ArrayLike,
    activation: Elementwise,
    layers: Layers,
    *,
    eps: float = EPSILON,
) -> np.ndarray:
    """Return E[(∂L/∂x_l)²] for l = 1 … L, where it is 1 at x_L; for large batches, as `forward`.

    E[(∂L/∂x_{l−1})²] = n_l·Var(w)·E[φ′(ŝ_l)²]/(v_l + ε)·E[(∂L/∂x_l)²]: the weights multiply by
    their standard deviation and the normalization divides it out again. The gradient of the
    output must not depend on the weights, nor be the same for all examples.
    """
    widths = _widths(widths)
    weight_variance = second_moments("weight_variance", weight_variance)
    gradient = np.ones(np.shape(layers.variance)[1:])
    found = [gradient]
    for fan_out, v, normalized in reversed(
        list(zip(widths[2:], layers.variance[1:], layers.normalized[1:]))
    ):
        slope = expectation(square(derivative(activation)), normalized)
        gradient = gradient * fan_out * weight_variance * slope / (v + eps)
        found.append(gradient)
    return np.stack(found[::-1])


def growth_limit(activation: Elementwise) -> float:
    """Return E[φ′(z)²]/Var φ(z), z ~ N(0, 1): the gradient's second moment per layer, B → ∞.

    1 for a linear layer, above 1 for all others; π/(π − 1) ≈ 1.467 for ReLU. Raises ValueError for
    an activation that is constant.
    """
    mean, second = (float(expectation(f, 1.0)) for f in (activation, square(activation)))
    slope = float(expectation(square(derivative(activation)), 1.0))
    return slope / checks.positive("Var φ(z) of the activation", second - mean**2)


def batch_growth(batch: int, negative_slope: float = 0.0) -> float:
    """Return the gradient's second moment per layer, deep in a wide network, for batches of B.

    For φ(s) = s above zero and ``negative_slope``·s below: 0 is ReLU, 1 is linear. Deep in the
    network the B values of a unit are a random point on a sphere around zero, of radius √B, among
    the vectors whose B entries have mean zero. There two examples have correlation ρ = −1/(B − 1),
    and with q = E[φ²], r = E[φ_a φ_b] and r′ = dr/dρ = E[φ′_a φ′_b] the factor is

        (q·(B − 2) + r + r′) / ((B − 3)·(q − r))    (compare Yang et al. 2019)

    inf for B = 3, where 1/v has no mean, and 0 for B = 2, where ŝ is ±1 whatever the weights are.
    ε is taken as 0. Raises ValueError for a batch of less than 2.
    """
    size = checks.count("batch", batch)
    if size < 2:
        raise ValueError(f"batch is {batch}; expected 2 or more: one example has no variance.")
    if size <= 3:
        return 0.0 if size == 2 else math.inf
    rho, a = -1 / (size - 1), float(negative_slope)
    even, odd = ((1 - a) / 2) ** 2, ((1 + a) / 2) ** 2  # φ = (1+a)/2·s + (1−a)/2·|s|
    q = odd + even
    r = odd * rho + even * 2 / math.pi * (math.sqrt(1 - rho**2) + rho * math.asin(rho))
    slopes = odd + even * 2 / math.pi * math.asin(rho)
    return (q * (size - 2) + r + slopes) / ((size - 3) * (q - r))


def group_growth(size: int) -> float:
    """Return the same factor where ``size`` units of one example are normalized together.

    (g − 2)/(g − 3), for ReLU and for linear layers: layer normalization (g is the width) and group
    normalization of vectors. Nothing is subtracted that examples have in common, so the wide
    limit is 1. 0 and inf for g = 2 and 3. Raises ValueError for a group of less than 2.
    """
    return batch_growth(size, negative_slope=1.0)


def _widths(widths: Sequence[int]) -> list[int]:
    widths = [checks.count("width", width) for width in widths]
    if len(widths) < 2:
        raise ValueError(f"widths is {widths}; expected two sizes or more, input and output.")
    return widths
