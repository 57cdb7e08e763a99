"""Argument errors, all in one wording: the value, what was expected, and what to do."""

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real


def known(kind: str, name: str, table: Iterable[str]) -> str:
    """Return ``name`` if it stands in ``table``; else raise a ValueError that lists the choices."""
    names = list(table)
    if name in names:
        return name
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")


def positive(what: str, value: float) -> float:
    """Return ``value`` as a float if it is finite and above zero; else raise a ValueError."""
    if not _is_real(value) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{what} is {value!r}; expected a finite number above 0, such as 0.1.")
    return float(value)


def nonnegative(what: str, value: float) -> float:
    """Return ``value`` as a float if it is finite and at least zero; else raise a ValueError."""
    if not _is_real(value) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{what} is {value!r}; expected a finite number, 0 or above.")
    return float(value)


def count(what: str, value: int) -> int:
    """Return ``value`` as an int if it is a whole number of at least 1; else raise a ValueError."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{what} is {value!r}; expected a whole number, 1 or above.")
    return int(value)


def _is_real(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
