"""The laboratory's networks: built and drawn in one place for what flows and for training."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from helpers import activations, initializers, networks, recurrent
from helpers.laboratory.examples import CLASSES, PIXELS
from helpers.laboratory.settings import Settings

#: An image's rows, and the pixels in each.
ROWS = 28


class Skip(nn.Module):
    """x + W φ(x) + b, (batch, width) to the same; the sum passes through ``sum``, to be seen."""

    def __init__(self, width: int, activation: str, *, dtype: torch.dtype = torch.float64):
        super().__init__()
        self.act = networks.Activation(activations.activation(activation))
        self.linear = networks.blank(nn.Linear, width, width, dtype=dtype)
        self.sum = nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        return self.sum(values + self.linear(self.act(values)))


class RowReader(recurrent.Recurrent):
    """An LSTM that reads images (batch, 784) row by row, then a linear readout: (batch, 10).

    The cells are stepped through by hand: so they can be seen, and several such networks stacked,
    which PyTorch's own LSTM cannot be.
    """

    def __init__(self, width: int, *, dtype: torch.dtype = torch.float64):
        super().__init__(ROWS, width, CLASSES, dtype=dtype)

    def steps(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return hidden state and cell after each row, (batch, width) each."""
        layer = self.layer
        h = c = images.new_zeros(len(images), layer.hidden_size)
        bias = layer.bias_ih_l0 + layer.bias_hh_l0
        found = []
        for row in images.unflatten(1, (ROWS, ROWS)).unbind(1):
            gates = row @ layer.weight_ih_l0.T + h @ layer.weight_hh_l0.T + bias
            i, f, g, o = gates.chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            found.append((h, c))
        return found

    def forward(self, images: Tensor) -> Tensor:
        return self.readout(self.steps(images)[-1][0])


def build(settings: Settings, *, dtype: torch.dtype = torch.float64) -> nn.Module:
    """Return the network, (batch, 784) to logits (batch, 10), with every weight zero."""
    if settings.recurrent:
        return RowReader(settings.width, dtype=dtype)
    if settings.network == "residual":
        width, act = settings.width, settings.activation
        children = OrderedDict(linear=networks.blank(nn.Linear, PIXELS, width, dtype=dtype))
        for block in range(1, settings.depth + 1):
            children[f"block{block}"] = Skip(width, act, dtype=dtype)
        children["readout"] = networks.blank(nn.Linear, width, CLASSES, dtype=dtype)
        return networks.Chain(children)
    return networks.MLP(
        widths(settings),
        settings.activation,
        normalization="batch" if settings.network == "batch normalization" else None,
        dtype=dtype,
    )


def widths(settings: Settings) -> list[int]:
    """The sizes of the perceptron's layers, input and output included."""
    return [PIXELS] + [settings.width] * settings.depth + [CLASSES]


def draw(network: nn.Module, settings: Settings, seed: int) -> nn.Module:
    """Draw the first weights in place, from a generator of that seed; return the network."""
    generator = torch.Generator().manual_seed(seed)
    if settings.recurrent:
        scheme = recurrent.Scheme(
            f"forget bias {settings.forget:.3g}",
            forget=lambda bias, generator, gap: bias.fill_(settings.forget),
        )
        return recurrent.initialize(network, scheme, generator=generator)
    return initializers.initialize(
        network, settings.scheme, generator=generator, **settings.options
    )
