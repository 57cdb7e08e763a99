"""Image sets against scikit-learn and hand-made files; damaged files, and no network."""

import gzip
import hashlib
import io
import os
import pickle
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from helpers import sources
from helpers.datasets import NAMES, data_folder, load

REAL_MNIST = data_folder() / "MNIST" / "raw" / "train-images-idx3-ubyte"


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    theirs = load_digits()
    train, test = load("digits", scaling="raw"), load("digits", "test", scaling="raw")
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(theirs.images / 16).unsqueeze(1), size=(28, 28), mode="bilinear"
    )
    # Sums of four products of numbers up to 1, their weights rounded: some units in the last place.
    torch.testing.assert_close(torch.cat([train.images, test.images]), expected, rtol=0, atol=4e-15)
    assert torch.equal(torch.cat([train.labels, test.labels]), torch.from_numpy(theirs.target))
    assert (len(train), len(test)) == (1415, 382)
    assert (train.images.min(), train.images.max(), train.images.dtype) == (0, 1, torch.float64)
    assert train.classes == tuple("0123456789")


def test_digits_come_sheet_by_sheet():
    parts = [load("digits", split, scaling="raw").labels.tolist() for split in ("train", "test")]
    text = "".join(str(label) for part in parts for label in part)
    # Every sheet begins alike, holds 55650 once, and ends alike; the cut is before the twelfth.
    assert text.count("55650") == 14
    assert text.startswith(3 * "0123456789", 1415) and text[1415:1545].endswith("90898")
    assert len(parts[0]) == 1415


def test_digits_need_neither_scikit_learn_nor_torchvision_in_memory():
    code = (
        "import sys; from helpers.datasets import load; load('digits', scaling='raw');"
        "assert not {'sklearn', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_standardized_by_the_training_images():
    train, test = (load("digits", split, scaling="raw").images for split in ("train", "test"))
    mean, deviation = train.mean(), train.std(correction=0)
    for split, raw in (("train", train), ("test", test)):
        standardized = load("digits", split, scaling="standardized").images
        torch.testing.assert_close(standardized, (raw - mean) / deviation, rtol=0, atol=1e-11)


@pytest.mark.skipif(not REAL_MNIST.exists(), reason="HELPERS_DATA names no folder with MNIST")
def test_what_the_chapters_know_of_mnist():
    """Facts about the 10,000 test images that chapters 2 to 4 state without having the files."""
    images = load("mnist", "test", scaling="raw").images.flatten(1)
    squares = images.square().mean(1)
    assert squares.mean().item() == pytest.approx(0.11396, abs=5e-6)
    assert squares.std(correction=0).item() == pytest.approx(0.04129, abs=5e-6)
    products = images.T @ images
    spread = products.square().sum() / products.trace().square()
    assert spread.item() == pytest.approx(0.2070, abs=5e-5)


@pytest.mark.skipif(not REAL_MNIST.exists(), reason="HELPERS_DATA names no folder with MNIST")
@pytest.mark.parametrize(
    "split, size, moment", [("train", 60_000, 0.1120), ("test", 10_000, 0.1140)]
)
def test_mnist_second_moment(split, size, moment):
    images = load("mnist", split, scaling="raw", dtype=torch.float32).images
    assert images.shape == (size, 1, 28, 28)
    assert images.double().square().mean().item() == pytest.approx(moment, abs=5e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "mnst"}, "'mnst'.*'mnist'"),
        ({"split": "val"}, "'val'.*train, test"),
        ({"scaling": "standardised"}, "'standardised'.*'standardized'"),
        ({"dtype": torch.uint8}, "torch.uint8.*torch.float64"),
        ({"size": 32}, "32.*folder"),
        ({"size": 0}, "size is 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**{"name": "digits", "scaling": "raw"} | arguments)


def test_scaling_has_no_default():
    with pytest.raises(TypeError, match="scaling"):
        load("digits")


def test_subset_and_repr():
    digits = load("digits", scaling="raw")
    assert repr(digits) == (
        "ImageSet(digits, train, raw: 1415 images 1×28×28, 10 classes, float64 on cpu)"
    )
    chosen = digits.subset([5, 0])
    assert torch.equal(chosen.images, digits.images[[5, 0]]) and chosen.labels.tolist() == [5, 0]
    assert digits.subset(digits.labels == 3).labels.unique().tolist() == [3]
    assert len(digits.subset(slice(100))) == 100 and len(digits.subset(-1)) == 1
    with pytest.raises(IndexError, match="1415"):
        digits.subset([1415])


def test_where_data_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("HELPERS_DATA", str(tmp_path / "environment"))
    assert data_folder(tmp_path / "argument") == tmp_path / "argument"
    assert data_folder() == tmp_path / "environment"
    monkeypatch.delenv("HELPERS_DATA")
    assert data_folder().name == "first-weights" and data_folder().is_absolute()


# ---- files like torchvision's, with three images a split, and a server that has them


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


IMAGES = np.arange(3 * 28 * 28).reshape(3, 28, 28).astype(np.uint8)
LABELS = np.array([7, 0, 9], np.uint8)
UNPACKED = {
    f"{split}-{kind}-ubyte": idx(array)
    for split in ("train", "t10k")
    for kind, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS))
}
ARCHIVES = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in UNPACKED.items()}


