"""Search, links to the source, and the way back from an address that leads nowhere."""

import re
from collections.abc import Iterator

import pytest
import reading
from conftest import BOOK, NOT_FOUND, Site
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def published() -> Iterator[Site]:
    """The book below the path that it was built for: its page for lost readers links there."""
    page = (BOOK / NOT_FOUND).read_text(encoding="utf-8")
    site = Site(BOOK, re.search(r'data-content_root="([^"]+)"', page)[1])
    yield site
    site.close()


@pytest.mark.parametrize("lost", ["nothing.html", "some/where/deep/"])
def test_a_lost_reader_finds_the_way_back(browser: Browser, published: Site, lost: str) -> None:
    with reading.visit(browser, f"{published.url}/{lost}") as visit:
        reading.leads_back(visit, published.url, BOOK)
        reading.fits_the_window(visit.page)
        reading.is_accessible(visit.page)
        reading.asks_no_other_host(visit)
        assert len(visit.complaints) == 1, visit.complaints  # that the page itself is not there
        visit.page.locator("main input[type=search]").fill("orthogonal")
        visit.page.keyboard.press("Enter")
        visit.page.locator("#search-results li a").first.wait_for()


@pytest.mark.parametrize("disk", [False, True], ids=["http", "file"])
def test_search_finds_a_word_and_leads_there(browser: Browser, book: Site, disk: bool) -> None:
    home = BOOK.as_uri() if disk else book.url
    with reading.visit(browser, f"{home}/book/references.html") as visit:
        reading.finds(visit, "harmonic", "glorot.html")
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
