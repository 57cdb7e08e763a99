"""What batch normalization costs: a training step with it and without it, side by side."""

import copy
import statistics
import time
from collections.abc import Callable

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from helpers import devices, initializers, networks, optimizers, residual
from helpers.benchmarks import processor

#: By name: the network, with batch normalization, and the shape of one example.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP, 10 hidden layers of 100": (
        lambda: networks.MLP([784] + [100] * 10 + [10], normalization="batch", dtype=torch.float32),
        (784,),
    ),
    "MLP, 10 hidden layers of 1000": (
        lambda: networks.MLP(
            [784] + [1000] * 10 + [10], normalization="batch", dtype=torch.float32
        ),
        (784,),
    ),
    "CIFARNet of 20 layers, plain": (
        lambda: residual.CIFARNet(20, shortcuts=False),
        (3, 32, 32),
    ),
}
_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d)


def without_normalization(network: nn.Module) -> nn.Module:
    """A copy in which every batch normalization is replaced by nothing."""
    bare = copy.deepcopy(network)
    for name, module in network.named_modules():
        if isinstance(module, _KINDS):
            bare.set_submodule(name, nn.Identity())
    return bare


def normalization(
    *, device: str = "cpu", batch_size: int = 128, rounds: int = 9, steps: int = 10
) -> tuple[pd.DataFrame, dict]:
    """Time training steps of every network; return a table, and its provenance.

    In each round the two networks take ``steps`` steps one after the other: forward, backward,
    plain descent. Columns: ``network``; ``plain`` and ``normalized``, milliseconds a step, medians
    of the rounds; ``ratio``, the median of the rounds' ratios, with ``lowest`` and ``highest``.
    """
    place, start, rows = devices.as_device(device), time.perf_counter(), []
    devices.keep_memory(place)
    generator = torch.Generator().manual_seed(0)
    for name, (build, shape) in NETWORKS.items():
        network = initializers.initialize(build(), "he", generator=generator)
        pair = [without_normalization(network), network]
        batch = torch.randn(batch_size, *shape, generator=generator).to(place)
        if len(shape) == 3:
            batch = batch.contiguous(memory_format=torch.channels_last)
        labels = torch.randint(10, (batch_size,), generator=generator).to(place)
        for member in pair:
            member.to(place, memory_format=torch.channels_last)
            _step(member, batch, labels, steps=2)
        times = [[_step(member, batch, labels, steps) for member in pair] for _ in range(rounds)]
        ratios = [slow / fast for fast, slow in times]
        plain, normalized = (1000 * statistics.median(column) for column in zip(*times))
        row = {"network": name, "plain": plain, "normalized": normalized}
        row |= {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
        rows.append(row)
    provenance = {
        "command": "python -m helpers bench normalization"
        + ("" if place.type == "cpu" else f" --device {place.type}")
        + " --out book/results",
        "configuration": {"batch_size": batch_size, "rounds": rounds, "steps": steps},
        "data": {"name": "noise"},
        "seeds": [0],
        "device": devices.describe(place),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    return pd.DataFrame(rows), provenance


def _step(network: nn.Module, batch, labels, steps: int) -> float:
    """Seconds of one training step, the mean of so many."""
    rule = optimizers.sgd(1e-6)(network.parameters())
    devices.synchronize(batch.device)
    start = time.perf_counter()
    for _ in range(steps):
        rule.zero_grad()
        F.cross_entropy(network(batch), labels).backward()
        rule.step()
    devices.synchronize(batch.device)
    return (time.perf_counter() - start) / steps
