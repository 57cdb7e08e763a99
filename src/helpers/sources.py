"""Where the image sets come from: their files, downloaded, verified and read as they are.

`digits`, `downloaded` and `folder` return the images of one split as `Pixels`;
`helpers.datasets` makes tensors of them.
"""

import gzip
import hashlib
import io
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

# scikit-learn's digits are fourteen sheets of some 130 digits, one after another, each with the
# classes in the same order: one hand at a time. So the set is cut, not shuffled, where the
# twelfth sheet begins: the test digits are on sheets of which none is trained on.
#: So many of the digits are for training.
DIGITS_TRAIN = 1415
#: Of scikit-learn's file of digits.
DIGITS_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"

#: Of MNIST's unpacked files, of which torchvision only asks whether they exist.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
#: The sets that torchvision downloads, and its names for them.
TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10"}


class Pixels(NamedTuple):
    """Whole numbers ``values`` (N, C, H, W) up to ``white``; ``labels`` (N,) index ``classes``."""

    values: Tensor
    white: int
    labels: Tensor
    classes: list[str]
    checksums: dict[str, str]


def digits(split: str) -> Pixels:
    """The 8×8 digits of scikit-learn, scaled up to 28×28: 1,415 to train on, 382 to test.

    Raises FileNotFoundError without scikit-learn, ValueError where its file is another.
    """
    # Importing scikit-learn for one table would cost every notebook seconds and 100 MB.
    package = find_spec("sklearn")
    if package is None:
        raise FileNotFoundError("The digits come with scikit-learn: pip install scikit-learn")
    path = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    verify(path, "sha256", DIGITS_SHA256, "Install scikit-learn again.")
    rows = slice(None, DIGITS_TRAIN) if split == "train" else slice(DIGITS_TRAIN, None)
    table = torch.from_numpy(np.loadtxt(path, delimiter=",", dtype=np.int64)[rows])
    # Bilinear weights here are multiples of 1/14. Kept whole, they give every machine equal bits.
    weights = interpolate(torch.eye(8).unsqueeze(0), size=28, mode="linear", align_corners=False)
    weights = (14 * weights[0]).round().long()
    values = (weights.T @ table[:, :-1].reshape(-1, 8, 8) @ weights).unsqueeze(1)
    classes = [str(digit) for digit in range(10)]
    return Pixels(values, 16 * 14 * 14, table[:, -1], classes, {path.name: DIGITS_SHA256})


def downloaded(name: str, root: Path, split: str) -> Pixels:
    """One of the sets in `TORCHVISION`, downloaded into ``root`` unless it is there.

    Every file is verified before it is read. Raises ValueError for a damaged one, FileNotFoundError
    where there is none and no way to download it.
    """
    import torchvision  # 160 MB and two seconds that the digits do without

    source = getattr(torchvision.datasets, TORCHVISION[name])
    old = root / source.__name__ / "processed"
    if old.exists():
        raise ValueError(f"{old} is an old torchvision's; its pixels can't be checked. Delete it.")
    paths = _paths(source, root, split)
    if all(path.exists() for path in paths):  # then torchvision would read them unseen
        _verify_all(name, source, paths)
    try:
        data = source(root, train=split == "train", download=True)
    except (OSError, RuntimeError) as error:
        address = source.url if name == "cifar10" else source.mirrors[0]
        raise FileNotFoundError(
            f"{name} is not in {root} and could not be downloaded there from {address}: {error}\n"
            "Go online, or name the folder that has it by `root` or by the environment's "
            "HELPERS_DATA. load('digits', ...) needs no download."
        ) from error
    _verify_all(name, source, paths)
    values = torch.as_tensor(data.data)
    values = values.unsqueeze(1) if values.ndim == 3 else values.movedim(-1, 1).contiguous()
    classes = [label.split(" - ")[0] for label in data.classes]  # MNIST's are "0 - zero"
    checksums = {path.name: digest(path, "sha256") for path in paths}
    return Pixels(values, 255, torch.as_tensor(data.targets), classes, checksums)


