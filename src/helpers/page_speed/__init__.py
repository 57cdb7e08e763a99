"""How light and how fast the pages are, beside a stock Jupyter Book of the same notebooks.

Both books are served by one server on this machine, packed with gzip, and opened in turn by one
browser, each time with nothing kept from before.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from helpers.page_speed import serving, stock, visits
from helpers.page_speed.summary import AIMS, BOOKS, Visits, by_file, misses, plain, rows
from helpers.page_speed.visits import CONDITIONS

__all__ = ["AIMS", "bench", "misses", "plain"]

#: The front page and the chapters of the article.
PAGES = ("intro", "choosing-weights", "linear-regime", "glorot", "relu-and-he")
#: Where the processor is slowed down, the front page and the heaviest chapter speak for the rest.
SLOW_PAGES = ("intro", "glorot")
#: Steps of a slider in one visit.
MOVES = 20


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
    chosen = sorted({page for _, page in plan})
    visits.playwright(), visits.chromium()  # or it would be known only when the book is built
    with tempfile.TemporaryDirectory() as folder:
        progress("building the stock book")
        folders = dict(zip(BOOKS, (built, stock.build(root, Path(folder)))))
        versions = {
            name: metadata.version(name) for name in ("jupyter-book", "altair", "playwright")
        } | _packages(folders[BOOKS[1]], chosen)
        chromium, measured = _see(folders, plan, rounds, progress)
    import pandas as pd

    from helpers.benchmarks import processor  # torch, which no page needs

    heaviest = max(chosen, key=lambda page: _weight(measured, page))
    used = [path for path in stock.notebooks(root) if path.stem in chosen]
    provenance = {
        "command": "python -m helpers bench pages"
        + (f" --pages {' '.join(pages)}" if pages else "")
        + f" --rounds {rounds} --out book/results",
        "configuration": {
            "rounds": rounds,
            "moves": MOVES,
            "pages": chosen,
            "conditions": [asdict(condition) for condition in CONDITIONS],
            "aims": AIMS,
        },
        "data": {
            "name": "the book's notebooks",
            "checksums": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in used},
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
            {url for all in measured.values() for v in all for url in v["failed"]}
        ),
        "heaviest": {"page": heaviest}
        | {book: by_file(_first(measured, heaviest, book)["files"]) for book in BOOKS},
    }
    return pd.DataFrame(rows(measured)), provenance


def _see(
    folders: dict[str, Path],
    plan: list[tuple[visits.Condition, str]],
    rounds: int,
    progress: Callable[[str], object],
) -> tuple[str, Visits]:
    """Visit each page of both books in every round; return the browser's version, and the visits.

    Addresses are as long in one book as in the other.
    """
    measured: Visits = {}
    served = {f"book-{number}": folder for number, folder in enumerate(folders.values())}
    with (
        serving.Server(served, serving.cache_folder()) as server,
        visits.browser(server.address) as browser,
    ):

        def see(name: str, page: str, condition: visits.Condition) -> dict:
            address = f"http://{server.address}/{name}/book/{page}.html"
            return visits.visit(browser, address, condition, MOVES)

        for name in served:
            see(name, plan[0][1], plan[0][0])  # the server's own first time counts for nobody
        for number in range(rounds):
            progress(f"round {number + 1} of {rounds}")
            # Who goes first changes with the round.
            order = list(zip(folders, served))[:: 1 if number % 2 == 0 else -1]
            for condition, page in plan:
                for book, name in order:
                    found = measured.setdefault((condition.name, page, book), [])
                    found.append(see(name, page, condition))
        return browser.version, measured


def _packages(pages: Path, chosen: list[str]) -> dict[str, str]:
    """The npm packages that these pages load, each with its exact version."""
    texts = [_page(pages, page).read_text("utf-8") for page in chosen]
    named = sorted(set().union(*map(serving.packages_in, texts)))
    return {name: serving.version(name, serving.cache_folder()) for name in named}


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


def _first(measured: Visits, page: str, book: str) -> dict:
    return measured[CONDITIONS[0].name, page, book][0]


def _weight(measured: Visits, page: str) -> int:
    return sum(_first(measured, page, BOOKS[0])["files"].values())
