import math

import pandas as pd
import pytest

from helpers import tables


def test_floats_keep_four_digits_and_what_is_nearly_zero_becomes_zero():
    assert tables.significant(0.123456) == 0.1235
    assert tables.significant(-98765.4) == -98770.0
    assert tables.significant(9e-16) == 0.0
    assert tables.significant(0.00123456, floor=0.01) == 0.0
    assert math.isinf(tables.significant(math.inf)) and math.isnan(tables.significant(math.nan))


def test_structure_and_what_is_no_float_stay():
    assert tables.significant([1, "a", [0.33333, None]]) == [1, "a", [0.3333, None]]
    table = pd.DataFrame({"n": [100], "name": ["he"], "q": [1.23456]})
    rounded = tables.significant(table)
    assert rounded.to_dict("list") == {"n": [100], "name": ["he"], "q": [1.235]}
    assert rounded["n"].dtype == table["n"].dtype
    with pytest.raises(ValueError, match="digits is 0"):
        tables.significant(1.0, digits=0)


def test_nesting_gathers_rows_in_order():
    table = pd.DataFrame({"s": [2, 2, 1], "x": [1, 2, 1], "y": [0.11111, 0.2, 0.3]})
    assert tables.nested(table, ["s"]).to_dict("list") == {
        "s": [2, 1], "x": [[1, 2], [1]], "y": [[0.1111, 0.2], [0.3]]
    }  # fmt: skip
    assert tables.nested(table[["x"]], []).to_dict("list") == {"x": [[1, 2, 1]]}


def test_packing_joins_numbers_and_refuses_what_could_not_be_taken_apart():
    table = pd.DataFrame({"s": [2, 2, 1], "x": [1, 2, 1], "y": [0.11111, math.nan, 1e-5]})
    packed = tables.packed(table, ["s"])
    assert packed.to_dict("list") == {"s": [2, 1], "x": ["1 2", "1"], "y": ["0.1111 ", "1e-05"]}
    again = tables.packed(packed, [], separator="|")
    assert again.to_dict("list") == {"s": ["2|1"], "x": ["1 2|1"], "y": ["0.1111 |1e-05"]}
    with pytest.raises(ValueError, match="'name' holds 'a b', and ' ' would separate"):
        tables.packed(table.assign(name="a b"), ["s"])
