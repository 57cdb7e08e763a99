"""Many networks at once are the same networks one by one."""

import functools
import math

import pytest
import torch
from torch import nn

from helpers import networks, training
from helpers.ensembles import Ensemble
from helpers.initializers import initialize


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def perceptrons(count):
    built = [networks.MLP([16, 9, 9, 4], "tanh") for _ in range(count)]
    return [
        initialize(m, "normal", sigma=0.1 + 0.1 * i, generator=seeded(i))
        for i, m in enumerate(built)
    ]


def convolutions(count):
    def build():
        layers = (
            nn.Conv2d(1, 3, 3, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12, 4),
        )
        return nn.Sequential(nn.Unflatten(1, (1, 4, 4)), *layers).double()

    return [initialize(build(), "he", generator=seeded(i)) for i in range(count)]


images = torch.rand(60, 16, generator=seeded(9), dtype=torch.float64)
labels = torch.randint(4, (60,), generator=seeded(8))


def train(members, generators, **options):
    defaults = {"epochs": 17, "batch_size": 25, "optimizer": training.sgd(0.1)}
    return training.train(
        members, images, labels, generator=generators, test=(images, labels), **(defaults | options)
    )


@pytest.mark.parametrize("build", [perceptrons, convolutions])
@pytest.mark.parametrize(
    "optimizer",
    [training.sgd(0.1), training.rmsprop(0.01), functools.partial(torch.optim.Adam, lr=0.01)],
    ids=["sgd", "rmsprop", "adam"],
)
def test_an_ensemble_equals_single_runs(build, optimizer):
    together, alone = build(4), build(4)
    table = train(together, [seeded(20 + i) for i in range(4)], optimizer=optimizer)
    for i, network in enumerate(alone):
        expected = train(network, seeded(20 + i), optimizer=optimizer)
        part = table[table.member == i].drop(columns="member").reset_index(drop=True)
        assert part.drop(columns="value").equals(expected.drop(columns="value"))
        assert part.step.max() == 51
        assert part.value.tolist() == pytest.approx(expected.value.tolist(), abs=1e-10, rel=0)
        for ours, theirs in zip(together[i].state_dict().values(), network.state_dict().values()):
            assert torch.allclose(ours, theirs, rtol=0, atol=1e-10)


def test_one_generator_gives_all_the_same_order():
    table = train(perceptrons(2), seeded(5), epochs=1)
    for i, network in enumerate(perceptrons(2)):
        alone = train(network, seeded(5), epochs=1)
        part = table[table.member == i]
        assert part.value.tolist() == pytest.approx(alone.value.tolist(), abs=1e-10, rel=0)


def test_a_member_that_overflows_does_not_disturb_the_others():
    members = perceptrons(3)
    with torch.no_grad():
        members[1].linear1.weight.fill_(math.nan)
    table = train(members, [seeded(20 + i) for i in range(3)])
    broken = table[(table.member == 1) & (table.quantity == "loss")]
    assert broken.value.isna().all()
    assert table[(table.member == 1) & (table.quantity == "test_accuracy")].value.eq(0).all()
    alone = train(perceptrons(3)[2], seeded(22))
    part = table[table.member == 2]
    assert part.value.tolist() == pytest.approx(alone.value.tolist(), abs=1e-10, rel=0)


def test_an_interrupted_ensemble_goes_on_bit_for_bit(tmp_path):
    def again(**options):
        table = train(convolutions(3), [seeded(i) for i in range(3)], epochs=4, **options)
        return table.drop(columns="value"), table.value.tolist()

    def stop(done):
        if done > 3 * 130:
            raise KeyboardInterrupt

    options = {"checkpoint": tmp_path / "three.pt", "interval": 0, "record_at": (0, 5, 11)}
    options["record"] = lambda network, step: {
        "size": network[5].weight.detach().abs().max().numpy()
    }
    expected = again(**{key: options[key] for key in ("record", "record_at")})
    with pytest.raises(KeyboardInterrupt):
        again(**options, progress=stop)
    keys, values = again(**options)
    assert keys.equals(expected[0]) and values == expected[1]
    assert keys.quantity.eq("size").sum() == 9


