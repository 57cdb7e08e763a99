"""Pages that document this package from its source: no module is imported, so none needs torch.

In a page, inside ``{eval-rst}``, the directive ``documented`` with the name of a module stands for
the module's docstring and all of its public names, in the order of the source. Signatures are as
they are written there, with every type and default. What griffe has read is made into the nodes
that Sphinx's own Python directives would make, so names can be linked to and searched for.
"""

from typing import Any

import griffe
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, switch_source_input
from sphinx.util.rst import default_role

from . import signatures, source
from .source import PACKAGE


class Documented(SphinxDirective):
    """``.. documented:: helpers.theory``: a module's docstring, and its names with theirs."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        root, _, rest = name.partition(".")
        try:
            module = source.package()[rest] if root == PACKAGE.name and rest else None
        except KeyError:
            module = None
        if module is None or not module.is_module:
            raise self.error(f"{name!r} is no module of {PACKAGE.name}, such as helpers.theory.")
        self.module = module
        # Whichever changes, the page is made anew.
        for file in (module.filepath, __file__, signatures.__file__, source.__file__):
            self.env.note_dependency(str(file))
        anchor = nodes.target("", "", ids=[f"module-{name}"], ismod=True)
        python = self.env.domains["py"]
        text = module.docstring.value if module.docstring else ""
        python.note_module(name, anchor["ids"][0], text.partition("\n")[0], "", False)
        python.note_object(name, "module", anchor["ids"][0], location=anchor)
        content = nodes.container(classes=["documented"])
        self._parse(text, content)
        content += [self._described(member) for member in source.public(module)]
        return [anchor, content]

    def _parse(self, text: str, into: nodes.Element, owner: griffe.Object | None = None) -> None:
        """Read a docstring; names in single backticks become links where they are the package's."""
        scope = owner or self.module
        lines = StringList(text.splitlines(), f"docstring of {scope.path}")
        with default_role(self.env.docname, "py:obj"), switch_source_input(self.state, lines):
            self.state.nested_parse(lines, 0, into)
        for link in list(into.findall(addnodes.pending_xref)):
            target = link["reftarget"].removesuffix("()")
            if found := source.resolved(target, scope):
                link["reftarget"] = found
            elif not target.startswith(f"{PACKAGE.name}."):  # torch's, say
                link.replace_self(nodes.literal("", link.astext()))

    def _described(self, what: griffe.Object, owner: griffe.Class | None = None) -> addnodes.desc:
        kind, prefix = signatures.kind(what)
        name = f"{owner.name}.{what.name}" if owner else what.name
        path = f"{self.module.path}.{name}"
        signature = addnodes.desc_signature(
            "", "", ids=[path], module=self.module.path, fullname=name, classes=["sig-object"]
        )
        call = f"{what.name}()" if kind in ("function", "method") else what.name
        signature["_toc_parts"] = (self.module.path, name)
        signature["_toc_name"] = call
        if prefix:
            signature += [addnodes.desc_annotation("", "", *signatures.words(prefix))]
        if owner is None:
            short = self.module.path.removeprefix(f"{PACKAGE.name}.")
            signature += addnodes.desc_addname("", f"{short}.")
        signature += addnodes.desc_name("", what.name)
        signature += signatures.written(what)
        if len(signature.astext()) > signatures.LONG:
            signature["classes"].append("long")
        signature += self._source(what)
        self.env.domains["py"].note_object(path, kind, path, location=signature)
        content = addnodes.desc_content()
        bases = [base for base in getattr(what, "bases", []) if str(base) != "NamedTuple"]
        if bases:
            line = nodes.paragraph("", "A kind of ", classes=["base"])
            for number, base in enumerate(bases):
                line += [nodes.Text(", ")] if number else []
                line += nodes.literal("", "", *signatures.linked(base))
            content += line
        text = what.docstring.value if what.docstring else ""
        if what.is_attribute and owner is None:
            text = source.comment(what) + source.keys(what.value)
        self._parse(text, content, what)
        if what.is_class:
            content += [self._described(member, what) for member in source.members(what)]
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


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    signatures.setup(app)
    app.add_directive("documented", Documented)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
