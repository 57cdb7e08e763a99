"""Every stored result by name: its configuration, and the one way to run it."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from helpers import checks, results

COLUMNS = ["scheme", "sigma", "seed", "epoch", "step", "quantity", "value"]


@dataclass(frozen=True)
class Member:
    """One network of an experiment: what its first weights are drawn from."""

    scheme: str
    sigma: float | None
    seed: int

    def __str__(self) -> str:
        sigma = "" if self.sigma is None else f" σ={self.sigma:g}"
        return f"{self.scheme}{sigma} seed {self.seed}"


@dataclass(frozen=True)
class Case:
    """A scheme to train under; ``seeds`` is a limit for one that hardly varies."""

    scheme: str
    sigma: float | None = None
    seeds: int | None = None


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the numbers of a stored result.

    ``network`` is a class in `helpers.networks`, ``optimizer`` and ``loss`` are names in
    `helpers.training`. Losses of ``average`` successive steps are stored as their mean.
    """

    name: str
    summary: str
    network: str
    data: str
    scaling: str
    cases: tuple[Case, ...]
    seeds: int
    epochs: int
    batch_size: int
    optimizer: str
    rate: float
    loss: str
    autocast: str | None
    average: int

    def members(self) -> Iterator[Member]:
        """All members, every scheme once before any has its second seed."""
        for seed in range(self.seeds):
            for case in self.cases:
                if case.seeds is None or seed < case.seeds:
                    yield Member(case.scheme, case.sigma, seed)

    def command(self, device: str = "cpu") -> str:
        """The command that makes this result."""
        options = "" if device == "cpu" else f" --device {device}"
        stored = EXPERIMENTS.get(self.name)
        for option in ("seeds", "epochs"):
            value = getattr(self, option)
            if stored is not None and value != getattr(stored, option):
                options += f" --{option} {value}"
        return f"python -m helpers run {self.name}{options}"


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in [
        Experiment(
            name="figure-1",
            summary="The article's Figure 1: its CNN on MNIST under zero, constant and He weights",
            network="ArticleCNN",
            data="mnist",
            scaling="raw",
            cases=(Case("zeros", seeds=1), Case("normal", sigma=0.4), Case("article-he")),
            seeds=3,
            epochs=12,
            batch_size=128,
            optimizer="rmsprop",
            rate=1e-3,
            loss="clipped",
            autocast="bfloat16",
            average=10,
        ),
    ]
}


def choose(name: str, *, seeds: int | None = None, epochs: int | None = None) -> Experiment:
    """An experiment by name, with another number of seeds or epochs if given.

    Raises ValueError for an unknown name and for a number below 1.
    """
    experiment = EXPERIMENTS[checks.known("experiment", name, EXPERIMENTS)]
    changes = {"seeds": seeds, "epochs": epochs}
    changes = {key: checks.count(key, value) for key, value in changes.items() if value is not None}
    return replace(experiment, **changes)


def run(
    experiment: Experiment,
    *,
    root: str | Path | None = None,
    device: str = "cpu",
    folder: str | Path | None = None,
    cache: str | Path | None = None,
    progress: bool = False,
):
    """Train every member, store the table with its provenance, and return it.

    ``root`` is where the data lie (see `helpers.datasets.load`), ``folder`` where the result
    goes (the book's own by default), ``cache`` where checkpoints are kept until the result is
    stored: a run that was stopped goes on from the last epoch of each member. Raises ValueError
    for a shortened experiment without a ``folder``: it would take the place of the real one.
    """
    import pandas as pd
    import torch
    from tqdm import tqdm

    from helpers import datasets, training

    if folder is None and experiment != EXPERIMENTS.get(experiment.name):
        raise ValueError(
            f"{experiment.name!r} with other settings than its own would overwrite the book's "
            "stored result; say where this one goes (--out FOLDER)."
        )
    device = _device(device)
    options = {"scaling": experiment.scaling, "root": root, "device": device}
    train, test = (
        datasets.load(experiment.data, split, dtype=torch.float32, **options)
        for split in ("train", "test")
    )
    if device.type == "cpu":
        training.keep_memory()
    members = list(experiment.members())
    total = len(members) * experiment.epochs * len(train)
    cache = _cache() if cache is None else Path(cache)
    tables, seconds, checkpoints = [], [], []
    with tqdm(total=total, unit=" images", unit_scale=True, disable=not progress) as bar:
        for number, member in enumerate(members):
            bar.set_description(str(member))
            before = number * experiment.epochs * len(train)
            table, checkpoint = _train(experiment, member, train, test, cache, _Show(bar, before))
            seconds.append(round(table.attrs["seconds"], 1))
            checkpoints.append(checkpoint)
            table = _average(table, experiment.average)
            sigma = float("nan") if member.sigma is None else member.sigma
            tables.append(table.assign(scheme=member.scheme, sigma=sigma, seed=member.seed))
    table = pd.concat(tables, ignore_index=True)[COLUMNS]
    provenance = {
        "command": experiment.command(str(device)),
        "configuration": asdict(experiment),
        "data": {
            "name": train.name,
            "scaling": train.scaling,
            "images": {"train": len(train), "test": len(test)},
            "checksums": train.checksums | test.checksums,
        },
        "seeds": sorted({member.seed for member in members}),
        "device": _describe(device),
        "threads": torch.get_num_threads(),
        "seconds": round(sum(seconds), 1),
        "members": [asdict(m) | {"seconds": s} for m, s in zip(members, seconds)],
    }
    results.write(experiment.name, table, provenance, folder)
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return table


