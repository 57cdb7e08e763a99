"""Theory against closed forms, and against real random networks."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import ndtr
from torch.nn import functional as F

from helpers import activations, mean_field, theory
from helpers.activations import ACTIVATIONS, correlated_expectation, expectation, gain, square

Q = np.logspace(-12, 6, 60)
C = np.linspace(-1, 1, 9)
EDGE = np.sqrt(2 / (np.pi * Q)) * np.exp(-1 / (2 * Q))

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
lengths = st.floats(-12, 6).map(lambda exponent: 10.0**exponent)
names = st.sampled_from(sorted(ACTIVATIONS))

CLOSED_FORMS = {
    "linear": (square("linear"), Q),
    "relu": (square("relu"), Q / 2),
    "relu mean": ("relu", np.sqrt(Q / (2 * np.pi))),
    "relu fourth": (square(square("relu")), 1.5 * Q**2),
    "relu slope": (square(activations.derivative("relu")), np.full(60, 0.5)),
    "leaky relu": (square("leaky_relu"), (1 + 0.01**2) / 2 * Q),
    "erf": (square("erf"), 2 / np.pi * np.arcsin(2 * Q / (1 + 2 * Q))),
    "narrow slope of erf": (
        square(activations.derivative("erf")),
        4 / np.pi / np.sqrt(1 + 4 * Q),
    ),
    "sigmoid mean": ("sigmoid", np.full(60, 0.5)),
    "odd": ("tanh", np.zeros(60)),
    "gelu mean": ("gelu", Q / np.sqrt(2 * np.pi * (1 + Q))),
    "kinks off zero": (
        lambda s: F.hardtanh(s) ** 2,
        2 * ndtr(-1 / np.sqrt(Q)) + Q * (1 - 2 * ndtr(-1 / np.sqrt(Q)) - EDGE),
    ),
    "jump off zero": (lambda s: s > 1, ndtr(-1 / np.sqrt(Q))),
}


@pytest.mark.parametrize("case", CLOSED_FORMS)
def test_gaussian_mean_has_its_closed_form(case):
    function, expected = CLOSED_FORMS[case]
    np.testing.assert_allclose(expectation(function, Q), expected, rtol=1e-10, atol=1e-14)


def test_a_slope_narrower_than_any_fixed_rule_is_found():
    # ∫ sech⁴ = 4/3, over which the Gaussian is flat up to 1/q
    for q in (1e6, 1e9, 1e12):
        found = expectation(square(activations.derivative("tanh")), q)
        assert found == pytest.approx(4 / 3 / math.sqrt(2 * math.pi * q), rel=1 / q + 1e-9)


@given(names, lengths)
@few
def test_one_length_gives_what_the_array_gives(name, q):
    alone = expectation(square(name), q)
    assert np.isscalar(alone)
    together = expectation(square(name), [[q, 1.0], [1e6, 1e-6]])
    assert together.shape == (2, 2)
    assert together[0, 0] == pytest.approx(alone, rel=1e-10)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", 1.0),
        ("relu", math.sqrt(2)),
        ("leaky_relu", math.sqrt(2 / (1 + 0.01**2))),
        ("selu", 1.0),
        ("erf", 1 / math.sqrt(2 / math.pi * math.asin(2 / 3))),
        (torch.sign, 1.0),
    ],
)
def test_gain_has_its_closed_form(name, expected):
    assert gain(name) == pytest.approx(expected, rel=1e-10)


def test_gain_of_tanh_is_not_the_one_in_pytorchs_table():
    assert gain("tanh") == pytest.approx(1.5925, abs=5e-5)
    assert torch.nn.init.calculate_gain("tanh") == pytest.approx(5 / 3)


def test_selu_keeps_mean_zero_and_variance_one():
    assert expectation("selu", 1.0) == pytest.approx(0, abs=1e-12)


def test_two_correlated_gaussians():
    relu = (np.sqrt(1 - C**2) + (np.pi - np.arccos(C)) * C) / (2 * np.pi)
    step = (np.pi - np.arccos(C)) / (2 * np.pi)
    prime = activations.derivative("relu")
    np.testing.assert_allclose(correlated_expectation("relu", 9.0, C), 9 * relu, atol=1e-8)
    np.testing.assert_allclose(correlated_expectation(prime, 9.0, C), step, atol=1e-8)
    for q in (1e-3, 1.0, 25.0):
        erf = 2 / np.pi * np.arcsin(2 * q * C / (1 + 2 * q))
        np.testing.assert_allclose(correlated_expectation("erf", q, C), erf, atol=1e-8)


@given(names, st.floats(0.01, 10))
@settings(few, max_examples=6)
def test_correlation_one_is_the_square_and_zero_the_squared_mean(name, q):
    zero, one = correlated_expectation(name, q, [0.0, 1.0])
    assert one == pytest.approx(expectation(square(name), q), rel=1e-7)
    assert zero == pytest.approx(expectation(name, q) ** 2, rel=1e-7, abs=1e-8)


# Real networks: plain matrix products over many draws, and autograd.


def draw(widths, weight_variance, bias_variance, phis, inputs, *, networks, seed):
    """One input through many random networks: lists of s_l and x_l, (networks, n_l) each."""
    generator = torch.Generator().manual_seed(seed)
    x, pre_activations, outputs = inputs.expand(networks, -1), [], []
    for fan_in, fan_out, var_w, var_b, phi in zip(
        widths, widths[1:], weight_variance, bias_variance, phis
    ):
        normal = torch.randn(
            networks, fan_out, fan_in + 1, generator=generator, dtype=torch.float64
        )
        weight, bias = normal[..., :-1] * math.sqrt(var_w), normal[..., -1] * math.sqrt(var_b)
        s = torch.einsum("rkj,rj->rk", weight, x) + bias
        s.requires_grad_()
        x = phi(s)
        pre_activations.append(s)
        outputs.append(x)
    return pre_activations, outputs


def assert_mean(samples, expected, standard_errors=4):
    """The mean over networks of each layer's samples is the expected one."""
    samples = torch.stack(samples).detach()
    error = samples.std(1) / math.sqrt(samples.shape[1])
    off = (samples.mean(1) - torch.from_numpy(np.asarray(expected))).abs() / error
    assert (error < 0.05 * samples.mean(1)).all()  # else agreement would mean nothing
    assert (off < standard_errors).all(), off


