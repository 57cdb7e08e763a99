"""The other book, what both are served from, and the arithmetic. Nothing is timed here."""

import copy
import gzip
import json
from http.client import HTTPConnection
from pathlib import Path

import pandas as pd
import pytest
import yaml

from helpers import __main__ as command
from helpers import page_speed, results
from helpers.page_speed import serving, stock, summary, visits
from helpers.publishing import MIME_TYPE

ROOT = Path(__file__).parent.parent
SPEC = {"mark": "point", "datasets": {"d": [{"q": 1}]}, "data": {"name": "d"}}


def test_a_chart_becomes_what_altair_stores_by_default():
    chart = {"output_type": "display_data", "data": {MIME_TYPE: SPEC, "text/plain": "x"}}
    table = {"output_type": "execute_result", "data": {"text/html": "<table>"}}
    ours = {"cells": [{"outputs": [chart, table]}, {"cell_type": "markdown"}]}
    before = copy.deepcopy(ours)
    first, second = stock.notebook(ours)["cells"][0]["outputs"]
    assert ours == before and second == table and set(first["data"]) == {"text/html", "text/plain"}
    page = first["data"]["text/html"]
    stored, _ = json.JSONDecoder().raw_decode(page[page.rindex("})(") + 3 :])
    assert stored == SPEC
    names = {name.partition("@")[0] for name in serving.packages_in(page)}
    assert names >= {"vega", "vega-lite", "vega-embed"}


def test_the_stock_book_has_the_same_contents_and_nothing_of_ours():
    settings = stock.configuration(yaml.safe_load((ROOT / "_config.yml").read_text()))
    assert "helpers" not in json.dumps(settings) and "html" not in settings
    assert settings["execute"]["execute_notebooks"] == "off" and settings["bibtex_bibfiles"]
    ours = yaml.safe_load((ROOT / "_toc.yml").read_text())
    there = {chapter["file"] for part in ours["parts"] for chapter in part["chapters"]}
    assert stock.contents(ours, there) == ours
    generated = {"caption": "Generated", "chapters": [{"file": "api/index"}]}
    assert stock.contents({**ours, "parts": [*ours["parts"], generated]}, there) == ours


@pytest.fixture
def packages(tmp_path):
    place = tmp_path / "packages" / "vega@6"
    (place / "build").mkdir(parents=True)
    manifest = {"name": "vega", "version": "6.4.0", "jsdelivr": "build/vega.min.js"}
    (place / "package.json").write_text(json.dumps(manifest))
    (place / "build" / "vega.min.js").write_text("vega()")
    (place / "build" / "other.js").write_text("other()")
    (tmp_path / "packages" / "secret.js").write_text("secret()")
    return tmp_path / "packages"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/npm/vega@6", "vega.min.js"),
        ("/npm/vega@6/build/other.js", "other.js"),
        ("/npm/vega@6/build/none.js", None),
        ("/npm/vega@6/../secret.js", None),
        ("/gh/somebody/something", None),
    ],
)
def test_an_address_of_the_other_host_names_a_file_of_a_package(packages, path, name):
    file = serving.file_of_package(path, packages)
    assert (file and file.name) == name


def test_without_npm_one_reads_what_to_do(packages, monkeypatch):
    assert serving.version("vega@6", packages) == "6.4.0"
    monkeypatch.setattr(serving.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"npm is missing.*load mathjax@3.*Install Node\.js"):
        serving.package("mathjax@3", packages)


def test_one_server_is_both_hosts(packages, tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "page.html").write_text(f"<script src=https://{serving.CDN}/npm/vega@6>")
    (tmp_path / "outside.html").write_text("outside")
    with serving.Server({"ours": tmp_path / "ours"}, packages) as server:
        connection = HTTPConnection(server.address)

        def get(path, host=server.address):
            connection.request("GET", path, headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read(), response.headers["Content-Encoding"]

        status, body, packed = get("/ours/page.html?v=1")
        page = f"<script src=http://{serving.CDN}/npm/vega@6>"
        assert (status, gzip.decompress(body).decode(), packed) == (200, page, "gzip")
        status, body, _ = get("/npm/vega@6?noext", serving.CDN)
        assert (status, gzip.decompress(body)) == (200, b"vega()")
        assert get("/npm/vega@6")[0] == get("/ours/../outside.html")[0] == 404
        connection.close()


def visit(**changes):
    files = {"http://here/ours/a.html?v=1": 300_000, "http://cdn/npm/vega@6": 600_000}
    times = {"drawn": [float(n) for n in range(1, 20)], "shown": [20.0] * 19}
    found = {"requests": 2, "elsewhere": 1, "failed": [], "files": files, **times}
    return found | {"first_paint": 400.0, "live": 900.0} | changes


def test_from_visits_to_a_table():
    measured = {
        ("desktop", "intro", "this book"): [visit(live=n) for n in (900.0, 1300.0, 1100.0)],
        ("phone", "intro", "this book"): [visit(first_paint=9e9)],
        ("desktop", "intro", "stock"): [visit(live=None, drawn=None, shown=None)],
    }
    table = pd.DataFrame(summary.rows(measured))
    rows = table.set_index(["condition", "book", "quantity"]).sort_index()
    live = rows.loc["desktop", "this book", "live"]
    assert live[["median", "lowest", "highest"]].tolist() == [1100, 900, 1300]
    at = rows.loc["desktop", "this book"]["median"]
    assert (at.kilobytes, at.drawn, at.drawn_90, at.shown_90) == (900, 10, 18, 20)
    stock_has = set(rows.loc["desktop", "stock"].index)
    assert stock_has == {"requests", "elsewhere", "first_paint", "kilobytes"}
    # Neither the phone nor the other book is held to the aims.
    assert page_speed.misses(table) == [
        "intro: 1 of 0 requests to other hosts",
        "intro: first chart live after 1,100 of 1,000 ms",
        "intro: 900 of 800 KB",
    ]


def test_the_heaviest_files_are_named_and_the_rest_counted():
    found = summary.by_file(visit()["files"] | {"http://here/b.js": 2000}, most=2)
    assert found == {"vega@6": 600, "a.html": 300, "1 others": 2}


def test_what_cannot_be_measured_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"'intro' in _build/html; build the book first: make bo"):
        page_speed.bench(root=tmp_path)
    for folder, name in (("book", "glorot.ipynb"), ("_build/html/book", "glorot.html")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).touch()
    with pytest.raises(ValueError, match=r"'xavier' in _build/html; there are glorot\."):
        page_speed.bench(root=tmp_path, pages=["xavier"])


def test_without_a_browser_one_reads_what_to_do(monkeypatch):
    monkeypatch.setattr(visits.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="no browser found: install Chromium"):
        visits.chromium()


def test_the_command_prints_and_stores(monkeypatch, tmp_path, capsys):
    asked = {}

    def bench(**options):
        asked.update(options)
        table = pd.DataFrame(summary.rows({("desktop", "intro", "this book"): [visit()]}))
        needed = dict.fromkeys(results._NEEDED, "")
        rest = {"seconds": 1, "processor": "", "heaviest": {}, "unanswered": []}
        return table, needed | rest

    monkeypatch.setattr(page_speed, "bench", bench)
    line = ["bench", "pages", "--pages", "intro", "--rounds", "2", "--out", str(tmp_path)]
    assert command.main(line) == 0
    assert (asked["pages"], asked["rounds"]) == (["intro"], 2)
    assert "900 of 800 KB" in capsys.readouterr().out
    stored = results.read("benchmarks-pages", tmp_path)
    assert set(stored.quantity) >= {"kilobytes", "drawn_90"}
