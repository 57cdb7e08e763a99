import json

import pytest
import torch

from helpers import datasets, devices, experiments, results, running
from helpers.__main__ import main
from helpers.configurations import Copying

FIGURE_1 = experiments.EXPERIMENTS["figure-1"]


def test_the_command_names_what_differs():
    assert experiments.command(FIGURE_1) == "python -m helpers run figure-1"
    short = experiments.choose("figure-1", seeds=9, epochs=2)
    expected = "python -m helpers run figure-1 --device cuda --seeds 9 --epochs 2"
    assert experiments.command(short, "cuda") == expected
    whole = experiments.choose("residual", shrink=1)
    expected = "python -m helpers run residual --data photos --shrink 1"
    assert experiments.command(whole, data="photos") == expected
    assert (
        experiments.command(FIGURE_1, processes=2)
        == "torchrun --nproc-per-node 2 -m helpers run figure-1"
    )


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_the_book_s_tables_are_those_registered(name):
    experiment, record = experiments.EXPERIMENTS[name], results.provenance(name)
    processes = record["processes"]
    data = record["data"]
    assert record["command"] == experiments.command(
        experiment, processes=processes, data=data["name"]
    )
    assert record["configuration"] == json.loads(json.dumps(experiment.configuration()))
    sizes = {"mnist": (60000, 10000), "cifar10-jpeg75": (50000, 10000)}
    if isinstance(experiment, Copying):
        sizes["copying"] = (experiment.examples, experiment.tests)
    assert tuple(data["images"].values()) == sizes[data["name"]]
    assert record["seconds"] > 0 and record["peak_memory_mb"] > 0
    assert sum(group["members"] for group in record["groups"]) == len(experiment.members())
    assert '"/' not in json.dumps(record), "a provenance holds no path"
    table = results.read(name)
    assert list(table.columns)[: len(experiment.keys)] == experiment.keys
    assert table.groupby(experiment.keys, dropna=False).ngroups == len(experiment.members())


def test_what_later_experiments_brought_is_not_said_of_earlier_ones():
    configuration = FIGURE_1.configuration()
    assert not {"shrink", "drops", "augment"} & configuration.keys()
    assert "variant" not in configuration["cases"][0]
    later = experiments.EXPERIMENTS["residual"].configuration()
    assert later["shrink"] == 2 and later["augment"] == "crop-and-flip" and later["drops"]
    assert later["cases"][0]["variant"] == "plain"


def test_members_come_case_by_case_before_any_second_seed():
    members = FIGURE_1.members()
    assert [str(member) for member in members[:2]] == [
        "zeros clipped bfloat16 seed 0",
        "normal σ=0.4 clipped bfloat16 seed 0",
    ]
    assert [member.seed for member in members] == sorted(member.seed for member in members)
    assert FIGURE_1.keys == ["scheme", "sigma", "loss", "precision", "seed"]


def test_list_names_every_experiment(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *experiments.EXPERIMENTS, "all"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("run figure1", "Unknown experiment 'figure1'. Did you mean 'figure-1'?"),
        ("run figure-1 --seeds 0", "argument --seeds: '0'; expected a whole number, 1 or above"),
        ("run figure-1 --epochs 1.5", "argument --epochs: '1.5'; expected a whole number"),
        ("run figure-1 --epochs 1", "would overwrite the book's stored result"),
        ("run figure-1 --device toaster", "Device 'toaster' is unknown; expected cpu, cuda"),
        ("run figure-1 --device meta", "Device 'meta' is not supported"),
        ("run figure-1 --device cuda:99", "Device 'cuda:99' is not there; run on the CPU"),
        ("run figure-3 --epochs 2 --out x", "'figure-3' trains nothing. Leave epochs out."),
        ("run figure-3 --shrink 2 --out x", "'figure-3' takes its images whole. Leave shrink out."),
        ("check figure1", "Unknown experiment 'figure1'"),
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
    assert devices.as_device("cpu") == torch.device("cpu")
