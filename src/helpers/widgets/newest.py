"""Doing only the newest of many wishes."""

import asyncio
from collections.abc import Callable


class Newest:
    """Calls ``work`` once for all wishes that come within a few milliseconds.

    In a kernel the work is put off so long that changes which have arrived meanwhile are taken in:
    none is computed that is out of date already. Without a running event loop it is done at once,
    or, where it can wait (``later``), not at all.
    """

    def __init__(self, work: Callable[[], None], delay: float = 0.004, *, later: bool = False):
        self._work, self._delay, self._later = work, delay, later
        self._pending: asyncio.TimerHandle | None = None

    def wish(self) -> None:
        """Have it done, once."""
        if self._pending is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if not self._later:
                self._work()
            return
        self._pending = loop.call_later(self._delay, self._now)

    def forget(self) -> None:
        """Take a wish back that is not yet fulfilled."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _now(self) -> None:
        self._pending = None
        self._work()
