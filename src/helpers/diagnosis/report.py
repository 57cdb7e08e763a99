"""The result of a diagnosis: a table, findings, a verdict, a chart, and all of it to be read."""

import html
import math
import re
import textwrap
from dataclasses import dataclass

import pandas as pd

from helpers.diagnosis.findings import Finding, listed
from helpers.tables import significant

_SHOWN = 40  # rows of the table in a report to read; `Report.table` has all
_COLUMNS = {
    "layer": "layer",
    "scheme": "weights",
    "gain2": "fan_in · E[w²]",
    "activation": "then",
    "forward": "signal",
    "expected_forward": "signal, expected",
    "backward": "gradient",
    "expected_backward": "gradient, expected",
    "dead": "dead units",
}
_CAPTION = "Second moments of signal and gradient by layer, in the order of running"


@dataclass(frozen=True, eq=False)
class Report:
    """What `helpers.diagnosis.diagnose` found.

    ``table`` has one row for every run of a layer, in the order of running: ``layer``, ``kind``,
    ``run`` (1, or more where a layer runs again), ``fan_in``, ``fan_out``, ``gain2`` (fan_in ·
    E[w²]), ``scheme`` (read from the weights), ``activation`` and ``normalizer`` (that follow),
    ``forward`` (E[s²] of the layer's output) and ``expected_forward`` (from the measured input and
    the weights, were they independent), ``mean``, ``zero``, ``dead`` and ``saturated`` (shares of
    the activation's values, units and values at a bound), ``backward`` (E[(∂L/∂s)²]) and
    ``expected_backward`` (from the next layer's, where a plain chain leads there), ``finite``
    (share of the output's values), and ``state`` (trained, frozen, not reached). NaN where a
    number has no meaning. ``findings`` are in the order of cause, faults first.
    """

    network: str
    table: pd.DataFrame
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that are faults."""
        return tuple(f for f in self.findings if f.severity == "fault")

    @property
    def verdict(self) -> str:
        """One sentence: healthy, or what is wrong."""
        if not self.faults:
            notes = len(self.findings)
            more = f" {notes} note{'s' * (notes > 1)} below." if notes else ""
            return f"{self.network} is healthy: nothing stops its signals or gradients.{more}"
        first, *others = self.faults
        where = f" at {listed(first.layers)}" if first.layers else ""
        rest = f", and {len(others)} more fault{'s' * (len(others) > 1)}" if others else ""
        return f"{self.network} has a fault: {first.kind}{where}{rest}."

    def chart(self):
        """Second moments by layer, forward and backward: measured as marks, expected as lines.

        Layers that a fault names are marked. Values that are zero or not finite are left out, as
        on every logarithmic axis.
        """
        from helpers.charts import curves  # the charts need altair; a diagnosis does not

        faulty = {name for f in self.faults for name in f.layers}
        rows = self.table.assign(number=range(1, len(self.table) + 1))
        measured, expected = [], []
        for column, panel in (("forward", "signal, forward"), ("backward", "gradient, backward")):
            part = pd.DataFrame({"layer": rows["number"], "panel": panel})
            part["state"] = ["named by a fault" if n in faulty else "measured" for n in rows.layer]
            measured.append(part.assign(moment=rows[column].astype(float)))
            theory = part.assign(state="expected", moment=rows[f"expected_{column}"].astype(float))
            expected.append(theory)
        measured, expected = (
            pd.concat(parts)[lambda t: t["moment"].gt(0) & t["moment"].lt(math.inf)]
            for parts in (measured, expected)
        )
        if measured.empty:
            raise ValueError(
                f"No second moment of {self.network} is a finite number above zero; there is "
                "nothing to draw. Read the report's verdict, and mend what it names first."
            )
        return curves(
            expected if len(expected) else None,
            measured,
            x="layer",
            y="moment",
            color="state",
            panel="panel",
            log_y=True,
            x_title="layer, in the order of running",
            y_title="second moment",
            color_title=" ",
            description=(
                f"Second moments of {len(rows)} layers of {self.network}, forward and backward, "
                f"measured as marks and expected as lines. {self.verdict}"
            ),
        )

    def __str__(self) -> str:
        parts = [textwrap.fill(self.verdict, 96)]
        for number, finding in enumerate(self.findings, start=1):
            head = textwrap.fill(f"{number}. {finding}", 96, subsequent_indent="   ")
            numbers = "; ".join(f"{k} {_number(v)}" for k, v in finding.evidence.items())
            parts.append(head)
            if numbers:
                parts[-1] += "\n" + textwrap.indent(textwrap.fill(f"({numbers})", 93), "   ")
            if finding.remedy:
                parts[-1] += "\n\n" + textwrap.indent(finding.remedy, "       ")
        rows = [[*self._columns().values()], *self._cells()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(
                cell.ljust(w) if i in (0, 1, 3) else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(row, widths))
            ).rstrip()
            for row in rows
        ]
        parts.append("\n".join([f"{_CAPTION}:", *lines, *self._left_out()]))
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return f"<Report: {self.verdict}>"

    def _left_out(self) -> list[str]:
        hidden = len(self.table) - _SHOWN
        return [f"… {hidden} rows more in the table"] if hidden > 0 else []

    def _columns(self) -> dict[str, str]:
        """Those shown, with their titles; that of dead units only where there are any."""
        dead = self.table["dead"].gt(0).any()
        return {c: title for c, title in _COLUMNS.items() if dead or c != "dead"}

    def _cells(self) -> list[list[str]]:
        return [
            [_number(row[c]) for c in self._columns()]
            for _, row in self.table.head(_SHOWN).iterrows()
        ]

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._html()}

    def _html(self) -> str:
        parts = [f"<p><strong>{html.escape(self.verdict)}</strong></p>"]
        if self.findings:
            parts.append("<ol>")
            for finding in self.findings:
                numbers = "; ".join(f"{k} {_number(v)}" for k, v in finding.evidence.items())
                text = f"<li><p><strong>{html.escape(f'{finding.severity}, {finding.kind}')}"
                text += f":</strong> {html.escape(finding.cause)}</p>"
                text += f"<p><small>{html.escape(numbers)}</small></p>" if numbers else ""
                if finding.remedy:
                    text += f"<pre><code>{html.escape(finding.remedy)}</code></pre>"
                parts.append(text + "</li>")
            parts.append("</ol>")
        head = "".join(f'<th scope="col">{html.escape(c)}</th>' for c in self._columns().values())
        body = "".join(
            f'<tr><th scope="row">{html.escape(first)}</th>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for first, *cells in self._cells()
        )
        parts.append(
            f'<table class="dataframe"><caption>{_CAPTION}</caption><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>"
        )
        parts += [f"<p>{html.escape(line)}</p>" for line in self._left_out()]
        return "\n".join(parts)


def _number(value) -> str:
    if isinstance(value, str):
        # Of several rules that are one where fans are equal, the first will do for a table.
        return re.sub(r" or .*? \(fan_in = fan_out here\)", " (fan_in = fan_out)", value)
    if value is None or value != value:
        return "–"
    return f"{significant(float(value), 3, floor=0.0):.3g}"
