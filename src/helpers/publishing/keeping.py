"""What is slow to make is kept beside the build's own cache, and made again when it changes."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from sphinx.application import Sphinx


def kept(app: Sphinx, kind: str, source: str, make: Callable[[], bytes]) -> bytes:
    """Return what `make` returns, or what it returned when it was last given this `source`.

    `source` is the text of all that the result depends on; `kind` ends the name of the file.
    """
    key = hashlib.sha256(source.encode()).hexdigest()
    file = Path(app.doctreedir) / "kept" / f"{key}-{kind}"
    if not file.exists():
        made = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(made)
    return file.read_bytes()
