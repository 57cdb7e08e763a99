"""A tiny experiment for tests of `helpers.running`; run by itself, what a process of torchrun does.

``torchrun … tiny.py FOLDER [DIES]``: the process of that rank dies when it has begun.
"""

import sys
from pathlib import Path

import torch

from helpers import datasets, experiments, members, ranks, running
from helpers.configurations import Case, Check, Training

TINY = Training(
    name="tiny",
    summary="",
    network="MLP",
    data="digits",
    scaling="raw",
    width=8,
    cases=tuple(
        Case("normal", sigma, activation, depth=2, loss="logits")
        for activation in ("relu", "tanh")
        for sigma in (0.05, 0.1, 0.3)
    ),
    seeds=2,
    epochs=3,
    batch_size=20,
    rate=0.05,
    average=2,
    record_at=(0, 3),
    together=4,
    check=Check(every=2, steps=4, bound=1e-4, trained=1e-4),
)
load = datasets.load


def forty(name, split, **options):
    """Forty digits in float64, whatever was asked for."""
    return load("digits", split, **(options | {"dtype": torch.float64})).subset(slice(40))


if __name__ == "__main__":
    folder, dying = Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else None
    datasets.load = forty
    experiments.EXPERIMENTS["tiny"] = TINY
    train_group = members.train_group

    def train(*arguments, **options):
        result = train_group(*arguments, **options)
        if ranks.join().number == dying:
            raise OSError("the disk is full")
        return result

    members.train_group = train
    running.run(TINY, folder=folder, cache=folder / "cache")
