"""Chances against exact small cases and against counted networks, in stated standard errors."""

import math

import pytest
import torch

from helpers import born_dead, initializers, networks

STANDARD_ERRORS = 4
RAYS = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def counted(widths, scheme="he", inputs=RAYS, count=10_000, seed=1):
    """The share of networks with a layer that is off for all inputs, and its standard error."""
    layers = born_dead.draw(widths, scheme, count, generator=generator(seed))
    share = (born_dead.layer_of_death(layers, inputs) > 0).double().mean().item()
    return share, math.sqrt(max(share * (1 - share), 1 / count) / count)


def test_the_chance_at_a_given_input_in_cases_done_by_hand():
    for layers in range(1, 12):
        assert born_dead.given_input([1] * layers) == pytest.approx(1 - 0.5**layers, rel=1e-14)
    assert born_dead.given_input([2, 3]) == pytest.approx(1 - 3 / 4 * 7 / 8, rel=1e-14)
    # 1 − 2^{−100} rounds to 1: the chance must not come out as zero.
    assert born_dead.given_input([100] * 5) == pytest.approx(5 * 0.5**100, rel=1e-12)


@pytest.mark.parametrize("scheme", ["he", "he-uniform", "pytorch"])
def test_networks_die_at_a_given_input_as_often_as_the_formula_says(scheme):
    """Whatever the distribution, and with biases (PyTorch's default) as without."""
    x = torch.tensor([[0.3, -2.0, 0.5]], dtype=torch.float64)
    share, error = counted([3, 2, 4, 1, 3], scheme, x)
    assert abs(share - born_dead.given_input([2, 4, 1, 3])) < STANDARD_ERRORS * error


def test_bounds_meet_where_the_chance_is_known():
    for layers in range(2, 8):
        low, high = born_dead.whole_domain([1] * layers, 1)
        assert low == pytest.approx(high) == pytest.approx(1 - 0.5 ** (layers - 1))
    # One hidden layer cannot be off at x and at −x.
    assert born_dead.whole_domain([3], 1) == born_dead.whole_domain([3], 5) == (0, 0)


@pytest.mark.parametrize("widths", [[1, 2, 2], [1, 3, 2], [2, 2, 2]])
def test_the_lower_bound_is_exact_for_two_hidden_layers(widths):
    """On a line, and on a plane for a width of two: there 256 directions stand for all."""
    inputs, *hidden = widths
    angle = torch.linspace(0, 2 * math.pi, 257, dtype=torch.float64)[:-1]
    domain = RAYS if inputs == 1 else torch.stack([angle.cos(), angle.sin()], dim=1)
    share, error = counted(widths, inputs=domain, count=4000)
    assert abs(share - born_dead.whole_domain(hidden, inputs).low) < STANDARD_ERRORS * error


def test_deep_networks_lie_between_the_bounds_and_leave_both():
    for width in (2, 3, 5):
        hidden = [width] * 9
        share, error = counted([1, *hidden])
        low, high = born_dead.whole_domain(hidden, 1)
        assert low + 2 * error < share < high - 2 * error
        assert high < born_dead.given_input(hidden)
        assert born_dead.whole_domain(hidden, 2).low < low


def test_the_width_needed_is_the_least():
    for layers in (1, 9, 100):
        width = born_dead.width_needed(layers, 0.01)
        assert born_dead.given_input([width] * layers) <= 0.01
        assert born_dead.given_input([width - 1] * layers) > 0.01
        assert 0 <= width - math.log2(100 * layers) < 1


@pytest.mark.parametrize("scheme", ["he", "pytorch", "rai"])
def test_one_network_is_drawn_as_the_initializer_draws_it(scheme):
    widths = [3, 4, 2, 1]
    network = initializers.initialize(networks.MLP(widths), scheme, generator=generator(5))
    layers = born_dead.draw(widths, scheme, 1, generator=generator(5))
    for ours, theirs in zip([t[0] for pair in layers for t in pair], network.parameters()):
        assert torch.equal(ours, theirs)


def test_the_layer_of_death_is_the_first_that_is_off_everywhere():
    def layer(weight):
        return torch.tensor([[[weight]]]).double(), torch.zeros(1, 1).double()

    both = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    died = born_dead.layer_of_death
    assert died([layer(1.0), layer(-1.0), layer(1.0)], both) == 2
    assert died([layer(1.0), layer(1.0)], both) == 0
    assert died([layer(1.0)], RAYS) == 0 and died([layer(1.0)], RAYS[1:]) == 1


def test_asymmetric_weights_die_less_often():
    domain = torch.linspace(-1, 1, 11, dtype=torch.float64)[:, None]
    for width in (2, 4):
        (he, first), (rai, second) = (
            counted([1] + [width] * 9, scheme, domain, count=3000) for scheme in ("he", "rai")
        )
        assert he - rai > 20 * math.hypot(first, second)
        assert rai > 3 * second  # less often, but they do


def test_misuse_is_named():
    cases = [
        (lambda: born_dead.given_input([]), "No widths"),
        (lambda: born_dead.given_input([2, 0]), "width is 0"),
        (lambda: born_dead.whole_domain([2, 2], 0), "inputs is 0"),
        (lambda: born_dead.width_needed(9, 1.5), "chance is 1.5"),
        (lambda: born_dead.draw([1, 2], "orthogonal", 3, generator=generator()), "one by one"),
        (lambda: born_dead.draw([1, 2], "glorot", 3, generator=generator()), "one by one"),
        (lambda: born_dead.draw([1, 2], "hee", 3, generator=generator()), "mean 'he'"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
