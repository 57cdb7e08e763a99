"""Residual networks: those of He et al. 2016 for CIFAR-10, and a fully connected one without
normalization, on which the ways to start a residual branch can be compared."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import checks, initializers
from helpers.networks import Chain, blank


class Block(nn.Module):
    """Two 3×3 convolutions, each followed by batch normalization; ReLU between and at the end.

    (batch, channels_in, height, width) to (batch, channels_out, height / stride, width / stride).
    With ``shortcut`` the input is added before the last ReLU; where sizes differ, every
    ``stride``-th pixel of it, and zeros for the channels that it lacks (option A of He et al. 2016,
    section 3.3): no parameters.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int,
        *,
        shortcut: bool,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        self.shortcut, self.stride, self.new = shortcut, stride, channels_out - channels_in
        self.conv1 = _conv(channels_in, channels_out, stride, dtype)
        self.norm1 = nn.BatchNorm2d(channels_out, dtype=dtype)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = _conv(channels_out, channels_out, 1, dtype)
        self.norm2 = nn.BatchNorm2d(channels_out, dtype=dtype)
        self.act2 = nn.ReLU(inplace=True)

    def forward(self, values: Tensor) -> Tensor:
        branch = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(values)))))
        if self.shortcut:
            if self.stride > 1:
                # A slice would do, but its gradient would lose the channels-last layout.
                values = F.avg_pool2d(values, 1, self.stride)
            if self.new:
                values = F.pad(values, (0, 0, 0, 0, 0, self.new))
            branch = branch.add_(values)
        return self.act2(branch)

    def extra_repr(self) -> str:
        return f"shortcut={self.shortcut}"


