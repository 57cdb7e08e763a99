"""Pages that document this package from its source: no module is imported, so none needs torch.

In a page, inside ``{eval-rst}``, the directive ``documented`` with the name of a module stands for
the module's docstring and all of its public names, in the order of the source. Signatures are as
they are written there, with every type and default. What griffe has read is made into the nodes
that Sphinx's own Python directives would make, so names can be linked to and searched for.
"""

import ast
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import griffe
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, switch_source_input
from sphinx.util.rst import default_role

PACKAGE = Path(__file__).parents[1]
"""The folder of the package `helpers`."""

LONG = 72
"""A signature of more characters gets a line for each parameter."""


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
        return [module.members[str(name)].final_target for name in module.exports]
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


class parameterlist(addnodes.desc_parameterlist):
    """The parameters of a signature; Sphinx's own node, but for pages."""


class Documented(SphinxDirective):
    """``.. documented:: helpers.theory``: a module's docstring, and its names with theirs."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        root, _, rest = name.partition(".")
        try:
            module = package()[rest] if root == PACKAGE.name and rest else None
        except KeyError:
            module = None
        if module is None or not module.is_module:
            raise self.error(f"{name!r} is no module of {PACKAGE.name}, such as helpers.theory.")
        self.module = module
        for file in (str(module.filepath), __file__):  # whichever changes, the page is made anew
            self.env.note_dependency(file)
        anchor = nodes.target("", "", ids=[f"module-{name}"], ismod=True)
        python = self.env.domains["py"]
        text = module.docstring.value if module.docstring else ""
        python.note_module(name, anchor["ids"][0], text.partition("\n")[0], "", False)
        python.note_object(name, "module", anchor["ids"][0], location=anchor)
        content = nodes.container(classes=["documented"])
        self._parse(text, content)
        content += [self._described(member) for member in public(module)]
        return [anchor, content]

    def _parse(self, text: str, into: nodes.Element, owner: griffe.Object | None = None) -> None:
        """Read a docstring; names in single backticks become links where they are the package's."""
        scope = owner or self.module
        lines = StringList(text.splitlines(), f"docstring of {scope.path}")
        with default_role(self.env.docname, "py:obj"), switch_source_input(self.state, lines):
            self.state.nested_parse(lines, 0, into)
        for link in list(into.findall(addnodes.pending_xref)):
            target = link["reftarget"].removesuffix("()")
            if found := _resolved(target, scope):
                link["reftarget"] = found
            elif not target.startswith(f"{PACKAGE.name}."):  # torch's, say
                link.replace_self(nodes.literal("", link.astext()))

    def _described(self, what: griffe.Object, owner: griffe.Class | None = None) -> addnodes.desc:
        kind, prefix = _kind(what)
        name = f"{owner.name}.{what.name}" if owner else what.name
        path = f"{self.module.path}.{name}"
        signature = addnodes.desc_signature(
            "", "", ids=[path], module=self.module.path, fullname=name, classes=["sig-object"]
        )
        call = f"{what.name}()" if kind in ("function", "method") else what.name
        signature["_toc_parts"] = (self.module.path, name)
        signature["_toc_name"] = call
        if prefix:
            signature += [addnodes.desc_annotation("", "", *_words(prefix))]
        if owner is None:
            short = self.module.path.removeprefix(f"{PACKAGE.name}.")
            signature += addnodes.desc_addname("", f"{short}.")
        signature += addnodes.desc_name("", what.name)
        signature += _written(what)
        if len(signature.astext()) > LONG:
            signature["classes"].append("long")
        signature += self._source(what)
        self.env.domains["py"].note_object(path, kind, path, location=signature)
        content = addnodes.desc_content()
        bases = [base for base in getattr(what, "bases", []) if str(base) != "NamedTuple"]
        if bases:
            line = nodes.paragraph("", "A kind of ", classes=["base"])
            for number, base in enumerate(bases):
                line += [nodes.Text(", ")] if number else []
                line += nodes.literal("", "", *_linked(base))
            content += line
        text = what.docstring.value if what.docstring else ""
        if what.is_attribute and owner is None:
            text = comment(what) + _keys(what.value)
        self._parse(text, content, what)
        if what.is_class:
            content += [self._described(member, what) for member in members(what)]
        made = addnodes.desc("", signature, content, domain="py", objtype=kind, desctype=kind)
        made["classes"] += ["py", kind]
        return made

    def _source(self, what: griffe.Object) -> list[nodes.Node]:
        """A link to the lines in the repository, for pages only."""
        options = self.config.html_theme_options
        if not {"repository_url", "repository_branch"} <= options.keys():
            return []
        file = what.filepath.relative_to(PACKAGE.parents[1]).as_posix()
        address = f"{options['repository_url']}/blob/{options['repository_branch']}/{file}"
        link = nodes.reference(
            "", "", internal=False, refuri=f"{address}#L{what.lineno}-L{what.endlineno}"
        )
        link += nodes.inline("", "source", classes=["viewcode-link"])
        return [addnodes.only("", link, expr="html")]


