"""Does a stored table still follow from the code? A small part of it made again, and compared."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import datasets, devices, experiments, members, results, running
from helpers.configurations import Experiment, Training


@dataclass(frozen=True)
class Finding:
    """How far a part that was made again is from what is stored, and how far it may be.

    ``numbers`` were compared; ``untrained`` and ``trained`` are the largest relative differences
    before the first step and after it, the latter a mean over each member's numbers (0 where there
    is nothing of the kind).
    """

    name: str
    members: int
    numbers: int
    untrained: float
    trained: float
    bounds: tuple[float, float]

    @property
    def passed(self) -> bool:
        """Whether both differences are within their bounds."""
        return self.untrained <= self.bounds[0] and self.trained <= self.bounds[1]

    def __str__(self) -> str:
        verdict = "follows" if self.passed else "DOES NOT FOLLOW"
        return (
            f"{self.name}: {verdict}. {self.members} members, {self.numbers} numbers; "
            f"largest relative difference {self.untrained:.2g} untrained (allowed "
            f"{self.bounds[0]:g}), {self.trained:.2g} trained (allowed {self.bounds[1]:g})"
        )


def check(
    experiment: Experiment,
    *,
    root: str | Path | None = None,
    device: str = "cpu",
    folder: str | Path | None = None,
) -> Finding:
    """Make a small part of a stored result again, as its `helpers.configurations.Check` says.

    Raises `helpers.results.Refused` for a table that is missing or altered, and ValueError for one
    that another configuration made.
    """
    stored = results.read(experiment.name, folder)
    record = results.provenance(experiment.name, folder)
    differing = _differing(record["configuration"], experiment)
    if differing:
        raise ValueError(
            f"Stored result {experiment.name!r} was made with other settings: "
            f"{', '.join(differing)}. Make it again: {experiments.command(experiment)}"
        )
    device = devices.as_device(device)
    data = running.load(experiment, _origin(experiment, record["data"]["name"], root), device)
    if data.checksums != record["data"]["checksums"]:
        raise ValueError(
            f"Stored result {experiment.name!r} was made from {record['data']['name']} with other "
            f"checksums than the data here, {data.train.name}. Name the right data by --data."
        )
    if isinstance(experiment, Training):
        devices.keep_memory(device)
    part = replace(experiment, cases=experiment.cases[:: experiment.check.every], seeds=1)
    together = part.together if isinstance(part, Training) else 1
    found = []
    for group in running.groups(list(enumerate(part.members())), together):
        chosen = [member for _, member in group]
        if isinstance(part, Training):
            tables, _ = members.train_group(part, chosen, data, steps=part.check.steps)
        else:
            tables = members.observe_group(part, chosen, data)
        # The keys are those of the whole experiment: a thinned one may differ in fewer.
        found += [running.labelled(t, m, experiment.keys) for m, t in zip(chosen, tables)]
    return compare(experiment, pd.concat(found, ignore_index=True), stored)


def compare(experiment: Experiment, found: pd.DataFrame, stored: pd.DataFrame) -> Finding:
    """How far the rows of ``found`` are from the same rows of ``stored``.

    Numbers are compared relative to the stored ones, but of a layer's statistics the mean and the
    quantiles relative to its standard deviation, and shares as they are. Raises ValueError where
    a row of ``found`` has no counterpart.
    """
    places = {"layer", "direction", "step", "quantity"} & set(found.columns)
    keys = [*experiment.keys, *places]
    values = [name for name in found.columns if name not in (*keys, "epoch")]
    both = found.merge(stored, on=keys, suffixes=("", " stored"), validate="one_to_one")
    if len(both) < len(found):
        raise ValueError(
            f"Stored result {experiment.name!r} lacks {len(found) - len(both)} of {len(found)} "
            f"rows that the code makes. Make it again: {experiments.command(experiment)}"
        )
    apart = np.max([_apart(both, name) for name in values], axis=0)
    trained = both["step"].to_numpy() > 0 if "step" in both else np.zeros(len(both), bool)
    by_member = pd.DataFrame({"apart": apart, "trained": trained}).groupby(
        [both[key] for key in experiment.keys], dropna=False
    )
    means = by_member.apply(lambda rows: rows.apart[rows.trained].mean())
    return Finding(
        experiment.name,
        by_member.ngroups,
        len(values) * len(both),
        float(apart[~trained].max(initial=0.0)),
        float(means.max()) if trained.any() else 0.0,
        (experiment.check.bound, experiment.check.trained),
    )


def _origin(experiment: Experiment, made_from: str, root: str | Path | None):
    """Where the images lie that the stored result was made from.

    Images that were in a folder are looked for in a folder of that name where data lie.
    """
    if made_from in (experiment.data, "copying") or running.is_folder_of_images(root):
        return root
    folder = datasets.data_folder(root) / made_from
    if not running.is_folder_of_images(folder):
        raise FileNotFoundError(
            f"Stored result {experiment.name!r} was made from the images of a folder called "
            f"{made_from!r}, train/<class>/* and test/<class>/*; {folder} is none. Name yours by "
            "--data."
        )
    return folder


def _apart(both: pd.DataFrame, name: str) -> np.ndarray:
    """Difference to the stored number, in the unit that fits; 0 for equal ones, NaN and inf too."""
    new, old = both[name].to_numpy(), both[f"{name} stored"].to_numpy()
    unit = np.abs(old)
    if name.startswith("fraction"):
        unit = np.ones(len(both))
    elif name == "mean" or re.fullmatch(r"q\d\d", name):
        unit = np.sqrt(both["variance stored"].to_numpy())
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(new - old) / unit
    equal = (new == old) | (np.isnan(new) & np.isnan(old))
    return np.where(equal, 0.0, np.where(np.isfinite(apart), apart, np.inf))


def _differing(configuration: dict, experiment: Experiment) -> list[str]:
    ours = json.loads(json.dumps(experiment.configuration()))
    names = ours.keys() | configuration.keys()
    return sorted(name for name in names if ours.get(name) != configuration.get(name))
