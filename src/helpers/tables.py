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
    a row; without ``by`` all is one row. Order is kept; floats are rounded by `significant`.
    """
    rounded = significant(table, **rounding)
    groups = rounded.groupby(by or (lambda _: 0), sort=False, dropna=False)
    return groups.agg(list).reset_index(drop=not by)


def packed(table: pd.DataFrame, by: list[str], separator: str = " ", **rounding) -> pd.DataFrame:
    """Gather rows as `nested` does, each list as one text with ``separator`` between its entries.

    Stored in a notebook, a list takes a line for each of its numbers, a text a fifth of that.
    `charts.theme.unpacked` takes it apart in a chart. What is packed can be packed again with
    another separator. Raises ValueError for a text that holds the separator: name it in ``by``.
    """
    rows = nested(table, by, **rounding)
    for column in rows.columns.difference(by, sort=False):
        for entries in rows[column]:
            for entry in entries:
                if isinstance(entry, str) and separator in entry:
                    raise ValueError(
                        f"The column {column!r} holds {entry!r}, and {separator!r} would separate "
                        f"its entries; name it among {by}, or leave it out."
                    )
        rows[column] = rows[column].map(lambda entries: joined(entries, separator))
    return rows


def joined(entries: Iterable[float | str], separator: str = " ") -> str:
    """Entries as one text; nothing stands for a number that is not finite, as in JSON."""
    return separator.join(
        entry if isinstance(entry, str) else f"{entry:.15g}" if math.isfinite(entry) else ""
        for entry in entries
    )
