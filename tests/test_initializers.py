"""The schemes against torch.nn.init where it has them, and against their own moments elsewhere.

Sample moments are compared in standard errors: for n independent draws the variance's is
var·√((kurtosis − 1)/n), the mean's √(var/n).
"""

import math

import pytest
import torch
from torch import nn

from helpers import initializers, networks

KURTOSIS = {"normal": 3.0, "uniform": 1.8, "truncated": 2.37}
STANDARD_ERRORS = 4.5


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(fan_in=300, fan_out=200, bias=True):
    return nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=bias, dtype=torch.float64)


def convolution(**options):
    return nn.utils.skip_init(nn.Conv2d, 24, 48, 3, dtype=torch.float64, **options)


def standard_errors(values, variance, kurtosis):
    """How far sample mean and variance lie from 0 and ``variance``, in standard errors."""
    n = values.numel()
    mean = values.mean().item() / math.sqrt(variance / n)
    spread = (values.square().mean().item() / variance - 1) / math.sqrt((kurtosis - 1) / n)
    return max(abs(mean), abs(spread))


INIT = nn.init
TORCH = {
    "glorot": INIT.xavier_normal_,
    "glorot-uniform": INIT.xavier_uniform_,
    "keras": INIT.xavier_uniform_,
    "he": lambda w, generator: INIT.kaiming_normal_(w, nonlinearity="relu", generator=generator),
    "he-uniform": lambda w, generator: INIT.kaiming_uniform_(
        w, nonlinearity="relu", generator=generator
    ),
    "he-fan-out": lambda w, generator: INIT.kaiming_normal_(
        w, mode="fan_out", nonlinearity="relu", generator=generator
    ),
    "lecun": lambda w, generator: INIT.kaiming_normal_(
        w, nonlinearity="linear", generator=generator
    ),
    "pytorch": lambda w, generator: INIT.kaiming_uniform_(w, a=math.sqrt(5), generator=generator),
}


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("build", [linear, convolution])
def test_a_scheme_has_the_moments_of_its_namesake_in_torch(name, build):
    scheme = initializers.SCHEMES[name]
    ours, theirs = build(), build()
    initializers.initialize(ours, name, generator=generator(1))
    TORCH[name](theirs.weight, generator=generator(2))
    variance = initializers.variance(name, *initializers.fans(ours))
    for layer in (ours, theirs):
        kurtosis = KURTOSIS[scheme.distribution]
        assert standard_errors(layer.weight, variance, kurtosis) < STANDARD_ERRORS
    if scheme.distribution == "uniform":
        bound = math.sqrt(3 * variance)
        assert 0.99 * bound < ours.weight.abs().max() <= bound
        assert 0.99 * bound < theirs.weight.abs().max() <= bound * (1 + 1e-12)


@pytest.mark.parametrize(
    ("name", "options", "variance"),
    [
        ("normal", {"sigma": 0.4}, 0.16),
        ("uniform", {"sigma": 0.4}, 0.16),
        ("fan-out", {}, 1 / 200),
        ("geometric", {}, 1 / math.sqrt(300 * 200)),
        ("he-truncated", {}, 2 / 300),
        ("article-he", {}, 0.7737 * 2 / 300),
        ("selu", {}, 1 / 300),
        ("glorot", {"gain": 1.5}, 2.25 * 2 / 500),
    ],
)
def test_a_scheme_has_the_variance_it_states(name, options, variance):
    layer = initializers.initialize(linear(), name, generator=generator(), **options)
    distribution = initializers.SCHEMES[name].distribution
    assert standard_errors(layer.weight, variance, KURTOSIS[distribution]) < STANDARD_ERRORS
    assert (layer.bias == 0).all()


def test_the_truncated_normal_ends_at_two_standard_deviations_of_the_uncut_one():
    sigma = math.sqrt(2 / 300)
    article = initializers.initialize(linear(), "article-he", generator=generator()).weight
    widened = initializers.initialize(linear(), "he-truncated", generator=generator()).weight
    assert 1.99 * sigma < article.abs().max() <= 2 * sigma
    assert 1.99 * sigma < (widened * math.sqrt(initializers.TRUNCATED_VARIANCE)).abs().max()
    # An independent route to 0.774: the second moment of the normal density between its cuts.
    z = torch.linspace(-2, 2, 100_001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2)
    integral = torch.trapezoid(z.square() * density, z) / torch.trapezoid(density, z)
    assert initializers.TRUNCATED_VARIANCE == pytest.approx(integral.item(), abs=1e-9)


def test_zeros_are_zeros():
    network = initializers.initialize(networks.MLP([4, 3, 2]), "zeros", generator=generator())
    assert all((p == 0).all() for p in network.parameters())


