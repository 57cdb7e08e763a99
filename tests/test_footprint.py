"""The memory of a notebook: measured where it peaks, and limited where the system lets us."""

import nbformat
import pytest

from helpers import footprint, results
from helpers.__main__ import main

NEW = nbformat.v4
#: Beside the some 70 MB of a kernel that does nothing.
SMALL, LARGE = "1", "len(bytearray(300 * 2**20))"


def write(folder, name, *sources):
    cells = [NEW.new_markdown_cell("text"), *(NEW.new_code_cell(source) for source in sources)]
    nbformat.write(NEW.new_notebook(cells=cells), folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def test_the_peak_and_its_cell_are_found(tmp_path):
    row = footprint.measure(write(tmp_path, "peak", SMALL, LARGE, SMALL), None)
    assert 350 <= row["peak"] <= 500 and row["cell"] == 2
    assert row["ended"] == "yes" and row["imports"] is None


def test_a_notebook_that_fails_says_where(tmp_path):
    row = footprint.measure(write(tmp_path, "wrong", SMALL, "1 / 0", LARGE), None)
    assert row["ended"] == "no: code cell 2 raised ZeroDivisionError"
    assert row["cell"] == 1 and row["peak"] < 300


def test_beyond_the_limit_the_kernel_is_killed(tmp_path):
    paths = [write(tmp_path, "large", SMALL, LARGE), write(tmp_path, "small", SMALL)]
    with footprint.group(256) as place:
        if place is None:
            pytest.skip("no memory control group can be made here")
    table, provenance = footprint.bench(paths, limit=256)
    assert list(table.ended) == ["no: killed in code cell 2", "yes"]
    assert provenance["configuration"]["limit_mb"] == 256 and not place.exists()


def test_what_cannot_be_run_is_named(tmp_path):
    path = tmp_path / "empty.ipynb"
    path.write_text("")
    with pytest.raises(ValueError, match=r"empty\.ipynb could not be run: .*JSON"):
        footprint.measure(path, None)
    with pytest.raises(ValueError, match=r"page.*'xavier'"):
        footprint.notebooks(["xavier"])


def test_the_command_stores_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(footprint, "BOOK", tmp_path)
    write(tmp_path, "small", SMALL)
    monkeypatch.setattr(footprint, "notebooks", lambda names: [tmp_path / f"{names[0]}.ipynb"])
    line = ["bench", "memory", "--pages", "small", "--limit", "900", "--out", str(tmp_path)]
    assert main(line) == 0
    assert "small" in capsys.readouterr().out
    assert list(results.read("benchmarks-memory", tmp_path).notebook) == ["small"]
