"""The book's figures: one function for each kind, from a tidy table to an Altair chart.

Every function rounds its data to four significant digits, demands a description for readers who
cannot see the figure, and gives colors in one order throughout the book: blue for what is too
small, green for what is right, vermilion for what is too large. Predictions are lines,
measurements are marks on them.
"""

from helpers.charts.intervals import ranges
from helpers.charts.lines import curves, training_curves
from helpers.charts.passages import passage
from helpers.charts.shapes import matrix, violins
from helpers.charts.sliders import curve_slider, slider
from helpers.charts.theme import PALETTE

__all__ = [
    "PALETTE",
    "curve_slider",
    "curves",
    "matrix",
    "passage",
    "ranges",
    "slider",
    "training_curves",
    "violins",
]
