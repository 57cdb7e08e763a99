"""Each check fails on a page that is broken in the way it looks for, and passes one that is not."""

import os
from pathlib import Path

import drawings
import files
import pytest
import reading
from conftest import Site
from playwright.sync_api import Browser

STRICT = (
    "<meta http-equiv='Content-Security-Policy' "
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)
SVG = '<svg role="img" aria-label="a line" width="200" height="100"><path d="M0,0h9"/></svg>'
LIVE = (
    '<div class="chart chart-drawn">{control}<div class="chart-picture"><div class="chart-live">'
    '<div role="img" aria-label="{label}"><svg width="200" height="100">{other}'
    '<g class="mark-symbol role-mark">{mark}</g></svg></div></div></div></div>'
)
SLIDER = (
    '<label><input type="range" aria-label="σ" min="0" max="1" step=".1" style="height:44px">'
    "<output>0.1</output></label>"
)
MENU = '<select aria-label="layers"><option>1</option><option>2</option></select>'
RESET = "<button>Reset</button>"
PLAY = "<button>Pause</button>"


def live(control: str = "", label: str = "a", mark: str = "<path d='M0,0h9'/>", other: str = ""):
    return LIVE.format(control=control, label=label, mark=mark, other=other)


def written(file: Path, body: str, head: str = "") -> Path:
    head = f"<meta charset=utf-8>{head}<title>x</title>"
    page = f"<html lang=en><head>{head}</head><body><main>{body}</main></body></html>"
    file.write_text(f"<!doctype html>{page}", encoding="utf-8")
    return file


@pytest.fixture
def opened(browser: Browser, folder_site: Site, tmp_path: Path):
    def open_page(body: str, head: str = "", **options):
        written(tmp_path / "page.html", body, head)
        (tmp_path / "favicon.ico").touch()
        return reading.visit(browser, f"{folder_site.url}/page.html", **options)

    return open_page


def wait_for_complaint(visit: reading.Visit) -> None:
    for _ in range(100):
        if visit.complaints:
            return
        visit.page.wait_for_timeout(20)


# What a page asks for and says


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


@pytest.mark.parametrize("script", ["console.error('x')", "undefined.x", "fetch('missing.json')"])
def test_a_complaint(opened, script):
    with opened(f"<script>{script}</script>") as visit:
        wait_for_complaint(visit)
        with pytest.raises(AssertionError, match="console"):
            reading.complains_about_nothing(visit)


def test_what_the_policy_refuses(opened):
    with opened('<img alt="a" src="http://elsewhere.test/a.png">', STRICT) as visit:
        wait_for_complaint(visit)
        with pytest.raises(AssertionError, match="elsewhere"):
            reading.complains_about_nothing(visit)


def test_a_heavy_page(opened, folder_site, tmp_path):
    (tmp_path / "a.png").write_bytes(os.urandom(reading.MOST_BYTES))
    with opened('<img src="a.png">') as visit, pytest.raises(AssertionError, match=r"a\.png"):
        reading.is_light(visit, folder_site.url, tmp_path)


def test_a_page_in_many_pieces(opened, folder_site, tmp_path):
    pieces = [f"{n}.js" for n in range(reading.MOST_REQUESTS)]
    for piece in pieces:
        (tmp_path / piece).write_text("0")
    with opened("".join(f'<script src="{piece}"></script>' for piece in pieces)) as visit:
        with pytest.raises(AssertionError, match="requests"):
            reading.is_light(visit, folder_site.url, tmp_path)