@pytest.mark.parametrize("name", ["linear", "tanh", "relu"])
def test_second_moments_of_random_networks(name):
    widths = [50, 120, 80, 140, 60]
    weight_variance, bias_variance = [0.04, 0.015, 0.02, 0.005], [0.0, 0.3, 0.1, 0.2]
    inputs = torch.linspace(-1, 2, 50, dtype=torch.float64)  # no Gaussian
    moment = float(inputs.square().mean())
    phis = [{"linear": lambda s: 1 * s, "tanh": torch.tanh, "relu": torch.relu}[name]] * 3
    phis += [lambda s: 1 * s]
    s, x = draw(widths, weight_variance, bias_variance, phis, inputs, networks=250, seed=1)
    output_gradient = torch.randn(
        x[-1].shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    gradients = torch.autograd.grad((output_gradient * 3 * x[-1]).sum(), s + x)
    ds, dx = gradients[:4], gradients[4:]

    def squared(tensors):
        return [tensor.square().mean(1) for tensor in tensors]

    signal = theory.forward(
        widths, weight_variance, name, input_second_moment=moment, bias_variance=bias_variance
    )
    gradient = theory.backward(
        widths, weight_variance, name, signal.pre_activation, output_second_moment=9.0
    )
    assert_mean(squared(s), signal.pre_activation)
    assert_mean(squared(x), signal.activation)
    assert_mean(squared(ds), gradient.pre_activation)
    assert_mean(squared(dx), gradient.activation)
    below = squared([inputs.expand(250, -1), *x[:-1]])
    # (δ_k x_j)² averaged over all k and j is the product of the two averages.
    weights = [a * b for a, b in zip(below, squared(ds))]
    expected = theory.weight_gradient(signal, gradient, input_second_moment=moment)
    assert_mean(weights, expected)


@pytest.mark.parametrize("name", ["linear", "relu"])
def test_fluctuations_at_finite_width(name):
    widths, scale = [5, 12, 16, 12, 20], {"linear": 1.0, "relu": 2.0}[name]
    variance = [scale / n for n in widths[:-1]]
    inputs = torch.ones(5, dtype=torch.float64)
    phi = {"linear": lambda s: s, "relu": torch.relu}[name]
    _, x = draw(widths, variance, [0.0] * 4, [phi] * 4, inputs, networks=10_000, seed=3)
    factor = {"linear": 2, "relu": 5}[name]
    expected = np.cumprod([1 + factor / n for n in widths[1:]])
    np.testing.assert_allclose(theory.moment_ratio(widths, [name] * 4), expected, rtol=1e-10)
    # E[x²] is exactly 1 in a linear layer and behind a ReLU under He; no estimate needed.
    assert_mean([(tensor.square().mean(1)) ** 2 for tensor in x], expected)


def test_moment_ratio_counts_the_last_layer_as_linear_and_no_input():
    np.testing.assert_allclose(theory.moment_ratio([3, 10, 4], "relu"), [1.5, 1.5 * 1.5])
    with pytest.raises(ValueError, match=r"'tanh'.*depends on the weights' variance"):
        theory.moment_ratio([3, 10, 4], "tanh")


# Chains.


def test_glorot_loses_what_fan_in_and_fan_out_keep():
    widths = [64, 512] * 20 + [64]
    glorot = [2 / (a + b) for a, b in pairwise(widths)]
    signal = theory.forward(widths, glorot, "linear", input_second_moment=1.0)
    gradient = theory.backward(widths, glorot, "linear", signal.pre_activation)
    assert signal.activation[-1] == pytest.approx((32 / 81) ** 20, rel=1e-9)
    # x_1 … x_40: one step fewer than forward, from x_0
    assert gradient.activation[1] == pytest.approx((32 / 81) ** 19, rel=1e-9)
    fan_in = [1 / a for a in widths[:-1]]
    kept = theory.forward(widths, fan_in, "linear", input_second_moment=1.0)
    np.testing.assert_allclose(kept.activation, 1.0, rtol=1e-10)


def test_pytorchs_default_under_relu_falls_by_six_to_a_floor_set_by_the_bias():
    n = 100
    moments = theory.forward(
        [n] * 31, 1 / (3 * n), "relu", input_second_moment=1.0, bias_variance=1 / (3 * n)
    )
    floor = 2 / (5 * n)
    above = moments.pre_activation - floor
    np.testing.assert_allclose(above[1:4] / above[:3], 1 / 6, rtol=1e-9)
    assert moments.pre_activation[-1] == pytest.approx(floor)
    assert moments.activation[-2] == pytest.approx(floor / 2)


def test_grids_and_examples_are_the_scalars_side_by_side():
    widths, sigmas, examples = [20, 30, 10], np.array([0.1, 0.2, 0.4]), [0.5, 1.0]
    grid = theory.forward(widths, np.tile(sigmas**2, (2, 1)), "tanh", input_second_moment=1.0)
    each = theory.forward(widths, 0.04, "tanh", input_second_moment=examples)
    one = theory.forward(widths, 0.2**2, "tanh", input_second_moment=1.0)
    for moments, place in ((grid, 1), (each, 1)):
        np.testing.assert_allclose(moments.pre_activation[:, place], one.pre_activation)
        np.testing.assert_allclose(moments.activation[:, place], one.activation)
    gradient = theory.backward(widths, np.tile(sigmas**2, (2, 1)), "tanh", grid.pre_activation)
    alone = theory.backward(widths, 0.04, "tanh", one.pre_activation)
    assert gradient.activation.shape == (2, 3)
    np.testing.assert_allclose(gradient.pre_activation[:, 1], alone.pre_activation)


def test_zero_weights_and_vanishing_pre_activations():
    dead = theory.forward([8, 8, 8], 0.0, "relu", input_second_moment=1.0)
    assert not np.any(dead)
    small = theory.backward([8, 8, 8], 1 / 8, "tanh", 0.0)
    np.testing.assert_allclose(small.pre_activation, 1.0)


# Mean field.


@pytest.mark.parametrize(
    ("name", "expected"), [("tanh", 1.18), ("selu", 1.07), ("sigmoid", 0.15), ("relu", 1.0)]
)
def test_a_forward_gain_is_not_neutral_for_gradients(name, expected):
    assert mean_field.chi(name, 1.0, gain(name) ** 2) == pytest.approx(expected, abs=5e-3)


def test_where_the_gains_fixed_point_is_stable():
    slopes = {name: mean_field.slope(name, 1.0, gain(name) ** 2) for name in ACTIVATIONS}
    assert {name for name, slope in slopes.items() if slope > 1 + 1e-9} == {"gelu", "silu"}
    neutral = {name for name, slope in slopes.items() if abs(slope - 1) <= 1e-9}
    assert neutral == {"linear", "relu", "leaky_relu"}


@given(names, lengths)
@few
def test_slope_is_the_difference_quotient_of_a_growing_map(name, q):
    def mapped(factor):
        return mean_field.length_map(name, q * factor, 1.7, 0.1)

    quotient = (mapped(1.001) - mapped(0.999)) / (0.002 * q)
    slope = mean_field.slope(name, q, 1.7)
    assert slope > 0
    rounding = 1e-15 * mapped(1) / (0.002 * q)
    assert slope == pytest.approx(quotient, rel=1e-4, abs=10 * rounding)


@pytest.mark.parametrize(
    ("name", "sigma_w2", "sigma_b2"),
    [("tanh", 1.5, 0.05), ("sigmoid", 3.0, 0.1), ("selu", 0.7, 0.1), ("erf", 2.0, 0.0)],
)
def test_fixed_point_is_where_iteration_ends(name, sigma_w2, sigma_b2):
    q = 1.0
    for _ in range(60):
        q = mean_field.length_map(name, q, sigma_w2, sigma_b2)
    assert mean_field.fixed_point(name, sigma_w2, sigma_b2) == pytest.approx(q, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "sigma_w2", "sigma_b2", "expected"),
    [
        ("linear", 0.5, 0.1, 0.2),
        ("linear", 0.5, 0.0, 0.0),
        ("linear", 1.0, 0.0, 1.0),  # every length is kept
        ("linear", 1.0, 0.1, math.inf),
        ("relu", 2.0, 0.0, 1.0),
        ("relu", 1.0, 0.1, 0.2),
        ("relu", 2.5, 0.0, math.inf),
        ("tanh", 1.0, 0.0, 0.0),
        ("selu", 1.0, 0.0, 1.0),
        ("selu", 0.47, 0.0, 0.0),
        ("selu", 2.0, 0.0, math.inf),
    ],
)
def test_fixed_points_known_beforehand(name, sigma_w2, sigma_b2, expected):
    assert mean_field.fixed_point(name, sigma_w2, sigma_b2) == pytest.approx(expected, rel=1e-9)


