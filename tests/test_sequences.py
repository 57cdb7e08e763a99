"""The copy problem, told apart token by token."""

import pytest
import torch

from helpers import sequences


def test_a_sequence_is_symbols_then_blanks_and_a_marker_then_blanks():
    data = sequences.copying("train", gap=4, length=3, count=50, seed=0, symbols=5)
    assert data.images.shape == (50, 10) and data.labels.shape == (50, 3)
    for tokens, wanted in zip(data.images.tolist(), data.labels.tolist()):
        # Written out by hand: three symbols, three blanks, the marker, three blanks.
        assert tokens == wanted + [5, 5, 5] + [6] + [5, 5, 5]
        assert all(0 <= symbol < 5 for symbol in wanted)
    assert data.classes == ("0", "1", "2", "3", "4")


def test_every_symbol_is_as_frequent_at_every_place():
    labels = sequences.copying("train", gap=1, count=8000, seed=1).labels
    counts = torch.stack([(labels == symbol).sum(0) for symbol in range(8)])
    # Binomial with n = 8000 and p = 1/8: mean 1000, standard deviation 29.6; four of them.
    assert (counts - 1000).abs().max() < 4 * 29.6


def test_a_seed_is_one_set_and_its_splits_are_two():
    def make(split="train", seed=3):
        return sequences.copying(split, gap=7, count=20, seed=seed)

    assert torch.equal(make().images, make().images)
    assert make().checksums == make().checksums != make(seed=4).checksums
    assert not torch.equal(make().labels, make("test").labels)
    assert not torch.equal(make("test").labels, make(seed=4).labels)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"gap": 0}, "gap is 0"),
        ({"count": 1.5}, "count is 1.5"),
        ({"symbols": 1}, "symbols is 1"),
        ({"symbols": 255}, "symbols is 255"),
        ({"split": "validation"}, "Unknown split 'validation'"),
    ],
)
def test_bad_arguments_are_refused_by_name(change, message):
    arguments = {"split": "train", "gap": 3, "count": 2, "seed": 0} | change
    with pytest.raises(ValueError, match=message):
        sequences.copying(arguments.pop("split"), **arguments)
