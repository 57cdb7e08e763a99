"""What flows in the reader's own network, why it goes wrong, and how to mend it.

`diagnose` passes one batch through any ``nn.Module``, forward and backward, and leaves no trace. It
compares what every layer puts out, and the gradient that comes back to it, with what theory expects
of its weights and its activation, and names what is wrong: weights out of scale, a scheme that does
not fit the activations, zero or equal weights, units that are off, sigmoids in a row, residual
branches that double the signal.

Faults are of the kinds zero, symmetric, sigmoid, residual, depthwise, scale, vanishing, exploding,
not finite, dead, saturation, vanishing gradient and exploding gradient; notes also of shrinking,
growing, small head, zero head, input, collapsed and not reached.
"""

from collections.abc import Callable

from torch import nn

from helpers.diagnosis import (
    activations,
    blocked,
    chains,
    dead,
    notes,
    passing,
    residuals,
    rows,
    scales,
)
from helpers.diagnosis.findings import Analysis, Finding
from helpers.diagnosis.report import Report
from helpers.layerwise import Batch

__all__ = ["Finding", "Report", "diagnose"]

_CHECKS = (
    blocked.weights,
    activations.sigmoids,
    residuals.additions,
    notes.depthwise,
    scales.outliers,
    chains.chains,
    scales.loud,
    blocked.not_finite,
    dead.dead,
    activations.saturated,
    notes.gradients,
    notes.inputs,
    notes.collapsed,
    notes.unreached,
)


def diagnose(model: nn.Module, batch: Batch, loss: Callable | None = None) -> Report:
    """Look at a network's first weights through one batch; return a `Report`.

    ``batch`` is what the model takes: a tensor (batch, ...), a tuple of arguments, or a dict of
    named ones. ``loss`` maps the model's output to a scalar tensor; without it gradients are those
    of a fixed random linear function of all tensors in the output.

    The network is seen as training sees it, whatever its mode: normalizers normalize over the
    batch, but dropout and stochastic depth let everything through. Parameters and their gradients,
    buffers, modes, hooks, random states and the batch are afterwards what they were, also after an
    error. Statistics are taken in float32, or in float64 where the values are or need it.

    Raises ValueError for a batch that is empty or of another kind; a model without layers that
    hold weights, without an output of real numbers, or compiled by TorchScript; a loss that is no
    scalar or depends on no layer; and where batch norm gets one value for each channel. What the
    model itself raises passes through. Behind reentrant checkpointing gradients are not seen.
    """
    passing.check_batch(model, batch)
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    analysis = Analysis(model, passing.watch(model, batch, loss))
    found = [finding for check in _CHECKS for finding in check(analysis)]
    found.sort(key=lambda finding: finding.severity != "fault")
    return Report(type(model).__name__, rows.table(analysis), tuple(found))
