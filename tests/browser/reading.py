"""What a reader may expect of a page, each as one function that a broken page fails.

Of its charts, see `drawings.py`; of its files, without a browser, `files.py`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import files
import probes
from axe_playwright_python.sync_playwright import Axe
from drawings import SLIDER, charts
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect

WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")
COLORS = ("color-contrast", "link-in-text-block")
FOR_SCREENS = ".bd-sidebar, .bd-header, .bd-header-article, .prev-next-area, .chart-controls"
MOST_BYTES = 800_000
MOST_REQUESTS = 40


@dataclass
class Visit:
    """One opened page, what it asked for, and what it complained about."""

    page: Page
    asked: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def visit(browser: Browser, address: str, width: int = 1280, **options: Any) -> Iterator[Visit]:
    """Open `address`, nothing cached; what is asked of another host is refused and recorded."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    context.set_default_timeout(20_000)
    visit = Visit(context.new_page())
    home = address.split("/", 3)[:3]

    def guard(route: Route) -> None:
        url = route.request.url
        if url.split("/", 3)[:3] == home or url.startswith("data:"):
            visit.asked.append(url)
            route.continue_()
        else:
            visit.elsewhere.append(url)
            route.abort()

    context.route("**/*", guard)

    def hear(said: ConsoleMessage) -> None:
        if said.type == "error":
            visit.complaints.append(f"{said.text} ({said.location['url']})")

    visit.page.on("console", hear)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    # What the page's own policy stops never becomes a request: its report is the trace.
    visit.page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " (e) => console.error('refused by policy: ' + e.blockedURI))"
    )
    try:
        visit.page.goto(address, wait_until="load")
        yield visit
    finally:
        context.close()


def asks_no_other_host(visit: Visit) -> None:
    assert not visit.elsewhere, f"asked elsewhere: {visit.elsewhere}"


def complains_about_nothing(visit: Visit) -> None:
    assert not visit.complaints, f"in the console: {visit.complaints}"


def is_light(visit: Visit, address: str, folder: Path) -> None:
    """What the page loads from `folder`, which lies at `address`, is little: in bytes of gzip, and
    in requests."""
    loaded = [url for url in visit.asked if url.startswith(address)]
    home = urlsplit(address).path.rstrip("/") + "/"
    sizes = {
        path: files.transferred(folder / path)
        for path in (unquote(urlsplit(url).path).removeprefix(home) for url in loaded)
    }
    heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:4]
    total = sum(sizes.values())
    assert total <= MOST_BYTES, f"{total} bytes, not {MOST_BYTES}; the most: {heaviest}"
    assert len(loaded) <= MOST_REQUESTS, f"{len(loaded)} requests, not {MOST_REQUESTS}: {loaded}"


def pictures_are_described(page: Page) -> None:
    """Every image and chart has words for those who cannot see it, and every formula content."""
    undescribed = page.locator("img").evaluate_all(
        "images => images.filter(i => !i.hasAttribute('alt') || (i.closest('main') && "
        "!i.alt.trim())).map(i => i.src)"
    )
    assert not undescribed, f"images without words: {undescribed}"
    for name, chart in charts(page):
        named = chart.locator(".chart-picture [role=img]").first
        assert named.count(), f"{name}: no image to a screen reader"
    nameless = page.locator("[role=img]").evaluate_all(
        "pictures => pictures.filter(p => !(p.getAttribute('aria-label') ?? '').trim())"
        ".map(p => p.outerHTML.slice(0, 100))"
    )
    assert not nameless, f"pictures without a description: {nameless}"


def formulas_are_written(page: Page) -> None:
    """Every formula is MathML with something in it, and none is raw TeX."""
    unseen = page.locator("article .math").evaluate_all(
        "boxes => boxes.filter(b => !b.querySelector('math')?.textContent.trim() || "
        "b.parentElement.checkVisibility() && !b.querySelector('math').getClientRects()[0]?.width)"
        ".map(b => b.textContent.trim().slice(0, 60))"
    )
    assert not unseen, f"formulas that are not seen: {unseen}"
    text = page.locator("body").evaluate(
        "body => { const copy = body.cloneNode(true);"
        "copy.querySelectorAll('pre, code, script, svg').forEach(e => e.remove());"
        "return copy.textContent }"
    )
    raw = re.findall(r".{0,30}(?:\\[(\[]|\$\$|\\(?:frac|sigma|mathrm)\b).{0,30}", text)
    assert not raw, f"raw TeX: {raw}"


