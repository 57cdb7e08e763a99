"""Training networks, in the open: the loss of every step, the test set after every epoch.

One network, or many of one architecture at once, each from its own first weights. Data lie on the
device as tensors, and the examples are shuffled by the caller's generators. With a checkpoint file
a run that was stopped, however rudely, goes on where it was saved last.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from helpers import checks, devices
from helpers.augmentation import AUGMENTATIONS as AUGMENTATIONS
from helpers.checkpoints import Run
from helpers.ensembles import Ensemble
from helpers.graphs import captured
from helpers.losses import CLIP as CLIP
from helpers.losses import LOSSES as LOSSES
from helpers.losses import clipped_cross_entropy as clipped_cross_entropy
from helpers.optimizers import OPTIMIZERS as OPTIMIZERS
from helpers.optimizers import rmsprop as rmsprop
from helpers.optimizers import sgd as sgd

#: Optimizers of torch that look at a whole tensor, and so would mix the networks stacked in it.
_MIXING = {"Muon", "Adafactor"}


def train(
    networks: nn.Module | Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch_size: int,
    optimizer: Callable,
    generator: torch.Generator | Sequence[torch.Generator],
    loss: str = "logits",
    drops: Sequence[float] = (),
    augment: str | None = None,
    test: tuple[Tensor, Tensor] | None = None,
    autocast: torch.dtype | None = None,
    record: Callable[[nn.Module, int], Mapping[str, float]] | None = None,
    record_at: Collection[int] | None = None,
    steps: int | None = None,
    capture: bool = True,
    checkpoint: str | Path | None = None,
    interval: float = 30.0,
    progress: Callable[[int], Any] = lambda done: None,
):
    """Train networks in place; return what happened as a tidy table.

    * ``networks``: one network, or a sequence of E with one architecture that are trained at once
      as stacked tensors. A member comes out as it would alone, but for rounding and for the random
      numbers of dropout and augmentation, and one that goes to inf or NaN does not disturb the
      others.
    * ``images``: whatever batch a network takes, shape (N, …). ``labels``: int64, (N,) or for
      several answers an example (N, answers). Both are on the networks' device.
    * ``epochs`` and ``batch_size``: the last batch of an epoch may be smaller.
    * ``optimizer`` makes one from parameters: ``sgd(0.1)`` and the others of `helpers.optimizers`,
      or ``functools.partial(torch.optim.Adam, lr=1e-3)``. For several networks it must be one that
      treats every number by itself.
    * ``generator`` shuffles the examples before every epoch, and the first one seeds dropout and
      augmentation; the global random state is left as it was. A sequence of E gives each network an
      order of its own, a single one gives all the same.
    * ``loss``: a key of `LOSSES`.
    * ``drops``: shares of the whole run, each below 1, where the learning rate falls to a tenth.
    * ``augment``: a key of `AUGMENTATIONS`; it changes every batch before it is trained on.
    * ``test``: a pair of images and labels, evaluated before the first and after every epoch.
    * ``autocast``: such as ``torch.bfloat16``, runs the forward pass in that type; weights, loss
      and statistics keep the network's.
    * ``record(network, step)`` may return further numbers about a network, at the steps in
      ``record_at`` (0 is before training), or without it when the test set is evaluated.
    * ``steps`` ends the run early, after so many.
    * ``capture``: on CUDA the steps are recorded once and replayed. A network whose forward pass
      waits for the GPU (``.item()``, a boolean mask) cannot be, and needs ``capture=False``.
    * ``checkpoint``: a file in which the state is saved every ``interval`` seconds and at the end.
      A later call with the same arguments goes on from there to the bit-identical table, on one
      device and thread count. One file belongs to one configuration: that is for the caller to see
      to.
    * ``progress`` is called with the number of examples done so far, over all networks, at the
      start and after every step.

    Returns a DataFrame with the columns ``epoch``, ``step`` (both from 1; 0 is before training),
    ``quantity`` and ``value``, and for a sequence of networks first ``member``, from 0. ``loss`` is
    the mean over the step's batch before its update, ``test_loss`` and ``test_accuracy`` those of
    the test set. inf and NaN are recorded as such. ``attrs["seconds"]`` is the wall time of all
    calls together. Raises ValueError for bad arguments and for a checkpoint that does not fit.
    """
    single = isinstance(networks, nn.Module)
    modules = [networks] if single else list(networks)
    modes = [network.training for network in modules]
    ensemble = Ensemble(modules, autocast)
    epochs, batch_size = checks.count("epochs", epochs), checks.count("batch_size", batch_size)
    criterion = LOSSES[checks.known("loss", loss, LOSSES)]
    if augment is not None:
        augment = AUGMENTATIONS[checks.known("augmentation", augment, AUGMENTATIONS)]
    for share in drops:
        if checks.positive("a share in drops", share) >= 1:
            raise ValueError(f"drops holds {share}; expected shares of the run below 1.")
    generators = [generator] if isinstance(generator, torch.Generator) else list(generator)
    if len(generators) not in (1, len(ensemble)):
        raise ValueError(
            f"{len(generators)} generators for {len(ensemble)} networks; expected one for each, or "
            "one for all."
        )
    for what, pair in (("training", (images, labels)), ("test", test)):
        if pair is not None and not 0 < len(pair[0]) == len(pair[1]):
            raise ValueError(
                f"{what} set of {len(pair[0])} images and {len(pair[1])} labels; expected as many "
                "of the one as of the other, and at least one."
            )
    rule = optimizer(ensemble.tensors)
    if type(rule).__name__ == "LBFGS":
        raise ValueError("LBFGS wants the loss many times a step; take another optimizer.")
    if len(ensemble) > 1 and type(rule).__name__ in _MIXING:
        raise ValueError(
            f"{type(rule).__name__} looks at whole tensors, and would mix the {len(ensemble)} "
            "networks stacked in them; take one that treats every number by itself, such as SGD, "
            "RMSprop or Adam, or train one network at a time."
        )

    an_epoch = -(-len(labels) // batch_size)
    total = (
        epochs * an_epoch if steps is None else min(checks.count("steps", steps), epochs * an_epoch)
    )
    run = Run(ensemble, rule, generators, total, images.device)
    rates = [group["lr"] for group in rule.param_groups]
    dropped = None

    def examples() -> int:
        epoch, within = divmod(run.done, an_epoch)
        return len(ensemble) * (epoch * len(labels) + min(within * batch_size, len(labels)))

    def measure() -> None:
        whole = run.done % an_epoch == 0
        if test is not None and whole:
            run.scores.append((run.done, ensemble.scores(*test, criterion).tolist()))
            ensemble.mode(training=True)
        if record is not None and (whole if record_at is None else run.done in record_at):
            ensemble.write_back()
            found = [record(network, run.done).items() for network in modules]
            run.records.append((run.done, [{k: float(v) for k, v in pairs} for pairs in found]))
            ensemble.mode(training=True)

    with _random_stream(images.device, generators) as stream, _exact(images.device):
        if checkpoint is not None and Path(checkpoint).exists():
            run.restore(checkpoint, stream)
        start = saved = time.perf_counter()
        before = run.seconds
        if run.done == 0:
            measure()
        progress(examples())
        order = None
        while run.done < total:
            within = run.done % an_epoch
            if order is None or within == 0:
                if within == 0:
                    run.shuffling = [g.get_state() for g in generators]
                order = torch.stack(
                    [torch.randperm(len(labels), generator=g, device=g.device) for g in generators]
                ).to(images.device)
                ensemble.mode(training=True)
            due = sum(run.done >= share * epochs * an_epoch for share in drops)
            if due != dropped:
                # Once more for every rate: a recording holds on to the one that it was made with.
                dropped = due
                for group, rate in zip(rule.param_groups, rates):
                    group["lr"] = rate * 0.1**dropped
                update = _update(ensemble, rule, criterion, images, labels, augment)
                if capture:
                    update = captured(update, rule, images.device, min(batch_size, len(labels)))
            run.losses[:, run.done] = update(order[:, within * batch_size :][:, :batch_size])
            run.done += 1
            measure()
            if run.done == total:
                devices.synchronize(images.device)
            progress(examples())
            now = time.perf_counter()
            run.seconds = before + now - start
            if checkpoint is not None and (run.done == total or now - saved >= interval):
                run.save(checkpoint, stream, an_epoch)
                saved = now
    ensemble.write_back()
    for network, mode in zip(modules, modes):
        network.train(mode)
    return run.table(an_epoch, single)


def evaluate(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    loss: str = "logits",
    autocast: torch.dtype | None = None,
) -> tuple[float, float]:
    """Return mean loss and share of right answers, without dropout; NaN is never a right answer.

    ``images`` (N, …) and ``labels`` (N,) or (N, answers) are on the network's device; ``loss`` is a
    key of `LOSSES`, and ``autocast`` as in `train`. The network keeps its mode.
    """
    criterion = LOSSES[checks.known("loss", loss, LOSSES)]
    mode = network.training
    mean_loss, accuracy = (
        Ensemble([network], autocast).scores(images, labels, criterion)[0].tolist()
    )
    network.train(mode)
    return mean_loss, accuracy


def _update(ensemble: Ensemble, rule, criterion, images: Tensor, labels: Tensor, augment):
    """One step of training as a function of the chosen examples, (E or 1, batch); losses (E,)."""

    def update(chosen: Tensor) -> Tensor:
        rule.zero_grad()
        batch = images[chosen] if augment is None else augment(images[chosen])
        losses = ensemble.losses(batch, labels[chosen], criterion)
        # Each network's loss depends on its own weights alone: the gradient of the sum is theirs.
        losses.sum().backward()
        rule.step()
        return losses.detach()

    return update


@contextmanager
def _random_stream(
    device: torch.device, generators: Sequence[torch.Generator]
) -> Iterator[torch.Generator]:
    """Dropout takes no generator, only the device's global one: lend it a seed of our own."""
    if device.type == "cuda":
        stream = torch.cuda.default_generators[device.index or 0]
    elif device.type == "mps":
        stream = torch.mps._get_default_mps_generator()
    else:
        stream = torch.default_generator
    before = stream.get_state()
    # Every generator draws one, so that each goes on as it would for its network alone.
    seeds = [torch.randint(2**62, (), generator=g, device=g.device) for g in generators]
    stream.manual_seed(int(seeds[0]))
    try:
        yield stream
    finally:
        stream.set_state(before)


def _exact(device: torch.device):
    """On CUDA, convolutions in the precision that was asked for, the same on every run."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
