"""Recurrent layers against steps written out by hand, first weights against their distributions."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import recurrent

N = 48
LSTM_SCHEMES = ["pytorch", "forget-0", "forget-1", "forget-log", "chrono"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(scheme, cell="lstm", width=N, seed=0, gap=60, **options):
    network = recurrent.Recurrent(10, width, 8, cell=cell, dtype=torch.float64, **options)
    return recurrent.initialize(network, scheme, generator=generator(seed), gap=gap)


def steps_by_hand(layer, inputs):
    """All states h of a batch, gate by gate, and the cells c if there are any."""
    n, hs, cs = layer.hidden_size, [], []
    h = c = torch.zeros(len(inputs), n, dtype=torch.float64)
    for x in inputs.unbind(1):
        total = (
            x @ layer.weight_ih_l0.T
            + h @ layer.weight_hh_l0.T
            + layer.bias_ih_l0
            + layer.bias_hh_l0
        )
        if isinstance(layer, nn.LSTM):
            i, f, g, o = (total[:, k * n : (k + 1) * n] for k in range(4))
            c = c / (1 + torch.exp(-f)) + torch.tanh(g) / (1 + torch.exp(-i))
            h = torch.tanh(c) / (1 + torch.exp(-o))
        else:
            h = torch.tanh(total) if layer.nonlinearity == "tanh" else total.clamp(min=0)
        hs.append(h)
        cs.append(c)
    return hs, cs


@pytest.mark.parametrize(
    "cell, scheme", [("lstm", "pytorch"), ("tanh", "normal"), ("relu", "identity")]
)
def test_the_network_is_what_its_equations_say(cell, scheme):
    network = drawn(scheme, cell, recall=2)
    tokens = torch.randint(10, (5, 7), generator=generator(1))
    hs, _ = steps_by_hand(network.layer, F.one_hot(tokens, 10).double())
    expected = torch.stack([h @ network.readout.weight.T for h in hs[-2:]], dim=2)
    assert torch.allclose(network(tokens), expected + network.readout.bias[:, None], atol=1e-12)
    last = drawn(scheme, cell)
    assert torch.allclose(last(F.one_hot(tokens, 10).double()), expected[:, :, -1], atol=1e-12)


def test_with_frozen_gates_the_gradient_through_time_is_the_product_of_the_forget_gates():
    network = drawn("chrono", seed=2)
    with torch.no_grad():
        network.layer.weight_hh_l0.zero_()  # no way but through the cell
    inputs = torch.randn(3, 20, 10, generator=generator(3), dtype=torch.float64)
    _, cs = steps_by_hand(network.layer, inputs)
    (found,) = torch.autograd.grad(cs[-1].sum(), cs[4])
    weights, bias = network.layer.weight_ih_l0[N : 2 * N], network.layer.bias_ih_l0[N : 2 * N]
    gates = torch.sigmoid(inputs[:, 5:] @ weights.T + bias)
    assert torch.allclose(found, gates.prod(1), rtol=1e-10)


def gates_of(network):
    total = (network.layer.bias_ih_l0 + network.layer.bias_hh_l0).detach()
    return dict(zip(("input", "forget", "candidate", "output"), total.view(4, -1)))


@pytest.mark.parametrize(
    "scheme, bias", [("forget-0", 0.0), ("forget-1", 1.0), ("forget-log", math.log(60))]
)
def test_a_constant_forget_bias_is_the_sum_of_both_and_all_other_biases_are_zero(scheme, bias):
    gates = gates_of(drawn(scheme))
    assert torch.allclose(gates.pop("forget"), torch.full((N,), bias, dtype=torch.float64))
    assert all((gate == 0).all() for gate in gates.values())


def test_chrono_biases_are_logarithms_of_uniform_times():
    gates = gates_of(drawn("chrono", width=2000, gap=60))
    times = gates["forget"].exp().sort().values
    assert torch.equal(gates["input"], -gates["forget"])
    assert 1 <= times[0] and times[-1] <= 59
    # Kolmogorov-Smirnov: the largest distance of the two distribution functions; 1.95/√n is
    # passed with probability 0.001.
    ranks = (torch.arange(2000) + 0.5) / 2000
    assert ((times - 1) / 58 - ranks).abs().max() < 1.95 / math.sqrt(2000)


def test_the_default_has_the_bounds_and_moments_of_torch():
    ours = drawn("pytorch", width=400).layer
    torch_state = torch.random.get_rng_state()
    theirs = nn.LSTM(10, 400)
    torch.random.set_rng_state(torch_state)
    for name, values in ours.named_parameters():
        other = getattr(theirs, name)
        assert values.shape == other.shape and values.abs().max() <= 1 / math.sqrt(400)
        # U(±a) has variance a²/3, known to √(0.8/n); both samples within five standard errors.
        for sample in (values, other.double()):
            error = math.sqrt(0.8 / sample.numel())
            assert abs(sample.square().mean().item() * 3 * 400 - 1) < 5 * error


def test_recurrent_matrices_are_what_they_are_called():
    normal, orthogonal, identity = (
        drawn(scheme, "tanh", width=200).layer.weight_hh_l0.detach()
        for scheme in ("normal", "orthogonal", "identity")
    )
    one = torch.eye(200, dtype=torch.float64)
    assert abs(normal.square().mean().item() * 200 - 1) < 5 * math.sqrt(2 / 200**2)
    assert torch.allclose(orthogonal @ orthogonal.T, one, atol=1e-12)
    assert torch.equal(identity, one) and not torch.allclose(orthogonal, one)


@pytest.mark.parametrize("scheme", LSTM_SCHEMES)
def test_one_seed_means_the_same_weights_under_every_scheme_of_an_lstm(scheme):
    network, reference = drawn(scheme), drawn("forget-0")
    for name in ("layer.weight_ih_l0", "layer.weight_hh_l0", "readout.weight"):
        assert torch.equal(network.get_parameter(name), reference.get_parameter(name))


def test_nothing_touches_the_global_generator_and_a_copy_computes_the_same():
    before = torch.random.get_rng_state()
    network = recurrent.Recurrent(10, 6, 8, recall=3)
    assert all((parameter == 0).all() for parameter in network.parameters())
    recurrent.initialize(network, "chrono", generator=generator(), gap=20)
    assert torch.equal(torch.random.get_rng_state(), before)
    tokens = torch.randint(10, (4, 9), generator=generator())
    assert torch.equal(copy.deepcopy(network)(tokens), network(tokens))
    assert network(tokens).shape == (4, 8, 3)
    F.cross_entropy(network(tokens), torch.zeros(4, 3, dtype=torch.int64)).backward()


@pytest.mark.parametrize(
    "scheme, cell, gap, message",
    [
        ("chrono", "lstm", None, "gap is None"),
        ("forget-log", "lstm", 2, "gap is 2"),
        ("orthogonal", "lstm", 60, "not for LSTM"),
        ("forget-1", "tanh", 60, "not for RNN"),
        ("chronos", "lstm", 60, "Did you mean 'chrono'"),
    ],
)
def test_a_scheme_that_does_not_fit_is_refused(scheme, cell, gap, message):
    with pytest.raises(ValueError, match=message):
        drawn(scheme, cell, gap=gap)


def test_an_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="Unknown cell 'gru'"):
        recurrent.Recurrent(10, 6, 8, cell="gru")
