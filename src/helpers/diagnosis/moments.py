"""A tensor reduced to a few numbers, in few passes over it; and activations by their graph nodes.

Values are summed up in their own precision (half ones in float32), and again in float64 where
that overflows or underflows.
"""

import math
import re
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from helpers import devices, propagation

#: Where a number has no meaning.
NAN = math.nan
#: Names of activations by the base name of the autograd node that computes them.
ACTIVATIONS = {
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "Elu": "elu",
    "Celu": "celu",
    "Gelu": "gelu",
    "Silu": "silu",
    "Mish": "mish",
    "Softplus": "softplus",
    "Sigmoid": "sigmoid",
    "Hardsigmoid": "hardsigmoid",
    "Tanh": "tanh",
    "Erf": "erf",
    "Hardtanh": "hardtanh",
    "Hardswish": "hardswish",
    "PreluKernel": "prelu",
    "Threshold": "relu",
    "Clamp": "clamp",
    "ClampMin": "relu",
}
#: Where a bounded activation levels off.
BOUNDS = propagation.BOUNDS


@dataclass(eq=False)
class Stats:
    """Mean and second moment over all values, the share of finite ones; of an activation also the
    shares of zeros, of units that are zero for every example and place, and of values within 1 %
    of a bound. NaN where it was not looked at."""

    second_moment: float
    mean: float
    finite: float = 1.0
    zero: float = NAN
    dead: float = NAN
    units: int = 0
    saturated: float = NAN


def base(node) -> str:
    """The name of a graph node without its number: ``Relu`` for ``ReluBackward0``."""
    return _without_number(node.name())


@cache
def _without_number(name: str) -> str:
    return re.sub(r"Backward\d*$", "", name)


def is_rectifier(node) -> bool:
    """Whether a node cuts off what is below zero."""
    kind = base(node)
    if kind in ("Hardtanh", "Clamp"):
        low = getattr(node, "_saved_min_val" if kind == "Hardtanh" else "_saved_min", None)
        return low == 0
    return kind in ("Relu", "Threshold", "ClampMin")


def second_moment(values: Tensor) -> float:
    """E[x²]; 0 of nothing."""
    return stats(values, mean=False).second_moment


@torch.no_grad()
def stats(
    values: Tensor,
    axis: int | None = None,
    bounds: tuple[float, float] | None = None,
    *,
    mean: bool = True,
    zero: bool = False,
) -> Stats:
    """The numbers of a tensor; dead units along ``axis`` where one is given."""
    values, count = values.detach(), values.numel()
    if count == 0:
        return Stats(0.0, 0.0)
    if values.dtype not in (torch.float32, torch.float64):
        values = values.float()
    numbers = [torch.linalg.vector_norm(values), values.mean() if mean else values.new_zeros(())]
    norm, average = torch.stack(numbers).tolist()
    found = Stats(norm * norm / count, average)
    if not math.isfinite(norm):
        found.finite = values.isfinite().float().mean().item()
        wide = devices.double(values)
        found.second_moment, found.mean = wide.square().mean().item(), wide.mean().item()
    elif norm < 1e-15 * math.sqrt(count) and values.dtype == torch.float32:
        found.second_moment = devices.double(values).square().mean().item()
    if zero:
        found.zero = 1 - torch.count_nonzero(values).item() / count
    if axis is not None:
        others = [a for a in range(values.ndim) if a != axis % values.ndim]
        highest = values.amax(others) if others else values
        found.dead, found.units = (highest <= 0).float().mean().item(), len(highest)
    if bounds is not None:
        low, high = bounds
        margin = 0.01 * (high - low)
        outside = (values - (low + high) / 2).abs_() > (high - low) / 2 - margin
        found.saturated = torch.count_nonzero(outside).item() / count
    return found
