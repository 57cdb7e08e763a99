"""What was seen, in words: the verdict on a flow, and numbers that anyone can read."""

import math

from helpers.laboratory.flows import Flow, Way

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(exponent: float) -> str:
    """10 to the nearest whole exponent."""
    return "10" + str(round(exponent)).translate(_SUPERSCRIPTS)


def number(log: float, digits: int = 2) -> str:
    """The number of that log10 in so many digits; in words where there is no such number."""
    if math.isnan(log):
        return "not a number"
    if log == -math.inf:
        return "0"
    if log > 308:
        return "beyond 10³⁰⁸"
    exponent = math.floor(log)
    mantissa = f"{10 ** (log - exponent):.{digits - 1}f}"
    if mantissa.startswith("10"):
        mantissa, exponent = f"{1:.{digits - 1}f}", exponent + 1
    if -3 <= exponent < 3:
        return f"{float(mantissa) * 10.0**exponent:.{max(digits - 1 - exponent, 0)}f}"
    return f"{mantissa}·{power(exponent)}"


def verdict(flow: Flow) -> list[str]:
    """One sentence about what flows forward, one backward, and one about units, if need be."""
    found = [
        _way(flow.forward, "cells" if flow.settings.recurrent else "activations", flow.place),
        _way(flow.backward, "gradients", flow.place, back=True),
    ]
    return found + _units(flow)


def _way(way: Way, what: str, place: str, back: bool = False) -> str:
    """The story of one direction, told in the order in which things flow."""
    layers = list(zip(way.measured, (layer.position for layer in way.layers)))
    layers = layers[::-1] if back else layers
    subject = what.capitalize()
    where = "back " if back else ""
    for log, position in layers:
        if math.isnan(log):
            return (
                f"{subject} explode beyond all numbers: {where}at {place} {position} they pass "
                "10³⁰⁸, and what follows is not a number."
            )
        if log == -math.inf:
            if position == layers[0][1]:
                return f"{subject} are all zero."
            return f"{subject} vanish: {where}at {place} {position} every one is zero."
    (first, start), (last, end) = layers[0], layers[-1]
    if len(layers) == 1:
        return f"{subject}: one {place}, of second moment {number(first)}."
    each = len(layers) - 1
    told = f"{subject} {_change(last - first)} from {place} {start} {where}to {end}"
    told += f", ×{number((last - first) / each)} a {place.split()[-1]}"
    if way.predicted is not None:
        first, last = way.predicted[:: -1 if back else 1][::each]
        if math.isfinite(first) and math.isfinite(last):
            told += f" (theory: ×{number((last - first) / each)})"
    return told + "."


def _change(log: float) -> str:
    factor = f"a factor of {number(abs(log))}" if abs(log) < 2 else power(abs(log))
    if abs(log) < 0.3:
        return "hold"
    if log < 0:
        return f"vanish by {factor}" if log <= -2 else f"shrink by {factor}"
    return f"explode by {factor}" if log >= 2 else f"grow by {factor}"


def percent(share: float) -> str:
    """A share in percent, whole but for small ones; the sign stays with its number."""
    return f"{100 * share:.{0 if share == 0 or share >= 0.01 else 1}f}\u00a0%"


def _units(flow: Flow) -> list[str]:
    dead = max(flow.forward.layers, key=lambda layer: layer.dead)
    full = max(flow.forward.layers, key=lambda layer: layer.saturated)
    found = []
    if 0 < dead.dead < 1:
        found.append(
            f"Dead, zero for every image: {percent(dead.dead)} of {flow.place} {dead.position}."
        )
    if full.saturated >= 0.01:
        found.append(f"Saturated: {percent(full.saturated)} of {flow.place} {full.position}.")
    return found
