"""The built book, page by page, as its readers open it."""

from pathlib import Path

import reading
from conftest import BOOK, FRONT_DOOR, ROOT, Site
from playwright.sync_api import Browser, Page

SCREENSHOTS = ROOT / "_build" / "screenshots"


def picture(page: Page, name: str, kind: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.evaluate("scrollTo(0, 0)")
    file = SCREENSHOTS / f"{Path(name).stem}-{kind}.jpeg"
    page.screenshot(path=file, full_page=True, quality=80, timeout=60_000)


def test_the_front_door(browser: Browser, book: Site) -> None:
    with reading.visit(browser, f"{book.url}/{FRONT_DOOR}") as visit:
        visit.page.wait_for_url("**/book/intro.html")
        visit.page.locator("article h1").wait_for()


def test_live(browser: Browser, book: Site, page_name: str) -> None:
    with reading.visit(browser, f"{book.url}/{page_name}") as visit:
        reading.pictures_are_described(visit.page)
        reading.charts_are_live(visit.page)
        reading.pictures_are_described(visit.page)
        reading.fits_the_window(visit.page)
        picture(visit.page, page_name, "wide")
        visit.page.emulate_media(color_scheme="dark")
        visit.page.locator("html[data-theme=dark]").wait_for()
        picture(visit.page, page_name, "dark")
        reading.sliders_move_marks(visit.page)
        reading.asks_no_other_host(visit)
        reading.complains_about_nothing(visit)


def test_phone(browser: Browser, book: Site, page_name: str) -> None:
    with reading.visit(browser, f"{book.url}/{page_name}", width=360, has_touch=True) as visit:
        reading.charts_are_live(visit.page)
        reading.fits_the_window(visit.page)
        picture(visit.page, page_name, "phone")
        reading.complains_about_nothing(visit)


def test_without_script(browser: Browser, book: Site, page_name: str) -> None:
    address = f"{book.url}/{page_name}"
    with reading.visit(browser, address, java_script_enabled=False) as visit:
        reading.stands_without_script(visit.page)
        reading.pictures_are_described(visit.page)
        reading.asks_no_other_host(visit)


def test_from_disk(browser: Browser, page_name: str) -> None:
    with reading.visit(browser, (BOOK / page_name).as_uri()) as visit:
        reading.charts_are_live(visit.page)
        reading.asks_no_other_host(visit)
        reading.complains_about_nothing(visit)
