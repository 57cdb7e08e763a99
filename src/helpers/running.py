"""Running an experiment: every member trained or observed, the table stored with its provenance."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import platformdirs
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from helpers import datasets, devices, experiments, members, ranks, results, sequences
from helpers.configurations import Copying, Experiment, Member, Training


def run(
    experiment: Experiment,
    *,
    root: str | Path | None = None,
    device: str = "cpu",
    folder: str | Path | None = None,
    cache: str | Path | None = None,
    progress: bool = False,
):
    """Train or observe every member, store the table with its provenance, and return it.

    ``root`` is where the data lie, or a folder of images (see `load`); ``folder``, where the result
    goes, is the book's own by default; ``cache`` is where checkpoints are kept until the result is
    stored: a run that was stopped goes on from where each group of members was saved last. A group
    too large for the device's memory is halved, and its halves run one after the other. Under
    ``torchrun`` the members are divided among the processes, and the first one stores the table of
    all; the others return None. Raises ValueError for a shortened experiment without a
    ``folder``: it would take the place of the real one.
    """
    if folder is None and experiment != experiments.EXPERIMENTS.get(experiment.name):
        raise ValueError(
            f"{experiment.name!r} with other settings than its own would overwrite the book's "
            "stored result; say where this one goes (--out FOLDER)."
        )
    rank = ranks.join()
    device = devices.as_device(ranks.own_device(device, rank))
    # The first process downloads what is missing before the others look.
    with rank.first():
        data = load(experiment, root, device)
    if isinstance(experiment, Training):
        devices.keep_memory(device)
    every = experiment.members()
    mine = list(enumerate(every))[rank.number :: rank.count]
    together = experiment.together if isinstance(experiment, Training) else 1
    cache = _cache() if cache is None else Path(cache)
    worker = _Worker(experiment, data, device, cache)
    total = len(mine) * worker.examples
    with tqdm(
        total=total, unit=" images", unit_scale=True, disable=not progress or rank.number > 0
    ) as bar:
        for group in groups(mine, together):
            bar.set_description(str(group[0][1]) + (f" … {len(group)}" if group[1:] else ""))
            worker.work(group, _Show(bar))
    parts = rank.gather((worker.tables, worker.done, devices.peak_memory(device)))
    if parts is None:
        rank.wait()
        worker.forget()
        return None
    tables = {number: table for part, _, _ in parts for number, table in part.items()}
    done = [entry for _, part, _ in parts for entry in part]
    table = _joined(experiment, tables, every)
    provenance = {
        "command": experiments.command(experiment, device.type, rank.count, data.train.name),
        "configuration": experiment.configuration(),
        "data": {
            "name": data.train.name,
            "scaling": data.train.scaling,
            "images": {"train": len(data.train), "test": len(data.test)},
            "checksums": data.checksums,
        },
        "seeds": sorted({member.seed for member in every}),
        "device": devices.describe(device),
        "threads": torch.get_num_threads(),
        "processes": rank.count,
        "seconds": round(sum(entry["seconds"] for entry in done), 1),
        "peak_memory_mb": max(peak for _, _, peak in parts),
        "groups": done,
    }
    results.write(experiment.name, table, provenance, folder)
    rank.wait()
    worker.forget()
    return table


def load(experiment: Experiment, root: str | Path | None, device) -> members.Data:
    """The training and test images of an experiment, float32, on the device.

    ``root`` is where data lie (see `helpers.datasets.load`); the name of the experiment's own data
    set means where it lies by default. If it holds ``train/<class>/`` and ``test/<class>/``, those
    images are taken in its place.
    """
    root = None if root == experiment.data else root
    if isinstance(experiment, Copying):
        shape = {"gap": experiment.gap, "length": experiment.length, "seed": 0}
        counts = {"train": experiment.examples, "test": experiment.tests}
        made = [sequences.copying(split, count=count, **shape) for split, count in counts.items()]
        return members.Data(*(part.to(device) for part in made))
    images = is_folder_of_images(root)
    options = {"scaling": experiment.scaling, "device": device, "dtype": torch.float32}
    options |= {} if images else {"root": root}
    name = Path(root) if images else experiment.data
    sets = [datasets.load(name, split, **options) for split in ("train", "test")]
    if experiment.shrink is not None:
        sets = [replace(part, images=F.avg_pool2d(part.images, experiment.shrink)) for part in sets]
    return members.Data(*sets)


def is_folder_of_images(root: str | Path | None) -> bool:
    """Does ``root`` hold images by split and class, and not data sets?"""
    return root is not None and all((Path(root) / split).is_dir() for split in ("train", "test"))


def groups(numbered: list[tuple[int, Member]], together: int) -> Iterator[list]:
    """Members of one kind, up to ``together`` at once, in the order of each group's first."""
    kinds: dict[tuple, list] = {}
    for entry in numbered:
        kinds.setdefault(entry[1].case.kind, []).append(entry)
    chunks = [
        kind[start : start + together]
        for kind in kinds.values()
        for start in range(0, len(kind), together)
    ]
    yield from sorted(chunks, key=lambda chunk: chunk[0][0])


