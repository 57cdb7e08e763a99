"""What a reader may expect of the charts of a page, and of the controls that move them.

Charts are known by their roles and names: sliders, menus, and buttons that are called Reset, Play,
Pause, or "Set σ to He: 0.141".
"""

import math
import re

import probes
from playwright.sync_api import Locator, Page, expect

SLIDER = "input[type=range]"
MOTION = re.compile("^(Play|Pause)$")
LOOK = 200  # ms to wait for a chart that has no reason to move
LONG_LOOK = 2000  # ms to wait for one that plays, and may be resting


def charts(page: Page) -> list[tuple[str, Locator]]:
    """Return every chart of the page with the name that failures call it by."""
    return [(f"chart {n}", chart) for n, chart in enumerate(page.locator(".chart").all(), start=1)]


def marks(chart: Locator) -> str:
    """Return what Vega has drawn of the data: the shapes, without axes, legends and any text."""
    drawn = chart.locator(".chart-live .role-mark:not(.mark-text)").evaluate_all(
        "marks => marks.map(mark => mark.innerHTML)"
    )
    return re.sub(r"url\(#\w+\)", "", "".join(drawn))


def are_live(page: Page) -> None:
    """Every chart that is scrolled to gets drawn, with marks, and its static picture goes.

    It had the room from the start: what stands beneath it does not move.
    """
    for name, chart in charts(page):
        before = chart.bounding_box()["height"]
        chart.scroll_into_view_if_needed()
        chart.and_(page.locator(".chart-drawn")).wait_for()
        after = chart.bounding_box()["height"]
        assert abs(before - after) < 1, f"{name}: {before} px high, and {after} when drawn"
        assert marks(chart), f"{name}: live, but without marks"
        stayed = chart.locator(".chart-picture > svg").count()
        assert not stayed, f"{name}: the static picture stayed"


def can_be_read(page: Page) -> None:
    """Texts stand out from what lies behind them, marks of data from the page; none is cut."""
    probes.find_nothing(page, "faintTexts", "faintMarks", "cutTexts", "collidingTexts")


def controls_can_be_touched(page: Page) -> None:
    """Every control is as large as a fingertip, and lies over no other."""
    for name, chart in charts(page):
        boxes = []
        for control in chart.locator(f"{SLIDER}, select, button").all():
            box = control.bounding_box()
            named = f"{name}, {control.evaluate('c => c.ariaLabel || c.textContent')!r}"
            assert min(box["width"], box["height"]) >= 44, f"{named}: too small to touch"
            for other, its in boxes:
                apart = any(
                    max(box[at] - its[at] - its[size], its[at] - box[at] - box[size]) > -1
                    for at, size in (("x", "width"), ("y", "height"))
                )
                assert apart, f"{named} lies over {other}"
            boxes.append((named, box))


def controls_move_marks(page: Page) -> None:
    """Every slider and menu moves what is drawn, all the way; Reset brings the start back."""
    for name, chart in charts(page):
        controls = chart.locator(f"{SLIDER}, select")
        if not controls.count():
            continue
        start = marks(chart)
        for slider in chart.locator(SLIDER).all():
            _moves_marks(chart, slider, name)
        for menu in chart.locator("select").all():
            _chooses_marks(chart, menu, name)
        reset = chart.get_by_role("button", name="Reset")
        assert reset.count() == 1, f"{name}: {reset.count()} buttons named Reset"
        for key in ("End", "Home"):
            if reset.is_disabled():  # the last of the buttons led back to the start
                chart.locator(SLIDER).first.press(key)
        reset.click()
        for _ in range(40):
            if marks(chart) == start:
                break
            page.wait_for_timeout(25)
        assert marks(chart) == start, f"{name}: Reset does not bring the first drawing back"


