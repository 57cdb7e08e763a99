"""How light and how fast the pages are, beside a stock Jupyter Book of the same notebooks.

Both books are served by one server on this machine, packed with gzip, and opened in turn by one
browser, each time with nothing kept from before.
"""

import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from helpers.page_speed import serving, stock, visits
from helpers.page_speed.visits import CONDITIONS

BOOKS = ("this book", "stock")
#: The front page and the chapters of the article.
PAGES = ("intro", "choosing-weights", "linear-regime", "glorot", "relu-and-he")
#: Where the processor is slowed down, the front page and the heaviest chapter speak for the rest.
SLOW_PAGES = ("intro", "glorot")
MOVES = 20
#: What a page of this book may take at most, on the desktop.
AIMS = {"kilobytes": 800, "elsewhere": 0, "first_paint": 500, "live": 1000, "drawn": 16}


def bench(
    *,
    root: str | Path,
    pages: Sequence[str] | None = None,
    rounds: int = 5,
    progress: Callable[[str], object] = lambda line: None,
):
    """Visit pages of the built book in ``root``, and of a stock one; return a table, a provenance.

    Columns: ``condition``, ``page``, ``book``, ``quantity``, ``median``, ``lowest``, ``highest``
    over the rounds. Quantities: ``requests``, of them ``elsewhere`` (to another host);
    ``kilobytes`` transferred; ``first_paint`` and ``live`` (the first chart, scrolled to at once),
    milliseconds from the start of the navigation; ``drawn`` and ``shown``, milliseconds from a
    slider's event to the last change of the marks and to the frame that shows it, the median of a
    visit's moves, with ``drawn_90`` and ``shown_90``, their 90th percentile. What a page lacks has
    no row. Raises ValueError where the book isn't built, a page is unknown, or a tool is missing.
    """
    root, start, load = Path(root), time.perf_counter(), os.getloadavg()[0]
    built = root / "_build" / "html"
    known = [path.stem for path in stock.notebooks(root) if _page(built, path.stem).exists()]
    plan = _plan(pages, known)
    measured: dict[tuple[str, str, str], list[dict]] = {}
    with tempfile.TemporaryDirectory() as folder:
        progress("building the stock book")
        theirs = stock.build(root, Path(folder))
        packages = serving.cache_folder()
        named = set()
        for page in {page for _, page in plan}:
            named |= serving.packages_in(_page(theirs, page).read_text("utf-8"))
        versions = {
            name: metadata.version(name) for name in ("jupyter-book", "altair", "playwright")
        }
        versions |= {name: serving.version(name, packages) for name in sorted(named)}
        folders = dict(zip(("ours", "stock"), (built, theirs)))
        with serving.Server(folders, packages) as server, visits.browser(server.address) as browser:
            chromium = browser.version

            def see(name: str, page: str, condition: visits.Condition) -> dict:
                address = f"http://{server.address}/{name}/book/{page}.html"
                return visits.visit(browser, address, condition, MOVES)

            for name in folders:
                see(name, plan[0][1], plan[0][0])  # the server's own first time counts for nobody
            for number in range(rounds):
                progress(f"round {number + 1} of {rounds}")
                # Who goes first changes with the round.
                order = list(zip(BOOKS, folders))[:: 1 if number % 2 == 0 else -1]
                for condition, page in plan:
                    for book, name in order:
                        found = measured.setdefault((condition.name, page, book), [])
                        found.append(see(name, page, condition))
    import pandas as pd

    from helpers.benchmarks import processor  # torch, which no page needs

    heaviest = max((page for _, page in plan), key=lambda page: _weight(measured, page))
    provenance = {
        "command": "python -m helpers bench pages --out book/results",
        "configuration": {
            "rounds": rounds,
            "moves": MOVES,
            "pages": sorted({page for _, page in plan}),
            "conditions": [asdict(condition) for condition in CONDITIONS],
            "aims": AIMS,
        },
        "data": {
            "name": "the book's notebooks",
            "checksums": {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in stock.notebooks(root)
                if path.stem in {page for _, page in plan}
            },
        },
        "seeds": [],
        "device": f"Chromium {chromium}",
        "processor": processor(),
        "threads": 1,
        "seconds": round(time.perf_counter() - start, 1),
        # Of other work on this machine, at the start: the times want it near zero.
        "load": round(load, 1),
        "packages": versions,
        "unanswered": sorted(
            {u for found in measured.values() for v in found for u in v["failed"]}
        ),
        "heaviest": {"page": heaviest}
        | {
            book: by_file(measured[CONDITIONS[0].name, heaviest, book][0]["files"])
            for book in BOOKS
        },
    }
    return pd.DataFrame(rows(measured)), provenance


def rows(measured: Mapping[tuple[str, str, str], Sequence[dict]]) -> Iterator[dict]:
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
        f"{row.page}: {row.quantity} {row.median:.4g}, aim {AIMS[row.quantity]}"
        for row in own.itertuples()
        if row.quantity in AIMS and row.median > AIMS[row.quantity]
    ]


def _plan(pages: Sequence[str] | None, known: Iterable[str]) -> list[tuple[visits.Condition, str]]:
    known = list(known)
    missing = [page for page in pages or PAGES if page not in known]
    if missing:
        raise ValueError(
            f"no built page of the notebook {missing[0]!r} in _build/html; "
            + (f"there are {', '.join(known)}." if known else "build the book first: make book")
        )
    return [
        (condition, page)
        for condition in CONDITIONS
        for page in pages or (PAGES if condition.slowdown == 1 else SLOW_PAGES)
    ]


def _page(pages: Path, name: str) -> Path:
    return pages / "book" / f"{name}.html"


def _weight(measured: Mapping[tuple[str, str, str], Sequence[dict]], page: str) -> int:
    return sum(measured[CONDITIONS[0].name, page, BOOKS[0]][0]["files"].values())