def test_a_checkpoint_of_other_shapes_is_refused(tmp_path):
    train(perceptrons(1), seeded(0), epochs=1, checkpoint=tmp_path / "one.pt")
    with pytest.raises(ValueError, match="damaged, or does not fit this run"):
        train(perceptrons(3), seeded(0), epochs=1, checkpoint=tmp_path / "one.pt")


def test_dropout_differs_between_members():
    layer = networks.Dropout(0.5)
    pair = Ensemble([nn.Sequential(layer, nn.Linear(64, 1)) for _ in range(2)])
    pair.mode(training=True)
    for tensor in pair.tensors:
        nn.init.ones_(tensor)
    ones = torch.ones(2, 5, 64)
    first, second = pair.logits(ones)
    assert not torch.equal(first, second)
    pair.mode(training=False)
    assert torch.equal(pair.logits(ones), torch.full((2, 5, 1), 65.0))


def test_several_answers_an_example_are_scored_one_by_one():
    class Twice(nn.Linear):
        def forward(self, values):
            return super().forward(values).unflatten(1, (4, 2))

    members = [Twice(16, 8).double() for _ in range(3)]
    for seed, member in enumerate(members):
        for parameter in member.parameters():
            nn.init.normal_(parameter, generator=seeded(seed))
    answers = torch.randint(4, (60, 2), generator=seeded(7))
    criterion = training.LOSSES["logits"]
    for group in (members, members[:1]):
        scores = Ensemble(group).scores(images, answers, criterion)
        for member, (loss, accuracy) in zip(group, scores.tolist()):
            logits = member(images)
            right = (logits.argmax(1) == answers).double().mean().item()
            single = [criterion(logits[..., k], answers[:, k]).item() for k in (0, 1)]
            assert (loss, accuracy) == pytest.approx((sum(single) / 2, right), abs=1e-12)


def test_what_cannot_be_stacked_is_refused():
    with pytest.raises(ValueError, match="expected one or more"):
        Ensemble([])
    with pytest.raises(ValueError, match="2 networks of 2 architectures"):
        Ensemble([networks.MLP([3, 2]), networks.MLP([3, 3])])
    with pytest.raises(ValueError, match="2 networks of 2 architectures"):
        Ensemble([networks.MLP([3, 3, 3], kind) for kind in ("tanh", "relu")])
    with pytest.raises(ValueError, match="3 generators for 2 networks"):
        train(perceptrons(2), [seeded(0)] * 3)
    with pytest.raises(ValueError, match="Adafactor looks at whole tensors"):
        train(perceptrons(2), seeded(0), optimizer=torch.optim.Adafactor)
    with pytest.raises(ValueError, match="LBFGS wants the loss many times"):
        train(perceptrons(1)[0], seeded(0), optimizer=torch.optim.LBFGS)


def test_frozen_weights_stay_and_modes_come_back():
    members = perceptrons(2)
    members[1].eval()
    for network in members:
        network.linear1.requires_grad_(False)
    before = [network.linear1.weight.clone() for network in members]
    train(members, seeded(0), epochs=1)
    assert [network.training for network in members] == [True, False]
    assert all(torch.equal(network.linear1.weight, w) for network, w in zip(members, before))
    assert not torch.equal(members[0].linear2.weight, perceptrons(1)[0].linear2.weight)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("gpu", [f"cuda:{i}" for i in range(torch.cuda.device_count())])
def test_a_captured_step_equals_the_plain_one(gpu):
    tables = []
    for device in ("cpu", gpu):
        members = [network.to(device) for network in perceptrons(3)]
        tables.append(
            training.train(
                members,
                images.to(device),
                labels.to(device),
                epochs=5,
                batch_size=25,
                optimizer=training.rmsprop(0.01),
                generator=[seeded(i) for i in range(3)],
            ).value.tolist()
        )
    assert tables[0] == pytest.approx(tables[1], abs=1e-10, rel=0)
