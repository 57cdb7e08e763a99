"""One pass forward and backward through any network that leaves no trace."""

from collections.abc import Callable, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from helpers import layerwise
from helpers.diagnosis import backwards
from helpers.diagnosis.recording import Record, floating
from helpers.diagnosis.watching import Watch
from helpers.layerwise import Batch


@contextmanager
def as_in_training(network: nn.Module):
    """Training mode but for what drops at random; at the end every module as it was.

    That takes in plain attributes: a mode, a counter, a state carried from pass to pass, the
    weight that old-style weight norm computes.
    """
    saved = [(module, dict(vars(module))) for module in network.modules()]
    try:
        for module, _ in saved:
            name = type(module).__name__.lower()
            drops = "drop" in name or "stochasticdepth" in name
            module.training = not drops or any(module.children())
        yield
    finally:
        for module, attributes in saved:
            for name in vars(module).keys() - attributes.keys():
                del vars(module)[name]
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
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise ValueError(
            f"{type(network).__name__} is compiled by TorchScript, or holds what is, and takes no "
            "hooks; expected plain modules. Give the model as it was before torch.jit."
        )
    known = isinstance(batch, Tensor | tuple | list | Mapping)
    known = known and not (isinstance(batch, Tensor) and batch.ndim == 0)
    if not known or not len(batch):
        size = "empty" if known else "no batch"
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
    mode = Watch(network, record)
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
        as_in_training(network),
        mode.hooked(network),
    ):
        with mode:
            result = layerwise.run(network, _detached(batch))
        mode.done = True
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
            with mode:
                torch.autograd.grad(value, targets, allow_unused=True)
    used = {id(node.variable) for node in record.order if backwards.is_leaf(node)}
    for module, name in mode.units.items():
        if module not in mode.called and not any(id(p) in used for p in module.parameters()):
            record.unreached.append((name, module))
    return record