def _kind(what: griffe.Object) -> tuple[str, str]:
    """The object's type in Sphinx's Python domain, and the word in front of its name."""
    if what.is_class:
        bases = [str(base) for base in what.bases]
        raised = any(base.endswith(("Error", "Exception")) for base in bases)
        return ("exception", "exception ") if raised else ("class", "class ")
    if what.is_function:
        return ("method" if what.parent.is_class else "function"), ""
    if what.has_labels("property"):
        return "property", "property "
    return "data", ""


def _written(what: griffe.Object) -> list[nodes.Node]:
    """What stands behind the name: parameters and result, or type and value."""
    if what.is_attribute:
        written = [*_punctuated(": ", what.annotation)] if what.annotation else []
        value = str(what.value) if what.value is not None else ""
        private = re.search(r"\b_\w", value)
        if value and len(value) <= LONG and not private and not what.has_labels("property"):
            written += _punctuated(" = ", what.value)
        return written
    if what.is_class and what.bases and str(what.bases[0]) == "NamedTuple":
        fields = [m for m in what.members.values() if m.is_attribute]
        parameters = [griffe.Parameter(f.name, annotation=f.annotation) for f in fields]
    else:
        parameters = [p for p in what.parameters or () if p.name != "self"]
        if what.is_class and not parameters:
            return []
    listed = parameterlist("", "", *_parameters(parameters))
    result = what.returns if what.is_function else None
    return [listed] + (_punctuated(" → ", result) if result is not None else [])


def _parameters(parameters: Sequence[griffe.Parameter]) -> list[addnodes.desc_parameter]:
    """Each as it is written, with the lone star where only named arguments follow."""
    named, kinds = False, griffe.ParameterKind
    everything: list[list[nodes.Node]] = []
    for parameter in parameters:
        if parameter.kind is kinds.keyword_only and not named:
            everything.append([addnodes.desc_sig_operator("", "*")])
        named = named or parameter.kind in (kinds.keyword_only, kinds.var_positional)
        stars = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(parameter.kind, "")
        written: list[nodes.Node] = [addnodes.desc_sig_operator("", stars)] if stars else []
        written.append(addnodes.desc_sig_name("", parameter.name))
        if parameter.annotation is not None:
            written += _punctuated(": ", parameter.annotation)
        if parameter.default is not None and not stars:
            equals = " = " if parameter.annotation is not None else "="
            written += _punctuated(equals, parameter.default)
        everything.append(written)
    return [addnodes.desc_parameter("", "", *written) for written in everything]


def _punctuated(mark: str, expression: Any) -> list[nodes.Node]:
    return [addnodes.desc_sig_punctuation("", mark), *_linked(expression)]


def _linked(expression: Any) -> list[nodes.Node]:
    """An expression as it is written; names that the pages document are links."""
    if isinstance(expression, str):
        return [nodes.Text(expression)]
    found: list[nodes.Node] = []
    for part in expression.iterate(flat=True):
        text = part if isinstance(part, str) else part.name
        path = "" if isinstance(part, str) else part.canonical_path
        target = _shown(path)
        if target:
            found.append(
                addnodes.pending_xref(
                    "", nodes.Text(text), refdomain="py", reftype="obj", reftarget=target
                )
            )
        else:
            found.append(nodes.Text(text))
    return found


def _resolved(name: str, scope: griffe.Object) -> str | None:
    """The full name of what a docstring calls so, if a page documents it."""
    if _shown(name):
        return name
    first, _, rest = name.partition(".")
    try:
        path = scope.resolve(first)
    except griffe.NameResolutionError:
        return None
    return _shown(f"{path}.{rest}" if rest else path)


@functools.cache
def _shown(path: str) -> str | None:
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


def _keys(value: Any) -> str:
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


def _words(text: str) -> list[nodes.Node]:
    return [addnodes.desc_sig_keyword("", text.strip()), addnodes.desc_sig_space()]


def _visit_html(self: Any, node: parameterlist) -> None:
    """Put each comma into its parameter, so that the stylesheet can give each a line."""
    node.child_text_separator = ""
    for parameter in node[:-1]:
        parameter += addnodes.desc_sig_punctuation("", ", ")
    self.visit_desc_parameterlist(node)


def _depart_html(self: Any, node: parameterlist) -> None:
    self.depart_desc_parameterlist(node)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive, and how a page shows parameters."""
    app.add_node(parameterlist, html=(_visit_html, _depart_html))
    app.add_directive("documented", Documented)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