@pytest.fixture
def server(monkeypatch):
    """A network in which torchvision's addresses lead to the tiny archives."""
    from torchvision import datasets

    def urlopen(request):
        response = io.BytesIO(ARCHIVES[request.full_url.rsplit("/", 1)[1]])
        response.url, response.length = request.full_url, len(response.getvalue())
        return response

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    md5 = [(name, hashlib.md5(content).hexdigest()) for name, content in ARCHIVES.items()]
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in UNPACKED.items()}
    monkeypatch.setattr(datasets.MNIST, "resources", md5)
    monkeypatch.setattr(datasets.FashionMNIST, "resources", md5)
    monkeypatch.setattr(sources, "MNIST_SHA256", sha256)


@pytest.fixture
def cifar10(monkeypatch, tmp_path):
    """A folder with CIFAR-10's files, two images in each."""
    from torchvision import datasets

    place = tmp_path / datasets.CIFAR10.base_folder
    place.mkdir()
    pixels = np.arange(2 * 3 * 32 * 32).reshape(2, -1).astype(np.uint8)

    def write(name, content):
        (place / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((place / name).read_bytes()).hexdigest()]

    train = [write(f"data_batch_{i}", {"data": pixels, "labels": [i, 0]}) for i in (1, 2)]
    test = [write("test_batch", {"data": pixels, "labels": [9, 8]})]
    _, md5 = write("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(datasets.CIFAR10, "train_list", train)
    monkeypatch.setattr(datasets.CIFAR10, "test_list", test)
    monkeypatch.setitem(datasets.CIFAR10.meta, "md5", md5)
    return place


@pytest.mark.parametrize("name, folder", [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_downloaded_then_refused_when_altered(server, tmp_path, name, folder):
    tiny = load(name, "test", scaling="raw", root=tmp_path)
    assert torch.equal(tiny.images, torch.from_numpy(IMAGES / 255).unsqueeze(1))
    assert tiny.labels.tolist() == LABELS.tolist() and len(tiny.classes) == 10
    path = tmp_path / folder / "raw" / "t10k-images-idx3-ubyte"
    expected = hashlib.sha256(UNPACKED[path.name]).hexdigest()
    assert tiny.checksums[path.name] == expected

    for damaged in (path.read_bytes()[:-1], path.read_bytes()[:-1] + b"\0"):
        path.write_bytes(damaged)
        found = hashlib.sha256(damaged).hexdigest()
        with pytest.raises(ValueError, match=f"{path}.*{expected}.*{found}.*Delete"):
            load(name, "test", scaling="raw", root=tmp_path)
    path.unlink()
    assert len(load(name, "test", scaling="raw", root=tmp_path)) == 3  # what the error advised


def test_fashion_mnist_archive_altered(server, tmp_path):
    load("fashion-mnist", scaling="raw", root=tmp_path)
    archive = tmp_path / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"labels-idx1-ubyte.gz.*md5.*Delete"):
        load("fashion-mnist", scaling="raw", root=tmp_path)
    archive.unlink()
    with pytest.raises(ValueError, match=r"labels-idx1-ubyte.gz.*no file.*Delete"):
        load("fashion-mnist", scaling="raw", root=tmp_path)


def test_mnist_of_an_old_torchvision(server, tmp_path):
    (tmp_path / "MNIST" / "processed").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"processed.*Delete"):
        load("mnist", scaling="raw", root=tmp_path)


def test_cifar10_read_then_refused_when_altered(cifar10):
    train = load("cifar10", scaling="raw", root=cifar10.parent)
    assert train.images.shape == (4, 3, 32, 32) and train.labels.tolist() == [1, 0, 2, 0]
    assert train.images[0, 1, 0, 1] == (1024 + 1) % 256 / 255  # green, top row, second pixel
    assert set(train.checksums) == {"data_batch_1", "data_batch_2", "batches.meta"}
    batch = cifar10 / "data_batch_2"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"data_batch_2.*expected md5.*found.*Delete"):
        load("cifar10", scaling="raw", root=cifar10.parent)


