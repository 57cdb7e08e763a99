"""Charts on their way from a notebook to the page, and the page's own files."""

import hashlib
import json
import re
import subprocess
import sys
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import altair as alt
import nbformat
import pytest
from fontTools.ttLib import TTFont
from nbformat import v4

from helpers import publishing
from helpers.publishing import charts, drawing, fonts, formulas, pages

ROOT = Path(__file__).parents[1]


def chart(description: str = "A line that rises") -> dict:
    sigma = alt.param(name="sigma", value=0.1, bind=alt.binding_range(min=0, max=1, name="σ"))
    return (
        alt.Chart({"values": [{"x": 0, "y": 0.0001}, {"x": 1, "y": 2.123456}]})
        .mark_line(clip=True)
        .encode(x="x:Q", y="y:Q")
        .properties(width=300, height=150, description=description)
        .add_params(sigma)
        .to_dict()
    )


def notebook(*outputs: dict) -> nbformat.NotebookNode:
    """A page with one cell for each output."""
    page = v4.new_notebook(cells=[v4.new_markdown_cell("# A page", id="title")])
    page.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for number, data in enumerate(outputs, start=1):
        shown = v4.new_output("execute_result", data=data, execution_count=number)
        cell = v4.new_code_cell("chart", id=f"c{number}", execution_count=number, outputs=[shown])
        page.cells.append(cell)
    return page


def build(
    folder: Path, pages: dict[str, list[dict]], builder: str = "html"
) -> subprocess.CompletedProcess:
    """Build the `pages` into folder/out, in a process of its own; warnings are errors."""
    for name, outputs in pages.items():
        nbformat.write(notebook(*outputs), folder / f"{name}.ipynb")
    (folder / "conf.py").write_text(
        "extensions = ['myst_nb', 'helpers.publishing']\n"
        "nb_execution_mode = 'off'\n"
        "html_theme = 'basic'\n"
    )
    command = [sys.executable, "-m", "sphinx", "-b", builder, "-W", "--keep-going", "-q"]
    return subprocess.run(
        [*command, str(folder), str(folder / "out")], capture_output=True, text=True
    )


