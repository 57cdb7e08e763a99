"""Each check of `reading.py` fails on a page that is broken in the way it looks for."""

from pathlib import Path

import pytest
import reading
from conftest import Site
from playwright.sync_api import Browser

SVG = '<svg role="img" aria-label="a line" width="200" height="100"><path d="M0,0h9"/></svg>'
LIVE = (
    '<div class="chart chart-drawn">{control}<div class="chart-picture"><div class="chart-live">'
    '<div role="img" aria-label="{label}"><svg><g class="role-mark">{mark}</g></svg>'
    "</div></div></div></div>"
)
SLIDER = (
    '<label><input type="range" aria-label="σ" min="0" max="1" step=".1" style="height:44px">'
    "<output>0.1</output></label>"
)


@pytest.fixture
def opened(browser: Browser, folder_site: Site, tmp_path: Path):
    def open_page(body: str, head: str = "", **options):
        head = f"<meta charset=utf-8><title>x</title>{head}"
        text = f"<!doctype html><html><head>{head}</head><body><main>{body}</main></body></html>"
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        (tmp_path / "favicon.ico").touch()
        return reading.visit(browser, f"{folder_site.url}/page.html", **options)

    return open_page


@pytest.mark.parametrize(
    "body",
    [
        '<img alt="a" src="http://elsewhere.test/a.png">',
        '<script src="https://cdn.test/a.js"></script>',
    ],
)
def test_another_host(opened, body):
    with opened(body) as visit, pytest.raises(AssertionError, match="elsewhere"):
        reading.asks_no_other_host(visit)


def wait_for_complaint(visit: reading.Visit) -> None:
    for _ in range(100):
        if visit.complaints:
            return
        visit.page.wait_for_timeout(20)


@pytest.mark.parametrize("script", ["console.error('x')", "undefined.x", "fetch('missing.json')"])
def test_a_complaint(opened, script):
    with opened(f"<script>{script}</script>") as visit:
        wait_for_complaint(visit)
        with pytest.raises(AssertionError, match="console"):
            reading.complains_about_nothing(visit)


def test_what_the_policy_refuses(opened):
    policy = "<meta http-equiv='Content-Security-Policy' content=\"img-src 'self'\">"
    with opened('<img alt="a" src="http://elsewhere.test/a.png">', policy) as visit:
        wait_for_complaint(visit)
        with pytest.raises(AssertionError, match="elsewhere"):
            reading.complains_about_nothing(visit)


@pytest.mark.parametrize(
    "body",
    [
        f'<div class="chart"><div class="chart-picture">{SVG}</div></div>',
        LIVE.format(control="", label="a", mark=""),
        LIVE.format(control="", label="a", mark="<path/>").replace(
            '<div class="chart-picture">', f'<div class="chart-picture">{SVG}'
        ),
    ],
    ids=["never drawn", "without marks", "over its picture"],
)
def test_a_dead_chart(opened, body):
    with opened(body) as visit:
        visit.page.set_default_timeout(500)
        with pytest.raises(Exception, match=r"Timeout|without marks|stayed"):
            reading.charts_are_live(visit.page)


@pytest.mark.parametrize(
    "body",
    [
        '<img src="data:,">',
        LIVE.format(control="", label=" ", mark="<path/>"),
        LIVE.format(control="", label="a", mark="").replace('role="img"', ""),
    ],
)
def test_a_picture_without_words(opened, body):
    with opened(body) as visit, pytest.raises(AssertionError):
        reading.pictures_are_described(visit.page)


DRAW = (
    "<script>document.querySelector('input').addEventListener('{event}', () => {{"
    "document.querySelector('.role-mark').innerHTML = '<path d=M' + Math.random() + '>'}})</script>"
)


@pytest.mark.parametrize(
    ("control", "script", "message"),
    [
        (SLIDER, "", "arrow key"),
        (SLIDER, DRAW.format(event="keydown"), "mouse"),
        (SLIDER.replace("aria-label", "title"), DRAW.format(event="input"), "name"),
        (SLIDER.replace("44px", "16px"), DRAW.format(event="input"), "touch"),
        (SLIDER.replace("0.1<", "0.07000000000000001<"), DRAW.format(event="input"), "digits"),
    ],
)
def test_a_dead_slider(opened, control, script, message):
    body = LIVE.format(control=control, label="a", mark="<path/>") + script
    with opened(body) as visit, pytest.raises(AssertionError, match=message):
        reading.sliders_move_marks(visit.page)


def test_a_slider_that_works(opened):
    body = LIVE.format(control=SLIDER, label="a", mark="<path/>") + DRAW.format(event="input")
    with opened(body) as visit:
        reading.sliders_move_marks(visit.page)


def test_a_page_too_wide(opened):
    with opened('<div style="width:600px">x</div>', width=360) as visit:
        with pytest.raises(AssertionError, match="window of 360"):
            reading.fits_the_window(visit.page)


@pytest.mark.parametrize(
    "body", ['<div class="chart"><div class="chart-picture"></div></div>', SLIDER]
)
def test_a_page_dead_without_script(opened, body):
    with opened(body, java_script_enabled=False) as visit:
        with pytest.raises(AssertionError, match="0 static pictures|moves nothing"):
            reading.stands_without_script(visit.page)
