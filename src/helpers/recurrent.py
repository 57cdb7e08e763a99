"""Recurrent networks and their first weights: what a step keeps of the step before."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import checks, initializers

#: The cells by name: PyTorch's LSTM, and its plain recurrent layer with tanh or ReLU.
CELLS = ("lstm", "tanh", "relu")


class Recurrent(nn.Module):
    """One recurrent layer, then a linear readout at the last ``recall`` steps.

    Inputs are tokens, (batch, time), int64, each below ``inputs`` and taken as one-hot, or numbers,
    (batch, time, inputs). The result is logits, (batch, classes, recall), as ``F.cross_entropy``
    takes them with labels (batch, recall); with ``recall=None`` they are (batch, classes), read
    from the last step. ``cell`` is one of `CELLS`, ``width`` the number of its units. All weights
    are zero until `initialize` draws them. Raises ValueError for a number below 1 and an unknown
    cell.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        classes: int,
        *,
        cell: str = "lstm",
        recall: int | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        self.inputs = checks.count("inputs", inputs)
        self.recall = recall if recall is None else checks.count("recall", recall)
        checks.count("width", width)
        checks.count("classes", classes)
        # Built without storage first: a constructor would draw from the global generator.
        options = {"batch_first": True, "dtype": dtype, "device": "meta"}
        if checks.known("cell", cell, CELLS) == "lstm":
            self.layer = nn.LSTM(inputs, width, **options)
        else:
            self.layer = nn.RNN(inputs, width, nonlinearity=cell, **options)
        self.readout = nn.Linear(width, classes, dtype=dtype, device="meta")
        self.to_empty(device="cpu")
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, sequences: Tensor) -> Tensor:
        if not sequences.is_floating_point():
            sequences = F.one_hot(sequences, self.inputs).to(self.readout.weight)
        states, _ = self.layer(sequences)
        if self.recall is None:
            return self.readout(states[:, -1])
        return self.readout(states[:, -self.recall :]).transpose(1, 2)


@dataclass(frozen=True)
class Scheme:
    """How the first weights of a recurrent layer of width n are drawn.

    ``recurrent`` draws the weights from state to state: it fills a tensor. All other weights are
    uniform within ±1/√n, as in PyTorch. ``forget`` draws the biases of an LSTM's forget gates,
    (n,), from the number of steps to remember; with ``mirrored`` the input gates get their
    negatives, and all other biases are zero. Where ``biases`` is "uniform" all are, within ±1/√n.
    """

    summary: str
    recurrent: Callable[[Tensor, torch.Generator], Tensor] | None = None
    forget: Callable[[Tensor, torch.Generator, float], Tensor] | None = None
    mirrored: bool = False
    biases: str = "zeros"
    needs_gap: bool = False


def _uniform(weight: Tensor, generator: torch.Generator) -> Tensor:
    bound = 1 / math.sqrt(weight.shape[-1])
    return nn.init.uniform_(weight, -bound, bound, generator=generator)


def _normal(weight: Tensor, generator: torch.Generator) -> Tensor:
    return nn.init.normal_(weight, 0.0, 1 / math.sqrt(len(weight)), generator=generator)


def _orthogonal(weight: Tensor, generator: torch.Generator) -> Tensor:
    return nn.init.orthogonal_(weight, generator=generator)


def _identity(weight: Tensor, generator: torch.Generator) -> Tensor:
    return nn.init.eye_(weight)


def _chrono(bias: Tensor, generator: torch.Generator, gap: float) -> Tensor:
    return nn.init.uniform_(bias, 1, gap - 1, generator=generator).log_()


#: The schemes by name; those with a forget bias are for LSTMs.
SCHEMES: dict[str, Scheme] = {
    "pytorch": Scheme("PyTorch's default: everything uniform within ±1/√n", biases="uniform"),
    "forget-0": Scheme("every bias zero", forget=lambda b, g, gap: b.zero_()),
    "forget-1": Scheme(
        "forget bias 1 (Jozefowicz et al. 2015)",
        forget=lambda b, g, gap: b.fill_(1.0),
    ),
    "forget-log": Scheme(
        "forget bias ln T for T steps",
        forget=lambda b, g, gap: b.fill_(math.log(gap)),
        needs_gap=True,
    ),
    "chrono": Scheme(
        "forget biases ln U(1, T − 1), input biases their negatives (Tallec and Ollivier 2018)",
        forget=_chrono,
        mirrored=True,
        needs_gap=True,
    ),
    "normal": Scheme("from state to state normal with variance 1/n", recurrent=_normal),
    "orthogonal": Scheme("from state to state orthogonal", recurrent=_orthogonal),
    "identity": Scheme("from state to state the identity (Le et al. 2015)", recurrent=_identity),
}


@torch.no_grad()
def initialize(
    network: Recurrent,
    scheme: str | Scheme,
    *,
    generator: torch.Generator,
    gap: float | None = None,
) -> Recurrent:
    """Draw all weights and biases in place; return the network.

    The weights come first, so one generator state means the same weights under every scheme for
    an LSTM: only the biases differ. Of PyTorch's two biases the input's is set and the state's
    is zero, save under its own default. The readout has variance 1/width and zero bias under all.
    ``gap``, the number of steps to remember, is for the schemes that ask for it, and above 2.
    Raises ValueError for an unknown scheme, one that is for the other kind of cell, and a gap
    that is missing.
    """
    if not isinstance(scheme, Scheme):
        scheme = SCHEMES[checks.known("scheme", scheme, SCHEMES)]
    layer = network.layer
    gated = isinstance(layer, nn.LSTM)
    if (gated and scheme.recurrent) or (scheme.forget and not gated):
        raise ValueError(
            f"The scheme '{scheme.summary}' is not for {layer}; forget biases are for an LSTM, "
            "and matrices such as the orthogonal for a plain recurrent layer."
        )
    if scheme.needs_gap and not (gap is not None and checks.positive("gap", gap) > 2):
        raise ValueError(
            f"gap is {gap!r}, but the scheme '{scheme.summary}' needs the number of steps to "
            "remember, above 2, such as gap=100."
        )
    n = layer.hidden_size
    recurrent = scheme.recurrent or _uniform
    bound = 1 / math.sqrt(n)
    nn.init.uniform_(layer.weight_ih_l0, -bound, bound, generator=generator)
    recurrent(layer.weight_hh_l0, generator)
    initializers.initialize(network, "lecun", generator=generator)
    for bias in (layer.bias_ih_l0, layer.bias_hh_l0):
        nn.init.zeros_(bias)
        if scheme.biases == "uniform":
            nn.init.uniform_(bias, -bound, bound, generator=generator)
    if scheme.forget:
        # The gates stand in PyTorch's order: input, forget, candidate, output.
        gates = layer.bias_ih_l0.view(4, n)
        scheme.forget(gates[1], generator, gap)
        if scheme.mirrored:
            gates[0] = -gates[1]
    return network
