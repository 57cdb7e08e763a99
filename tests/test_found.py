"""What the book says of itself to those who are not in it yet."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import pytest
import yaml
from sphinx.errors import ConfigError

from helpers.publishing import found, preview

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "book").glob("*.ipynb"), *(ROOT / "book").glob("*.md")])
UPSTREAM = "https://github.com/first-weights/first-weights"


@pytest.mark.parametrize(
    ("repository", "environment", "address"),
    [
        (UPSTREAM, {}, "https://first-weights.github.io/first-weights/"),
        ("https://github.com/Ada/Fork", {}, "https://ada.github.io/Fork/"),
        ("https://github.com/Ada/ada.github.io", {}, "https://ada.github.io/"),
        (UPSTREAM, {"BOOK_URL": "https://book.example"}, "https://book.example/"),
        (UPSTREAM, {"BOOK_URL": ""}, "https://first-weights.github.io/first-weights/"),
        ("https://git.example/a/b", {}, ""),
    ],
)
def test_the_address_follows_the_fork(repository, environment, address):
    assert found.address(repository, environment) == address


@pytest.mark.parametrize(
    "wrong", ["book.example", "ftp://book.example/", "https:///a", "http://a/?b", "http://a b/"]
)
def test_a_wrong_address_is_refused_and_named(wrong):
    with pytest.raises(ConfigError, match=rf"BOOK_URL is {re.escape(repr(wrong))}.*such as"):
        found.address(UPSTREAM, {"BOOK_URL": wrong})


def described(path: Path) -> str:
    """What a page's metadata or front matter says that it is about."""
    if path.suffix == ".ipynb":
        said = nbformat.read(path, as_version=4).metadata
    else:
        said = yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])
    return said["myst"]["html_meta"]["description"]


def test_every_page_says_in_a_sentence_of_its_own_what_it_is_about():
    sentences = {path.stem: described(path) for path in PAGES}
    assert len(set(sentences.values())) == len(sentences)
    for name, sentence in sentences.items():
        assert 70 <= len(sentence) <= 160 and sentence.endswith("."), (name, len(sentence))
        assert not re.search(r"[<>$`{}*\[\]\n]", sentence), name


def test_a_preview_gets_whole_addresses_and_harmless_text():
    home = "https://a.test/b/"
    tags = found.tags(home + "c.html", 'On "σ" & </script>', "", home, "Book")
    properties = dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)" />', tags))
    assert properties["og:title"] == "On &quot;σ&quot; &amp; &lt;/script&gt;"
    assert properties["og:url"] == home + "c.html"
    assert properties["og:image"] == home + found.PICTURE
    assert "og:description" not in properties  # where there is none
    [inert] = re.findall(r'<script type="application/ld\+json">(.*?)</script>', tags)
    data = json.loads(inert)
    assert data["name"] == 'On "σ" & </script>' and data["isPartOf"]["url"] == home
    first = found.tags(home + "i.html", "Book", "What it is.", home, "Book", first=True)
    assert '"@type": "Book"' in first and 'og:description" content="What it is."' in first


def test_the_map_of_the_site_is_xml():
    pages = ["https://a.test/?x&y", "https://a.test/b.html"]
    places = ET.fromstring(found.sitemap(pages).encode()).findall("{*}url/{*}loc")
    assert [place.text for place in places] == pages