def test_gelu_at_its_gain_has_no_fixed_point_that_lasts():
    sigma_w2 = gain("gelu") ** 2
    assert math.isnan(mean_field.fixed_point("gelu", sigma_w2))
    assert mean_field.fixed_point("gelu", sigma_w2, start=0.9) == 0
    assert mean_field.fixed_point("gelu", sigma_w2, start=1.1) == math.inf


def test_selu_settles_for_variances_between_its_limits():
    # E[φ²] is (1 + α²) λ²/2 · q for small q and λ²/2 · q for large q
    small, large = expectation(square("selu"), [1e-12, 1e12]) / [1e-12, 1e12]
    assert (1 / small, 1 / large) == pytest.approx((0.4768, 1.8116), abs=5e-5)
    for sigma_w2 in (0.5, 1.8):
        assert 0 < mean_field.fixed_point("selu", sigma_w2) < math.inf


def test_tanh_at_sigma_one_decays_like_one_over_twice_the_depth():
    # q′ = E[tanh²] = q − 2q² + (17/3) q³ − …, hence 1/q′ = 1/q + 2 − (5/3) q + O(q²)
    moments = theory.forward([10] * 41, 0.1, "tanh", input_second_moment=0.01)
    q = moments.pre_activation[:-1]
    step = 1 / moments.pre_activation[1:] - 1 / q
    assert np.all(np.abs(step - (2 - 5 / 3 * q)) < 10 * q**2)


