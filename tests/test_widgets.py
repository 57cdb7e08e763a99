"""The laboratory's view: what it shows for every setting, and that no control ever dies."""

import asyncio
import math
import re
import threading
import time
from xml.etree import ElementTree

import altair as alt
import nbclient
import nbformat
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import __main__, latency, widgets
from helpers.activations import ACTIVATIONS
from helpers.initializers import SCHEMES
from helpers.laboratory import NETWORKS, Settings, Trial, examples, flow
from helpers.laboratory.words import verdict
from helpers.widgets import drawing, laboratory_view, pictures, training_view
from helpers.widgets.newest import Newest

_NO_WORD = re.compile(r"\b(nan|inf|infinity|none)\b", re.IGNORECASE)


def lab(**options) -> widgets.Laboratory:
    """A small laboratory that a front end shows."""
    made = widgets.laboratory("the chart", **({"width": 16, "depth": 2} | options))
    made._view_count = 1
    return made


def texts(html: str) -> list[str]:
    """What well-formed HTML says, and where its lines run."""
    root = ElementTree.fromstring(f"<div>{html}</div>")
    said = [*root.itertext()]
    for element in root.iter():
        said += [element.get(name, "") for name in ("aria-label", "d", "cx", "cy", "x", "y")]
    return said


def settle(made: widgets.Laboratory) -> Trial:
    assert made.training.training.wait(60)
    made.training.refresh()
    return made.training.training.trial()


@st.composite
def any_settings(draw) -> Settings:
    """Every choice, numbers from one end to the other; wide and deep networks are rare."""
    depth = draw(st.integers(1, 12).map(lambda value: 50 if value == 12 else value))
    widest = 512 if depth < 4 else 64
    width = draw(st.integers(1, 24).map(lambda value: widest if value == 24 else value))
    network, scheme = draw(st.sampled_from([*NETWORKS])), draw(st.sampled_from([*SCHEMES]))
    if network == "batch normalization" and scheme == "rai":
        scheme = "he"
    return Settings(
        network,
        scheme,
        draw(st.floats(-8, 8).map(lambda log: 10.0**log)),
        width,
        depth,
        draw(st.sampled_from([*ACTIVATIONS])),
        draw(st.sampled_from(["digits", "noise"])),
        draw(st.integers(0, 2**31 - 1)),
        draw(st.floats(-1e3, 1e3)),
    )


@settings(
    max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(any_settings())
def test_every_setting_has_a_picture_in_numbers_and_words(chosen):
    found = flow(chosen, images=8)
    cards = pictures.flow_cards(found)
    shown = [*verdict(found), str(chosen)]
    for card in cards:
        assert card.startswith('<svg viewBox="0 0 360 400" role="img" aria-label="')
        shown += texts(card)
    assert not _NO_WORD.search("\n".join(shown))


def test_the_largest_network_is_drawn():
    assert len(pictures.flow_cards(flow(Settings(width=512, depth=50)))) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, 1e-320])
def test_training_is_drawn_whatever_the_losses(bad):
    losses = ((2.3, 2.3), (bad, 1.0), (bad, bad))
    trial = Trial("running", 3, 4, losses, ((0, (0.1, 0.2)), (2, (0.5, 0.0))), "")
    for card in pictures.training_cards([(trial, "#000"), (trial, "#fff")]):
        assert not _NO_WORD.search("\n".join(texts(card)))
    assert pictures.training_cards([(Trial("ready", 0, 0, (), (), ""), "#000")])


def test_what_is_not_finite_breaks_a_line():
    panel = drawing.Panel(0, 0, 100, 100, (0, 4), (0, 1))
    drawn = panel.line([(0, 0), (1, math.nan), (2, 1), (3, math.inf), (4, 1)], "red")
    assert 'd="M0,100M50,0M100,0"' in drawn


@pytest.mark.parametrize("low, high", [(-1, 1), (0, 1e-3), (-2.2, 310), (0, 0), (3, 1e6)])
def test_axes_have_a_few_round_ticks(low, high):
    ticks = drawing.even_ticks(low, high)
    assert len(ticks) <= 6 and all(low - 1e-9 <= value <= high + 1e-6 for value, _ in ticks)


def test_nothing_is_computed_before_it_is_shown():
    made = widgets.laboratory("the chart")
    assert made.figure.value == "" and made.training.training is None
    made._view_count = 1
    assert "<svg" in made.figure.value


def test_a_move_draws_anew_and_a_mark_sets_what_theory_names():
    made = lab(scheme="he")
    assert made.controls.sigma.disabled
    he = next(button for button in made.controls.sigmas if button.description == "He")
    he.click()
    assert made.controls.settings().sigma == pytest.approx(math.sqrt(2 / 16))
    assert made.controls.scheme.value == "normal" and not made.controls.sigma.disabled
    before = made.figure.value
    made.controls.sigma.value = 0.01
    assert made.figure.value != before


def test_what_means_nothing_is_not_shown():
    made = lab()
    hidden = [c for c in made.controls.children if c.layout.display == "none"]
    assert hidden == [made.controls.forget]
    made.controls.network.value = "lstm"
    hidden = [c for c in made.controls.children if c.layout.display == "none"]
    controls = made.controls
    assert hidden == [controls.activation, controls.scheme, controls.sigma, controls.depth]