@pytest.mark.parametrize("name", NAMES[1:])
def test_no_network_and_no_data(monkeypatch, tmp_path, name):
    def urlopen(request):
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(FileNotFoundError, match=r"(?s)http.*no network.*'digits'") as caught:
        load(name, scaling="raw", root=tmp_path)
    assert str(tmp_path) in str(caught.value) and caught.value.__cause__ is not None


# ---- a folder of images


@pytest.fixture
def pictures(tmp_path):
    """Two classes, two gray images of 4×6 (height by width) each, in both splits."""
    from PIL import Image

    for index, place in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        (tmp_path / "pets" / place).mkdir(parents=True)
        for number in range(2):
            image = Image.new("L", (6, 4), color=50 * index + number)
            image.save(tmp_path / "pets" / place / f"{number}.png")
    return tmp_path / "pets"


def test_folder(pictures):
    test = load(pictures, "test", scaling="raw")
    assert test.name == "pets" and test.classes == ("cat", "dog")
    assert test.images.shape == (4, 3, 4, 6) and test.labels.tolist() == [0, 0, 1, 1]
    assert (test.images[:, 0, 0, 0] * 255).round().tolist() == [100, 101, 150, 151]
    listing = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(pictures / 'test')}\n"
        for path in sorted((pictures / "test").rglob("*.png"))
    )
    assert test.checksums == {"test": hashlib.sha256(listing.encode()).hexdigest()}
    assert load(str(pictures), scaling="standardized", size=3).images.shape == (4, 3, 3, 3)
    standardized = load(pictures, "test", scaling="standardized").images[:, 0, 0, 0]
    train = np.array([0, 1, 50, 51])
    expected = (np.array([100, 101, 150, 151]) - train.mean()) / train.std()
    torch.testing.assert_close(standardized, torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_folder_that_does_not_fit(pictures):
    from PIL import Image

    def refused(message, **options):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            load(pictures, scaling="raw", **options)

    odd = pictures / "train" / "dog" / "odd.png"
    Image.new("L", (6, 5)).save(odd)
    refused("odd.png is 5×6 pixels, those before it 4×6.*size=")
    assert len(load(pictures, scaling="raw", size=4)) == 5
    odd.write_bytes(odd.read_bytes()[:40])
    refused("odd.png is no readable image.*remove")
    odd.unlink()
    (pictures / "train" / "emu").mkdir()
    refused("(?s)train: .*emu.*at least one image")
    refused("same classes.*'emu'", split="test")
    os.rename(pictures / "test", pictures / "validation")
    refused("test is missing; expected test/<class>", split="test")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(Path("nowhere"), scaling="raw")
