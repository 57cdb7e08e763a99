"""What the members of an experiment do: they are trained, or observed, to a table each."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from helpers import (
    checkpoints,
    devices,
    initializers,
    networks,
    propagation,
    recurrent,
    residual,
    training,
)
from helpers.configurations import Case, Copying, Experiment, Member, Propagation, Training
from helpers.datasets import ImageSet

#: So many test images show what flows during training.
_OBSERVED = 1000


@dataclass(frozen=True, eq=False)
class Data:
    """The sets of images that an experiment works on, on its device."""

    train: ImageSet
    test: ImageSet

    @property
    def checksums(self) -> dict[str, str]:
        """Those of both sets, by the name of what was read."""
        return self.train.checksums | self.test.checksums


def observe_group(experiment: Propagation, group: list[Member], data: Data) -> list[pd.DataFrame]:
    """For every member what flows through its layers: columns layer, direction and statistics."""
    images = data.test.images.flatten(1)
    tables = []
    for member in group:
        weights, direction = _streams(member)
        widths = [images.shape[1]] + [experiment.width] * member.case.depth
        layers = ["linear"] + [member.case.activation] * (member.case.depth - 1)
        network = networks.MLP(widths, layers, bias=False, dtype=images.dtype)
        _draw(network, member.case, weights)
        readout = torch.randn(experiment.width, generator=direction, dtype=torch.float64).to(images)

        def along(output, readout=readout):
            return (output @ readout).sum()

        signals = propagation.observe(network.to(images.device), images, along)
        table = propagation.statistics([s for s in signals if s.layer.startswith("act")])
        table["layer"] = table.layer.str.removeprefix("act").astype(int)
        # A unit is dead, or saturated, as its layer is; what overflows shows in the moments.
        tables.append(table.drop(columns=["index", "kind", "fraction_dead", "fraction_finite"]))
    return tables


def train_group(
    experiment: Training,
    group: list[Member],
    data: Data,
    *,
    steps: int | None = None,
    checkpoint: Path | None = None,
    progress=lambda done: None,
) -> tuple[list[pd.DataFrame], float]:
    """Train members of one kind at once; return a table for each, and the seconds of them all.

    ``steps`` ends the training early. ``checkpoint`` is as in `helpers.training.train`.
    """
    case = group[0].case
    train, test = data.train, data.test
    pixels = [
        part.images.flatten(1) if experiment.network == "MLP" else part.images
        for part in (train, test)
    ]
    built, orders = [], []
    for member in group:
        weights, order = _streams(member)
        built.append(_drawn(experiment, member.case, data, weights))
        orders.append(order)
    for network in built:
        # Channels last is the layout of the fast convolutions.
        network.to(train.images.device, memory_format=torch.channels_last)
    settings = {
        "loss": case.loss,
        "autocast": None if case.precision == "float32" else getattr(torch, case.precision),
    }

    def flow(network: nn.Module, step: int) -> dict[str, float]:
        return _second_moments(network, pixels[1][:_OBSERVED], test.labels[:_OBSERVED], case.loss)

    table = training.train(
        built,
        pixels[0],
        train.labels,
        test=(pixels[1], test.labels),
        epochs=experiment.epochs,
        batch_size=experiment.batch_size,
        optimizer=training.OPTIMIZERS[experiment.optimizer](experiment.rate),
        generator=orders,
        drops=experiment.drops,
        augment=experiment.augment,
        record=flow if experiment.record_at else None,
        record_at=experiment.record_at,
        steps=steps,
        checkpoint=checkpoint,
        progress=progress,
        **settings,
    )
    tables = [part.drop(columns="member") for _, part in table.groupby("member")]
    if experiment.by_class and steps is None:
        tables = [
            _with_classes(part, network, pixels[1], test, settings)
            for part, network in zip(tables, built)
        ]
    return [average(part, experiment.average) for part in tables], table.attrs["seconds"]


def digest(experiment: Experiment, group: list[Member], data: Data, device: str) -> str:
    """A name for all that decides what training a group computes; a checkpoint is called so."""
    first = hashlib.sha256()
    for member in group:
        network = _drawn(experiment, member.case, data, _streams(member)[0])
        for parameter in network.parameters():
            first.update(parameter.detach().numpy().tobytes())
    settings = experiment.configuration() | {"cases": None, "seeds": None}
    key = {
        "configuration": settings,
        "members": [
            asdict(replace(member.case, seeds=None)) | {"seed": member.seed} for member in group
        ],
        "network": str(network),
        "first weights": first.hexdigest(),
        "data": data.checksums,
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": [checkpoints.VERSION, torch.__version__],
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def average(table: pd.DataFrame, every: int) -> pd.DataFrame:
    """Means of the loss over ``every`` successive steps, the last of which gives their place."""
    losses = table[table.quantity == "loss"]
    groups = losses.groupby((losses.step - 1) // every)
    # pandas' own mean would pass over a NaN.
    means = groups.last().assign(value=groups.value.agg(lambda values: values.to_numpy().mean()))
    both = pd.concat([means, table[table.quantity != "loss"]])
    return both.sort_values(["step", "quantity"], kind="stable", ignore_index=True)


def _streams(member: Member) -> list[torch.Generator]:
    """Two streams, so that one seed means one order of the examples whatever the scheme draws."""
    states = np.random.SeedSequence(member.seed).generate_state(2, np.uint64)
    return [torch.Generator().manual_seed(int(state)) for state in states]


def _perceptron(experiment: Experiment, case: Case, data: Data) -> nn.Module:
    inputs, classes = data.train.images[0].numel(), len(data.train.classes)
    widths = [inputs] + [experiment.width] * case.depth + [classes]
    dtype = data.train.images.dtype
    return networks.MLP(widths, case.activation, normalization=case.variant, dtype=dtype)


def _article_cnn(experiment: Experiment, case: Case, data: Data) -> nn.Module:
    shape = {"classes": len(data.train.classes), "channels": data.train.images.shape[1]}
    return networks.ArticleCNN(**shape)


def _cifar_net(experiment: Experiment, case: Case, data: Data) -> nn.Module:
    shape = {"classes": len(data.train.classes), "channels": data.train.images.shape[1]}
    return residual.CIFARNet(case.depth, shortcuts=case.variant == "residual", **shape)


def _recurrent(experiment: Copying, case: Case, data: Data) -> nn.Module:
    classes, recall = len(data.train.classes), data.train.labels.shape[1]
    # Besides what is to be remembered a sequence holds blanks and a marker.
    return recurrent.Recurrent(
        classes + 2, experiment.width, classes, cell=case.variant, recall=recall
    )


#: The networks of experiments, by name.
NETWORKS: dict[str, Callable[[Experiment, Case, Data], nn.Module]] = {
    "MLP": _perceptron,
    "ArticleCNN": _article_cnn,
    "CIFARNet": _cifar_net,
    "Recurrent": _recurrent,
}


def _drawn(experiment: Experiment, case: Case, data: Data, generator) -> nn.Module:
    """The network of a case, with its first weights."""
    network = NETWORKS[experiment.network](experiment, case, data)
    if isinstance(experiment, Copying):
        return recurrent.initialize(network, case.scheme, generator=generator, gap=experiment.gap)
    return _draw(network, case, generator)


def _draw(network: nn.Module, case: Case, generator: torch.Generator) -> nn.Module:
    return initializers.initialize(network, case.scheme, sigma=case.sigma, generator=generator)


def _second_moments(network: nn.Module, images, labels, loss: str) -> dict[str, float]:
    """Of what every layer with weights puts out, and of the loss's gradient with respect to it.

    The loss is the sum over the images, so that a gradient is that of one image's own loss.
    """
    mode = network.training
    criterion = training.LOSSES[loss]
    found: dict[str, Any] = {}
    signals = propagation.observe(
        network.eval(), images, lambda logits: criterion(logits, labels) * len(labels)
    )
    network.train(mode)
    for signal in signals:
        if signal.kind in ("Linear", "Conv2d"):
            found[f"forward_{signal.layer}"] = devices.double(signal.forward).square().mean().item()
            found[f"backward_{signal.layer}"] = (
                devices.double(signal.backward).square().mean().item()
            )
    return found


def _with_classes(table, network, images, test: ImageSet, settings: dict) -> pd.DataFrame:
    """The table, and what the trained network makes of each class of the test set."""
    last, rows = table.iloc[-1], []
    for number, name in enumerate(test.classes):
        chosen = test.labels == number
        pair = training.evaluate(network, images[chosen], test.labels[chosen], **settings)
        for quantity, value in zip(("test_loss", "test_accuracy"), pair):
            rows.append((last["epoch"], last["step"], f"{quantity}_{name}", value))
    return pd.concat([table, pd.DataFrame(rows, columns=table.columns)], ignore_index=True)
