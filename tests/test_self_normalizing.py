"""SELU's constants, map and dropout against quadrature, random numbers and PyTorch."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import root
from torch import nn

from helpers import activations, mean_field, self_normalizing
from helpers.self_normalizing import ALPHA, FLOOR, LAMBDA

DRAWS = 200_000


def normal(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def assert_moments(values, mean, variance, standard_errors=4.5):
    """Mean and variance of independent samples are the expected ones."""
    squares = (values - mean) ** 2
    for samples, expected in ((values, mean), (squares, variance)):
        error = samples.std().item() / math.sqrt(samples.numel())
        assert abs(samples.mean().item() - expected) < standard_errors * error


def test_constants_are_the_papers_pytorchs_and_a_root_finders():
    assert (ALPHA, LAMBDA) == pytest.approx((1.6732632, 1.0507010), abs=5e-8)
    theirs = torch.selu(torch.tensor([1.0, -1e3], dtype=torch.float64))
    assert theirs.tolist() == pytest.approx([LAMBDA, FLOOR], rel=1e-14)

    def off(constants):
        alpha, scale = constants

        def phi(s):
            return scale * torch.where(s > 0, s, alpha * torch.expm1(s))

        second = activations.expectation(activations.square(phi), 1.0)
        return activations.expectation(phi, 1.0), second - 1

    assert root(off, [1.0, 1.0], tol=1e-12).x == pytest.approx([ALPHA, LAMBDA], rel=1e-9)


@pytest.mark.parametrize("variance", [1e-6, 0.1, 1.0, 30.0, 1e6])
def test_moments_are_the_integrals(variance):
    for mean in (0.0, 0.7, -2.5):
        shifted = lambda s, mean=mean: torch.selu(s + mean)  # noqa: E731
        first = activations.expectation(shifted, variance)
        second = activations.expectation(activations.square(shifted), variance)
        found = self_normalizing.moments(mean, variance)
        assert found[0] == pytest.approx(first, rel=1e-8, abs=1e-12)
        assert found[1] == pytest.approx(second - first**2, rel=1e-7, abs=1e-12)


def test_map_of_a_unit_with_given_weights():
    # Inputs that are independent, skewed, with one mean and variance, and as many as it takes.
    generator = torch.Generator().manual_seed(1)
    weights = 0.06 * normal(2, 200) + 0.002
    mean, variance = 0.5, 2.0
    uniform = torch.rand(10_000, 200, generator=generator, dtype=torch.float64)
    inputs = mean - math.sqrt(variance) * (1 + uniform.log())
    expected = self_normalizing.moment_map(
        mean, variance, omega=weights.sum().item(), tau=weights.square().sum().item()
    )
    assert_moments(torch.selu(inputs @ weights), *map(float, expected))


def test_map_takes_arrays_and_keeps_zero_and_one_at_every_omega():
    omega = np.array([-2.0, 0.0, 0.5])
    mean, variance = self_normalizing.moment_map(0.0, np.ones(3), omega=omega)
    np.testing.assert_allclose(mean, 0, atol=1e-14)
    np.testing.assert_allclose(variance, 1, rtol=1e-14)


def test_jacobian_is_the_papers_at_the_fixed_point_and_a_difference_quotient_elsewhere():
    paper = [[0.0, 0.088834], [0.0, 0.782648]]  # equation (6)
    np.testing.assert_allclose(self_normalizing.jacobian(0.0, 1.0), paper, atol=1e-6)
    options, step = {"omega": -0.8, "tau": 1.3}, 1e-5
    columns = []
    for direction in ((step, 0.0), (0.0, step)):
        ahead, behind = (
            np.array(
                self_normalizing.moment_map(
                    0.3 + k * direction[0], 0.7 + k * direction[1], **options
                )
            )
            for k in (1, -1)
        )
        columns.append((ahead - behind) / (2 * step))
    found = self_normalizing.jacobian(0.3, 0.7, **options)
    np.testing.assert_allclose(found, np.transpose(columns), atol=1e-8)


def test_the_variances_slope_is_the_slope_of_the_second_moments_map():
    slope = mean_field.slope("selu", 1.0, 1.0)
    assert self_normalizing.jacobian(0.0, 1.0)[1, 1] == pytest.approx(slope, rel=1e-9)
    prime = activations.expectation(activations.derivative("selu"), 1.0)
    assert self_normalizing.jacobian(0.0, 1.0, omega=1.0)[0, 0] == pytest.approx(prime, rel=1e-9)


@pytest.mark.parametrize(
    ("omega", "tau"), [(0.1, 0.95), (0.1, 1.1), (-0.1, 0.95), (-0.1, 1.1), (0.05, 1.02)]
)
def test_fixed_points_lie_where_theorem_1_puts_them_and_attract(omega, tau):
    mean, variance = self_normalizing.fixed_point(omega=omega, tau=tau)
    assert -0.03106 <= mean <= 0.06773
    assert 0.80009 <= variance <= 1.48617
    matrix = self_normalizing.jacobian(mean, variance, omega=omega, tau=tau)
    assert np.linalg.svd(matrix)[1].max() < 1
    elsewhere = self_normalizing.fixed_point(omega=omega, tau=tau, start=(-0.1, 0.8))
    assert elsewhere == pytest.approx((mean, variance), abs=1e-10)


def test_zero_and_one_repels_units_whose_weights_sum_to_one():
    eigenvalues = np.linalg.eigvals(self_normalizing.jacobian(0.0, 1.0, omega=1.0))
    assert max(abs(eigenvalues)) > 1
    assert self_normalizing.fixed_point(omega=1.0, start=(0.01, 1.0)) == (math.inf, math.inf)


def test_bounds_for_random_weights_and_for_centered_ones():
    # φ is two straight lines near zero, and one far from it.
    lower, upper = 2 / (LAMBDA**2 * (1 + ALPHA**2)), 2 / LAMBDA**2
    assert (lower, upper) == pytest.approx((0.4768, 1.8116), abs=5e-5)
    assert mean_field.fixed_point("selu", lower - 0.002) == 0
    assert 0 < mean_field.fixed_point("selu", lower + 0.002) < 1e-3
    assert mean_field.fixed_point("selu", upper + 0.01) == math.inf
    assert 1e3 < mean_field.fixed_point("selu", upper - 0.002) < math.inf
    peak = (ALPHA - 1) ** 2 / (2 * math.pi)
    centered_lower = 1 / (LAMBDA**2 * ((1 + ALPHA**2) / 2 - peak))
    centered_upper = 1 / (LAMBDA**2 * (1 / 2 - 1 / (2 * math.pi)))
    assert (centered_lower, centered_upper) == pytest.approx((0.4956, 2.6576), abs=5e-5)
    assert self_normalizing.fixed_point(tau=centered_lower - 0.005) == (0.0, 0.0)
    assert self_normalizing.fixed_point(tau=centered_upper + 0.02) == (math.inf, math.inf)
    assert 10 < self_normalizing.fixed_point(tau=2.0)[1] < 20


def test_he_diverges_in_a_real_network_unless_weights_are_centered():
    n, draws, ends = 128, 8, {}
    for center in (False, True):
        x = normal(3, draws, 1, n)
        for layer in range(30):
            w = math.sqrt(2 / n) * normal(10 + layer, draws, n, n)
            if center:
                w = (w - w.mean(1, keepdim=True)) / (1 - 1 / n)  # twice: of w and of x's variance
            x = torch.selu(x @ w)
        ends[center] = x.var((1, 2))
    expected = self_normalizing.fixed_point(tau=2.0)[1]
    error = ends[True].std().item() / math.sqrt(draws)
    assert error < 0.2 * expected  # else agreement would mean nothing
    assert abs(ends[True].mean().item() - expected) < 3 * error
    assert ends[False].median() > 3 * expected


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5])
def test_alpha_dropout_keeps_mean_zero_and_variance_one(p):
    x = torch.selu(normal(4, DRAWS))
    dropped = self_normalizing.alpha_dropout(x, p, generator=torch.Generator().manual_seed(5))
    assert_moments(dropped, 0.0, 1.0)
    a, b = self_normalizing.dropout_constants(p)
    share = (dropped == a * FLOOR + b).double().mean().item()
    assert share == pytest.approx(p, abs=4.5 * math.sqrt(p * (1 - p) / DRAWS))


def test_alpha_dropout_has_pytorchs_constants():
    for p in (0.05, 0.1, 0.5):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            values = nn.AlphaDropout(p)(torch.zeros(1000, dtype=torch.float64)).unique()
        a, b = self_normalizing.dropout_constants(p)
        assert values.tolist() == pytest.approx([a * FLOOR + b, b], rel=1e-7)


def test_alpha_dropout_passes_the_gradients_that_it_says():
    p = 0.1
    s = normal(6, DRAWS).requires_grad_()
    y = self_normalizing.alpha_dropout(torch.selu(s), p, generator=torch.Generator().manual_seed(7))
    squares = torch.autograd.grad(y.sum(), s)[0] ** 2
    expected = mean_field.chi("selu", 1.0, 1.0) / (1 + p * FLOOR**2)
    error = squares.std().item() / math.sqrt(DRAWS)
    assert abs(squares.mean().item() - expected) < 4.5 * error


def test_no_dropout_is_the_identity_and_the_generator_decides():
    x = normal(8, 50)
    same = self_normalizing.alpha_dropout(x, 0.0, generator=torch.Generator().manual_seed(0))
    assert torch.equal(same, x)
    one, two, other = (
        self_normalizing.alpha_dropout(x, 0.5, generator=torch.Generator().manual_seed(k))
        for k in (1, 1, 2)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: self_normalizing.moments(math.nan, 1.0), "mean is nan; expected a finite"),
        (
            lambda: self_normalizing.moments(0.0, [1.0, 0.0]),
            r"variance is 0\.0; expected .* above 0",
        ),
        (lambda: self_normalizing.moment_map(0.0, 1.0, tau=-1.0), r"variance is -1\.0"),
        (lambda: self_normalizing.jacobian(0.0, math.inf), "variance is inf"),
        (lambda: self_normalizing.dropout_constants(1.0), r"p is 1\.0; expected a share"),
        (lambda: self_normalizing.dropout_constants(-0.1), r"p is -0\.1"),
    ],
)
def test_errors_name_the_value_and_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_fixed_point_that_is_not_reached_is_reported():
    with pytest.raises(ArithmeticError, match="tau = 0.5 has not settled after 20 layers"):
        self_normalizing.fixed_point(tau=0.5, layers=20)
