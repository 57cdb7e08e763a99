"""Running an experiment: every member trained, the table stored with its provenance."""

import ctypes
import hashlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import platformdirs
import torch
from tqdm import tqdm

from helpers import datasets, experiments, initializers, networks, results, training
from helpers.experiments import Experiment, Member

COLUMNS = ["scheme", "sigma", "seed", "epoch", "step", "quantity", "value"]


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
    if folder is None and experiment != experiments.EXPERIMENTS.get(experiment.name):
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
        _keep_memory()
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
    settings = {
        "loss": experiment.loss,
        "autocast": experiment.autocast and getattr(torch, experiment.autocast),
    }
    table = training.train(
        network,
        train.images,
        train.labels,
        test=(test.images, test.labels),
        epochs=experiment.epochs,
        batch_size=experiment.batch_size,
        optimizer=training.OPTIMIZERS[experiment.optimizer](experiment.rate),
        generator=order,
        checkpoint=checkpoint,
        progress=progress,
        **settings,
    )
    return _with_classes(table, network, test, settings), checkpoint


def _with_classes(table, network, test, settings: dict):
    """The table, and what the trained network makes of each class of the test set."""
    last, rows = table.iloc[-1], []
    for number, name in enumerate(test.classes):
        chosen = test.labels == number
        pair = training.evaluate(network, test.images[chosen], test.labels[chosen], **settings)
        for quantity, value in zip(("test_loss", "test_accuracy"), pair):
            rows.append((last["epoch"], last["step"], f"{quantity}_{name}", value))
    both = pd.concat([table, pd.DataFrame(rows, columns=table.columns)], ignore_index=True)
    both.attrs = table.attrs
    return both


def _average(table, every: int):
    """Means of the loss over ``every`` successive steps, the last of which gives their place."""
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


def _keep_memory() -> None:
    """Keep freed memory in this process for the next step, where the C library is glibc.

    It otherwise returns every large tensor to the system, whose fresh pages cost a third of a
    convolutional network's training time on a CPU (measured: 2,330 against 3,450 images/s).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        trim_threshold, top_pad, mmap_max = -1, -2, -4
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_pad, 2**27)


def _device(name: str):
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
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.backends.cpu.get_cpu_capability()}"


def _cache() -> Path:
    base = os.environ.get("HELPERS_CACHE") or platformdirs.user_cache_path("first-weights")
    return Path(base) / "runs"
