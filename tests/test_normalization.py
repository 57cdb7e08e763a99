"""Theory of normalized layers against closed forms, and against real random networks."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

from helpers import normalization as norm

WIDE, DEPTH, DRAWS = 128, 8, 12
TINY = 1e-300  # PyTorch refuses an ε of 0; beside any v of this file, float64 does not see this one


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def factors(normalize, batch, slope, seed):
    """Growth per layer of one draw: a gradient passed back through a deep random network."""
    generator = torch.Generator().manual_seed(seed)
    x = normal(generator, batch, WIDE).requires_grad_()
    layers = []
    for _ in range(DEPTH):
        layers.append(x)
        s = normalize(x @ normal(generator, WIDE, WIDE))
        x = nn.functional.leaky_relu(s, slope)
    loss = (x * normal(generator, batch, WIDE)).sum()
    sizes = [g.square().mean().item() for g in torch.autograd.grad(loss, layers)]
    # The first two layers see a batch that is not yet at rest, the last a gradient that isn't.
    return np.mean([a / b for a, b in zip(sizes[2:-1], sizes[3:])])


def measured(normalize, batch, slope=0.0):
    runs = np.array([factors(normalize, batch, slope, seed) for seed in range(DRAWS)])
    return runs.mean(), runs.std(ddof=1) / math.sqrt(DRAWS)


def over_batch(s):
    return nn.functional.batch_norm(s, None, None, training=True, eps=TINY)


@pytest.mark.parametrize(("batch", "slope"), [(8, 0.0), (16, 0.0), (64, 0.0), (16, 0.5)])
def test_gradients_of_real_networks_grow_by_the_factor(batch, slope):
    mean, error = measured(over_batch, batch, slope)
    assert error < 0.03 * mean
    # Four standard errors, and a little for a width that is not infinite.
    assert abs(mean - norm.batch_growth(batch, slope)) < 4 * error + 0.01 * mean


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_factor_of_one_layer_by_random_points_on_the_sphere(slope):
    """The expectations behind the closed form, from their definition: no ρ, no arcsine."""
    batch, draws = 7, 100_000
    generator = torch.Generator().manual_seed(0)
    s = normal(generator, draws, batch)
    s = s - s.mean(1, keepdim=True)
    unit = s / s.square().mean(1, keepdim=True).sqrt()
    x = nn.functional.leaky_relu(unit, slope)
    slopes = torch.where(unit > 0, 1.0, slope)
    center = torch.eye(batch, dtype=torch.float64) - 1 / batch
    back = normal(generator, draws, batch) @ center * slopes  # covariance: the centering matrix
    back = back @ center - unit * (back * unit).mean(1, keepdim=True)
    spread = (x @ center).square().sum(1)  # mean is (B − 1)·(q − r)
    ratio = back.square().sum(1) / (batch - 1)
    factor = batch / (batch - 3) * ratio.mean() / (spread.mean() / (batch - 1))
    error = factor * math.hypot(
        ratio.std() / ratio.mean() / draws**0.5, spread.std() / spread.mean() / draws**0.5
    )
    assert abs(norm.batch_growth(batch, slope) - factor) < 4 * error
    assert error < 0.01


def test_growth_has_its_limit_and_its_edge():
    assert norm.growth_limit("relu") == pytest.approx(math.pi / (math.pi - 1), rel=1e-9)
    assert norm.batch_growth(10**7) == pytest.approx(norm.growth_limit("relu"), rel=1e-6)
    leaky = norm.growth_limit(lambda s: nn.functional.leaky_relu(s, 0.3))
    assert norm.batch_growth(10**7, 0.3) == pytest.approx(leaky, rel=1e-6)
    assert norm.growth_limit("linear") == pytest.approx(1, rel=1e-9)
    assert norm.batch_growth(3) == math.inf
    assert norm.batch_growth(2) == 0


def test_limit_of_tanh_by_another_quadrature():
    def mean(f):
        return quad(lambda z: f(z) * math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi), -12, 12)[0]

    slope = mean(lambda z: (1 - math.tanh(z) ** 2) ** 2)
    assert norm.growth_limit("tanh") == pytest.approx(
        slope / mean(lambda z: math.tanh(z) ** 2), rel=1e-8
    )


def test_a_pair_carries_signs_and_no_gradient():
    generator = torch.Generator().manual_seed(1)
    s = normal(generator, 2, 50).requires_grad_()
    out = over_batch(s)
    assert torch.allclose(out.abs(), torch.ones_like(out))
    (gradient,) = torch.autograd.grad((out * normal(generator, 2, 50)).sum(), s)
    assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize("size", [8, 16, WIDE])
def test_groups_of_one_example_grow_less(size):
    def over_group(s):
        return nn.functional.group_norm(s, WIDE // size, eps=0.0)

    mean, error = measured(over_group, batch=20)
    assert abs(mean - norm.group_growth(size)) < 4 * error + 0.01 * mean


@pytest.mark.parametrize("sigma", [4e-4, 1e-3, 1.0])
def test_forward_and_backward_of_a_real_network(sigma):
    """Around σ = 5e-4 the signal depends on ε; nowhere else does it depend on σ."""
    widths, batch, draws = [128] * 6, 200, 8
    layers = norm.forward(widths, sigma**2, "relu", input_variance=1.0)
    gradient = norm.backward(widths, sigma**2, "relu", layers)
    runs = []
    for seed in range(draws):
        generator = torch.Generator().manual_seed(seed)
        x, kept = normal(generator, batch, 128), []
        for _ in range(5):
            s = sigma * x.requires_grad_() @ normal(generator, 128, 128)
            s = nn.functional.batch_norm(s, None, None, training=True)
            x = s.relu()
            kept.append((s, x))
        loss = (x * normal(generator, batch, 128)).sum()
        backward = torch.autograd.grad(loss, [x for _, x in kept])
        runs.append(
            [[s.square().mean().item() for s, _ in kept]]
            + [[x.square().mean().item() for _, x in kept]]
            + [[g.square().mean().item() for g in backward]]
        )
    runs = np.array(runs)
    error = runs.std(0, ddof=1) / math.sqrt(draws)
    expected = np.array([layers.normalized, layers.activation, gradient])
    assert (np.abs(runs.mean(0) - expected) < 4 * error + 0.03 * expected).all()


def test_a_grid_of_sigmas_is_one_call():
    sigmas = np.array([1e-4, 1e-2, 1.0])
    together = norm.forward([50, 40, 40], sigmas**2, "tanh", input_variance=0.1)
    gradients = norm.backward([50, 40, 40], sigmas**2, "tanh", together)
    for i, sigma in enumerate(sigmas):
        alone = norm.forward([50, 40, 40], sigma**2, "tanh", input_variance=0.1)
        np.testing.assert_allclose(np.array(together)[:, :, i], np.array(alone), rtol=1e-9)
        np.testing.assert_allclose(
            gradients[:, i], norm.backward([50, 40, 40], sigma**2, "tanh", alone), rtol=1e-9
        )


def test_scaled_weights_mean_the_same_function_and_a_smaller_gradient():
    """The identity behind the effective rate, bit by bit for a power of two."""
    generator = torch.Generator().manual_seed(2)
    x, w = normal(generator, 32, 20), normal(generator, 20, 10).requires_grad_()
    big = (8 * w).detach().requires_grad_()
    out, same = over_batch(x @ w), over_batch(x @ big)
    assert torch.equal(out, same)
    readout = normal(generator, 32, 10)
    (g,) = torch.autograd.grad((out * readout).sum(), w)
    (smaller,) = torch.autograd.grad((same * readout).sum(), big)
    assert torch.equal(g, 8 * smaller)
    across = (g * w.detach()).sum(0).abs() / (g.norm(dim=0) * w.detach().norm(dim=0))
    assert across.max() < 1e-12


def test_errors_name_the_value():
    with pytest.raises(ValueError, match="batch is 1; expected 2 or more"):
        norm.batch_growth(1)
    with pytest.raises(ValueError, match=r"widths is \[10\]"):
        norm.forward([10], 1.0, "relu", input_variance=1.0)
    with pytest.raises(ValueError, match="input_variance is -1"):
        norm.forward([10, 10], 1.0, "relu", input_variance=-1)
    with pytest.raises(ValueError, match="eps is nan"):
        norm.forward([10, 10], 1.0, "relu", input_variance=1.0, eps=math.nan)
    with pytest.raises(ValueError, match="Var φ"):
        norm.growth_limit(lambda s: 0 * s)
