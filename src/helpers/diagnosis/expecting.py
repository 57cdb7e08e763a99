"""What should flow: second moments behind a layer from those before it, forward and backward."""

import math
from functools import lru_cache

import numpy as np
from torch.nn import functional as F

from helpers.activations import ACTIVATIONS, derivative, expectation, square
from helpers.diagnosis import moments
from helpers.diagnosis.recording import Use
from helpers.diagnosis.weights import Weights
from helpers.initializers import LAYERS

_MORE = {
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "mish": F.mish,
    "celu": F.celu,
}
_OCTAVES = np.arange(-24.0, 24.25, 0.25)


def activation_name(node) -> str:
    """The activation that a node computes; with the slope of a leaky ReLU in brackets."""
    name = moments.ACTIVATIONS[moments.base(node)]
    if name == "elu" and abs(getattr(node, "_saved_scale", 1.0) - 1.0507) < 1e-3:
        return "selu"
    if name == "hardtanh" and getattr(node, "_saved_min_val", -1) == 0:
        return "relu6"
    if name == "clamp" and moments.is_rectifier(node):
        return "relu"
    if name == "leaky_relu":
        return f"leaky_relu({getattr(node, '_saved_negative_slope', 0.01):.4g})"
    return name


@lru_cache(maxsize=64)
def _table(name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """ln E[φ²] and ln E[φ′²] on a grid of q, a quarter of an octave apart."""
    if name.startswith("leaky_relu("):
        slope = float(name[11:-1])

        def phi(s):
            return F.leaky_relu(s, slope)
    else:
        phi = ACTIVATIONS.get(name) or _MORE.get(name)
    if phi is None:
        return None
    q = 2.0**_OCTAVES
    values = expectation(square(phi), q), expectation(square(derivative(phi)), q)
    return tuple(np.log(np.maximum(v, 1e-300)) for v in values)


def through(name: str | None, q: float) -> tuple[float, float]:
    """(E[φ(√q z)²], E[φ′(√q z)²]); NaN for an activation that is not known."""
    if name is None:
        return q, 1.0
    table = _table(name)
    if table is None or not math.isfinite(q) or q <= 0:
        return moments.NAN, moments.NAN
    octave = math.log2(q)
    return tuple(math.exp(min(_interpolated(octave, part), 700.0)) for part in table)


def _interpolated(octave: float, part: np.ndarray) -> float:
    """On the grid; beyond its ends straight on, as activations are powers near zero and far out."""
    for end, inner in ((0, 1), (-1, -2)):
        if (octave - _OCTAVES[end]) * (_OCTAVES[end] - _OCTAVES[inner]) > 0:
            rise = (part[end] - part[inner]) / (_OCTAVES[end] - _OCTAVES[inner])
            return float(part[end] + rise * (octave - _OCTAVES[end]))
    return float(np.interp(octave, _OCTAVES, part))


def taps(use: Use) -> tuple[float, float]:
    """The share of fan_in that an output meets on average, and of fan_out that an input meets:
    less at borders that are padded with zeros, and by the stride."""
    module = use.module
    spatial = use.weight.ndim - 2
    if spatial <= 0 or not isinstance(module, LAYERS) or len(use.input_shape) < spatial:
        return 1.0, 1.0
    forward = backward = 1.0
    for d in range(spatial):
        n, m = use.input_shape[d - spatial], use.shape[d - spatial]
        k = use.weight.shape[2 + d]
        step, wide = module.stride[d], module.dilation[d]
        if isinstance(module.padding, str):
            pad = (wide * (k - 1)) // 2 if module.padding == "same" else 0
        else:
            pad = module.padding[d]
        few, many = (n, m) if module.transposed else (m, n)
        places = np.arange(few)[:, None] * step - pad + np.arange(k) * wide
        met = k * few
        if module.padding_mode == "zeros":
            met = int(((places >= 0) & (places < many)).sum())
        forward *= met / (m * k)
        backward *= met / (n * k)
    return forward, backward


def forward(use: Use, weights: Weights) -> float:
    """E[s²] = fan_in · E[w²] · E[x²] + E[b²]; NaN for layers that are no such sum."""
    bias = 0.0 if use.bias is None else moments.second_moment(use.bias)
    if isinstance(use.module, LAYERS):
        if use.input is None:
            return moments.NAN
        return weights.gain2 * taps(use)[0] * use.input.second_moment + bias
    return weights.variance if "Embedding" in use.kind and use.shape else moments.NAN


def backward(use: Use, name: str | None, then: Use, weights: Weights) -> float:
    """E[(∂L/∂s)²] from that of the next layer, whose weights are given."""
    slope = through(name, use.output.second_moment)[1]
    return weights.fan_out * weights.variance * taps(then)[1] * slope * then.backward
