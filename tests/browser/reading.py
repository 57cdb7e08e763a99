"""What a reader may expect of a page, each as one function that a broken page fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Route

SLIDER = "input[type=range]"


@dataclass
class Visit:
    """One opened page, what it asked of other hosts, and what it complained about."""

    page: Page
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def visit(browser: Browser, address: str, width: int = 1280, **options: Any) -> Iterator[Visit]:
    """Open `address`; whatever is asked of another host is refused and recorded."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    context.set_default_timeout(20_000)
    visit = Visit(context.new_page())
    home = address.split("/", 3)[:3]

    def guard(route: Route) -> None:
        url = route.request.url
        if url.split("/", 3)[:3] == home or url.startswith("data:"):
            route.continue_()
        else:
            visit.elsewhere.append(url)
            route.abort()

    context.route("**/*", guard)
    visit.page.on(
        "console",
        lambda said: visit.complaints.append(said.text) if said.type == "error" else None,
    )
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


def charts_are_live(page: Page) -> None:
    """Every chart that is scrolled to gets drawn, with marks, and its static picture goes."""
    for chart in page.locator(".chart").all():
        chart.scroll_into_view_if_needed()
        chart.and_(page.locator(".chart-drawn")).wait_for()
        assert marks(chart), "a live chart without marks"
        assert not chart.locator(".chart-picture > svg").count(), "the static picture stayed"


def marks(chart: Locator) -> str:
    """Return what Vega has drawn of the data: the shapes, without axes, legends and titles."""
    return "".join(
        chart.locator(".chart-live .role-mark").evaluate_all(
            "marks => marks.map(mark => mark.innerHTML)"
        )
    )


def pictures_are_described(page: Page) -> None:
    """Every image and chart has words for those who cannot see it."""
    for image in page.locator("main img").all():
        assert (image.get_attribute("alt") or "").strip(), image.get_attribute("src")
    for picture in page.locator(".chart-picture").all():
        named = picture.locator("[role=img]").first
        assert named.count(), "a chart that is no image to a screen reader"
        assert (named.get_attribute("aria-label") or "").strip(), "a chart without a description"


def sliders_move_marks(page: Page) -> None:
    """Every slider moves what is drawn: by the arrow keys, and by the mouse."""
    for chart in page.locator(".chart").all():
        for slider in chart.locator(SLIDER).all():
            slider.scroll_into_view_if_needed()
            assert (slider.get_attribute("aria-label") or "").strip(), "a slider without a name"
            before = marks(chart)
            at_end = slider.evaluate("s => Number(s.value) >= Number(s.max)")
            slider.press("ArrowLeft" if at_end else "ArrowRight")
            _wait_for_other_marks(chart, before, "the arrow key")
            before, box = marks(chart), slider.bounding_box()
            assert box["height"] >= 44, f"a slider {box['height']} px high is hard to touch"
            low_half = slider.evaluate("s => s.value - s.min < (s.max - s.min) / 2")
            across = 0.85 if low_half else 0.15
            slider.click(position={"x": box["width"] * across, "y": box["height"] / 2})
            _wait_for_other_marks(chart, before, "the mouse")
            shown = slider.locator("xpath=following-sibling::output").inner_text()
            assert len(shown.lstrip("-0.").replace(".", "")) <= 4, f"{shown}: too many digits"


def _wait_for_other_marks(chart: Locator, before: str, by: str) -> None:
    for _ in range(40):
        if marks(chart) != before:
            return
        chart.page.wait_for_timeout(25)
    raise AssertionError(f"{by} moved a slider and no mark")


def fits_the_window(page: Page) -> None:
    """Nothing makes the page scroll sideways."""
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, f"{wide} px of page in a window of {window} px"
    for chart in page.locator(".chart").all():
        box = chart.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= window, "a chart over the edge"


def stands_without_script(page: Page) -> None:
    """With JavaScript off: each chart's static picture is seen, and no dead control is."""
    for chart in page.locator(".chart").all():
        pictures = chart.locator(".chart-picture > svg:visible")
        assert pictures.count() == 1, f"{pictures.count()} static pictures"
        box = pictures.bounding_box()
        assert box["width"] > 50 and box["height"] > 50, "a static picture too small to see"
    assert not page.locator(f"{SLIDER}:visible").count(), "a slider that moves nothing"
