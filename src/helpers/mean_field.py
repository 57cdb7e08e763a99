"""Mean field: what a wide random layer does to length and angle, applied again and again.

Weights and biases are independent Gaussians; σ_w² = fan_in·Var(w) and σ_b² = Var(b) are the same
in every layer. The length q is E[s²] of the pre-activations s, and c is the correlation between
those of two inputs, both of length q. An activation φ is a name in
`helpers.activations.ACTIVATIONS` or any elementwise callable. Everything is float64. Negative or
non-finite arguments raise ValueError.

Sources: Poole et al. 2016 (1606.05340); Schoenholz et al. 2017 (1611.01232).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from helpers import checks
from helpers.activations import (
    Elementwise,
    correlated_expectation,
    correlations,
    derivative,
    expectation,
    second_moments,
    square,
)


def length_map(
    activation: Elementwise, q: ArrayLike, sigma_w2: ArrayLike, sigma_b2: ArrayLike = 0.0
) -> float | np.ndarray:
    """Return the next layer's E[s²]: σ_w²·E[φ(√q z)²] + σ_b²."""
    sigma_w2, sigma_b2 = second_moments("sigma_w2", sigma_w2), second_moments("sigma_b2", sigma_b2)
    return sigma_w2 * expectation(square(activation), q) + sigma_b2


def slope(activation: Elementwise, q: ArrayLike, sigma_w2: ArrayLike) -> float | np.ndarray:
    """Return the derivative of `length_map` at q > 0: σ_w²·E[s·(φ²)′(s)]/2q, s = √q z.

    At a fixed point, deviations of the length shrink from layer to layer if it is below 1.
    """
    q, change = _above_zero(q), derivative(square(activation))
    return second_moments("sigma_w2", sigma_w2) * expectation(lambda s: s * change(s), q) / (2 * q)


def chi(activation: Elementwise, q: ArrayLike, sigma_w2: ArrayLike) -> float | np.ndarray:
    """Return χ₁ = σ_w²·E[φ′(√q z)²], the factor of gradients' second moments per square layer.

    q = 0 means the limit from above, so that ReLU has χ₁ = σ_w²/2 there too.
    """
    q = np.maximum(second_moments("q", q), np.finfo(np.float64).tiny)
    return second_moments("sigma_w2", sigma_w2) * expectation(square(derivative(activation)), q)


def fixed_point(
    activation: Elementwise, sigma_w2: float, sigma_b2: float = 0.0, *, start: float = 1.0
) -> float:
    """Return the q that `length_map`, applied again and again from q = ``start``, settles at.

    0.0 if it shrinks, inf if it grows, each by 2⁴⁰ without settling. ``start`` itself where the
    map keeps it, as a linear layer at σ_w² = 1 or ReLU at σ_w² = 2 keeps any q; but nan where
    ``start`` is kept and unstable (slope above 1: GELU, SiLU at their gain), for a real network
    drifts away from it. The map must grow with q, as it does for all in
    `helpers.activations.ACTIVATIONS`.
    """
    start = checks.positive("start", start)

    def growth(q):
        return length_map(activation, q, sigma_w2, sigma_b2) / q - 1

    begin = growth(start)
    if abs(begin) < 1e-10:
        return start if slope(activation, start, sigma_w2) < 1 + 1e-6 else np.nan
    ladder = start * 2.0 ** (np.sign(begin) * np.arange(41))
    turned = np.flatnonzero(np.sign(growth(ladder)) != np.sign(begin))
    if not turned.size:
        return np.inf if begin > 0 else 0.0
    first = turned[0]
    return brentq(growth, *sorted(ladder[first - 1 : first + 1]), xtol=1e-300, rtol=1e-13)


def correlation_map(
    activation: Elementwise, c: ArrayLike, q: float, sigma_w2: float, sigma_b2: float = 0.0
) -> float | np.ndarray:
    """Return the next layer's correlation between two inputs of length q > 0 and correlation c.

    (σ_w²·E[φ(u)φ(v)] + σ_b²) / (σ_w²·E[φ(u)²] + σ_b²). Raises ValueError for c outside [−1, 1].
    """
    q = checks.positive("q", q)
    covariance = sigma_w2 * correlated_expectation(activation, q, c) + sigma_b2
    return covariance / length_map(activation, q, sigma_w2, sigma_b2)


def relu_correlation_map(c: ArrayLike) -> float | np.ndarray:
    """Return [√(1−c²) + (π − arccos c)·c]/π, ReLU's `correlation_map` without bias.

    It is the same at every length and σ_w². Source: Cho & Saul 2009, the arc-cosine kernel of
    degree one. Raises ValueError for c outside [−1, 1].
    """
    c = correlations(c)
    mapped = (np.sqrt(1 - c**2) + (np.pi - np.arccos(c)) * c) / np.pi
    return np.minimum(mapped, 1.0)[()]  # so that rounding never leaves [−1, 1]


def gradient_depth_scale(activation: Elementwise, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """Return the number of layers in which E[(∂L/∂s)²] changes by a factor e.

    It is ``1/|ln χ₁|`` at the fixed point; inf at χ₁ = 1; nan where `fixed_point` is not finite.
    """
    q = fixed_point(activation, sigma_w2, sigma_b2)
    return _layers_per_e(chi(activation, q, sigma_w2)) if np.isfinite(q) else np.nan


def correlation_depth_scale(
    activation: Elementwise, sigma_w2: float, sigma_b2: float = 0.0
) -> float:
    """Return the layers in which two inputs' correlation comes nearer its limit by a factor e.

    −1/ln χ₁ in order (χ₁ < 1, the limit is 1), and −1/ln(σ_w²·E[φ′(u)φ′(v)]) at the limit c* < 1
    in chaos (χ₁ > 1). inf at χ₁ = 1, and where c* is within 1e-5 of 1; nan where `fixed_point` is
    not finite, or 0, for then no length is left to measure correlations by.
    """
    q = fixed_point(activation, sigma_w2, sigma_b2)
    if not 0 < q < np.inf:
        return np.nan
    rate = chi(activation, q, sigma_w2)
    if rate > 1:

        def change(c):
            return correlation_map(activation, c, q, sigma_w2, sigma_b2) - c

        nearly_one = 1 - 1e-5
        if change(nearly_one) >= 0:
            return np.inf
        limit = brentq(change, 0.0, nearly_one)
        rate = sigma_w2 * correlated_expectation(derivative(activation), q, limit)
    return _layers_per_e(rate)


def _layers_per_e(rate: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.inf if abs(rate - 1) < 1e-9 else 1 / np.abs(np.log(rate)))


def _above_zero(q: ArrayLike) -> np.ndarray:
    q = second_moments("q", q)
    for wrong in q[q == 0][:1]:
        checks.positive("q", wrong.item())
    return q
