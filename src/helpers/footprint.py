"""How much memory each notebook needs: run in a fresh kernel that may have no more than a limit.

Binder guarantees 1 GB. On Linux, where this process may make a memory control group (as root, or
in a container that was given one), the kernel gets a limit and is killed beyond it; anywhere else
on Linux its peak is measured all the same.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers import checks

#: Where the notebooks lie.
BOOK = Path(__file__).resolve().parents[2] / "book"
#: Where memory can be limited, and the files that hold the limit: version 1, then version 2.
GROUPS = {
    Path("/sys/fs/cgroup/memory"): ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    Path("/sys/fs/cgroup"): ("memory.max", "memory.swap.max"),
}


def notebooks(names: Sequence[str] | None = None, book: Path = BOOK) -> list[Path]:
    """Return the notebooks of the book, or those that are named; ValueError for an unknown name."""
    found = {path.stem: path for path in sorted(book.glob("*.ipynb"))}
    for name in names or ():
        checks.known("page", name, found)
    return [found[name] for name in names or found]


def bench(
    paths: Sequence[str | Path],
    *,
    limit: int = 1024,
    progress: Callable[[str], object] = lambda line: None,
) -> tuple[Any, dict]:
    """Run every notebook under a ``limit`` in megabytes; return a table, and its provenance.

    Columns: ``notebook``; ``peak``, megabytes that its kernel had in memory at most; ``cell``, the
    number of the code cell that reached it, from 1; ``imports``, the peak after the first cell that
    imports torch, the floor of every notebook; ``seconds``; and ``ended``, "yes" or why not. The
    kernel shares the limit with the process that runs it, as on Binder with the server.
    """
    import pandas as pd
    import torch

    from helpers.benchmarks import processor

    start, rows = time.perf_counter(), []
    with group(limit) as place:
        for notebook in paths:
            rows.append({"notebook": Path(notebook).stem} | measure(notebook, place))
            progress("{notebook}: {peak} MB, {seconds} s, ended: {ended}".format(**rows[-1]))
    build = f"{torch.__version__} for {'CUDA' if torch.version.cuda else 'the CPU'}"
    provenance = {
        "command": "python -m helpers bench memory --out book/results",
        "configuration": {"limit_mb": limit if place else None, "torch": build},
        "data": {"name": "digits"},
        "seeds": [],
        "device": "cpu",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    return pd.DataFrame(rows), provenance


def measure(notebook: str | Path, place: Path | None) -> dict:
    """Run one notebook in the control group ``place``, if there is one; return its row.

    Raises ValueError where the system is not Linux, or the notebook cannot be read.
    """
    if not Path("/proc/self/status").exists():
        raise ValueError(
            f"the memory of a process is read in /proc, which {sys.platform} has not; use Linux."
        )
    command = [sys.executable, "-m", __name__, str(notebook), str(place or "")]
    environment = {"OMP_NUM_THREADS": "1"} | os.environ  # Binder has one processor
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode == -9:  # the runner is in the group too
        return {"peak": None, "cell": None, "imports": None, "seconds": None, "ended": "no: killed"}
    if done.returncode:
        raise ValueError(f"{notebook} could not be run: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


@contextmanager
def group(limit: int) -> Iterator[Path | None]:
    """A control group of ``limit`` megabytes; None where there can be none, at a fresh name."""
    place = None
    for parent, names in GROUPS.items():
        place = parent / f"first-weights-{os.getpid()}"
        try:
            place.mkdir()
        except OSError:  # another version, or not allowed
            place = None
            continue
        try:
            (place / names[0]).write_text(str(limit * 2**20))
            break
        except OSError:  # the memory of this group is not controlled
            place.rmdir()
            place = None
    if place and (swap := place / names[1]).exists():  # what is swapped out would not count
        swap.write_text("0" if names[1] == "memory.swap.max" else str(limit * 2**20))
    try:
        yield place
    finally:
        if place:
            place.rmdir()


def _run(notebook: str, place: str) -> dict:
    """In a process of its own: join the group, run every cell, and watch the kernel's peak."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    if place:
        (Path(place) / "cgroup.procs").write_text(str(os.getpid()))
    read = nbformat.read(notebook, as_version=4)
    client = NotebookClient(read, kernel_name="python3", timeout=None, record_timing=False)
    peaks, floor, ended, start = [], None, "yes", time.perf_counter()
    with client.setup_kernel():
        kernel = client.km.provisioner.pid
        for index, cell in enumerate(read.cells):
            if cell.cell_type != "code":
                continue
            try:
                client.execute_cell(cell, index)
            except DeadKernelError:
                ended = f"no: killed in code cell {len(peaks) + 1}"
                break
            except CellExecutionError as error:
                ended = f"no: code cell {len(peaks) + 1} raised {error.ename}"
                break
            peaks.append(_peak(kernel))
            if floor is None and "import torch" in cell.source:
                floor = peaks[-1]
    peak = max(peaks, default=None)
    return {
        "peak": peak,
        "cell": peaks.index(peak) + 1 if peaks else None,
        "imports": floor,
        "seconds": round(time.perf_counter() - start, 1),
        "ended": ended,
    }


def _peak(process: int) -> int:
    """Megabytes that a process has had in memory at most."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    print(json.dumps(_run(*sys.argv[1:])))
