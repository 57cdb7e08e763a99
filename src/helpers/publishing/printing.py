"""The book on paper: one PDF with the numbers, parts and chapters of the pages.

For the LaTeX builder alone. What a page folds or moves must here be left out or stand still;
how it looks is said in `printing.tex`. `press.py` runs LaTeX.
"""

import re
from pathlib import Path
from typing import Any

import vl_convert
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.latex.nodes import thebibliography
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.transforms.post_transforms.images import ImageConverter
from sphinx.util.texescape import escape
from sphinx_exercise.nodes import exercise_enumerable_node

from . import frames

FILE = "first-weights.tex"
LOGO = "book-logo.pdf"
LONG = re.compile(r"\w{40,}")
SOURCES = "sources"
SUBTITLE = "An interactive article on neural-network initialization"


class DrawingCode(SphinxPostTransform):
    """Leave out the code that the page folds away: it draws, and is not the subject."""

    formats = ("latex",)
    default_priority = 200

    def run(self, **kwargs: Any) -> None:
        """Take the source out of each cell with folded input."""
        for cell in list(self.document.findall(nodes.container)):
            if cell.get("hide_mode") == "input":
                for child in list(cell.children):
                    if child.get("nb_element") == "cell_code_source":
                        cell.remove(child)


class Structure(SphinxPostTransform):
    """Give the parts their names, and everything the number that it has on the pages."""

    formats = ("latex",)
    default_priority = 200

    def run(self, **kwargs: Any) -> None:
        """Put LaTeX's own commands before chapters, figures and equations."""
        root = self.env.config.root_doc
        files = {node["docname"]: node for node in self.document.findall(addnodes.start_of_file)}
        trees = list(self.env.get_doctree(root).findall(addnodes.toctree))
        for tree in trees:
            for name in tree["includefiles"]:
                depth = 0 if tree.get("numbered") else -1
                before = rf"\setcounter{{secnumdepth}}{{{depth}}}"
                if tree.get("caption") and name == tree["includefiles"][0]:
                    before = rf"\bookpart{{{_tex(tree['caption'])}}}{before}"
                self._put_before(files[name], before)
        self._number(root)
        for node in list(self.document.findall(exercise_enumerable_node)):
            # Links name the page, too; the labels that sphinx-exercise writes do not.
            name = rf"\detokenize{{{node['docname']}:{node['label']}}}"
            self._put_before(node, rf"\phantomsection\label{{{name}}}")
        for text in list(self.document.findall(nodes.Text)):
            if LONG.search(text):  # a checksum would run out of the page
                parted = LONG.sub(lambda word: re.sub(".{8}", "\\g<0>\u200b", word[0]), text)
                text.parent.replace(text, nodes.Text(parted))
        self._mark_sources()
        if trees:
            self._wrap_front()

    def _mark_sources(self) -> None:
        """Mark where the sources stand, and let their links, which are read, have no footnote."""
        for number, source in enumerate(list(self.document.findall(nodes.citation))):
            if number == 0:
                place = nodes.container(classes=[SOURCES])
                source.parent.insert(source.parent.index(source), place)
            for link in list(source.findall(nodes.reference)):
                if uri := link.get("refuri"):
                    latex = rf"\href{{{_tex(uri)}}}{{{_tex(link.astext())}}}"
                    link.replace_self(nodes.raw("", latex, format="latex"))

    def _wrap_front(self) -> None:
        """Make a chapter of what stands before the first part: LaTeX's would have no title."""
        top = next(self.document.findall(nodes.section))
        own = [node for node in top[1:] if not next(node.findall(addnodes.start_of_file), None)]
        for node in own:
            top.remove(node)
        front = nodes.section("", nodes.title("", "Introduction"), *own, ids=["introduction"])
        top.insert(1, nodes.raw("", r"\setcounter{secnumdepth}{-1}", format="latex"))
        top.insert(2, front)

    def _number(self, root: str) -> None:
        kinds = {nodes.figure: "figure", nodes.table: "table", nodes.math_block: "displaymath"}
        counters = {"displaymath": "equation"}
        for node in list(self.document.findall(lambda node: type(node) in kinds)):
            page = node  # Sphinx writes the page's name on the sections of all but the first
            while page is not None and "docname" not in page:
                page = page.parent
            name, kind = page["docname"] if page else root, kinds[type(node)]
            numbers = self.env.toc_fignumbers.get(name, {}).get(kind, {})
            number = next((numbers[name] for name in node["ids"] if name in numbers), None)
            if number:
                said = ".".join(map(str, number))
                self._put_before(
                    node, rf"\renewcommand{{\the{counters.get(kind, kind)}}}{{{said}}}"
                )

    @staticmethod
    def _put_before(node: nodes.Element, latex: str) -> None:
        node.parent.insert(node.parent.index(node), nodes.raw("", latex + "\n", format="latex"))


