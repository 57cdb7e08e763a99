"""Every stored result by name: its configuration and nothing else (`helpers.running` runs it)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from helpers import checks


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
    `helpers.training`. Losses of ``average`` successive steps are stored as their mean; at the end
    the test set's loss and accuracy are stored class by class, too.
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
            cases=(
                Case("zeros", seeds=1),
                Case("normal", sigma=0.4),
                Case("article-he", seeds=2),
            ),
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
