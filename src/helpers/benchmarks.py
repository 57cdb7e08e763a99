"""How fast networks train here: a plain loop beside `helpers.training`, in one run on one device.

The plain loop is what PyTorch's tutorials teach: a data set that hands out one picture at a time
as a tensor, a ``DataLoader`` that stacks them, and a step in float32. Every contestant runs in a
fresh process, several rounds in turn, so that none profits from what another has set up.
"""

import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from helpers import datasets, devices, initializers, networks, training

#: Images a training step.
BATCH = 128


@dataclass(frozen=True)
class Contestant:
    """One way to train so many networks at once, for so many batches.

    ``method`` says what is peculiar about the engine: that it trains networks *in turn* or
    *stacked*, that freed memory is *given back* to the system after every step, or that the network
    has *plain layers*, as one would write it with ``torch.nn`` (see `helpers.networks.ArticleCNN`).
    """

    network: str
    method: str
    networks: int
    precision: str
    batches: int


#: What is timed on every device.
CONTESTANTS = (
    Contestant("ArticleCNN", "plain loop", 1, "float32", 40),
    Contestant("ArticleCNN", "engine", 1, "float32", 80),
    Contestant("ArticleCNN", "engine", 1, "bfloat16", 160),
    Contestant("ArticleCNN", "engine, memory given back", 1, "bfloat16", 80),
    Contestant("ArticleCNN", "engine, plain layers", 1, "bfloat16", 80),
    Contestant("ArticleCNN", "engine, in turn", 3, "bfloat16", 60),
    Contestant("ArticleCNN", "engine, stacked", 3, "bfloat16", 10),
    Contestant("MLP", "plain loop", 1, "float32", 100),
    Contestant("MLP", "engine", 1, "float32", 400),
    Contestant("MLP", "engine, in turn", 16, "float32", 40),
    Contestant("MLP", "engine, stacked", 16, "float32", 100),
    Contestant("MLP", "engine, stacked", 64, "float32", 40),
    Contestant("MLP", "engine, stacked", 512, "float32", 8),
)
#: Only where a GPU makes them bearable.
ON_A_GPU = (Contestant("ArticleCNN", "engine, stacked", 64, "bfloat16", 40),)


def bench(
    *,
    device: str = "cpu",
    root: str | Path | None = None,
    rounds: int = 3,
    progress: Callable[[str], object] = lambda line: None,
) -> tuple[pd.DataFrame, dict]:
    """Time every contestant; return a table, and a provenance for `helpers.results.write`.

    Columns: network, method, networks, precision, ``rate`` (images a second, each counted once for
    every network that trains on it; the median of the rounds), ``slowest`` and ``fastest`` round,
    ``speedup`` over the plain loop of that network, ``time`` relative to one network of the engine
    over the same images in the same precision, and ``peak_share``, the share of what a large
    matrix product reaches in that precision.
    """
    place = devices.as_device(device)
    data = datasets.load("mnist", "train", scaling="raw", root=root, dtype=torch.float32)
    contestants = CONTESTANTS
    if place.type != "cpu":
        # A GPU would be done before the clock has moved.
        contestants = [replace(c, batches=20 * c.batches) for c in CONTESTANTS + ON_A_GPU]
    rates: dict[Contestant, list[float]] = {contestant: [] for contestant in contestants}
    peaks: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    start = time.perf_counter()
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
            for precision, found in peaks.items():
                found.append(pool.submit(matmul_peak, device, precision).result())
            for contestant, found in rates.items():
                found.append(pool.submit(measure, contestant, device, root).result())
    middle = {contestant: statistics.median(found) for contestant, found in rates.items()}
    plain = {c.network: rate for c, rate in middle.items() if c.method == "plain loop"}
    one = {(c.network, c.precision): rate for c, rate in middle.items() if c.method == "engine"}
    peak = {precision: statistics.median(found) for precision, found in peaks.items()}
    rows = [
        {
            **{key: value for key, value in asdict(c).items() if key != "batches"},
            "rate": rate,
            "slowest": min(rates[c]),
            "fastest": max(rates[c]),
            "speedup": rate / plain[c.network],
            "time": c.networks * one[c.network, c.precision] / rate,
            "peak_share": rate * operations_per_image(c.network) / peak[c.precision],
        }
        for c, rate in middle.items()
    ]
    provenance = {
        "command": "python -m helpers bench"
        + ("" if place.type == "cpu" else f" --device {place.type}")
        + " --out book/results",
        "configuration": {"batch_size": BATCH, "rounds": rounds}
        | {"contestants": [asdict(c) for c in contestants]},
        "data": {"name": data.name, "scaling": data.scaling, "checksums": data.checksums},
        "seeds": [0],
        "device": devices.describe(place),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "seconds": round(time.perf_counter() - start, 1),
        "matmul_peak_gflops": {precision: round(rate / 1e9) for precision, rate in peak.items()},
    }
    return pd.DataFrame(rows), provenance


