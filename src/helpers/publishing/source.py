"""What griffe reads in this package's source, without importing it: modules, names, comments."""

import ast
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

PACKAGE = Path(__file__).parents[1]
"""The folder of the package `helpers`."""


@functools.cache
def package() -> griffe.Module:
    """Return the whole package as griffe reads it, without importing it."""
    return griffe.load(PACKAGE.name, search_paths=[PACKAGE.parent], allow_inspection=False)


def modules(within: griffe.Module | None = None) -> Iterator[griffe.Module]:
    """Yield every public module of the package that a page has to document.

    A package with an ``__all__`` is what that says; its modules are its own affair.
    """
    within = within or package()
    own = [module for module in within.modules.values() if not module.is_alias]
    for module in sorted(own, key=lambda module: module.name):
        if not module.name.startswith("_"):
            yield module
            if module.exports is None:
                yield from modules(module)


def public(module: griffe.Module) -> list[griffe.Object]:
    """Return what a module offers, in the order of its source: its ``__all__``, if it has one.

    Otherwise every class, function and value that is defined in it and whose name has no leading
    underscore; values only with a ``#:`` comment or docstring.
    """
    if module.exports is not None:
        own = (module.members[str(name)] for name in module.exports)
        return [member.final_target if member.is_alias else member for member in own]
    own = [m for m in module.members.values() if not m.is_alias and not m.is_module]
    return [m for m in own if not m.name.startswith("_") and (not m.is_attribute or comment(m))]


def members(owner: griffe.Class) -> list[griffe.Object]:
    """Return the public methods and properties of a class that have a docstring of their own."""
    found = [m for m in owner.members.values() if not m.is_alias and not m.name.startswith("_")]
    return [m for m in found if m.docstring and not m.has_labels("instance-attribute")]


def comment(value: griffe.Attribute) -> str:
    """Return what the source says about a value of a module: a ``#:`` comment, or a docstring."""
    if value.docstring:
        return value.docstring.value
    above = itertools.takewhile(
        lambda line: line.startswith("#:"), reversed(value.module.lines[: value.lineno - 1])
    )
    return "\n".join(line.removeprefix("#:").strip() for line in reversed(list(above)))


def resolved(name: str, scope: griffe.Object) -> str | None:
    """The full name of what a docstring calls so, if a page documents it."""
    if shown(name):
        return name
    first, _, rest = name.partition(".")
    try:
        path = scope.resolve(first)
    except griffe.NameResolutionError:
        return None
    return shown(f"{path}.{rest}" if rest else path)


@functools.cache
def shown(path: str) -> str | None:
    """The path itself if some page documents what it names, else None."""
    return path if path in _documented() else None


@functools.cache
def _documented() -> frozenset[str]:
    found = set()
    for module in modules():
        found.add(module.path)
        for what in public(module):
            path = f"{module.path}.{what.name}"
            found.add(path)
            if what.is_class:
                found.update(f"{path}.{member.name}" for member in members(what))
    return frozenset(found)


def keys(value: Any) -> str:
    """The keys of a table that is written out: a list, where each entry begins with its summary."""
    if not isinstance(value, griffe.ExprDict):
        return ""
    summaries = {}
    for key, entry in zip(value.keys, value.values):
        first = entry.arguments[0] if isinstance(entry, griffe.ExprCall) else entry
        text = isinstance(first, str) and first[0] in "'\""
        summaries[str(key).strip("'\"")] = ast.literal_eval(first) if text else ""
    if all(summaries.values()):
        return "\n\n" + "\n".join(f"* ``{key}``: {text}" for key, text in summaries.items())
    return "\n\nKeys: " + ", ".join(f"``{key}``" for key in summaries) + "."
