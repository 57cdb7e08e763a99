"""What a run of training has found so far, and how that is kept in a file and taken up again."""

import io
import pickle

import torch
from torch import Tensor

from helpers import files
from helpers.ensembles import Ensemble

#: Raise it with every change that alters what a run computes: older checkpoints then go unused.
VERSION = 2
#: Of a table of training; one of several networks has ``member`` in front.
COLUMNS = ["epoch", "step", "quantity", "value"]
_DAMAGED = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, EOFError),
    pickle.UnpicklingError,
)


class Run:
    """How far a run is, and all that it has found: each step's losses, test scores and records.

    ``rule`` is the optimizer, ``generators`` those that shuffle, ``total`` the number of steps.
    """

    def __init__(self, ensemble: Ensemble, rule, generators, total: int, device: torch.device):
        self.ensemble, self.rule, self.generators = ensemble, rule, generators
        self.done, self.seconds = 0, 0.0
        losses = torch.zeros(len(ensemble), total, device=device)
        self.losses = losses if device.type == "mps" else losses.double()
        self.scores: list[tuple[int, list]] = []
        self.records: list[tuple[int, list[dict[str, float]]]] = []
        #: The generators' states when the present epoch's order was drawn.
        self.shuffling: list[Tensor] = []

    def save(self, path, dropout: torch.Generator, an_epoch: int) -> None:
        """Write everything to a file, whole or not at all; an epoch has ``an_epoch`` steps."""
        drawn_next = self.done % an_epoch == 0
        parts = {
            "version": VERSION,
            "done": self.done,
            "seconds": self.seconds,
            "losses": self.losses,
            "scores": self.scores,
            "records": self.records,
            "weights": self.ensemble.state(),
            "optimizer": self.rule.state_dict(),
            "shuffling": [g.get_state() for g in self.generators] if drawn_next else self.shuffling,
            "dropout": dropout.get_state(),
        }
        content = io.BytesIO()
        torch.save(parts, content)
        files.replace(path, content.getvalue())

    def restore(self, path, dropout: torch.Generator) -> None:
        """Take everything from a file; raises ValueError where it is damaged or does not fit."""
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            if saved["version"] != VERSION:
                raise ValueError("made by another version of this module")
            ours = [self.losses, *self.ensemble.state()]
            theirs = [saved["losses"], *saved["weights"]]
            if [t.shape for t in ours] != [t.shape for t in theirs]:
                raise ValueError("made by networks of other shapes")
            with torch.no_grad():
                for tensor, value in zip(ours, theirs):
                    tensor.copy_(value)
            self.rule.load_state_dict(saved["optimizer"])
            for generator, state in zip(self.generators, saved["shuffling"], strict=True):
                generator.set_state(state)
            self.shuffling = saved["shuffling"]
            dropout.set_state(saved["dropout"])
            for name in ("done", "seconds", "scores", "records"):
                setattr(self, name, saved[name])
        except _DAMAGED as error:
            raise ValueError(
                f"The checkpoint {path} is damaged, or does not fit this run. Delete it to start "
                "again."
            ) from error

    def table(self, an_epoch: int, single: bool):
        """Return what was found so far, in the table that `helpers.training.train` returns."""
        import pandas as pd

        rows = []
        losses = self.losses.tolist()
        for member in range(len(self.ensemble)):
            # A step's own loss comes first, then what was measured after it.
            found = [(step, 0, "loss", v) for step, v in enumerate(losses[member], 1)]
            for step, scores in self.scores:
                names = ("test_loss", "test_accuracy")
                found += [(step, 1, name, v) for name, v in zip(names, scores[member])]
            for step, records in self.records:
                found += [(step, 2, name, v) for name, v in records[member].items()]
            found.sort(key=lambda row: row[:2])
            rows += [(member, -(-step // an_epoch), step, *row) for step, _, *row in found]
        table = pd.DataFrame(rows, columns=["member", *COLUMNS])
        table = table.drop(columns="member") if single else table
        table.attrs["seconds"] = self.seconds
        return table