def _paths(source: type, root: Path, split: str) -> list[Path]:
    if hasattr(source, "base_folder"):  # CIFAR-10
        batches = source.train_list if split == "train" else source.test_list
        names = [name for name, _ in batches] + [source.meta["filename"]]
        return [root / source.base_folder / name for name in names]
    start = "train" if split == "train" else "t10k"
    names = [archive.removesuffix(".gz") for archive, _ in source.resources]
    return [root / source.__name__ / "raw" / name for name in names if name.startswith(start)]


def _verify_all(name: str, source: type, paths: list[Path]) -> None:
    again = f"and call load({name!r}, ...) again."
    for path in paths:
        if name == "mnist":
            verify(path, "sha256", MNIST_SHA256[path.name], f"Delete it {again}")
        elif name == "cifar10":
            md5 = dict(source.train_list + source.test_list)
            md5[source.meta["filename"]] = source.meta["md5"]
            verify(path, "md5", md5[path.name], f"Delete it {again}")
        else:  # torchvision knows the archives of Fashion-MNIST, not what is in them
            archive = path.with_name(path.name + ".gz")
            remedy = f"Delete {path} and {archive} {again}"
            verify(archive, "md5", dict(source.resources)[archive.name], remedy)
            verify(path, "sha256", digest(archive, "sha256", unpacked=True), remedy)


def folder(place: Path, size: int | None, split: str) -> Pixels:
    """The images in ``place/split/<class>/`` as RGB, resized to squares of side ``size``, if given.

    Raises FileNotFoundError for a missing folder or an empty class; ValueError for classes that
    differ between the splits, a file that is no image, and images of several sizes.
    """
    from PIL import Image
    from torchvision.datasets.folder import ImageFolder, find_classes

    part, train = place / split, place / "train"
    if not part.is_dir():
        raise FileNotFoundError(f"{part} is missing; expected {split}/<class>/<image> in {place}.")
    try:
        found = ImageFolder(part)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{part}: {error} Give every class at least one image.") from error
    if train.is_dir() and (classes := find_classes(train)[0]) != found.classes:
        odd = sorted(set(classes) ^ set(found.classes))
        raise ValueError(f"{place}: train and {split} must have the same classes, but not {odd}.")
    listing = hashlib.sha256()
    values = None
    for index, (path, _) in enumerate(found.samples):
        content = Path(path).read_bytes()
        checksum = hashlib.sha256(content).hexdigest()
        listing.update(f"{checksum}  {Path(path).relative_to(part).as_posix()}\n".encode())
        try:
            image = Image.open(io.BytesIO(content)).convert("RGB")
        except Exception as error:  # OSError, SyntaxError or another, by the image's format
            raise ValueError(f"{path} is no readable image: {error}. Mend or remove it.") from error
        if size is not None:
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        if values is None:
            values = torch.empty(len(found), image.height, image.width, 3, dtype=torch.uint8)
        height, width = values.shape[1:3]
        if (image.height, image.width) != (height, width):
            raise ValueError(
                f"{path} is {image.height}×{image.width} pixels, those before it {height}×{width}. "
                "Resize all with size=, for instance size=32."
            )
        values[index] = torch.from_numpy(np.array(image))
    values = values.movedim(-1, 1).contiguous()
    checksums = {split: listing.hexdigest()}
    return Pixels(values, 255, torch.tensor(found.targets), found.classes, checksums)


def verify(path: Path, algorithm: str, expected: str, remedy: str) -> None:
    """Raise a ValueError unless the file's checksum is the expected one."""
    found = digest(path, algorithm) if path.exists() else "no file"
    if found != expected:
        raise ValueError(
            f"{path} is damaged: expected {algorithm} {expected}, found {found}. {remedy}"
        )


def digest(path: Path, algorithm: str, unpacked: bool = False) -> str:
    """The checksum of a file, or of what a gzip file holds; taken again only if it changed."""
    status = path.stat()
    return _digest(path, algorithm, unpacked, status.st_size, status.st_mtime_ns)


@lru_cache
def _digest(path: Path, algorithm: str, unpacked: bool, size: int, modified: int) -> str:
    with (gzip.open if unpacked else open)(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
