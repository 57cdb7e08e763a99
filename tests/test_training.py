import math
import subprocess
import sys

import pandas as pd
import pytest
import torch
from torch import nn

from helpers import training
from helpers.initializers import initialize
from helpers.networks import MLP

# Blobs that a small network with dropout learns; the children that are killed train on the same.
CHILD = """
import os, pathlib, random, signal, sys, time, torch
from torch import nn
from helpers import training

def seeded(seed):
    return torch.Generator().manual_seed(seed)

def blobs():
    labels = torch.arange(60) % 3
    noise = torch.randn(60, 5, generator=seeded(1), dtype=torch.float64)
    return noise + 2 * nn.functional.one_hot(labels, 5), labels

def run(optimizer, checkpoint=None, **options):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    images, labels = blobs()
    table = training.train(
        network, images, labels, **({"epochs": 6} | options), batch_size=25, optimizer=optimizer,
        generator=seeded(2), test=(images, labels), checkpoint=checkpoint,
    )
    return table, network

def slowly(checkpoint):
    return run(
        training.rmsprop(0.01), checkpoint, epochs=100, interval=0,
        progress=lambda done: time.sleep(0.005),
    )[0]

def kill_many(checkpoint, kills):
    # Processes are forked, because each would otherwise import torch for seconds.
    torch.set_num_threads(1)
    run(training.rmsprop(0.01), epochs=1)
    for number in range(kills):
        before = checkpoint.stat().st_mtime_ns if number else 0
        child = os.fork()
        if child == 0:
            slowly(checkpoint)
            os._exit(0)
        # Each gets somewhere, and is killed at any moment from then on.
        while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it had ended by itself"

if __name__ == "__main__":
    random.seed(int(sys.argv[2]))
    kill_many(pathlib.Path(sys.argv[1]), kills=20)
"""
scope = {"__name__": "child"}
exec(CHILD, scope)
seeded, blobs, run, slowly = (scope[name] for name in ("seeded", "blobs", "run", "slowly"))


def network_and_data():
    network = initialize(MLP([5, 7, 3], "tanh"), "lecun", generator=seeded(3))
    return network, *blobs()


def by_hand(rule, criterion, epochs=3, batch_size=25, shrink=lambda step: 1.0):
    """Losses, step by step, of a loop that shares no line with `helpers.training`."""
    network, images, labels = network_and_data()
    generator = seeded(4)
    torch.randint(2**62, (), generator=generator)  # dropout's seed, drawn first
    memory = [torch.zeros_like(p) for p in network.parameters()]
    losses = []
    for _ in range(epochs):
        order = torch.randperm(60, generator=generator).tolist()
        for start in range(0, 60, batch_size):
            batch = order[start : start + batch_size]
            loss = criterion(network(images[batch]), labels[batch])
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            losses.append(loss.item())
            with torch.no_grad():
                for parameter, gradient, square in zip(network.parameters(), gradients, memory):
                    parameter -= shrink(len(losses)) * rule(gradient, square)
    return losses


def rms_step(gradient, square):
    square.mul_(0.9).add_(0.1 * gradient**2)
    return 0.01 * gradient / (square.sqrt() + 1e-7)


def logits_loss(logits, labels):
    return (logits.logsumexp(1) - logits[range(len(labels)), labels]).mean()


def clipped_loss(logits, labels):
    probabilities = logits.exp() / logits.exp().sum(1, keepdim=True)
    chosen = (nn.functional.one_hot(labels, 3) * probabilities).sum(1)
    return -chosen.clip(1e-7, 1 - 1e-7).log().mean()


@pytest.mark.parametrize(
    "optimizer, rule, loss, criterion",
    [
        (training.sgd(0.2), lambda gradient, square: 0.2 * gradient, "logits", logits_loss),
        (training.rmsprop(0.01), rms_step, "clipped", clipped_loss),
    ],
    ids=["sgd", "rmsprop"],
)
def test_a_run_equals_a_loop_by_hand(optimizer, rule, loss, criterion):
    network, images, labels = network_and_data()
    options = {"epochs": 3, "batch_size": 25, "loss": loss, "generator": seeded(4)}
    table = training.train(network, images, labels, optimizer=optimizer, **options)
    assert table.quantity.eq("loss").all()
    assert table.step.tolist() == list(range(1, 10))
    assert table.epoch.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    expected = by_hand(rule, criterion)
    assert table.value.tolist() == pytest.approx(expected, abs=1e-10, rel=0)
    assert expected[-1] < expected[0]


