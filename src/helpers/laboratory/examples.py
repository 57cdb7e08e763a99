"""The images that flow through the laboratory's networks: never a download."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from helpers import checks, datasets, sources

#: The sets by name; those of `available` are on this computer.
NAMES = ("digits", "noise", "mnist", "fashion-mnist")
#: So many images of a set are trained on, at most, and tested.
TRAINED, TESTED = 6000, 1000
#: So many classes has every set.
CLASSES = 10
#: So many pixels has an image: 28 rows of 28.
PIXELS = 784


class Examples(NamedTuple):
    """``images`` (N, 784), float64, pixels from 0 to 1 or noise; ``labels`` (N,), int64."""

    images: Tensor
    labels: Tensor


def available() -> list[str]:
    """The names of the sets that need no download here."""
    return [name for name in NAMES if not _missing(name)]


@lru_cache(maxsize=6)
def load(name: str, split: datasets.Split) -> Examples:
    """Return the first images of a set that is on this computer, `TRAINED` or `TESTED` at most.

    ``noise`` is 1,000 images of independent normal pixels to train on and 400 to test, with labels
    by chance: only memory can learn them. Raises ValueError for an unknown name and
    FileNotFoundError where the set would have to be downloaded.
    """
    checks.known("data", name, NAMES)
    if missing := _missing(name):
        raise FileNotFoundError(
            f"{name} is not on this computer: {missing} is missing. Take the digits, or load it "
            f"once with helpers.datasets.load('{name}', scaling='raw')."
        )
    if name == "noise":
        count = 1000 if split == "train" else 400
        generator = torch.Generator().manual_seed(count)
        images = torch.randn(count, PIXELS, generator=generator, dtype=torch.float64)
        return Examples(images, torch.randint(CLASSES, (count,), generator=generator))
    data = datasets.load(name, split, scaling="raw", dtype=torch.float32)
    data = data.subset(slice(TRAINED if split == "train" else TESTED))
    return Examples(data.images.flatten(1).double(), data.labels)


def _missing(name: str) -> str:
    """The first file of a set that is not there, or nothing."""
    if name not in sources.TORCHVISION:
        return ""
    folder = datasets.data_folder() / sources.TORCHVISION[name] / "raw"
    for file in sources.MNIST_SHA256:  # Fashion-MNIST's have the same names
        needed = [folder / file] + ([folder / f"{file}.gz"] if name != "mnist" else [])
        for path in needed:
            if not path.exists():
                return str(path)
    return ""