def measure(contestant: Contestant, device: str, root: str | Path | None) -> float:
    """Images a second of one contestant, after a few steps to warm up."""
    place = devices.as_device(device)
    if contestant.method == "plain loop":
        timed = _plain(contestant, place, root)
    else:
        if contestant.method != "engine, memory given back":
            devices.keep_memory(place)
        timed = _engine(contestant, place, root)
    timed(3)
    timed(3)
    start = time.perf_counter()
    timed(contestant.batches)
    devices.synchronize(place)
    seconds = time.perf_counter() - start
    return contestant.networks * contestant.batches * BATCH / seconds


def _plain(contestant: Contestant, device: torch.device, root) -> Callable[[int], None]:
    from torchvision import transforms
    from torchvision.datasets import MNIST

    pictures = MNIST(datasets.data_folder(root), train=True, transform=transforms.ToTensor())
    loader = torch.utils.data.DataLoader(pictures, batch_size=BATCH, shuffle=True)
    network = _plain_network(contestant.network)
    initializers.initialize(network, "he", generator=torch.Generator().manual_seed(0))
    network.to(device).train()
    rule = torch.optim.RMSprop(network.parameters(), lr=1e-3)

    def go(batches: int) -> None:
        for images, labels in itertools.islice(loader, batches):
            images, labels = images.to(device), labels.to(device)
            rule.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            rule.step()

    return go


def _plain_network(name: str) -> nn.Module:
    if name == "MLP":
        widths = [784, 100, 100, 10]
        layers = [nn.Linear(*pair) for pair in itertools.pairwise(widths)]
        return nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(128, 10),
    )


def _engine(contestant: Contestant, device: torch.device, root) -> Callable[[int], None]:
    data = datasets.load("mnist", "train", scaling="raw", root=root, dtype=torch.float32)
    data = data.subset(slice(BATCH * contestant.batches))
    images, labels = data.images.to(device), data.labels.to(device)
    if contestant.method == "engine, plain layers":
        build = partial(_plain_network, contestant.network)
    elif contestant.network == "MLP":
        images = images.flatten(1)
        build = partial(networks.MLP, [784, 100, 100, 10], dtype=torch.float32)
    else:
        build = networks.ArticleCNN
    built = [build() for _ in range(contestant.networks)]
    for seed, network in enumerate(built):
        initializers.initialize(network, "he", generator=torch.Generator().manual_seed(seed))
        network.to(device, memory_format=torch.channels_last)
    autocast = None if contestant.precision == "float32" else getattr(torch, contestant.precision)
    together = contestant.networks if contestant.method == "engine, stacked" else 1

    def go(batches: int) -> None:
        for first in range(0, len(built), together):
            training.train(
                built[first : first + together],
                images,
                labels,
                epochs=1,
                steps=batches,
                batch_size=BATCH,
                optimizer=training.rmsprop(1e-3),
                generator=[torch.Generator().manual_seed(i) for i in range(together)],
                autocast=autocast,
            )

    return go


def operations_per_image(name: str) -> int:
    """Floating-point operations of one training step on one image, as torch counts them."""
    network = _plain_network(name)
    images = torch.zeros(2, 1, 28, 28)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return counter.get_total_flops() // len(images)


def matmul_peak(device: str, precision: str, size: int = 2048) -> float:
    """Operations a second of a large matrix product: the best that a network could reach."""
    place = devices.as_device(device)
    a, b = torch.randn(2, size, size, device=place, dtype=getattr(torch, precision)).unbind()
    best = 0.0
    for _ in range(4):
        start = time.perf_counter()
        a @ b
        devices.synchronize(place)
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def processor() -> str:
    """The CPU's name, where the system tells it, and how many of its cores are ours."""
    info = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.processor() or 'unknown'}, {os.cpu_count()} cores"
