"""How soon a live widget answers: from a value that is set to the picture that is handed over."""

import os
import statistics
import time

import numpy as np
import pandas as pd
import torch

from helpers import devices
from helpers.benchmarks import processor
from helpers.laboratory import IMAGES, Settings

#: By name: the laboratory's settings that σ is moved in. The first one is what is promised.
NETWORKS: dict[str, Settings] = {
    "784 → 100 × 5": Settings(scheme="normal"),
    "784 → 100 × 25": Settings(scheme="normal", depth=25),
    "784 → 300 × 5": Settings(scheme="normal", width=300),
    "784 → 512 × 50": Settings(scheme="normal", width=512, depth=50),
    "784 → 100 × 5, batch-normalized": Settings("batch normalization", "normal"),
    "784 → 100 × 5, residual": Settings("residual", "normal"),
    "LSTM of 100, 28 steps": Settings("lstm"),
}


def widgets(*, moves: int = 30) -> tuple[pd.DataFrame, dict]:
    """Move σ (the LSTM's forget bias) so many times in each network; return a table, and its
    provenance.

    Columns: ``network``; ``images`` that flow; ``median``, ``fastest`` and ``slowest``
    milliseconds from the value that is set to the picture and the verdict that are assigned;
    ``kilobytes`` that then go to the front end. The first picture of all, which loads the data and
    tabulates the activation, is not counted. The provenance has the process's memory in MB with
    nothing but the imports, and at its peak, and how loaded the machine was.
    """
    from helpers.widgets import laboratory  # ipywidgets: only who measures it needs it

    start, rows, before = time.perf_counter(), [], devices.peak_memory(torch.device("cpu"))
    for name, settings in NETWORKS.items():
        lab = laboratory(None, **vars(settings))
        lab.redraw()
        recurrent = settings.recurrent
        control = lab.controls.forget if recurrent else lab.controls.sigma
        values = np.linspace(0.5, 4, moves) if recurrent else np.geomspace(0.02, 0.5, moves)
        taken = []
        for value in values:
            begun = time.perf_counter()
            control.value = float(value)
            taken.append(1000 * (time.perf_counter() - begun))
        sent = len((lab.figure.value + lab.verdict.value).encode())
        rows.append(
            {
                "network": name,
                "images": lab.flow.images,
                "median": statistics.median(taken),
                "fastest": min(taken),
                "slowest": max(taken),
                "kilobytes": sent / 1000,
            }
        )
        lab.close()
    provenance = {
        "command": "python -m helpers bench widgets --out book/results",
        "configuration": {"moves": moves, "images": IMAGES},
        "data": {"name": "digits"},
        "seeds": [0],
        "device": devices.describe(torch.device("cpu")),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "memory_mb": {"imports": before, "peak": devices.peak_memory(torch.device("cpu"))},
        "seconds": round(time.perf_counter() - start, 1),
    }
    return pd.DataFrame(rows), provenance
