"""How the book wants to be cited, and the file that says so."""

import re
from pathlib import Path

import yaml

from helpers.publishing import citing

ROOT = Path(__file__).parents[1]
CITATION = (ROOT / "CITATION.cff").read_text(encoding="utf-8")

WORK = {
    "title": "A book: an example",
    "authors": [{"name": "The Authors"}],
    "version": "1.2.0",
    "year": "2026",
    "url": "https://a.test/",
}
ARTICLE = {
    "title": "An article",
    "authors": [
        {"family-names": "Lovelace", "given-names": "Ada"},
        {"family-names": "Byron", "given-names": "Anne"},
    ],
    "publisher": {"name": "A journal"},
    "year": 1843,
    "url": "https://b.test/",
}


def test_citations_in_three_forms():
    assert citing.plain(WORK) == (
        "The Authors, “A book: an example”, version 1.2.0, 2026, <https://a.test/>."
    )
    assert citing.apa(WORK) == (
        "The Authors. (2026). *A book: An example* (Version 1.2.0) [Computer software]. "
        "<https://a.test/>"
    )
    assert citing.apa(ARTICLE) == (
        "Lovelace, A., & Byron, A. (1843). *An article*. A journal. <https://b.test/>"
    )
    assert citing.bibtex(ARTICLE, "key").splitlines() == [
        "@misc{key,",
        "  author = {Lovelace, Ada and Byron, Anne},",
        "  title = {{An article}},",
        "  year = {1843},",
        "  howpublished = {A journal},",
        "  url = {https://b.test/},",
        "}",
    ]


def test_the_page_on_citing_is_written_from_the_citation_file():
    made = citing.substitutions(CITATION, "2026", "https://fork.test/")
    page = (ROOT / "book" / "how-to-cite.md").read_text(encoding="utf-8")
    asked = set(re.findall(r"\{\{ (\w+) \}\}", page))
    assert asked <= set(made) and len(asked) == 5
    assert all("https://fork.test/" in made[name] for name in asked if "_book" in name)
    [book, _] = citing.works(CITATION + "\ndate-released: 2031-05-06\n", "2026")
    assert book["year"] == "2031" and book["url"] == yaml.safe_load(CITATION)["url"]


def test_the_article_is_cited_as_in_the_references():
    [article] = yaml.safe_load(CITATION)["references"]
    listed = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    entry = re.search(r"@misc\{perunicic2017,(.*?)\n\}", listed, re.DOTALL)[1]
    fields = dict(re.findall(r"(\w+) = \{(.*)\}", entry))
    [author] = article["authors"]
    assert fields == {
        "author": f"{author['family-names']}, {author['given-names']}",
        "title": article["title"],
        "howpublished": article["publisher"]["name"],
        "year": str(article["year"]),
        "url": article["url"],
    }


def faults_of_citation(citation: dict) -> list[str]:
    """Where a file departs from the Citation File Format 1.2.0, as far as this book uses it."""
    known = {"cff-version", "message", "title", "authors", "abstract", "type", "version", "license"}
    known |= {"repository-code", "url", "keywords", "references", "date-released", "doi"}
    faults = [f"{key} is unknown" for key in citation.keys() - known]
    for key in {"cff-version", "message", "title", "authors"} - citation.keys():
        faults.append(f"{key} is missing")
    for work in [citation, *citation.get("references", [])]:
        for author in work.get("authors", []):
            if not ({"name"} == set(author) or {"family-names", "given-names"} == set(author)):
                faults.append(f"{author} is neither a person nor an entity")
        if not all(isinstance(work.get(key, ""), str) for key in ("title", "version", "url")):
            faults.append("a title, a version or a url is not a string")
    for work in citation.get("references", []):
        faults += [f"a reference has no {key}" for key in {"type", "title", "authors"} - set(work)]
    if citation.get("type", "software") not in ("software", "dataset"):
        faults.append("the type is neither software nor dataset")
    return faults


def test_the_citation_file_keeps_its_format():
    citation = yaml.safe_load(CITATION)
    assert faults_of_citation(citation) == []
    broken = citation | {"type": "book", "date": 2026, "version": 0.1}
    broken["references"] = [{"title": "A", "authors": [{"name": "B", "given-names": "C"}]}]
    del broken["message"]
    assert len(faults_of_citation(broken)) == 6
