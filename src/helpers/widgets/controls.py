"""The controls for everything that a reader chooses in the laboratory."""

import math
import random
from collections.abc import Callable
from dataclasses import fields

import ipywidgets as w

from helpers.activations import ACTIVATIONS
from helpers.initializers import SCHEMES
from helpers.laboratory import DEPTHS, FORGETS, NETWORKS, SIGMAS, WIDTHS, Settings, examples
from helpers.laboratory.settings import SEEDS
from helpers.widgets import style


class Controls(w.GridBox):
    """Labeled controls that hold one `Settings`; ``changed`` is called when a reader moves one.

    What means nothing for the chosen network is not shown, and σ can be moved only under the
    schemes that leave it to the reader.
    """

    def __init__(self, settings: Settings, changed: Callable[[], None]):
        self._changed, self._quiet = changed, False
        names = [(name.upper() if name == "lstm" else name, name) for name in NETWORKS]
        self.network = _menu("Network", names, settings.network)
        self.scheme = _menu("Scheme", list(SCHEMES), settings.scheme)
        self.activation = _menu("Activation", list(ACTIVATIONS), settings.activation)
        there = list(dict.fromkeys([*examples.available(), settings.data]))
        self.data = _menu("Data", there, settings.data)
        at = math.log10(settings.sigma)
        self.sigma = w.FloatLogSlider(
            value=settings.sigma,
            min=min(-4.0, math.floor(at)),
            max=max(1.5, math.ceil(at)),
            step=0.0025,
            readout_format=".3g",
            description="σ",
        )
        self.forget = w.FloatSlider(
            value=settings.forget,
            min=min(-2.0, settings.forget),
            max=max(8.0, settings.forget),
            step=0.05,
            description="Forget bias",
        )
        self.width = _range("Width", settings.width, WIDTHS)
        self.depth = _range("Depth", settings.depth, DEPTHS)
        self.seed = w.BoundedIntText(value=settings.seed, min=0, max=SEEDS - 1, description="Seed")
        self.summary = w.HTML()
        self.new_seed = w.Button(description="New seed", tooltip="Other random numbers")
        self.new_seed.on_click(lambda _: self.another_seed())
        self.sigmas = [self._mark(label) for label in SIGMAS]
        self.forgets = [self._mark(label) for label in FORGETS]
        self.marks = w.Box([*self.sigmas, *self.forgets], layout=w.Layout(flex_flow="row wrap"))
        self.summary.add_class("fw-across")
        children = [self.network, self.data, self.activation, self.scheme, self.summary]
        children += [self.sigma, self.forget, self.marks, self.width, self.depth]
        children += [w.Box([self.seed, self.new_seed])]
        super().__init__(children)
        self.add_class("fw-controls")
        for field in fields(Settings):
            getattr(self, field.name).observe(self._moved, "value")
        self._show()

    def settings(self) -> Settings:
        """What is chosen; raises ValueError where choices do not go together."""
        return Settings(**{f.name: getattr(self, f.name).value for f in fields(Settings)})

    def choose(self, **values) -> None:
        """Set several controls as one change."""
        self._quiet = True
        try:
            for name, value in values.items():
                getattr(self, name).value = value
        finally:
            self._quiet = False
        self._moved()

    def another_seed(self) -> None:
        """Take other random numbers."""
        self.choose(seed=random.Random().randrange(10_000))

    def _mark(self, label: str) -> w.Button:
        button = w.Button(description=label)
        if label in FORGETS:
            button.tooltip = f"Set the forget bias to {FORGETS[label]:.3g}"
            button.on_click(lambda _: self.choose(forget=FORGETS[label]))
            return button

        def press(_):
            free = self.scheme.value if SCHEMES[self.scheme.value].fan is None else "normal"
            self.choose(scheme=free, sigma=SIGMAS[label](self.width.value))

        button.tooltip = f"Set σ as {label} would for layers of this width"
        button.on_click(press)
        return button

    def _moved(self, _change=None) -> None:
        if not self._quiet:
            self._show()
            self._changed()

    def _show(self) -> None:
        """Show what has a meaning for this network, and say what the scheme is."""
        recurrent = self.network.value == "lstm"
        for control in (self.sigma, self.scheme, self.activation, self.depth, *self.sigmas):
            control.layout.display = "none" if recurrent else None
        for control in (self.forget, *self.forgets):
            control.layout.display = None if recurrent else "none"
        scheme = SCHEMES[self.scheme.value]
        self.sigma.disabled = scheme.fan is not None
        about = f"{_capital(self.network.label)}: {NETWORKS[self.network.value]}."
        if recurrent:
            about += " Weights are uniform within ±1/√width, and all other biases zero."
        else:
            about += f" “{self.scheme.value}”: {scheme.summary}."
        self.summary.value = style.hint(about)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _menu(label: str, options: list, value: str) -> w.Dropdown:
    return w.Dropdown(options=options, value=value, description=label)


def _range(label: str, value: int, ends: tuple[int, int]) -> w.IntSlider:
    return w.IntSlider(value=value, min=ends[0], max=ends[1], description=label)
