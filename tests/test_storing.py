"""What a run leaves in a notebook, and what of that may be committed."""

import json
from pathlib import Path

import nbformat
import pytest

from helpers.publishing import MIME_TYPE, PLAIN_TEXT, storing

NEW = nbformat.v4
CHART = {MIME_TYPE: {"mark": "point"}, "text/plain": PLAIN_TEXT}
VIEW = {storing.WIDGET: {"model_id": "1", "version_major": 2, "version_minor": 0}}
COMMITTED = Path(__file__).parents[1] / "book" / "glorot.ipynb"


def notebook(*bundles, **metadata):
    outputs = [NEW.new_output("display_data", dict(bundle)) for bundle in bundles]
    cell = NEW.new_code_cell("1", id="a", execution_count=1, outputs=outputs)
    return NEW.new_notebook(cells=[cell], metadata=metadata)


def bundles(notebook):
    return [dict(output.data) for output in notebook.cells[0].outputs]


def test_widgets_times_and_pictures_go_and_all_else_stays():
    plot = {"image/png": "cGljdHVyZQ==", "text/plain": "a figure"}
    fit = notebook(CHART, CHART, plot, kernelspec={"name": "python3", "display_name": "Python"})
    run = notebook(
        CHART | {"image/png": "cGljdHVyZQ=="},
        CHART | VIEW,
        VIEW,
        plot,
        kernelspec=fit.metadata.kernelspec,
        widgets={"application/vnd.jupyter.widget-state+json": {}},
    )
    run.cells[0].metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    run.cells[0].outputs[1].metadata[storing.WIDGET] = {"some": "thing"}
    assert storing.strip(run) == [
        "the state of widgets",
        "the times at which code cell 1 ran",
        "JupyterLab's picture of a chart in code cell 1",
        "a live widget in code cell 1",
        "a live widget in code cell 1",
    ]
    assert run == fit
    assert storing.strip(run) == []


def test_streams_errors_and_results_are_left_alone():
    outputs = [
        NEW.new_output("stream", name="stdout", text="1\n"),
        NEW.new_output("execute_result", {"text/plain": "1"}, execution_count=1),
        NEW.new_output("error", ename="E", evalue="e", traceback=[]),
    ]
    cell = NEW.new_code_cell("1", id="a", outputs=outputs, metadata={"tags": ["hide-input"]})
    kept = NEW.new_notebook(cells=[cell, NEW.new_markdown_cell("text", id="b")])
    before = json.dumps(kept)
    assert storing.strip(kept) == [] and json.dumps(kept) == before


def test_a_notebook_that_is_fit_is_not_written(tmp_path):
    path = tmp_path / "fit.ipynb"
    path.write_text(COMMITTED.read_text("utf-8") + "\n", "utf-8")  # not as anything would write it
    before = path.read_bytes()
    assert storing.store(path) == [] and path.read_bytes() == before


def test_what_is_written_is_the_committed_file_again(tmp_path, capsys):
    """Left over and removed again: the bytes are those that nbconvert wrote."""
    left = nbformat.read(COMMITTED, as_version=4)
    for cell in left.cells:
        if cell.cell_type == "code":
            cell.metadata["execution"] = {"shell.execute_reply": "2026-01-01T00:00:00Z"}
    path = tmp_path / "run.ipynb"
    nbformat.write(left, path)
    assert storing.main([str(path)]) == 0
    assert path.read_bytes() == COMMITTED.read_bytes()
    assert f"{path}: removed the times at which code cell 1 ran" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "{}", '{"nbformat": 3}', "not JSON", "[1]", "\xff"])
def test_what_is_no_notebook_is_refused_by_name_and_left_as_it_is(tmp_path, capsys, content):
    path = tmp_path / "wrong.ipynb"
    path.write_bytes(content.encode("latin-1"))
    assert storing.main([str(path)]) == 2
    assert f"error: {path} is no notebook" in capsys.readouterr().err
    assert path.read_bytes() == content.encode("latin-1")
    assert storing.main([str(tmp_path / "missing.ipynb")]) == 2
    assert "missing.ipynb" in capsys.readouterr().err
    assert storing.main([]) == 2
