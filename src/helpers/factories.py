"""A network and a batch from the words of a command line."""

import importlib
import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from helpers import checks

#: What ``--dtype`` may say, by name.
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def network(address: str, *, seed: int = 0, dtype: str | None = None) -> nn.Module:
    """Build the network at ``package.module:factory``.

    ``factory`` is called without arguments, or is a network itself; dots lead into classes. What
    it draws follows from ``seed``, and the global random state is left as it was. ``dtype``, a key
    of `DTYPES`, is what it is built in and turned to; by default it stays as it is built. Raises
    ValueError where there is no such module or name, where calling it fails, and where the result
    is no ``nn.Module``.
    """
    kind = None if dtype is None else DTYPES[checks.known("dtype", dtype, DTYPES)]
    module_name, colon, path = address.partition(":")
    if not (module_name and colon and path):
        raise ValueError(
            f"The network is {address!r}; expected package.module:factory, such as "
            "torchvision.models:resnet18."
        )
    try:
        found = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(
            f"The module {module_name!r} cannot be imported: {error}. Run the command where "
            "Python finds it, or install it."
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            public = [known for known in dir(found) if not known.startswith("_")]
            checks.known(f"name in {module_name}", name, public[:40])
        found = getattr(found, name)
    if callable(found) and not isinstance(found, nn.Module):
        try:
            found = built(found, seed=seed, dtype=dtype)
        except Exception as error:
            raise ValueError(
                f"Calling {address!r} failed: {type(error).__name__}: {error}. Expected a function "
                "that takes no arguments and returns a network."
            ) from error
    if not isinstance(found, nn.Module):
        raise ValueError(
            f"{address!r} gave a {type(found).__name__}; expected an nn.Module, or a function "
            "without arguments that returns one."
        )
    return found if kind is None else found.to(kind)


def built(factory: Callable[[], nn.Module], *, seed: int = 0, dtype: str | None = None):
    """Return what ``factory`` returns; what it draws from the global random state is from ``seed``.

    That state is left as it was. With ``dtype`` "float64" the numbers are drawn in that type, and
    so are the same on every processor, which float32 ones are not. Raises ValueError for an unknown
    ``dtype``; what the factory raises passes through.
    """
    kind = None if dtype is None else DTYPES[checks.known("dtype", dtype, DTYPES)]
    before = torch.get_default_dtype()
    try:
        if kind == torch.float64:
            torch.set_default_dtype(kind)
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            return factory()
    finally:
        torch.set_default_dtype(before)


def batch(
    shapes: Sequence[str], size: int, *, generator: torch.Generator, like: nn.Module | None = None
) -> tuple[Tensor, ...]:
    """Return one tensor (size, …) for each of the ``shapes``.

    ``"3x224x224"`` asks for standard normal values, in the type and on the device of the weights of
    the network that it should be ``like``; ``"128<30000"`` for whole numbers from 0 up to 29,999,
    such as tokens. Raises ValueError for a shape that is neither, and for a size below 1.
    """
    size = checks.count("the batch", size)
    weights = [] if like is None else [p for p in like.parameters() if p.is_floating_point()]
    dtype = weights[0].dtype if weights else torch.float32
    found = [_values(shape, size, generator, dtype) for shape in shapes]
    return tuple(values.to(weights[0].device) if weights else values for values in found)


def _values(shape: str, size: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    parts = re.fullmatch(r"([1-9]\d*(?:x[1-9]\d*)*)?(?:<([1-9]\d*))?", shape)
    if not shape or parts is None:
        raise ValueError(
            f"The input is {shape!r}; expected sizes of one example, such as 3x224x224, with a "
            "limit behind them for whole numbers, such as 128<30000."
        )
    sizes = [size, *(int(part) for part in (parts[1] or "").split("x") if part)]
    if parts[2]:
        return torch.randint(int(parts[2]), sizes, generator=generator)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    return torch.randn(sizes, generator=generator, dtype=wide).to(dtype)
