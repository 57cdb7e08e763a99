"""The laboratory against the modules that it stands on, and training that can be interrupted."""

import math
import time

import numpy as np
import pytest
import torch
from torch import nn

from helpers import initializers, laboratory, networks, normalization, propagation, theory
from helpers.laboratory import Settings, Training, architectures, examples, flow, predictions
from helpers.laboratory.words import number, verdict


def logs(values):
    return np.log10(np.asarray(values))


def test_flow_is_what_propagation_sees():
    settings = Settings(scheme="normal", sigma=0.2, activation="tanh", depth=3, width=20, seed=5)
    images = examples.load("digits", "train").images[:50]
    network = networks.MLP([784, 20, 20, 20, 10], "tanh")
    generator = torch.Generator().manual_seed(5)
    initializers.initialize(network, "normal", sigma=0.2, generator=generator)
    way = torch.randn(50, 10, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    signals = propagation.observe(network, images, lambda output: (output * way).sum())
    table = propagation.statistics([s for s in signals if s.layer.startswith("act")])
    ahead, back = (table[table.direction == way] for way in ("forward", "backward"))
    found = flow(settings, images=50)
    assert found.images == 50
    np.testing.assert_allclose(found.forward.measured, logs(ahead.second_moment), rtol=1e-10)
    np.testing.assert_allclose(found.backward.measured, logs(back.second_moment), rtol=1e-10)
    saturated = [layer.saturated for layer in found.forward.layers]
    np.testing.assert_allclose(saturated, ahead.fraction_saturated)
    histogram = propagation.histograms([signals[1]], bins=41).query("direction == 'forward'")
    expected = (histogram.density / histogram.density.max()).tolist()
    np.testing.assert_allclose(found.forward.layers[0].density, expected, atol=1e-12)


def test_zeros_are_counted_and_left_out_of_the_violin():
    layer = flow(Settings(depth=1, width=30, seed=1), images=40).forward.layers[0]
    network = architectures.draw(
        architectures.build(Settings(depth=1, width=30)), Settings(depth=1, width=30), 1
    )
    values = network.act1(network.linear1(examples.load("digits", "train").images[:40]))
    assert layer.zero == (values == 0).double().mean()
    assert layer.dead == (values == 0).all(0).double().mean()
    assert layer.density[: 41 // 2] == (0,) * 20  # nothing below zero behind a ReLU


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu", "selu"])
@pytest.mark.parametrize("scheme, sigma", [("normal", 0.3), ("pytorch", 0.1), ("he", 0.1)])
def test_predictions_are_those_of_theory(activation, scheme, sigma):
    settings = Settings(scheme=scheme, sigma=sigma, activation=activation, depth=4, width=50)
    images = examples.load("digits", "train").images[:30].numpy()
    widths = [784, 50, 50, 50, 50, 10]
    variances = initializers.variances(scheme, widths, **settings.options)
    biases = [1 / (3 * n) if scheme == "pytorch" else 0.0 for n in widths[:-1]]
    signal = theory.forward(
        widths,
        variances,
        activation,
        input_second_moment=np.square(images).mean(1),
        bias_variance=biases,
    )
    gradient = theory.backward(widths, variances, activation, signal.pre_activation)
    ahead, back = predictions.predict(settings, images)
    expected = gradient.activation[:-1]
    if expected.ndim == 1:
        expected = expected[:, None]
    np.testing.assert_allclose(ahead, logs(signal.activation[:-1].mean(1)), atol=1e-3)
    np.testing.assert_allclose(back, logs(expected.mean(1)), atol=1e-3)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_normalized_predictions_are_those_of_theory(activation):
    settings = Settings("batch normalization", "normal", 0.1, 50, 4, activation)
    images = examples.load("digits", "train").images[:30].numpy()
    widths = [784, 50, 50, 50, 50]
    layers = normalization.forward(widths, 0.01, activation, input_variance=images.var(0).mean())
    gradient = normalization.backward(widths, 0.01, activation, layers)
    ahead, back = predictions.predict(settings, images)
    np.testing.assert_allclose(ahead, logs(layers.activation), atol=1e-3)
    np.testing.assert_allclose(back - back[-1], logs(gradient / gradient[-1]), atol=1e-3)


def test_a_residual_layer_with_he_doubles_both_ways():
    images = examples.load("noise", "train").images[:30].numpy()
    ahead, back = predictions.predict(Settings("residual", "he", depth=6), images)
    np.testing.assert_allclose(np.diff(ahead), math.log10(2), atol=1e-6)
    np.testing.assert_allclose(np.diff(back), -math.log10(2), atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sigmoid"])
def test_predictions_go_on_where_numbers_end(activation):
    images = examples.load("noise", "train").images[:3].numpy()
    for sigma in (1e-8, 1e8):
        settings = Settings(scheme="normal", sigma=sigma, depth=50, activation=activation)
        for way in predictions.predict(settings, images):
            assert np.isfinite(way).all()


@pytest.mark.parametrize("network", [n for n in laboratory.NETWORKS if n != "lstm"])
def test_wide_networks_do_what_theory_says(network):
    found = flow(Settings(network, "normal", 0.06, 400, 5, "tanh", "noise", seed=2), images=200)
    for way in (found.forward, found.backward):
        np.testing.assert_allclose(way.measured, way.predicted, atol=0.12)


def test_the_lstm_steps_as_pytorchs_own():
    network = architectures.RowReader(12)
    architectures.draw(network, Settings("lstm", width=12, forget=2.5), 3)
    assert (network.layer.bias_ih_l0[12:24] == 2.5).all()
    images = examples.load("digits", "train").images[:7]
    states, (_, cell) = network.layer(images.unflatten(1, (28, 28)))
    h, c = network.steps(images)[-1]
    assert torch.allclose(h, states[:, -1], atol=1e-12)
    assert torch.allclose(c, cell[0], atol=1e-12)


def test_an_lstm_forgets_as_its_gate_says_and_slower_by_the_loop():
    found = flow(Settings("lstm", width=200, forget=1.0, data="noise"), images=60)
    f = 1 / (1 + math.exp(-1))
    alone = np.array([2 * (27 - t) * math.log10(f) for t in range(28)])
    back = np.array(found.backward.measured) - found.backward.measured[-1]
    assert (back[:20] > alone[:20]).all()
    np.testing.assert_allclose(
        found.backward.measured[-6:], found.backward.predicted[-6:], atol=0.2
    )


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"network": "percepton"}, "Did you mean 'perceptron'"),
        ({"scheme": "hee"}, "Did you mean 'he'"),
        ({"activation": "rellu"}, "Did you mean 'relu'"),
        ({"data": "cifar10"}, "Known: digits, noise"),
        ({"sigma": 0.0}, "sigma is 0.0; expected a finite number above 0"),
        ({"sigma": math.nan}, "sigma is nan"),
        ({"width": 0}, "width is 0"),
        ({"width": 513}, "width is 513; expected 1 to 512"),
        ({"depth": 51}, "depth is 51; expected 1 to 50"),
        ({"depth": 2.5}, "depth is 2.5"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**31}, "seed is 2147483648; expected a whole number below"),
        ({"forget": math.inf}, "forget is inf; expected a finite number"),
        ({"scheme": "rai", "network": "batch normalization"}, "Take another scheme"),
    ],
)
def test_settings_name_what_is_wrong(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)


