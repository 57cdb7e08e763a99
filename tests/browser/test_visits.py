"""What `make bench` notes of a page is what the page does. No time is judged here."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.page_speed import serving, visits

PACKAGE = {"name": "far", "version": "1.0.0", "jsdelivr": "far.js"}
SLIDER = "<input type=range min=0 max=2 step=1 value=1>"
#: A chart of each book, as `browser.js` finds it: what it holds, how it says that it is drawn, and
#: how it draws.
OURS = (
    f'<div class="chart"><div class="chart-controls"></div>{SLIDER}<svg class="marks"></svg></div>',
    "chart.classList.add('chart-drawn')",
    "chart.querySelector('svg').innerHTML = '<path/>'",
)
STOCK = (
    f'<div id="altair-viz-1">{SLIDER}<canvas class="marks"></canvas></div>'
    f"<script src='https://{serving.CDN}/npm/far@1?noext'></script>",
    "chart.append(document.createElement('details'))",
    "chart.querySelector('canvas').getContext('2d').fillRect(0, 0, 1, 1)",
)


@pytest.mark.parametrize(("html", "live", "draw"), [OURS, STOCK], ids=["ours", "stock"])
def test_what_is_noted(tmp_path: Path, html: str, live: str, draw: str):
    (tmp_path / "packages" / "far@1").mkdir(parents=True)
    (tmp_path / "packages" / "far@1" / "package.json").write_text(json.dumps(PACKAGE))
    (tmp_path / "packages" / "far@1" / "far.js").write_text("var far = 1;")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "page.html").write_text(
        f"<!doctype html><title>x</title><p>text{html}<img src=missing.png alt=''>"
        "<script>const chart = document.querySelector('input').parentElement;"
        f"setTimeout(() => {{ {live} }}, 100);"
        f"chart.querySelector('input').addEventListener('input', () => {{ {draw} }})</script>"
    )
    with serving.Server({"book": tmp_path / "pages"}, tmp_path / "packages") as server:

        def visit():
            with visits.browser(server.address) as browser:
                address = f"http://{server.address}/book/page.html"
                return visits.visit(browser, address, visits.CONDITIONS[0], moves=5)

        # In a thread of its own: the other tests' Playwright has this one.
        with ThreadPoolExecutor() as threads:
            found = threads.submit(visit).result()
    far = [url for url in found["files"] if serving.CDN in url]
    assert len(far) == found["elsewhere"] == ("canvas" in html)
    assert found["failed"] == [f"http://{server.address}/book/missing.png"]
    assert found["requests"] == 2 + len(far)
    assert found["first_paint"] > 0 and found["live"] >= 100
    assert len(found["drawn"]) == len(found["shown"]) == 5
    assert all(0 <= drawn <= shown for drawn, shown in zip(found["drawn"], found["shown"]))
