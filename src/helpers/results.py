"""Stored tables of long runs: written with their provenance, refused when they were altered.

A result NAME is two files: NAME.csv.gz, a tidy table, and NAME.json, which says how it was made
and holds the checksums. Equal tables are equal bytes.
"""

import gzip
import hashlib
import importlib.metadata
import io
import json
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from helpers import files

#: The book's own results. An installed copy of the package has none: pass ``folder`` there.
FOLDER = Path(__file__).resolve().parents[2] / "book" / "results"
#: The version of the format; a result of another is refused.
FORMAT = 1
#: Significant digits of what is stored.
DIGITS = 6
_NEEDED = ("command", "configuration", "data", "seeds", "device", "threads", "seconds")
_PACKAGES = ("torch", "torchvision", "numpy", "pandas")


class Refused(ValueError):
    """A stored result is missing, altered, or of another format."""


def write(name: str, table, provenance: Mapping, folder: str | Path | None = None) -> dict:
    """Store a DataFrame as result ``name``, floats to six significant digits.

    ``provenance`` holds command, configuration, data (its name and checksums), seeds, device,
    threads and seconds, and what else is worth saying; columns, number of rows, checksums,
    versions and date are added. Both files are written beside and renamed. Returns the provenance
    as stored. Raises ValueError for a bad name, and for a provenance that lacks an entry.
    """
    table_file, record_file = _files(name, folder)
    missing = [key for key in _NEEDED if key not in provenance]
    if missing:
        raise ValueError(
            f"The provenance of {name!r} lacks {', '.join(missing)}; a stored result says how it "
            f"was made: {', '.join(_NEEDED)}."
        )
    text = table.to_csv(
        index=False, float_format=f"%.{DIGITS}g", na_rep="nan", lineterminator="\n"
    ).encode()
    packed = gzip.compress(text, compresslevel=9, mtime=0)
    record = {
        **provenance,
        "format": FORMAT,
        "columns": [str(column) for column in table.columns],
        "rows": len(table),
        "significant_digits": DIGITS,
        "sha256": hashlib.sha256(packed).hexdigest(),
        # Of the table itself: another zlib packs the same table into other bytes.
        "sha256_unpacked": hashlib.sha256(text).hexdigest(),
        "versions": {"python": platform.python_version()} | _versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    stored = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files.replace(table_file, packed)
    files.replace(record_file, stored.encode())
    return record


def read(name: str, folder: str | Path | None = None):
    """Return a stored table as a DataFrame.

    Raises `Refused`, with the command that makes the result again, where a file is missing, a
    checksum, the columns or the number of rows does not fit its provenance, or the format is
    another. Which torch made it does not matter.
    """
    import pandas as pd

    record = provenance(name, folder)
    table_file, _ = _files(name, folder)
    packed = table_file.read_bytes() if table_file.exists() else None
    if packed is None:
        raise _refusal(name, f"{table_file.name} is missing", record)
    found = hashlib.sha256(packed).hexdigest()
    if found != record["sha256"]:
        reason = f"{table_file.name} was altered: SHA-256 {found}, expected {record['sha256']}"
        raise _refusal(name, reason, record)
    text = io.BytesIO(gzip.decompress(packed))
    table = pd.read_csv(text, keep_default_na=False, na_values=["nan"])
    if list(table.columns) != record["columns"] or len(table) != record["rows"]:
        reason = (
            f"{table_file.name} has {len(table)} rows of {', '.join(table.columns)}; "
            f"expected {record['rows']} rows of {', '.join(record['columns'])}"
        )
        raise _refusal(name, reason, record)
    return table


def provenance(name: str, folder: str | Path | None = None) -> dict:
    """Return what is stored about how a result was made; raises `Refused` as `read` does."""
    _, record_file = _files(name, folder)
    if not record_file.exists():
        raise _refusal(name, f"{record_file.name} is missing from {record_file.parent}")
    try:
        record = json.loads(record_file.read_bytes())
        form = record["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise _refusal(name, f"{record_file.name} is not a provenance ({error!r})") from None
    if form != FORMAT:
        raise _refusal(name, f"it has format {form!r}, expected {FORMAT}", record)
    lacking = [key for key in (*_NEEDED, "columns", "rows", "sha256") if key not in record]
    if lacking:
        raise _refusal(name, f"{record_file.name} lacks {', '.join(lacking)}", record)
    return record


def _refusal(name: str, reason: str, record: Mapping | None = None) -> Refused:
    command = (record or {}).get("command", f"python -m helpers run {name}")
    return Refused(f"Stored result {name!r} refused: {reason}. Make it again: {command}")


def _files(name: str, folder: str | Path | None) -> tuple[Path, Path]:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", str(name)):
        raise ValueError(
            f"Result name {name!r}: expected lower-case letters, digits and single hyphens, "
            "such as 'figure-1'."
        )
    folder = FOLDER if folder is None else Path(folder)
    return folder / f"{name}.csv.gz", folder / f"{name}.json"


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