HARD_WORDS = "What </script> & <b> do"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small book: index holds a chart, other (an orphan) holds none."""
    folder = tmp_path_factory.mktemp("book")
    stored = publishing.notebook_renderer(chart(HARD_WORDS))
    other = notebook({"text/plain": "1"})
    other.metadata["orphan"] = True
    nbformat.write(other, folder / "other.ipynb")
    done = build(folder, {"index": [stored]})
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_what_altair_stores_is_the_same_every_time():
    with alt.renderers.enable("first-weights"):
        line = alt.Chart.from_dict(chart())
        first, second = line._repr_mimebundle_(), line._repr_mimebundle_()
    assert json.dumps(first) == json.dumps(second)
    assert first == {publishing.MIME_TYPE: line.to_dict(), "text/plain": publishing.PLAIN_TEXT}


def test_activating_the_renderer_needs_no_sphinx():
    code = (
        "import sys, helpers.publishing;"
        "assert not {'sphinx', 'docutils', 'torch', 'altair'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_stored_type_becomes_a_node_and_others_do_not():
    renderer = SimpleNamespace(source="book/page.ipynb")
    data = SimpleNamespace(mime_type=publishing.MIME_TYPE, content=chart(), cell_index=3, line=7)
    [node] = charts.ChartRenderer.handle_mime(renderer, data, False)
    assert isinstance(node, charts.chart)
    assert (node["spec"], node["cell"]) == (chart(), 4)
    assert (node.source, node.line) == ("book/page.ipynb", 7)
    data.mime_type = "text/html"
    assert charts.ChartRenderer.handle_mime(renderer, data, False) is None


def test_the_static_picture_is_the_same_every_time_and_keeps_its_labels():
    svg = drawing.static_svg(chart("more & less"))
    assert svg == drawing.static_svg(chart("more & less"))
    assert svg.startswith('<svg role="img" aria-label="more &amp; less" ')
    labels = re.findall(r">([\d.]+)</text>", svg)
    assert {"0.0", "0.5", "1.0", "2.0"} <= set(labels)
    ids = set(re.findall(r'id="([^"]+)"', svg))
    assert ids == set(re.findall(r"url\(#([^)]+)\)", svg))
    assert all(name.startswith("c") and "-" in name for name in ids)


def rows(*inputs: dict, phone: bool = False, **told: dict) -> int:
    params = [{"name": f"p{i}", "bind": bind} for i, bind in enumerate(inputs)]
    spec = {"params": params, "usermeta": {"controls": told}}
    return drawing.control_rows(spec, 300, phone)


def test_the_rows_of_controls_that_room_is_kept_for():
    slider, menu = {"input": "range", "min": -2, "max": 0}, {"input": "select"}
    assert drawing.control_rows({}, 300, False) == 0
    assert drawing.control_rows({"params": [{"name": "z", "bind": "scales"}]}, 300, False) == 0
    assert rows(slider) == 2
    assert rows({"a": slider, "b": slider}) == 4
    assert (rows(slider, menu, menu), rows(slider, menu, menu, phone=True)) == (3, 4)
    for marks, more in (
        ([["a", 0.02], ["b", 0.5]], 1),
        ([["close", 0.1], ["closer", 0.11]], 2),
        # Marks of different menus are never seen together.
        ([["close", 0.1, {"m": 1}], ["closer", 0.11, {"m": 2}]], 1),
        ([["always", 0.1], ["close", 0.1, {"m": 1}], ["closer", 0.11, {"m": 2}]], 2),
    ):
        assert rows(slider, p0={"log": True, "marks": marks}) == 2 + more


def test_on_a_phone_panels_stand_one_above_the_other():
    spec = {"hconcat": [{"width": 200, "layer": []}, {"facet": {}, "spec": {"width": 90}}]}
    assert drawing.narrow(spec)["vconcat"] == [
        {"width": drawing.NARROW, "layer": []},
        {"facet": {}, "spec": {"width": 90}},
    ]
    assert spec["hconcat"][0]["width"] == 200


def test_a_page_holds_the_chart_twice_and_nothing_from_elsewhere(built):
    page = (built / "index.html").read_text(encoding="utf-8")
    [inert] = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    held, spec = json.loads(inert), chart(HARD_WORDS)
    assert held["wide"] | {"datasets": held["datasets"]} == {"datasets": {}} | spec
    assert 'role="img" aria-label="What &lt;/script&gt; &amp; &lt;b&gt; do"' in page
    assert '<script defer="defer" src="_static/charts.js' in page
    assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="(?:https?:)?//', page)
    assert "Content-Security-Policy" in page and "unsafe-eval" not in page


def test_the_script_is_classic_and_keeps_its_names_to_itself(built):
    script = (built / "_static" / "charts.js").read_text(encoding="utf-8")
    assert script.startswith("(()=>{") and script.endswith("})();\n")
    assert not re.search(r"^(?:import|export) ", script, re.MULTILINE)


def test_a_page_without_charts_loads_nothing_for_them(built):
    assert "charts." not in (built / "other.html").read_text(encoding="utf-8")


def test_latex_gets_a_pdf(tmp_path):
    stored = publishing.notebook_renderer(chart())
    done = build(tmp_path, {"index": [stored]}, builder="latex")
    assert done.returncode == 0, done.stderr
    [picture] = (tmp_path / "out").glob("chart-*.pdf")
    assert picture.read_bytes().startswith(b"%PDF")
    [document] = (tmp_path / "out").glob("*.tex")
    assert picture.name in document.read_text(encoding="utf-8")


def test_a_bad_chart_fails_the_build_and_is_named(tmp_path):
    changes = {
        "cannot be drawn": {"mark": None, "encoding": {}},
        "not allowed": {"data": {"url": "https://elsewhere.test/data.csv"}},
        "no description": {"description": ""},
    }
    bad = [publishing.notebook_renderer(chart() | change) for change in changes.values()]
    done = build(tmp_path, {"index": bad})
    assert done.returncode != 0
    for cell, message in enumerate(changes, start=2):
        assert re.search(rf"index\.ipynb.*cell {cell}: .*{message}", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "https://github.com/first-weights/first-weights"),
        ({"GITHUB_REPOSITORY": "ada/fork"}, "https://github.com/ada/fork"),
        (
            {"GITHUB_REPOSITORY": "a/b", "GITHUB_SERVER_URL": "https://git.example/"},
            "https://git.example/a/b",
        ),
    ],
)
def test_links_follow_the_fork(environment, address):
    default = re.search(r"url: (\S+)", (ROOT / "_config.yml").read_text(encoding="utf-8"))[1]
    assert pages.repository(default, environment) == address


def test_the_themes_head_loses_what_no_page_needs():
    head = (
        '<script data-cfasync="false">\n old\n</script><link rel="stylesheet" href="a.css" />'
        '<link rel="preload" as="font" crossorigin href="a.woff2" />'
        '<script src="vendor/fontawesome/all.min.js?digest=1"></script>'
    )
    assert pages.lean_head(head) == pages.MODE + '<link rel="stylesheet" href="a.css" />'


def test_a_page_allows_its_own_scripts_by_hash_and_no_others():
    page = (
        '<html><head><meta charset="utf-8"/><meta name="viewport" content="width=1"/>'
        '<script>let a = "λ";</script><script src="a.js"></script>'
        '<script type="application/json">{}</script></head>'
        '<button onclick="window.print()">Print</button><table><th></th></table></html>'
    )
    made = pages.strict(page)
    digest = b64encode(hashlib.sha256('let a = "λ";'.encode()).digest()).decode()
    assert re.findall(r"script-src ([^;]*);", made) == [f"'self' 'sha256-{digest}'"]
    assert made.index("Content-Security-Policy") < made.index("<script")
    assert "onclick" not in made and 'data-action="window.print"' in made
    assert '<script defer src="a.js">' in made and "<td></td>" in made
    assert made.count("viewport") == 1
    assert pages.strict("var x = 1;") == "var x = 1;"


def test_formulas_are_mathml():
    assert formulas.mathml("x^2") == "<math><msup><mi>x</mi><mn>2</mn></msup></math>"
    assert 'display="block"' in formulas.mathml(r"\frac12", block=True)
    with pytest.raises(ValueError, match=r"cannot be read: .*\\frac\{1"):
        formulas.mathml(r"\frac{1")


def test_a_bad_formula_fails_the_build_and_is_named(tmp_path):
    (tmp_path / "extra.md").write_text(
        "---\norphan: true\n---\n# More\n\nA {math}`\\nonsense` one.\n", encoding="utf-8"
    )
    done = build(tmp_path, {"index": []})
    assert done.returncode != 0 and re.search(r"extra\.md:.*nonsense", done.stderr), done.stderr


def test_the_books_formulas_have_a_font():
    """Every character of every formula is in the font, roman and, if alone, italic."""
    made = TTFont(BytesIO(fonts.math()))
    drawable = set(made.getBestCmap())
    assert "MATH" in made and len(fonts.math()) < 90_000
    written = set()
    for source in sorted((ROOT / "book").glob("*.ipynb")):
        cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        for block, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", text, re.DOTALL):
            written.update(re.sub(r"<[^>]*>", "", formulas.mathml(block or inline)))
    assert len(written) > 100
    missing = {c for c in written if ord(c) not in drawable}
    # Not drawn: function application, the comma between indices, and a choice among variants.
    assert not missing - set("\u2061\u2063\ufe00"), missing
