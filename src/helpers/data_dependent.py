"""First weights that look at the data: pass a batch through the network, and divide.

`lsuv` gives every linear and convolutional layer's output, before the activation, second moment 1
over the batch, by one factor a layer. `within_layer` gives every unit's output mean 0 and standard
deviation 1, by a factor and a bias a unit. `between_layers` then lets all layers of a chain change
at one relative rate. They take any ``nn.Module``, follow the order in which its layers run, and
measure each layer behind layers that are set already. ``batch`` is what the network takes: a
tensor (batch, ...), a tuple of arguments, or a dict of them.

Weights and biases change and nothing else does: mode, buffers (running averages), hooks, gradients
and random states stay as they were; after an error or an interrupt the weights do too. Left alone
are a layer whose weight is frozen (``requires_grad`` False) or tied to another kind of module (an
embedding), a frozen bias, a layer that the batch does not reach, and weights that are used without
their module being called, such as the projections inside ``nn.MultiheadAttention``. Two modules
with one weight are one layer that runs twice.
"""

import math

import pandas as pd
import torch
from torch import Tensor, nn

from helpers import checks, devices, layerwise
from helpers.layerwise import Batch, Layer


def lsuv(
    network: nn.Module,
    batch: Batch,
    *,
    generator: torch.Generator | None,
    tolerance: float = 0.01,
    max_iterations: int = 20,
) -> pd.DataFrame:
    """Layer-sequential unit variance: every layer's output gets second moment 1 over the batch.

    ``generator`` draws orthonormal weights first and sets biases to zero, as the paper does; None
    keeps the weights and biases that are there. Then each layer, in the order of running, is
    divided by the root mean square of its output over examples, units and places, weight and bias
    alike, until the mean square is within ``tolerance`` of 1.

    The paper says variance, about one mean over everything. Here it is the second moment, for that
    is what the next layer's size depends on. In a wide layer they agree; of a single output the
    variance may be a small part.

    Cost: two forward passes, and each corrected layer alone once more, however deep the network: a
    layer is set before the next one sees its output. One that runs m times a pass gets mean square
    1 over its m outputs together, and each correction of it costs a pass.

    Returns a table in the order of running: ``layer``, ``kind``, ``uses`` in a pass, second moment
    ``before`` (when the layer's turn came) and ``after``, ``iterations`` (corrections), ``factor``
    (all corrections together), ``state`` (set, frozen, tied, not reached). Raises ValueError,
    naming the layer, for a second moment that is 0, inf or NaN, for an output that is the same for
    all examples, and where ``max_iterations`` corrections do not reach the tolerance.
    Source: Mishkin & Matas 2016 (1511.06422), algorithm 1.
    """
    tolerance = checks.positive("tolerance", tolerance)
    max_iterations = checks.count("max_iterations", max_iterations)

    def corrected(layer: Layer, moment: float) -> bool:
        """Move a layer's second moment toward 1; False if there is nothing to do."""
        layer.measure(moment)
        if layer.state != "set":
            return False
        if not 0 < moment < math.inf:
            raise layer.error(
                f"has second moment {moment} over the batch; no factor makes that 1. Look at what "
                "runs before it, for units that are always zero and values that overflow."
            )
        if abs(moment - 1) <= tolerance:
            return False
        layer.limit(max_iterations, f"has second moment {moment:.4g}", tolerance)
        layer.scale(moment ** (-1 / layer.degree))
        return True

    def visit(layer, module, output, again):
        values = devices.double(output).square()
        if (
            layer.state == "set"
            and values.any()
            and _constant(_by_unit(module, output), output.dtype).all()
        ):
            raise layer.error(
                f"puts out the same for every example and place, second moment "
                f"{values.mean().item():.4g}. Only its bias or a constant reaches it: look at what "
                "runs before it, or give examples that differ."
            )
        if layer.uses > 1:
            layer.outputs.append((values.sum().item(), values.numel()))
        elif not any(len(one.outputs) == one.uses for one in waiting):
            while corrected(layer, values.mean().item()):
                output = again()
                values = devices.double(output).square()
        return output

    with torch.no_grad(), layerwise.treated(network, batch) as layers:
        if generator is not None:
            _draw(layers, generator, nn.init.orthogonal_)
        shared = [layer for layer in layers if layer.uses > 1]
        waiting = list(shared)  # what runs behind these waits until they are set
        while True:
            layerwise.run(network, batch, layers, visit)
            moved = [one for one in waiting[:1] or shared if corrected(one, one.pooled())]
            if not moved and not waiting:
                return layerwise.table(layers)
            waiting = waiting if moved else waiting[1:]


