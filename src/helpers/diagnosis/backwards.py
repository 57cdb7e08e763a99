"""The way back: a scalar to differentiate, and the fewest parameters to differentiate it by.

A node of the graph computes its gradient only on the way to something that was asked for. Asking
for one small parameter at each beginning of the network makes all layers' gradients pass by, and
leaves out the weights' own, which are not looked at.
"""

import torch
from torch import Tensor

from helpers import devices
from helpers.diagnosis import moments


def functional(outputs: list[Tensor]) -> Tensor:
    """A fixed random linear functional: each output's gradient is a standard normal draw."""
    generator, value = torch.Generator().manual_seed(0), 0.0
    for output in outputs:
        weights = torch.randn(output.shape, generator=generator).to(output.device)
        wide = output if output.dtype == torch.float64 else output.float()
        value = value + (wide * weights).sum()
    return value


def check_loss(value) -> None:
    """Raise ValueError for a loss that is no scalar or does not depend on the network."""
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"The loss is {shape}; expected a tensor of one number, such as its mean over the "
            "batch."
        )
    if not value.requires_grad:
        raise ValueError(
            f"The loss is {value.item():.4g} and depends on no layer; expected one computed from "
            "the model's output, without detach() or no_grad()."
        )


def collapsed(outputs: list[Tensor], size: int | None) -> bool:
    """Whether all examples of the batch give the same output, but for rounding."""
    outputs = [o.detach() for o in outputs if o.ndim > 1 and len(o) == size and size > 1]
    for output in outputs:
        wide = devices.double(output)
        spread = (wide - wide[:1]).square().mean()
        eps = torch.finfo(output.dtype).eps
        # 1e-6 of the output's size, or what rounding explains
        if not spread <= max(1e-12, 16 * eps**2) * wide.square().mean():
            return False
    return bool(outputs)


def order(outputs: list[Tensor]) -> list:
    """Every node of the graph, each behind those that it computes from."""
    seen, found = set(), []
    stack = [(o.grad_fn, False) for o in outputs if o.grad_fn is not None]
    while stack:
        node, done = stack.pop()
        if done:
            found.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(n, False) for n, _ in node.next_functions if n is not None]
    return found


def is_leaf(node) -> bool:
    """Whether a node is the end of the graph at a parameter."""
    return moments.base(node) == "torch::autograd::AccumulateGrad"


def targets(nodes: list, watched) -> list[Tensor]:
    """Parameters whose gradients cannot be had without passing all ``watched`` nodes."""
    reached, behind, found = set(), {}, {}
    for node in nodes:  # inputs first
        parents = [n for n, _ in node.next_functions if n is not None]
        if is_leaf(node):
            behind[node] = node.variable
            continue
        known = [behind[n] for n in parents if n in behind]
        if known:
            behind[node] = min(known, key=lambda p: p.numel())
        if any(n in reached for n in parents):
            reached.add(node)
        elif node in watched and node in behind:
            reached.add(node)
            found[id(behind[node])] = behind[node]
    return list(found.values())