class CIFARNet(Chain):
    """The network of He et al. 2016 (arXiv 1512.03385, section 4.2) for small images; its logits.

    (batch, channels, height, width), 8×8 or larger, to (batch, classes). ``depth`` counts the
    layers with weights, 6n + 2: a 3×3 convolution to 16 channels, three stages of n blocks with 16,
    32 and 64 channels, which halve height and width between them, an average over all places, and a
    linear layer. ``shortcuts=False`` is the plain network: the same layers, nothing added.

    Convolutions have no bias. Their weights and the linear layer's are zero until
    `helpers.initializers.initialize` draws them; batch normalization starts at scale 1, shift 0.
    The children are called ``stem``, ``stage1`` …; a block's, ``conv1``, ``norm1``, ``act1``,
    ``conv2``, ``norm2`` and ``act2``. Raises ValueError for a depth that is not 8, 14, 20, …
    """

    def __init__(
        self,
        depth: int,
        *,
        shortcuts: bool,
        classes: int = 10,
        channels: int = 3,
        dtype: torch.dtype = torch.float32,
    ):
        if checks.count("depth", depth) < 8 or depth % 6 != 2:
            raise ValueError(
                f"depth is {depth}; expected 6n + 2 layers with n ≥ 1 blocks a stage: "
                "8, 14, 20, …, 56, …, 110."
            )
        checks.count("classes", classes)
        checks.count("channels", channels)
        stem = OrderedDict(
            conv=_conv(channels, 16, 1, dtype),
            norm=nn.BatchNorm2d(16, dtype=dtype),
            act=nn.ReLU(inplace=True),
        )
        children: dict[str, nn.Module] = {"stem": nn.Sequential(stem)}
        width = 16
        for stage, out in enumerate((16, 32, 64), start=1):
            blocks = []
            for _ in range(depth // 6):
                stride = 1 if out == width else 2
                blocks.append(Block(width, out, stride, shortcut=shortcuts, dtype=dtype))
                width = out
            children[f"stage{stage}"] = nn.Sequential(*blocks)
        children |= {
            "pool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "linear": blank(nn.Linear, width, classes, dtype=dtype),
        }
        super().__init__(OrderedDict(children))


class ScaledBlock(nn.Module):
    """x + multiplier · second(φ(first(φ(x + b₁) + b₂) + b₃) + b₄) with φ = ReLU; (batch, width).

    Nothing follows the addition. The linear layers have no bias of their own; the scalar biases
    b₁ … b₄ are zero and the multiplier is one until training, or `start`, changes them. This is
    the branch of Zhang et al. 2019 (section 3.2), for an activation in front of each layer.
    """

    def __init__(self, width: int, *, dtype: torch.dtype = torch.float64):
        super().__init__()
        self.first = blank(nn.Linear, width, width, bias=False, dtype=dtype)
        self.second = blank(nn.Linear, width, width, bias=False, dtype=dtype)
        self.biases = nn.Parameter(torch.zeros(4, dtype=dtype))
        self.multiplier = nn.Parameter(torch.ones((), dtype=dtype))

    def forward(self, values: Tensor) -> Tensor:
        b = self.biases
        inner = self.first((values + b[0]).relu() + b[1])
        return values + self.multiplier * self.second((inner + b[2]).relu() + b[3])


class ResidualMLP(Chain):
    """A linear layer, ``blocks`` times a `ScaledBlock`, ReLU, and a linear readout.

    (batch, inputs) to (batch, classes). Linear layers are zero until `start` draws them. Raises
    ValueError for a number below 1.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        blocks: int,
        classes: int,
        *,
        dtype: torch.dtype = torch.float64,
    ):
        sizes = {"inputs": inputs, "width": width, "blocks": blocks, "classes": classes}
        for what, size in sizes.items():
            checks.count(what, size)
        super().__init__(
            OrderedDict(
                linear=blank(nn.Linear, inputs, width, dtype=dtype),
                blocks=nn.Sequential(*(ScaledBlock(width, dtype=dtype) for _ in range(blocks))),
                act=nn.ReLU(),
                readout=blank(nn.Linear, width, classes, dtype=dtype),
            )
        )


@dataclass(frozen=True)
class Start:
    """What He's first weights are multiplied by: in a branch's first and second layer and in the
    readout; and the branch's multiplier."""

    first: float = 1.0
    second: float = 1.0
    multiplier: float = 1.0
    readout: float = 1.0


def starts(blocks: int) -> dict[str, Start]:
    """The ways to start a network of so many residual branches with two layers each.

    ``rezero`` is Bachlechner et al. 2020 and, for a branch without normalization, also SkipInit (De
    & Smith 2020), whose largest multiplier is ``scaled``. ``fixup`` is Zhang et al. 2019, where
    m = 2 layers a branch make blocks^(-1/(2m - 2)) a root. ``gpt2`` is Radford et al. 2019: the
    weights that write into the sum, by one over the root of the number of additions.
    """
    root = checks.count("blocks", blocks) ** -0.5
    return {
        "he": Start(),
        "scaled": Start(multiplier=root),
        "gpt2": Start(second=root),
        "rezero": Start(multiplier=0.0),
        "fixup": Start(first=root, second=0.0, readout=0.0),
    }


@torch.no_grad()
def start(network: ResidualMLP, name: str, *, generator: torch.Generator) -> ResidualMLP:
    """Draw He's weights, and multiply them as `starts` says; in place. Returns the network.

    All starts draw the same numbers from the same generator. Scalar biases become zero. Raises
    ValueError for a name that `starts` doesn't know.
    """
    table = starts(len(network.blocks))
    factors = table[checks.known("start", name, table)]
    initializers.initialize(network, "he", generator=generator)
    for block in network.blocks:
        block.first.weight.mul_(factors.first)
        block.second.weight.mul_(factors.second)
        block.multiplier.fill_(factors.multiplier)
        block.biases.zero_()
    network.readout.weight.mul_(factors.readout)
    return network


def _conv(channels_in: int, channels_out: int, stride: int, dtype: torch.dtype) -> nn.Module:
    return blank(
        nn.Conv2d, channels_in, channels_out, 3, stride=stride, padding=1, bias=False, dtype=dtype
    )
