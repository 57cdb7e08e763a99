"""How to cite the book, and the article that it follows: written from CITATION.cff alone."""

from pathlib import Path
from typing import Any

import yaml
from sphinx.application import Sphinx
from sphinx.config import Config

Work = dict[str, Any]
"""A work as CITATION.cff describes one; the book's with its `year`."""

FILE = "CITATION.cff"


def works(text: str, year: str, home: str = "") -> list[Work]:
    """Return the book and then its references, from the `text` of CITATION.cff.

    `year` stands in where the file has no `date-released`, and `home`, the address of a fork's
    pages, for the `url` of the file.
    """
    book = yaml.safe_load(text)
    book["year"] = str(book.get("date-released", year))[:4]
    book["url"] = home or book["url"]
    return [book, *book.get("references", [])]


def plain(work: Work) -> str:
    """Return one sentence, for a text without rules."""
    names = " and ".join(
        author.get("name") or f"{author['given-names']} {author['family-names']}"
        for author in work["authors"]
    )
    version = f"version {work['version']}, " if "version" in work else ""
    return f"{names}, “{work['title']}”, {version}{work['year']}, <{work['url']}>."


def apa(work: Work) -> str:
    """Return the entry of a list of references in APA style, in Markdown."""
    names = ", & ".join(
        author.get("name") or f"{author['family-names']}, {author['given-names'][0]}."
        for author in work["authors"]
    ).removesuffix(".")
    head, colon, rest = work["title"].partition(": ")
    title = head + colon + rest[:1].upper() + rest[1:]
    version = f" (Version {work['version']}) [Computer software]" if "version" in work else ""
    publisher = f" {work['publisher']['name']}." if "publisher" in work else ""
    return f"{names}. ({work['year']}). *{title}*{version}.{publisher} <{work['url']}>"


def bibtex(work: Work, key: str) -> str:
    """Return an entry that every style of BibTeX and BibLaTeX knows: `@misc`."""
    names = " and ".join(
        f"{{{author['name']}}}"
        if "name" in author
        else f"{author['family-names']}, {author['given-names']}"
        for author in work["authors"]
    )
    fields = {"author": names, "title": f"{{{work['title']}}}", "year": work["year"]}
    if "publisher" in work:
        fields["howpublished"] = work["publisher"]["name"]
    if "version" in work:
        fields["note"] = f"Version {work['version']}"
    fields["url"] = work["url"]
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def substitutions(text: str, year: str, home: str = "") -> dict[str, str]:
    """Return what the page on citing puts in place, in Markdown: `cite_book_apa` and its like."""
    made = {}
    keys = ("book", "first-weights"), ("article", "perunicic2017")
    for (name, key), work in zip(keys, works(text, year, home), strict=True):
        made[f"cite_{name}"] = plain(work)
        made[f"cite_{name}_apa"] = apa(work)
        made[f"cite_{name}_bibtex"] = f"```bibtex\n{bibtex(work, key)}\n```"
    return made


def _configure(app: Sphinx, config: Config) -> None:
    file = Path(app.srcdir) / FILE
    if file.exists():
        year = "".join(filter(str.isdigit, config.copyright))[:4]
        made = substitutions(file.read_text(encoding="utf-8"), year, config.html_baseurl)
        config.myst_substitutions = {**config.myst_substitutions, **made}


def setup(app: Sphinx) -> None:
    """Register the hook; after that of `found`, which finds out the address."""
    app.connect("config-inited", _configure)