def test_nothing_is_ever_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("HELPERS_DATA", str(tmp_path))
    assert examples.available() == ["digits", "noise"]
    with pytest.raises(FileNotFoundError, match="fashion-mnist is not on this computer"):
        flow(Settings(data="fashion-mnist"))
    assert not list(tmp_path.iterdir())


def test_numbers_read_well():
    shown = [
        number(log) for log in (-math.inf, -5, -0.30103, -1e-9, 0, 1.5, 2.999, 4.5, 309, math.nan)
    ]
    assert shown == [
        *("0", "1.0·10⁻⁵", "0.50", "1.0", "1.0", "32", "1.0·10³", "3.2·10⁴"),
        *("beyond 10³⁰⁸", "not a number"),
    ]


@pytest.mark.parametrize(
    "options, told",
    [
        ({"sigma": 0.01}, ["Activations vanish by 10", "Gradients vanish by 10"]),
        ({"sigma": 1.0}, ["Activations explode by 10", "Gradients explode by 10"]),
        ({"sigma": math.sqrt(2 / 300), "width": 300}, ["Activations hold", "Gradients hold"]),
        ({"scheme": "zeros"}, ["Activations are all zero.", "Gradients are all zero."]),
        ({"sigma": 1e8, "depth": 50}, ["explode beyond all numbers: at hidden layer 3", "numbers"]),
        ({"sigma": 1e-8, "depth": 50}, ["vanish: at hidden layer", "vanish: back at hidden"]),
        ({"sigma": 1.0, "activation": "tanh"}, ["hold", "explode", "Saturated:"]),
        ({"sigma": 0.3, "width": 4, "depth": 2}, ["Activations", "Gradients", "Dead, zero for"]),
    ],
)
def test_the_verdict_says_what_happens(options, told):
    sentences = verdict(flow(Settings(**({"scheme": "normal", "seed": 0} | options)), images=100))
    assert len(sentences) >= len(told)
    for expected, sentence in zip(told, sentences):
        assert expected in sentence


