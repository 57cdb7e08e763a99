"""The processes of ``torchrun``: which one this is, and how their tables come together.

Members train without a word to each other, so all that is ever exchanged is finished tables, which
lie in main memory: gloo does that on every machine, and a GPU needs no connection to another.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist


@dataclass(frozen=True)
class Rank:
    """This process is ``number`` of ``count``, from 0, and ``local`` on its own machine."""

    number: int = 0
    count: int = 1
    local: int = 0

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()

    @contextmanager
    def first(self) -> Iterator[None]:
        """The first process goes through alone, then all the others."""
        if self.number > 0:
            self.wait()
        yield
        if self.number == 0:
            self.wait()

    def gather(self, part: Any) -> list[Any] | None:
        """The parts of all processes, for the first one; None for the others."""
        if self.count == 1:
            return [part]
        parts = [None] * self.count if self.number == 0 else None
        dist.gather_object(part, parts)
        return parts


def join() -> Rank:
    """Meet the other processes if ``torchrun`` started this one; else be alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Rank()
    if not dist.is_initialized():
        # A process may well finish hours before the slowest one.
        dist.init_process_group("gloo", timeout=timedelta(days=30))
    return Rank(dist.get_rank(), dist.get_world_size(), int(os.environ["LOCAL_RANK"]))


def own_device(device: str, rank: Rank) -> str:
    """On several GPUs every process takes its own."""
    return f"cuda:{rank.local}" if device == "cuda" and rank.count > 1 else device
