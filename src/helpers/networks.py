"""The book's networks, as ordinary modules.

They are built without touching PyTorch's global random state, with every weight and bias zero,
until `helpers.initializers.initialize` draws them.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from helpers import checks
from helpers.activations import activation as named_activation


class Activation(nn.Module):
    """Any elementwise function of a tensor, as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


class Dropout(nn.Module):
    """Dropout that draws eight random bits a value from the global generator, on a CPU eight
    values at once.

    ``p``, the share of values that become zero in training, is a multiple of 1/256. It is 20 times
    faster on a CPU than ``nn.Dropout``, which took a quarter of the article's network's training.
    Raises ValueError for any other share, and outside [0, 1).
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        if not (0 <= p < 1 and (256 * p).is_integer()):
            raise ValueError(
                f"p is {p!r}; expected a multiple of 1/256 from 0 up to 1, such as 0.5."
            )

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return values
        if values.device.type == "cpu":
            words = torch.randint(-(2**63), 2**63 - 1, (-(-values.numel() // 8),))
            bits = words.view(torch.uint8)[: values.numel()].view(values.shape)
        else:
            bits = torch.randint(256, values.shape, dtype=torch.uint8, device=values.device)
        return values * (bits >= int(256 * self.p)).to(values.dtype).mul_(1 / (1 - self.p))

    def extra_repr(self) -> str:
        return f"p={self.p}"


class _FlattenChannelsLast(nn.Module):
    """(batch, channels, height, width) to (batch, height · width · channels), as in Keras.

    Convolutions are fastest with the channels last in memory, and then this copies nothing.
    """

    def forward(self, images: Tensor) -> Tensor:
        return images.movedim(1, -1).flatten(1)


class Chain(nn.Sequential):
    """Layers one after another, of which a slice is a plain chain and not another whole network."""

    def __getitem__(self, index):
        return nn.Sequential(OrderedDict(self._modules))[index]


class MLP(Chain):
    """Multi-layer perceptron: linear layers, each but the last followed by an activation.

    ``widths`` are the sizes n_0 … n_L, input and output included; inputs are (batch, n_0).
    ``activation`` is a name in `helpers.activations.ACTIVATIONS`, a callable, or a sequence of L of
    them, one behind every linear layer, the last included. ``normalization="batch"`` puts batch
    normalization between each of these activations and its linear layer, which then has no bias:
    the mean is subtracted. The children are called ``linear1``, (``norm1``,) ``act1``, ``linear2``,
    … Raises ValueError for fewer than two widths, a width below 1, an unknown activation or
    normalization, or a sequence of another length than L.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: str | Callable | Sequence[str | Callable] = "relu",
        *,
        bias: bool = True,
        normalization: str | None = None,
        dtype: torch.dtype = torch.float64,
    ):
        if normalization is not None:
            checks.known("normalization", normalization, ("batch",))
        widths = [checks.count("width", width) for width in widths]
        depth = len(widths) - 1
        if depth < 1:
            raise ValueError(f"widths is {widths}; expected two sizes or more, input and output.")
        if isinstance(activation, str) or callable(activation):
            activations = [activation] * (depth - 1)
        elif len(activation) == depth:
            activations = list(activation)
        else:
            raise ValueError(
                f"{len(activation)} activations for {depth} linear layers; expected one for each."
            )
        children = OrderedDict()
        for i, (fan_in, fan_out) in enumerate(zip(widths, widths[1:]), start=1):
            normalized = normalization is not None and i <= len(activations)
            biased = bias and not normalized
            children[f"linear{i}"] = blank(nn.Linear, fan_in, fan_out, bias=biased, dtype=dtype)
            if normalized:
                children[f"norm{i}"] = nn.BatchNorm1d(fan_out, dtype=dtype)
            if i <= len(activations):
                children[f"act{i}"] = _as_module(activations[i - 1])
        super().__init__(children)


class ArticleCNN(Chain):
    """The convolutional network of the article's Figure 1, for 28×28 images; returns logits.

    Inputs are (batch, channels, 28, 28). Two 3×3 convolutions without padding (32 and 64
    channels), max-pooling, dropout 1/4, a dense layer of 128, dropout 1/2, a dense layer of
    ``classes``: (batch, classes). The article takes a softmax of the result. Raises ValueError for
    a number below 1.

    The second ReLU stands behind the pooling, where it has a quarter of the work: the largest of
    four values rectified is the largest of four rectified values.
    """

    def __init__(self, *, classes: int = 10, channels: int = 1, dtype: torch.dtype = torch.float32):
        checks.count("classes", classes)
        checks.count("channels", channels)
        super().__init__(
            OrderedDict(
                conv1=blank(nn.Conv2d, channels, 32, 3, dtype=dtype),
                act1=nn.ReLU(),
                conv2=blank(nn.Conv2d, 32, 64, 3, dtype=dtype),
                pool=nn.MaxPool2d(2),
                act2=nn.ReLU(),
                dropout1=Dropout(0.25),
                flatten=_FlattenChannelsLast(),
                dense1=blank(nn.Linear, 64 * 12 * 12, 128, dtype=dtype),
                act3=nn.ReLU(),
                dropout2=Dropout(0.5),
                dense2=blank(nn.Linear, 128, classes, dtype=dtype),
            )
        )


def blank(kind: type[nn.Module], *sizes: int, **options) -> nn.Module:
    """Return a layer of the ``kind``, all zeros, and leave the global generator as it was.

    ``sizes`` and ``options`` are what its constructor takes.
    """
    # torch's skip_init would do, but its meta device imports sympy: 0.7 s and 30 MB.
    with torch.random.fork_rng(devices=[]):
        layer = kind(*sizes, **options)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _as_module(activation: str | Callable) -> nn.Module:
    function = named_activation(activation)
    return copy.deepcopy(function) if isinstance(function, nn.Module) else Activation(function)