def test_the_picture_has_the_promised_size_and_is_drawn_to_scale():
    picture = preview.png()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    sides = tuple(int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert sides == preview.SIDES == (1200, 630)
    small, right, large = (preview.radii(sigma) for _, sigma, _, _ in preview.ROWS)
    assert small[-1] < 0.2 * small[0] and large[-1] > 5 * large[0]
    assert right == pytest.approx([right[0]] * preview.LAYERS)


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of two pages as the workflow of a fork builds it."""
    source = tmp_path_factory.mktemp("fork")
    (source / "book").mkdir()
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Start", id="a")])
    page.cells.append(nbformat.v4.new_markdown_cell("```{toctree}\nother\n```", id="b"))
    page.metadata["myst"] = {"html_meta": {"description": "Where it starts."}}
    page.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(page, source / "book" / "intro.ipynb")
    (source / "book" / "other.md").write_text("# Other\n", encoding="utf-8")
    options = {
        "repository_url": UPSTREAM,
        "repository_branch": "main",
        "use_source_button": True,
        "use_edit_page_button": True,
        "use_issues_button": True,
        "launch_buttons": yaml.safe_load((ROOT / "_config.yml").read_text())["launch_buttons"],
    }
    (source / "conf.py").write_text(
        "extensions = ['myst_nb', 'helpers.publishing']\n"
        "nb_execution_mode = 'off'\nroot_doc = 'book/intro'\nhtml_title = 'A book'\n"
        f"html_theme = 'sphinx_book_theme'\nhtml_theme_options = {options}\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "BOOK_URL"}
    command = [sys.executable, "-m", "sphinx", "-W", "-q", str(source), str(source / "out")]
    done = subprocess.run(
        command,
        env=environment | {"GITHUB_REPOSITORY": "Ada/Fork"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return source / "out"


def test_the_pages_of_a_fork_lead_to_the_fork(fork):
    home, repository = "https://ada.github.io/Fork/", "https://github.com/Ada/Fork"
    for name in ("intro.ipynb", "other.md"):
        page = (fork / "book" / name).with_suffix(".html").read_text(encoding="utf-8")
        here = f"{home}book/{name.split('.')[0]}.html"
        assert f'<link rel="canonical" href="{here}" />' in page
        assert f'<meta property="og:url" content="{here}" />' in page
        links = re.findall(r'href="(https://github[^"]*)"', page)
        assert f"{repository}/edit/main/book/{name}" in links
        plain = "" if name.endswith("ipynb") else "?plain=1"
        assert f"{repository}/blob/main/book/{name}{plain}" in links
        assert any(link.startswith(f"{repository}/issues/new?") for link in links)
        assert all(link.startswith(repository) for link in links)
    places = ET.parse(fork / "sitemap.xml").findall("{*}url/{*}loc")
    assert [place.text for place in places] == [home + "book/intro.html", home + "book/other.html"]
    assert f"Sitemap: {home}sitemap.xml\n" in (fork / "robots.txt").read_text()
    assert (fork / found.PICTURE).read_bytes() == preview.png()


def test_a_notebook_of_a_fork_is_launched_from_the_fork(fork):
    def launching(name):
        page = (fork / "book" / name).read_text(encoding="utf-8")
        return set(re.findall(r'href="(https://(?:mybinder|colab)[^"]*)"', page))

    binder = "https://mybinder.org/v2/gh/Ada/Fork/main?urlpath=lab/tree/book/intro.ipynb"
    colab = "https://colab.research.google.com/github/Ada/Fork/blob/main/book/intro.ipynb"
    assert launching("intro.html") == {binder, colab}
    assert launching("other.html") == set()  # nothing to run


def test_the_front_door_leads_on_and_can_be_previewed(fork):
    door = (fork / "index.html").read_text(encoding="utf-8")
    assert 'http-equiv="refresh" content="0; url=book/intro.html"' in door
    assert '<meta property="og:description" content="Where it starts." />' in door
    assert f'content="https://ada.github.io/Fork/{found.PICTURE}"' in door


def test_the_page_for_lost_readers_links_from_the_top(fork):
    page = (fork / "404.html").read_text(encoding="utf-8")
    links = re.findall(r' (?:href|src|action)="([^"]+)"', page)
    assert "/Fork/book/other.html" in links and "/Fork/search.html" in links
    strange = [link for link in links if not re.match(r"/Fork/|#|https://github\.com/", link)]
    assert strange == []
    assert 'name="robots" content="noindex"' in page and 'rel="canonical"' not in page
