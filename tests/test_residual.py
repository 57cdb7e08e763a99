import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import propagation, residual
from helpers.initializers import initialize


def _network(depth=8, **options):
    network = residual.CIFARNet(depth, dtype=torch.float64, **options)
    return initialize(network, "he", generator=torch.Generator().manual_seed(0))


def _images(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _started(name, seed=0, blocks=4, width=30):
    network = residual.ResidualMLP(width, width, blocks, 5)
    return residual.start(network, name, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "depth, millions", [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")]
)
def test_the_cifar_networks_have_the_paper_s_number_of_parameters(depth, millions):
    plain, full = (residual.CIFARNet(depth, shortcuts=shortcuts) for shortcuts in (False, True))
    counts = [sum(p.numel() for p in network.parameters()) for network in (plain, full)]
    assert counts[0] == counts[1]
    assert f"{counts[1] / 1e6:.{len(millions) - 2}f}" == millions
    layers = [m for m in full.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == depth


def test_sizes_halve_between_the_stages():
    signals = propagation.observe(_network(14, shortcuts=True), _images(2, 3, 8, 8))
    seen = {signal.layer: signal.forward.shape for signal in signals}
    assert seen["stage1.1.act2"] == (2, 16, 8, 8)
    assert seen["stage2.0.act2"] == seen["stage2.1.act1"] == (2, 32, 4, 4)
    assert seen["stage3.1.act2"] == (2, 64, 2, 2)
    assert seen["linear"] == (2, 10)
    assert _network(8, shortcuts=False, classes=3, channels=1)(_images(4, 1, 9, 12)).shape == (4, 3)


@pytest.mark.parametrize("shortcuts", [False, True])
def test_a_network_computes_what_the_paper_describes(shortcuts):
    network, x = _network(14, shortcuts=shortcuts), _images(5, 3, 8, 8)
    found = network.train()(x)
    weights = [p for p in network.parameters() if p.ndim == 4]
    strides = [1, 1, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1]

    def layer(values, i):
        values = F.conv2d(values, weights[i], stride=strides[i], padding=1)
        return (values - values.mean((0, 2, 3), keepdim=True)) / (
            values.var((0, 2, 3), correction=0, keepdim=True) + 1e-5
        ).sqrt()

    values = layer(x, 0).relu()
    for i in range(1, 13, 2):
        branch = layer(layer(values, i).relu(), i + 1)
        if shortcuts:
            skipped = values[:, :, :: strides[i], :: strides[i]]
            branch[:, : skipped.shape[1]] += skipped
        values = branch.relu()
    expected = values.mean((2, 3)) @ network.linear.weight.T
    assert torch.allclose(found, expected, rtol=1e-9, atol=0)


def test_memory_layout_changes_speed_and_nothing_else():
    network, x = _network(14, shortcuts=True), _images(5, 3, 16, 16)
    gradients = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network.zero_grad()
        network.to(memory_format=layout)(x.to(memory_format=layout)).logsumexp(1).sum().backward()
        gradients.append(network.stem.conv.weight.grad.clone())
    assert torch.allclose(*gradients, rtol=1e-8, atol=1e-12)


def test_building_leaves_the_global_generator_alone_and_the_weights_zero():
    before = torch.random.get_rng_state()
    network = residual.CIFARNet(8, shortcuts=True)
    assert torch.equal(before, torch.random.get_rng_state())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
        elif hasattr(module, "weight"):
            assert (module.weight == 0).all()
    assert network.linear.bias.eq(0).all() and network.stem.conv.bias is None
    assert len(network[:2]) == 2


@pytest.mark.parametrize("depth", [2, 21, 55, 0, -4, 20.0, True])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match="depth is .*expected"):
        residual.CIFARNet(depth, shortcuts=True)


@pytest.mark.parametrize("name, share", [("he", 1), ("scaled", 1 / 4), ("gpt2", 1 / 4)])
def test_the_second_moment_grows_by_one_plus_the_branch_s_share(name, share):
    """Over 200 draws, for one input."""
    network, x = residual.ResidualMLP(30, 30, 4, 5), _images(1, 30)
    ratios = torch.zeros(200)
    for seed in range(200):
        residual.start(network, name, generator=torch.Generator().manual_seed(seed))
        before = network.linear(x)
        after = network.blocks(before)
        ratios[seed] = (after.square().mean() / before.square().mean()).detach()
    expected, error = (1 + share) ** 4, ratios.std() / 200**0.5
    assert error < 0.15 * expected
    assert abs(ratios.mean() - expected) < 4 * error


def _layer(x, generator):
    width = x.shape[1]
    weights = torch.randn(width, width, dtype=torch.float64, generator=generator)
    return x @ weights * (2 / width) ** 0.5


def test_with_a_relu_behind_the_sum_the_first_block_multiplies_by_two_plus_one_over_pi():
    generator = torch.Generator().manual_seed(2)
    x, ratios = torch.relu(_images(60, 200)), torch.zeros(100)
    for draw in range(100):
        after = torch.relu(x + _layer(torch.relu(_layer(x, generator)), generator))
        ratios[draw] = after.square().mean() / x.square().mean()
    error = ratios.std() / 10
    assert error < 0.02
    assert abs(ratios.mean() - (2 + 1 / math.pi)) < 4 * error


def test_with_a_relu_behind_the_sum_a_later_block_multiplies_by_2_4():
    """The density of one unit on a grid, scaled to second moment 1 after every block, for wide
    layers; and 10⁵ units drawn, whose mean at any block is within 4 standard errors of it."""
    step = 0.02
    grid = torch.arange(0, 12, step, dtype=torch.float64) + step / 2
    kernel = torch.exp(-((grid[:, None] - grid) ** 2) / 4) / (4 * math.pi) ** 0.5
    from_zero = torch.exp(-(grid**2) / 4) / (4 * math.pi) ** 0.5
    density = torch.exp(-(grid**2) / 4) / (4 * math.pi) ** 0.5  # rectified, second moment 1
    units = torch.relu(_images(100_000)) * 2**0.5
    generator, ratios = torch.Generator().manual_seed(3), []
    for _ in range(8):
        density = (1 - density.sum() * step) * from_zero + kernel @ density * step
        ratios.append((density @ grid**2 * step).item())
        units = torch.relu(
            units + 2**0.5 * torch.randn(100_000, dtype=torch.float64, generator=generator)
        )
        squares = units**2
        assert abs(squares.mean() - ratios[-1]) < 4 * squares.std() / 100_000**0.5 + 0.01
        root = ratios[-1] ** 0.5
        units = units / squares.mean() ** 0.5
        where = torch.searchsorted(grid, (grid * root).clamp(max=grid[-1])).clamp(1, len(grid) - 1)
        share = (grid * root - grid[where - 1]) / step
        density = root * torch.lerp(density[where - 1], density[where], share.clamp(0, 1))
    assert ratios[0] == pytest.approx(2 + 1 / math.pi, abs=1e-3)
    assert ratios[-1] == pytest.approx(2.400, abs=2e-3)


@pytest.mark.parametrize("name", ["rezero", "fixup"])
def test_rezero_and_fixup_start_as_the_identity(name):
    network, x = _started(name), _images(6, 30)
    before = network.linear(x)
    assert torch.equal(network.blocks(before), before)
    assert network.blocks[0].first.weight.std() > 0
    network.blocks[1].multiplier.data.fill_(2.0)
    network.blocks[1].second.weight.data.fill_(1.0)
    assert not torch.equal(network.blocks(before), before)


def test_fixup_follows_its_three_rules():
    fixup, he = _started("fixup"), _started("he")
    for ours, theirs in zip(fixup.blocks, he.blocks):
        assert torch.allclose(ours.first.weight, theirs.first.weight * 4 ** (-1 / (2 * 2 - 2)))
        assert ours.second.weight.eq(0).all() and ours.biases.eq(0).all() and ours.multiplier == 1
    assert fixup.readout.weight.eq(0).all() and torch.equal(fixup.linear.weight, he.linear.weight)


def test_an_unknown_start_is_refused_and_the_draw_is_the_generator_s():
    with pytest.raises(ValueError, match="Did you mean 'fixup'"):
        _started("fix-up")
    with pytest.raises(ValueError, match="blocks is 0"):
        residual.ResidualMLP(3, 3, 0, 2)
    assert torch.equal(_started("he", 1).readout.weight, _started("scaled", 1).readout.weight)
    assert not torch.equal(_started("he", 1).readout.weight, _started("he", 2).readout.weight)
