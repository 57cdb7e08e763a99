"""What a command line says, made a network and a batch."""

import pytest
import torch
from torch import nn

from helpers import factories


def generator():
    return torch.Generator().manual_seed(0)


ready = nn.Linear(3, 2)


def broken():
    raise RuntimeError("no such file")


def test_a_factory_is_called_under_the_seed_and_nothing_else_is_drawn():
    before = torch.random.get_rng_state()
    first, again, other = (build(seed) for seed in (0, 0, 1))
    assert torch.equal(first.weight, again.weight) and not torch.equal(first.weight, other.weight)
    assert torch.equal(torch.random.get_rng_state(), before)


def build(seed, dtype=None):
    return factories.network(f"{__name__}:linear", seed=seed, dtype=dtype)


def linear():
    return nn.Linear(4, 4)


def test_float64_is_drawn_as_such_and_the_default_stays():
    wide = build(0, "float64")
    assert wide.weight.dtype == torch.float64
    assert not torch.equal(wide.weight, wide.weight.float().double())
    assert torch.get_default_dtype() == torch.float32


def test_a_network_itself_is_taken():
    assert factories.network(f"{__name__}:ready") is ready


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("resnet18", "expected package.module:factory"),
        ("no_such_package:net", "cannot be imported"),
        (f"{__name__}:liner", "Did you mean 'linear'"),
        (f"{__name__}:broken", "RuntimeError: no such file"),
        ("math:pi", "gave a float"),
        ("builtins:dict", "gave a dict"),
    ],
)
def test_an_address_that_leads_to_no_network(address, words):
    with pytest.raises(ValueError, match=words):
        factories.network(address)


def test_a_batch_has_a_tensor_for_each_shape():
    images, tokens, labels = factories.batch(["3x8x8", "16<50", "<10"], 4, generator=generator())
    assert images.shape == (4, 3, 8, 8) and images.dtype == torch.float32
    assert tokens.shape == (4, 16) and tokens.dtype == torch.int64 and tokens.max() < 50
    assert labels.shape == (4,)


def test_values_come_in_the_type_of_the_network():
    values, tokens = factories.batch(["3", "3<9"], 2, generator=generator(), like=linear().half())
    assert values.dtype == torch.float16 and tokens.dtype == torch.int64


@pytest.mark.parametrize("shape", ["", "3x", "3x0", "x", "3,224", "7<0", "a"])
def test_a_shape_that_is_none(shape):
    with pytest.raises(ValueError, match="expected sizes of one example"):
        factories.batch([shape], 2, generator=generator())
