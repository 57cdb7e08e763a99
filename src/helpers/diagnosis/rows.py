"""The table of a diagnosis: one row for every run of a layer."""

import pandas as pd

from helpers.diagnosis import expecting, moments
from helpers.diagnosis.findings import Analysis


def table(analysis: Analysis) -> pd.DataFrame:
    """One row for every run of a layer; see `helpers.diagnosis.Report`."""
    rows = []
    for use in analysis.uses:
        own, then, stats = analysis.weights[use], analysis.next[use], analysis.signal(use)
        name = analysis.activation[use]
        back = moments.NAN
        if then is not None and not analysis.after[use].pooled:
            back = expecting.backward(use, name, then, analysis.weights[then])
        rows.append(
            {
                "layer": use.layer,
                "kind": use.kind,
                "run": use.number,
                "fan_in": own.fan_in,
                "fan_out": own.fan_out,
                "gain2": own.gain2,
                "scheme": own.scheme,
                "activation": name or "",
                "normalizer": analysis.after[use].normalizer,
                "forward": use.output.second_moment,
                "expected_forward": expecting.forward(use, own),
                "mean": use.output.mean,
                "zero": stats.zero if stats else moments.NAN,
                "dead": stats.dead if stats else moments.NAN,
                "saturated": stats.saturated if stats else moments.NAN,
                "backward": use.backward,
                "expected_backward": back,
                "finite": use.output.finite,
                "state": "trained" if use.trainable else "frozen",
            }
        )
    for name, module in analysis.record.unreached:
        kind = type(module).__name__.removeprefix("Parametrized")
        rows.append({"layer": name, "kind": kind, "run": 0, "state": "not reached"})
    found = pd.DataFrame(rows)
    for column in ("scheme", "activation"):
        found[column] = found[column].fillna("")
    found["normalizer"] = found["normalizer"].fillna(False).astype(bool)
    return found