def test_every_control_has_a_label():
    made = lab()
    todo, found = [made], 0
    while todo:
        widget = todo.pop()
        todo += getattr(widget, "children", ())
        if hasattr(widget, "value") and not isinstance(widget, widgets.laboratory_view.w.HTML):
            found += 1
            assert widget.description
    assert found == 11


def test_errors_are_one_sentence_and_the_controls_live_on(monkeypatch):
    made = lab(scheme="rai")
    made.controls.network.value = "batch normalization"
    assert "The scheme &#x27;rai&#x27; draws" in made.verdict.value
    made.controls.scheme.value = "he"
    assert "Activations" in made.verdict.value

    def broken(_):
        raise KeyError("<oops>")

    monkeypatch.setattr(laboratory_view, "flow", broken)
    made.controls.depth.value = 3
    assert "KeyError: &#x27;&lt;oops&gt;&#x27;. Change a setting" in made.verdict.value
    monkeypatch.undo()
    made.controls.depth.value = 4
    assert "Activations" in made.verdict.value


def test_two_runs_stand_side_by_side(monkeypatch):
    monkeypatch.setattr(training_view, "EPOCHS", 2)
    made = lab(scheme="normal", sigma=0.2)
    made.training.start.click()
    first = settle(made)
    assert first.state == "done" and pictures.BEFORE not in made.training.charts.value
    made.controls.sigma.value = 0.5
    made.training.start.click()
    second = settle(made)
    assert second.losses != first.losses
    assert made.training.before[1] == first and "σ = 0.2" in made.training.before[0]
    assert pictures.BEFORE in made.training.charts.value
    assert "σ = 0.5" in made.training.charts.value
    made.training.rewind.click()
    assert made.training.training.trial().state == "ready" and made.training.before
    made.training.start.click()
    assert settle(made) == second


def test_training_stops_by_its_button_and_settings_may_change_meanwhile():
    made = lab(width=64, depth=8)
    made.training.start.click()
    assert made.training.start.disabled and not made.training.stop.disabled
    assert "fw-error" not in made.training.status.value
    made.controls.width.value = 32
    made.training.refresh()
    assert not made.training.start.disabled  # with the new settings
    made.training.stop.click()
    assert settle(made).state == "stopped"
    made.controls.width.value = 64
    assert made.training.start.description == "Go on"
    made.training.seed.click()
    assert made.training.start.description == "Start"


def test_training_that_nobody_sees_is_stopped():
    for leave in (lambda made: made.set_trait("_view_count", 0), lambda made: made.close()):
        made = lab(width=64, depth=8)
        made.training.start.click()
        leave(made)
        assert made.training.training.wait(10)
        assert made.training.training.trial().state == "stopped"
    assert not [t for t in threading.enumerate() if t.name == "laboratory"]


def test_a_failed_training_is_told(monkeypatch):
    made = lab()

    def broken(*_):
        raise MemoryError

    monkeypatch.setattr(examples, "load", broken)
    made.training.start.click()
    assert settle(made).state == "failed"
    assert "There is not enough memory" in made.training.status.value
    monkeypatch.undo()
    monkeypatch.setattr(training_view, "EPOCHS", 1)
    made.training.start.click()
    assert settle(made).state == "done"


def test_only_the_newest_wish_is_worked_on():
    done = []

    async def many() -> None:
        newest = Newest(lambda: done.append(time.perf_counter()))
        for _ in range(5):
            newest.wish()
        await asyncio.sleep(0.05)
        newest.wish()
        newest.forget()
        await asyncio.sleep(0.05)

    asyncio.run(many())
    assert len(done) == 1


def test_a_kernel_gives_the_chart_as_ever_and_the_view_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))  # no kernel of the user's own
    source = (
        """
import altair, pandas
from helpers import charts, widgets
chart = altair.Chart(pandas.DataFrame({"x": [1, 2]})).mark_point().encode(x="x:Q")
display(chart)
""",
        "widgets.laboratory(chart, depth=2)",
    )
    cells = [nbformat.v4.new_code_cell(text) for text in source]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    (alone,), (twin, view) = (cell.outputs for cell in notebook.cells)
    assert twin == alone and "vegalite" in str(twin)
    assert list(view.data) == [laboratory_view.VIEW]


def test_wrong_settings_are_named():
    chart = alt.Chart(pd.DataFrame()).mark_point()
    with pytest.raises(ValueError, match="Unknown scheme 'hey'. Did you mean 'he'"):
        widgets.laboratory(chart, scheme="hey")


def test_the_latency_of_every_network_is_measured(monkeypatch, capsys):
    small = {name: Settings(n, "normal", width=4, depth=1) for name, n in zip("ABCD", NETWORKS)}
    monkeypatch.setattr(latency, "NETWORKS", small)
    assert __main__.main(["bench", "widgets", "--rounds", "3"]) == 0
    assert "memory, MB:" in capsys.readouterr().out
    table, provenance = latency.widgets(moves=3)
    assert table.network.tolist() == list("ABCD")
    assert (table.fastest <= table["median"]).all() and (table["median"] <= table.slowest).all()
    assert (table.kilobytes > 1).all()
    assert provenance["configuration"]["moves"] == 3