def test_relu_correlation_map_is_the_arc_cosine_kernel():
    c = np.linspace(-1, 1, 11)
    general = mean_field.correlation_map("relu", c, 3.0, 2.0)
    np.testing.assert_allclose(mean_field.relu_correlation_map(c), general, atol=1e-8)
    # (1 − c′) = (1 − c) − (2√2/3π)(1 − c)^{3/2} + …
    c = 1 - 1e-4
    assert mean_field.relu_correlation_map(c) - c == pytest.approx(
        2 * math.sqrt(2) / (3 * math.pi) * 1e-6, rel=1e-2
    )


@pytest.mark.parametrize(("sigma_w2", "order"), [(1.0, True), (3.0, False)])
def test_depth_scales_are_the_rates_of_the_maps(sigma_w2, order):
    q = mean_field.fixed_point("tanh", sigma_w2, 0.1)

    def mapped(c):
        return mean_field.correlation_map("tanh", c, q, sigma_w2, 0.1)

    limit = 1.0 if order else brentq(lambda c: mapped(c) - c, 0.1, 0.99, xtol=1e-6)
    above, below = mapped([min(limit + 1e-3, 1.0), limit - 1e-3])
    rate = (above - below) / (1e-3 if order else 2e-3)
    depth = mean_field.correlation_depth_scale("tanh", sigma_w2, 0.1)
    assert rate == pytest.approx(math.exp(-1 / depth), rel=1e-3)
    chi = mean_field.chi("tanh", q, sigma_w2)
    assert (chi < 1) == order
    gradients = theory.backward([10] * 3, sigma_w2 / 10, ["tanh"] * 2, q).pre_activation
    assert mean_field.gradient_depth_scale("tanh", sigma_w2, 0.1) == pytest.approx(
        1 / abs(math.log(gradients[0] / gradients[1]))
    )


