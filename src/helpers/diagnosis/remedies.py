"""Code that mends a network, as text that runs where ``model`` is the network."""

from torch.nn.utils import parametrize

from helpers.diagnosis.findings import Analysis
from helpers.diagnosis.recording import Use
from helpers.initializers import LAYERS

_HEAD = "import torch\nfrom helpers import initializers\n\n"


def module(analysis: Analysis, layer: str) -> str:
    """An expression for a layer."""
    if layer == type(analysis.network).__name__ and layer not in dict(
        analysis.network.named_modules()
    ):
        return "model"
    return f'model.get_submodule("{layer}")'


def loop(analysis: Analysis, layers, body: list[str], head: str = "import torch\n\n") -> str:
    """The body for each layer, which it calls ``layer``, behind the head."""
    if len(layers) == 1:
        lines = [f"layer = {module(analysis, layers[0])}", *body]
        return head + "\n".join(lines)
    listed = ",\n    ".join(f'"{name}"' for name in layers)
    lines = [f"for name in [\n    {listed},\n]:", "    layer = model.get_submodule(name)"]
    return head + "\n".join(lines + [f"    {line}" for line in body])


def draw(
    analysis: Analysis, uses: list[Use], activation: str | None, scheme: str | None = None
) -> str:
    """Draw layers anew, by a scheme of `helpers.initializers` or the one that fits the activation.

    ``scheme`` is how the arguments of ``initialize`` are written.
    """
    layers = tuple(dict.fromkeys(u.layer for u in uses))
    modules = [u.module for u in uses]
    device = modules[0].weight.device if hasattr(modules[0], "weight") else "cpu"
    where = "" if str(device) == "cpu" else f'"{device}"'
    if any(not isinstance(m, LAYERS) for m in modules):
        resets = ("reset_parameters", "_reset_parameters")
        able = [name for name in resets if all(hasattr(m, name) for m in modules)]
        return loop(analysis, layers, [f"layer.{able[0]}()"]) if able else ""
    if any(parametrize.is_parametrized(m) for m in modules):
        body = [
            "drawn = torch.empty_like(layer.weight)",
            'torch.nn.init.kaiming_normal_(drawn, nonlinearity="linear")',
            "layer.weight = drawn",
        ]
        return loop(analysis, layers, body)
    scheme = scheme or scheme_for(activation)
    body = [f"initializers.initialize(layer, {scheme}, generator=generator)"]
    head = _HEAD + f"generator = torch.Generator({where}).manual_seed(0)\n"
    return loop(analysis, layers, body, head)


def scheme_for(activation: str | None) -> str:
    """The arguments of ``initializers.initialize`` for layers around an activation."""
    if activation is None or activation in ("tanh", "erf", "hardtanh", "sigmoid"):
        return '"lecun"' if activation is None else '"glorot"'
    if activation == "selu":
        return '"selu"'
    if activation in ("gelu", "silu", "elu"):
        return f'"lecun", gain=initializers.gain("{activation}")'
    return '"he"'


def rescale(analysis: Analysis, layer: str, factor: float) -> str:
    """Multiply a layer's weights."""
    return (
        "import torch\n\nwith torch.no_grad():\n"
        f"    {module(analysis, layer)}.weight.mul_({factor:.4g})"
    )


def zero_bias(analysis: Analysis, names: tuple[str, ...]) -> str:
    """Set biases to zero."""
    return loop(analysis, names, ["torch.nn.init.zeros_(layer.bias)"])


def zero_branch_ends(analysis: Analysis, uses: list[Use]) -> str:
    """Let residual blocks begin as identities."""
    layers = tuple(dict.fromkeys(u.layer for u in uses))
    body = ["torch.nn.init.zeros_(layer.weight)"]
    if all(getattr(u.module, "bias", None) is not None for u in uses):
        body.append("torch.nn.init.zeros_(layer.bias)")
    return loop(analysis, layers, body)


def center_sigmoids(analysis: Analysis, uses: list[Use]) -> str:
    """Make each sigmoid, less its mean 1/2 and times 4, pass for a tanh."""
    layers = tuple(dict.fromkeys(u.layer for u in uses))
    plain = all(
        isinstance(u.module, LAYERS)
        and u.bias is not None
        and not getattr(u.module, "transposed", False)
        for u in uses
    )
    if plain and not any(parametrize.is_parametrized(u.module) for u in uses):
        device = uses[0].module.weight.device
        where = "" if device.type == "cpu" else f'"{device}"'
        body = [
            'initializers.initialize(layer, "lecun", gain=4, generator=generator)',
            "with torch.no_grad():  # take away what the mean 1/2 adds",
            "    layer.bias.copy_(-layer.weight.flatten(1).sum(1) / 2)",
        ]
        head = _HEAD + f"generator = torch.Generator({where}).manual_seed(0)\n"
        return loop(analysis, layers, body, head)
    return (
        "import torch\n\nfor parent in list(model.modules()):\n"
        "    for name, child in list(parent.named_children()):\n"
        "        if isinstance(child, torch.nn.Sigmoid):\n"
        "            setattr(parent, name, torch.nn.Tanh())"
    )
