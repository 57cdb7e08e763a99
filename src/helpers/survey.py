"""Every classifier of torchvision as it ships, untrained: what flows in it at its first weights.

`survey` diagnoses them one after another and keeps what was found in a file, so that a run that
was stopped goes on behind the last network that it finished.
"""

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import platformdirs
import torch
from torch import Tensor, nn

from helpers import checks, devices, diagnosis, files
from helpers.benchmarks import processor

#: Sides of square images, in pixels: the first that a network takes is its smallest valid input.
SIDES = (32, 64, 96, 128, 160, 192, 224, 299)
#: Images in a batch, and the seed of images and weights.
BATCH, SEED = 8, 0
_LAYERS = [
    "layer",
    "kind",
    "fan_in",
    "gain2",
    "scheme",
    "activation",
    "forward",
    "backward",
    "dead",
]


def classifiers() -> list[str]:
    """The names of torchvision's constructors of networks that classify images."""
    from torchvision import models

    return models.list_models(module=models)


def build(name: str) -> nn.Module:
    """Return the classifier of that name, untrained, its weights drawn under `SEED`.

    The global random state stays as it was. Raises ValueError for an unknown name.
    """
    import warnings

    from torchvision import models

    checks.known("classifier", name, classifiers())
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # GoogLeNet and Inception say that their initialization will be another some day.
        warnings.simplefilter("ignore", FutureWarning)
        torch.random.default_generator.manual_seed(SEED)
        return models.get_model(name, weights=None)


def smallest(network: nn.Module) -> Tensor:
    """Return a batch of the smallest images of `SIDES` that a network takes in training.

    Raises ValueError where it takes none.
    """
    trial = copy.deepcopy(network).train()
    for side in SIDES:
        generator = torch.Generator().manual_seed(SEED)
        batch = torch.randn(BATCH, 3, side, side, generator=generator)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                trial(batch)
        except (RuntimeError, ValueError, AssertionError):
            continue
        return batch
    raise ValueError(f"{type(network).__name__} takes no square images of {SIDES} pixels a side.")


def look(name: str) -> dict:
    """Diagnose one classifier; return its rows of the tables that `survey` describes.

    The row of the network, and under ``"layers"`` a list of those of its layers.
    """
    network = build(name)
    batch = smallest(network)
    before = fingerprint(network)
    # In turn, twice: first calls pay for memory and for integrals that later ones find ready.
    passes, diagnoses = [], []
    for _ in range(2):
        passes.append(_seconds(lambda: _pass(network, batch))[0])
        took, report = _seconds(lambda: diagnosis.diagnose(network, batch))
        diagnoses.append(took)
    notes = [finding for finding in report.findings if finding.severity == "note"]
    layers = report.table[_LAYERS].assign(groups=[_groups(network, n) for n in report.table.layer])
    return {
        "network": name,
        "parameters": sum(p.numel() for p in network.parameters()),
        "side": batch.shape[-1],
        "depth": len(report.table),
        "faults": ", ".join(dict.fromkeys(finding.kind for finding in report.faults)),
        "notes": ", ".join(dict.fromkeys(finding.kind for finding in notes)),
        "verdict": report.verdict,
        "unchanged": fingerprint(network) == before,
        "pass_seconds": min(passes),
        "ratio": min(diagnoses) / min(passes),
        "layers": layers.replace(math.nan, None).to_dict("records"),
    }


def survey(
    names: Iterable[str] | None = None,
    *,
    cache: str | Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """Diagnose classifiers, by default all of them; return two tables, and their provenance.

    The first has a row for each network: ``network``; number of ``parameters``; ``side`` of the
    images, pixels; ``depth``, the number of observed layers; kinds of ``faults`` and of ``notes``,
    between commas; ``verdict`` in words; ``unchanged``, whether parameters, buffers, gradients,
    modes and the random state are bit for bit what they were; ``pass_seconds`` of one forward and
    backward pass, and the ``ratio`` of the diagnosis to it. The second has a row for each layer:
    ``network``, ``groups`` of a convolution, and columns of `diagnosis.Report`'s table.
    """
    start, rows, layers = time.perf_counter(), [], []
    names = classifiers() if names is None else list(names)
    base = os.environ.get("HELPERS_CACHE") or platformdirs.user_cache_path("first-weights")
    folder = Path(base if cache is None else cache) / f"survey-{_version()}"
    spent = 0.0
    for name in names:
        file = folder / f"{name}.json"
        if file.exists():
            row = json.loads(file.read_text(encoding="utf-8"))
        else:
            began = time.perf_counter()
            row = look(name)
            row["seconds"] = time.perf_counter() - began
            folder.mkdir(parents=True, exist_ok=True)
            files.replace(file, json.dumps(row).encode())
        spent += row.pop("seconds")
        layers.append(pd.DataFrame(row.pop("layers")).assign(network=name))
        rows.append(row)
        progress(f"{name}: {row['verdict']}")
    provenance = {
        "command": "python -m helpers survey --out book/results",
        "configuration": {"batch": BATCH, "sides": list(SIDES), "dtype": "float32"},
        "data": {"name": "noise"},
        "seeds": [SEED],
        "device": devices.describe(torch.device("cpu")),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "seconds": round(max(spent, time.perf_counter() - start), 1),
        "peak_memory_mb": devices.peak_memory(torch.device("cpu")),
    }
    every = pd.concat(layers, ignore_index=True)
    return pd.DataFrame(rows), every[["network", *_LAYERS, "groups"]], provenance


def fingerprint(network: nn.Module) -> str:
    """A checksum of everything that a diagnosis must leave as it was."""
    found = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy())
    for parameter in network.parameters():
        found.update(f"{parameter.requires_grad} {parameter.grad is None}".encode())
    for module in network.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        found.update(f"{module.training} {[len(one) for one in hooks]}".encode())
    found.update(torch.random.get_rng_state().numpy())
    return found.hexdigest()


def _groups(network: nn.Module, layer: str) -> int:
    return getattr(network.get_submodule(layer), "groups", 1)


def _pass(network: nn.Module, batch: Tensor) -> None:
    """One pass forward and backward, as training makes it, on copies of the buffers."""
    mode = {module: module.training for module in network.modules()}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.train()
    try:
        with torch.random.fork_rng(devices=[]):
            output = torch.func.functional_call(network, buffers, (batch,))
            parts = output if isinstance(output, tuple) else (output,)
            value = sum(part.square().sum() for part in parts)
            torch.autograd.grad(value, list(network.parameters()), allow_unused=True)
    finally:
        for module, training in mode.items():
            module.training = training


def _seconds(work: Callable) -> tuple[float, object]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def _version() -> str:
    """What decides a row: the versions of the libraries and the code that diagnoses."""
    import torchvision

    code = [Path(__file__), *sorted(Path(diagnosis.__file__).parent.glob("*.py"))]
    text = f"{torch.__version__} {torchvision.__version__}".encode()
    return hashlib.sha256(text + b"".join(file.read_bytes() for file in code)).hexdigest()[:16]
