"""What `observe` reports against the same numbers computed by hand, and what it must not touch."""

import math

import pytest
import torch
from torch import nn

from helpers import initializers, networks, propagation, theory


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def small(activation="tanh"):
    return initializers.initialize(
        networks.MLP([6, 5, 4, 3], activation), "he", generator=generator()
    )


INPUTS = torch.randn(7, 6, dtype=torch.float64, generator=generator(1))


def test_signals_are_the_layers_outputs_and_their_gradients():
    network = small()
    signals = propagation.observe(network, INPUTS, loss=lambda out: out.square().sum())
    by_hand = [INPUTS]
    for layer in network:
        by_hand.append(layer(by_hand[-1]))
        by_hand[-1].retain_grad()
    by_hand[-1].square().sum().backward()
    assert [s.layer for s in signals] == ["linear1", "act1", "linear2", "act2", "linear3"]
    assert [s.kind for s in signals] == ["Linear", "tanh", "Linear", "tanh", "Linear"]
    for signal, tensor in zip(signals, by_hand[1:], strict=True):
        assert torch.allclose(signal.forward, tensor)
        assert torch.allclose(signal.backward, tensor.grad)


def test_a_layer_that_works_in_place_does_not_spoil_the_one_before():
    network = nn.Sequential(nn.Linear(6, 50), nn.ReLU(inplace=True)).double()
    linear, relu = propagation.observe(network, INPUTS, loss=lambda out: out.sum())
    assert (linear.forward < 0).any() and (relu.forward >= 0).all()
    assert torch.equal(linear.backward, (linear.forward > 0).double())


def test_a_layer_used_twice_is_seen_twice_and_an_unused_one_has_no_gradient():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.aside = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x):
            self.aside(x)
            return self.shared(self.shared(x))

    signals = propagation.observe(Odd().double(), INPUTS, loss=lambda out: out.sum())
    assert [s.layer for s in signals] == ["aside", "shared", "shared"]
    assert [s.backward is None for s in signals] == [True, False, False]


def everything(network):
    state = [t.clone() for t in network.state_dict().values()]
    gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    hooks = [len(m._forward_hooks) for m in network.modules()]
    flags = [m.training for m in network.modules()] + [
        p.requires_grad for p in network.parameters()
    ]
    return state, gradients, hooks, flags


def same(before, after):
    return all(torch.equal(a, b) for a, b in zip(before[0], after[0])) and (
        [g is None for g in before[1]] == [g is None for g in after[1]]
        and all(torch.equal(a, b) for a, b in zip(before[1], after[1]) if a is not None)
        and before[2:] == after[2:]
    )


def test_nothing_in_the_network_changes_not_even_running_averages():
    network = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(8, 2)
    ).double()
    network[0].weight.requires_grad_(False)
    network(INPUTS).sum().backward()  # so that there are gradients to disturb
    before, inputs, random = everything(network), INPUTS.clone(), torch.random.get_rng_state()
    signals = propagation.observe(network, INPUTS, loss=lambda out: out.sum())
    assert all(s.backward is not None for s in signals)
    assert same(before, everything(network))
    assert torch.equal(inputs, INPUTS) and not INPUTS.requires_grad
    assert torch.equal(random, torch.random.get_rng_state())


def test_hooks_are_gone_when_the_forward_pass_or_the_loss_fails():
    network = small()
    before = everything(network)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        propagation.observe(network, INPUTS[:, :3])
    with pytest.raises(ValueError, match=r"loss has shape \(7, 3\)"):
        propagation.observe(network, INPUTS, loss=lambda out: out)
    with pytest.raises(ValueError, match="the batch is 0"):
        propagation.observe(network, INPUTS[:0])
    assert same(before, everything(network))


def test_statistics_say_what_numpy_says():
    signals = propagation.observe(small("relu"), INPUTS, loss=lambda out: out.sum())
    table = propagation.statistics(signals)
    assert len(table) == 10
    row = table[(table["layer"] == "act1") & (table["direction"] == "forward")].iloc[0]
    values = signals[1].forward.numpy()
    assert row["mean"] == pytest.approx(values.mean())
    assert row["variance"] == pytest.approx(values.var())
    assert row["second_moment"] == pytest.approx((values**2).mean())
    assert row["fraction_zero"] == pytest.approx((values == 0).mean())
    assert row["fraction_dead"] == pytest.approx((values == 0).all(axis=0).mean())
    assert row["q50"] == pytest.approx(torch.from_numpy(values).quantile(0.5).item())
    assert math.isnan(row["fraction_saturated"])