def small(**options) -> Settings:
    return Settings(**({"width": 16, "depth": 2} | options))


def finished(training: Training):
    training.start()
    assert training.wait(60)
    return training.trial()


def test_training_learns_and_says_how_far_it_is():
    training = Training(small(), epochs=3)
    assert training.trial().state == "ready"
    trial = finished(training)
    assert (trial.state, trial.done, trial.total) == ("done", 87, 87)
    assert [step for step, _ in trial.scores] == [0, 29, 58, 87]
    assert len(trial.losses[0]) == len(training.seeds) == 3
    assert min(trial.scores[-1][1]) > 0.5 > max(trial.scores[0][1])


@pytest.mark.parametrize("network", laboratory.NETWORKS)
def test_training_begins_at_the_weights_that_flowed(network):
    settings = small(network=network, seed=8)
    training = Training(settings, epochs=1, rate=1e-30, batch=1415)
    trial = finished(training)
    images, labels = examples.load("digits", "train")
    drawn = architectures.draw(architectures.build(settings), settings, 8)
    assert trial.losses[0][0] == pytest.approx(
        nn.functional.cross_entropy(drawn(images), labels).item(), rel=1e-5
    )


def test_rewound_training_repeats_itself_and_another_seed_does_not():
    training = Training(small(), epochs=1)
    first = finished(training)
    training.rewind()
    assert training.trial().state == "ready" and not training.trial().losses
    assert finished(training) == first
    assert finished(Training(small(seed=1), epochs=1)).losses != first.losses


def test_training_stops_at_once_and_goes_on_where_it_was():
    whole = finished(Training(small(), epochs=10))
    training = Training(small(), epochs=10)
    training.start()
    while training.trial().done < 5:
        time.sleep(0.001)
    before = time.perf_counter()
    training.stop()
    assert training.trial().state == "stopped"
    assert training.wait(5)
    assert time.perf_counter() - before < 1  # 0.2 s on a quiet machine
    trial = training.trial()
    assert trial.state == "stopped" and 5 <= trial.done < trial.total
    assert trial.losses == whole.losses[: trial.done]
    assert finished(training) == whole


def test_two_trainings_and_the_callers_random_numbers_do_not_disturb_each_other():
    alone = finished(Training(small(), epochs=4))
    torch.manual_seed(3)
    expected = torch.rand(200)
    torch.manual_seed(3)
    both = [Training(small(), epochs=4), Training(small(activation="tanh"), epochs=4)]
    for training in both:
        training.start()
    drawn = torch.stack([torch.rand(()) for _ in range(200)])
    assert all(training.wait(60) for training in both)
    assert torch.equal(drawn, expected)
    assert both[0].trial() == alone


def test_a_failure_is_told_and_not_raised(monkeypatch):
    def broken(*_):
        raise RuntimeError("the disk is on fire")

    training = Training(small())
    monkeypatch.setattr(examples, "load", broken)
    trial = finished(training)
    assert (trial.state, trial.error) == ("failed", "RuntimeError: the disk is on fire")
    monkeypatch.undo()
    assert finished(training).state == "done"


def test_losses_that_are_no_numbers_are_kept_as_such():
    trial = finished(Training(small(scheme="normal", sigma=1e8), epochs=1))
    assert trial.state == "done" and not math.isfinite(trial.losses[-1][0])
    assert trial.scores[-1][1] == (0.0, 0.0, 0.0)


def test_big_networks_are_fewer():
    assert len(Training(Settings(width=512, depth=50)).seeds) == 1
