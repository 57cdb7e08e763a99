"""Numbers made fit to be shown: rounded so that they read well, and so that another processor,
which adds in another order, shows the same."""

import math
from collections.abc import Iterable

import pandas as pd

from helpers import checks

#: Significant digits of what is shown.
DIGITS = 4


def significant(value, digits: int = DIGITS, floor: float = 1e-12):
    """Round to ``digits`` significant digits, and to zero what is below ``floor`` in size.

    Takes a number, a list (of lists) of numbers, a Series or a DataFrame, and returns the same
    kind; what is not a float stays as it is. A value that should be zero but for rounding differs
    from machine to machine: the floor, or not showing it at all, keeps it out of sight.
    """
    checks.count("digits", digits)
    if isinstance(value, pd.DataFrame):
        return value.apply(lambda column: significant(column, digits, floor))
    if isinstance(value, pd.Series):
        if value.dtype.kind != "f" and value.dtype != object:
            return value
        return value.map(lambda entry: significant(entry, digits, floor))
    if isinstance(value, float):
        if not math.isfinite(value):
            return value
        return 0.0 if abs(value) < floor else float(f"{value:.{digits}g}")
    if isinstance(value, Iterable) and not isinstance(value, str | dict):
        return [significant(entry, digits, floor) for entry in value]
    return value


def nested(table: pd.DataFrame, by: list[str], **rounding) -> pd.DataFrame:
    """Gather the rows that agree in the columns ``by`` into one, every other column as a list.

    A chart that flattens the lists again stores each column's name once a group instead of once
    a row. Order is kept; floats are rounded by `significant`.
    """
    rounded = significant(table, **rounding)
    return rounded.groupby(by, sort=False, dropna=False).agg(list).reset_index()


def packed(table: pd.DataFrame, by: list[str], **rounding) -> pd.DataFrame:
    """Gather rows as `nested` does, each list of numbers as one text with spaces between.

    Stored in a notebook, a list takes a line for each of its numbers, a text a fifth of that.
    `charts.theme.unpacked` takes it apart in a chart. Raises ValueError for a column of anything
    but numbers: name it in ``by``.
    """
    rows = nested(table, by, **rounding)
    for column in rows.columns.difference(by, sort=False):
        if table[column].dtype.kind not in "fiu":
            raise ValueError(
                f"The column {column!r} holds {table[column].iloc[0]!r}, no number; name it among "
                f"{by}, or leave it out."
            )
        rows[column] = rows[column].map(joined)
    return rows


def joined(numbers: Iterable[float]) -> str:
    """Numbers with spaces between; nothing stands for what is not finite, as in JSON."""
    return " ".join(f"{number:.15g}" if math.isfinite(number) else "" for number in numbers)
