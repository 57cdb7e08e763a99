"""The laboratory: what a reader may choose, what then flows, and training from those weights.

Nothing here draws or knows of a notebook; `helpers.widgets` shows it.
"""

from helpers.laboratory.flows import IMAGES, Flow, Layer, Way, flow
from helpers.laboratory.settings import DEPTHS, FORGETS, NETWORKS, SIGMAS, WIDTHS, Settings
from helpers.laboratory.trials import Training, Trial

__all__ = [
    "DEPTHS",
    "FORGETS",
    "IMAGES",
    "NETWORKS",
    "SIGMAS",
    "WIDTHS",
    "Flow",
    "Layer",
    "Settings",
    "Training",
    "Trial",
    "Way",
    "flow",
]
