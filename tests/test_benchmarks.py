"""The benchmark's arithmetic; its times are nobody's promise here."""

from dataclasses import replace

import pytest
import torch

from helpers import benchmarks, costs, datasets
from helpers.networks import MLP, ArticleCNN


@pytest.mark.parametrize("name", ["MLP", "ArticleCNN"])
def test_the_plain_network_is_the_same_network(name):
    plain = benchmarks._plain_network(name)
    ours = MLP([784, 100, 100, 10], dtype=torch.float32) if name == "MLP" else ArticleCNN()
    assert [p.shape for p in plain.parameters()] == [p.shape for p in ours.parameters()]


def test_operations_are_counted():
    forward = 784 * 100 + 100 * 100 + 100 * 10
    # Backward: the weights' gradients, and the inputs' but for the first layer's.
    assert benchmarks.operations_per_image("MLP") == 2 * (3 * forward - 784 * 100)


@pytest.mark.parametrize("network", ["MLP", "ArticleCNN"])
def test_every_method_runs(network, monkeypatch):
    load = datasets.load
    monkeypatch.setattr(datasets, "load", lambda name, split, root, **o: load("digits", split, **o))
    monkeypatch.setattr(benchmarks.devices, "keep_memory", lambda place: None)
    for contestant in benchmarks.CONTESTANTS:
        if contestant.network == network and contestant.method != "plain loop":
            small = replace(contestant, networks=min(contestant.networks, 2), batches=1)
            assert benchmarks.measure(small, "cpu", None) > 0


def test_ratios_are_relative_to_the_plain_loop_and_to_one_network(monkeypatch):
    def rate(contestant, device, root):
        speeds = {"plain loop": 10.0, "engine": 100.0}
        return speeds.get(contestant.method, 400.0)

    monkeypatch.setattr(benchmarks, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(benchmarks, "measure", rate)
    monkeypatch.setattr(benchmarks, "matmul_peak", lambda device, precision: 1e12)
    load = datasets.load
    monkeypatch.setattr(datasets, "load", lambda name, split, root, **o: load("digits", split, **o))
    table, provenance = benchmarks.bench(rounds=2)
    rows = table.set_index(["network", "method", "networks", "precision"])
    many = rows.loc["MLP", "engine, stacked", 64, "float32"]
    assert many.speedup == 40 and many.time == 64 * 100 / 400
    assert many.peak_share == 400 * benchmarks.operations_per_image("MLP") / 1e12
    assert provenance["matmul_peak_gflops"] == {"float32": 1000, "bfloat16": 1000}


class Here:
    """A pool that works in this process."""

    def __init__(self, *arguments, **options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, function, *arguments):
        self.result = lambda: function(*arguments)
        return self


def test_the_cost_of_normalization_is_that_of_the_same_network_without_it(monkeypatch):
    def build():
        return MLP([6, 5, 5, 10], normalization="batch", dtype=torch.float32)

    bare = costs.without_normalization(build())
    kinds = [type(module).__name__ for module in bare.children()]
    assert kinds[:3] == ["Linear", "Identity", "Activation"] and kinds[-1] == "Linear"
    monkeypatch.setattr(costs, "NETWORKS", {"small": (build, (6,))})
    monkeypatch.setattr(costs.devices, "keep_memory", lambda place: None)
    # A clock by which every step takes a second with normalization, and half of it without.
    times = iter([0.0, 0.0, *[0.5, 1.0] * 3])
    monkeypatch.setattr(costs, "_step", lambda *arguments, **options: next(times))
    table, provenance = costs.normalization(rounds=3)
    assert table.iloc[0].tolist() == ["small", 500, 1000, 2, 2, 2]
    assert provenance["command"] == "python -m helpers bench normalization --out book/results"


def test_a_timed_step_changes_the_network():
    network = costs.NETWORKS["MLP, 10 hidden layers of 100"][0]()
    batch, labels = torch.randn(8, 784), torch.arange(8)
    assert costs._step(network, batch, labels, steps=1) > 0
    assert network.linear11.bias.abs().max() > 0
