"""The printed book: what is made of the pages for LaTeX, and what the press lets pass."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat import v4

from helpers import publishing
from helpers.publishing import drawing, frames, press, printing

SLIDER = {"name": "s", "value": -1.0, "bind": {"input": "range", "min": -2, "max": 0, "name": "s "}}


def cells_of(table):
    return [[entry.astext() for entry in row] for row in table.findall(printing.nodes.row)]


def test_a_frame_becomes_a_table_with_its_index_at_the_left():
    frame = pd.DataFrame({("a", "x"): [1, 2, 3], ("a", "y"): [4, 5, 6], ("b", "x"): [7, 8, 9]})
    frame.index = pd.MultiIndex.from_tuples([("p", "q"), ("p", "r"), ("s", "q")])
    spec, table = frames.table_of(frame.to_html())
    assert spec["spec"] == "llRRR"
    head, below, *body = cells_of(table)
    assert (head, below) == (["", "", "a", "b"], ["", "", "x", "y", "x"])
    assert [entry.get("morecols", 0) for entry in next(table.findall(printing.nodes.row))] == [
        *(0, 0),
        *(1, 0),
    ]
    # A cell over two rows stands in the first, with a blank under it.
    assert body == [["p", "q", *"147"], ["", "r", *"258"], ["s", "q", *"369"]]


def test_html_that_is_no_frame_is_refused():
    with pytest.raises(ValueError, match="expected the HTML of a data frame, got '<b>no</b>'"):
        frames.table_of("<b>no</b>")


def test_where_the_sliders_of_a_printed_chart_stand():
    menu = {"name": "m", "value": "relu", "bind": {"input": "select", "options": ["relu"]}}
    assert drawing.start_state({"params": [SLIDER, menu]}) == "s = -1, m = relu"
    told = {"usermeta": {"controls": {"s": {"label": "σ", "log": True}}}}
    assert drawing.start_state({"params": [SLIDER]} | told) == "σ = 0.1"
    assert drawing.start_state({"params": [{"name": "z", "bind": "scales"}]}) == ""


def chart():
    return {
        "data": {"values": [{"x": 1}]},
        "mark": "point",
        "encoding": {"x": {"field": "x", "type": "quantitative"}},
        "description": "One point",
        "params": [SLIDER],
    }


def cell(number, source, shown, tags=(), **figure):
    metadata = {"tags": list(tags)} | ({"mystnb": {"figure": figure}} if figure else {})
    output = v4.new_output("execute_result", data=shown, execution_count=number)
    return v4.new_code_cell(
        source, id=f"c{number}", execution_count=number, outputs=[output], metadata=metadata
    )


@pytest.fixture(scope="module")
def latex(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The LaTeX of a book of three pages: its front, a numbered chapter, one without a number."""
    folder = tmp_path_factory.mktemp("printed")
    frame = pd.DataFrame({"size": [0.25]}, index=["σ"])
    shown = {"text/html": frame.to_html(), "text/plain": frame.to_string()}
    first = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# First\n\nSee {numref}`fig-one`.", id="text"),
            cell(1, "subject = 1", shown),
            cell(
                2,
                "presentation = 2",
                publishing.notebook_renderer(chart()),
                ["hide-input"],
                caption="One.",
                name="fig-one",
            ),
            v4.new_markdown_cell(f"$$x = 1$$ (eq-one)\n\nThe checksum is {'ab' * 32}.", id="more"),
        ]
    )
    first.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    nbformat.write(first, folder / "first.ipynb")
    tree = "```{{toctree}}\n:caption: {}\n{}\n{}\n```\n"
    (folder / "index.md").write_text(
        "# Book\n\nBefore all.\n\n"
        + tree.format("Part & parcel", ":numbered: 1\n", "first")
        + tree.format("The end", "", "last")
    )
    (folder / "last.md").write_text("# Last\n\n```{math}\n:label: eq-two\ny = 2\n```\n")
    (folder / "conf.py").write_text(
        "extensions = ['myst_nb', 'helpers.publishing']\n"
        "nb_execution_mode = 'off'\n"
        "myst_enable_extensions = ['dollarmath']\n"
        "numfig = math_numfig = True\n"
        "latex_engine = 'xelatex'\n"
        "project = 'Book'\n"
    )
    command = [sys.executable, "-m", "sphinx", "-b", "latex", "-W", "--keep-going", "-q"]
    done = subprocess.run([*command, str(folder), str(folder / "out")], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return (folder / "out" / printing.FILE).read_text(encoding="utf-8")


def test_parts_and_chapters_are_those_of_the_pages(latex):
    body = latex.split(r"\begin{document}")[1]
    found = re.findall(r"\\(bookpart|chapter|setcounter\{secnumdepth\})\{(.*?)\}", body)
    assert [said for _, said in found] == [
        *("-1", "Introduction"),
        *(r"Part \& parcel", "0", "First"),
        *("The end", "-1", "Last"),
    ]


def test_numbers_are_those_of_the_pages(latex):
    assert re.findall(r"\\renewcommand\{\\the(\w+)\}\{(.*?)\}", latex.split("document}")[1]) == [
        ("figure", "1.1"),
        ("equation", "1.1"),
        ("equation", "1"),
    ]


def test_what_is_printed_of_a_cell(latex):
    assert "subject" in latex and "presentation" not in latex
    assert r"\begin{tabulary}{\linewidth}[t]{lR}" in latex
    assert re.search(r"\\bookchart\{chart-\w+\.pdf\}\\bookchartnote\{s = .*?1\}", latex)
    assert "abababab\u200babababab" in latex


def test_the_press_says_what_is_missing_and_where_it_is():
    assert press.lacking(lambda name: True) == ""
    said = press.lacking(lambda name: name not in ("xelatex", "texgyrepagella-math.otf"))
    assert "for lack of xelatex, texgyrepagella-math.otf" in said
    assert "apt-get install texlive-xetex fonts-texgyre-math." in said


LOG = r"""
Overfull \hbox (4.9pt too wide) in paragraph at lines 1--2
Overfull \vbox (149.4pt too high) has occurred while \output is active []
Missing character: There is no ′ (U+2032) in font [x]!
LaTeX Warning: Reference `fig-x' on page 3 undefined on input line 5.
LaTeX Warning: Float too large.
"""


def test_the_press_complains_of_what_a_reader_would_see():
    assert [said.split()[0] for said in press.complaints(LOG)] == ["Overfull", "Missing", "LaTeX"]
    assert "149.4pt" in press.complaints(LOG)[0]


@pytest.mark.parametrize(
    ("log", "status", "said"),
    [
        ("quiet", 0, None),
        (LOG, 0, "not fit to print; line numbers are of .*book.tex:\nOverfull"),
        ("! Undefined control sequence.\nl.3 \\oops", 12, "LaTeX stopped; .*\n! Undefined"),
    ],
)
def test_only_a_sound_book_leaves_the_press(tmp_path, monkeypatch, log, status, said):
    source, program = tmp_path / "book.tex", tmp_path / "latexmk"
    (tmp_path / "said").write_text(log)
    program.write_text(f"#!/bin/sh\ncp said book.log\necho pdf > book.pdf\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    if said is None:
        made = press.print_book(source, tmp_path / "out")
        assert made == tmp_path / "out" / "book.pdf" and Path(made).read_text() == "pdf\n"
    else:
        with pytest.raises(RuntimeError, match=said):
            press.print_book(source, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_report_keeps_its_words_and_its_code_before_the_table():
    html = "<p>A fault.</p><ol><li><p>Why.</p><pre><code>mend()\n</code></pre></li></ol>"
    table = "<table class='dataframe'><thead><tr><th>a</th></tr></thead><tbody></tbody></table>"
    said = frames.words_of(html + table + "<p>behind</p>")
    assert [type(node).__name__ for node in said] == ["paragraph", "paragraph", "literal_block"]
    assert [node.astext() for node in said] == ["A fault.", "Why.", "mend()\n"]
    assert frames.words_of("<table class='dataframe'></table>") == []
