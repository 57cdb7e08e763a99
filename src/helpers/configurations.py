"""What decides the numbers of a stored result: networks, data, training, and how to check it."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One way to draw, build and train a network, of which there are several, one for each seed.

    ``activation`` and ``depth`` (hidden layers) are for multi-layer perceptrons; ``precision`` is
    that of the forward pass. ``seeds`` is a limit for a case that hardly varies. ``variant`` is
    what the network's family has several of: an MLP's normalization, a CIFARNet that is "plain" or
    "residual", the cell of a recurrent network.
    """

    scheme: str
    sigma: float | None = None
    activation: str | None = None
    depth: int | None = None
    loss: str | None = None
    precision: str = "float32"
    seeds: int | None = None
    variant: str | None = None

    @property
    def kind(self) -> tuple:
        """What cases that can be trained together have in common."""
        return self.activation, self.depth, self.loss, self.precision, self.variant

    def __str__(self) -> str:
        parts = [self.variant, self.scheme, self.sigma and f"σ={self.sigma:.4g}", self.activation]
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


#: Fields that came when results were stored already.
_LATER = {"variant", "shrink", "drops", "augment"}


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the numbers of a stored result, and how to check it.

    ``network`` is a name in `helpers.members.NETWORKS`; an ``MLP`` gets hidden layers of ``width``,
    a ``Recurrent`` network so many units. Images become means over squares of ``shrink`` pixels a
    side, if that is given.
    """

    name: str
    summary: str
    network: str
    data: str
    scaling: str
    cases: tuple[Case, ...]
    seeds: int
    width: int | None = None
    shrink: int | None = None
    check: Check = Check()

    def configuration(self) -> dict[str, Any]:
        """Everything that decides the numbers, as a provenance has it.

        Fields that say nothing are left out where results were stored before they existed.
        """
        found = {k: v for k, v in asdict(self).items() if k not in ("summary", "check")}
        for part in (found, *found["cases"]):
            for name in _LATER & part.keys():
                if not part[name]:
                    del part[name]
        return found

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
        fields = ("variant", "scheme", "sigma", "activation", "depth", "loss", "precision")
        differ = [f for f in fields if len({getattr(case, f) for case in self.cases}) > 1]
        return [*differ, "seed"]


@dataclass(frozen=True)
class Training(Experiment):
    """Networks trained, to a table of their losses and what they make of the test set.

    ``optimizer``, ``augment`` and each case's ``loss`` are names in `helpers.training`, and
    ``drops`` is as there. Losses of ``average`` successive steps are stored as their mean. At the
    steps ``record_at`` the second moments of every layer's output and of its gradient are stored,
    for the first thousand test images. With ``by_class`` the test set's loss and accuracy at the
    end are stored class by class, too.
    Up to ``together`` members of one kind are trained at once.
    """

    epochs: int = 1
    batch_size: int = 128
    optimizer: str = "sgd"
    rate: float = 0.1
    drops: tuple[float, ...] = ()
    augment: str | None = None
    average: int = 1
    record_at: tuple[int, ...] = ()
    by_class: bool = False
    together: int = 1


@dataclass(frozen=True)
class Copying(Training):
    """Recurrent networks trained on the copy problem with a ``gap`` (see `helpers.sequences`).

    The sequences, ``examples`` to train on and ``tests``, are made, not loaded. A case's
    ``variant`` is the cell, its ``scheme`` one of `helpers.recurrent`.
    """

    gap: int = 100
    length: int = 10
    examples: int = 10_000
    tests: int = 1_000


@dataclass(frozen=True)
class Propagation(Experiment):
    """Networks that are not trained: what flows through them, as `helpers.propagation` sees it.

    The first layer of six is linear, as in the article; the gradients are those of one random
    direction in the last layer's output. The test images pass.
    """
