"""Self-normalizing layers: what SELU does to mean and variance, and a dropout that keeps both.

A unit computes s = Σ w_j x_j and x = SELU(s). Where the inputs x_j are independent with mean μ
and variance ν, s has mean ω·μ and variance τ·ν, with ω = Σ w_j and τ = Σ w_j², and is nearly
Gaussian if they are many. `moment_map` gives the mean and variance of x. Everything is float64.
For random weights, where ω and τ vary from unit to unit, see `helpers.mean_field`.

Source: Klambauer et al. 2017 (1706.02515).
"""

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, ndtr
from torch import Tensor

from helpers import checks

_BELOW = math.exp(0.5) * math.erfc(1 / math.sqrt(2)) / 2  # E[eᶻ; z < 0], z ~ N(0, 1)
_BELOW2 = math.exp(2.0) * math.erfc(math.sqrt(2)) / 2  # E[e²ᶻ; z < 0]
#: SELU(s) = `LAMBDA`·s above zero, `LAMBDA`·`ALPHA`·(eˢ − 1) below. This one, 1.6733, makes its
#: mean 0 for s ~ N(0, 1).
ALPHA = 1 / math.sqrt(2 * math.pi) / (1 / 2 - _BELOW)
#: SELU's factor, 1.0507, which makes its variance 1 for s ~ N(0, 1).
LAMBDA = 1 / math.sqrt(1 / 2 + ALPHA**2 * (_BELOW2 - 2 * _BELOW + 1 / 2))
#: SELU's limit far below zero, −1.7581.
FLOOR = -LAMBDA * ALPHA


def moments(mean: ArrayLike, variance: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of SELU(s), s ~ N(``mean``, ``variance``).

    Scalars or arrays of one shape, which the results have. Raises ValueError for a mean that is
    not finite, or a variance that is not a finite number above zero.
    """
    m, above, tail, tail2, density, v = _pieces(mean, variance)
    below = 1 - above
    first = m * above + v * density + ALPHA * (tail - below)
    second = (m**2 + v) * above + m * v * density + ALPHA**2 * (tail2 - 2 * tail + below)
    return LAMBDA * first, LAMBDA**2 * (second - first**2)


def moment_map(
    mean: ArrayLike, variance: ArrayLike, *, omega: ArrayLike = 0.0, tau: ArrayLike = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the next layer's mean and variance, of SELU(s) for s ~ N(ωμ, τν).

    Klambauer et al. 2017, equations (3) to (5). Raises ValueError as `moments` does.
    """
    return moments(np.multiply(omega, mean), np.multiply(tau, variance))


def jacobian(mean: float, variance: float, *, omega: float = 0.0, tau: float = 1.0) -> np.ndarray:
    """Return the derivative of `moment_map`, (2, 2): its rows are the new mean and variance.

    A fixed point attracts what is near it if both eigenvalues are inside the unit circle. Raises
    ValueError as `moments` does.
    """
    m, above, tail, tail2, density, v = _pieces(omega * mean, tau * variance)
    # For s ~ N(m, v): dE[f]/dm = E[f′] and dE[f]/dv = E[f″]/2; f″ has a peak at a kink of f.
    first = LAMBDA * np.array([above + ALPHA * tail, (ALPHA * tail + (1 - ALPHA) * density) / 2])
    second = LAMBDA**2 * np.array(
        [
            2 * (m * above + v * density + ALPHA**2 * (tail2 - tail)),
            above + ALPHA**2 * (2 * tail2 - tail),
        ]
    )
    average = moments(m, v)[0]
    return np.stack([first, second - 2 * average * first]) * [omega, tau]


def fixed_point(
    *,
    omega: float = 0.0,
    tau: float = 1.0,
    start: tuple[float, float] = (0.1, 1.0),
    layers: int = 10_000,
) -> tuple[float, float]:
    """Return the mean and variance at which `moment_map`, applied again and again, settles.

    (0, 0) where the variance falls below 1e-12, (inf, inf) where it exceeds 1e12: without limit,
    for all that iteration can tell. Raises ValueError as `moment_map` does, and ArithmeticError
    where so many ``layers`` do not settle.
    """
    mean, variance = start
    for _ in range(checks.count("layers", layers)):
        before = mean, variance
        mean, variance = moment_map(mean, variance, omega=omega, tau=tau)
        if variance < 1e-12:
            return 0.0, 0.0
        if variance > 1e12:
            return math.inf, math.inf
        change = max(abs(mean - before[0]), abs(variance - before[1]))
        if change < 1e-14 * max(1.0, abs(mean), variance):
            return float(mean), float(variance)
    raise ArithmeticError(
        f"The map for omega = {omega} and tau = {tau} has not settled after {layers} layers; allow "
        "more, or take a tau that is farther from the limits of the range with a fixed point."
    )


def dropout_constants(p: float) -> tuple[float, float]:
    """Return a and b of alpha dropout: y = a·x + b for kept values, a·`FLOOR` + b for dropped ones.

    ``p`` is the share dropped. Then y has mean 0 and variance 1 if x has. Raises ValueError for a
    p outside [0, 1).
    """
    if checks.nonnegative("p", p) >= 1:
        raise ValueError(f"p is {p!r}; expected a share from 0 up to 1, such as 0.1.")
    a = 1 / math.sqrt((1 - p) * (1 + p * FLOOR**2))
    return a, -a * p * FLOOR


def alpha_dropout(values: Tensor, p: float, *, generator: torch.Generator) -> Tensor:
    """Return ``values`` with a random share ``p`` of them set to SELU's floor, then a·() + b.

    What ``nn.AlphaDropout`` does in training, with a generator of its own. Raises ValueError as
    `dropout_constants` does.
    """
    a, b = dropout_constants(p)
    draw = torch.rand(
        values.shape, generator=generator, dtype=values.dtype, device=generator.device
    )
    return a * torch.where(draw.to(values.device) < p, FLOOR, values) + b


def _pieces(mean: ArrayLike, variance: ArrayLike) -> tuple[np.ndarray, ...]:
    """m, P(s > 0), E[eˢ; s < 0], E[e²ˢ; s < 0], the density at zero, and v, for s ~ N(m, v)."""
    m, v = np.asarray(mean, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    for wrong in m[~np.isfinite(m)][:1]:
        raise ValueError(f"mean is {wrong}; expected a finite number, such as 0.0.")
    for wrong in v[~(np.isfinite(v) & (v > 0))][:1]:
        checks.positive("variance", wrong.item())
    deviation = np.sqrt(v)
    tails = [np.exp(k * m + k**2 * v / 2 + log_ndtr(-(m + k * v) / deviation)) for k in (1, 2)]
    density = np.exp(-((m / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
    return m, ndtr(m / deviation), *tails, density, v
