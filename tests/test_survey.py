"""The stored survey is whole, and follows from the code: a few networks, again."""

import pytest
import torch
from torch import nn

from helpers import results, survey

FEW = ["mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1"]


def test_every_classifier_is_there_and_was_left_as_it_was():
    stored = results.read("torchvision")
    assert stored["network"].tolist() == survey.classifiers()
    assert stored["unchanged"].all()
    layers = results.read("torchvision-layers").groupby("network", sort=False).size()
    assert layers.tolist() == stored["depth"].tolist()


@pytest.mark.parametrize("name", FEW)
def test_a_row_follows_from_the_code(name):
    stored = results.read("torchvision").set_index("network").loc[name].fillna("")
    row = survey.look(name)
    for column in ("parameters", "side", "depth", "faults", "notes", "verdict", "unchanged"):
        assert row[column] == stored[column]
    layers = results.read("torchvision-layers")
    layers = layers[layers["network"] == name]
    assert [layer["layer"] for layer in row["layers"]] == layers["layer"].tolist()
    found = [layer["forward"] for layer in row["layers"]]
    assert found == pytest.approx(layers["forward"].tolist(), rel=1e-2)


def test_a_survey_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    survey.survey(FEW[:1], cache=tmp_path)
    monkeypatch.setattr(survey, "build", lambda name: pytest.fail(f"{name} was built again"))
    table, layers, record = survey.survey(FEW[:1], cache=tmp_path)
    assert len(table) == 1 and set(layers["network"]) == set(FEW[:1])
    assert record["command"] == "python -m helpers survey --out book/results"


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net[0].weight.data.mul_(1 + 1e-6),
        lambda net: net[1].running_mean.add_(1e-6),
        lambda net: net[1].eval(),
        lambda net: net[0].requires_grad_(False),
        lambda net: net[0].register_forward_hook(lambda *_: None),
        lambda net: setattr(net[0].bias, "grad", torch.zeros(3)),
        lambda net: torch.rand(1),
    ],
)
def test_a_fingerprint_sees_every_change(change):
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with torch.random.fork_rng():
        before = survey.fingerprint(network)
        assert survey.fingerprint(network) == before
        change(network)
        assert survey.fingerprint(network) != before


def test_an_unknown_classifier_is_named():
    with pytest.raises(ValueError, match="Did you mean 'resnet18'"):
        survey.build("resnet81")
