"""The rules that every notebook keeps, read off the files: nothing is executed here."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from helpers.publishing import storing

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
CHART = "application/vnd.vegalite.v5+json"
PAGES = ("intro", "which-initializer", "questions", "benchmarks")  # no chapters
CHAPTERS = [path for path in NOTEBOOKS if path.stem not in PAGES]
LAUNCH = """import sys

if "google.colab" in sys.modules:  # which has neither the helpers nor two packages
    !test -d {name} || git clone -q --depth 1 {address}
    %pip install -q "altair>=6,<7" vl-convert-python
    sys.path.insert(0, "{name}/src")"""
EVERY = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return json.loads(path.read_text())


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def prose(notebook):
    return "\n".join(source(c) for c in notebook["cells"] if c["cell_type"] == "markdown")


def charts(notebook):
    """(cell, spec) of every chart."""
    return [
        (cell, output["data"][CHART])
        for cell in code_cells(notebook)
        for output in cell["outputs"]
        if CHART in output.get("data", {})
    ]


def faults_of_execution(notebook):
    """What would keep `pytest --nbval` from comparing every output."""
    faults = []
    for number, cell in enumerate(code_cells(notebook), start=1):
        if cell["execution_count"] != number:
            # nbval silently compares nothing of a cell that was never run.
            faults.append(f"code cell {number} has the count {cell['execution_count']}")
        tags = cell["metadata"].get("tags", [])
        asked = re.search(r"nbval|raises-exception|skip", " ".join(tags), re.IGNORECASE)
        if asked or re.search("nbval", source(cell), re.IGNORECASE):
            faults.append(f"code cell {number} asks to be passed over")
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                faults.append(f"code cell {number} stores an error")
            if output.get("name") == "stderr":
                faults.append(f"code cell {number} stores a warning")
    return faults


def faults_of_figures(notebook):
    """Every chart has a caption, a name of its own, a description, and is cited."""
    faults, names, text = [], [], prose(notebook)
    for cell, spec in charts(notebook):
        figure = cell["metadata"].get("mystnb", {}).get("figure", {})
        name = figure.get("name", "")
        names.append(name)
        if len(figure.get("caption", "")) < 40 or not name.startswith("fig-"):
            faults.append(f"a chart has no caption or name: {figure}")
        if name and f"`{name}`" not in text:
            faults.append(f"{name} is not cited in the text")
        if len(spec.get("description", "")) < 40:
            faults.append(f"{name} has no description")
    if len(names) != len(set(names)):
        faults.append(f"a name is used twice: {sorted(names)}")
    return faults


def longest_number(value):
    """The most significant digits of any float in a chart's data, also where many are a text."""
    if isinstance(value, dict):
        return max(map(longest_number, value.values()), default=0)
    if isinstance(value, list):
        return max(map(longest_number, value), default=0)
    if isinstance(value, str) and re.fullmatch(r"[-+\d.e |]+", value):
        numbers = [part for part in re.split(r"[ |]", value) if re.search(r"[.e]", part)]
        return max((longest_number(float(number)) for number in numbers), default=0)
    if isinstance(value, float):
        return len(re.sub(r"e.*|[-.]", "", repr(value)).strip("0"))
    return 0


@EVERY
def test_every_cell_was_run_and_will_be_compared(path):
    assert faults_of_execution(read(path)) == []


@EVERY
def test_nothing_is_stored_that_only_a_live_kernel_or_one_run_has(path):
    removed = storing.strip(nbformat.read(path, as_version=4))
    command = f"python -m helpers.publishing.storing {path.relative_to(ROOT)}"
    assert removed == [], f"to be removed by `make run-notebooks` or, without running, `{command}`"


@EVERY
def test_every_figure_is_captioned_named_described_and_cited(path):
    assert faults_of_figures(read(path)) == []


@EVERY
def test_charts_carry_four_significant_digits(path):
    for _, spec in charts(read(path)):
        assert longest_number(spec.get("datasets", {})) <= 4