def test_saturation_and_dead_channels():
    inputs = torch.tensor([[-9.0, 0.1], [9.0, 0.2], [-9.0, 0.3]], dtype=torch.float64)
    table = propagation.statistics(propagation.observe(networks.Activation(torch.tanh), inputs))
    assert table["fraction_saturated"].item() == pytest.approx(0.5)
    images = torch.ones(2, 3, 4, 4)
    images[:, 1] = -1
    table = propagation.statistics(propagation.observe(nn.ReLU(), images))
    assert table["fraction_dead"].item() == pytest.approx(1 / 3)


def test_an_exploding_network_is_reported_not_refused():
    network = initializers.initialize(
        networks.MLP([6] * 12, "linear"), "normal", sigma=1e40, generator=generator()
    )
    table = propagation.statistics(propagation.observe(network, INPUTS))
    assert table["fraction_finite"].iloc[0] == 1 and table["fraction_finite"].iloc[-1] < 1
    assert not math.isfinite(table["second_moment"].iloc[-1])


def test_histograms_count_every_value_once_on_one_axis():
    signals = propagation.observe(small(), INPUTS, loss=lambda out: out.sum())
    table = propagation.histograms(signals, bins=20)
    for _, one in table.groupby(["direction", "layer"]):
        assert (one["density"] * one["width"]).sum() == pytest.approx(1)
    assert table.groupby("direction")["center"].max().size == 2
    narrow = propagation.histograms(signals, bins=20, span=0.1)
    assert (narrow["density"] * narrow["width"]).groupby(narrow["layer"]).sum().max() < 2
    with pytest.raises(ValueError, match="bins is 0"):
        propagation.histograms(signals, bins=0)
    with pytest.raises(ValueError, match="span is -1"):
        propagation.histograms(signals, span=-1)


@pytest.mark.parametrize(
    ("activation", "scheme"), [("linear", "lecun"), ("tanh", "glorot"), ("relu", "he")]
)
def test_measured_second_moments_agree_with_theory_forward_and_backward(activation, scheme):
    """100 draws of a 4-layer net of width 256: within 4 standard errors of the draws' mean.

    The gradient that enters at the top is random and independent of the weights. Finite width
    biases tanh by O(1/n), well below the standard error here.
    """
    widths = [64, 256, 256, 256, 256]
    activations = [activation] * 4
    inputs = torch.randn(4, 64, dtype=torch.float64, generator=generator(3))
    cotangent = torch.randn(4, 256, dtype=torch.float64, generator=generator(4))
    draws = []
    for seed in range(100):
        network = networks.MLP(widths, activations, bias=False)
        initializers.initialize(network, scheme, generator=generator(100 + seed))
        signals = propagation.observe(network, inputs, loss=lambda out: (out * cotangent).sum())
        draws.append([(s.forward.square().mean(), s.backward.square().mean()) for s in signals])
    measured = torch.tensor(draws).unflatten(1, (4, 2))  # draws, layers, (s, x), directions
    mean = measured.mean(0)
    error = measured.std(0) / math.sqrt(len(draws))
    variance = initializers.variances(scheme, widths)
    # One input after another, for tanh is not linear in the input's second moment.
    moments = inputs.square().mean(1).numpy()
    forward = theory.forward(widths, variance, activations, input_second_moment=moments)
    backward = theory.backward(
        widths, variance, activations, forward.pre_activation,
        output_second_moment=cotangent.square().mean(1).numpy(),
    )  # fmt: skip
    for direction, predicted in enumerate((forward, backward)):
        for kind, values in enumerate((predicted.pre_activation, predicted.activation)):
            expected = torch.from_numpy(values.mean(axis=1))
            distance = (mean[:, kind, direction] - expected).abs()
            # The gradient that enters is known exactly: its standard error is zero.
            assert (distance <= 4 * error[:, kind, direction] + 1e-12).all(), (direction, kind)
