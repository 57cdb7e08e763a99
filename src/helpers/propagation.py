"""What flows through a network: every layer's outputs on the way forward, and on the way back
the gradient of the loss with respect to them, summarized in a tidy table.

It works on any ``nn.Module`` and leaves it as it was: parameters, their ``grad``, buffers (running
averages), hooks and mode.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from helpers import checks, devices

#: Where a bounded activation levels off, by its name in lower case; within 1 % of the range from
#: there it is saturated.
BOUNDS = {
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "erf": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
}
#: Those in the table of `statistics`, in columns ``q05`` … ``q95``.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SAMPLE = 1 << 20  # values sorted for the quantiles of one layer; every other statistic uses all


@dataclass(frozen=True)
class Signal:
    """One layer's output for a batch, and the gradient of the loss with respect to it.

    ``layer`` is the module's name in the network, ``kind`` its class (or the function that it
    applies). ``forward`` has shape (batch, units) or (batch, channels, …); ``backward`` the same
    shape, or is None where no loss was given or none depends on this layer.
    """

    index: int
    layer: str
    kind: str
    forward: Tensor
    backward: Tensor | None


def observe(
    network: nn.Module,
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor] | None = None,
) -> list[Signal]:
    """Pass ``inputs`` through the network once and collect the output of every leaf module.

    ``loss`` maps the network's output to a scalar tensor; with it, one backward pass collects
    d loss / d output of the same modules. The network is used as it is, in its present mode
    (training or evaluation). A module that runs twice yields two signals. Raises ValueError for
    an empty batch or a loss that is no scalar; whatever the network itself raises passes through,
    and the hooks are gone all the same.
    """
    checks.count("the batch", len(inputs))
    leaves = {m: name for name, m in network.named_modules() if not any(m.children())}
    outputs: list[tuple[nn.Module, Tensor]] = []

    def collect(module, _arguments, output):
        if not isinstance(output, Tensor):
            return None
        outputs.append((module, output))
        # The next layer gets a copy, in case that it works in place: ours stays what it was.
        return output.clone()

    hooks = [module.register_forward_hook(collect) for module in leaves]
    # Batch normalization updates its averages in training mode: let it update copies.
    state = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        # The inputs must need a gradient, or a network with frozen weights has none.
        inputs = inputs.detach().requires_grad_(loss is not None and inputs.is_floating_point())
        with torch.set_grad_enabled(loss is not None), torch.random.fork_rng():
            result = torch.func.functional_call(network, state, (inputs,))
            gradients = [None] * len(outputs)
            if loss is not None:
                value = loss(result)
                if value.numel() != 1:
                    raise ValueError(
                        f"The loss has shape {tuple(value.shape)}; expected one number, such as "
                        "its mean over the batch."
                    )
                floating = [output for _, output in outputs if output.requires_grad]
                found = iter(torch.autograd.grad(value, floating, allow_unused=True))
                gradients = [next(found) if o.requires_grad else None for _, o in outputs]
    finally:
        for hook in hooks:
            hook.remove()
    return [
        Signal(index, leaves[module] or "network", _kind(module), output.detach(), gradient)
        for index, ((module, output), gradient) in enumerate(zip(outputs, gradients), start=1)
    ]


def statistics(signals: Sequence[Signal]) -> pd.DataFrame:
    """Summarize signals, one row for each layer and direction.

    Columns: ``index``, ``layer``, ``kind``, ``direction`` (``forward``: activations; ``backward``:
    gradients), then over all examples and units ``mean``, ``variance`` (about that mean),
    ``second_moment`` (about zero), ``fraction_zero`` (values that are exactly zero),
    ``fraction_dead`` (units, or channels, that are zero for every example and place),
    ``fraction_saturated`` (values within 1 % of a bound of a bounded activation; NaN for others),
    ``fraction_finite``, and the quantiles ``q05`` … ``q95`` (NaN where a value is not finite).
    Moments of values that overflow are inf or NaN: that is a finding, not an error.
    """
    rows = []
    for signal in signals:
        for direction in ("forward", "backward"):
            values = getattr(signal, direction)
            if values is not None:
                bounds = BOUNDS.get(signal.kind.lower()) if direction == "forward" else None
                rows.append(_key(signal, direction) | _summary(values, bounds))
    return pd.DataFrame(rows)


def histograms(
    signals: Sequence[Signal], *, bins: int = 41, span: float | None = None
) -> pd.DataFrame:
    """Count how the values of every layer and direction are spread.

    Each layer has ``bins`` equal bins from ``-span`` to ``span``, by default the largest absolute
    value of all the signals in that direction, so that layers share one axis. Columns: ``index``,
    ``layer``, ``kind``, ``direction``, ``center``, ``width``, ``density`` (per unit of the axis;
    it integrates to the share of values inside the span). Values that are not finite are left out.
    Raises ValueError for ``bins`` below 1 and a ``span`` that is not a finite number above zero.
    """
    bins = checks.count("bins", bins)
    limit = None if span is None else checks.positive("span", span)
    tables = []
    for direction in ("forward", "backward"):
        chosen = [s for s in signals if getattr(s, direction) is not None]
        values = [getattr(s, direction).flatten() for s in chosen]
        values = [v[v.isfinite()] for v in values]
        reach = limit or max((v.abs().max().item() for v in values if len(v)), default=0.0) or 1.0
        edges = torch.linspace(-reach, reach, bins + 1, dtype=torch.float64)
        width = 2 * reach / bins
        for signal, value in zip(chosen, values):
            counted = torch.histogram(value.double().cpu(), edges).hist
            tables.append(
                pd.DataFrame(
                    _key(signal, direction)
                    | {
                        "center": ((edges[:-1] + edges[1:]) / 2).numpy(),
                        "width": width,
                        "density": (counted / (max(len(value), 1) * width)).numpy(),
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def _kind(module: nn.Module) -> str:
    function = getattr(module, "function", None)
    return getattr(function, "__name__", type(module).__name__)


def _key(signal: Signal, direction: str) -> dict:
    return {
        "index": signal.index,
        "layer": signal.layer,
        "kind": signal.kind,
        "direction": direction,
    }


def _summary(values: Tensor, bounds: tuple[float, float] | None) -> dict[str, float]:
    flat = devices.double(values.detach().flatten())
    by_unit = values.reshape(len(values), -1) if values.ndim < 3 else values.transpose(0, 1)
    dead = (by_unit == 0).all(dim=0) if values.ndim < 3 else (by_unit == 0).flatten(1).all(dim=1)
    saturated = float("nan")
    if bounds is not None:
        margin = 0.01 * (bounds[1] - bounds[0])
        outside = (flat < bounds[0] + margin) | (flat > bounds[1] - margin)
        saturated = outside.double().mean().item()
    finite = flat.isfinite().double().mean().item()
    quantiles = [float("nan")] * len(QUANTILES)
    if finite == 1:
        quantiles = _sample(flat).quantile(flat.new_tensor(QUANTILES)).tolist()
    mean = flat.mean()
    return {
        "mean": mean.item(),
        "variance": (flat - mean).square().mean().item(),
        "second_moment": flat.square().mean().item(),
        "fraction_zero": (flat == 0).double().mean().item(),
        "fraction_dead": dead.double().mean().item(),
        "fraction_saturated": saturated,
        "fraction_finite": finite,
    } | {f"q{round(100 * q):02d}": value for q, value in zip(QUANTILES, quantiles)}


def _sample(flat: Tensor) -> Tensor:
    """All values, or a fixed random choice of them. Not every k-th: a stride that shares a factor
    with the layer's width would meet the same few units over and over."""
    if len(flat) <= _SAMPLE:
        return flat
    generator = torch.Generator().manual_seed(0)
    return flat[torch.randint(len(flat), (_SAMPLE,), generator=generator).to(flat.device)]
