"""The live laboratory in a real JupyterLab: everything that a reader can move does something."""

import json
import statistics
import time
from collections.abc import Iterator

import laboratories
import nbformat
import notebooks
import pytest
from conftest import ROOT, Lab
from laboratories import Laboratory
from playwright.sync_api import Browser, expect

LATENCY = ROOT / "_build" / "latency-live.json"
NAME = "laboratory.ipynb"
MOVES = 20
#: Megabytes that the kernel had in memory at most (Linux counts in kilobytes).
PEAK = "__import__('resource').getrusage(__import__('resource').RUSAGE_SELF).ru_maxrss // 1024"
#: From a key that moves σ to the new picture in the page, in milliseconds.
MOVE = """({ box, slider }) => new Promise(done => {
    const watch = new MutationObserver(changes => {
        if (changes.some(({ target }) => target.querySelector?.('svg'))) {
            watch.disconnect();
            done(performance.now() - start);
        }
    });
    let start = Infinity;
    slider.addEventListener('keydown', () => start = performance.now(),
        { capture: true, once: true });
    watch.observe(box, { childList: true, subtree: true });
})"""


@pytest.fixture(scope="module")
def made(lab: Lab) -> Lab:
    """The folder of the notebooks, with one more that holds two laboratories."""
    cell = nbformat.v4.new_code_cell
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [cell(laboratories.SOURCE.strip()), cell("widgets.laboratory(twin)")]
    written = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
    nbformat.write(written, lab.folder / NAME)
    return lab


@pytest.fixture(scope="module")
def opened(browser: Browser, made: Lab) -> Iterator[Laboratory]:
    with notebooks.opened(browser, made, NAME) as notebook:
        notebook.run_all()
        yield Laboratory(notebook)
        notebook.asks_no_other_host()


@pytest.fixture
def laboratory(opened: Laboratory) -> Iterator[Laboratory]:
    """The first laboratory, as it was when its cell had run; and after the test, no worse."""
    opened.reset()
    opened.is_alone()
    yield opened
    opened.notebook.complains_about_nothing()
    assert "Traceback" not in opened.notebook.page.locator(".jp-OutputArea").first.inner_text()


def test_two_laboratories_stand_in_the_place_of_their_charts(laboratory: Laboratory):
    laboratory.is_alone()
    Laboratory(laboratory.notebook, 1).is_alone()


def test_arrow_keys_move_sigma_and_the_picture(laboratory: Laboratory):
    page, sigma = laboratory.notebook.page, laboratory.sigma()
    first = laboratory.seen()
    sigma.focus()
    assert laboratory.changes(lambda: page.keyboard.press("ArrowRight")) != first
    assert laboratory.changes(lambda: page.keyboard.press("ArrowLeft"))
    expect(sigma).to_be_focused()
    assert laboratory.seen() == first  # the same σ, the same picture


@pytest.mark.parametrize("label", ["Network", "Activation", "Data", "Scheme"])
def test_every_choice_of_a_menu_shows_something_else(laboratory: Laboratory, label: str):
    menu = laboratory.menu(label)
    before = menu.input_value()
    options = menu.locator("option").all_inner_texts()
    for option in [one for one in options if one != before] + [before]:
        shown = laboratory.changes(lambda option=option: menu.select_option(option))
        assert "<svg" in shown and "fw-error" not in shown, (option, shown[:400])


def test_an_error_is_a_sentence_and_the_next_choice_mends_it(laboratory: Laboratory):
    network, scheme = laboratory.menu("Network"), laboratory.menu("Scheme")
    laboratory.changes(lambda: network.select_option("batch normalization"))
    laboratory.changes(lambda: scheme.select_option("rai"))
    box = laboratory.box.locator(".fw-error:visible")
    expect(box).to_contain_text("'rai'")
    laboratory.changes(lambda: scheme.select_option("normal"))
    expect(box).to_have_count(0)
    laboratory.changes(lambda: network.select_option("perceptron"))


def test_marks_and_a_new_seed_change_the_picture(laboratory: Laboratory):
    for label in ("Glorot", "He", "PyTorch"):
        laboratory.changes(laboratory.button(label).click)
    laboratory.changes(laboratory.button("New seed").first.click)


