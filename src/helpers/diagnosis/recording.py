"""What one pass shows of a network: the runs of its layers, and numbers by places in the graph."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass

import torch
from torch import Tensor, nn

from helpers.diagnosis.moments import Stats
from helpers.initializers import LAYERS

#: Layers that compute from weights; another module may hold some for another purpose.
UNITS = (*LAYERS, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.RNNCellBase, nn.Bilinear)
#: A place in the graph: the node that made a tensor, and which of its outputs that is.
Place = tuple[object, int]


@dataclass(eq=False)
class Use:
    """One run of a layer that holds weights (or, with ``weight`` None, of a normalizer)."""

    layer: str
    module: nn.Module
    number: int  # of the run, from 1
    weight: Tensor | None
    bias: Tensor | None
    axis: int  # of the units in the output
    inputs: set = field(default_factory=set)  # nodes that the arguments come from
    input: Stats | None = None  # None for words
    input_shape: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    node: object = None
    output: Stats | None = None  # None for a normalizer
    backward: float = float("nan")

    @property
    def kind(self) -> str:
        """The layer's class, without the prefix that a parametrization gives it."""
        return type(self.module).__name__.removeprefix("Parametrized")

    @property
    def trainable(self) -> bool:
        """Whether any parameter of the layer learns."""
        return any(p.requires_grad for p in self.module.parameters())


@dataclass(eq=False)
class Record:
    """All that one pass shows: the runs in their order, what was measured, and the graph's ends."""

    uses: list[Use] = field(default_factory=list)
    places: dict[Place, Stats] = field(default_factory=dict)
    nodes: dict[object, Use] = field(default_factory=dict)  # what made a run's output
    outputs: list[Tensor] = field(default_factory=list)
    order: list = field(default_factory=list)  # nodes, each behind those that it computes from
    unreached: list[tuple[str, nn.Module]] = field(default_factory=list)
    collapsed: bool = False
    inputs: list[Stats] = field(default_factory=list)


def layers(network: nn.Module) -> dict[nn.Module, str]:
    """The modules that hold weights, by name: the outermost, as attention with its projections."""
    found, inside = {}, set()
    for name, module in network.named_modules():
        if module in inside:
            continue
        own = [p for p in module.parameters(recurse=False) if p.ndim > 1]
        leaf = not any(module.children()) and "Norm" not in type(module).__name__
        if isinstance(module, (nn.MultiheadAttention, *UNITS)) or (own and leaf):
            found[module] = name or type(network).__name__
            inside |= set(module.modules())
    return found


def floating(output, depth: int = 0) -> Iterator[Tensor]:
    """Every tensor of real numbers in tuples, lists, mappings, data classes and their like."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif depth < 8:
        if isinstance(output, Mapping):
            parts = output.values()
        elif isinstance(output, list | tuple):
            parts = output
        elif is_dataclass(output) and not isinstance(output, type):
            parts = [getattr(output, f.name) for f in fields(output)]
        else:
            return
        for part in parts:
            yield from floating(part, depth + 1)


def weight_of(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """The matrix that a layer's first numbers are read from, and its bias."""
    with torch.no_grad():
        for name in ("weight", "in_proj_weight", "weight_ih_l0", "weight_ih", "q_proj_weight"):
            weight = getattr(module, name, None)
            if isinstance(weight, Tensor) and weight.ndim > 1:
                break
        else:
            weight = next(p for p in module.parameters() if p.ndim > 1)
        bias = getattr(module, "bias", None)
        return weight.detach(), bias.detach() if isinstance(bias, Tensor) else None
