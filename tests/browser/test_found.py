"""Search, links to the source, and the way back from an address that leads nowhere."""

import re
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import reading
from conftest import BOOK, Site
from playwright.sync_api import Browser


class Published(SimpleHTTPRequestHandler):
    """Answers as GitHub Pages does: the book below `prefix`, its page 404.html for all else."""

    page = BOOK / "404.html"
    prefix = "/"

    def translate_path(self, path: str) -> str:
        if not path.startswith(self.prefix):
            return ""
        return super().translate_path("/" + path.removeprefix(self.prefix))

    def send_error(self, code: int, *words: str) -> None:
        body = self.page.read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def published() -> Iterator[str]:
    """The book's address, below the path that it was built for."""
    page = Published.page.read_text(encoding="utf-8")
    Published.prefix = re.search(r'data-content_root="([^"]+)"', page)[1]
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Published, directory=str(BOOK)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{Published.prefix}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("lost", ["nothing.html", "some/where/deep/"])
def test_a_lost_reader_finds_the_way_back(browser: Browser, published: str, lost: str) -> None:
    with reading.visit(browser, published + lost) as visit:
        page = visit.page
        reading.asks_no_other_host(visit)
        assert len(visit.complaints) == 1, visit.complaints  # that the page itself is not there
        links = page.locator("main a, nav a").evaluate_all("links => links.map(a => a.href)")
        inner = {link for link in links if link.startswith(published)}
        assert published + "book/intro.html" in inner and len(inner) > 10
        assert {page.request.get(link.split("#")[0]).status for link in inner} == {200}
        page.locator("main input[type=search]").fill("orthogonal")
        page.keyboard.press("Enter")
        page.locator("#search-results li a").first.wait_for()


@pytest.mark.parametrize("disk", [False, True], ids=["http", "file"])
def test_search_finds_a_word_and_leads_there(browser: Browser, book: Site, disk: bool) -> None:
    home = BOOK.as_uri() if disk else book.url
    with reading.visit(browser, f"{home}/book/references.html") as visit:
        visit.page.keyboard.press("Control+k")
        visit.page.locator(".search-button__search-container input").fill("harmonic")
        visit.page.keyboard.press("Enter")
        found = visit.page.locator("#search-results li a")
        found.filter(has_text="Glorot").first.click()
        visit.page.wait_for_url("**/glorot.html*")
        reading.asks_no_other_host(visit)
        reading.complains_about_nothing(visit)


def test_links_to_the_source_have_names(browser: Browser, book: Site) -> None:
    with reading.visit(browser, f"{book.url}/book/errata.html") as visit:
        page = visit.page
        page.get_by_role("button", name="Source repositories").click()
        for name, path in {
            "Show source": "/blob/main/book/errata.md",
            "Suggest edit": "/edit/main/book/errata.md",
            "Open issue": "/issues/new",
        }.items():
            link = page.get_by_role("link", name=name)
            link.wait_for()
            assert path in link.get_attribute("href")