def test_training_starts_stops_rewinds_and_takes_another_seed(laboratory: Laboratory):
    losses = "made.training.training.trial().losses"
    laboratory.tab("Train it").click()
    laboratory.start().click()
    laboratory.trains()
    laboratory.changes(lambda: None)  # it moves by itself
    clock = time.perf_counter()
    laboratory.button("Stop").click()
    laboratory.has_stopped()
    assert time.perf_counter() - clock <= 1
    stopped = laboratory.settles()
    first, steps = laboratory.kernel(f"{losses}[0]"), laboratory.kernel(f"len({losses})")
    laboratory.notebook.page.wait_for_timeout(500)
    assert laboratory.seen() == stopped and laboratory.kernel(f"len({losses})") == steps

    laboratory.changes(laboratory.button("Rewind").click)
    assert laboratory.kernel(f"len({losses})") == "0"
    laboratory.start().click()
    laboratory.trains()
    assert laboratory.kernel(f"{losses}[0]") == first
    laboratory.button("Stop").click()
    laboratory.has_stopped()

    laboratory.button("New seed").last.click()
    laboratory.start().click()
    expect(laboratory.box).to_contain_text("The run before", timeout=laboratories.SOON)
    laboratory.trains()
    assert laboratory.kernel(f"{losses}[0]") != first


def test_the_keyboard_reaches_every_control_and_works_it(laboratory: Laboratory):
    page = laboratory.notebook.page
    name_of_focused = """() => {
        const here = document.activeElement, slider = here.closest('.widget-slider');
        return here.closest('.first-weights-laboratory') && (here.labels?.[0]
            ?? slider?.querySelector('label') ?? here).textContent.trim();
    }"""
    laboratory.menu("Network").focus()
    names = []
    while (name := page.evaluate(name_of_focused)) and len(names) < 40:
        names.append(name)
        page.keyboard.press("Tab")
    wanted = {"Network", "Activation", "Scheme", "Data", "σ", "Width", "Depth", "Seed", "He"}
    assert wanted | {"New seed", "What flows"} <= set(names), names
    laboratory.tab("What flows").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(laboratory.start()).to_be_visible()
    laboratory.start().focus()
    page.keyboard.press("Enter")
    laboratory.trains()
    laboratory.button("Stop").focus()
    page.keyboard.press("Space")
    laboratory.has_stopped()


def test_it_is_accessible_and_left_as_a_picture(laboratory: Laboratory):
    for tab in ("Train it", "What flows"):
        laboratory.tab(tab).click()
        laboratory.is_accessible()
        name = f"laboratory-{tab.replace(' ', '-').lower()}.jpeg"
        notebooks.SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        laboratory.box.screenshot(path=notebooks.SCREENSHOTS / name, quality=80)


def test_how_long_a_move_takes_is_measured(laboratory: Laboratory):
    """No time is asked for: a test cannot know what else its machine does."""
    page, sigma = laboratory.notebook.page, laboratory.sigma()
    sigma.focus()
    handles = {"box": laboratory.box.element_handle(), "slider": sigma.element_handle()}
    times = []
    for number in range(MOVES):
        page.evaluate(f"handles => {{ window.moved = ({MOVE})(handles) }}", handles)
        page.keyboard.press("ArrowRight" if number % 4 < 2 else "ArrowLeft")
        times.append(page.evaluate("window.moved"))
        page.wait_for_timeout(100)
    found = {"median_ms": round(statistics.median(times), 1), "times_ms": times}
    found |= {"settings": laboratory.kernel("made.controls.settings()")}
    found |= {"kernel_peak_mb": int(laboratory.kernel(PEAK))}
    LATENCY.parent.mkdir(exist_ok=True)
    LATENCY.write_text(json.dumps(found, indent=1))
    print(f"σ moved to picture changed, median of {MOVES}: {found['median_ms']} ms")
    print(f"the kernel's memory, at most: {found['kernel_peak_mb']} MB")


def test_a_saved_notebook_opens_without_its_kernel(browser: Browser, made: Lab):
    with notebooks.opened(browser, made, NAME) as notebook:
        notebook.run_all()
        Laboratory(notebook).is_alone()
        notebook.saved()
    with notebooks.opened(browser, made, NAME) as notebook:
        notebook.draws_its_charts(2)
        for chart in notebook.page.locator(".jp-RenderedVegaLite").all():
            expect(chart).to_be_visible()
        assert notebook.page.locator(".first-weights-laboratory").count() == 0  # nothing dead
        notebook.asks_no_other_host()
