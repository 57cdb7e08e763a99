"""Training one network, in the open: the loss of every step, the test set after every epoch.

Data lie on the device as tensors, and the examples are shuffled by the caller's generator. With a
checkpoint file a run that was stopped, however rudely, goes on where its last epoch ended.
"""

import functools
import io
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import checks, files
from helpers.optimizers import OPTIMIZERS as OPTIMIZERS
from helpers.optimizers import rmsprop as rmsprop
from helpers.optimizers import sgd as sgd

#: Raise it with every change that alters what a run computes: older checkpoints then go unused.
VERSION = 1
CLIP = 1e-7
COLUMNS = ["epoch", "step", "quantity", "value"]


def clipped_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of softmax probabilities that are first clipped to [1e-7, 1 - 1e-7].

    ``logits`` has shape (batch, classes), ``labels`` (batch,). The loss of one example is at most
    -ln 1e-7 = 16.118, and an example that is clipped has gradient zero: it teaches nothing. This
    is what Keras computed on a softmax output when the article was written.
    """
    probability = logits.softmax(1).gather(1, labels[:, None])
    return -probability.clamp(CLIP, 1 - CLIP).log().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "clipped": clipped_cross_entropy,
    "logits": F.cross_entropy,
}


def train(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch_size: int,
    optimizer: Callable,
    generator: torch.Generator,
    loss: str = "logits",
    test: tuple[Tensor, Tensor] | None = None,
    autocast: torch.dtype | None = None,
    record: Callable[[nn.Module, int], Mapping[str, float]] | None = None,
    checkpoint: str | Path | None = None,
    progress: Callable[[int], Any] = lambda done: None,
):
    """Train a network in place; return what happened as a tidy table.

    ``images`` is whatever batch the network takes, shape (N, ...), and ``labels`` is (N,) int64,
    both on the network's device. ``optimizer`` makes one from parameters: ``sgd(0.1)``,
    ``rmsprop(1e-3)``, or any such callable. ``generator`` shuffles the examples before every
    epoch and seeds dropout; the global random state is left as it was. ``loss`` is a key of
    `LOSSES`. ``test``, a pair of images and labels, is evaluated before the first and after every
    epoch. ``autocast=torch.bfloat16`` runs the forward pass in that type; weights, loss and
    statistics keep the network's. ``record(network, epoch)`` may return further numbers, at the
    same times. ``progress`` is called with the number of examples done so far, at the start and
    after every step.

    With ``checkpoint``, a file, the state is saved after every epoch, and a later call with the
    same arguments goes on from there to the bit-identical table (on one device and thread
    count). One file belongs to one configuration: that is for the caller to see to.

    Returns a DataFrame with the columns epoch, step (both from 1; 0 is before training),
    quantity and value: ``loss`` is the mean over the step's batch before its update,
    ``test_loss`` and ``test_accuracy`` those of the test set. inf and NaN are recorded as such.
    ``attrs["seconds"]`` is the wall time of its epochs, of all sessions together. Raises ValueError
    for bad arguments and for a checkpoint that does not fit.
    """
    import pandas as pd

    epochs, batch_size = checks.count("epochs", epochs), checks.count("batch_size", batch_size)
    criterion = LOSSES[checks.known("loss", loss, LOSSES)]
    for what, pair in (("training", (images, labels)), ("test", test)):
        if pair is not None and not 0 < len(pair[0]) == len(pair[1]):
            raise ValueError(
                f"{what} set of {len(pair[0])} images and {len(pair[1])} labels; expected as many "
                "of the one as of the other, and at least one."
            )

    mode = network.training
    rule = optimizer(network.parameters())
    forward = functools.partial(_forward, network, autocast)
    state: dict[str, Any] = {"epoch": -1, "rows": [], "seconds": 0.0}
    with _dropout_stream(images.device, generator) as dropout:
        if checkpoint is not None and Path(checkpoint).exists():
            state = _restore(checkpoint, network, rule, generator, dropout)
        done = max(state["epoch"], 0) * len(labels)
        progress(done)
        while state["epoch"] < epochs:
            start = time.perf_counter()
            epoch = state["epoch"] + 1
            rows = state["rows"]
            if epoch > 0:
                network.train()
                order = torch.randperm(len(labels), generator=generator, device=generator.device)
                batches = order.to(images.device).split(batch_size)
                losses = torch.empty(len(batches), dtype=torch.float64, device=images.device)
                for i, chosen in enumerate(batches):
                    rule.zero_grad()
                    value = criterion(forward(images[chosen]), labels[chosen])
                    value.backward()
                    rule.step()
                    losses[i] = value.detach()
                    done += len(chosen)
                    progress(done)
                first = (epoch - 1) * len(batches) + 1
                rows += [(epoch, i, "loss", v) for i, v in enumerate(losses.tolist(), first)]
            step = rows[-1][1] if rows else 0
            if test is not None:
                pair = evaluate(network, *test, loss=loss, autocast=autocast)
                names = ("test_loss", "test_accuracy")
                rows += [(epoch, step, name, value) for name, value in zip(names, pair)]
            if record is not None:
                found = record(network, epoch)
                rows += [(epoch, step, name, float(value)) for name, value in found.items()]
            state["epoch"] = epoch
            state["seconds"] += time.perf_counter() - start
            if checkpoint is not None:
                _save(checkpoint, state, network, rule, generator, dropout)
    network.train(mode)
    table = pd.DataFrame(state["rows"], columns=COLUMNS)
    table.attrs["seconds"] = state["seconds"]
    return table


@torch.no_grad()
def evaluate(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    loss: str = "logits",
    autocast: torch.dtype | None = None,
    batch_size: int = 1000,
) -> tuple[float, float]:
    """Mean loss and share of right answers, without dropout; NaN is never a right answer."""
    criterion = LOSSES[checks.known("loss", loss, LOSSES)]
    mode = network.training
    network.eval()
    total = torch.zeros(2, dtype=torch.float64, device=images.device)
    for some, truth in zip(images.split(batch_size), labels.split(batch_size)):
        logits = _forward(network, autocast, some)
        right = (logits.argmax(1) == truth) & ~logits.isnan().any(1)
        total += torch.stack([criterion(logits, truth) * len(truth), right.sum()])
    network.train(mode)
    mean_loss, accuracy = (total / len(labels)).tolist()
    return mean_loss, accuracy


def _forward(network: nn.Module, autocast: torch.dtype | None, images: Tensor) -> Tensor:
    if autocast is None:
        return network(images)
    with torch.autocast(images.device.type, autocast):
        return network(images).to(images.dtype)


@contextmanager
def _dropout_stream(device: torch.device, generator: torch.Generator) -> Iterator[torch.Generator]:
    """Dropout takes no generator, only the device's global one: lend it a seed of our own."""
    if device.type == "cuda":
        stream = torch.cuda.default_generators[device.index]
    else:
        stream = torch.default_generator
    before = stream.get_state()
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    stream.manual_seed(int(seed))
    try:
        yield stream
    finally:
        stream.set_state(before)


def _save(path, state, network, rule, generator, dropout) -> None:
    parts = {
        "version": VERSION,
        "network": network.state_dict(),
        "optimizer": rule.state_dict(),
        "shuffling": generator.get_state(),
        "dropout": dropout.get_state(),
    }
    content = io.BytesIO()
    torch.save(state | parts, content)
    files.replace(path, content.getvalue())


def _restore(path, network, rule, generator, dropout) -> dict:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved.pop("version") != VERSION:
            raise ValueError("made by another version of this module")
        network.load_state_dict(saved.pop("network"))
        rule.load_state_dict(saved.pop("optimizer"))
        generator.set_state(saved.pop("shuffling"))
        dropout.set_state(saved.pop("dropout"))
        return saved
    except (ValueError, KeyError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"The checkpoint {path} is damaged, or does not fit this run. Delete it to start again."
        ) from error
