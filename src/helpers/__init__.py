"""Tools of the book *First Weights*: what weights do at the start, measured and predicted.

Import the module that you need (``from helpers import initializers``); importing the package
itself loads nothing heavy.
"""

__version__ = "0.1.0"
