"""Layer by layer through any network, in the order of running, changing weights on the way.

What `helpers.data_dependent` needs: the layers with what was found and done, a forward pass that
leaves no trace, and a way back to the old weights if anything fails.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor, nn

from helpers import checks, devices
from helpers.initializers import LAYERS

#: What a network takes: a tensor (batch, …), a tuple of arguments, or a dict of named ones.
Batch = Tensor | tuple | dict


@dataclass(eq=False)
class Layer:
    """A weight, the modules that use it, what was found and what was done."""

    name: str
    modules: list[nn.Module]
    tied: bool  # to a module that is no such layer
    uses: int = 0
    before: float = math.nan
    after: float = math.nan
    iterations: int = 0
    factor: float = 1.0
    outputs: list[tuple[float, int]] = field(default_factory=list)  # sum and count of each use
    step: float = 0.0  # ln of the last factor
    degree: float = 2.0  # d ln(second moment) / d ln(factor)

    @property
    def module(self) -> nn.Module:
        """The first of the modules that use the weight."""
        return self.modules[0]

    @property
    def state(self) -> str:
        """``set``, or why it is left alone: ``frozen``, ``tied``, ``not reached``."""
        if not self.uses:
            return "not reached"
        return "tied" if self.tied else "set" if self.module.weight.requires_grad else "frozen"

    @property
    def biases(self) -> list[nn.Parameter]:
        """Those that may change, each once."""
        found = {id(module.bias): module.bias for module in self.modules}
        return [bias for bias in found.values() if bias is not None and bias.requires_grad]

    def pooled(self) -> float:
        """The mean over all outputs of a pass."""
        sums, counts = zip(*self.outputs)
        return sum(sums) / sum(counts)

    def measure(self, value: float) -> None:
        """Note what was found of the layer: ``before`` at first, ``after`` from then on."""
        if self.iterations == 0:
            self.before, self.degree = value, 2.0 * self.uses
        elif self.uses > 1 and value > 0 and abs(self.step) > 1e-3:
            # Some of its outputs see a factor once, the last perhaps m times: take what was found.
            degree = math.log(value / self.after) / self.step
            self.degree = degree if 1 < degree < math.inf else 2.0 * self.uses
        self.after = value

    def limit(self, iterations: int, found: str, tolerance: float) -> None:
        """Raise a ValueError if the layer has been corrected that often."""
        if self.iterations == iterations:
            raise self.error(
                f"{found} after {iterations} corrections; the tolerance is {tolerance}. Allow more "
                "(max_iterations), or see what else decides its output: a normalized weight, a "
                "frozen bias."
            )

    def scale(self, factor: float, bias_factor: float | None = None) -> None:
        """Multiply weight and biases; the biases by a factor of their own if one is given."""
        self.module.weight.mul_(factor)
        for bias in self.biases:
            bias.mul_(factor if bias_factor is None else bias_factor)
        self.note(math.log(factor))

    def standardize(self, average: Tensor, deviation: Tensor, mean: float) -> None:
        """Give every unit's output the mean and deviation 1; it has these now, (units,)."""
        module, weight = self.module, self.module.weight
        wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
        factor = (1 / deviation).to(weight.device, wide)
        if getattr(module, "transposed", False):  # (groups · in, out, *kernel)
            weight = weight.unflatten(0, (module.groups, -1))
            factor = factor.view(module.groups, 1, -1, *[1] * (weight.ndim - 3))
        else:
            factor = factor.view(-1, *[1] * (weight.ndim - 1))
        weight.mul_(factor)
        module.bias.copy_((devices.double(module.bias) - average) / deviation + mean)
        self.note(-deviation.log().mean().item())

    def note(self, step: float) -> None:
        """Count a correction by the factor exp(``step``)."""
        self.step = step
        self.factor *= math.exp(step)
        self.iterations += 1
        torch.clear_autocast_cache()  # it may hold the old weight in half precision

    def error(self, found: str) -> ValueError:
        """Return an error that names the layer."""
        return ValueError(f"Layer {self.name!r} ({type(self.module).__name__}) {found}")


