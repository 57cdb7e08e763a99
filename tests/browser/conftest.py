"""A browser, and the built book on a server of its own. Every other host is out of reach."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, sync_playwright

from helpers.page_speed import visits

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "_build" / "html"
FRONT_DOOR = "index.html"  # leads on to the first page at once
NOT_FOUND = "404.html"  # knows the address that the book is published under
# Frames at the usual rate, not as the benchmark asks: a chart that plays would take every core.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()


def chromium() -> str:
    """Return the path of the browser, or end the session telling how to get one."""
    try:
        return visits.chromium()
    except ValueError as error:
        pytest.exit(str(error), returncode=2)


def pages() -> list[str]:
    """Return every page of the built book, or end the session telling how to build it."""
    found = sorted(page.relative_to(BOOK).as_posix() for page in BOOK.rglob("*.html"))
    found = [page for page in found if not page.startswith("_static/")]
    found = [page for page in found if page not in (FRONT_DOOR, NOT_FOUND)]
    if not found:
        pytest.exit("no page in _build/html: build the book first, with: make book", returncode=2)
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "page_name" in metafunc.fixturenames:
        metafunc.parametrize("page_name", pages())
    if "charted_page" in metafunc.fixturenames:
        charted = [page for page in pages() if 'class="chart"' in (BOOK / page).read_text("utf-8")]
        metafunc.parametrize("charted_page", charted)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


class _Handler(SimpleHTTPRequestHandler):
    """Serves files under `prefix` only; anything else gets the folder's 404.html, if it has one."""

    def __init__(self, *args: object, prefix: str, **kwargs: object) -> None:
        self.prefix = prefix
        super().__init__(*args, **kwargs)

    def translate_path(self, path: str) -> str:
        inside = path.startswith(self.prefix)
        return super().translate_path(path.removeprefix(self.prefix) if inside else "/no such file")

    def send_error(self, code: int, *args: object) -> None:
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.exists():
            super().send_error(code, *args)
            return
        self.send_response(404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page.read_bytes())

    def log_message(self, *args: object) -> None:
        pass


class Site:
    """The files of `folder` under an address on this machine, as `site.url`."""

    def __init__(self, folder: Path, prefix: str = "/") -> None:
        handler = partial(_Handler, directory=str(folder), prefix=prefix)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}{prefix.rstrip('/')}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="session")
def book() -> Iterator[Site]:
    """The book as its readers have it: not at the root of a host, but somewhere below."""
    pages()
    site = Site(BOOK, "/somewhere/below/")
    yield site
    site.close()


@pytest.fixture
def folder_site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()