def test_depth_scales_at_and_beyond_the_edge():
    assert mean_field.gradient_depth_scale("relu", 2.0) == math.inf
    assert mean_field.correlation_depth_scale("relu", 2.0) == math.inf
    assert math.isnan(mean_field.correlation_depth_scale("tanh", 0.5))
    assert math.isnan(mean_field.gradient_depth_scale("relu", 3.0))


# What users get wrong.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expectation("relu", -1.0), r"q is -1\.0; expected a finite number"),
        (lambda: expectation("relu", [1.0, math.nan]), "q is nan"),
        (lambda: expectation("relu", math.inf), "q is inf"),
        (lambda: activations.activation("rellu"), "'rellu'.*'relu'.*Known: linear"),
        (lambda: gain(torch.zeros_like), r"E\[φ\(z\)²\].* is 0\.0"),
        (lambda: correlated_expectation("relu", 1.0, 1.5), r"c is 1\.5; expected a correlation"),
        (lambda: mean_field.relu_correlation_map([0.0, math.nan]), "c is nan"),
        (lambda: mean_field.slope("relu", 0.0, 2.0), r"q is 0\.0; expected .* above 0"),
        (lambda: mean_field.fixed_point("relu", -2.0), r"sigma_w2 is -2\.0"),
        (lambda: mean_field.fixed_point("relu", 2.0, start=0.0), r"start is 0\.0"),
        (lambda: forward([8], 0.1), r"widths is \[8\]; expected two"),
        (lambda: forward([8, 0], 0.1), "width is 0"),
        (lambda: forward([8, 8], -0.1), r"weight_variance is -0\.1"),
        (lambda: forward([8, 8], [0.1, 0.1]), "weight_variance has 2 entries for 1 layers"),
        (lambda: forward([8, 8], 0.1, ["relu"] * 3), "3 activations for 1 linear layers"),
        (lambda: forward([8, 8, 8], 0.1, "rellu"), "'rellu'"),
    ],
)
def test_errors_name_the_value_and_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_function_that_overflows_is_reported():
    with pytest.raises(ArithmeticError, match="Lower q"):
        expectation(torch.exp, 1e6)


def forward(widths, weight_variance, activation="relu"):
    return theory.forward(widths, weight_variance, activation, input_second_moment=1.0)
