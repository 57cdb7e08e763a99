"""What a reader may expect of the built files, each as one function. No browser."""

import gzip
import posixpath
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ADDRESSES = ("href", "src", "xlink:href", "action", "poster", "data")
COMPRESSED = (".css", ".html", ".js", ".json", ".svg", ".txt", ".xml")


@dataclass
class Written(HTMLParser):
    """What one HTML file says: its ids, its links, its policies and its inline handlers."""

    ids: Counter = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    unguarded: list[str] = field(default_factory=list)  # what loads before the first policy
    handlers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        where = f"<{tag}> in line {self.getpos()[0]}"
        self.ids.update([given["id"]] if "id" in given else [])
        self.links += [given[name] for name in ADDRESSES if name in given]
        self.links += [part.split()[0] for part in given.get("srcset", "").split(",") if part]
        self.handlers += [f"{name} of {where}" for name in given if name.startswith("on")]
        if given.get("http-equiv", "").lower() == "content-security-policy":
            self.policies.append(given["content"])
        elif not self.policies and (tag == "script" or given.get("rel") == "stylesheet"):
            self.unguarded.append(where)


@lru_cache
def read(file: Path) -> Written:
    written = Written()
    written.feed(file.read_text(encoding="utf-8"))
    return written


def policy_is_strict(file: Path) -> None:
    """A policy guards the page from its first script on, and no script is left that needs eval,
    'unsafe-inline' or another host."""
    written = read(file)
    assert written.policies, f"{file.name}: no Content-Security-Policy"
    assert not written.unguarded, f"{file.name}: before its policy loads {written.unguarded[0]}"
    assert not written.handlers, f"{file.name}: inline handlers: {written.handlers}"
    scripts = [link for link in written.links if link.lower().startswith("javascript:")]
    assert not scripts, f"{file.name}: scripts as links: {scripts}"
    directives = {}
    for directive in written.policies[0].split(";"):
        name, *sources = directive.split() or [""]
        directives.setdefault(name.lower(), sources)
    assert "default-src" in directives, f"{file.name}: no default-src in its policy"
    for name, sources in directives.items():
        for source in sources:
            assert _is_own(name, source), f"{file.name}: its policy allows {source} as {name}"


def _is_own(directive: str, source: str) -> bool:
    if source in ("'self'", "'none'") or source.startswith(("'sha256-", "'sha384-", "'sha512-")):
        return True
    if directive.startswith("style-src"):
        return source == "'unsafe-inline'"
    return source == "data:" and not directive.startswith(("script-src", "default-src"))


def links_are_alive(file: Path, root: Path) -> None:
    """Every link of the page to the book leads to a file of it, and to one id that is there.

    Links are relative: the book may lie under any address.
    """
    dead = []
    for link in set(read(file).links):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        if parts.path.startswith("/"):
            dead.append(f"{link} (not relative)")
            continue
        place = posixpath.join(file.parent.as_posix(), unquote(parts.path)) if parts.path else file
        target = Path(posixpath.normpath(place))
        if not target.is_relative_to(root) or not target.is_file():
            dead.append(f"{link} (no such file)")
        elif parts.fragment and target.suffix == ".html":
            times = read(target).ids[unquote(parts.fragment)]
            if times != 1:
                dead.append(f"{link} ({times} ids of that name)")
    assert not dead, f"{file.name}: dead links: {sorted(dead)}"


@lru_cache
def transferred(file: Path) -> int:
    """Return the bytes of `file` on the wire: gzip, but for what is compressed already."""
    content = file.read_bytes()
    return len(gzip.compress(content, 6) if file.suffix in COMPRESSED else content)
