"""What flows through a network at its first weights, and what theory says of it."""

import math
import threading
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from helpers import propagation
from helpers.laboratory import examples, predictions
from helpers.laboratory.architectures import RowReader, build, draw
from helpers.laboratory.settings import Settings

#: So many images flow, at most.
IMAGES = 1000
#: And so few that all layers together put out no more values than this: a chart must not take
#: seconds, nor hundreds of megabytes.
VALUES = 1_000_000
#: Bins of a layer's histogram, from minus its reach to its reach.
BINS = 41
_lock = threading.Lock()  # one network for all


@dataclass(frozen=True)
class Layer:
    """One layer's activations, or gradients, over all images and units.

    ``log_moment`` is log10 of the second moment: -inf where every value is zero, NaN where one is
    not finite. ``log_reach`` is log10 of the largest absolute value among the finite ones.
    ``density`` are `BINS` numbers, 1 at the peak, of the values that are finite and not zero; empty
    where there are none. Shares of values: ``zero``, ``finite`` and ``saturated`` (within 1 % of a
    bound of a bounded activation; 0 for others); of units: ``dead``, zero for every image.
    """

    position: int
    log_moment: float
    log_reach: float
    density: tuple[float, ...]
    zero: float
    dead: float
    saturated: float
    finite: float


@dataclass(frozen=True)
class Way:
    """Layers from first to last, and log10 of the second moments that theory predicts, if any."""

    layers: tuple[Layer, ...]
    predicted: tuple[float, ...] | None

    @property
    def measured(self) -> tuple[float, ...]:
        """log10 of every layer's second moment."""
        return tuple(layer.log_moment for layer in self.layers)


@dataclass(frozen=True)
class Flow:
    """What flowed: ``forward`` activations, ``backward`` gradients of a random direction in the
    output, of second moment 1 and its own for each of the ``images``; ``place`` says what a
    position is."""

    settings: Settings
    images: int
    place: str
    forward: Way
    backward: Way


def flow(settings: Settings, *, images: int = IMAGES) -> Flow:
    """Draw the network, let so many images flow through it, or what there is, and back.

    One seed means one set of random numbers, whatever is done to them. Raises ValueError for no
    image, FileNotFoundError for data that are not on this computer.
    """
    layers = 2 * 28 if settings.recurrent else settings.depth  # a step costs twice as much
    count = max(2, min(images, VALUES // (layers * settings.width)))
    inputs = examples.load(settings.data, "train").images[:count]
    generator = torch.Generator().manual_seed(settings.seed)
    way = torch.randn(len(inputs), examples.CLASSES, generator=generator, dtype=inputs.dtype)
    with _lock:
        network = _built(settings.network, settings.width, settings.depth, settings.activation)
        draw(network, settings, settings.seed)
        observe = _cells if settings.recurrent else _layers
        found = observe(network, inputs, way)
    forward, backward = predictions.predict(settings, inputs.numpy())
    kind = settings.activation if settings.network != "residual" else ""
    bounds = None if settings.recurrent else propagation.BOUNDS.get(kind)
    ahead = [_layer(n, values, bounds) for n, (values, _) in enumerate(found, 1)]
    back = [_layer(n, values, None) for n, (_, values) in enumerate(found, 1)]
    if settings.recurrent:
        last = back[-1].log_moment  # the prediction is relative
        backward = backward + last if math.isfinite(last) else None
    places = {"residual": "block", "lstm": "row"}
    return Flow(
        settings,
        len(inputs),
        places.get(settings.network, "hidden layer"),
        Way(tuple(ahead), None if forward is None else tuple(forward.tolist())),
        Way(tuple(back), None if backward is None else tuple(backward.tolist())),
    )


@lru_cache(maxsize=1)
def _built(network: str, width: int, depth: int, activation: str) -> nn.Module:
    """The network, to draw weights in: building it takes longer than all that flows."""
    return build(Settings(network, width=width, depth=depth, activation=activation))


def _layers(network: nn.Module, inputs: Tensor, way: Tensor) -> list[tuple[Tensor, Tensor]]:
    signals = propagation.observe(network, inputs, lambda output: (output * way).sum())
    kept = [s for s in signals if s.layer.startswith("act") or s.layer.endswith(".sum")]
    return [(signal.forward, signal.backward) for signal in kept]


def _cells(network: RowReader, inputs: Tensor, way: Tensor) -> list[tuple[Tensor, Tensor]]:
    steps = network.steps(inputs)
    cells = [cell for _, cell in steps]
    back = torch.autograd.grad((network.readout(steps[-1][0]) * way).sum(), cells)
    return [(cell.detach(), gradient) for cell, gradient in zip(cells, back)]


def _layer(position: int, values: Tensor, bounds: tuple[float, float] | None) -> Layer:
    low, high = (end.item() for end in values.aminmax())
    reach, flat = max(-low, high), values.flatten()
    whole = math.isfinite(low) and math.isfinite(high)
    if not whole:
        flat = flat[flat.isfinite()]
        reach = flat.abs().max().item() if len(flat) else 0.0
    filled = values.count_nonzero(dim=0)  # by unit; what is no number is not zero
    zeros = values.numel() - filled.sum().item()
    log_reach = math.log10(reach) if reach > 0 else -math.inf
    moment, density = -math.inf, ()
    if reach > 0:
        shape = torch.histc(flat, BINS, -reach, reach)
        shape[BINS // 2] -= zeros
        density = tuple((shape / shape.max().clamp(min=1)).tolist())
        # Divided by the largest, lest the square overflow, or vanish.
        scaled = flat / reach
        moment = math.log10(scaled.dot(scaled).item() / len(flat)) + 2 * log_reach
    saturated = 0.0
    if bounds is not None:
        margin = 0.01 * (bounds[1] - bounds[0])
        outside = (values < bounds[0] + margin) | (values > bounds[1] - margin)
        saturated = outside.count_nonzero().item() / values.numel()
    return Layer(
        position,
        log_moment=moment if whole else math.nan,
        log_reach=log_reach,
        density=density,
        zero=zeros / values.numel(),
        dead=(filled == 0).double().mean().item(),
        saturated=saturated,
        finite=len(flat) / values.numel(),
    )