def _moves_marks(chart: Locator, slider: Locator, name: str) -> None:
    slider.scroll_into_view_if_needed()
    label = (slider.get_attribute("aria-label") or "").strip()
    assert label, f"{name}: a slider without a name"
    name = f"{name}, slider {label}"
    box = slider.bounding_box()
    assert box["height"] >= 44, f"{name}: {box['height']} px high is hard to touch"

    at_end = slider.evaluate("s => Number(s.value) >= Number(s.max)")
    _press(chart, slider, "ArrowLeft" if at_end else "ArrowRight", name)
    drawn = {}
    for key, end in (("End", "max"), ("Home", "min"), ("End", "max"), ("Home", "min")):
        _press(chart, slider, key, name)
        value, last = slider.evaluate(f"s => [Number(s.value), Number(s.{end})]")
        assert math.isclose(value, last, abs_tol=1e-9), f"{name}: {key} goes to {value}, not {last}"
        drawn[end] = marks(chart)
    assert drawn["min"] != drawn["max"], f"{name}: both ends draw the same"
    before = marks(chart)
    slider.click(position={"x": box["width"] * 0.85, "y": box["height"] / 2})
    _wait_for_other_marks(chart, before, f"{name}: the mouse")

    output = slider.locator("xpath=following-sibling::output")
    shown = output.inner_text()
    digits = shown.lstrip("-−0.").replace(".", "")
    assert digits.isdigit() and len(digits) <= 4, f"{name}: shows {shown}: too many digits"
    for button in chart.get_by_role("button", name=re.compile(f"^Set {re.escape(label)} to")).all():
        button.click()
        named = button.evaluate("button => button.ariaLabel || button.textContent")
        value, wanted = output.inner_text(), named.rsplit(" ", 1)[-1]
        near = math.isclose(float(value), float(wanted), rel_tol=0.1)
        assert near, f'{name}: the button "{named}" sets {value}'


def _press(chart: Locator, slider: Locator, key: str, name: str) -> None:
    """Press a key; where that changes the value, wait until the marks have changed too."""
    before, value = marks(chart), slider.input_value()
    slider.press(key)
    if slider.input_value() != value:
        _wait_for_other_marks(chart, before, f"{name}: {key}")
    else:
        assert key in ("Home", "End"), f"{name}: {key} leaves it at {value}"


def _chooses_marks(chart: Locator, menu: Locator, name: str) -> None:
    label = (menu.get_attribute("aria-label") or "").strip()
    assert label, f"{name}: a menu without a name"
    first = menu.input_value()
    values = menu.locator("option").evaluate_all("options => options.map(o => o.value)")
    assert len(values) > 1, f"{name}, menu {label}: nothing to choose"
    others = [value for value in values if value != first]
    for value in [*others, first, others[-1]]:
        before = marks(chart)
        menu.select_option(value)
        _wait_for_other_marks(chart, before, f"{name}, menu {label}: {value}")


def _wait_for_other_marks(chart: Locator, before: str, by: str) -> None:
    for _ in range(40):
        if marks(chart) != before:
            return
        chart.page.wait_for_timeout(25)
    raise AssertionError(f"{by} moved no mark")


def _moves(chart: Locator, within: int) -> bool:
    before = marks(chart)
    for _ in range(max(1, within // 100)):
        chart.page.wait_for_timeout(100)
        if marks(chart) != before:
            return True
    return False


def nothing_moves_by_itself(page: Page) -> None:
    """For a reader who asked for less motion, no chart plays, and nothing is animated."""
    for name, chart in charts(page):
        chart.scroll_into_view_if_needed()
        plays = chart.get_by_role("button", name=MOTION).count()
        assert not _moves(chart, LONG_LOOK if plays else LOOK), f"{name} moves by itself"
    animated = page.evaluate(
        "document.getAnimations().filter(a => a.playState === 'running')"
        ".map(a => a.animationName ?? a.transitionProperty)"
    )
    assert not animated, f"animated: {animated}"


def motion_can_be_stopped(page: Page) -> None:
    """What moves by itself has a button named Pause, that works; Play sets it going again."""
    for name, chart in charts(page):
        chart.scroll_into_view_if_needed()
        button = chart.get_by_role("button", name=MOTION)
        if not button.count():
            assert not _moves(chart, LOOK), f"{name} moves by itself, without a button named Pause"
            continue
        if not _moves(chart, LONG_LOOK):
            button.click()
            assert _moves(chart, LONG_LOOK), f"{name}: Play moves nothing"
        expect(button, f"{name} moves").to_have_accessible_name("Pause")
        button.click()
        expect(button, f"{name} was stopped").to_have_accessible_name("Play")
        assert not _moves(chart, LONG_LOOK), f"{name} moves on after Pause"
        button.click()
        assert _moves(chart, LONG_LOOK), f"{name}: Play moves nothing after Pause"
        button.click()
