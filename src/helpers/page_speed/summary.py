"""From visits to a table, and what is more than it should be."""

import statistics
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from helpers.page_speed.visits import CONDITIONS

#: What was found, by condition, page and book: a visit for each round.
Visits = dict[tuple[str, str, str], list[dict]]
BOOKS = ("this book", "stock")
#: What a page of this book may take at most, on the desktop; and how one says so.
AIMS = {"kilobytes": 800, "elsewhere": 0, "first_paint": 500, "live": 1000, "drawn": 16}
_WORDS = {
    "kilobytes": "{} of {} KB",
    "elsewhere": "{} of {} requests to other hosts",
    "first_paint": "first paint after {} of {} ms",
    "live": "first chart live after {} of {} ms",
    "drawn": "slider {} of {} ms",
}


def rows(measured: Visits) -> Iterator[dict]:
    """From the visits of every condition, page and book to the rows of the table."""
    for (condition, page, book), found in measured.items():
        each = [quantities(visit) for visit in found]
        for quantity in each[0]:
            values = [one[quantity] for one in each if one[quantity] is not None]
            if values:
                yield {
                    "condition": condition,
                    "page": page,
                    "book": book,
                    "quantity": quantity,
                    "median": statistics.median(values),
                    "lowest": min(values),
                    "highest": max(values),
                }


def quantities(visit: Mapping) -> dict[str, float | None]:
    """From one visit to its numbers; None for what the page does not have."""
    found = {name: visit[name] for name in ("requests", "elsewhere", "first_paint", "live")}
    found["kilobytes"] = sum(visit["files"].values()) / 1e3
    for name in ("drawn", "shown"):
        times = visit[name]
        found[name] = statistics.median(times) if times else None
        found[f"{name}_90"] = statistics.quantiles(times, n=10)[-1] if times else None
    return found


def by_file(files: Mapping[str, int], most: int = 12) -> dict[str, float]:
    """Kilobytes of the heaviest files, by their name, with the rest in one."""
    sizes: dict[str, float] = {}
    for address, size in files.items():
        path = urlsplit(address).path
        name = path.removeprefix("/npm/") if path.startswith("/npm/") else path.rpartition("/")[2]
        sizes[name] = sizes.get(name, 0) + size / 1e3
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    shown = {name: round(size, 1) for name, size in ordered[:most]}
    rest = sum(size for _, size in ordered[most:])
    return shown | ({f"{len(ordered) - most} others": round(rest, 1)} if rest else {})


def misses(table) -> list[str]:
    """What this book's pages take more of than the aims allow, on the desktop."""
    own = table[(table.condition == CONDITIONS[0].name) & (table.book == BOOKS[0])]
    return [
        f"{row.page}: {_WORDS[row.quantity].format(plain(row.median), plain(AIMS[row.quantity]))}"
        for row in own.itertuples()
        if row.quantity in AIMS and row.median > AIMS[row.quantity]
    ]


def plain(number: float) -> str:
    """Three digits or more, with the thousands parted."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