@pytest.mark.parametrize(
    ("head", "body", "message"),
    [
        ("", "", "no Content-Security-Policy"),
        ("<script></script>" + STRICT, "", "before its policy"),
        (STRICT.replace("'none'", "'none'; script-src 'unsafe-inline'"), "", "'unsafe-inline'"),
        (STRICT.replace("'none'", "'self'; script-src 'unsafe-eval'"), "", "'unsafe-eval'"),
        (STRICT.replace("'none'", "'self'; img-src https:"), "", "https:"),
        (STRICT.replace("'none'", "data:"), "", "data:"),
        (STRICT.replace("default-src", "img-src"), "", "no default-src"),
        (STRICT, '<a onclick="x()">x</a>', "onclick of <a>"),
        (STRICT, '<a href="javascript:x()">x</a>', "as links"),
    ],
)
def test_a_weak_policy(tmp_path, head, body, message):
    files.policy_is_strict(written(tmp_path / "strict.html", "<script></script>", STRICT))
    with pytest.raises(AssertionError, match=message):
        files.policy_is_strict(written(tmp_path / "weak.html", body, head))


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("no-such.html", "no such file"),
        ("../beyond.html", "no such file"),
        ("#nowhere", "0 ids"),
        ("other.html#nowhere", "0 ids"),
        ("#twice", "2 ids"),
        ("/page.html", "not relative"),
    ],
)
def test_a_dead_link(tmp_path, link, message):
    (tmp_path.parent / "beyond.html").touch()
    written(tmp_path / "other.html", '<p id="there">')
    alive = '<p id="here"><a href="#here"></a><a href="other.html?a#there"></a><a href="https://x">'
    files.links_are_alive(written(tmp_path / "alive.html", alive), tmp_path)
    dead = f'<p id="twice"><p id="twice"><a href="{link}">x</a>'
    with pytest.raises(AssertionError, match=message):
        files.links_are_alive(written(tmp_path / "page.html", dead), tmp_path)


# Words, formulas, boxes


@pytest.mark.parametrize(
    "body",
    [
        '<img src="data:,">',
        SVG.replace("a line", ""),
        live(label=" "),
        live(mark="").replace('role="img"', ""),
    ],
)
def test_a_picture_without_words(opened, body):
    with opened(body) as visit, pytest.raises(AssertionError):
        reading.pictures_are_described(visit.page)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<span class="math">σ</span>', "not seen"),
        ('<span class="math"><math></math></span>', "not seen"),
        ('<span class="math"><math style="display:none"><mi>σ</mi></math></span>', "not seen"),
        (r"If \(\sigma\) is small", "raw TeX"),
        (r"If $$\frac12$$", "raw TeX"),
        ('<span class="math"><math><mi>σ</mi></math></span><code>$$</code>', None),
    ],
)
def test_a_formula_that_is_not_written(opened, body, message):
    with opened(f"<article>{body}</article>") as visit:
        if message is None:
            reading.formulas_are_written(visit.page)
            return
        with pytest.raises(AssertionError, match=message):
            reading.formulas_are_written(visit.page)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<p style="color:#aaa">faint</p>', "color-contrast"),
        ('<details><p style="color:#aaa">faint</p></details>', "color-contrast"),
        ('<input type="range">', "label"),
        ('<pre><span class="k" style="color:#aaa">return</span></pre>', "color-contrast"),
        (
            '<pre style="overflow-x:auto;width:9em">' + "long " * 50,
            "scrollable-region-focusable",
        ),
        ('<pre><span class="k">if</span> <span class="k">not</span></pre><a href="#">x</a>', None),
    ],
)
def test_a_page_that_shuts_readers_out(opened, body, message):
    # Under a policy that allows no script: axe must get in all the same.
    with opened(body, STRICT) as visit:
        reading.unfold(visit.page)
        if message is None:
            reading.is_accessible(visit.page)
            return
        with pytest.raises(AssertionError, match=message):
            reading.is_accessible(visit.page)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<div style="width:600px">x</div>', "window of 360"),
        ('<div style="position:fixed;left:300px;width:99px">x</div>', "reaches from 300 to 399"),
        ('<p style="overflow:hidden;white-space:nowrap">' + "long " * 50, "hides"),
        ('<p style="overflow:auto;white-space:nowrap">' + "long " * 50, None),
    ],
)
def test_a_page_too_wide(opened, body, message):
    with opened(body, width=360) as visit:
        if message is None:
            reading.fits_the_window(visit.page)
            return
        with pytest.raises(AssertionError, match=message):
            reading.fits_the_window(visit.page)


