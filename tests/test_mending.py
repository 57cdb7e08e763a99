"""What `repair` promises, measured from outside with `propagation.observe`."""

import math

import pytest
import torch
from torch import nn

from helpers import initializers, mending, networks, propagation
from helpers.networks import Activation

SIX = ["relu", "tanh", "gelu", "silu", "elu", "selu"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def perceptron(phi):
    return networks.MLP([64] + [100] * 30 + [10], phi), normal(128, 64)


def convolutions(phi):
    """Twenty plain layers, 3×3."""
    layers, channels = [], 3
    for _ in range(20):
        conv = networks.blank(nn.Conv2d, channels, 16, 3, padding=1, dtype=torch.float64)
        layers += [conv, Activation(networks.named_activation(phi))]
        channels = 16
    return nn.Sequential(*layers), normal(8, 3, 8, 8)


def moments(network, batch):
    signals = propagation.observe(network, batch)
    return [s.forward.square().mean().item() for s in signals if s.kind in ("Linear", "Conv2d")]


@pytest.mark.parametrize("build", [perceptron, convolutions])
@pytest.mark.parametrize("phi", SIX)
def test_lsuv_holds_where_the_default_fails(build, phi):
    network, batch = build(phi)
    initializers.initialize(network, "pytorch", generator=generator())
    assert min(moments(network, batch)) < 0.2, "the default would do"
    done = mending.repair(network, batch, generator=generator(2))
    found = moments(network, batch)
    assert max(abs(moment - 1) for moment in found) < 0.05
    assert done.table["after"].tolist() == pytest.approx(found)


def everything(network):
    return (
        {name: tensor.clone() for name, tensor in network.state_dict().items()},
        [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in network.modules()],
        [(p.requires_grad, p.grad) for p in network.parameters()],
        torch.random.get_rng_state(),
    )


def mixed():
    """Layers of every state: to be set, frozen, tied to an embedding, never called."""
    network = nn.ModuleDict(
        {
            "embedding": nn.Embedding(12, 8),
            "first": nn.Linear(8, 8),
            "norm": nn.BatchNorm1d(8),
            "dropout": nn.Dropout(0.5),
            "frozen": nn.Linear(8, 8).requires_grad_(False),
            "spare": nn.Linear(8, 8),
            "readout": nn.Linear(8, 12, bias=False),
        }
    ).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.3, generator=generator(5))
    network["readout"].weight = network["embedding"].weight
    network.forward = lambda tokens: network["readout"](
        network["frozen"](
            network["dropout"](network["norm"](network["first"](network["embedding"](tokens))))
        )
    )
    return network.train(), torch.randint(12, (32,), generator=generator())


@pytest.mark.parametrize("scheme", ["lsuv", "he", "orthogonal"])
def test_only_weights_that_may_change_do(scheme):
    network, tokens = mixed()
    before = everything(network)
    done = mending.repair(network, tokens, scheme, generator=generator(3))
    after = everything(network)
    changed = {name for name in before[0] if not torch.equal(before[0][name], after[0][name])}
    assert changed == {"first.weight", "first.bias"}
    assert before[1:3] == after[1:3] and torch.equal(before[3], after[3])
    assert done.table.set_index("layer")["state"].to_dict() == {
        "first": "set",
        "frozen": "frozen",
        "readout": "tied",
        "spare": "not reached",
    }
    assert "Left alone, frozen: frozen. Left alone, tied: readout." in str(done)


def test_a_scheme_draws_as_initialize_does():
    network, batch = perceptron("relu")
    done = mending.repair(network, batch, "normal", sigma=0.3, generator=generator(4))
    other, _ = perceptron("relu")
    initializers.initialize(other, "normal", sigma=0.3, generator=generator(4))
    for mine, theirs in zip(network.parameters(), other.parameters()):
        assert torch.equal(mine, theirs)
    assert done.table["weight_before"].tolist() == [0.0] * 31
    assert done.table["weight_after"].tolist() == pytest.approx([0.3] * 31, rel=0.1)


def test_without_a_generator_lsuv_keeps_the_directions():
    network, batch = perceptron("tanh")
    initializers.initialize(network, "normal", sigma=0.02, generator=generator())
    before = network.linear3.weight.detach().clone()
    mending.repair(network, batch)
    ratio = (network.linear3.weight / before).detach()
    assert torch.allclose(ratio, ratio[0, 0]) and ratio[0, 0] > 1


def test_after_an_error_the_weights_are_the_old_ones():
    network, batch = perceptron("relu")
    initializers.initialize(network, "he", generator=generator())
    nn.init.zeros_(network.linear9.weight)
    before = everything(network)
    with pytest.raises(ValueError, match="Layer 'linear9'.*second moment 0"):
        mending.repair(network, batch)
    after = everything(network)
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])


@pytest.mark.parametrize(
    ("scheme", "options", "words"),
    [
        ("hee", {}, "Did you mean 'he'"),
        ("he", {}, "has no generator"),
        ("lsuv", {"sigma": 0.1}, "finds the scale itself"),
        ("fitting", {"gain": 2.0, "generator": generator()}, "finds the scale itself"),
        ("normal", {"generator": generator()}, "needs sigma"),
    ],
)
def test_arguments_that_make_no_sense(scheme, options, words):
    network, batch = perceptron("relu")
    with pytest.raises(ValueError, match=words):
        mending.repair(network, batch, scheme, **options)


def test_fitting_weights_have_the_gain_of_what_follows():
    network, batch = perceptron("tanh")
    initializers.initialize(network, "zeros", generator=generator())
    done = mending.repair(network, batch, "fitting", generator=generator())
    assert done.table["scheme"].iloc[0] == "gain 1.593, for tanh"
    assert done.table["scheme"].iloc[-1] == "gain 1, for linear"
    weights = done.table["weight_after"].tolist()
    fan_ins = [64] + [100] * 30
    expected = [initializers.gain("tanh") / math.sqrt(n) for n in fan_ins[:-1]] + [0.1]
    assert weights == pytest.approx(expected, rel=0.05)