@EVERY
def test_a_notebook_is_small(path):
    assert path.stat().st_size < 500_000


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_its_parts(path):
    notebook = read(path)
    text = prose(notebook)
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert {"Goals", "In practice", "Exercises", "Sources"} <= set(headings)
    assert len(re.findall(r"^```+\{exercise\}", text, flags=re.MULTILINE)) == 2
    assert len(re.findall(r"^```+\{solution\}[^\n]*\n:class: dropdown", text, re.MULTILINE)) == 2
    sliders = [s for _, s in charts(notebook) if any("bind" in p for p in s.get("params", []))]
    assert sliders, "no chart with a slider"


def test_the_rules_catch_what_they_are_for():
    """A fresh copy of a chapter, broken in every way at once."""
    notebook = read(CHAPTERS[0])
    first, second, third = code_cells(notebook)[:3]
    first["execution_count"] = None
    second["source"] = ["# NBVAL_IGNORE_OUTPUT\n", "1"]
    third["outputs"].append({"output_type": "stream", "name": "stderr", "text": "careful"})
    assert len(faults_of_execution(notebook)) == 3
    cell, spec = charts(notebook)[0]
    cell["metadata"] = {}
    spec["description"] = ""
    assert len(faults_of_figures(notebook)) == 2
    other, _ = charts(notebook)[1]
    other["metadata"]["mystnb"]["figure"]["name"] = "fig-nobody-cites-this"
    assert faults_of_figures(notebook)[-1] == "fig-nobody-cites-this is not cited in the text"
    assert longest_number({"a": [{"b": [0.12345, 1.0]}]}) == 5
    assert longest_number({"a": [{"b": "440 -1.2345e-05|2"}]}) == 5


def test_the_contents_name_every_chapter_and_no_other():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [contents["root"]]
    parts = contents.get("parts", [contents])
    chapters = [chapter for part in parts for chapter in part["chapters"]]
    chapters += [section for chapter in chapters for section in chapter.get("sections", ())]
    listed += [chapter["file"] for chapter in chapters]
    on_disk = {f"book/{p.stem}" for p in (*NOTEBOOKS, *BOOK.glob("*.md"))}
    assert len(listed) == len(set(listed)) and set(listed) == on_disk


@EVERY
def test_every_name_of_a_figure_or_equation_begins_with_its_chapter(path):
    text = prose(read(path))
    labels = re.findall(r"\$\$ \((eq-[^)]+)\)", text) + re.findall(r":label: (\S+)", text)
    strange = [label for label in labels if path.stem not in label]
    assert strange == []


@EVERY
def test_a_notebook_finds_the_helpers_on_colab_too(path):
    """Its first cell fetches them from this repository, and the page shows nothing of it."""
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    first = code_cells(read(path))[0]
    expected = LAUNCH.format(address=address, name=address.rpartition("/")[2])
    assert source(first) == expected, f"the first code cell is to be:\n{expected}"
    assert first["metadata"] == {"tags": ["remove-cell"]}


def stored(text, q):
    """A notebook that prints 0.1414 and draws it, with these two stored as its outputs."""
    chart = '{"datasets": {"data": [{"q": 0.1414}]}}'
    drawn = {CHART: {"datasets": {"data": [{"q": q}]}}, "text/plain": "chart"}
    new = nbformat.v4
    printing = new.new_output("execute_result", {"text/plain": text}, execution_count=1)
    drawing = new.new_output("display_data", drawn)
    display = f"display({{'{CHART}': {chart}, 'text/plain': 'chart'}}, raw=True)"
    return new.new_notebook(
        cells=[
            new.new_code_cell("0.1414", execution_count=1, outputs=[printing]),
            new.new_code_cell(display, execution_count=2, outputs=[drawing]),
        ]
    )


def test_nbval_fails_on_one_digit_of_a_text_or_of_a_chart(tmp_path):
    nbformat.write(stored("0.1414", 0.1414), tmp_path / "whole.ipynb")
    nbformat.write(stored("0.1415", 0.1414), tmp_path / "text.ipynb")
    nbformat.write(stored("0.1414", 0.1415), tmp_path / "drawn.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-rA"]
    run = subprocess.run([*command, "."], cwd=tmp_path, capture_output=True, text=True)
    outcomes = re.findall(r"^(PASSED|FAILED) (\w+)\.ipynb::Cell (\d)", run.stdout, re.MULTILINE)
    failed = {(name, cell) for outcome, name, cell in outcomes if outcome == "FAILED"}
    assert len(outcomes) == 6, run.stdout
    assert failed == {("text", "0"), ("drawn", "1")}
