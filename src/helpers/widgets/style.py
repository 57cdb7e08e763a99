"""How the laboratory looks in a notebook, light or dark, wide or narrow."""

import html
from collections.abc import Sequence

from helpers.charts.theme import GREY, PALETTE

#: The class of the whole, on which every rule hangs.
NAME = "first-weights-laboratory"

#: While the laboratory is shown, the chart above it is the same thing twice: it steps aside, and
#: comes back with the notebook's next opening, when no kernel stands behind the controls.
STYLE = f"""<style>
.jp-OutputArea-child:has(+ .jp-OutputArea-child .{NAME}) {{ display: none }}
.{NAME} {{
  border: 1px solid color-mix(in srgb, {GREY} 40%, transparent); border-radius: 8px;
  box-sizing: border-box; container: laboratory / inline-size; max-width: 58rem;
  padding: .7rem .9rem; width: 100%;
}}
.{NAME}, .{NAME} .widget-html-content {{ color: var(--jp-ui-font-color1, inherit) }}
.{NAME} .fw-controls {{
  display: grid; gap: .15rem 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr));
}}
.{NAME} .fw-across {{ grid-column: 1 / -1 }}
.{NAME} .widget-html, .{NAME} .widget-html-content {{
  flex: 1 1 auto; height: auto; line-height: 1.45; min-width: 0; width: auto;
}}
.{NAME} .widget-inline-hbox:not(.widget-html) {{ max-width: 30rem; min-width: 0; width: auto }}
.{NAME} .widget-inline-hbox > .widget-label {{ flex: none; width: 5.6rem }}
.{NAME} .widget-inline-hbox > :is(select, input, .slider-container) {{ flex: 1; min-width: 0 }}
.{NAME} .widget-readout {{ flex: none; min-width: 3.4rem }}
.{NAME} .widget-button {{ flex: none; padding: 0 .8em; width: auto }}
.{NAME} .fw-hint {{ font-size: .92em; opacity: .85 }}
.{NAME} .fw-say {{ margin: .4rem 0; min-height: 2.9em }}
.{NAME} .fw-say b {{ font-weight: 600 }}
.{NAME} .fw-say p {{ margin: 0 0 .15rem }}
.{NAME} .fw-error {{ border-left: 4px solid {PALETTE[2]}; padding-left: .7em }}
.{NAME} .fw-cards {{ display: flex; flex-wrap: wrap; gap: .3rem 1.2rem }}
.{NAME} .fw-cards svg {{
  display: block; flex: 1 1 18rem; height: auto; max-width: 30rem; min-width: 0;
}}
.{NAME} .fw-old {{ opacity: .3 }}
.{NAME} .fw-run::before {{ content: "━ "; font-weight: 700 }}
.{NAME} .jupyter-widgets.widget-tab > .widget-tab-contents {{ padding: .6rem .8rem }}
@container laboratory (max-width: 30rem) {{
  .{NAME} .jupyter-widgets.widget-tab > .widget-tab-contents {{
    border-width: 1px 0 0; padding: .6rem 0;
  }}
  .{NAME} .fw-cards svg text {{ font-size: 15px }}
}}
</style>"""


def cards(pictures: Sequence[str]) -> str:
    """Pictures side by side, or one under the other where there is no room."""
    return f'<div class="fw-cards">{"".join(pictures)}</div>'


def hint(text: str) -> str:
    """A smaller text."""
    return f'<div class="fw-hint">{html.escape(text)}</div>'


def said(sentences: Sequence[str], *, error: bool = False) -> str:
    """Sentences that a screen reader announces when they change. They are text, not HTML."""
    kind = "fw-say fw-error" if error else "fw-say"
    text = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
    return f'<div class="{kind}" role="status" aria-live="polite">{text}</div>'


def complaint(error: Exception) -> str:
    """What went wrong as one sentence, and that the controls still work."""
    told = " ".join(str(error).split())
    if not isinstance(error, ValueError | FileNotFoundError):
        told = f"{type(error).__name__}: {told}"
    told = told if told.endswith((".", "!", "?")) else told + "."
    return said([f"{told} Change a setting to go on."], error=True)
