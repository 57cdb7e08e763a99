"""Random networks for tests of `helpers.diagnosis`: with one fault planted, and healthy ones.

Every choice (depth, widths, activation, scheme, place of the fault) is drawn from the generator.
Widths are such that Σ 1/width ≤ 0.2: in narrower networks second moments fluctuate too much.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from helpers import initializers
from helpers.activations import ACTIVATIONS

SCHEMES = {
    "relu": ("he", "he-uniform", "he-truncated", "he-fan-out"),
    "gelu": ("he", "he-uniform"),
    "tanh": ("glorot", "glorot-uniform", "lecun", "lecun-uniform"),
    "selu": ("lecun", "lecun-uniform"),
    "linear": ("lecun", "glorot"),
}
MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "selu": nn.SELU}


@dataclass
class Case:
    """A network, a batch, and what is to be found: kind of fault ("" for none) and layers."""

    network: nn.Module
    batch: torch.Tensor
    kind: str = ""
    layers: tuple[str, ...] | None = None
    words: str = ""
    factor: float | None = None


class Plain(nn.Module):
    """A chain of layers with a function between them that no module stands for."""

    def __init__(self, layers, activation):
        super().__init__()
        self.layers, self.function = nn.ModuleList(layers), ACTIVATIONS[activation]

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.function(layer(x))
        if x.ndim == 4:
            x = x.flatten(1)
        return self.layers[-1](x)


class Residual(nn.Module):
    """x + scale · W₂ φ(norm(W₁ norm(x))), again and again; ``norm`` may be nothing."""

    def __init__(self, width, blocks, activation, *, norm=None, zero=False, scale=1.0):
        super().__init__()
        self.first = nn.Linear(width, width)
        self.one = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.two = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.norms = nn.ModuleList((norm or nn.Identity)(width) for _ in range(blocks))
        self.last = nn.Linear(width, 10)
        self.zero, self.scale, self.function = zero, scale, ACTIVATIONS[activation]

    def forward(self, x):
        x = self.first(x)
        for one, two, norm in zip(self.one, self.two, self.norms):
            x = x + self.scale * two(self.function(one(norm(x))))
        return self.last(x)


def integer(g, low, high):
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=g))


def choice(g, options):
    """One of the options."""
    return options[integer(g, 0, len(options) - 1)]


def chain(g, activation, *, depth=None, schemes=None):
    """(network, its layers' names, batch): an MLP or a plain CNN, drawn by a fitting scheme."""
    depth = depth or integer(g, 3, 8)
    if integer(g, 0, 1):
        layers, batch = _convolutions(g, depth)
    else:
        narrow = 48 if depth <= 8 else 5 * depth
        widths = [integer(g, narrow, 160) for _ in range(depth)] + [10]
        layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
        batch = torch.randn(integer(g, 16, 64), widths[0], generator=g)
    if activation in MODULES and integer(g, 0, 1):
        rows = []
        for layer in layers[:-1]:
            rows += [layer, MODULES[activation]()]
        network = nn.Sequential(*rows, nn.Flatten(), layers[-1])
    else:
        network = Plain(layers, activation)
    scheme = choice(g, schemes or SCHEMES[activation])
    initializers.initialize(network, scheme, generator=g)
    names = {module: name for name, module in network.named_modules()}
    return network, [names[layer] for layer in layers], batch


def _convolutions(g, depth):
    size = integer(g, 6, 10)
    channels = [3] + [integer(g, 16, 40) for _ in range(depth - 1)]
    layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in zip(channels, channels[1:])]
    layers.append(nn.Linear(channels[-1] * size**2, 10))
    return layers, torch.randn(8, 3, size, size, generator=g)


def scale(g):
    """One layer's σ off by 3, or a whole chain by a scheme that does not fit it."""
    how = integer(g, 0, 3)
    if how < 2:
        network, names, batch = chain(g, choice(g, ("relu", "tanh", "gelu", "selu")))
        # A head that starts small is no fault.
        place = integer(g, 0, len(names) - 1 - how)
        with torch.no_grad():
            network.get_submodule(names[place]).weight.mul_(3.0 if how == 0 else 1 / 3)
        factor = 3.0 if how == 0 else 1 / 3
        return Case(network, batch, "scale", (names[place],), "deviation of the weights", factor)
    if how == 2:
        scheme = choice(g, ("pytorch", "glorot"))
        depth = integer(g, 7, 10) if scheme == "pytorch" else integer(g, 15, 18)
        network, names, batch = chain(g, "relu", depth=depth, schemes=(scheme,))
        return Case(network, batch, "vanishing", words="vanish")
    network, _, batch = chain(g, "relu", depth=integer(g, 6, 18))
    factor = choice(g, (3.0, 10.0, 1e3))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(factor)
    return Case(network, batch, "exploding", words="explode")