# Charts


@pytest.mark.parametrize(
    "body",
    [
        f'<div class="chart"><div class="chart-picture">{SVG}</div></div>',
        live(mark=""),
        live().replace('<div class="chart-picture">', f'<div class="chart-picture">{SVG}'),
    ],
    ids=["never drawn", "without marks", "over its picture"],
)
def test_a_dead_chart(opened, body):
    with opened(body) as visit:
        visit.page.set_default_timeout(500)
        with pytest.raises(Exception, match=r"Timeout|without marks|stayed"):
            drawings.are_live(visit.page)


BAR = '<rect width="200" height="100" fill="#0072b2"/>'


@pytest.mark.parametrize(
    ("chart", "message"),
    [
        (live(other='<text y="50" fill="#999">faint</text>'), "#999999 on #ffffff"),
        (live(other='<text y="50" fill="#000" opacity=".3">faint</text>'), "#b3b3b3 on #ffffff"),
        (live(other=f'<g class="role-mark">{BAR}</g><text y="50">x</text>'), "#000000 on #0072b2"),
        (live(other='<text y="50" x="180">outside</text>'), "cut off"),
        (live(other='<text y="50">one</text><text y="50">two</text>'), "over each other"),
        (live(mark='<path d="M0,0h9v9" fill="#ddd"/>'), "#dddddd on #ffffff has a contrast of 1.3"),
        (live(mark='<path d="M0,0h9v9" fill="#0072b2" opacity=".55"/>'), "not 3"),
    ],
)
def test_a_chart_that_is_hard_to_read(opened, chart, message):
    with opened(chart) as visit, pytest.raises(AssertionError, match=message):
        drawings.can_be_read(visit.page)


def test_a_chart_that_is_easy_to_read(opened):
    marks = (
        '<clipPath id="frame"><rect width="200" height="60"/></clipPath>'
        f'<g class="role-mark" clip-path="url(#frame)">{BAR}</g>'
        '<text y="40" fill="#fff">on a bar</text><text y="90">below it</text>'
    )
    band = '<path d="M0,0h9v9" fill="#0072b2" opacity=".2"/>'
    scale = "".join(f'<rect width="9" height="9" fill="#{n}{n}{n}"/>' for n in "56789abcdef")
    chart = live(other=f'{marks}<g class="role-mark mark-rect">{scale}</g>', mark=band)
    with opened(chart) as visit:
        drawings.can_be_read(visit.page)


def drawing(event: str, on: str = "input") -> str:
    """A script that draws something else whenever `on` has the `event`."""
    return (
        f"<script>document.querySelector('{on}').addEventListener('{event}', () => {{"
        "document.querySelector('.role-mark').innerHTML = '<path d=M' + Math.random() + '>'})"
        "</script>"
    )


RESETTING = (
    "<script>const marks = document.querySelector('.role-mark'), first = marks.innerHTML;"
    "document.querySelector('button').addEventListener('click', () => marks.innerHTML = first)"
    "</script>"
)
ALIVE = drawing("input") + RESETTING
KEYS = (
    "<script>document.querySelector('input').addEventListener('keydown', (e) => {"
    "if (e.key === '%s') e.preventDefault()})</script>"
)


