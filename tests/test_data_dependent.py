"""What `lsuv`, `within_layer` and `between_layers` promise, measured from outside with
`propagation.observe`, and everything that they must leave alone."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import data_dependent, initializers, networks, propagation


def wave(s):
    return torch.sin(3 * s)


SIX = ["relu", "tanh", "gelu", "silu", "elu", wave]
LINEAR = ("Linear", "Conv2d", "ConvTranspose2d")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def drawn(network, seed=0, sigma=0.05):
    """Every parameter from a seed; constructors draw from the global state."""
    source = generator(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, sigma, generator=source)
    return network


def outputs(network, batch):
    return [s for s in propagation.observe(network, batch) if s.kind in LINEAR]


def moments(network, batch):
    return [s.forward.square().mean().item() for s in outputs(network, batch)]


def everything(network):
    return (
        [t.clone() for t in network.state_dict().values()],
        [
            (dict(m._forward_hooks), dict(m._forward_pre_hooks), m.training)
            for m in network.modules()
        ],
        [(p.requires_grad, p.grad) for p in network.parameters()],
        torch.random.get_rng_state(),
    )


def same(before, after):
    tensors = all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    return tensors and before[1:3] == after[1:3] and torch.equal(before[3], after[3])


def plain_cnn(activation, depth=30):
    layers = [nn.Conv2d(1, 6, 3, padding=1)]
    for _ in range(depth - 2):
        layers += [networks.Activation(activation), nn.Conv2d(6, 6, 3, padding=1)]
    layers += [networks.Activation(activation), nn.Flatten(), nn.Linear(6 * 25, 10)]
    return drawn(nn.Sequential(*layers).double())


@pytest.mark.parametrize(
    ("kind", "activation"),
    [("mlp", phi) for phi in SIX] + [("cnn", phi) for phi in (F.relu, F.gelu, wave)],
)
def test_lsuv_holds_the_second_moment_over_thirty_layers(kind, activation):
    """1 % is the default tolerance; in a plain network one correction is exact."""
    if kind == "mlp":
        network, batch = networks.MLP([20] + [24] * 30, activation), 3 * normal(32, 20)
    else:
        network, batch = plain_cnn(activation), 0.3 * normal(6, 1, 5, 5)
    table = data_dependent.lsuv(network, batch, generator=generator())
    found = moments(network, batch)
    assert len(found) == 30 and max(abs(q - 1) for q in found) < 0.01
    assert table["after"].tolist() == pytest.approx(found)
    assert table["iterations"].max() == 1 and (table["state"] == "set").all()
    corrected = table[table["iterations"] == 1]
    assert (corrected["factor"] * corrected["before"] ** 0.5).to_numpy() == pytest.approx(1)


def test_lsuv_by_hand_on_a_chain():
    """Orthonormal rows or columns, zero biases, and the factor of each layer, step by step."""
    network = drawn(networks.MLP([6, 5, 9], "tanh"))
    batch = normal(40, 6)
    data_dependent.lsuv(network, batch, generator=generator(2))
    source, x = generator(2), batch
    for layer in (network.linear1, network.linear2):
        w = torch.empty(layer.weight.shape, dtype=torch.float64)
        nn.init.orthogonal_(w, generator=source)
        s = x @ w.T
        expected = w / s.square().mean().sqrt()
        assert torch.allclose(layer.weight, expected, rtol=1e-12)
        assert not layer.bias.any()
        x = torch.tanh(x @ expected.T)


def test_without_a_generator_weights_and_biases_keep_their_directions():
    network = drawn(networks.MLP([6, 7, 8, 3], "gelu"), sigma=2.0)
    old = [p.clone() for p in network.parameters()]
    batch = normal(30, 6)
    table = data_dependent.lsuv(network, batch, generator=None)
    assert moments(network, batch) == pytest.approx([1] * 3)
    for i, factor in enumerate(table["factor"]):
        assert torch.allclose(network.get_parameter(f"linear{i + 1}.weight"), factor * old[2 * i])
        assert torch.allclose(network.get_parameter(f"linear{i + 1}.bias"), factor * old[2 * i + 1])
    again = data_dependent.lsuv(network, batch, generator=None)
    assert (again["iterations"] == 0).all() and (again["factor"] == 1).all()


def test_he_is_what_lsuv_finds_for_relu():
    """Oracle: He's rule. The factors behind the first layer scatter around 1."""
    network = networks.MLP([100] + [200] * 12)
    initializers.initialize(network, "he", generator=generator(3))
    table = data_dependent.lsuv(network, normal(200, 100), generator=None, tolerance=1e-9)
    assert table["factor"][0] == pytest.approx(1 / math.sqrt(2), rel=0.02)
    assert table["factor"][1:].to_numpy() == pytest.approx(1, abs=0.1)
    assert table["factor"][1:].mean() == pytest.approx(1, abs=0.03)


