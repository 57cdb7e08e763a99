"""How others find the book and point to it: its address, previews, a map, and a way back."""

import json
import os
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError

from . import preview

PICTURE = "_static/preview.png"
LICENSE = "https://creativecommons.org/licenses/by/4.0/"
NOT_FOUND = "404"


def address(repository: str, environment: dict[str, str] | None = None) -> str:
    """Return where the book is read, with a slash at its end; "" where nobody can know.

    That is BOOK_URL of the environment, or else the pages that GitHub makes of `repository`.
    Raises `ConfigError` where BOOK_URL is not the address of a folder.
    """
    environment = os.environ if environment is None else environment
    if given := environment.get("BOOK_URL"):
        if not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", given):
            raise ConfigError(
                f"BOOK_URL is {given!r}, which is not where a book can be read; "
                "set it to an address such as https://example.org/book/, or leave it unset"
            )
        return given.rstrip("/") + "/"
    match = re.fullmatch(r"https://github\.com/([^/]+)/([^/]+?)(?:\.git)?/?", repository)
    if not match:
        return ""
    host, name = f"{match[1].lower()}.github.io", match[2]
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def description(doctree: nodes.document) -> str:
    """Return what the page says about itself (`html_meta` in MyST), "" where it says nothing."""
    own = (node for node in doctree.findall(nodes.meta) if node.get("name") == "description")
    return next((node["content"] for node in own), "")


def tags(page: str, title: str, about: str, home: str, book: str, first: bool = False) -> str:
    """Return what a preview and a search engine read: Open Graph, Twitter, schema.org.

    `page` and `home` are the addresses of the page and of the book, `about` is the page's
    description, and `book` the book's title. The `first` page stands for the whole book.
    """
    graph = {
        "og:type": "website" if first else "article",
        "og:site_name": book,
        "og:title": title,
        "og:description": about,
        "og:url": page,
        "og:image": home + PICTURE,
        "og:image:type": "image/png",
        "og:image:width": preview.SIDES[0],
        "og:image:height": preview.SIDES[1],
        "og:image:alt": preview.WORDS,
    }
    whole = {"@type": "Book", "name": book, "url": home}
    data = {
        "@context": "https://schema.org",
        **(whole if first else {"@type": ["WebPage", "LearningResource"], "name": title}),
        **({} if first else {"url": page, "isPartOf": whole}),
        **({"description": about} if about else {}),
        "inLanguage": "en",
        "license": LICENSE,
        "isAccessibleForFree": True,
    }
    lines = [
        f'<meta property="{name}" content="{escape(str(value))}" />'
        for name, value in graph.items()
        if value
    ]
    inert = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    return "\n".join(
        [
            *lines,
            '<meta name="twitter:card" content="summary_large_image" />',
            f'<script type="application/ld+json">{inert}</script>\n',
        ]
    )


def sitemap(pages: Iterable[str]) -> str:
    """Return the map of the site, for search engines; without dates, so that it never differs."""
    urls = "".join(f"<url><loc>{escape(page)}</loc></url>\n" for page in pages)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n'
    )


def _configure(app: Sphinx, config: Config) -> None:
    config.html_baseurl = address(config.html_theme_options.get("repository_url", ""))
    # A page that is shown at any depth cannot know the way from there: its links begin at the top.
    config.notfound_urls_prefix = urlsplit(config.html_baseurl).path or "/"
    config.notfound_template = "404.html"
    config.notfound_context = {"title": "Page not found"}


def _head(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    said = context.get("metatags", "")
    if page == NOT_FOUND:
        context["content_root"] = app.config.notfound_urls_prefix
        context["pageurl"] = None
        context["metatags"] = said + '<meta name="robots" content="noindex" />'
    elif doctree is not None and app.config.html_baseurl:
        context["metatags"] = said + _tags(app, page, doctree)
    if page == app.config.root_doc:
        context["docstitle"] = ""  # or the book's name would stand in its title twice


def _show_source(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Let a notebook's source be shown as a notebook: the theme asks for its bare JSON."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("label") == "source-file-button":
                button["url"] = button["url"].replace(".ipynb?plain=1", ".ipynb")


def _tags(app: Sphinx, page: str, doctree: nodes.document) -> str:
    home, first = app.config.html_baseurl, page == app.config.root_doc
    return tags(
        urljoin(home, app.builder.get_target_uri(page)),
        app.env.titles[page].astext(),
        description(doctree),
        home,
        app.config.html_title,
        first,
    )


def _front_door(app: Sphinx) -> str:
    """Return the page at the book's address: it leads on, and tells a preview what is there."""
    root = app.config.root_doc
    target, doctree = app.builder.get_target_uri(root), app.env.get_doctree(root)
    home = app.config.html_baseurl
    known = f'<link rel="canonical" href="{escape(home + target)}" />\n' if home else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n'
        f"<title>{escape(app.config.html_title)}</title>\n"
        f'<meta http-equiv="refresh" content="0; url={target}" />\n'
        f'<meta name="description" content="{escape(description(doctree))}" />\n'
        f"{known}{_tags(app, root, doctree) if home else ''}"
        f'</head>\n<body><a href="{target}">{escape(app.config.html_title)}</a></body>\n</html>\n'
    )


def _write(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.name != "html":
        return
    folder, home, root = Path(app.outdir), app.config.html_baseurl, app.config.root_doc
    (folder / PICTURE).write_bytes(preview.png())
    if root != "index":
        (folder / "index.html").write_text(_front_door(app), encoding="utf-8")
    if home:
        pages = (home + app.builder.get_target_uri(page) for page in sorted(app.env.found_docs))
        (folder / "sitemap.xml").write_text(sitemap(pages), encoding="utf-8")
        robots = f"User-agent: *\nAllow: /\nSitemap: {home}sitemap.xml\n"
        (folder / "robots.txt").write_text(robots, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Register the hooks; after those of `pages`, which finds out the repository."""
    app.setup_extension("notfound.extension")
    app.connect("config-inited", _configure)
    app.connect("html-page-context", _head)
    app.connect("html-page-context", _show_source, priority=900)  # the theme's buttons are there
    app.connect("build-finished", _write)
