"""Every stored result by name: its configuration and nothing else (`helpers.running` runs it)."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from helpers import checks


@dataclass(frozen=True)
class Case:
    """One way to draw, build and train a network, of which there are several, one for each seed.

    ``activation`` and ``depth`` (hidden layers) are for multi-layer perceptrons; ``precision`` is
    that of the forward pass. ``seeds`` is a limit for a case that hardly varies.
    """

    scheme: str
    sigma: float | None = None
    activation: str | None = None
    depth: int | None = None
    loss: str | None = None
    precision: str = "float32"
    seeds: int | None = None

    @property
    def kind(self) -> tuple:
        """What cases have in common that can be trained together."""
        return self.activation, self.depth, self.loss, self.precision

    def __str__(self) -> str:
        parts = [self.scheme, self.sigma and f"σ={self.sigma:.4g}", self.activation]
        parts += [self.depth and f"depth {self.depth}", self.loss, self.precision]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Member:
    """One network of an experiment: a case, and the seed of its first weights."""

    case: Case
    seed: int

    def __str__(self) -> str:
        return f"{self.case} seed {self.seed}"


@dataclass(frozen=True)
class Check:
    """How to see, in a minute or so, whether a stored table still follows from the code.

    Every so many of the cases are repeated with their first seed, those that train for ``steps``
    steps only. ``bound`` is how far the numbers may be, relative to the stored ones, on another
    machine: before training, and ``trained`` after it.
    """

    every: int = 1
    steps: int = 20
    bound: float = 1e-3
    trained: float = 1e-2


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the numbers of a stored result, and how to check it.

    ``network`` is a class in `helpers.networks`; an ``MLP`` gets hidden layers of ``width``.
    """

    name: str
    summary: str
    network: str
    data: str
    scaling: str
    cases: tuple[Case, ...]
    seeds: int
    width: int | None = None
    check: Check = Check()

    def configuration(self) -> dict[str, Any]:
        """Everything that decides the numbers, as a provenance has it."""
        return {k: v for k, v in asdict(self).items() if k not in ("summary", "check")}

    def members(self) -> list[Member]:
        """All members, every case once before any has its second seed."""
        return [
            Member(case, seed)
            for seed in range(self.seeds)
            for case in self.cases
            if case.seeds is None or seed < case.seeds
        ]

    @property
    def keys(self) -> list[str]:
        """What tells the members apart: the fields in which the cases differ, and the seed."""
        fields = ("scheme", "sigma", "activation", "depth", "loss", "precision")
        differ = [f for f in fields if len({getattr(case, f) for case in self.cases}) > 1]
        return [*differ, "seed"]

    def command(self, device: str = "cpu", processes: int = 1) -> str:
        """The command that makes this result."""
        start = "python" if processes == 1 else f"torchrun --nproc-per-node {processes}"
        options = "" if device == "cpu" else f" --device {device}"
        stored = EXPERIMENTS.get(self.name)
        for option in ("seeds", "epochs"):
            value = getattr(self, option, None)
            if stored is not None and value != getattr(stored, option, None):
                options += f" --{option} {value}"
        return f"{start} -m helpers run {self.name}{options}"


@dataclass(frozen=True)
class Training(Experiment):
    """Networks trained, to a table of their losses and what they make of the test set.

    ``optimizer`` and each case's ``loss`` are names in `helpers.training`. Losses of ``average``
    successive steps are stored as their mean. At the steps ``record_at`` the second moments of
    every layer's output and of its gradient are stored, for the first thousand test images. With
    ``by_class`` the test set's loss and accuracy at the end are stored class by class, too.
    Up to ``together`` members of one kind are trained at once.
    """

    epochs: int = 1
    batch_size: int = 128
    optimizer: str = "sgd"
    rate: float = 0.1
    average: int = 1
    record_at: tuple[int, ...] = ()
    by_class: bool = False
    together: int = 1


@dataclass(frozen=True)
class Propagation(Experiment):
    """Networks that are not trained: what flows through them, as `helpers.propagation` sees it.

    The first layer of six is linear, as in the article; the gradients are those of one random
    direction in the last layer's output. The test images pass.
    """


def _figure(number: int, activation: str, sigmas: tuple[float, ...]) -> Propagation:
    """Of the article's own σ, and of a grid around them."""
    grid = {round(0.02 * 2 ** (step / 2), 3) for step in range(10)}
    return Propagation(
        name=f"figure-{number}",
        summary=f"The article's Figure {number}: what flows through six layers, {activation}",
        network="MLP",
        data="mnist",
        scaling="raw",
        width=100,
        cases=tuple(
            Case("normal", sigma, activation, depth=6) for sigma in sorted(grid | set(sigmas))
        ),
        seeds=16,
        check=Check(every=3),
    )


_FIGURE_1 = [
    Case("zeros", seeds=1),
    Case("normal", sigma=0.4),
    Case("article-he"),
    Case("he"),
    Case("glorot"),
    Case("pytorch"),
]
_CLIPPED = [replace(case, loss="clipped") for case in _FIGURE_1] + [
    Case("normal", sigma=0.4, loss="logits")
]

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in [
        Training(
            name="figure-1",
            summary="The article's Figure 1: its CNN on MNIST under six kinds of first weights",
            network="ArticleCNN",
            data="mnist",
            scaling="raw",
            cases=(
                *(replace(case, precision="bfloat16") for case in _CLIPPED),
                *(replace(case, seeds=1) for case in _CLIPPED),
            ),
            seeds=3,
            epochs=12,
            optimizer="rmsprop",
            rate=1e-3,
            average=10,
            record_at=(0, 1, 10, 100, 469, 1000, 5628),
            by_class=True,
            # Measured without bfloat16 in hardware: 1.2e-3 and 4.5e-3.
            check=Check(bound=5e-3, trained=2e-2),
        ),
        _figure(3, "linear", (0.05, 0.1, 0.2)),
        _figure(5, "tanh", (0.05, 0.1, 0.2)),
        _figure(6, "relu", (0.10, 0.14, 0.28)),
        Training(
            name="sigma-sweep",
            summary="Which σ train: perceptrons of 2 to 20 hidden layers on MNIST, tanh and ReLU",
            network="MLP",
            data="mnist",
            scaling="raw",
            width=100,
            cases=tuple(
                Case("normal", float(f"{10 ** (step / 12 - 2):.4g}"), activation, depth, "logits")
                for depth in (2, 5, 10, 20)
                for activation in ("tanh", "relu")
                for step in range(25)
            ),
            seeds=3,
            epochs=3,
            rate=0.05,
            average=469,
            together=75,
            # A deep network with a large σ is chaotic: an epoch on AVX2 differed by up to 0.13.
            check=Check(every=9, steps=469, trained=0.3),
        ),
    ]
}


def choose(name: str, *, seeds: int | None = None, epochs: int | None = None) -> Experiment:
    """An experiment by name, with another number of seeds or epochs if given.

    Raises ValueError for an unknown name, for a number below 1, and for epochs of networks that
    are not trained.
    """
    experiment = EXPERIMENTS[checks.known("experiment", name, EXPERIMENTS)]
    changes = {"seeds": seeds, "epochs": epochs}
    changes = {key: checks.count(key, value) for key, value in changes.items() if value is not None}
    if "epochs" in changes and not isinstance(experiment, Training):
        raise ValueError(f"epochs is {epochs}, but {name!r} trains nothing. Leave epochs out.")
    return replace(experiment, **changes)
