"""The laboratory in a notebook, as a reader handles it: by the keyboard, by menus and buttons."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from notebooks import Notebook
from playwright.sync_api import Locator, expect

SOURCE = """
import pandas as pd
from helpers import charts, widgets

table = pd.DataFrame({"layer": [1, 2, 3], "q": [1.0, 0.5, 0.25]})
twin = charts.curves(table, table, x="layer", y="q", description="It falls by a half in each layer")
made = widgets.laboratory(twin, scheme="normal", sigma=0.1, width=60, depth=4)
made
"""
#: Milliseconds until what was asked for must be seen; a machine may be busy.
SOON = 20_000


@dataclass
class Laboratory:
    """One laboratory on an open notebook that has been run."""

    notebook: Notebook
    number: int = 0

    @property
    def box(self) -> Locator:
        return self.notebook.page.locator(".first-weights-laboratory").nth(self.number)

    def is_alone(self) -> None:
        """It is drawn, and the chart that stands for it without a kernel has stepped aside."""
        expect(self.box.locator("svg").first).to_be_visible(timeout=SOON)
        twin = self.box.locator(
            "xpath=ancestor::*[contains(@class, 'jp-OutputArea-child')][1]/preceding-sibling::*[1]"
        )
        assert twin.locator("canvas").count() == 1, "no chart stands before the laboratory"
        expect(twin).to_be_hidden()

    def seen(self) -> str:
        """The pictures and words of the present tab."""
        shown = self.box.locator(".widget-html-content:visible, .jupyter-widgets-view:visible")
        return "".join(
            shown.locator(".fw-say, .fw-cards, .fw-hint").evaluate_all(
                "all => all.map(one => one.outerHTML)"
            )
        )

    def changes(self, act: Callable[[], object]) -> str:
        """Do something that changes what is seen, wait until it has, and return it."""
        before = self.seen()
        act()
        for _ in range(SOON // 50):
            if (now := self.seen()) != before:
                return now
            self.notebook.page.wait_for_timeout(50)
        raise AssertionError(f"nothing changed in {SOON} ms: {before[:300]}")

    def menu(self, label: str) -> Locator:
        return self.box.get_by_label(label, exact=True)

    def button(self, label: str) -> Locator:
        return self.box.get_by_role("button", name=label, exact=True)

    def start(self) -> Locator:
        """The button that starts a training, or goes on with one that was stopped."""
        return self.box.get_by_role("button", name=re.compile(r"^(Start|Go on)$"))

    def trains(self) -> None:
        expect(self.button("Stop")).to_be_enabled(timeout=SOON)
        expect(self.box).to_contain_text(re.compile(r"This run: .* Step \d+ of"), timeout=SOON)

    def has_stopped(self) -> None:
        expect(self.box).to_contain_text("Stopped")
        expect(self.button("Stop")).to_be_disabled()

    def tab(self, label: str) -> Locator:
        return self.box.get_by_role("tab", name=label, exact=True)

    def sigma(self) -> Locator:
        """What arrow keys move σ with."""
        slider = self.box.locator(".widget-slider", has_text="σ").first
        return slider.get_by_role("slider")

    def kernel(self, expression: str) -> Any:
        """Evaluate Python in the notebook's kernel; return the value of something printable."""
        script = """async code => {
            const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({ code, store_history: false });
            let said = '';
            future.onIOPub = ({ content }) => said += content.text ?? content.evalue ?? '';
            await future.done;
            return said.trim();
        }"""
        return self.notebook.page.evaluate(script, f"print({expression})")

    def is_accessible(self) -> None:
        """axe finds nothing in it against WCAG 2.1, A and AA, that could be mended here."""
        self.box.evaluate("box => box.dataset.tested = ''")
        rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
        options = {"resultTypes": ["violations"], "runOnly": rules, "preload": False}
        found = Axe().run(self.notebook.page, context="[data-tested]", options=options)
        self.box.evaluate("box => delete box.dataset.tested")
        lines = [
            f"{one['id']}: {node['html'][:200]}"
            for one in found.response["violations"]
            for node in one["nodes"]
            # The handle of a slider has no name, and ipywidgets no way to give it one.
            if (one["id"], "noUi-handle" in node["html"]) != ("aria-input-field-name", True)
        ]
        assert not lines, "\n".join(lines)

    def reset(self) -> None:
        """Stop what runs, and set everything as it was when the cell had run."""
        self.tab("What flows").click()
        self.kernel(
            "made.training.halt() or made.controls.choose(network='perceptron', data='digits', "
            "scheme='normal', sigma=0.1, activation='relu', width=60, depth=4, seed=0)"
        )
        expect(self.menu("Scheme")).to_have_value("normal")
        self.settles()

    def settles(self) -> str:
        """Wait until nothing has changed for a while, and return what is seen."""
        before = None
        while (now := self.seen()) != before:
            before = now
            self.notebook.page.wait_for_timeout(250)
        return now
