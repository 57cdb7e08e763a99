import math

import pytest

from helpers import checks


@pytest.mark.parametrize("value", [0, -0.1, math.nan, math.inf, "0.1", None, True])
def test_positive_names_what_it_got_and_what_it_wants(value):
    with pytest.raises(ValueError, match="sigma is .*expected a finite number above 0"):
        checks.positive("sigma", value)


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", True, math.nan])
def test_count_takes_whole_numbers_only(value):
    with pytest.raises(ValueError, match="width is .*expected a whole number, 1 or above"):
        checks.count("width", value)


def test_nonnegative_takes_zero_but_no_less():
    assert checks.nonnegative("q", 0) == 0.0
    with pytest.raises(ValueError, match="q is -1e-09"):
        checks.nonnegative("q", -1e-9)


def test_an_unknown_name_meets_the_nearest_and_all():
    with pytest.raises(ValueError, match=r"'glorott'\. Did you mean 'glorot'\? Known: he, glorot"):
        checks.known("scheme", "glorott", ["he", "glorot"])
    with pytest.raises(ValueError, match=r"'xyz'\. Known: he"):
        checks.known("scheme", "xyz", ["he"])