class Sources(SphinxPostTransform):
    """List the sources where the pages list them: Sphinx would move them to the end of the book."""

    formats = ("latex",)
    default_priority = 760  # after Sphinx has moved them, at 750

    def run(self, **kwargs: Any) -> None:
        """Put the list back into the chapter that `Structure` marked."""
        moved = next(self.document.findall(thebibliography), None)
        if moved is not None:
            moved.parent.remove(moved)
            containers = self.document.findall(nodes.container)
            place = next(node for node in containers if SOURCES in node["classes"])
            place.replace_self(moved)


class SvgToPdf(ImageConverter):
    """Drawings of the book's own, for LaTeX, which reads no SVG."""

    conversion_rules = [("image/svg+xml", "application/pdf")]  # noqa: RUF012, Sphinx's own form

    def is_available(self) -> bool:
        """Yes: what draws the charts also draws these."""
        return True

    def convert(self, _from: str, _to: str) -> bool:
        """Write the PDF `_to` of the drawing `_from`; its gray, made for dark pages too, darker."""
        drawing = Path(_from).read_text(encoding="utf-8").replace("#808080", "#444444")
        Path(_to).write_bytes(vl_convert.svg_to_pdf(drawing))
        return True


def _tex(text: str) -> str:
    return escape(text, "xelatex")


def _configure(app: Sphinx, config: Config) -> None:
    """Say what Sphinx asks before its own settings of LaTeX; other builders are left alone."""
    home = config.html_theme_options.get("repository_url", "")
    told = {
        "bookaddress": config.html_baseurl or home,
        "bookrepository": home,
        "bookyear": config.copyright,
        "booklogo": LOGO,
        "booksubtitle": SUBTITLE,
    }
    commands = "".join(rf"\newcommand*{{\{name}}}{{{told[name]}}}" + "\n" for name in told)
    style = Path(__file__).with_suffix(".tex").read_text(encoding="utf-8")
    config.latex_use_xindy = False
    config.latex_domain_indices = False
    config.latex_show_urls = "footnote"
    config.latex_table_style = ["booktabs"]
    config.latex_elements = {
        "papersize": "a4paper",
        "pointsize": "11pt",
        "extraclassoptions": "openany,oneside",
        "sphinxsetup": "hmargin={30mm,30mm},vmargin={26mm,28mm}",
        "fontpkg": "",
        "fncychap": "",
        "preamble": commands + rf"\makeatletter{chr(10)}{style}\makeatother",
        "maketitle": r"\booktitlepage",
        "makeindex": "",
        "printindex": "",
        "figure_align": "htbp",
    }


def _begin(app: Sphinx) -> None:
    config = app.config
    title = config.html_title or config.project
    # Not earlier: the table of contents says late which page is the first.
    config.latex_documents = [(config.root_doc, FILE, title, config.author, "manual")]
    if app.builder.name == "latex" and config.html_logo:
        drawing = (Path(app.srcdir) / config.html_logo).read_text(encoding="utf-8")
        Path(app.outdir).mkdir(parents=True, exist_ok=True)
        (Path(app.outdir) / LOGO).write_bytes(vl_convert.svg_to_pdf(drawing))


def setup(app: Sphinx) -> None:
    """Register the hooks and the transforms."""
    app.connect("config-inited", _configure, priority=700)  # the addresses are known by then
    app.connect("builder-inited", _begin)
    for transform in (frames.FrameTables, DrawingCode, Structure, Sources, SvgToPdf):
        app.add_post_transform(transform)