@pytest.mark.parametrize(
    "optimizer, rule",
    [
        (training.sgd(0.2), lambda gradient, square: 0.2 * gradient),
        (training.rmsprop(0.01), rms_step),
    ],
    ids=["sgd", "rmsprop"],
)
def test_the_learning_rate_drops_where_it_is_told_to(optimizer, rule, tmp_path):
    network, images, labels = network_and_data()

    def go(progress):
        return training.train(
            initialize(network, "lecun", generator=seeded(3)),
            *(images, labels),
            epochs=3,
            batch_size=25,
            drops=(0.5, 0.8),
            optimizer=optimizer,
            generator=seeded(4),
            checkpoint=tmp_path / "run.pt",
            interval=0,
            progress=progress,
        )

    with pytest.raises(ZeroDivisionError):
        go(lambda done: 1 / (done - 2 * 60))  # stopped after six steps, behind the first drop
    table = go(lambda done: None)
    # Of nine steps the first five have the whole rate, then three a tenth, then one a hundredth.
    expected = by_hand(rule, logits_loss, shrink=lambda step: 0.1 ** ((step > 5) + (step > 8)))
    assert table.value.tolist() == pytest.approx(expected, abs=1e-10, rel=0)


def test_an_example_with_clipped_loss_teaches_nothing():
    logits = torch.tensor([[0.0, 40.0], [40.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    logits.requires_grad_()
    labels = torch.zeros(3, dtype=torch.int64)
    for row, expected in enumerate([-math.log(1e-7), 1e-7, math.log1p(math.exp(-1))]):
        loss = training.clipped_cross_entropy(logits[row : row + 1], labels[:1])
        assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert -math.log(1e-7) == pytest.approx(16.118, abs=5e-4)
    training.clipped_cross_entropy(logits, labels).backward()
    assert torch.equal(logits.grad[:2], torch.zeros(2, 2, dtype=torch.float64))
    assert logits.grad[2].abs().min() > 0.05


def test_a_run_is_decided_by_its_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    network, images, labels = network_and_data()
    network = nn.Sequential(nn.Dropout(0.3), network)
    options = {"epochs": 1, "batch_size": 10, "optimizer": training.sgd(0.0001)}
    train = training.train
    tables = [train(network, images, labels, generator=seeded(s), **options) for s in (6, 7)]
    assert torch.equal(torch.get_rng_state(), before)
    assert not tables[0].equals(tables[1])
    first, _ = run(training.sgd(0.1))
    torch.rand(3)
    second, _ = run(training.sgd(0.1))
    assert first.equals(second)


def test_the_test_set_is_evaluated_before_and_after_every_epoch():
    table, network = run(training.sgd(0.1), record=lambda network, step: {"twice": 2 * step})
    accuracies = table[table.quantity == "test_accuracy"]
    assert accuracies.epoch.tolist() == list(range(7))
    assert accuracies.step.tolist() == [0, 3, 6, 9, 12, 15, 18]
    images, labels = blobs()
    with torch.no_grad():
        logits = network.eval()(images)
    assert accuracies.value.iloc[-1] == (logits.argmax(1) == labels).double().mean().item()
    last_loss = table[table.quantity == "test_loss"].value.iloc[-1]
    assert last_loss == pytest.approx(logits_loss(logits, labels).item(), rel=1e-12)
    assert table[table.quantity == "twice"].value.tolist() == [0, 6, 12, 18, 24, 30, 36]
    chosen, _ = run(
        training.sgd(0.1), record=lambda network, step: {"at": step}, record_at=(0, 4, 18)
    )
    at = chosen[chosen.quantity == "at"]
    assert at.value.tolist() == at.step.tolist() == [0, 4, 18]
    assert at.epoch.tolist() == [0, 2, 6]


def test_a_run_can_end_early():
    whole, _ = run(training.sgd(0.1))
    part, _ = run(training.sgd(0.1), steps=4)
    assert part.step.max() == 4
    shared = whole[(whole.step <= 4)]
    pd.testing.assert_frame_equal(part, shared, check_exact=True)


def test_a_network_that_overflows_is_recorded_not_raised():
    images, labels = blobs()
    network = initialize(MLP([5, 7, 3], "relu"), "he", generator=seeded(3))
    options = {"epochs": 4, "batch_size": 20, "optimizer": training.sgd(1e200)}
    table = training.train(
        network, images, labels, generator=seeded(4), test=(images, labels), **options
    )
    last = table[table.epoch == 4].set_index("quantity").value
    assert last["loss"].isna().all() and math.isnan(last["test_loss"])
    assert last["test_accuracy"] == 0


def test_autocast_leaves_weights_and_loss_in_float32():
    images, labels = blobs()
    network = initialize(MLP([5, 7, 3], dtype=torch.float32), "he", generator=seeded(3))
    options = {"epochs": 1, "batch_size": 20, "optimizer": training.sgd(0.1)}
    seen = []
    network.linear2.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    training.train(
        network, images.float(), labels, generator=seeded(4), autocast=torch.bfloat16, **options
    )
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_a_process_killed_twenty_times_ends_bit_for_bit(tmp_path):
    expected = slowly(None)
    checkpoint = tmp_path / "member.pt"
    subprocess.run([sys.executable, "-c", CHILD, str(checkpoint), "8"], check=True)
    starts = []
    table, _ = run(training.rmsprop(0.01), checkpoint, epochs=100, progress=starts.append)
    assert 20 * 20 < starts[0] < 6000, "the killed ones had got somewhere"
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert [file.name for file in tmp_path.iterdir()] == ["member.pt"]


def test_an_interrupted_run_keeps_the_optimizers_memory(tmp_path):
    expected, _ = run(training.rmsprop(0.01))

    def interrupt(done):
        if done > 210:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(training.rmsprop(0.01), tmp_path / "member.pt", progress=interrupt, interval=0)
    starts = []
    table, _ = run(training.rmsprop(0.01), tmp_path / "member.pt", progress=starts.append)
    assert starts[0] == 205, "it goes on within the epoch"
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    again, _ = run(training.rmsprop(0.01), tmp_path / "member.pt")
    assert again.equals(table) and again.attrs == table.attrs
    assert [file.name for file in tmp_path.iterdir()] == ["member.pt"]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"], ids=["empty", "text"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "member.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"member\.pt is damaged, or .*Delete it"):
        run(training.sgd(0.1), path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"epochs": 0}, "epochs is 0; expected a whole number"),
        ({"batch_size": 0}, "batch_size is 0; expected a whole number"),
        ({"loss": "clip"}, "Unknown loss 'clip'. Did you mean 'clipped'"),
        ({"labels": torch.zeros(59, dtype=torch.int64)}, "60 images and 59 labels"),
        ({"augment": "flip"}, "Unknown augmentation 'flip'"),
        ({"drops": (0.5, 1.0)}, "drops holds 1.0; expected shares of the run below 1"),
        ({"test": (torch.zeros(0, 5), torch.zeros(0))}, "test set of 0 images and 0 labels"),
    ],
)
def test_bad_arguments(change, message):
    network, images, labels = network_and_data()
    good = {"images": images, "labels": labels, "epochs": 1, "batch_size": 9}
    with pytest.raises(ValueError, match=message):
        training.train(
            network, **(good | {"optimizer": training.sgd(1.0), "generator": seeded(0)} | change)
        )


@pytest.mark.parametrize("rate", [0, -1.0, math.nan, math.inf])
def test_bad_learning_rates(rate):
    for name in training.OPTIMIZERS:
        with pytest.raises(ValueError, match="learning rate is"):
            training.OPTIMIZERS[name](rate)
