"""The tab that trains the network, and keeps the run before beside the new one."""

import html
from collections.abc import Callable

import ipywidgets as w

from helpers.laboratory import Settings, Training, Trial
from helpers.laboratory.words import percent
from helpers.widgets import pictures, style
from helpers.widgets.newest import Newest

#: Seconds between two looks at a training that runs.
EVERY = 0.15
#: So many epochs are trained, and of the LSTM, whose steps take longer.
EPOCHS, LSTM_EPOCHS = 20, 10
_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


class TrainingView(w.VBox):
    """Start, Stop, Rewind, New seed; loss and accuracy as they move.

    ``settings`` returns what the controls say, ``new_seed`` changes their seed.
    """

    def __init__(self, settings: Callable[[], Settings], new_seed: Callable[[], None]):
        self._settings = settings
        self.training: Training | None = None
        #: The run before: what it was, in words, and how far it came.
        self.before: tuple[str, Trial] | None = None
        self._look = Newest(self.refresh, EVERY, later=True)
        self.start = self._button("Start", "Train from exactly these first weights", self._start)
        self.stop = self._button("Stop", "Stop after the present step", self._stop)
        self.rewind = self._button("Rewind", "Back to the same first weights", self._rewind)
        self.seed = self._button("New seed", "Other first weights", new_seed)
        first = 0.3 if settings().recurrent else 0.03
        self.rate = w.Dropdown(options=_RATES, value=first, description="Rate")
        self.rate.tooltip = "Learning rate of plain descent, in batches of 50"
        self.progress = w.FloatProgress(min=0, max=1, description="Progress")
        self.status, self.charts = w.HTML(), w.HTML()
        buttons = w.Box(
            [self.start, self.stop, self.rewind, self.seed, self.rate],
            layout=w.Layout(flex_flow="row wrap", align_items="center"),
        )
        super().__init__([buttons, self.progress, self.status, self.charts])
        self.refresh()

    def refresh(self) -> None:
        """Show how far training is; while it runs, come back soon."""
        try:
            trial = self.training.trial() if self.training else None
            running = trial is not None and trial.state == "running"
            self.stop.disabled = not running
            self.start.disabled = running and self._same()
            self.start.description = (
                "Go on" if trial and trial.state == "stopped" and self._same() else "Start"
            )
            self.rewind.disabled = trial is None or trial.state == "ready"
            self.progress.value = trial.done / trial.total if trial and trial.total else 0.0
            self._draw(trial)
            if running:
                self._look.wish()
        except Exception as error:  # shown, whatever it is: a control must not die
            self.status.value = style.complaint(error)

    def halt(self) -> None:
        """Stop training for good: nobody sees it any more."""
        self._look.forget()
        if self.training:
            self.training.stop()

    def _button(self, label: str, tooltip: str, work: Callable[[], None]) -> w.Button:
        button = w.Button(description=label, tooltip=tooltip)

        def press(_):
            try:
                work()
            except Exception as error:  # as in refresh
                self.status.value = style.complaint(error)
            else:
                self.refresh()

        button.on_click(press)
        return button

    def _start(self) -> None:
        settings = self._settings()
        if self.training is not None and self._same():
            if self.training.trial().state == "done":
                self.training.rewind()
        else:
            if self.training is not None:
                self.training.stop()
                trial = self.training.trial()
                if trial.done:
                    self.before = (self._words(), trial)
            epochs = LSTM_EPOCHS if settings.recurrent else EPOCHS
            self.training = Training(settings, rate=self.rate.value, epochs=epochs)
        self.training.start()

    def _stop(self) -> None:
        if self.training:
            self.training.stop()

    def _rewind(self) -> None:
        if self.training:
            self.training.rewind()

    def _same(self) -> bool:
        """Is what the controls say what is being trained?"""
        training = self.training
        try:
            return training is not None and (self._settings(), self.rate.value) == (
                training.settings,
                training.rate,
            )
        except ValueError:
            return False

    def _words(self) -> str:
        seeds = self.training.seeds
        also = f" and the next {len(seeds) - 1}" if len(seeds) > 1 else ""
        return f"{self.training.settings}{also}, learning rate {self.training.rate:g}"

    def _draw(self, trial: Trial | None) -> None:
        runs, told = [], []
        if self.before is not None:
            runs.append((self.before[1], pictures.BEFORE))
            told.append((pictures.BEFORE, f"The run before: {self.before[0]}.", self.before[1]))
        if trial is not None:
            runs.append((trial, pictures.FORWARD))
            told.append((pictures.FORWARD, f"This run: {self._words()}.", trial))
        if trial is None:
            text = style.said(
                ["Start trains from the weights that flowed, with other seeds beside."]
            )
        elif trial.error:
            text = style.complaint(ValueError(f"Training failed. {trial.error}"))
        else:
            text = style.said([_outcome(trial)])
        legend = "".join(
            f'<div class="fw-hint"><span class="fw-run" style="color:{color}"></span>'
            f"{html.escape(words)} {html.escape(_short(run))}</div>"
            for color, words, run in told
        )
        self.status.value = text
        self.charts.value = legend + (style.cards(pictures.training_cards(runs)) if runs else "")


def _outcome(trial: Trial) -> str:
    """How it goes, in one sentence that changes seldom: a screen reader says it every time."""
    if trial.state == "ready":
        return "Back at the same first weights."
    if not trial.total:
        return "Drawing the first weights …"
    if trial.state == "running":
        return "Training."
    state = {"stopped": "Stopped", "done": "Done"}[trial.state]
    return f"{state}. {_short(trial)}"


def _short(trial: Trial) -> str:
    if not trial.losses:
        return ""
    last = trial.losses[-1]
    broken = sum(not abs(loss) < float("inf") for loss in last)
    accuracy = trial.scores[-1][1]
    told = f"Step {trial.done} of {trial.total}, "
    low, high = percent(min(accuracy)), percent(max(accuracy))
    told += f"test accuracy {low}." if low == high else f"test accuracy {low} to {high}."
    if broken:
        who = "the loss" if broken == len(last) else f"the loss of {broken} of {len(last)}"
        told += f" No number any more: {who}."
    return told
