"""Where residual branches join their shortcuts, read from the graph of a pass."""

from dataclasses import dataclass

from helpers.diagnosis.following import Graph
from helpers.diagnosis.recording import Use


@dataclass(eq=False)
class Addition:
    """A place where a branch joins its shortcut: the nodes of the sum and of its two parts."""

    node: object
    shortcut: object
    branch: object
    normalized: bool  # somewhere in the branch
    layers: list[Use]  # of the branch, in the order of running
    previous: object = None  # the sum that the shortcut carries on, if nothing normalizes it


def additions(graph: Graph) -> list[Addition]:
    """All of them, in the order of running."""
    return [a for a in (_addition(graph, node) for node in graph.record.order) if a is not None]


def origin(graph: Graph, node, through: int = 0) -> list:
    """A node and what it is a view, a pooling or an activation of, back to a layer or a sum.

    ``through`` so many layers or normalizers it goes further back: a shortcut may project.
    """
    found = [node]
    while True:
        kind, at = graph.kind(found[-1]), found[-1]
        if kind in ("layer", "normalizer") and at in graph.owner and through:
            before = [n for n in graph.owner[at].inputs if n in graph.position]
            through -= 1
        elif kind in ("passing", "activation"):
            before = graph.signals(at)
        else:
            return found
        if len(before) != 1:
            return found
        found += before


def _addition(graph: Graph, node) -> Addition | None:
    if node in graph.owner or graph.kind(node) != "addition":
        return None
    one, other = graph.signals(node)[:2]
    for through in (0, 1, 2):  # nothing, a projection, a normalized one
        for shortcut, branch in ((one, other), (other, one)):
            found = _joined(graph, node, shortcut, branch, origin(graph, shortcut, through))
            if found is not None:
                return found
    return None


def _joined(graph: Graph, node, shortcut, branch, origins: list) -> Addition | None:
    """The addition, if the branch begins where the shortcut does."""
    layers, normalized, reached = [], False, False
    first = min(graph.position[n] for n in origins)
    stack, seen = [branch], set()
    while stack:
        at = stack.pop()
        if at in seen or graph.position[at] < first:
            continue
        seen.add(at)
        if at in origins:
            reached = True
            continue
        owner = graph.owner.get(at)
        if owner is not None and owner.weight is not None and owner not in layers:
            layers.append(owner)
        normalized |= graph.kind(at) == "normalizer"
        stack += graph.signals(at)
    if not (reached and layers):
        return None
    layers.sort(key=graph.record.uses.index)
    ends = [n for n in origins if graph.kind(n) == "addition" and n not in graph.owner]
    if any(graph.kind(n) == "normalizer" for n in origins):
        ends = []
    return Addition(node, shortcut, branch, normalized, layers, ends[0] if ends else None)
