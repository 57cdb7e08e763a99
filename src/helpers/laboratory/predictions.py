"""What theory says of the laboratory's networks, in logarithms to base 10, so that nothing
overflows.

The recursions are those of `helpers.theory` and `helpers.normalization`. There every layer costs a
quadrature for each example; here the three Gaussian means of an activation are tabulated once and
read off between. (One chart costs 140 ms there, 1 ms here.)
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from helpers.activations import activation, derivative, expectation, square
from helpers.initializers import SCHEMES, variance
from helpers.laboratory.examples import CLASSES, PIXELS
from helpers.laboratory.settings import Settings
from helpers.normalization import EPSILON

_GRID = np.linspace(-6, 6, 241)  # of log10 q; beyond, an activation is a power of its input
#: A prediction by layer, log10 of second moments forward and backward; None where there is none.
Prediction = tuple[np.ndarray | None, np.ndarray | None]


class Table(NamedTuple):
    """log10 of a Gaussian mean at every value of `_GRID`, its slopes beyond, its value at q = 0."""

    values: np.ndarray
    below: float
    above: float
    zero: float

    def at(self, log_q: np.ndarray) -> np.ndarray:
        """log10 of the mean at log10 q, which may be -inf."""
        inside = np.interp(log_q, _GRID, self.values)
        finite = np.where(np.isneginf(log_q), 0.0, log_q)
        beyond = self.below * np.minimum(finite - _GRID[0], 0)
        beyond = beyond + self.above * np.maximum(finite - _GRID[-1], 0)
        return np.where(np.isneginf(log_q), self.zero, inside + beyond)


class Means(NamedTuple):
    """Of one activation: E[φ²], E[φ′²] and Var φ of √q z, z ~ N(0, 1)."""

    moment: Table
    slope: Table
    spread: Table


@lru_cache
def means(name: str) -> Means:
    """Tabulate an activation, by quadrature: about 0.1 s, once."""
    q = 10.0**_GRID
    moment, slope = (expectation(square(f), q) for f in (name, derivative(name)))
    spread = np.maximum(moment - expectation(name, q) ** 2, 0)
    still = activation(name), derivative(name)
    at_zero = [float(expectation(square(f), 0.0)) for f in still] + [0.0]
    return Means(*(_table(v, z) for v, z in zip((moment, slope, spread), at_zero)))


def predict(settings: Settings, images: np.ndarray) -> Prediction:
    """Return log10 of E[x²] and of E[(∂L/∂x)²] for every layer (block, time step).

    ``images`` (N, 784) are what flows in; the gradient of the output is 1 in second moment, and
    does not depend on the weights. A linear layer's biases count only under PyTorch's own scheme.
    There is no prediction for ``rai``, whose weights have a mean, and for the LSTM only one
    backward, relative to the last step: the loop around the cell, on the way from empty cells.
    """
    if settings.recurrent:
        return None, _loop(settings.forget)
    if settings.scheme == "rai":
        return None, None
    found = means(settings.activation)
    sizes = [PIXELS] + [settings.width] * settings.depth + [CLASSES]
    var = [variance(settings.scheme, *pair, **settings.options) for pair in zip(sizes, sizes[1:])]
    if settings.network == "residual":
        inner = variance(settings.scheme, settings.width, settings.width, **settings.options)
        return _residual(settings, found, var, inner, images)
    if settings.network == "batch normalization":
        return _normalized(settings, found, var, images)
    return _chain(settings, found, var, images)


def _chain(settings: Settings, found: Means, var: list[float], images: np.ndarray) -> Prediction:
    fans = [PIXELS] + [settings.width] * (settings.depth - 1)
    x, signal, slopes = _log(np.square(images).mean(1)), [], []
    for fan_in, v in zip(fans, var):
        s = _sum(_log(fan_in * v) + x, _log(_bias(settings, fan_in)))
        x = found.moment.at(s)
        signal.append(_mean(x))
        slopes.append(found.slope.at(s))
    g = np.full(len(images), _log(CLASSES * var[-1]))
    gradient = [_mean(g)]
    for slope, v in zip(slopes[:0:-1], var[-2:0:-1]):
        g = g + slope + _log(settings.width * v)
        gradient.append(_mean(g))
    return np.array(signal), np.array(gradient[::-1])


def _normalized(settings, found: Means, var: list[float], images: np.ndarray) -> Prediction:
    fans = [PIXELS] + [settings.width] * (settings.depth - 1)
    spread, signal, steps = _log(images.var(0).mean()), [], []
    for fan_in, v in zip(fans, var):
        before = _log(fan_in * v) + spread
        divided = _sum(before, _log(EPSILON))
        signal.append(found.moment.at(before - divided))
        spread = found.spread.at(before - divided)
        steps.append(found.slope.at(before - divided) - divided)
    g = _log(CLASSES * var[-1])
    gradient = [g]
    for step, v in zip(steps[:0:-1], var[-2:0:-1]):
        g = g + step + _log(settings.width * v)
        gradient.append(g)
    return np.array(signal), np.array(gradient[::-1])


def _residual(settings, found: Means, var, inner: float, images: np.ndarray) -> Prediction:
    x = _log(PIXELS * var[0]) + _log(np.square(images).mean(1))
    x = _sum(x, _log(_bias(settings, PIXELS)))
    signal, slopes, gain = [], [], _log(settings.width * inner)
    for _ in range(settings.depth):
        slopes.append(found.slope.at(x))
        branch = _sum(gain + found.moment.at(x), _log(_bias(settings, settings.width)))
        x = _sum(x, branch)
        signal.append(_mean(x))
    g = np.full(len(images), _log(CLASSES * var[-1]))
    gradient = [_mean(g)]
    for slope in slopes[:0:-1]:
        g = _sum(g, g + gain + slope)
        gradient.append(_mean(g))
    return np.array(signal), np.array(gradient[::-1])


def _loop(forget: float, steps: int = 28, a: float = 1 / 48) -> np.ndarray:
    """log10 of Σ binom(t, k)² f^(2(t−k)) aᵏ for the steps from the first to the last."""
    log_f = -np.logaddexp(0, -forget) / math.log(10)
    found = []
    for t in range(steps):
        k = np.arange(t + 1)
        ways = np.array([math.log10(math.comb(t, n)) for n in k])
        terms = 2 * ways + 2 * (t - k) * log_f + k * math.log10(a)
        found.append(terms.max() + _log((10.0 ** (terms - terms.max())).sum()))
    return np.array(found[::-1])


def _bias(settings: Settings, fan_in: int) -> float:
    return 1 / (3 * fan_in) if SCHEMES[settings.scheme].bias == "uniform" else 0.0


def _log(values):
    with np.errstate(divide="ignore"):
        return np.log10(values)


def _sum(a, b):
    """log10 of 10ᵃ + 10ᵇ."""
    return np.logaddexp(np.multiply(a, math.log(10)), np.multiply(b, math.log(10))) / math.log(10)


def _mean(values: np.ndarray) -> float:
    """log10 of the mean of 10^values."""
    top = values.max()
    return float(top + _log((10.0 ** (values - top)).mean())) if np.isfinite(top) else float(top)


def _table(values: np.ndarray, zero: float) -> Table:
    logs = _log(np.maximum(values, 1e-300))
    step = _GRID[1] - _GRID[0]
    # At either end the mean is a power of q with exponent 0, ±1/2 or 1: take it as such.
    ends = [round(2 * (logs[i + 1] - logs[i]) / step) / 2 for i in (0, -2)]
    return Table(logs, *ends, float(_log(zero)))