class Odd(nn.Module):
    """Runs in another order than it is registered; nested; one layer twice; some never."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(12, 4)
        self.unused = nn.Linear(3, 3)
        self.shared = nn.Linear(6, 6)
        self.inner = nn.ModuleDict({"first": nn.Linear(5, 6), "frozen": nn.Linear(6, 6)})
        self.inner["frozen"].weight.requires_grad_(False)

    def forward(self, x):
        x = torch.relu(self.inner["first"](x))
        for _ in range(2):
            x = torch.relu(self.shared(x))
        return self.last(torch.cat([x, torch.relu(self.inner["frozen"](x))], 1))


def odd():
    return drawn(Odd().double(), sigma=0.5)


def test_order_of_running_shared_frozen_and_unreached_layers():
    network, batch = odd(), normal(50, 5)
    old = {name: p.clone() for name, p in network.named_parameters()}
    table = data_dependent.lsuv(network, batch, generator=generator(4), tolerance=1e-3)
    assert table["layer"].tolist() == ["inner.first", "shared", "inner.frozen", "last", "unused"]
    assert table["state"].tolist() == ["set", "set", "frozen", "set", "not reached"]
    assert table["uses"].tolist() == [1, 2, 1, 1, 0]
    found = propagation.observe(network, batch)
    size = {name: [] for name in old}
    for s in found:
        size.setdefault(s.layer, []).append(s.forward.square().mean().item())
    assert size["inner.first"] + size["last"] == pytest.approx([1, 1], abs=1e-3)
    assert sum(size["shared"]) / 2 == pytest.approx(1, abs=1e-3)
    assert table["after"][2] == pytest.approx(size["inner.frozen"][0])
    for name in ("inner.frozen.weight", "inner.frozen.bias", "unused.weight", "unused.bias"):
        assert torch.equal(old[name], network.get_parameter(name)), name
    assert math.isnan(table["after"][4]) and table["factor"][[2, 4]].tolist() == [1, 1]


def test_two_modules_with_one_weight_and_a_weight_tied_to_an_embedding():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(7, 6)
            self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 6)
            self.two.weight = self.one.weight
            self.head = nn.Linear(6, 7, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, words):
            return self.head(torch.tanh(self.two(torch.tanh(self.one(self.embedding(words))))))

    network = drawn(Tied().double(), sigma=0.7)
    words = torch.randint(7, (20, 5), generator=generator(5))
    old = network.head.weight.clone()
    table = data_dependent.lsuv(network, words, generator=generator(6))
    assert table["layer"].tolist() == ["one", "head"]
    assert table["uses"].tolist() == [2, 1] and table["state"].tolist() == ["set", "tied"]
    assert table["after"][0] == pytest.approx(1, abs=0.01)
    assert torch.equal(old, network.head.weight)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("scheme", [data_dependent.lsuv, data_dependent.within_layer])
def test_nothing_but_weights_and_biases_changes(scheme, training):
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Flatten(), nn.Linear(96, 5),
    )  # fmt: skip
    drawn(network, sigma=0.3).train(training)
    calls = []
    network[0].register_forward_hook(lambda *_: calls.append(1))
    network[0].register_forward_pre_hook(lambda *_: None)
    batch = normal(30, 1, 6, 6).float().contiguous(memory_format=torch.channels_last)
    network.to(memory_format=torch.channels_last)
    network[0].weight.grad = torch.ones_like(network[0].weight)
    before, kept = everything(network), batch.clone()
    table = scheme(network, batch, generator=generator())
    after = everything(network)
    changed = [
        name
        for name, a, b in zip(network.state_dict(), before[0], after[0], strict=True)
        if not torch.equal(a, b)
    ]
    expected = ["0.weight", "0.bias", "5.weight", "5.bias"]
    assert changed == expected and before[1:3] == after[1:3]
    assert torch.equal(before[3], after[3]) and torch.equal(batch, kept)
    assert table["after"].tolist() == pytest.approx([1, 1], abs=0.03)
    assert (
        network[0].weight.stride()
        == network.to(memory_format=torch.channels_last)[0].weight.stride()
    )


def test_few_passes_however_deep():
    network, passes = networks.MLP([8] * 21, "relu"), []
    network.linear1.register_forward_pre_hook(lambda *_: passes.append(1))
    data_dependent.lsuv(network, normal(16, 8), generator=generator())
    assert len(passes) == 2


def numb(network):
    nn.init.constant_(network.linear1.bias, -100.0)
    nn.init.constant_(network.linear2.bias, 0.5)


def dead(network):
    nn.init.constant_(network.linear1.bias, -100.0)
    nn.init.zeros_(network.linear2.bias)


@pytest.mark.parametrize(
    ("batch", "change", "message"),
    [
        (normal(9, 6), dead, r"Layer 'linear2' \(Linear\) has second moment 0.0 .* always zero"),
        (normal(9, 6), numb, r"Layer 'linear2' \(Linear\) puts out the same .* moment 0.25"),
        (normal(9, 6) * math.nan, None, r"Layer 'linear1' \(Linear\) has second moment nan"),
        (normal(9, 6) * 1e300, None, r"Layer 'linear1' \(Linear\) has second moment inf"),
    ],
)
def test_a_layer_that_no_factor_mends_is_named_and_nothing_is_left_half_done(
    batch, change, message
):
    network = drawn(networks.MLP([6, 5, 4, 3]))
    if change:
        change(network)
    before = everything(network)
    with pytest.raises(ValueError, match=message):
        data_dependent.lsuv(network, batch, generator=None)
    assert same(before, everything(network))


def test_an_error_or_interrupt_in_the_middle_undoes_what_was_done():
    class Bad(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.runs = nn.Linear(4, 4), nn.Linear(4, 4), 0

        def forward(self, x):
            x = self.first(x)
            self.runs += 1
            if self.runs == 2:
                raise KeyboardInterrupt
            return self.second(x)

    network = drawn(Bad().double())
    before = everything(network)
    with pytest.raises(KeyboardInterrupt):
        data_dependent.lsuv(network, normal(5, 4), generator=generator())
    assert same(before, everything(network))


def test_a_layer_that_does_not_follow_its_weight_is_named():
    class Normalized(nn.Linear):
        def forward(self, x):
            return 3 * F.linear(x, self.weight / self.weight.norm())

    network = drawn(nn.Sequential(networks.MLP([4, 4]), Normalized(4, 4)).double())
    before = everything(network)
    with pytest.raises(ValueError, match=r"'1' \(Normalized\).*after 5 corrections"):
        data_dependent.lsuv(network, normal(5, 4), generator=None, max_iterations=5)
    assert same(before, everything(network))


def test_bad_arguments():
    network = networks.MLP([4, 4])
    with pytest.raises(ValueError, match="the batch is 0"):
        data_dependent.lsuv(network, normal(0, 4), generator=generator())
    with pytest.raises(ValueError, match="tolerance is 0"):
        data_dependent.lsuv(network, normal(5, 4), generator=generator(), tolerance=0)
    with pytest.raises(ValueError, match="max_iterations is 0"):
        data_dependent.lsuv(network, normal(5, 4), generator=generator(), max_iterations=0)
    with pytest.raises(ValueError, match="0 linear and convolutional layers"):
        data_dependent.lsuv(nn.ReLU(), normal(5, 4), generator=generator())
    with pytest.raises(ValueError, match="mean is nan"):
        data_dependent.within_layer(network, normal(5, 4), generator=None, mean=math.nan)
    normed = nn.utils.parametrizations.weight_norm(network.linear1)
    with pytest.raises(ValueError, match="computed from others"):
        data_dependent.lsuv(normed, normal(5, 4), generator=generator())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    network = drawn(nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 64))).to(dtype)
    batch = normal(200, 16).to(dtype)
    data_dependent.lsuv(network, batch, generator=generator())
    assert moments(network, batch) == pytest.approx([1, 1], abs=0.01)
    data_dependent.within_layer(network, batch, generator=None, tolerance=0.05)
    for s in outputs(network, batch):
        assert s.forward.double().mean(0).abs().max() < 0.05


def test_under_autocast_the_new_weight_is_used():
    network = drawn(nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 64)))
    batch = normal(200, 16).float()
    with torch.autocast("cpu", torch.bfloat16):
        table = data_dependent.lsuv(network, batch, generator=None)
    assert table["iterations"].tolist() == [1, 1]
    assert moments(network, batch) == pytest.approx([1, 1], abs=0.02)


def test_a_batch_of_several_arguments():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(3, 5), nn.Linear(4, 5)

        def forward(self, x, *, y, note="none"):
            return self.one(x) + self.two(y)

    network = drawn(Two().double())
    batch = {"x": normal(20, 3), "y": normal(20, 4), "note": "as it is"}
    table = data_dependent.lsuv(network, batch, generator=None)
    assert table["after"].tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("mean", [0.0, 0.5])
def test_within_layer_gives_every_unit_its_mean_and_standard_deviation(mean):
    """Channels of convolutions too, transposed and grouped ones included."""
    network = drawn(
        nn.Sequential(
            nn.Conv2d(2, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 4, 3, groups=2), nn.Tanh(),
            nn.Conv2d(4, 4, 3, groups=4), nn.GELU(), nn.Flatten(), nn.Linear(64, 5),
        ).double(),
        sigma=0.4,
    )  # fmt: skip
    batch = normal(30, 2, 6, 6)
    table = data_dependent.within_layer(network, batch, generator=generator(7), mean=mean)
    for s in outputs(network, batch):
        units = s.forward.transpose(0, 1).flatten(1)
        assert units.mean(1).tolist() == pytest.approx([mean] * len(units), abs=1e-9)
        assert units.std(1, correction=0).tolist() == pytest.approx([1] * len(units))
    assert table["after"].to_numpy() == pytest.approx(1 + mean**2)
    assert table["iterations"].tolist() == [1] * 4


def test_within_layer_needs_a_bias_several_examples_and_one_use():
    for network, message in [
        (networks.MLP([5, 5], bias=False), "'linear1' .* has no bias to set"),
        (odd(), "'shared' .* runs 2 times"),
    ]:
        before = everything(network)
        with pytest.raises(ValueError, match=message):
            data_dependent.within_layer(network, normal(9, 5), generator=generator())
        assert same(before, everything(network))
    network = drawn(networks.MLP([5, 6, 7]))
    before = everything(network)
    with pytest.raises(ValueError, match="'linear1' .* a unit, number 0, .* deviation 0 "):
        data_dependent.within_layer(network, normal(1, 5), generator=generator())
    assert same(before, everything(network))


def test_between_layers_equals_the_rates_and_keeps_the_function():
    network = drawn(networks.MLP([8, 30, 4, 16, 3]), sigma=0.5)
    batch = normal(40, 8)
    data_dependent.within_layer(network, batch, generator=generator(8))
    before = network(batch)
    table = data_dependent.between_layers(network, batch, generator=generator(9))
    assert torch.allclose(network(batch), before, rtol=1e-10)
    assert table["before"].max() / table["before"].min() > 1.5
    assert table["after"].to_numpy() == pytest.approx(table["after"][0])
    assert table["factor"].prod() == pytest.approx(1)
    readout = torch.randn(before.shape, generator=generator(9)).double()
    (network(batch) * readout).sum().backward()
    weights = [p for name, p in network.named_parameters() if name.endswith("weight")]
    rates = [(p.grad.norm() / p.norm()).item() for p in weights]
    assert rates == pytest.approx(table["after"].tolist())


def test_between_layers_refuses_what_is_no_chain():
    network = drawn(networks.MLP([8, 30, 4], "tanh"), sigma=0.5)
    before = everything(network)
    with pytest.raises(ValueError, match="Equal rates would change the output by"):
        data_dependent.between_layers(network, normal(9, 8), generator=generator())
    assert same(before, everything(network))
