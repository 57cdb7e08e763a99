"""What was found: a finding, and the pass with its graph, weights and expectations in one place."""

from dataclasses import dataclass, field

from torch import nn

from helpers.diagnosis import expecting, shortcuts, weights
from helpers.diagnosis.following import Graph
from helpers.diagnosis.recording import Record, Use

#: More than this share of an activation's values at a bound is too many.
SATURATED = 0.25


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (``severity`` "fault") or worth knowing ("note").

    ``kind`` is a word or two, ``layers`` are the modules' names, ``cause`` says it in words,
    ``evidence`` in numbers by name. ``remedy`` is code that mends ``model``, or "" where no code
    does.
    """

    kind: str
    layers: tuple[str, ...]
    cause: str
    evidence: dict[str, float] = field(default_factory=dict)
    remedy: str = ""
    severity: str = "fault"

    def __str__(self) -> str:
        return f"{self.severity}, {self.kind}: {self.cause}"


class Analysis:
    """A pass and what follows from it, layer by layer in the order of running."""

    def __init__(self, network: nn.Module, record: Record):
        self.network, self.record, self.uses = network, record, record.uses
        self.named = {module: name for name, module in network.named_modules()}
        self.graph = Graph(record)
        self.after = self.graph.after
        self.additions = shortcuts.additions(self.graph)
        by_weight: dict[tuple, weights.Weights] = {}
        self.weights: dict[Use, weights.Weights] = {}
        for use in self.uses:
            key = (use.module, use.weight.data_ptr())
            if use.number == 1 or key not in by_weight:
                by_weight[key] = weights.read(use)
            self.weights[use] = by_weight[key]
        self.next = {use: self.graph.chain(use) for use in self.uses}
        self.activation = {
            use: after.activation and expecting.activation_name(after.activation)
            for use, after in self.after.items()
        }
        self.blocked = len(self.uses)  # from this run on, what is seen is a consequence
        self.explained: set[str] = set()  # layers whose own fault has been named
        self.chosen: set[str] = set()  # layers that are small on purpose

    def once(self) -> list[Use]:
        """The first run of every layer."""
        return [use for use in self.uses if use.number == 1]

    def signal(self, use: Use):
        """The numbers of the activation behind a layer, or None."""
        node = self.after[use].activation
        return None if node is None else self.record.places.get((node, 0))

    def in_branch(self, use: Use) -> bool:
        """Whether the layer stands in a branch that is added to a shortcut."""
        return any(use in addition.layers for addition in self.additions)

    def normalized(self, use: Use) -> bool:
        """Whether a normalizer takes the layer's scale away, at once or where its chain ends."""
        while (then := self.next[use]) is not None:
            use = then
        return self.after[use].normalizer

    def last(self, use: Use) -> bool:
        """Whether the layer gives the network's output."""
        after = self.after[use]
        ends = not (after.next or after.additions or after.product)
        return after.output or ends or use is self.uses[-1]

    def hidden(self, use: Use) -> str | None:
        """The activation between this layer and the next one, unless it is a gate's."""
        after = self.after[use]
        passed_on = after.next or after.additions
        return None if after.gate or not passed_on else self.activation[use]

    def leveled(self, use: Use) -> bool:
        """Whether the activation behind the layer has many values at a bound."""
        stats = self.signal(use)
        return stats is not None and stats.saturated > SATURATED  # False for NaN

    def block(self, use: Use) -> None:
        """What is seen from this run on follows from what was found there."""
        self.blocked = min(self.blocked, self.uses.index(use))

    def open(self, use: Use) -> bool:
        """Whether nothing before this run explains what is seen there."""
        return self.uses.index(use) < self.blocked


def names(uses) -> tuple[str, ...]:
    """The layers of some runs, each once."""
    return tuple(dict.fromkeys(use.layer for use in uses))


def listed(layers: tuple[str, ...], most: int = 4) -> str:
    """Names for a sentence: the first few, and how many more."""
    shown = ", ".join(map(repr, layers[:most]))
    more = len(layers) - most
    return f"{shown} and {more} more" if more > 0 else shown
