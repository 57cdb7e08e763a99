"""Every notebook of the book, run in a real JupyterLab, is what was committed, and alive."""

import nbformat
import notebooks
import pytest
from conftest import ROOT, Lab
from laboratories import Laboratory
from notebooks import CHART, Notebook
from playwright.sync_api import Browser

from helpers.publishing import storing

NAMES = sorted(path.name for path in (ROOT / "book").glob("*.ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_gives_what_was_committed(browser: Browser, lab: Lab, name: str):
    committed = nbformat.read(ROOT / "book" / name, as_version=4)
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    charts = sum(CHART in output.get("data", {}) for cell in code for output in cell.outputs)
    with notebooks.opened(browser, lab, name) as notebook:
        notebook.run_all()
        notebook.draws_its_charts(charts)
        notebook.picture()
        saved = notebook.saved()
        source = "".join(cell.source for cell in code)
        laboratories_are_alive(notebook, source.count("widgets.laboratory("))
        notebook.asks_no_other_host()
        notebook.complains_about_nothing()
    storing.strip(saved)
    ran = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in ran] == list(range(1, len(code) + 1))
    for number, (before, after) in enumerate(zip(code, ran, strict=True), start=1):
        kinds = {output.get("name", output.output_type) for output in after.outputs}
        assert not kinds & {"error", "stderr"}, f"code cell {number}: {after.outputs}"
        assert after.outputs == before.outputs, f"code cell {number} gives something else"
    assert saved.cells == committed.cells


def laboratories_are_alive(notebook: Notebook, number: int):
    """Each has taken the place of its chart and follows a key and a button."""
    assert notebook.page.locator(".first-weights-laboratory").count() == number
    for one in (Laboratory(notebook, at) for at in range(number)):
        one.is_alone()
        if one.sigma().is_visible():  # as it is for all networks but the LSTM
            one.button("PyTorch").click()
            one.settles()
            one.changes(one.button("Glorot").click)  # another σ, wherever it stood at first
            one.settles()
            one.sigma().focus()
            one.changes(lambda: notebook.page.keyboard.press("ArrowRight"))
            one.settles()
        one.changes(one.button("New seed").first.click)
        one.is_accessible()
