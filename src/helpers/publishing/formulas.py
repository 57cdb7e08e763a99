"""Formulas written as MathML when the book is built: they are read without a script.

Browsers lay MathML out themselves. They do it well with a font made for mathematics, which few
systems have; so the book carries the part of one that its formulas need (`fonts.math`).
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from . import fonts
from .keeping import kept

logger = logging.getLogger(__name__)

_converter = LatexToMathML(fancy_error=False)


def mathml(latex: str, *, block: bool = False) -> str:
    """Return `latex` as a `<math>` element; raises ValueError where it is no formula."""
    try:
        return _converter.convert_with_local_state(latex.strip(), displaystyle=block)
    except LatexError as error:
        raise ValueError(f"this formula cannot be read: {error}: {latex.strip()}") from error


def _formula(node: nodes.Element, block: bool) -> str:
    try:
        return mathml(node.astext(), block=block)
    except ValueError as error:
        logger.error(str(error), location=node, type="math")
        return ""


def _visit_inline(self: Any, node: nodes.math) -> None:
    self.body.append(f'<span class="math">{_formula(node, block=False)}</span>')
    raise nodes.SkipNode


def _visit_block(self: Any, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(f'<div class="math-body">{_formula(node, block=True)}</div>')
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def _write_font(app: Sphinx, failure: Exception | None) -> None:
    formulas = app.env.get_domain("math").data["has_equations"].values()
    if failure is None and app.builder.format == "html" and any(formulas):
        source = Path(fonts.__file__).read_text(encoding="utf-8")
        font = kept(app, "math.woff2", source, fonts.math)
        (Path(app.outdir) / "_static" / "math.woff2").write_bytes(font)


def _choose(app: Sphinx, config: Config) -> None:
    config.html_math_renderer = "mathml"


def setup(app: Sphinx) -> None:
    """Register the renderer and its font, and choose it."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    app.connect("config-inited", _choose)
    app.connect("build-finished", _write_font)
