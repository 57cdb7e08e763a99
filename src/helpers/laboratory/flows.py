"""What flows through a network at its first weights, and what theory says of it."""

import math
from dataclasses import dataclass

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
VALUES = 2_500_000
#: Bins of a layer's histogram, from minus its reach to its reach.
BINS = 41


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
    layers = 4 * 28 if settings.recurrent else settings.depth  # each step has four gates
    count = max(2, min(images, VALUES // (layers * settings.width)))
    inputs = examples.load(settings.data, "train").images[:count]
    network = draw(build(settings), settings, settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    way = torch.randn(len(inputs), examples.CLASSES, generator=generator, dtype=inputs.dtype)
    observe = _cells if isinstance(network, RowReader) else _layers
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
    low, high = values.aminmax()
    finite = 1.0
    reach = max(-low.item(), high.item())
    whole = math.isfinite(reach) and math.isfinite(low.item())
    flat = values.flatten()
    if not whole:
        kept = flat.isfinite()
        finite = kept.double().mean().item()
        flat = flat[kept]
        reach = flat.abs().max().item() if len(flat) else 0.0
    zero = (values == 0).double().mean().item()
    log_reach = math.log10(reach) if reach > 0 else -math.inf
    moment, density = -math.inf, ()
    if reach > 0:
        shape = torch.histc(flat, BINS, -reach, reach)
        shape[BINS // 2] -= (flat == 0).sum()
        shape = shape.clamp(min=0) / shape.max().clamp(min=1)
        density = tuple(shape.tolist())
        # Divided by the largest, lest the square overflow, or vanish.
        moment = math.log10((flat / reach).square().mean().item()) + 2 * log_reach
    saturated = 0.0
    if bounds is not None:
        margin = 0.01 * (bounds[1] - bounds[0])
        outside = (values < bounds[0] + margin) | (values > bounds[1] - margin)
        saturated = outside.double().mean().item()
    dead = (values == 0).all(dim=0).double().mean().item() if zero else 0.0
    return Layer(
        *(position, moment if whole else math.nan, log_reach, density),
        *(zero, dead, saturated, finite),
    )