def is_accessible(page: Page, *rules: str) -> None:
    """axe finds nothing against WCAG 2.1, A and AA, with all that unfolds unfolded.

    Of code, one word of each kind stands for all (see `thinOut`).
    """
    probes.prepare(page)
    page.evaluate("probes.thinOut()")
    # Without `preload` axe asks for no style sheet, at addresses that it gets wrong.
    options = {"resultTypes": ["violations"], "runOnly": rules or WCAG, "preload": False}
    found = Axe().run(page, options=options).response["violations"]
    lines = [
        f"{violation['id']}: {node['target'][0]}: "
        + "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
        for violation in found
        for node in violation["nodes"]
    ]
    assert not lines, "\n".join(lines)


def unfold(page: Page) -> None:
    """Open whatever is folded: hidden cells, solutions."""
    probes.prepare(page)
    page.evaluate("probes.openAll()")


def fits_the_window(page: Page) -> None:
    """Nothing makes the page scroll sideways, sticks out of the window or is cut off."""
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, f"{wide} px of page in a window of {window} px"
    probes.find_nothing(page, "stickingOut", "cutContents")


def can_be_printed(page: Page) -> None:
    """On paper: the text and its charts, dark on white, whole, and nothing that is for screens."""
    page.emulate_media(color_scheme="dark")
    page.locator("html:not([data-theme]), html[data-theme=dark]").wait_for()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    screen = page.locator(f":is({FOR_SCREENS}):visible")
    printed = screen.evaluate_all("boxes => boxes.map(box => box.className)")
    assert not printed, f"printed, though it is for screens: {printed}"
    for name, chart in charts(page):
        box = chart.locator(".chart-picture svg:visible").bounding_box()
        assert box["width"] > 50 and box["height"] > 50, f"{name}: too small to see on paper"
    fits_the_window(page)
    probes.find_nothing(page, "faintTexts", "faintMarks")


def theme_can_be_switched(page: Page) -> None:
    """The theme's button turns the page dark, with its charts, without loading it again."""
    probes.prepare(page)
    ink = "probes.ink('.chart-live [class*=role-axis] text')"
    before = page.evaluate(ink)
    page.evaluate("window.stayed = true")
    for _ in range(3):
        page.locator(".theme-switch-button:visible").first.click()
        if page.locator("html[data-theme=dark]").count():
            break
    assert page.locator("html[data-theme=dark]").count(), "the button does not lead to the dark"
    page.evaluate("probes.settled().then(() => null)")
    assert page.evaluate("window.stayed"), "the page was loaded again"
    assert before is None or page.evaluate(ink) != before, f"the charts' text stayed {before}"


def stands_without_script(page: Page) -> None:
    """With JavaScript off: static pictures are seen, what is folded opens, no control is dead."""
    for name, chart in charts(page):
        pictures = chart.locator(".chart-picture > svg:visible")
        assert pictures.count() == 1, f"{name}: {pictures.count()} static pictures"
        box = pictures.bounding_box()
        assert box["width"] > 50 and box["height"] > 50, f"{name}: too small to see"
    controls = page.locator(f":is({SLIDER}, select, button):visible")
    dead = controls.evaluate_all("controls => controls.map(c => c.outerHTML.slice(0, 100))")
    assert not dead, f"each moves nothing: {dead}"
    for fold in page.locator("main details").all():
        fold.locator("> summary").click()
        assert fold.get_attribute("open") is not None, "a fold that stays shut"
    hidden = page.locator("main .dropdown.admonition > :not(:visible)")
    assert not hidden.count(), "a solution that cannot be opened"


def finds(visit: Visit, word: str, chapter: str) -> None:
    """Typing a word into the search box leads to the chapter about it."""
    visit.page.locator("button.search-button__button:visible").first.click()
    visit.page.locator("input[type=search]:visible").first.fill(word)
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url("**/search.html?*")
    found = visit.page.locator(f"#search-results a[href*='{chapter}']").first
    expect(found, f"{word} is found in {chapter}").to_be_visible()
    found.click()
    visit.page.wait_for_url(f"**/{chapter}*")


def leads_back(visit: Visit, address: str, folder: Path) -> None:
    """The page for lost readers, who are anywhere below `address`, has links to the book."""
    links = visit.page.locator("a[href]").evaluate_all("links => links.map(a => a.href)")
    home = urlsplit(address).path.rstrip("/") + "/"
    away = [link for link in links if link.split("#")[0] != visit.page.url]
    own = [urlsplit(link).path for link in away if link.startswith(address)]
    dead = [path for path in own if not (folder / path.removeprefix(home)).is_file()]
    assert own, f"no link leads back to {address}"
    assert not dead, f"dead links: {dead}"