@pytest.mark.parametrize(
    ("control", "script", "message"),
    [
        (SLIDER, "", "ArrowRight moved no mark"),
        (SLIDER, drawing("keydown"), "the mouse moved no mark"),
        (SLIDER, KEYS % "End" + drawing("input"), "End leaves|End goes"),
        (SLIDER, KEYS % "Home" + drawing("input"), "Home leaves|Home goes"),
        (SLIDER.replace("aria-label", "title"), drawing("input"), "name"),
        (SLIDER.replace("44px", "16px"), drawing("input"), "touch"),
        (SLIDER.replace("0.1<", "0.07000000000000001<"), drawing("input"), "digits"),
        (SLIDER + '<button aria-label="Set σ to He: 0.141">He</button>', ALIVE, "sets 0.1"),
        (SLIDER, drawing("input"), "0 buttons named Reset"),
        (SLIDER + RESET, drawing("input"), "does not bring"),
        (MENU + RESET, RESETTING, "menu layers: 2 moved no mark"),
        (MENU.replace("<option>2</option>", "") + RESET, ALIVE, "nothing to choose"),
        (MENU.replace("aria-label", "title") + RESET, RESETTING, "without a name"),
    ],
)
def test_a_dead_control(opened, control, script, message):
    with opened(live(control) + script) as visit, pytest.raises(AssertionError, match=message):
        drawings.controls_move_marks(visit.page)


BUTTON = '<button style="position:absolute;top:0;left:{};width:{};height:44px">x</button>'


@pytest.mark.parametrize(
    ("left", "width", "message"),
    [("50px", "50px", "lies over"), ("60px", "30px", "too small"), ("60px", "50px", None)],
)
def test_controls_within_reach(opened, left, width, message):
    with opened(live(BUTTON.format("0", "60px") + BUTTON.format(left, width))) as visit:
        if message is None:
            drawings.controls_can_be_touched(visit.page)
            return
        with pytest.raises(AssertionError, match=message):
            drawings.controls_can_be_touched(visit.page)


def test_a_chart_that_grows(opened):
    grow = (
        "<script>const chart = document.querySelector('.chart');"
        "chart.style.marginTop = '2000px'; chart.classList.remove('chart-drawn');"
        "addEventListener('scroll', () => {"
        "chart.classList.add('chart-drawn'); chart.style.height = '400px'})</script>"
    )
    with opened(live() + grow) as visit, pytest.raises(AssertionError, match="400 when drawn"):
        drawings.are_live(visit.page)


def test_controls_that_work(opened):
    marked = SLIDER + '<button aria-label="Set σ to half: 0.105">half</button>'
    reset = RESETTING.replace("'button'", "'button:last-of-type'")
    script = drawing("input") + drawing("input", "select") + reset.replace("marks", "all")
    with opened(live(marked + MENU + RESET) + script) as visit:
        drawings.controls_move_marks(visit.page)


PLAYING = (
    "<script>let playing = {start};"
    "setInterval(() => {{ if (playing) document.querySelector('.role-mark').innerHTML ="
    " '<path d=M' + Math.random() + '>' }}, 50);"
    "document.querySelector('button')?.addEventListener('click', ({{ target }}) => {{"
    "playing = {click}; target.textContent = playing ? 'Pause' : 'Play' }})</script>"
)


@pytest.mark.parametrize(
    ("control", "click", "message"),
    [
        ("", "false", "without a button named Pause"),
        (PLAY, "true", "Play"),
        (PLAY.replace(">", ' aria-label="Stop">'), "!playing", "without a button named Pause"),
        (PLAY, "!playing", None),
    ],
)
def test_motion(opened, control, click, message):
    script = PLAYING.format(start="true", click=click)
    with opened(live(control) + script) as visit:
        with pytest.raises(AssertionError, match="moves by itself"):
            drawings.nothing_moves_by_itself(visit.page)
        if message is None:
            drawings.motion_can_be_stopped(visit.page)
            return
        with pytest.raises(AssertionError, match=message):
            drawings.motion_can_be_stopped(visit.page)


def test_an_endless_animation(opened):
    style = (
        "<style>@keyframes turn { to { rotate: 1turn } } p { animation: turn 1s infinite }</style>"
    )
    with opened("<p>x</p>", style) as visit, pytest.raises(AssertionError, match="turn"):
        drawings.nothing_moves_by_itself(visit.page)


