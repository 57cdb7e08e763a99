"""Every stored result by name: its configuration and nothing else (`helpers.running` runs it)."""

from dataclasses import replace

from helpers import checks
from helpers.configurations import Case, Check, Copying, Experiment, Propagation, Training


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

_GATED = tuple(
    Case(scheme, loss="logits", variant="lstm")
    for scheme in ("pytorch", "forget-0", "forget-1", "forget-log", "chrono")
)
_PLAIN = tuple(
    Case(scheme, loss="logits", variant=cell)
    for cell, scheme in (
        *(("tanh", "pytorch"), ("tanh", "normal"), ("tanh", "orthogonal"), ("tanh", "identity")),
        ("relu", "identity"),
    )
)


def _memory(name: str, gap: int, cases: tuple[Case, ...]) -> Copying:
    return Copying(
        name=name,
        summary=f"What recurrent networks remember: three symbols for {gap} steps",
        network="Recurrent",
        data="copying",
        scaling="raw",
        cases=cases,
        seeds=3,
        width=64,
        epochs=8,
        batch_size=32,
        optimizer="rmsprop",
        rate=1e-3,
        average=10,
        gap=gap,
        length=3,
        examples=3200,
        # One of 3,000 answers that falls otherwise moves the accuracy of guessing by 0.3 %.
        check=Check(bound=1e-2),
    )


#: The experiments by name; ``python -m helpers list`` shows them.
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
        Training(
            name="batch-norm-sweep",
            summary="Which σ train with batch normalization: 2 to 20 ReLU layers on MNIST",
            network="MLP",
            data="mnist",
            scaling="raw",
            width=100,
            cases=tuple(
                Case(
                    *("normal", float(f"{10 ** (step / 4 - 3):.4g}"), "relu", depth, "logits"),
                    variant="batch",
                )
                for depth in (2, 10, 20)
                for step in range(17)
            ),
            seeds=3,
            epochs=3,
            rate=0.05,
            average=469,
            together=51,
            check=Check(every=6, steps=469, trained=0.3),
        ),
        Training(
            name="residual",
            summary="Depth with and without shortcuts: plain and residual networks on CIFAR-10",
            network="CIFARNet",
            data="cifar10",
            scaling="standardized",
            shrink=2,
            # In an order that gives two processes equal work.
            cases=tuple(
                Case("he", depth=depth, loss="logits", variant=variant)
                for variant, depth in (
                    *(("plain", 20), ("plain", 56), ("residual", 56), ("residual", 20)),
                )
            ),
            seeds=3,
            epochs=2,
            optimizer="momentum",
            rate=0.1,
            drops=(0.5, 0.75),
            augment="crop-and-flip",
            average=23,
            # One stored mean of the loss.
            check=Check(steps=23, trained=5e-2),
        ),
        _memory("memory", 60, _GATED + _PLAIN),
        _memory("memory-short", 10, _GATED),
    ]
}


#: What may be changed on the command line, and what it says there.
OPTIONS = {
    "seeds": "networks for every scheme",
    "epochs": "passes over the data",
    "shrink": "sides of the squares of pixels that become one; 1 for whole images",
}


def choose(name: str, **changes: int | None) -> Experiment:
    """An experiment by name, with other numbers of `OPTIONS` if given.

    Raises ValueError for an unknown name, for a number below 1, for epochs of networks that are
    not trained, and for a shrink where the images are not shrunk.
    """
    experiment = EXPERIMENTS[checks.known("experiment", name, EXPERIMENTS)]
    changes = {key: checks.count(key, value) for key, value in changes.items() if value is not None}
    if "epochs" in changes and not isinstance(experiment, Training):
        raise ValueError(
            f"epochs is {changes['epochs']}, but {name!r} trains nothing. Leave epochs out."
        )
    if "shrink" in changes and experiment.shrink is None:
        raise ValueError(f"{name!r} takes its images whole. Leave shrink out.")
    return replace(experiment, **changes)


def command(
    experiment: Experiment, device: str = "cpu", processes: int = 1, data: str | None = None
) -> str:
    """The command that makes a result, from images called ``data`` if not its own."""
    start = "python" if processes == 1 else f"torchrun --nproc-per-node {processes}"
    options = "" if device == "cpu" else f" --device {device}"
    options += "" if data in (None, experiment.data) else f" --data {data}"
    stored = EXPERIMENTS.get(experiment.name)
    for option in OPTIONS:
        value = getattr(experiment, option, None)
        if stored is not None and value != getattr(stored, option, None):
            options += f" --{option} {value}"
    return f"{start} -m helpers run {experiment.name}{options}"
