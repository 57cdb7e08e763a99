"""Activation functions, and their means under a Gaussian: what one neuron does to its input.

A wide layer's pre-activations are Gaussian, so all of `helpers.theory` rests on two integrals
over an activation φ, of one Gaussian and of two correlated ones.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.integrate import cubature
from torch import Tensor
from torch.nn import functional as F

from helpers import checks

#: An activation: a name in `ACTIVATIONS`, or any elementwise function of a tensor.
Elementwise = str | Callable[[Tensor], Tensor]
#: Integrals end here, in standard deviations: exp(−40²/2) is zero in float64.
EDGE = 40.0


def linear(s: Tensor) -> Tensor:
    """The identity."""
    return s


#: The activations by name, each an elementwise function of a tensor.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": linear,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,  # slope 0.01 below zero
    "elu": F.elu,
    "selu": torch.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "erf": torch.erf,
}


def activation(function: Elementwise) -> Callable[[Tensor], Tensor]:
    """Return the activation of that name in `ACTIVATIONS`, or the elementwise callable itself.

    Raises ValueError for a name that is not in the table.
    """
    if callable(function):
        return function
    return ACTIVATIONS[checks.known("activation", function, ACTIVATIONS)]


def derivative(function: Elementwise) -> Callable[[Tensor], Tensor]:
    """Return φ′ as an elementwise function, by automatic differentiation.

    At a kink it takes PyTorch's side: ReLU′(0) = 0.
    """
    phi = activation(function)

    def slope(s: Tensor) -> Tensor:
        with torch.enable_grad():
            s = s.detach().requires_grad_()
            # Adding 0·s gives a step function, which has no graph, its derivative of zero.
            return torch.autograd.grad((phi(s) + 0 * s).sum(), s)[0]

    return slope


def square(function: Elementwise) -> Callable[[Tensor], Tensor]:
    """Return the elementwise function φ²."""
    phi = activation(function)
    return lambda s: phi(s) ** 2


def expectation(function: Elementwise, q: ArrayLike) -> float | np.ndarray:
    """Return E[f(√q z)] for z ~ N(0, 1), to a relative 1e-10.

    ``function`` is elementwise and may jump or bend, at zero at no cost. ``q`` is a second
    moment or an array of them; the result has its shape. Adaptive Gauss–Kronrod quadrature
    with a break at zero: Gauss–Hermite rules with a fixed number of nodes miss what happens
    near zero when q is large. Raises ValueError for a q that is negative or not finite, and
    ArithmeticError where f is not finite or the quadrature does not converge.
    """
    q = second_moments("q", q)
    radius = np.sqrt(q.reshape(1, -1))

    def integrand(z: np.ndarray) -> np.ndarray:
        return _both_signs(function, z * radius) * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)

    # Breaks at every power of ten from z = 10 to where |s| = 1, lest a narrow f be overlooked.
    decades = int(np.log10(radius.max(initial=1.0))) + 1
    breaks = [[10.0**k] for k in range(1, -decades, -1)]
    mean = _integrate(integrand, [0.0], [EDGE], points=breaks, rtol=1e-11, atol=1e-15)
    return mean.reshape(q.shape)[()]


def correlated_expectation(function: Elementwise, q: float, c: ArrayLike) -> float | np.ndarray:
    """Return E[f(u) f(v)] for Gaussian u, v with mean 0, variance q and correlation c.

    ``c`` is one correlation in [−1, 1] or an array of them; the result has its shape. Accurate
    to 1e-8, in polar coordinates, where a kink or jump at zero lies on the border of two
    sectors. Raises ValueError for c outside [−1, 1] or a q that is negative or not finite.
    """
    radius, c = np.sqrt(checks.nonnegative("q", q)), correlations(c)
    angle = np.arccos(c.reshape(1, -1))
    sectors = [(-np.pi / 2, angle), (angle - np.pi / 2, np.pi - angle)]  # uv < 0, uv > 0

    def integrand(points: np.ndarray) -> np.ndarray:
        r, fraction = points[:, :1], points[:, 1:]
        total = 0.0
        for start, width in sectors:
            theta = start + fraction * width
            u, v = radius * r * np.cos(theta), radius * r * np.cos(theta - angle)
            total = total + width * _both_signs(function, u, v)
        return total * r * np.exp(-(r**2) / 2) / (2 * np.pi)

    mean = _integrate(integrand, [0.0, 0.0], [EDGE, 1.0], points=[], rtol=1e-8, atol=1e-10)
    return mean.reshape(c.shape)[()]


def gain(function: Elementwise) -> float:
    """Return 1/√E[φ(z)²], z ~ N(0, 1): weights of variance gain²/fan_in make q = 1 a fixed point.

    ReLU √2, SELU 1, tanh 1.5925. PyTorch's table (``torch.nn.init.calculate_gain``) has other
    values for tanh, SELU and sigmoid. Raises ValueError for an activation that is always zero.
    """
    moment = float(expectation(square(function), 1.0))
    return 1 / math.sqrt(checks.positive("E[φ(z)²] of the activation", moment))


def second_moments(what: str, values: ArrayLike) -> np.ndarray:
    """Return ``values`` as a float64 array; raise ValueError if one is negative or not finite."""
    array = np.asarray(values, dtype=np.float64)
    for wrong in array[~(np.isfinite(array) & (array >= 0))][:1]:
        checks.nonnegative(what, wrong.item())
    return array


def correlations(c: ArrayLike) -> np.ndarray:
    """Return ``c`` as a float64 array; raise ValueError if one lies outside [−1, 1]."""
    array = np.asarray(c, dtype=np.float64)
    for wrong in array[~(np.abs(array) <= 1)][:1]:
        raise ValueError(f"c is {wrong}; expected a correlation, from -1 to 1.")
    return array


def _both_signs(function, *arguments: np.ndarray) -> np.ndarray:
    """The product of f over the arguments, plus the same with every sign turned."""
    f = activation(function)
    total = 0.0
    for sign in (1.0, -1.0):
        values = [f(torch.from_numpy(sign * s)).detach().double().numpy() for s in arguments]
        total = total + np.prod(values, axis=0)
    return total


def _integrate(integrand, low, high, *, points, rtol, atol) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # reported below, as an error
        result = cubature(integrand, low, high, points=points, rtol=rtol, atol=atol)
    if result.status != "converged" or not np.isfinite(result.estimate).all():
        raise ArithmeticError(
            "The Gaussian mean could not be computed: expected a function that is finite and "
            "piecewise smooth. Lower q, or look at the function's values far from zero."
        )
    return result.estimate
