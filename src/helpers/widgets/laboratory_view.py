"""The laboratory as one widget: controls, what flows, and training."""

from typing import Any

import ipywidgets as w
from IPython.display import display

from helpers.laboratory import Flow, Settings, flow
from helpers.laboratory.words import verdict
from helpers.widgets import pictures, style
from helpers.widgets.controls import Controls
from helpers.widgets.newest import Newest
from helpers.widgets.training_view import TrainingView

#: The type of an output that shows a live widget.
VIEW = "application/vnd.jupyter.widget-view+json"


class Laboratory(w.VBox):
    """Controls over two tabs, shown after ``twin``, the chart that needs no kernel.

    The first picture is drawn when a front end shows the view, and what runs is stopped when the
    last view is gone.
    """

    def __init__(self, twin: Any, settings: Settings):
        self.twin = twin
        #: What is shown, once it is.
        self.flow: Flow | None = None
        self._redraw = Newest(self.redraw)
        self.controls = Controls(settings, self._moved)
        self.verdict, self.figure = w.HTML(), w.HTML()
        self.training = TrainingView(self.controls.settings, self.controls.another_seed)
        self.tabs = w.Tab(
            [w.VBox([self.verdict, self.figure]), self.training],
            titles=("What flows", "Train it"),
        )
        super().__init__([w.HTML(style.STYLE), self.controls, self.tabs])
        self.add_class(style.NAME)
        self._view_count = 0  # from None: now the front end keeps it up to date
        self.observe(self._seen, "_view_count")

    def redraw(self) -> None:
        """Compute what flows at the present settings, and show it, or what is wrong with them."""
        try:
            settings = self.controls.settings()
            if self.flow is None or self.flow.settings.data != settings.data:
                self.verdict.value = style.said([f"Loading {settings.data} …"])
            self.flow = found = flow(settings)
            legend = (
                f"Dots: measured on {found.images:,} images; the gradient is that of a random "
                "direction in the output. Line: what theory predicts. Dashed: no change. "
                "Violins leave zeros out."
            )
            self.figure.value = style.cards(pictures.flow_cards(found)) + style.hint(legend)
            self.verdict.value = style.said(verdict(found))
            self.figure.remove_class("fw-old")
        except Exception as error:  # shown, whatever it is: a control must not die
            self.figure.add_class("fw-old")
            self.verdict.value = style.complaint(error)

    def close(self) -> None:
        """Stop what runs, and close the widget."""
        self.training.halt()
        super().close()

    def _moved(self) -> None:
        self._redraw.wish()
        self.training.refresh()

    def _seen(self, change) -> None:
        if change.new and self.flow is None:
            self._redraw.wish()
        elif not change.new:
            self.training.halt()

    def _ipython_display_(self) -> None:
        display(self.twin)
        # The view alone: where there is no kernel, the twin says it all.
        display({VIEW: self._repr_mimebundle_()[VIEW]}, raw=True)