def test_an_orthogonal_matrix_keeps_lengths():
    square = initializers.initialize(linear(64, 64), "orthogonal", generator=generator()).weight
    assert torch.allclose(square @ square.T, torch.eye(64, dtype=square.dtype), atol=1e-12)
    gained = initializers.initialize(linear(64, 64), "orthogonal", generator=generator(), gain=2.0)
    assert torch.allclose(gained.weight, 2 * square)


def test_pytorch_draws_what_the_constructors_draw():
    """Of linear, convolutional and transposed layers: the bounds of weight and of bias."""
    for build in (
        lambda: nn.Linear(40, 500), lambda: nn.Conv2d(8, 64, 3, groups=4),
        lambda: nn.ConvTranspose2d(64, 80, 3, groups=2),
    ):  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(0)  # a constructor takes no generator
            theirs = build()
        ours = initializers.initialize(build(), "pytorch", generator=generator())
        for name in ("weight", "bias"):
            bound = 1 / math.sqrt(theirs.weight[0].numel())
            for layer in (ours, theirs):
                assert 0.8 * bound < getattr(layer, name).abs().max() <= bound * (1 + 1e-6)


def test_asymmetric_units_have_one_positive_entry_of_beta_2_1():
    network = networks.MLP([30, 40, 4000])
    initializers.initialize(network, "rai", generator=generator())
    first, second = network.linear1, network.linear2
    assert (first.bias == 0).all()
    assert standard_errors(first.weight, 2 / 30, 3.0) < STANDARD_ERRORS
    joint = torch.cat([second.weight, second.bias[:, None]], dim=1)
    # 40 of 41 entries are N(0, 0.6007²/40); one has E[v] = 2/3 and E[v²] = 1/2.
    n, small = joint.numel(), 0.6007**2 / 40
    assert joint.mean().item() == pytest.approx(2 / 3 / 41, abs=4 * math.sqrt(0.013 / n))
    assert joint.square().mean().item() == pytest.approx((40 * small + 0.5) / 41, rel=0.02)
    assert (joint.max(dim=1).values > 0).all()


def test_fans_of_grouped_and_transposed_convolutions_differ_from_torch_count():
    depthwise = convolution(groups=24)
    assert initializers.fans(depthwise) == (9, 2 * 9)
    assert initializers.fans(depthwise.weight) == INIT._calculate_fan_in_and_fan_out(
        depthwise.weight
    )
    transposed = nn.utils.skip_init(nn.ConvTranspose2d, 24, 48, 3)
    assert initializers.fans(transposed) == (24 * 9, 48 * 9)
    assert initializers.fans(transposed.weight) == (48 * 9, 24 * 9)


def test_one_generator_state_is_one_network_and_the_global_state_is_untouched():
    before = torch.random.get_rng_state()
    first, second = (
        initializers.initialize(networks.MLP([20, 10, 5]), "pytorch", generator=generator(7))
        for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("sigma", [0, -1, math.nan, math.inf, "0.1"])
def test_a_bad_sigma_is_refused_before_anything_is_drawn(sigma):
    network = initializers.initialize(networks.MLP([3, 2]), "he", generator=generator())
    before = network.linear1.weight.clone()
    with pytest.raises(ValueError, match="sigma is"):
        initializers.initialize(network, "normal", sigma=sigma, generator=generator())
    assert torch.equal(network.linear1.weight, before)


def test_every_other_misuse_is_named():
    network = networks.MLP([3, 2])
    draw = generator()
    cases = [
        (lambda: initializers.initialize(network, "glorott", generator=draw), "mean 'glorot'"),
        (lambda: initializers.initialize(network, "normal", generator=draw), "needs sigma"),
        (lambda: initializers.initialize(network, "he", sigma=1.0, generator=draw), "Leave sigma"),
        (lambda: initializers.initialize(network, "zeros", gain=2.0, generator=draw), "Leave gain"),
        (lambda: initializers.variance("normal", 3, 2, sigma=0.1, gain=2.0), "gain is 2.0"),
        (lambda: initializers.initialize(network, "he", generator=None), "torch.Generator"),
        (lambda: initializers.initialize(nn.ReLU(), "he", generator=draw), "nothing to draw"),
        (lambda: initializers.fans(torch.zeros(3)), r"shape \(3,\)"),
        (lambda: initializers.variance("he", 0, 2), "fan_in is 0"),
        (lambda: initializers.Scheme("mine", fan="fan"), "Unknown fan"),
        (lambda: initializers.initialize(
            networks.MLP([3, 3, 2], bias=False), "rai", generator=draw), "has no bias"),
    ]  # fmt: skip
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
