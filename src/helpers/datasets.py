"""Named sets of images as normalized tensors on a device."""

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import platformdirs
import torch
from torch import Tensor

from helpers import checks, sources

#: The parts of a data set.
Split = Literal["train", "test"]
#: What is done to pixels: see `load`.
Scaling = Literal["raw", "standardized"]
#: The sets by name; a folder of images needs none.
NAMES = ("digits", *sources.TORCHVISION)


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images with their labels.

    * ``images``: (N, C, H, W), floating point.
    * ``labels``: (N,), int64, indices into ``classes``.
    * ``checksums``: the SHA-256 of every file that was read, by its name; for a folder, by its
      split, the SHA-256 of the listing that ``sha256sum`` would print of its images.
    """

    name: str
    split: Split
    scaling: Scaling
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    checksums: dict[str, str]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = "×".join(str(length) for length in self.images.shape[1:])
        dtype = str(self.images.dtype).removeprefix("torch.")
        return (
            f"ImageSet({self.name}, {self.split}, {self.scaling}: {len(self)} images {shape}, "
            f"{len(self.classes)} classes, {dtype} on {self.images.device})"
        )

    def to(self, device: str | torch.device) -> "ImageSet":
        """The same set on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def subset(self, indices: Tensor | np.ndarray | list[int] | slice | int) -> "ImageSet":
        """The set of the images at ``indices``, in that order; a boolean mask (N,) works too."""
        if isinstance(indices, Tensor):
            indices = indices.cpu()
        # On the CPU an index out of range is an IndexError; on a GPU it would end the process.
        rows = torch.arange(len(self))[indices].reshape(-1).to(self.labels.device)
        return replace(self, images=self.images[rows], labels=self.labels[rows])


def load(
    name: str | Path,
    split: Split = "train",
    *,
    scaling: Scaling,
    root: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float64,
    size: int | None = None,
) -> ImageSet:
    """Load a set of images, and download it first if it isn't there.

    * ``name``: ``digits`` (1,797 handwritten digits that come with scikit-learn, scaled up from
      8×8 to 28×28; never a download), ``mnist``, ``fashion-mnist``, ``cifar10``, or a folder with
      ``train/<class>/*`` and ``test/<class>/*``, read as RGB.
    * ``scaling``: ``raw`` puts pixels into [0, 1]; ``standardized`` then gives every channel mean 0
      and variance 1 over the *training* images, and changes test images by the same numbers.
    * ``root``: where data lies; else the environment's ``HELPERS_DATA``, else the user's cache.
    * ``size``: the side in pixels that a folder's images are resized to.

    Raises ValueError for an unknown name, for a damaged file and for images that don't fit
    together; FileNotFoundError where there is nothing and no way to download it.
    """
    checks.known("split", split, ("train", "test"))
    checks.known("scaling", scaling, ("raw", "standardized"))
    if not dtype.is_floating_point:
        raise ValueError(f"dtype is {dtype}; expected a floating-point one, such as torch.float64.")
    if size is not None:
        checks.count("size", size)
    if isinstance(name, Path) or (name not in NAMES and os.path.isdir(name)):
        folder = Path(name).expanduser().resolve()
        name, read = folder.name, partial(sources.folder, folder, size)
    elif size is not None:
        raise ValueError(f"size is {size!r}, but only a folder's images are resized; leave it out.")
    elif checks.known("data set or folder", name, NAMES) == "digits":
        read = sources.digits
    else:
        read = partial(sources.downloaded, name, data_folder(root))

    pixels = read(split)
    images = pixels.values.to(device, dtype).div_(pixels.white)
    checksums = pixels.checksums
    if scaling == "standardized":
        training = pixels if split == "train" else read("train")
        mean, deviation = statistics(training)
        images.sub_(mean.to(images)).div_(deviation.to(images))
        checksums = training.checksums | checksums
    labels = pixels.labels.to(device)
    return ImageSet(name, split, scaling, images, labels, tuple(pixels.classes), checksums)


def data_folder(root: str | Path | None = None) -> Path:
    """Where data lies: ``root``, else ``HELPERS_DATA``, else the user's cache folder."""
    place = root or os.environ.get("HELPERS_DATA") or platformdirs.user_cache_path("first-weights")
    return Path(place).expanduser()


def statistics(pixels: sources.Pixels) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel, (C, 1, 1), float64, of pixels in [0, 1].

    Sums of whole numbers are exact, so the result depends on no machine and no order.
    """
    moments = []
    for channel in pixels.values.unbind(1):
        counts = torch.bincount(channel.flatten()).cpu()
        levels = torch.arange(len(counts))
        total, squares = int((counts * levels).sum()), int((counts * levels**2).sum())
        scale = channel.numel() * pixels.white
        variance = (channel.numel() * squares - total**2) / scale**2
        if variance == 0:
            raise ValueError("A channel of the training images is constant; load them as 'raw'.")
        moments.append((total / scale, variance**0.5))
    mean, deviation = torch.tensor(moments, dtype=torch.float64).T.reshape(2, -1, 1, 1)
    return mean, deviation
