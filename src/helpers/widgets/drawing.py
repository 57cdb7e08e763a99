"""Small drawings as SVG text, for charts that follow a slider.

Vega draws the book's other charts, but not fast enough for this: with the chart compiled
beforehand and only its data replaced, `vl_convert` took 70 to 150 ms and 200 MB of the kernel's
memory for what takes 2 ms here. So there is just what the laboratory needs: axes, lines, marks,
bands, and violins, in the colors of `charts.theme`. Text and neutral lines are drawn in
``currentColor``, so that they are right on light and on dark.

Everything takes numbers; what is not finite is left out, and no text is made of it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from helpers.charts.theme import GREY

#: A tick: its place on the axis, and its label.
Tick = tuple[float, str]
_LIMIT = 1e4  # pixels; far outside the drawing, where some renderers lose their way


@dataclass(frozen=True)
class Panel:
    """A rectangle with axes, in pixels, that shows ``x`` and ``y``, each from a low to a high."""

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float] | None:
        """Where a point is in pixels, rounded; None for one that is not finite."""
        across = self.left + self.width * _share(x, self.x)
        down = self.top + self.height * (1 - _share(y, self.y))
        if not (math.isfinite(across) and math.isfinite(down)):
            return None
        return round(_bound(across), 1), round(_bound(down), 1)

    def axes(
        self, x_ticks: Iterable[Tick], y_ticks: Iterable[Tick], *, x_title: str = "", title: str
    ) -> str:
        """Grid lines and labels, and what is shown as a heading."""
        parts = [_text(0, self.top - 16, title, anchor="start", size=13)]
        right, bottom = self.left + self.width, self.top + self.height
        for value, label in y_ticks:
            y = self.at(self.x[0], value)[1]
            parts.append(_line(self.left, y, right, y, opacity=0.22))
            parts.append(_text(self.left - 7, y + 4, label, anchor="end"))
        parts.append(_line(self.left, bottom, right, bottom))
        for value, label in x_ticks:
            x = self.at(value, self.y[0])[0]
            parts.append(_line(x, bottom, x, bottom + 4))
            parts.append(_text(x, bottom + 17, label))
        if x_title:
            parts.append(_text(self.left + self.width / 2, bottom + 34, x_title, size=13))
        return "".join(parts)

    def line(self, points: Iterable[tuple[float, float]], color: str, **style) -> str:
        """A line through the points; it is broken where one is not finite."""
        path, pen = [], "M"
        for x, y in points:
            place = self.at(x, y)
            path += [f"{pen}{place[0]:g},{place[1]:g}"] if place else []
            pen = "L" if place else "M"
        options = {"stroke_width": 2, "stroke_linejoin": "round"} | style
        return _tag("path", d="".join(path), fill="none", stroke=color, **options) if path else ""

    def marks(self, points: Iterable[tuple[float, float]], color: str, radius: float = 4) -> str:
        """A dot at each point."""
        places = [self.at(x, y) for x, y in points]
        return "".join(
            _tag("circle", cx=f"{p[0]:g}", cy=f"{p[1]:g}", r=radius, fill=color)
            for p in places
            if p
        )

    def band(self, low: Sequence[tuple], high: Sequence[tuple], color: str, **style) -> str:
        """What lies between two lines over the same places; nothing where either is missing."""
        pairs = [(self.at(*a), self.at(*b)) for a, b in zip(low, high)]
        pairs = [(a, b) for a, b in pairs if a and b]
        outline = [a for a, _ in pairs] + [b for _, b in pairs[::-1]]
        if len(pairs) < 2:
            return ""
        path = "M" + "L".join(f"{x:g},{y:g}" for x, y in outline) + "Z"
        return _tag("path", d=path, fill=color, **({"fill_opacity": 0.2} | style))

    def violin(self, middle: float, reach: float, density: Sequence[float], color: str) -> str:
        """A violin around ``middle``, 0.88 wide at its peak, from minus ``reach`` to ``reach``."""
        bins = len(density)
        if not bins or not math.isfinite(reach):
            return ""
        heights = [reach * ((2 * k + 1) / bins - 1) for k in range(bins)]
        # The ends of the range close the outline; empty bins at either end are left out.
        filled = [k for k, share in enumerate(density) if share > 0]
        kept = range(filled[0], filled[-1] + 1) if filled else ()
        left = [(middle - 0.44 * density[k], heights[k]) for k in kept]
        right = [(middle + 0.44 * density[k], heights[k]) for k in kept]
        style = {"fill_opacity": 1, "stroke": color, "stroke_width": 1}
        return self.band(left, right, color, **style) or self.marks(left, color, 1.5)

    def level(self, value: float) -> str:
        """A dashed line across."""
        if (place := self.at(self.x[0], value)) is None:
            return ""
        style = {"dash": "4 4", "opacity": 1}
        return _line(self.left, place[1], self.left + self.width, place[1], **style)


def picture(parts: Iterable[str], width: float, height: float, label: str) -> str:
    """The drawing as one SVG that takes the width it is given; ``label`` says what is seen."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}" '
        f'font-size="12" font-family="inherit">{"".join(parts)}</svg>'
    )


def even_ticks(low: float, high: float, most: int = 5) -> list[Tick]:
    """Round values between two ends, ``most`` or fewer."""
    span = (high - low) or 1.0
    step = 10.0 ** math.floor(math.log10(span / most))
    step *= next(m for m in (1, 2, 5, 10) if span / (m * step) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(k * step, f"{k * step + 0.0:.6g}".replace("-", "−")) for k in range(first, last + 1)]


def whole_ticks(low: int, high: int, most: int = 8) -> list[Tick]:
    """Whole numbers from low to high, all of them or round ones."""
    if high - low < most:
        return [(k, str(k)) for k in range(low, high + 1)]
    return [(v, label) for v, label in even_ticks(low, high, most) if v == int(v)]


def _share(value: float, ends: tuple[float, float]) -> float:
    return (value - ends[0]) / (ends[1] - ends[0])


def _bound(pixels: float) -> float:
    return max(-_LIMIT, min(_LIMIT, pixels))


def _tag(name: str, **attributes) -> str:
    said = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    return f"<{name}{said}/>"


def _line(x1, y1, x2, y2, *, opacity: float = 1, dash: str = "") -> str:
    style = {"stroke": GREY, "stroke_opacity": opacity}
    style |= {"stroke_dasharray": dash} if dash else {}
    return _tag("line", x1=f"{x1:g}", y1=f"{y1:g}", x2=f"{x2:g}", y2=f"{y2:g}", **style)


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="currentColor">{escape(text)}</text>'
    )
