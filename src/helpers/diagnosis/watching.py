"""One pass forward and backward through any network, summed up while it runs, that leaves no trace.

Hooks name the layers that hold weights and the normalizers. A mode for torch's functions sees what
runs between them, called as a module or not: activations, additions, a weight that is used without
its layer being called. Values are reduced to a few numbers at once and not kept.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from helpers import layerwise
from helpers.diagnosis import backwards, moments
from helpers.diagnosis.moments import Stats
from helpers.initializers import LAYERS
from helpers.layerwise import Batch

_UNITS = (*LAYERS, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.RNNCellBase, nn.Bilinear)
_WEIGHTED = ("linear", "conv1d", "conv2d", "conv3d")
_WEIGHTED += ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
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
        leaf = not any(module.children())
        if isinstance(module, (nn.MultiheadAttention, *_UNITS)) or (own and leaf):
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


class _Watch(TorchFunctionMode):
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

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name == "__get__":  # of an attribute, such as a shape
            return func(*args, **kwargs)
        if name.endswith("dropout") or name.endswith(("dropout_", "dropout1d", "dropout2d")):
            return args[0] if args else kwargs["input"]
        if name == "multi_head_attention_forward":
            kwargs = kwargs | {"training": False}  # its dropout, and nothing else
        elif name == "scaled_dot_product_attention":
            kwargs = kwargs | {"dropout_p": 0.0} if "dropout_p" in kwargs else kwargs
            args = tuple(0.0 if i == 4 else a for i, a in enumerate(args))
        elif name in _RECURRENT:
            args = tuple(0.0 if isinstance(a, float) else a for a in args)  # dropout between layers
        owner = None
        if name in _WEIGHTED and not self.running:
            weight = args[1] if len(args) > 1 else kwargs.get("weight")
            owner = self.owners.get(id(weight))
        if owner is not None:
            use = self.begin(owner, args, kwargs)
        result = func(*args, **kwargs)
        if owner is not None:
            result = self.end(use, result)
        elif isinstance(result, Tensor) and not self.running:
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
        if given and module in self.units:
            use.input, use.input_shape = self.measured(given[0]), tuple(given[0].shape)
            if given[0].grad_fn is None and not self.record.uses:
                self.record.inputs.append(use.input)
        return use

    def end(self, use: Use, output):
        """A run ends: its output, and a hook for the gradient with respect to it."""
        first = next(floating(output.data if hasattr(output, "batch_sizes") else output), None)
        if first is None:
            return output
        if not first.requires_grad and isinstance(output, Tensor) and torch.is_grad_enabled():
            # Behind frozen weights too there is a gradient to look at.
            first = output = output.detach().requires_grad_().clone()
        elif isinstance(output, Tensor) and first._is_view() and first.grad_fn is not None:
            # What works in place on a view rewrites the graph behind it; on a copy it adds to it.
            first = output = output.clone()
        module = use.module
        if module in self.units:
            self.called.add(module)
            use.weight, use.bias = _weight(module)
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

                use.node.register_prehook(keep)
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
        """Hooks on layers and normalizers, gone at the end."""

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
        hooks = []
        try:
            for module in [*self.units, *(m for m in norms if m not in inner)]:
                hooks.append(module.register_forward_pre_hook(before, with_kwargs=True))
                hooks.append(module.register_forward_hook(after, with_kwargs=True))
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _weight(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """The matrix that a layer's first numbers are read from, and its bias."""
    with torch.no_grad():
        for name in ("weight", "in_proj_weight", "weight_ih_l0", "weight_ih", "q_proj_weight"):
            weight = getattr(module, name, None)
            if isinstance(weight, Tensor):
                break
        else:
            weight = next(p for p in module.parameters() if p.ndim > 1)
        bias = getattr(module, "bias", None)
        return weight.detach(), bias.detach() if isinstance(bias, Tensor) else None


def _check_batch_norm(name: str, module: nn.Module, args) -> None:
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and args:
        shape = tuple(args[0].shape)
        if len(shape) > 1 and args[0].numel() == shape[1]:
            raise ValueError(
                f"Batch norm {name!r} gets {shape}: one value for each channel has no variance, so "
                "it cannot train on this batch. Give two examples or more."
            )


@contextmanager
def _as_in_training(network: nn.Module):
    """Training mode but for what drops at random; at the end every module as it was."""
    modes = [(module, module.training) for module in network.modules()]
    # Old-style weight and spectral norm put a computed weight among the plain attributes.
    plain = [
        (m, {k: v for k, v in vars(m).items() if isinstance(v, Tensor)}) for m in network.modules()
    ]
    try:
        for module, _ in modes:
            name = type(module).__name__.lower()
            module.training = not (
                ("drop" in name or "stochasticdepth" in name) and not any(module.children())
            )
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for module, attributes in plain:
            vars(module).update(attributes)


def _detached(batch: Batch) -> Batch:
    def one(argument):
        return argument.detach() if isinstance(argument, Tensor) else argument

    if isinstance(batch, Mapping):
        return {name: one(argument) for name, argument in batch.items()}
    return one(batch) if isinstance(batch, Tensor) else tuple(one(a) for a in batch)


def check_batch(network: nn.Module, batch: Batch) -> None:
    """Raise ValueError for what is no batch, or parameters that are not there yet."""
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"The model is {type(network).__name__}; expected an nn.Module, such as "
            "nn.Sequential(nn.Linear(4, 2))."
        )
    if not isinstance(batch, Tensor | tuple | list | Mapping) or not len(batch):
        size = "empty" if isinstance(batch, Tensor | tuple | list | Mapping) else "no batch"
        raise ValueError(
            f"The batch is {size}: {type(batch).__name__}; expected a tensor (batch, ...), a tuple "
            "of arguments, or a dict of named ones, with at least one example."
        )
    for name, parameter in network.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise ValueError(
                f"Parameter {name!r} has no values yet (a lazy layer). Run a batch through the "
                "model first."
            )


def watch(network: nn.Module, batch: Batch, loss: Callable | None) -> Record:
    """Pass the batch through forward and backward; see `helpers.diagnosis.diagnose`."""
    record = Record()
    mode = _Watch(network, record)
    if not mode.units:
        raise ValueError(
            f"{type(network).__name__} holds no layer with weights; expected one that does, such "
            "as nn.Linear or nn.Conv2d. There is nothing to diagnose."
        )
    gpus = {p.device.index for p in network.parameters() if p.device.type == "cuda"}
    with (
        torch.random.fork_rng(devices=sorted(gpus)),
        torch.inference_mode(False),
        torch.enable_grad(),
        _as_in_training(network),
        mode.hooked(network),
    ):
        with mode:
            result = layerwise.run(network, _detached(batch))
        record.outputs = list(floating(result))
        if not record.outputs:
            raise ValueError(
                f"The output is {type(result).__name__} without a tensor of real numbers; expected "
                "one, alone or in a tuple, mapping or data class. Wrap the model so that it "
                "returns its scores."
            )
        value = backwards.functional(record.outputs) if loss is None else loss(result)
        backwards.check_loss(value)
        size = max((u.shape[0] for u in record.uses if u.shape), default=None)
        record.collapsed = backwards.collapsed(record.outputs, size)
        record.order = backwards.order(record.outputs)
        targets = backwards.targets(backwards.order([value]), record.nodes)
        if targets:
            torch.autograd.grad(value, targets, allow_unused=True)
    used = {id(node.variable) for node in record.order if backwards.is_leaf(node)}
    for module, name in mode.units.items():
        if module not in mode.called and not any(id(p) in used for p in module.parameters()):
            record.unreached.append((name, module))
    return record
