"""New first weights for a network that has the wrong ones, with a report of what was done.

`repair` draws the weights of any ``nn.Module`` by a scheme, or lets them follow a batch (LSUV),
and measures each layer's output before and after.
"""

import math
from dataclasses import dataclass
from html import escape

import pandas as pd
import torch
from torch import Tensor, nn

from helpers import checks, data_dependent, devices, diagnosis, initializers, layerwise, tables
from helpers.diagnosis import expecting
from helpers.diagnosis.passing import as_in_training
from helpers.layerwise import Batch

#: What `repair` can do, by name: the schemes, and two that look at the network.
SCHEMES = ("lsuv", "fitting", *initializers.SCHEMES)


@dataclass(frozen=True)
class Repair:
    """What was done to a network.

    ``table`` has a row for each linear and convolutional layer, in the order of running: ``layer``,
    ``kind``, ``uses`` in a pass, second moment of its output over the batch ``before`` and
    ``after``, ``weight_before`` and ``weight_after`` (root mean square of the weights), ``scheme``,
    and ``state``: ``set``, or why it was left alone (``frozen``, ``tied``, ``not reached``).
    """

    scheme: str
    table: pd.DataFrame

    @property
    def summary(self) -> str:
        """What was done, in a sentence or two."""
        done, left = (self.table[(self.table["state"] == "set") == kept] for kept in (True, False))
        lowest, highest = (f"{getattr(done['after'], which)():.4g}" for which in ("min", "max"))
        text = (
            f"{self.scheme}: new first weights in {len(done)} of {len(self.table)} layers. Second "
            f"moments of their outputs were {done['before'].min():.4g} to "
            f"{done['before'].max():.4g} and are {lowest} to {highest} now."
        )
        for state, rows in left.groupby("state", sort=False):
            text += f" Left alone, {state}: {', '.join(rows['layer'])}."
        return text

    def __str__(self) -> str:
        return f"{self.summary}\n\n{tables.significant(self.table).to_string(index=False)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = tables.significant(self.table).to_html(index=False, border=0)
        return f"<p>{escape(self.summary)}</p>\n{shown}"


def repair(
    model: nn.Module,
    batch: Batch,
    scheme: str = "lsuv",
    *,
    generator: torch.Generator | None = None,
    sigma: float | None = None,
    gain: float | None = None,
    tolerance: float = 0.01,
) -> Repair:
    """Give the linear and convolutional layers of a model new first weights, in place.

    ``batch`` is what the model takes: a tensor (batch, …), a tuple of arguments, or a dict of named
    ones. ``scheme`` is one of

    * ``"lsuv"``: every layer's output gets second moment 1 over the batch, within ``tolerance``
      (`data_dependent.lsuv`). With a ``generator`` from orthonormal weights and zero biases, and
      without one by rescaling the weights that are there.
    * ``"fitting"``: variance gain²/fan_in, with the gain of the activation that follows the layer
      (as `diagnosis.diagnose` finds it; 1 where none does), biases zero.
    * a name in `initializers.SCHEMES`, with ``sigma`` or ``gain`` as it takes them.

    The last two draw from ``generator``. Everything else stays as it was: normalization,
    embeddings, recurrent cells, buffers, mode, gradients, random states, and the layers that are
    frozen, tied to another kind of module, or not reached by the batch. After an error the weights
    are the old ones too. The passes are made in training mode, as normalization then is at work,
    with dropout off. Raises ValueError for an unknown scheme, for a missing generator, and as
    `data_dependent.lsuv` and `initializers.initialize` do.
    """
    checks.known("scheme", scheme, SCHEMES)
    if generator is None and scheme != "lsuv":
        raise ValueError(
            f"The scheme {scheme!r} draws weights and has no generator; pass one, such as "
            "generator=torch.Generator().manual_seed(0)."
        )
    if (sigma, gain) != (None, None) and scheme in ("lsuv", "fitting"):
        raise ValueError(
            f"sigma is {sigma!r} and gain {gain!r}, but {scheme!r} finds the scale itself. Leave "
            "them out, or take the scheme 'normal'."
        )
    with as_in_training(model), torch.no_grad(), layerwise.treated(model, batch) as layers:
        before, sizes = _measured(model, batch, layers), _weights(layers)
        done = [layer for layer in layers if layer.state == "set"]
        names = {layer.name: scheme for layer in done}
        if scheme == "lsuv":
            data_dependent.lsuv(model, batch, generator=generator, tolerance=tolerance)
        elif scheme == "fitting":
            found = _following(model, batch)
            for layer in done:
                activation = found.get(layer.name) or "linear"
                fitting = _gain(activation)
                names[layer.name] = f"gain {fitting:.4g}, for {activation}"
                _draw([layer], "lecun", generator, gain=fitting)
        else:
            _draw(done, scheme, generator, sigma=sigma, gain=gain)
        after = _measured(model, batch, layers)
        table = layerwise.table(layers)[["layer", "kind", "uses", "state"]]
        table = table.assign(
            before=before, after=after, weight_before=sizes, weight_after=_weights(layers)
        )
        table["scheme"] = table["layer"].map(names).fillna("")
    order = ["layer", "kind", "uses", "before", "after", "weight_before", "weight_after"]
    return Repair(scheme, table[[*order, "scheme", "state"]])


def _following(model: nn.Module, batch: Batch) -> dict[str, str]:
    """The activation behind each layer that has one."""
    table = diagnosis.diagnose(model, batch).table
    return dict(zip(table["layer"], table["activation"]))


def _gain(activation: str) -> float:
    """What keeps second moment 1; 1 for an activation that is not known."""
    moment = expecting.through(None if activation == "linear" else activation, 1.0)[0]
    return 1 / math.sqrt(moment) if moment > 0 else 1.0


def _draw(layers: list[layerwise.Layer], scheme: str, generator, **options) -> None:
    """Draw the weights of layers, and those of their biases that may change."""
    modules = nn.ModuleList(module for layer in layers for module in layer.modules)
    frozen = [m.bias for m in modules if m.bias is not None and not m.bias.requires_grad]
    frozen = [(bias, bias.clone()) for bias in frozen]
    initializers.initialize(modules, scheme, generator=generator, **options)
    for bias, value in frozen:
        bias.copy_(value)


def _measured(model: nn.Module, batch: Batch, layers: list[layerwise.Layer]) -> list[float]:
    """Mean square of each layer's outputs over a pass; NaN where the batch does not reach it."""
    found: dict[int, list[Tensor]] = {}

    def visit(layer, module, output, again):
        found.setdefault(id(layer), []).append(devices.double(output).flatten())

    layerwise.run(model, batch, layers, visit)
    return [
        torch.cat(found[id(layer)]).square().mean().item() if id(layer) in found else math.nan
        for layer in layers
    ]


def _weights(layers: list[layerwise.Layer]) -> list[float]:
    return [devices.double(one.module.weight).square().mean().sqrt().item() for one in layers]
