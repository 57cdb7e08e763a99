"""Files that are there whole, or not at all."""

import os
from pathlib import Path


def replace(path: str | Path, content: bytes) -> None:
    """Write beside and rename: whoever reads finds the old file or the new, never half of one.

    The folder is made where it is missing. An error, or a kill, leaves the old file as it was; what
    a killed process left beside it goes with the next writing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
