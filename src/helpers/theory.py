"""What should flow through a wide random network: second moments, forward and backward.

Layer l = 1 … L computes s_l = W_l x_{l−1} + b_l and x_l = φ_l(s_l). Weights and biases are
independent with mean zero. In the limit of wide layers s_l is Gaussian, and each second moment
follows from the one before. Chains are described as `helpers.networks.MLP` describes them:
``widths`` are n_0 … n_L, and one ``activation`` stands between the layers, none behind the last;
a sequence of L of them, one behind every layer. Everything is float64.

Sources: Glorot & Bengio 2010; He et al. 2015 (1502.01852); Hanin 2018 (1801.03744) for finite
width. What the same layer does again and again is the subject of `helpers.mean_field`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from helpers import checks
from helpers.activations import Elementwise, derivative, expectation, second_moments, square


class Moments(NamedTuple):
    """Second moments by layer, 1 … L along the first axis, of s_l and x_l or of their gradients."""

    pre_activation: np.ndarray
    activation: np.ndarray


def forward(
    widths: Sequence[int],
    weight_variance: ArrayLike,
    activation: Elementwise | Sequence[Elementwise],
    *,
    input_second_moment: ArrayLike,
    bias_variance: ArrayLike = 0.0,
) -> Moments:
    """Return E[s_l²] and E[x_l²]: E[s_l²] = n_{l−1}·Var(w_l)·E[x_{l−1}²] + Var(b_l).

    ``input_second_moment`` is the mean of x_0² over the inputs, which need not be Gaussian; an
    array of them, one an example, adds an axis to the result. The variances are scalars or one
    for each layer along the first axis, and may have further axes (a grid of σ at once).
    Raises ValueError for a moment or variance that is negative or not finite.
    """
    widths, activations = _chain(widths, activation)
    weight_variance = _by_layer("weight_variance", weight_variance, len(activations))
    bias_variance = _by_layer("bias_variance", bias_variance, len(activations))
    x, layers = second_moments("input_second_moment", input_second_moment), []
    for fan_in, var_w, var_b, phi in zip(widths, weight_variance, bias_variance, activations):
        s = fan_in * var_w * x + var_b
        x = expectation(square(phi), s)
        layers.append((s, x))
    return _stack(layers)


def backward(
    widths: Sequence[int],
    weight_variance: ArrayLike,
    activation: Elementwise | Sequence[Elementwise],
    pre_activation: ArrayLike,
    *,
    output_second_moment: ArrayLike = 1.0,
) -> Moments:
    """Return E[(∂L/∂s_l)²] and E[(∂L/∂x_l)²], a single component of each.

    E[(∂L/∂s_l)²] = E[φ_l′(s_l)²]·E[(∂L/∂x_l)²] and, as x_{l−1} feeds n_l units,
    E[(∂L/∂x_{l−1})²] = n_l·Var(w_l)·E[(∂L/∂s_l)²]. ``output_second_moment`` is E[(∂L/∂x_L)²],
    the gradient of the network's output. ``pre_activation`` holds E[s_l²] as `forward` returns
    it; 0.0 means vanishing pre-activations, where tanh′ is 1. The output's gradient must not
    depend on the weights; then linear and ReLU chains obey this on average at any width, others
    in the limit of wide layers. Raises ValueError as `forward` does.
    """
    widths, activations = _chain(widths, activation)
    weight_variance = _by_layer("weight_variance", weight_variance, len(activations))
    pre_activation = _by_layer("pre_activation", pre_activation, len(activations))
    x, layers = second_moments("output_second_moment", output_second_moment), []
    for fan_out, var_w, q, phi in reversed(
        list(zip(widths[1:], weight_variance, pre_activation, activations))
    ):
        s = expectation(square(derivative(phi)), q) * x
        layers.append((s, x))
        x = fan_out * var_w * s
    return _stack(layers[::-1])


def weight_gradient(
    signal: Moments, gradient: Moments, *, input_second_moment: ArrayLike
) -> np.ndarray:
    """Return E[(∂L/∂w_l)²] = E[x_{l−1}²]·E[(∂L/∂s_l)²] by layer, for the loss of one example.

    A batch's gradient sums over examples whose gradients are correlated: no such product holds.
    """
    inputs = np.broadcast_to(input_second_moment, signal.activation[:1].shape)
    return np.concatenate([inputs, signal.activation[:-1]]) * gradient.pre_activation


def moment_ratio(
    widths: Sequence[int], activation: Elementwise | Sequence[Elementwise]
) -> np.ndarray:
    """Return E‖x_l‖⁴/(E‖x_l‖²)² by layer, exact at any width, for Gaussian weights and no bias.

    The mean is over networks, for one given input. It is the product over layers 1 … l (so n_0
    doesn't count) of 1 + 5/n behind a ReLU and 1 + 2/n behind a linear layer, such as the last
    when ``activation`` is a single one; the weights' variance cancels. Raises ValueError for an
    activation that does not fulfil φ(2s) = 2φ(s), for s > 0 and s < 0.
    """
    widths, activations = _chain(widths, activation)
    return np.cumprod([1 + _relative_variance(phi) / n for phi, n in zip(activations, widths[1:])])


def _chain(widths, activation) -> tuple[list[int], list[Elementwise]]:
    widths = [checks.count("width", width) for width in widths]
    depth = len(widths) - 1
    if depth < 1:
        raise ValueError(f"widths is {widths}; expected two sizes or more, input and output.")
    if isinstance(activation, str) or callable(activation):
        return widths, [activation] * (depth - 1) + ["linear"]
    if len(activation) != depth:
        raise ValueError(
            f"{len(activation)} activations for {depth} linear layers; expected one for each."
        )
    return widths, list(activation)


def _by_layer(what: str, values: ArrayLike, depth: int) -> np.ndarray:
    values = second_moments(what, values)
    if values.ndim and len(values) != depth:
        raise ValueError(
            f"{what} has {len(values)} entries for {depth} layers; expected one for each, or one "
            "number for all."
        )
    return values if values.ndim else np.full(depth, values)


def _stack(layers: list[tuple]) -> Moments:
    return Moments(*(np.stack(np.broadcast_arrays(*moments)) for moments in zip(*layers)))


def _relative_variance(phi: Elementwise) -> float:
    """Var(φ²)/E[φ²]² for a Gaussian of any variance, which must be the same for all."""
    scales = np.array([0.01, 1.0, 100.0])
    ratio = expectation(square(square(phi)), scales) / expectation(square(phi), scales) ** 2
    if np.ptp(ratio) > 1e-8:
        raise ValueError(
            f"activation is {phi!r}; expected one that scales with its input, φ(2s) = 2φ(s), "
            "such as 'relu': for others the ratio depends on the weights' variance."
        )
    return ratio[1] - 1
