"""What a reader chooses in a figure: a value by a range input, and more by menus.

Everything is in the figure's specification. JupyterLab draws the stock inputs of Vega; the pages
of the book read `usermeta` and add marks, a way back to the start, and playing (charts.js).
"""

import itertools
import math
from collections.abc import Callable, Mapping

import altair as alt
import pandas as pd

from helpers import checks
from helpers.charts.theme import domain_of, unpacked
from helpers.tables import packed, significant

#: A mark's place, or a function of the menus' columns, by name, that returns it, or None.
Mark = float | Callable[..., float | None]


class Choice:
    """A range input through the values of a column, and a menu for each of some further columns.

    ``column`` is the name under which `rows` stores the values, and of Vega's parameter.
    The arguments are those of `sliders.slider`. Raises ValueError for values that are not evenly
    spaced, and for a start, mark or menu that the table does not have.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        *,
        parameter: str,
        name: str,
        start: float,
        log: bool = False,
        marks: Mapping[str, Mark] | None = None,
        menus: Mapping[str, str] | None = None,
        chosen: Mapping[str, object] | None = None,
        play: bool | str = False,
    ):
        menus, chosen = dict(menus or {}), dict(chosen or {})
        if play not in (True, False, "at once", "onward"):
            raise ValueError(f"play is {play!r}; expected True, False, 'at once' or 'onward'.")
        for column in (parameter, *menus):
            checks.known("column of the table", column, table.columns)
            if not (column.isascii() and column.isidentifier()):
                raise ValueError(
                    f"The column {column!r} cannot name a control; rename it to letters, digits "
                    "and underscores. What readers see is its title."
                )
        for column in chosen:
            checks.known("menu", column, menus)
        self.parameter, self.log, self.menus = parameter, log, menus
        self.column = f"log10_{parameter}" if log else parameter
        self.options = {column: domain_of(table[column]) for column in menus}
        self.grid, self.step = _even(table[parameter], parameter, log)
        self.first = {c: chosen.get(c, options[0]) for c, options in self.options.items()}
        for column, value in self.first.items():
            if value not in self.options[column]:
                raise ValueError(
                    f"chosen has {value!r} for {column!r}; expected one of {self.options[column]}."
                )
        value = self._start(start)
        last = round(self.grid[0] + (len(self.grid) - 1) * significant(self.step), 9)
        bind = alt.binding_range(
            min=self.grid[0],
            max=max(self.grid[-1], last),  # a rounded step must still reach the end
            step=significant(self.step),
            name=f"log₁₀ {name} " if log else f"{name} ",
        )
        self.parameters = [alt.param(name=self.column, value=value, bind=bind)]
        self.tests = []
        shown = f"'{_quoted(name)} = ' + format({self._back(self.column)}, '.{3 if log else 4}~g')"
        for column, title in menus.items():
            bind = alt.binding_select(options=self.options[column], name=f"{title} ")
            signal = f"menu_{column}"  # "width" alone is a signal of Vega's own
            self.parameters.append(alt.param(name=signal, value=self.first[column], bind=bind))
            self.tests.append(f"datum['{column}'] === {signal}")
            shown += f" + ', {_quoted(title)} ' + {signal}"
        self.title = alt.Title(alt.expr(shown), fontSize=13, fontWeight="normal")
        placed = self._marks(marks or {})
        said = {"label": name} | ({"log": True} if log else {})
        said |= {"marks": placed} if placed else {}
        said |= {"play": play} if play else {}
        self.usermeta = {"controls": {self.column: said}}

    def rows(self, table: pd.DataFrame, what: str = "The table") -> pd.DataFrame:
        """Return the table with ``column`` in place of the parameter's own.

        Raises ValueError, naming the table as ``what``, where it lacks a choice that readers have.
        """
        for column in (self.parameter, *self.menus):
            checks.known(f"column of {what[0].lower()}{what[1:]}", column, table.columns)
        values = table[self.parameter].map(self._nearest)
        table = table.drop(columns=self.parameter)
        table.insert(0, self.column, values)
        there = set(zip(*(table[column] for column in self.by)))
        every = itertools.product(self.grid, *self.options.values())
        missing = [choice for choice in every if choice not in there]
        if missing:
            value, *rest = missing[0]
            value = significant(10**value if self.log else value)
            named = ", ".join(
                f"{c} = {v!r}" for c, v in zip([self.parameter, *self.menus], [value, *rest])
            )
            raise ValueError(
                f"{what} has no row for {named}, and for {len(missing) - 1} more choices; a reader "
                "can make every one, so add them."
            )
        return table

    @property
    def by(self) -> list[str]:
        """The columns that the reader chooses in."""
        return [self.column, *self.menus]

    def menu_rows(self, rows: pd.DataFrame, by: list[str] = ()) -> alt.Chart:
        """A chart of the rows that the menus name, for every value of the range input.

        ``rows`` are `rows`, packed by `by` and by ``by``.
        """
        chart = alt.Chart(packed(rows, [*self.menus, *by], separator="|"))
        for test in self.tests:
            chart = chart.transform_filter(test)
        columns = rows.columns.difference([*self.menus, *by], sort=False)
        return unpacked(chart, *columns, separator="|")

    def chosen_rows(self, rows: pd.DataFrame, by: list[str] = ()) -> alt.Chart:
        """A chart of the rows that the menus name, for the value that the reader has chosen."""
        here = f"abs(datum['{self.column}'] - {self.column}) < {significant(self.step / 2.1)}"
        return self.menu_rows(rows, by).transform_filter(here)

    def offer(self, chart: alt.TopLevelMixin, **properties) -> alt.TopLevelMixin:
        """Give the whole figure its controls, and a title that says what is chosen."""
        return chart.add_params(*self.parameters).properties(
            title=self.title, usermeta=self.usermeta, **properties
        )

    def _unit(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def _back(self, signal: str) -> str:
        return f"pow(10, {signal})" if self.log else signal

    def _nearest(self, value: float) -> float:
        """The grid's own, which is even to the last digit."""
        return min(self.grid, key=lambda even: abs(even - self._unit(value)))

    def _start(self, start: float) -> float:
        try:
            # On a logarithmic grid the nearest will do: 0.1413 for a start of 0.1414.
            close = self.step / (2 if self.log else 100)
            found = abs(self._nearest(start) - self._unit(start)) <= close
        except (TypeError, ValueError):
            found = False
        if not found:
            shown = [significant(10**v if self.log else v) for v in self.grid]
            raise ValueError(
                f"start is {start!r}; expected a value of {self.parameter!r}, one of {shown}."
            )
        return self._nearest(start) if self.log else start

    def _marks(self, marks: Mapping[str, Mark]) -> list[list]:
        """[label, value] for each, and where a function gave it the menus that it is for."""
        placed = []
        for label, mark in marks.items():
            if not callable(mark):
                placed.append([label, self._mark(label, mark)])
                continue
            for options in itertools.product(*self.options.values()):
                where = dict(zip(self.menus, options))
                value = mark(**where)
                if value is not None:
                    named = {f"menu_{column}": option for column, option in where.items()}
                    placed.append([label, self._mark(label, value), named])
        return placed

    def _mark(self, label: str, value: float) -> float:
        low, high = self.grid[0] - self.step / 2, self.grid[-1] + self.step / 2
        if (self.log and value <= 0) or not low <= self._unit(value) <= high:
            ends = [significant(10**v if self.log else v) for v in (self.grid[0], self.grid[-1])]
            raise ValueError(
                f"The mark {label!r} is at {value!r}; the slider runs from {ends[0]} to {ends[1]}. "
                "Leave it out, or compute more values."
            )
        return significant(float(value))


def _quoted(text: str) -> str:
    """Escape a text for Vega, between apostrophes."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _even(column: pd.Series, parameter: str, log: bool) -> tuple[list[float], float]:
    """The values of a column in order, or their logarithms, evened out, and the step between them.

    A logarithm may be off by a tenth of a step: 0.0112 and 0.0126 are values enough.
    """
    values = sorted(column.unique().tolist())
    if log and not values[0] > 0:
        raise ValueError(
            f"The smallest value of {parameter!r} is {values[0]!r}; a logarithmic slider wants all "
            "above 0. Leave it out, or say log=False."
        )
    units = [math.log10(value) for value in values] if log else values
    step = (units[-1] - units[0]) / max(len(units) - 1, 1)
    even = [units[0] + number * step for number in range(len(units))]
    off = max(abs(unit - at) for unit, at in zip(units, even))
    if not (step > 0 and off <= step / (10 if log else 100)):
        raise ValueError(
            f"The values of {parameter!r} are not evenly spaced{' in log10' if log else ''} "
            f"({values[:3]} …), and a slider steps evenly. Space them with "
            f"{'numpy.geomspace' if log else 'numpy.linspace or range'}."
        )
    return significant(even), step
