import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import TINY, forty

from helpers import checking, checkpoints, datasets, devices, members, results, running, training
from helpers.configurations import Case, Check, Propagation, Training

FLOW = Propagation(
    name="flow",
    summary="",
    network="MLP",
    data="digits",
    scaling="raw",
    width=8,
    cases=tuple(Case("normal", sigma, "tanh", depth=3) for sigma in (0.1, 0.2)),
    seeds=2,
)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Forty digits, whatever was asked for, and caches and results that are nobody's own."""
    monkeypatch.setattr(datasets, "load", forty)
    monkeypatch.setenv("HELPERS_CACHE", str(tmp_path / "cache"))
    # The C library's setting would stay for every other test of this process.
    monkeypatch.setattr(devices, "keep_memory", lambda device: None)
    return tmp_path


@pytest.fixture
def whole(small):
    return running.run(TINY, folder=small / "whole")


def test_a_run_is_stored_with_its_provenance(small, whole):
    keys = ["sigma", "activation", "seed"]
    assert list(whole.columns) == [*keys, "epoch", "step", "quantity", "value"]
    counts = whole.groupby([*keys, "quantity"]).size().unstack()
    assert len(counts) == 12
    # Six steps in means of two; the test set before and after each epoch; flow at steps 0 and 3.
    assert counts.loss.eq(3).all() and counts.test_loss.eq(4).all()
    assert (
        counts[[f"{way}_linear{i}" for way in ("forward", "backward") for i in (1, 2, 3)]]
        .eq(2)
        .all(axis=None)
    )

    pd.testing.assert_frame_equal(results.read("tiny", small / "whole"), whole, rtol=1e-5)
    record = results.provenance("tiny", small / "whole")
    assert [group["members"] for group in record["groups"]] == [4, 4, 2, 2]
    assert record["peak_memory_mb"] > 50 and record["processes"] == 1
    digits = datasets.load("digits", "train", scaling="raw")
    assert record["data"]["checksums"] == digits.checksums and digits.checksums
    assert str(small) not in json.dumps(record)
    assert not list((small / "cache" / "runs").iterdir()), "checkpoints go when it is stored"


def test_what_flows_is_what_the_network_does():
    data = running.load(TINY, None, torch.device("cpu"))
    (table,), _ = members.train_group(TINY, TINY.members()[:1], data, steps=1)
    found = table[table.step == 0].set_index("quantity").value
    network = members.NETWORKS["MLP"](TINY, TINY.cases[0], data)
    members._draw(network, TINY.cases[0], members._streams(TINY.members()[0])[0])
    images, labels = data.test.images.flatten(1), data.test.labels
    hidden = network.linear1(images)
    output = network[1:](hidden)
    torch.nn.functional.cross_entropy(output, labels, reduction="sum").backward(inputs=[hidden])
    assert found["forward_linear1"] == pytest.approx(hidden.square().mean().item())
    assert found["backward_linear1"] == pytest.approx(hidden.grad.square().mean().item())
    assert found["test_loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(output, labels).item(), rel=1e-5
    )


def test_a_stopped_run_goes_on_bit_for_bit(small, whole, monkeypatch):
    train = training.train
    starts = []

    def stopping(networks, *data, progress, **options):
        def stop(done):
            progress(done)
            if len(starts) == 2 and done > 4 * 50:
                raise KeyboardInterrupt

        starts.append(len(networks))
        return train(networks, *data, progress=stop, interval=0, **options)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train", stopping)
        with pytest.raises(KeyboardInterrupt):
            running.run(TINY, folder=small / "parts")
    assert not (small / "parts").exists()
    steps = []

    def counting(networks, *data, progress, **options):
        return train(networks, *data, progress=steps.append, **options)

    monkeypatch.setattr(training, "train", counting)
    table = running.run(TINY, folder=small / "parts")
    pd.testing.assert_frame_equal(table, whole, check_exact=True)
    tables = [(small / name / "tiny.csv.gz").read_bytes() for name in ("whole", "parts")]
    assert tables[0] == tables[1]
    assert steps[:2] == [4 * 120, 4 * 40], "the first group was done, the second a third"


def test_a_group_too_large_for_the_memory_is_split(small, whole, monkeypatch):
    train = training.train

    def little_memory(networks, *data, **options):
        if len(networks) > 2:
            torch.empty(10**15)
        return train(networks, *data, **options)

    monkeypatch.setattr(training, "train", little_memory)
    table = running.run(TINY, folder=small / "split")
    pd.testing.assert_frame_equal(table, whole, rtol=0, atol=1e-10)
    record = results.provenance("tiny", small / "split")
    assert [group["members"] for group in record["groups"]] == [2] * 6


