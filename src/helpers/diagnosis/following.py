"""What follows each layer, read from the graph that the pass has built: so it is what ran, with
activations that are functions and additions that are operators, whatever the modules' names say."""

import re
from dataclasses import dataclass, field

from helpers.diagnosis import moments
from helpers.diagnosis.backwards import is_leaf
from helpers.diagnosis.recording import Record, Use

_NORMS = re.compile("BatchNorm|LayerNorm|GroupNorm|RmsNorm|RMSNorm|InstanceNorm")
# What changes a tensor's shape or picks from it, and so leaves its scale to what came before.
_PASSING = re.compile(
    "View|Reshape|Transpose|^T$|Permute|Squeeze|Unsqueeze|Expand|Slice|Select|Split|Chunk|Unbind|"
    "Cat|Stack|Clone|Alias|AsStrided|ToCopy|Pool|^Mean|Upsample|Pad|Roll|Flip|Index|Dropout|"
    "Shuffle|Unfold|Repeat|Narrow|Diagonal|Unflatten|Movedim"
)


@dataclass(eq=False)
class Following:
    """What a layer's output meets before the next layer with weights.

    ``activation`` is the first node of one; ``gate`` tells that its result multiplies another
    signal. ``additions`` are nodes where a second signal is added. ``plain`` means that nothing is
    met but one activation at most, and what changes shapes.
    """

    activation: object = None
    normalizer: bool = False
    additions: list = field(default_factory=list)
    gate: bool = False
    product: bool = False
    scaled: bool = False  # by a factor, learned or fixed
    output: bool = False  # of the network
    unknown: bool = False
    pooled: bool = False  # places are averaged or picked
    activations: int = 0
    next: list[Use] = field(default_factory=list)

    @property
    def plain(self) -> bool:
        """Whether the next layer gets this layer's output through one activation at most."""
        return not (
            self.normalizer
            or self.additions
            or self.product
            or self.scaled
            or self.unknown
            or self.activations > 1
        )


class Graph:
    """The graph of a pass, with each node's users, and the layer that it belongs to if any."""

    def __init__(self, record: Record):
        self.record = record
        self.position = {node: i for i, node in enumerate(record.order)}
        self.users: dict[object, list] = {node: [] for node in record.order}
        self.computed: set = set()  # depends on more than parameters
        self.owner: dict[object, Use] = {}
        for use in record.uses + [u for u in record.nodes.values() if u.weight is None]:
            self._own(use)
        for node in record.order:
            for parent in self.parents(node):
                self.users[parent].append(node)
            if node in self.owner or any(p in self.computed for p in self.parents(node)):
                self.computed.add(node)
        self.roots = {o.grad_fn for o in record.outputs if o.grad_fn is not None}
        self.after = {use: self.follow(use) for use in record.uses}

    def parents(self, node) -> list:
        """The nodes that a node computes from."""
        return [n for n, _ in node.next_functions if n is not None]

    def signals(self, node) -> list:
        """The same, without parameters and what is computed from them alone."""
        return [n for n in self.parents(node) if n in self.computed]

    def _own(self, use: Use) -> None:
        stack = [use.node] if use.node in self.position else []
        while stack:
            node = stack.pop()
            if node not in use.inputs and node not in self.owner and not is_leaf(node):
                self.owner[node] = use
                stack += self.parents(node)

    def kind(self, node) -> str:
        """What a node is to what flows: its role in one word."""
        name = moments.base(node)
        owner = self.owner.get(node)
        if owner is not None:
            return "normalizer" if owner.weight is None else "layer"
        if _NORMS.search(name):
            return "normalizer"
        if name in moments.ACTIVATIONS:
            return "activation"
        several = len(self.signals(node)) > 1
        if name in ("Add", "Sub"):
            return "addition" if several else "passing"
        if name in ("Mul", "Div"):
            if several:
                return "normalizer" if name == "Div" or self._inverse_root(node) else "product"
            return "scale"
        return "passing" if _PASSING.search(name) else "unknown"

    def _inverse_root(self, node) -> bool:
        """Whether one factor is 1/√…, as in a normalizer written out."""
        return any(moments.base(n) in ("Rsqrt", "Reciprocal") for n in self.parents(node))

    def _walk(self, start, found: Following) -> None:
        """Go on from a node to what uses it, up to the next layers."""
        stack, seen = [start], set()
        while stack:
            node = stack.pop()
            found.output |= node in self.roots
            for user in self.users[node]:
                if user in seen:
                    continue
                seen.add(user)
                kind = self.kind(user)
                if kind == "layer":
                    if self.owner[user] not in found.next:
                        found.next.append(self.owner[user])
                    continue
                if kind == "activation":
                    found.activations += 1
                    found.activation = found.activation or user
                elif kind == "normalizer":
                    found.normalizer = True
                elif kind == "addition":
                    found.additions.append(user)
                elif kind == "product":
                    found.product = True
                elif kind == "scale":
                    found.scaled = True
                elif kind == "passing":
                    name = moments.base(user)
                    found.pooled |= "Pool" in name or name == "Mean"
                elif kind == "unknown":
                    found.unknown = True
                # Behind an addition or product it is another signal's story, as far as scale goes.
                if kind in ("activation", "normalizer", "passing", "scale"):
                    stack.append(user)

    def follow(self, use: Use) -> Following:
        """What comes behind a run of a layer or normalizer."""
        found = Following()
        if use.node in self.position:
            self._walk(use.node, found)
        found.gate = found.activation is not None and found.product
        return found

    def chain(self, use: Use) -> Use | None:
        """The one layer that gets this one's output and nothing else, through an activation."""
        after = self.after[use]
        if not after.plain or len(after.next) != 1 or after.output:
            return None
        (then,) = after.next
        before = self.before(then)
        return then if before == [use] and use is not then else None

    def before(self, use: Use) -> list[Use]:
        """The layers, additions or products whose results a layer's input is made of."""
        found, seen, stack = [], set(), list(use.inputs)
        while stack:
            node = stack.pop()
            if node in seen or node not in self.position:
                continue
            seen.add(node)
            kind = self.kind(node)
            if kind in ("layer", "normalizer") and node in self.owner:
                if self.owner[node] not in found:
                    found.append(self.owner[node])
            elif kind in ("addition", "product", "unknown", "normalizer"):
                found.append(node)
            else:
                stack += self.signals(node)
        return found