@contextmanager
def treated(network: nn.Module, batch: Batch) -> Iterator[list[Layer]]:
    """The layers in the order of running; after an error in the block, their parameters as before.

    Layers that the batch does not reach come last. Raises ValueError where nothing is to be set,
    and for a layer whose weight is not there yet or computed from others.
    """
    found: dict[int, Layer] = {}
    others = [m for m in network.modules() if not isinstance(m, LAYERS)]
    elsewhere = {id(p) for module in others for p in module._parameters.values()}
    for name, module in network.named_modules():
        if isinstance(module, LAYERS):
            weight = module._parameters.get("weight")
            if weight is None or nn.parameter.is_lazy(weight):
                raise ValueError(
                    f"Layer {name!r} ({type(module).__name__}) has no weight yet, or one that is "
                    "computed from others (weight or spectral norm, pruning, a parametrization). "
                    "Run a batch through the network, or take that away first."
                )
            layer = found.setdefault(
                id(weight), Layer(name or "network", [], id(weight) in elsewhere)
            )
            layer.modules.append(module)
    order: list[Layer] = []

    def count(layer, module, output, again):
        layer.uses += 1
        if layer.uses == 1:
            order.append(layer)

    run(network, batch, found.values(), count)
    layers = order + [layer for layer in found.values() if not layer.uses]
    changing = [layer for layer in order if layer.state == "set"]
    if not changing:
        raise ValueError(
            f"{type(network).__name__} has {len(found)} linear and convolutional layers, and none "
            "that this batch reaches and that may change; nothing to set."
        )
    parameters = [p for layer in changing for p in (layer.module.weight, *layer.biases)]
    saved = [parameter.clone() for parameter in parameters]
    try:
        yield layers
    except BaseException:
        for parameter, value in zip(parameters, saved):
            parameter.copy_(value)
        torch.clear_autocast_cache()
        raise


def run(
    network: nn.Module,
    batch: Batch,
    layers: Iterable[Layer] = (),
    visit: Callable[[Layer, nn.Module, Tensor, Callable[[], Tensor]], Tensor | None] | None = None,
):
    """One forward pass that leaves batch, buffers and random states as they were.

    ``visit`` gets every output of every layer, and a function that computes it again from the
    weights as they are then; what it returns takes the output's place.
    """
    arguments = batch.values() if isinstance(batch, dict) else batch
    arguments = [arguments] if isinstance(batch, Tensor) else list(arguments)
    for argument in arguments:
        for size in argument.shape[:1] if isinstance(argument, Tensor) else ():
            checks.count("the batch", size)
    arguments = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
    named = dict(zip(batch, arguments)) if isinstance(batch, dict) else {}

    def watch(layer, module):
        def hook(module, args, kwargs, output):
            return visit(layer, module, output, lambda: module.forward(*args, **kwargs))

        return module.register_forward_hook(hook, prepend=True, with_kwargs=True)

    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    gpus = {p.device.index for p in network.parameters() if p.device.type == "cuda"}
    hooks = []
    try:
        for layer in layers:
            layer.outputs.clear()
            hooks += [watch(layer, module) for module in layer.modules]
        with torch.random.fork_rng(devices=sorted(gpus)):
            return torch.func.functional_call(
                network, buffers, () if named else tuple(arguments), named
            )
    finally:
        for hook in hooks:
            hook.remove()


def table(layers: list[Layer]) -> pd.DataFrame:
    """Return a row for each layer, with the columns that `helpers.data_dependent.lsuv` names."""
    return pd.DataFrame(
        {
            "layer": layer.name,
            "kind": type(layer.module).__name__,
            "uses": layer.uses,
            "before": layer.before,
            "after": layer.after,
            "iterations": layer.iterations,
            "factor": layer.factor,
            "state": layer.state,
        }
        for layer in layers
    )