def test_no_memory_even_for_one_is_an_error(small, monkeypatch):
    def no_memory(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(training, "train", no_memory)
    with pytest.raises(RuntimeError, match="out of memory"):
        running.run(TINY, folder=small / "none")


def torchrun(*arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    tiny = str(Path(__file__).with_name("tiny.py"))
    return subprocess.run([*command, tiny, *map(str, arguments)], capture_output=True, text=True)


def test_two_processes_give_one_table(small, whole):
    dead = torchrun(small / "two", 1)
    assert dead.returncode != 0 and "the disk is full" in dead.stderr
    assert not (small / "two" / "tiny.csv.gz").exists()
    kept = list((small / "two" / "cache").iterdir())
    assert kept and all(file.suffix == ".pt" for file in kept)

    done = torchrun(small / "two")
    assert done.returncode == 0, done.stderr
    table = results.read("tiny", small / "two")
    # Equal to 1e-10, and stored with six digits, of which the last may round the other way.
    pd.testing.assert_frame_equal(table, results.read("tiny", small / "whole"), rtol=1.1e-6)
    record = results.provenance("tiny", small / "two")
    assert record["processes"] == 2
    assert sum(group["members"] for group in record["groups"]) == 12
    assert not list((small / "two" / "cache").iterdir())


def test_means_of_the_loss_keep_a_nan():
    rows = [(1, step, "loss", value) for step, value in enumerate([1, 3, 5, math.nan, 9], start=1)]
    table = pd.DataFrame(rows + [(1, 5, "test_loss", 7.0)], columns=checkpoints.COLUMNS)
    means = members.average(table, 2)
    assert means.step.tolist() == [2, 4, 5, 5]
    assert means.value.tolist() == pytest.approx([2.0, math.nan, 9.0, 7.0], nan_ok=True)


def test_what_flows_through_untrained_networks(small):
    table = running.run(FLOW, folder=small)
    assert len(table) == 2 * 2 * 3 * 2
    first = table[(table.sigma == 0.1) & (table.layer == 1) & (table.direction == "forward")]
    pixels = datasets.load("digits", "test", scaling="raw").images
    expected = 784 * 0.1**2 * pixels.square().mean().item()
    assert first.second_moment.mean() == pytest.approx(expected, rel=0.5)
    last = table[(table.layer == 3) & (table.direction == "backward")]
    assert last.second_moment.mean() == pytest.approx(1, rel=0.6)
    assert running.run(replace(FLOW, seeds=1), folder=small / "one").equals(table[table.seed == 0])


@pytest.mark.parametrize("experiment", [TINY, FLOW], ids=["trained", "untrained"])
def test_a_table_that_follows_from_the_code_passes(small, experiment):
    running.run(experiment, folder=small)
    finding = checking.check(experiment, folder=small)
    assert finding.passed and finding.numbers > 10
    assert str(finding).startswith(f"{experiment.name}: follows. ")


def test_a_folder_of_images_stands_in_for_a_data_set(small, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("HELPERS_CACHE", str(small / "cache"))
    monkeypatch.setattr(devices, "keep_memory", lambda device: None)
    photos = small / "photos"
    noise = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for label in ("cat", "dog"):
            (photos / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(256, size=(16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(photos / split / label / f"{number}.png")
    experiment = Training(
        name="photographs",
        summary="",
        network="CIFARNet",
        data="cifar10",
        scaling="standardized",
        shrink=2,
        cases=(Case("he", depth=8, loss="logits", variant="residual"),),
        seeds=1,
        batch_size=6,
        optimizer="momentum",
        augment="crop-and-flip",
        drops=(0.5,),
        check=Check(steps=2),
    )
    data = running.load(experiment, photos, "cpu")
    assert data.train.images.shape == (24, 3, 8, 8)
    pixels = datasets.load(photos, scaling="standardized").images.float()
    quarters = pixels.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    assert torch.allclose(data.train.images, quarters, atol=1e-6)

    running.run(experiment, root=photos, folder=small)
    record = results.provenance("photographs", small)
    assert record["command"] == "python -m helpers run photographs --data photos"
    assert record["data"]["name"] == "photos" and str(small) not in json.dumps(record)
    assert checking.check(experiment, root=photos, folder=small).passed
    assert checking.check(experiment, root=small, folder=small).passed, "found by its name"
    with pytest.raises(
        FileNotFoundError, match=r"a folder called 'photos', .* is none. Name yours"
    ):
        checking.check(experiment, root=small / "cache", folder=small)
    (photos / "test" / "dog" / "0.png").unlink()
    with pytest.raises(ValueError, match="with other checksums than the data here, photos"):
        checking.check(experiment, root=photos, folder=small)


@pytest.mark.parametrize("quantity, step", [("test_loss", 0), ("loss", 4)])
def test_a_table_that_does_not_follow_is_found(small, whole, quantity, step):
    record = results.provenance("tiny", small / "whole")
    altered = whole.copy()
    chosen = (altered.quantity == quantity) & (altered.step == step) & (altered.seed == 0)
    altered.loc[chosen, "value"] *= 1.01
    results.write("tiny", altered, record, small / "whole")
    finding = checking.check(TINY, folder=small / "whole")
    assert not finding.passed
    assert "DOES NOT FOLLOW" in str(finding)


def test_a_table_that_lacks_rows_is_refused(small, whole):
    record = results.provenance("tiny", small / "whole")
    results.write("tiny", whole[whole.quantity != "test_loss"], record, small / "whole")
    with pytest.raises(ValueError, match="lacks 9 of .* Make it again: python -m helpers run tiny"):
        checking.check(TINY, folder=small / "whole")


def test_a_table_of_other_settings_is_refused(small, whole):
    other = replace(TINY, rate=0.1, check=Check(every=3))
    with pytest.raises(
        ValueError, match="made with other settings: rate. Make it again: python -m"
    ):
        checking.check(other, folder=small / "whole")
    table = small / "whole" / "tiny.csv.gz"
    table.write_bytes(table.read_bytes() + b" ")
    with pytest.raises(results.Refused, match=r"was altered.*python -m helpers run tiny"):
        checking.check(TINY, folder=small / "whole")