def within_layer(
    network: nn.Module,
    batch: Batch,
    *,
    generator: torch.Generator | None,
    mean: float = 0.0,
    tolerance: float = 0.01,
    max_iterations: int = 20,
) -> pd.DataFrame:
    """Every unit's (channel's) output gets mean ``mean`` and standard deviation 1 over the batch.

    ``generator`` draws standard normal weights first and sets biases to zero; None keeps what is
    there. Then each layer in the order of running: a unit's weights are divided by the standard
    deviation of its output over examples and places, and its bias moves the mean. The paper calls
    the mean β; a positive one keeps more ReLUs on.

    Cost and table as of `lsuv`; there ``factor`` is the geometric mean over units. ``tolerance``
    is that of a unit's mean and standard deviation. Raises ValueError, naming the layer, where it
    has no bias that may change, runs more than once a pass (one bias cannot serve two outputs), or
    has a unit that is constant over the batch, inf or NaN.
    Source: Krähenbühl et al. 2016 (1511.06856), algorithm 1.
    """
    tolerance = checks.positive("tolerance", tolerance)
    max_iterations = checks.count("max_iterations", max_iterations)
    if not math.isfinite(mean):
        raise ValueError(f"mean is {mean!r}; expected a finite number, such as 0.0.")

    def visit(layer, module, output, again):
        while True:
            units = _by_unit(module, output)
            average, deviation = units.mean(1), units.std(1, correction=0)
            layer.measure(units.square().mean().item())
            if layer.state != "set":
                return None
            bad = (deviation == 0) | _constant(units, output.dtype) | ~deviation.isfinite()
            for unit in bad.nonzero().flatten().tolist()[:1]:
                raise layer.error(
                    f"has a unit, number {unit}, with mean {average[unit].item():.4g} and standard "
                    f"deviation {deviation[unit].item():.4g} over the batch; no factor makes that "
                    "1. Give more examples, or look at what runs before it."
                )
            off = torch.maximum((average - mean).abs(), (deviation - 1).abs()).max().item()
            if off <= tolerance:
                return output
            layer.limit(max_iterations, f"has a unit that is off by {off:.4g}", tolerance)
            layer.standardize(average, deviation, mean)
            output = again()

    with torch.no_grad(), layerwise.treated(network, batch) as layers:
        if generator is not None:
            _draw(layers, generator, nn.init.normal_)
        for layer in (one for one in layers if one.state == "set"):
            if layer.uses > 1:
                raise layer.error(f"runs {layer.uses} times; one bias cannot serve them. Use lsuv.")
            if layer.module.bias is None or not layer.module.bias.requires_grad:
                raise layer.error("has no bias to set. Build it with bias=True, or use lsuv.")
        layerwise.run(network, batch, layers, visit)
        return layerwise.table(layers)


def between_layers(network: nn.Module, batch: Batch, *, generator: torch.Generator) -> pd.DataFrame:
    """Let all layers of a chain change at one relative rate, and its output not at all.

    A layer's rate is the root mean square of its weights' gradient over that of its weights; the
    gradient is that of a random sum of the outputs, with standard normal weights from
    ``generator``. Where every layer lets a positive factor through (linear, ReLU, leaky ReLU,
    pooling), multiplying a layer's weights by r divides their gradient by r and leaves the others
    alone, if all factors multiply to 1. So r = √(rate / geometric mean of all rates) does it in one
    step. A bias gets the factors of its layer and of those before it.

    Cost: two passes forward and backward, three forward. The table is that of `lsuv` with rates in
    ``before`` and ``after``. Raises ValueError where the output would change by more than rounding:
    for a network that is no such chain the paper's algorithm 2 iterates without a guarantee, and
    this does not. Source: Krähenbühl et al. 2016 (1511.06856), between-layer adjustment.
    """
    with torch.no_grad(), layerwise.treated(network, batch) as layers:
        chain = [layer for layer in layers if layer.state == "set"]
        output = layerwise.run(network, batch)
        random = torch.randn(output.shape, generator=generator, device=generator.device).to(output)

        def measure():
            with torch.enable_grad():
                value = (layerwise.run(network, batch) * random).sum()
                gradients = torch.autograd.grad(value, [layer.module.weight for layer in chain])
            for layer, gradient in zip(chain, gradients):
                norm = devices.double(layer.module.weight).norm()
                layer.measure((devices.double(gradient).norm() / norm).item())
                if not 0 < layer.after < math.inf:
                    raise layer.error(f"has the relative rate {layer.after}; no factor mends that.")

        measure()
        mean = math.exp(sum(math.log(layer.after) for layer in chain) / len(chain))
        product = 1.0
        for layer in chain:
            factor = math.sqrt(layer.after / mean)
            layer.scale(factor, bias_factor=product * factor)
            product *= factor
        change = devices.double(layerwise.run(network, batch) - output).norm()
        change = change / devices.double(output).norm()
        if not change <= 64 * len(layers) * torch.finfo(output.dtype).eps:
            raise ValueError(
                f"Equal rates would change the output by {change.item():.2g} of its size; expected "
                "a chain of layers that let a positive factor through, such as ReLU layers. Leave "
                "this step out for other networks."
            )
        measure()
        return layerwise.table(layers)


def _draw(layers: list[Layer], generator: torch.Generator, draw) -> None:
    for layer in (one for one in layers if one.state == "set"):
        weight = layer.module.weight
        wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
        values = torch.empty(weight.shape, dtype=wide, device=generator.device)
        weight.copy_(draw(values, generator=generator))
        for bias in layer.biases:
            bias.zero_()


def _by_unit(module: nn.Module, output: Tensor) -> Tensor:
    """An output as (units, values of each over examples and places), float64."""
    axis = -1 if isinstance(module, nn.Linear) else output.ndim - module.weight.ndim + 1
    units = devices.double(output).movedim(axis, 0)
    return units.reshape(len(units), -1)


def _constant(units: Tensor, dtype: torch.dtype) -> Tensor:
    """Which units have, of several values, always the same but for rounding."""
    deviation, average = units.std(1, correction=0), units.mean(1)
    return (deviation <= 4 * torch.finfo(dtype).eps * average.abs()) & (units.shape[1] > 1)
