"""Which scheme a layer's weights were drawn by, read from the weights alone.

A scheme is recognized by its variance, within the sampling error that so many weights have, and
its distribution. Several may fit: where fan_in equals fan_out, or where there are few weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from helpers import devices
from helpers.diagnosis import schemes
from helpers.diagnosis.recording import Use
from helpers.initializers import LAYERS

_SAMPLE = 1 << 16  # weights looked at; a variance from so many is right to 0.6 %
_SURE = 4.0  # standard errors


@dataclass(frozen=True)
class Weights:
    """What one layer's weights are.

    ``form`` is zeros, constant (every unit has the same weights), identity, orthogonal, or a
    distribution: normal, uniform, truncated, other. ``variance`` is E[w²], known to the relative
    standard error ``error``; ``rules`` are the keys of `schemes.RULES` that it fits.
    ``scheme`` says it in words.
    """

    fan_in: int
    fan_out: int
    form: str
    variance: float
    mean: float
    error: float
    rules: tuple[str, ...]
    scheme: str

    @property
    def gain2(self) -> float:
        """fan_in · E[w²]."""
        return self.fan_in * self.variance

    def close(self, other: "Weights") -> bool:
        """Whether another layer has the same variance, but for sampling error."""
        apart = abs(math.log(other.variance / self.variance))
        return apart < _SURE * (self.error + other.error)

    def ratio(self, rule: str) -> float:
        """The variance in units of what the rule asks for."""
        return self.variance / schemes.asked(rule, self.fan_in, self.fan_out)


def fans(use: Use) -> tuple[int, int]:
    """(fan_in, fan_out) as `helpers.initializers.fans` counts them, from the weights as used."""
    shape, module = use.weight.shape, use.module
    if not isinstance(module, LAYERS):
        return shape[-1], shape[0]
    field, groups = math.prod(shape[2:]), getattr(module, "groups", 1)
    if getattr(module, "transposed", False):
        return shape[0] // groups * field, shape[1] * field
    return shape[1] * field, shape[0] // groups * field


@torch.no_grad()
def read(use: Use) -> Weights:
    """Read the weights of a layer as they were used."""
    weight, module = use.weight, use.module
    fan_in, fan_out = fans(use)
    sample = _sampled(weight)
    n = sample.numel()
    mean = sample.mean().item()
    variance = sample.square().mean().item()
    kurtosis = (sample.square().square().mean() / variance**2).item() if variance > 0 else 0.0
    error = math.sqrt(max(kurtosis - 1, 0.5) / n) if math.isfinite(kurtosis) else math.inf
    form = _form(weight, sample, variance, kurtosis)
    rules, scheme = (), form
    if form == "constant":
        scheme = f"every unit the same weights (constant {sample[0].item():.3g})"
    elif form not in ("zeros", "identity", "not finite"):
        scheme = _default(module, weight, form, variance, error)
        if isinstance(module, LAYERS):
            rules = _fitting(use, fan_in, fan_out, variance, error, form)
            few = n < 1000  # too few to tell the distribution
            scheme = schemes.words(rules, form, few, fan_in == fan_out) or scheme
        if form == "orthogonal":
            scale = math.sqrt(variance * max(weight.shape[0], weight[0].numel()))
            scheme = f"orthogonal, gain {scale:.3g}"
        if abs(mean) > _SURE * math.sqrt(variance / n) and mean**2 > 0.04 * variance:
            scheme += f", mean {mean:.2g}"
    return Weights(fan_in, fan_out, form, variance, mean, error, rules, scheme)


def _sampled(weight: Tensor) -> Tensor:
    flat = weight.reshape(-1)
    if len(flat) > _SAMPLE:
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randint(len(flat), (_SAMPLE,), generator=generator)
        flat = flat[chosen.to(flat.device)]
    return devices.double(flat)


def _form(weight: Tensor, sample: Tensor, variance: float, kurtosis: float) -> str:
    if not math.isfinite(variance):
        return "not finite"
    if variance == 0 and not weight.any():
        return "zeros"
    rows = weight.flatten(1)
    if torch.equal(rows[:1].expand(len(rows[:2]), -1), rows[:2]) and (rows == rows[:1]).all():
        if len(rows) > 1 or (rows == rows[0, 0]).all():
            return "constant"
    if 2 * sample.count_nonzero() < len(sample) and weight.shape[0] == weight.shape[1] > 1:
        center = weight[(..., *(k // 2 for k in weight.shape[2:]))]
        eye = center[0, 0] * torch.eye(len(center)).to(center)
        if torch.equal(center, eye) and weight.count_nonzero() == len(center):
            return "identity"
    if _is_orthogonal(rows):
        return "orthogonal"
    n, largest = len(sample), (sample.abs().max() / math.sqrt(variance)).item()
    blur = 5 * math.sqrt(24 / n)
    if largest < 1.75 + 2 / math.sqrt(n) and kurtosis < 2.0 + min(blur, 0.15):
        return "uniform"
    if largest < 2.3 + 2 / math.sqrt(n) and kurtosis < 2.6 + min(blur, 0.2) and n > 200:
        return "truncated"
    return "normal" if abs(kurtosis - 3) < 0.3 + blur else "other"


def _is_orthogonal(rows: Tensor) -> bool:
    rows = rows if rows.shape[0] <= rows.shape[1] else rows.T
    if len(rows) < 2:
        return False
    some = rows[: min(len(rows), 32)].float()
    gram = some @ some.T
    scale = gram.diagonal().mean()
    fine = 1e-4 if rows.dtype in (torch.float32, torch.float64) else 0.05
    return bool(scale > 0 and (gram / scale - torch.eye(len(some)).to(gram)).abs().max() < fine)


def _fitting(use: Use, fan_in, fan_out, variance, error, form) -> tuple[str, ...]:
    found = []
    for key, rule in schemes.RULES.items():
        counted = _torch_fans(use) if rule.torch_counting else (fan_in, fan_out)
        apart = abs(math.log(variance / schemes.asked(key, *counted)))
        if apart < _SURE * error + 0.01:
            found.append((rule.distribution != form, apart, key))
    return tuple(key for _, _, key in sorted(found))


def _torch_fans(use: Use) -> tuple[int, int]:
    """What ``torch.nn.init`` counts: it knows neither groups nor transposed convolutions."""
    shape = use.weight.shape
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def counts_no_groups(use: Use, weights: Weights) -> bool:
    """Whether a grouped layer was drawn by fan_out as PyTorch counts it, too small by √groups."""
    if getattr(use.module, "groups", 1) < 4 or weights.variance == 0:
        return False
    apart = [abs(math.log(weights.variance * _torch_fans(use)[1] / g)) for g in (1, 2)]
    return min(apart) < _SURE * weights.error + 0.01 and not weights.rules


def _default(module: nn.Module, weight: Tensor, form: str, variance: float, error: float) -> str:
    """Layers that are neither linear nor convolutional have defaults of their own."""
    asked_for = None
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        asked_for = ("uniform", 1 / (3 * module.hidden_size), "within ±1/√hidden")
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        asked_for = ("normal", 1.0, "σ = 1")
    elif isinstance(module, nn.MultiheadAttention):
        asked_for = ("uniform", 2 / (weight.shape[0] + weight.shape[1]), "Glorot")
    elif isinstance(module, nn.Bilinear):
        asked_for = ("uniform", 1 / (3 * weight.shape[1]), "within ±1/√in1_features")
    if asked_for and asked_for[0] == form:
        if abs(math.log(variance / asked_for[1])) < _SURE * error + 0.01:
            return f"PyTorch's default ({form}, {asked_for[2]})"
    return f"{form if form != 'other' else 'unknown'}, σ = {math.sqrt(variance):.3g}"
