"""Tools of the book *First Weights*: what weights do at the start, measured and predicted.

Import the module that you need (``from helpers import initializers``); importing the package
itself loads nothing heavy. Two functions are at hand at once: ``helpers.diagnose(model, batch)``
(`helpers.diagnosis`) says what flows in a network of yours, and ``helpers.repair(model, batch)``
(`helpers.mending`) gives it new first weights.
"""

__version__ = "0.1.0"


def __getattr__(name: str):
    """Load `diagnose` and `repair`, and torch with them, when they are asked for."""
    if name == "diagnose":
        from helpers.diagnosis import diagnose

        return diagnose
    if name == "repair":
        from helpers.mending import repair

        return repair
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