def blocked(g):
    """A layer of zeros, or one where every unit has the same weights."""
    network, names, batch = chain(g, choice(g, ("relu", "tanh", "gelu", "selu")))
    zero = integer(g, 0, 1)
    place = integer(g, 0, len(names) - 1 - zero)  # a head of zeros is no fault
    weight = network.get_submodule(names[place]).weight
    nn.init.constant_(weight, 0.0 if zero else choice(g, (-0.05, 0.05, 1.0)))
    kind = "zero" if zero else "symmetric"
    return Case(network, batch, kind, (names[place],), "zero weights" if zero else "same weights")


def dead(g):
    """Biases so far below zero that most ReLUs of a layer are off."""
    network, names, batch = chain(g, "relu")
    place = integer(g, 0, len(names) - 2)
    layer = network.get_submodule(names[place])
    seen = []
    hook = layer.register_forward_hook(lambda _m, _x, output: seen.append(output.std().item()))
    with torch.no_grad():
        network(batch)
        hook.remove()
        layer.bias.fill_(-integer(g, 4, 8) * seen[0])
    return Case(network, batch, "dead", (names[place],), "biases")


def sigmoid(g):
    """Sigmoids between all layers."""
    schemes = ("glorot", "glorot-uniform", "lecun", "pytorch")
    network, names, batch = chain(g, "sigmoid", schemes=schemes)
    return Case(network, batch, "sigmoid", tuple(names[:-1]), "Sigmoids")


def residual(g):
    """Blocks that add as much as there is."""
    activation = choice(g, ("relu", "gelu"))
    network = Residual(integer(g, 64, 128), integer(g, 4, 12), activation)
    gain = None if activation == "relu" else initializers.gain("gelu")
    initializers.initialize(network, "he", generator=g, gain=gain)
    batch = torch.randn(32, network.first.in_features, generator=g)
    names = tuple(f"two.{i}" for i in range(len(network.two)))
    return Case(network, batch, "residual", names, "residual blocks")


FAULTS = {f.__name__: f for f in (scale, blocked, dead, sigmoid, residual)}


def healthy(g):
    """A network that nothing is wrong with."""
    how = integer(g, 0, 6)
    if how < 2:
        network, _, batch = chain(g, choice(g, tuple(SCHEMES)))
        return Case(network, batch)
    if how == 2:  # normalized: any scale will do
        width, rows = integer(g, 64, 128), []
        norm = choice(g, (nn.BatchNorm1d, nn.LayerNorm))
        for _ in range(integer(g, 2, 6)):
            rows += [nn.Linear(width, width), norm(width), nn.ReLU()]
        network = nn.Sequential(*rows, nn.Linear(width, 10))
        for layer in network[:-1]:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, choice(g, (0.02, 0.1, 1.0)), generator=g)
        initializers.initialize(network[-1], "lecun", generator=g)
        return Case(network, torch.randn(32, width, generator=g))
    if how == 3:
        norm = choice(g, (nn.BatchNorm1d, nn.LayerNorm))
        network = Residual(integer(g, 64, 128), integer(g, 3, 12), "relu", norm=norm)
        initializers.initialize(network, "he", generator=g)
        return Case(network, torch.randn(32, network.first.in_features, generator=g))
    if how == 4:  # Fixup's zero ends, or branches scaled by 1/√depth
        blocks, zero = integer(g, 3, 12), integer(g, 0, 1)
        scale = 1.0 if zero else blocks**-0.5
        network = Residual(integer(g, 64, 128), blocks, "relu", scale=scale)
        initializers.initialize(network, "he", generator=g)
        for layer in network.two if zero else ():
            nn.init.zeros_(layer.weight)
        return Case(network, torch.randn(32, network.first.in_features, generator=g))
    torch.manual_seed(integer(g, 0, 10**6))  # PyTorch's own constructors draw from it
    if how == 5:
        width = 16 * integer(g, 4, 8)
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, batch_first=True, norm_first=bool(integer(g, 0, 1)),
            activation=choice(g, ("relu", "gelu")),
        )  # fmt: skip
        network = nn.TransformerEncoder(layer, integer(g, 2, 5), enable_nested_tensor=False)
        return Case(network, torch.randn(8, 12, width, generator=g))

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(30, 48)
            self.layer = nn.LSTM(48, 64, num_layers=2, batch_first=True, dropout=0.2)
            self.last = nn.Linear(64, 10)

        def forward(self, words):
            return self.last(F.dropout(self.layer(self.words(words))[0][:, -1], 0.1, self.training))

    return Case(Recurrent(), torch.randint(30, (16, integer(g, 5, 20)), generator=g))