# Without a script, on paper, in the dark, lost


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<div class="chart"><div class="chart-picture"></div></div>', "0 static pictures"),
        (SLIDER, "moves nothing"),
        ("<button>Full screen</button>", "moves nothing"),
        ('<div class="dropdown admonition"><p style="display:none">x</p></div>', "solution"),
    ],
)
def test_a_page_dead_without_script(opened, body, message):
    with opened(body, java_script_enabled=False) as visit:
        with pytest.raises(AssertionError, match=message):
            reading.stands_without_script(visit.page)


def test_a_page_that_stands_without_script(opened):
    chart = f'<div class="chart"><div class="chart-picture">{SVG}</div></div>'
    with opened(
        chart + "<details><summary>x</summary></details>", java_script_enabled=False
    ) as visit:
        reading.stands_without_script(visit.page)


PAPER = (
    "<style>@media print { .bd-sidebar { display: none } html { color: #000 !important } }</style>"
)
DARK = "<style>html { color: #fff; background: #000 } text { fill: currentColor }</style>"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<div class="bd-header">x</div>', "for screens"),
        (f'<div class="chart"><div class="chart-picture" style="zoom:.1">{SVG}', "too small"),
        ('<pre style="overflow:auto">' + "long " * 99, "hides"),
        (live(other='<text y="50" style="fill:#eee">faint</text>'), "#eeeeee on #ffffff"),
        ('<div class="bd-sidebar">x</div>' + live(other='<text y="50">dark</text>'), None),
    ],
)
def test_a_page_spoiled_on_paper(opened, body, message):
    with opened(body, DARK + PAPER, width=700) as visit:
        if message is None:
            reading.can_be_printed(visit.page)
            return
        with pytest.raises(AssertionError, match=message):
            reading.can_be_printed(visit.page)


SWITCH = (
    '<button class="theme-switch-button">dark</button><script>'
    "document.querySelector('button').addEventListener('click', () => {{ {} }})</script>"
)
GO_DARK = "document.documentElement.dataset.theme = 'dark'"


@pytest.mark.parametrize(
    ("script", "head", "message"),
    [
        ("0", "", "does not lead"),
        (GO_DARK, "", "stayed rgb"),
        (GO_DARK, "<style>[data-theme=dark] text { fill: #fff }</style>", None),
    ],
)
def test_a_theme_button(opened, script, head, message):
    chart = live(other='<g class="role-axis-label"><text y="50">x</text></g>')
    with opened(chart + SWITCH.format(script), head) as visit:
        if message is None:
            reading.theme_can_be_switched(visit.page)
            return
        with pytest.raises(AssertionError, match=message):
            reading.theme_can_be_switched(visit.page)


@pytest.mark.parametrize(("chapter", "found"), [("lsuv.html", True), ("other.html", False)])
def test_search(opened, tmp_path, chapter, found):
    written(tmp_path / "lsuv.html", "the chapter")
    written(tmp_path / "search.html", f'<div id="search-results"><a href="{chapter}">x</a></div>')
    form = '<form action="search.html"><input type="search" name="q"></form>'
    with opened(f'<button class="search-button__button">Search</button>{form}') as visit:
        if found:
            reading.finds(visit, "word", "lsuv.html")
            return
        with pytest.raises(AssertionError, match="word is found in lsuv"):
            reading.finds(visit, "word", "lsuv.html")


def test_a_lost_reader(opened, folder_site, tmp_path):
    with opened('<a href="book.html">back</a><a href="https://elsewhere.test">x</a>') as visit:
        (tmp_path / "book.html").touch()
        reading.leads_back(visit, folder_site.url, tmp_path)
    with opened('<a href="gone.html">back</a>') as visit:
        with pytest.raises(AssertionError, match="gone.html"):
            reading.leads_back(visit, folder_site.url, tmp_path)
    with opened("lost") as visit, pytest.raises(AssertionError, match="no link"):
        reading.leads_back(visit, folder_site.url, tmp_path)