def _train(experiment: Experiment, member: Member, train, test, cache: Path, progress):
    """Train one member; return its table and the file of its checkpoint."""
    import numpy as np
    import torch

    from helpers import initializers, networks, training

    # Two streams, so that one seed means one order of the examples whatever the scheme draws.
    weights, order = (
        torch.Generator().manual_seed(int(seed))
        for seed in np.random.SeedSequence(member.seed).generate_state(2, np.uint64)
    )
    network = getattr(networks, experiment.network)(classes=len(train.classes))
    initializers.initialize(network, member.scheme, sigma=member.sigma, generator=weights)
    first = hashlib.sha256()
    for parameter in network.parameters():
        first.update(parameter.detach().numpy().tobytes())
    configuration = asdict(experiment) | {"cases": None, "seeds": None, "summary": None}
    key = {
        "configuration": configuration,
        "member": asdict(member),
        "network": str(network),
        "first weights": first.hexdigest(),
        "data": train.checksums | test.checksums,
        "device": _describe(train.images.device),
        "threads": torch.get_num_threads(),
        "versions": [training.VERSION, torch.__version__],
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    checkpoint = cache / f"{experiment.name}-{member.scheme}-{member.seed}-{digest[:16]}.pt"
    # Channels last is the layout of the fast convolutions.
    network.to(train.images.device, memory_format=torch.channels_last)
    table = training.train(
        network,
        train.images,
        train.labels,
        test=(test.images, test.labels),
        epochs=experiment.epochs,
        batch_size=experiment.batch_size,
        optimizer=training.OPTIMIZERS[experiment.optimizer](experiment.rate),
        loss=experiment.loss,
        autocast=experiment.autocast and getattr(torch, experiment.autocast),
        generator=order,
        checkpoint=checkpoint,
        progress=progress,
    )
    return table, checkpoint


def _average(table, every: int):
    """Means of the loss over ``every`` successive steps, the last of which gives their place."""
    import pandas as pd

    losses = table[table.quantity == "loss"]
    groups = losses.groupby((losses.step - 1) // every)
    # pandas' own mean would pass over a NaN.
    means = groups.last().assign(value=groups.value.agg(lambda values: values.to_numpy().mean()))
    both = pd.concat([means, table[table.quantity != "loss"]])
    return both.sort_values(["step", "quantity"], kind="stable", ignore_index=True)


class _Show:
    """Moves a progress bar; what an earlier session did counts as done, not as speed."""

    def __init__(self, bar, before: int):
        self.bar, self.before, self.started = bar, before, False

    def __call__(self, done: int) -> None:
        step = self.before + done - self.bar.n
        if self.started:
            self.bar.update(step)
        elif not self.bar.disable:
            self.bar.initial += step
            self.bar.n += step
        self.started = True


def _device(name: str):
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"Device {name!r} is unknown; expected cpu, cuda or cuda:0.") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"Device {name!r} is not supported; expected cpu, cuda or cuda:0.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"Device {name!r} is not there; run on the CPU (--device cpu).")
    return device


def _describe(device) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.backends.cpu.get_cpu_capability()}"


def _cache() -> Path:
    import platformdirs

    base = os.environ.get("HELPERS_CACHE") or platformdirs.user_cache_path("first-weights")
    return Path(base) / "runs"
