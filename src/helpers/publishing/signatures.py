"""Signatures as nodes of Sphinx: as the source has them, names that pages document as links."""

import re
from collections.abc import Sequence
from typing import Any

import griffe
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from .source import shown

LONG = 72
"""A signature of more characters gets a line for each parameter."""


class parameterlist(addnodes.desc_parameterlist):
    """The parameters of a signature; Sphinx's own node, but for pages."""


def kind(what: griffe.Object) -> tuple[str, str]:
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


def written(what: griffe.Object) -> list[nodes.Node]:
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
    return [addnodes.desc_sig_punctuation("", mark), *linked(expression)]


def linked(expression: Any) -> list[nodes.Node]:
    """An expression as it is written; names that the pages document are links."""
    if isinstance(expression, str):
        return [nodes.Text(expression)]
    found: list[nodes.Node] = []
    for part in expression.iterate(flat=True):
        text = part if isinstance(part, str) else part.name
        path = "" if isinstance(part, str) else part.canonical_path
        target = shown(path)
        if target:
            found.append(
                addnodes.pending_xref(
                    "", nodes.Text(text), refdomain="py", reftype="obj", reftarget=target
                )
            )
        else:
            found.append(nodes.Text(text))
    return found


def words(text: str) -> list[nodes.Node]:
    """The word in front of a name, such as ``class``."""
    return [addnodes.desc_sig_keyword("", text.strip()), addnodes.desc_sig_space()]


def _visit_html(self: Any, node: parameterlist) -> None:
    """Put each comma into its parameter, so that the stylesheet can give each a line."""
    node.child_text_separator = ""
    for parameter in node[:-1]:
        parameter += addnodes.desc_sig_punctuation("", ", ")
    self.visit_desc_parameterlist(node)


def _depart_html(self: Any, node: parameterlist) -> None:
    self.depart_desc_parameterlist(node)


def setup(app: Sphinx) -> None:
    """Register how a page shows parameters."""
    app.add_node(parameterlist, html=(_visit_html, _depart_html))
