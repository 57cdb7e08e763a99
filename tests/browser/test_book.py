"""The built book, page by page, as its readers open it."""

from pathlib import Path

import drawings
import files
import probes
import reading
from conftest import BOOK, FRONT_DOOR, ROOT, Site
from playwright.sync_api import Browser, Page

SCREENSHOTS = ROOT / "_build" / "screenshots"


def picture(page: Page, name: str, kind: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.evaluate("scrollTo(0, 0)")
    file = SCREENSHOTS / f"{Path(name).stem}-{kind}.jpeg"
    page.screenshot(path=file, full_page=True, quality=80, timeout=60_000)


def test_files(page_name: str) -> None:
    files.policy_is_strict(BOOK / page_name)
    files.links_are_alive(BOOK / page_name, BOOK)


def test_the_front_door(browser: Browser, book: Site) -> None:
    with reading.visit(browser, f"{book.url}/{FRONT_DOOR}") as visit:
        visit.page.wait_for_url("**/book/intro.html")
        visit.page.locator("article h1").wait_for()


def test_live(browser: Browser, book: Site, page_name: str) -> None:
    with reading.visit(browser, f"{book.url}/{page_name}") as visit:
        page = visit.page
        reading.pictures_are_described(page)
        drawings.are_live(page)
        drawings.motion_can_be_stopped(page)
        reading.pictures_are_described(page)
        reading.formulas_are_written(page)
        reading.is_light(visit, book.url, BOOK)
        picture(page, page_name, "wide")
        drawings.can_be_read(page)
        reading.unfold(page)
        reading.fits_the_window(page)
        reading.is_accessible(page)
        reading.theme_can_be_switched(page)
        picture(page, page_name, "dark")
        drawings.can_be_read(page)
        reading.is_accessible(page, *reading.COLORS)
        reading.asks_no_other_host(visit)
        reading.complains_about_nothing(visit)


def test_controls(browser: Browser, book: Site, charted_page: str) -> None:
    address = f"{book.url}/{charted_page}"
    with reading.visit(browser, address, reduced_motion="reduce") as visit:
        drawings.are_live(visit.page)
        drawings.nothing_moves_by_itself(visit.page)
        drawings.controls_can_be_touched(visit.page)
        drawings.controls_move_marks(visit.page)
        reading.complains_about_nothing(visit)


def test_phone(browser: Browser, book: Site, page_name: str) -> None:
    with reading.visit(browser, f"{book.url}/{page_name}", width=360, has_touch=True) as visit:
        drawings.are_live(visit.page)
        drawings.controls_can_be_touched(visit.page)
        picture(visit.page, page_name, "phone")
        reading.unfold(visit.page)
        reading.fits_the_window(visit.page)
        probes.find_nothing(visit.page, "cutTexts", "collidingTexts")
        reading.is_accessible(visit.page)
        reading.complains_about_nothing(visit)


def test_without_script(browser: Browser, book: Site, page_name: str) -> None:
    address = f"{book.url}/{page_name}"
    with reading.visit(browser, address, java_script_enabled=False) as visit:
        reading.stands_without_script(visit.page)
        reading.pictures_are_described(visit.page)
        reading.formulas_are_written(visit.page)
        drawings.can_be_read(visit.page)
        reading.asks_no_other_host(visit)


def test_from_disk_and_on_paper(browser: Browser, page_name: str) -> None:
    with reading.visit(browser, (BOOK / page_name).as_uri(), width=700) as visit:
        drawings.are_live(visit.page)
        reading.can_be_printed(visit.page)
        reading.asks_no_other_host(visit)
        reading.complains_about_nothing(visit)
