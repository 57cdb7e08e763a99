"""Training from the laboratory's first weights, in a thread: it can be stopped at every step, go
on, and go back to the same first weights."""

import threading
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import checks, devices, optimizers
from helpers.ensembles import Ensemble
from helpers.laboratory import examples
from helpers.laboratory.architectures import build, draw
from helpers.laboratory.settings import SEEDS, Settings

#: Weights of all networks together, at most: else fewer networks are trained.
WEIGHTS = 6_000_000


@dataclass(frozen=True)
class Trial:
    """How far training is.

    ``state`` is "ready", "running", "stopped", "done" or "failed"; ``done`` of ``total`` steps are
    made. ``losses`` has, for each step, every network's mean loss over the batch before its update;
    ``scores`` the step, 0 is before training, and every network's share of right answers on the
    test images. ``error`` is what went wrong, in one sentence, or nothing.
    """

    state: str
    done: int
    total: int
    losses: tuple[tuple[float, ...], ...]
    scores: tuple[tuple[int, tuple[float, ...]], ...]
    error: str


class Training:
    """Networks of the same settings and neighboring seeds, trained at once beside the caller.

    The first one starts at exactly the weights that `flow` shows, in float32. ``epochs`` of
    plain descent at the learning ``rate`` in batches of ``batch``, at a fresh order each epoch. Big
    networks are trained with fewer ``members``. Nothing is computed before `start`. Raises
    ValueError for numbers that are not above 0.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        members: int = 3,
        epochs: int = 20,
        rate: float = 0.1,
        batch: int = 50,
    ):
        self.settings = settings
        self.rate = checks.positive("rate", rate)
        self.epochs, self.batch = checks.count("epochs", epochs), checks.count("batch", batch)
        weights = sum(p.numel() for p in build(settings, dtype=torch.float32).parameters())
        members = min(checks.count("members", members), max(1, WEIGHTS // weights))
        #: One for each network.
        self.seeds = [(settings.seed + member) % SEEDS for member in range(members)]
        self._lock, self._halt = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._forget()

    def start(self) -> None:
        """Begin, or go on after a stop; does nothing while it runs or when all is done."""
        with self._lock:
            if self._state in ("running", "done"):
                return
            # Not in the thread: PyTorch's constructors touch the global random state.
            blank = [build(self.settings) for _ in self.seeds if self._ensemble is None]
            self._state, self._error = "running", ""
            self._halt = threading.Event()
            self._thread = threading.Thread(
                target=self._work,
                args=(self._halt, self._thread, blank),
                name="laboratory",
                daemon=True,
            )
            self._thread.start()

    def stop(self) -> None:
        """Ask it to stop; it does after the step that it is at, and keeps what it has."""
        with self._lock:
            self._halt.set()
            if self._state == "running":
                self._state = "stopped"

    def rewind(self) -> None:
        """Stop, wait for it, and go back to the same first weights."""
        self.stop()
        self.wait()
        with self._lock:
            self._forget()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs, for so many seconds at most; return whether that is so."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def trial(self) -> Trial:
        """Return how far it is."""
        with self._lock:
            return Trial(
                *(self._state, len(self._losses), self._total),
                *(tuple(self._losses), tuple(self._scores), self._error),
            )

    def _forget(self) -> None:
        self._state, self._error = "ready", ""
        self._losses: list[tuple[float, ...]] = []
        self._scores: list[tuple[int, tuple[float, ...]]] = []
        self._total = 0
        self._ensemble: Ensemble | None = None

    def _work(
        self, halt: threading.Event, before: threading.Thread | None, blank: list[nn.Module]
    ) -> None:
        if before is not None:
            before.join()  # two threads must not train one network
        try:
            finished = self._train(halt, blank)
            state, error = "done" if finished else "stopped", ""
        except Exception as failure:  # shown, whatever it is: a thread has nobody to raise it to
            state, error = "failed", f"{type(failure).__name__}: {failure}"
            if devices.out_of_memory(failure):
                error = "There is not enough memory for this network. Make it smaller."
        with self._lock:
            if halt is self._halt:
                self._state, self._error = state, error

    def _train(self, halt: threading.Event, blank: list[nn.Module]) -> bool:
        """Make the steps that are left; return whether all are made."""
        images, labels = self._data("train")
        test = self._data("test")
        an_epoch = -(-len(labels) // self.batch)
        with self._lock:
            self._total = self.epochs * an_epoch
        if self._ensemble is None:
            self._begin(blank)
        ensemble = self._ensemble
        if not self._scores:
            self._score(test)
        while len(self._losses) < self._total:
            if halt.is_set():
                return False
            within = len(self._losses) % an_epoch
            if within == 0 or self._order is None:
                self._order = torch.randperm(len(labels), generator=self._shuffler)
                ensemble.mode(training=True)
            chosen = self._order[within * self.batch :][: self.batch]
            self._rule.zero_grad()
            losses = ensemble.losses(images[chosen][None], labels[chosen][None], F.cross_entropy)
            losses.sum().backward()
            self._rule.step()
            with self._lock:
                self._losses.append(tuple(losses.tolist()))
            if within + 1 == an_epoch:
                self._score(test)
        return True

    def _begin(self, blank: list[nn.Module]) -> None:
        networks = []
        for network, seed in zip(blank, self.seeds, strict=True):
            networks.append(draw(network, self.settings, seed).float().train())
        self._ensemble = Ensemble(networks)
        self._rule = optimizers.sgd(self.rate)(self._ensemble.tensors)
        self._shuffler = torch.Generator().manual_seed(self.settings.seed)
        self._order: Tensor | None = None

    def _data(self, split) -> tuple[Tensor, Tensor]:
        images, labels = examples.load(self.settings.data, split)
        return images.float(), labels

    def _score(self, test: tuple[Tensor, Tensor]) -> None:
        with torch.no_grad():
            scores = self._ensemble.scores(*test, F.cross_entropy)[:, 1]
        self._ensemble.mode(training=True)
        with self._lock:
            self._scores.append((len(self._losses), tuple(scores.tolist())))
