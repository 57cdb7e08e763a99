"""What runs, summed up while it runs.

Hooks name the layers that hold weights and the normalizers. A mode for torch's functions sees what
runs between them, called as a module or not: activations, additions, a weight that is used without
its layer being called. Values are reduced to a few numbers at once and not kept.
"""

import re
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from helpers.diagnosis import moments
from helpers.diagnosis.moments import Stats
from helpers.diagnosis.recording import Record, Use, floating, layers, weight_of
from helpers.initializers import LAYERS

_WEIGHTED = ("linear", "conv1d", "conv2d", "conv3d")
_WEIGHTED += ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_DROPOUT = re.compile(r"(feature_)?(alpha_)?dropout(\dd)?_?")
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


class Watch(TorchFunctionMode):
    """What runs inside: its numbers go to a `Record`; dropout lets everything through."""

    def __init__(self, network: nn.Module, record: Record):
        super().__init__()
        self.record, self.units = record, layers(network)
        self.running: list[Use] = []
        self.called: set[nn.Module] = set()
        self.owners = {
            id(p): m for m in self.units for p in m.parameters(recurse=False) if p.ndim > 1
        }
        self.counts: dict[str, int] = {}
        self.handles = []
        self.done = False  # checkpointing runs layers again on the way back

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name == "__get__":  # of an attribute, such as a shape
            return func(*args, **kwargs)
        if _DROPOUT.fullmatch(name):
            return args[0] if args else kwargs["input"]
        if name == "multi_head_attention_forward":
            kwargs = kwargs | {"training": False}  # its dropout, and nothing else
        elif name == "scaled_dot_product_attention":
            kwargs = kwargs | {"dropout_p": 0.0} if "dropout_p" in kwargs else kwargs
            args = tuple(0.0 if i == 4 else a for i, a in enumerate(args))
        elif name in _RECURRENT:
            args = tuple(0.0 if isinstance(a, float) else a for a in args)  # dropout between layers
        owner = None
        if name in _WEIGHTED and not self.running and not self.done:
            weight = args[1] if len(args) > 1 else kwargs.get("weight")
            owner = self.owners.get(id(weight))
        if owner is not None:
            use = self.begin(owner, args, kwargs)
        result = func(*args, **kwargs)
        if owner is not None:
            result = self.end(use, result)
        elif isinstance(result, Tensor) and not self.running and not self.done:
            self.note(result)
        return result

    def note(self, result: Tensor) -> None:
        """Keep the numbers of an activation's or an addition's result."""
        node = result.grad_fn
        if node is None or (node, result.output_nr) in self.record.places:
            return
        base = moments.base(node)
        if base in moments.ACTIVATIONS or base == "Add":
            axis = self.axis(node, result)
            bounds = moments.BOUNDS.get(moments.ACTIVATIONS.get(base))
            rectified = moments.is_rectifier(node)
            stats = moments.stats(result, axis if rectified else None, bounds, zero=rectified)
            self.record.places[node, result.output_nr] = stats

    def axis(self, node, result: Tensor) -> int | None:
        """Where an activation's result has the units of the layer before it; None if unclear."""
        moved = False
        for _ in range(20):
            parents = [n for n, _ in node.next_functions if n is not None]
            parents = [n for n in parents if moments.base(n) != "torch::autograd::AccumulateGrad"]
            if node in self.record.nodes and self.record.nodes[node].weight is not None:
                use = self.record.nodes[node]
                units = use.shape[use.axis]
                if not moved and result.ndim >= -use.axis and result.shape[use.axis] == units:
                    return use.axis
                fitting = [a - result.ndim for a, n in enumerate(result.shape) if n == units]
                return fitting[0] if len(fitting) == 1 else None
            if not parents:
                return None
            moved |= moments.base(node) in ("Permute", "Transpose", "View", "Reshape")
            node = parents[0]
        return None

    def begin(self, module: nn.Module, args, kwargs) -> Use:
        """A run of a layer starts: its arguments."""
        name = self.units.get(module, "")
        self.counts[name] = self.counts.get(name, 0) + 1
        use = Use(name, module, self.counts[name], None, None, -1)
        given = list(floating([args, kwargs]))
        # A functional call names its own weight among the arguments.
        own = {id(p) for p in module.parameters()}
        given = [t for t in given if id(t) not in own]
        use.inputs = {t.grad_fn for t in given if t.grad_fn is not None}
        if given and module in self.units and not self.done:
            use.input, use.input_shape = self.measured(given[0]), tuple(given[0].shape)
            if given[0].grad_fn is None and not self.record.uses:
                self.record.inputs.append(use.input)
        return use

    def end(self, use: Use, output):
        """A run ends: its output, and a hook for the gradient with respect to it."""
        first = next(floating(output), None)
        if first is None:
            return output
        if not first.requires_grad and isinstance(output, Tensor) and torch.is_grad_enabled():
            # Behind frozen weights too there is a gradient to look at.
            first = output = output.detach().requires_grad_().clone()
        elif isinstance(output, Tensor) and first._is_view() and first.grad_fn is not None:
            # What works in place on a view rewrites the graph behind it; on a copy it adds to it.
            first = output = output.clone()
        if self.done:
            return output
        module = use.module
        if module in self.units:
            self.called.add(module)
            use.weight, use.bias = weight_of(module)
            use.axis = -1 if not isinstance(module, LAYERS) else 1 - use.weight.ndim
            if isinstance(module, nn.Linear):
                use.axis = -1
            self.record.uses.append(use)
            use.output = self.measured(first)
        use.shape = tuple(first.shape)
        use.node = first.grad_fn
        if use.node is not None:
            self.record.nodes[use.node] = use
            if use.weight is not None:
                number = first.output_nr

                def keep(gradients, use=use):
                    gradient = gradients[number]
                    use.backward = 0.0 if gradient is None else moments.second_moment(gradient)

                self.handles.append(use.node.register_prehook(keep))
        return output

    def measured(self, tensor: Tensor) -> Stats:
        """A tensor's numbers, computed once for each place in the graph."""
        place = (tensor.grad_fn, tensor.output_nr)
        if tensor.grad_fn is None:
            return moments.stats(tensor)
        if place not in self.record.places:
            self.record.places[place] = moments.stats(tensor)
        return self.record.places[place]

    @contextmanager
    def hooked(self, network: nn.Module):
        """Hooks on layers and normalizers, gone at the end, as are those on the graph."""

        def before(module, args, kwargs):
            _check_batch_norm(names[module], module, args)
            if module in self.units or not self.running:
                self.running.append(self.begin(module, args, kwargs))

        def after(module, args, kwargs, output):
            if self.running and self.running[-1].module is module:
                use = self.running.pop()
                return self.end(use, output)
            return None

        names = {module: name for name, module in network.named_modules()}
        inner = {m for unit in self.units for m in unit.modules()} - set(self.units)
        norms = [
            m
            for m in names
            if "Norm" in type(m).__name__ and not any(m.children()) and m not in self.units
        ]
        try:
            for module in [*self.units, *(m for m in norms if m not in inner)]:
                self.handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
                self.handles.append(module.register_forward_hook(after, with_kwargs=True))
            yield
        finally:
            for handle in self.handles:
                handle.remove()


def _check_batch_norm(name: str, module: nn.Module, args) -> None:
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and args:
        shape = tuple(args[0].shape)
        if len(shape) > 1 and args[0].numel() == shape[1]:
            raise ValueError(
                f"Batch norm {name!r} gets {shape}: one value for each channel has no variance, so "
                "it cannot train on this batch. Give two examples or more."
            )
