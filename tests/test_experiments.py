import json
import math
from dataclasses import asdict, replace

import pandas as pd
import pytest
import torch

from helpers import datasets, experiments, results, running, training
from helpers.__main__ import main

FIGURE_1 = experiments.EXPERIMENTS["figure-1"]
TINY = replace(
    FIGURE_1,
    name="tiny",
    data="digits",
    cases=(experiments.Case("zeros", seeds=1), experiments.Case("normal", sigma=0.4)),
    seeds=2,
    epochs=2,
    batch_size=20,
    average=3,
)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Forty digits, whatever was asked for, and caches and results that are nobody's own."""
    load = datasets.load

    def forty(name, split, **options):
        return load("digits", split, **options).subset(slice(40))

    monkeypatch.setattr(datasets, "load", forty)
    monkeypatch.setenv("HELPERS_CACHE", str(tmp_path / "cache"))
    # The C library's setting would stay for every other test of this process.
    monkeypatch.setattr(running, "_keep_memory", lambda: None)
    return tmp_path


def test_every_scheme_comes_before_any_second_seed():
    assert [str(member) for member in TINY.members()] == [
        "zeros seed 0",
        "normal σ=0.4 seed 0",
        "normal σ=0.4 seed 1",
    ]


@pytest.fixture
def whole(small):
    return running.run(TINY, folder=small / "whole")


def test_a_run_is_stored_with_its_provenance(small, whole):
    assert list(whole.columns) == running.COLUMNS
    # Four steps: the means of three and of one. The test set: before, and after each epoch.
    counts = whole.groupby(["scheme", "seed", "quantity"]).size().unstack()
    assert counts.index.tolist() == [("normal", 0), ("normal", 1), ("zeros", 0)]
    assert counts.loss.eq(2).all() and counts.test_loss.eq(3).all()
    last = whole[whole.epoch == 2].set_index(["scheme", "quantity"]).value["zeros"]
    counted = datasets.load("digits", "test", scaling="raw").labels.bincount().tolist()
    right = sum(n * last[f"test_accuracy_{digit}"] for digit, n in enumerate(counted) if n)
    assert last["test_accuracy"] == pytest.approx(right / 40, rel=1e-6)
    losses = whole[whole.quantity == "test_loss"].groupby("scheme").value.first()
    assert losses["zeros"] == pytest.approx(math.log(10), rel=1e-6)

    pd.testing.assert_frame_equal(results.read("tiny", small / "whole"), whole, rtol=1e-5)
    record = results.provenance("tiny", small / "whole")
    assert [member["seed"] for member in record["members"]] == [0, 0, 1]
    digits = datasets.load("digits", "train", scaling="raw")
    assert record["data"]["checksums"] == digits.checksums and digits.checksums
    assert record["configuration"]["cases"][1]["sigma"] == 0.4
    assert str(small) not in json.dumps(record)
    assert not list((small / "cache" / "runs").iterdir()), "checkpoints go when it is stored"


def test_a_stopped_run_goes_on_bit_for_bit(small, whole, monkeypatch):
    train = training.train

    def stopping(network, *data, progress, **options):
        def stop(done):
            progress(done)
            if members == 2 and done > 50:
                raise KeyboardInterrupt

        nonlocal members
        members += 1
        return train(network, *data, progress=stop, **options)

    members = 0
    with monkeypatch.context() as patch:
        patch.setattr(training, "train", stopping)
        with pytest.raises(KeyboardInterrupt):
            running.run(TINY, folder=small / "parts")
    assert not (small / "parts").exists()
    steps = []

    def counting(network, *data, progress, **options):
        return train(network, *data, progress=lambda done: steps.append(done), **options)

    monkeypatch.setattr(training, "train", counting)
    table = running.run(TINY, folder=small / "parts")
    pd.testing.assert_frame_equal(table, whole, check_exact=True)
    tables = [(small / name / "tiny.csv.gz").read_bytes() for name in ("whole", "parts")]
    assert tables[0] == tables[1]
    assert steps[:2] == [80, 40], "the first member was done, the second half done"


def test_means_of_the_loss_keep_a_nan():
    rows = [(1, step, "loss", value) for step, value in enumerate([1, 3, 5, math.nan, 9], start=1)]
    table = pd.DataFrame(rows + [(1, 5, "test_loss", 7.0)], columns=training.COLUMNS)
    means = running._average(table, 2)
    assert means.step.tolist() == [2, 4, 5, 5]
    assert means.value.tolist() == pytest.approx([2.0, math.nan, 9.0, 7.0], nan_ok=True)


def test_the_command_names_what_differs():
    assert FIGURE_1.command() == "python -m helpers run figure-1"
    short = experiments.choose("figure-1", seeds=9, epochs=2)
    expected = "python -m helpers run figure-1 --device cuda --seeds 9 --epochs 2"
    assert short.command("cuda") == expected


def test_the_book_s_figure_1_is_the_one_registered():
    record = results.provenance("figure-1")
    assert record["command"] == FIGURE_1.command()
    assert record["configuration"] == json.loads(json.dumps(asdict(FIGURE_1)))
    assert record["data"]["images"] == {"train": 60000, "test": 10000}
    table = results.read("figure-1")
    assert list(table.columns) == running.COLUMNS
    members = list(table.groupby(["scheme", "seed"]).groups)
    assert members == sorted((member.scheme, member.seed) for member in FIGURE_1.members())
    assert '"/' not in json.dumps(record), "a provenance holds no path"


def test_list_names_every_experiment(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(experiments.EXPERIMENTS)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("run figure-2", "Unknown experiment 'figure-2'. Did you mean 'figure-1'?"),
        ("run figure-1 --seeds 0", "argument --seeds: '0'; expected a whole number, 1 or above"),
        ("run figure-1 --epochs 1.5", "argument --epochs: '1.5'; expected a whole number"),
        ("run figure-1 --epochs 1", "would overwrite the book's stored result"),
        ("run figure-1 --device toaster", "Device 'toaster' is unknown; expected cpu, cuda"),
        ("run figure-1 --device meta", "Device 'meta' is not supported"),
        ("run figure-1 --device cuda:99", "Device 'cuda:99' is not there; run on the CPU"),
        ("walk figure-1", "invalid choice: 'walk'"),
    ],
)
def test_bad_commands(arguments, message, capsys):
    try:
        status = main(arguments.split())
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err


def test_missing_data_is_an_error_not_a_traceback(monkeypatch, capsys):
    def missing(name, split, **options):
        raise FileNotFoundError(f"{name} is not in /nowhere")

    monkeypatch.setattr(datasets, "load", missing)
    assert main(["run", "figure-1"]) == 2
    assert capsys.readouterr().err == "error: mnist is not in /nowhere\n"


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", interrupted)
    assert main(["run", "figure-1"]) == 130
    assert "The same command goes on" in capsys.readouterr().err


def test_a_device_keeps_its_index():
    assert running._device("cpu") == torch.device("cpu")