class _Worker:
    """Does one group after another; keeps their tables by number, and how long each group took."""

    def __init__(self, experiment: Experiment, data: members.Data, device, cache: Path):
        self.experiment, self.data, self.device, self.cache = experiment, data, device, cache
        self.tables: dict[int, pd.DataFrame] = {}
        self.done: list[dict] = []
        self.checkpoints: list[Path] = []

    @property
    def examples(self) -> int:
        """How many images one member sees."""
        if isinstance(self.experiment, Training):
            return self.experiment.epochs * len(self.data.train)
        return len(self.data.test)

    def work(self, group: list[tuple[int, Member]], show: "_Show") -> None:
        chosen = [member for _, member in group]
        try:
            tables, seconds = self._compute(chosen, show)
        except (RuntimeError, MemoryError) as error:
            if len(group) == 1 or not devices.out_of_memory(error):
                raise
            tables = None
        if tables is None:
            # Only here, where the error and all that it holds on to is gone, is there room again.
            show.rewind()
            devices.free_memory(self.device)
            half = len(group) // 2
            for part in (group[:half], group[half:]):
                self.work(part, show)
            return
        self.tables.update(zip((number for number, _ in group), tables))
        show.finish()
        self.done.append(
            {"first": str(chosen[0]), "members": len(group), "seconds": round(seconds, 1)}
        )

    def forget(self) -> None:
        """Delete the checkpoints: the result is stored."""
        for checkpoint in self.checkpoints:
            checkpoint.unlink(missing_ok=True)

    def _compute(self, chosen: list[Member], show: "_Show") -> tuple[list[pd.DataFrame], float]:
        start = time.perf_counter()
        if not isinstance(self.experiment, Training):
            show(0)
            tables = members.observe_group(self.experiment, chosen, self.data)
            show(self.examples * len(chosen))
            return tables, time.perf_counter() - start
        name = members.digest(self.experiment, chosen, self.data, devices.describe(self.device))
        checkpoint = self.cache / f"{self.experiment.name}-{name}.pt"
        self.checkpoints.append(checkpoint)
        return members.train_group(
            self.experiment, chosen, self.data, checkpoint=checkpoint, progress=show
        )


def labelled(table: pd.DataFrame, member: Member, keys: list[str]) -> pd.DataFrame:
    """A member's table, with what tells the member apart in front of every row."""
    values = {key: getattr(member.case, key) for key in keys if key != "seed"}
    values = {key: float("nan") if value is None else value for key, value in values.items()}
    return table.assign(**values, seed=member.seed)[[*keys, *table.columns]]


def _joined(experiment: Experiment, tables: dict[int, pd.DataFrame], every) -> pd.DataFrame:
    """One table of all, in the members' order."""
    parts = [labelled(tables[n], every[n], experiment.keys) for n in sorted(tables)]
    return pd.concat(parts, ignore_index=True)


class _Show:
    """Moves a progress bar; what an earlier session did counts as done, not as speed."""

    def __init__(self, bar):
        self.bar, self.began, self.started = bar, bar.n, False

    def __call__(self, done: int) -> None:
        step = self.began + done - self.bar.n
        if self.started:
            self.bar.update(step)
        elif not self.bar.disable:
            self.bar.initial += step
            self.bar.n += step
        self.started = True

    def rewind(self) -> None:
        """Back to where the group began."""
        self.bar.n = self.began

    def finish(self) -> None:
        """The next group begins here."""
        self.began, self.started = self.bar.n, False


def _cache() -> Path:
    base = os.environ.get("HELPERS_CACHE") or platformdirs.user_cache_path("first-weights")
    return Path(base) / "runs"
