"""The lines of code that "Which initializer should I use?" tells the reader to paste: each PyTorch
line is run as it stands and what it drew is measured; each Keras line is read by the formulas of
Keras's documentation. Both must give the variance that is derived here by hand."""

import ast
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from helpers import data_dependent, initializers, networks

PAGE = Path(__file__).parent.parent / "book" / "which-initializer.ipynb"
FAN_IN, FAN_OUT, LAYERS, STRIDE, K = 120, 80, 12, 2, 4
RELU = 2 / FAN_IN

#: Variance by entry and by the label of its line; a convolution's by its own count.
EXPECTED = {
    ("ReLU", "PyTorch"): RELU,
    ("ReLU", "Keras"): RELU,
    ("Leaky ReLU of slope $a$, here 0.2", "PyTorch"): RELU / 1.04,
    ("Leaky ReLU of slope $a$, here 0.2", "Keras"): RELU / 1.04,
    ("tanh", "PyTorch"): 2 / (FAN_IN + FAN_OUT),
    ("tanh", "Keras"): 2 / (FAN_IN + FAN_OUT),
    ("Sigmoid", "PyTorch"): 2 / (FAN_IN + FAN_OUT),
    ("Sigmoid", "Keras"): 2 / (FAN_IN + FAN_OUT),
    ("GELU, SiLU", "PyTorch"): 1.5335**2 / FAN_IN,
    ("GELU, SiLU", "Keras"): 1.5335**2 / FAN_IN,
    ("SELU", "PyTorch"): 1 / FAN_IN,
    ("SELU", "Keras"): 1 / FAN_IN,
    ("No activation", "PyTorch"): 1 / FAN_IN,
    ("No activation", "PyTorch, orthogonal"): 1 / FAN_IN,
    ("No activation", "Keras"): 1 / FAN_IN,
    ("Batch norm behind every layer", "PyTorch"): RELU,
    ("Batch norm behind every layer", "Keras"): RELU,
    ("Layer norm at the entrance of every branch (transformers)", "PyTorch"): 0.02**2,
    ("Layer norm at the entrance of every branch (transformers)", "Keras"): 0.02**2,
    (
        "Layer norm at the entrance of every branch (transformers)",
        "PyTorch, the two projections",
    ): 0.02**2 / (2 * LAYERS),
    ("Convolutions, grouped ones too", "PyTorch"): 2 / (9 * 32),
    ("Transposed convolutions", "PyTorch"): 2 / (32 * K * K / STRIDE**2),
    ("Transposed convolutions", "Keras"): 2 / (32 * K * K / STRIDE**2),
    ("Embeddings", "PyTorch"): 1.0,
    ("Embeddings", "PyTorch, tied"): 1 / FAN_IN,
    ("Embeddings", "Keras"): 1.0,
    ("Attention projections", "Keras"): 1 / FAN_IN,
    ("The layer before a softmax", "PyTorch"): 1 / FAN_IN,
    ("The layer before a softmax", "PyTorch, zero"): 0.0,
    ("The layer before a softmax", "Keras"): 1 / FAN_IN,
}
#: What a weight is, where it isn't that of a linear layer.
SHAPES = {
    "Convolutions, grouped ones too": (64, 32, 3, 3),
    "Transposed convolutions": (32, 64, K, K),
}


def entries():
    """{(entry, label): [code, …]} of every bullet of the page that holds a line of a library."""
    cells = json.loads(PAGE.read_text())["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    lines = {}
    for entry, body in re.findall(r"^(\S.*)\n: (.*(?:\n  .*)*)", text, flags=re.MULTILINE):
        for label, line in re.findall(r"^  - ((?:PyTorch|Keras|Any)[^:]*): (.*)$", body, re.M):
            lines[entry, label] = re.findall(r"`([^`]+)`", line)
    return lines


LINES = entries()
PYTORCH = [key for key in EXPECTED if key[1].startswith("PyTorch")]
KERAS = [key for key in EXPECTED if key[1] == "Keras"]


def name(key):
    return " ".join(key)


def run(key, **names):
    for line in LINES[key]:
        exec(line, {"nn": nn, "math": math, "torch": torch} | names)


@pytest.fixture(autouse=True)
def fixed_seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("key", PYTORCH, ids=name)
def test_a_pytorch_line_draws_the_variance_that_its_entry_names(key):
    w = torch.full(SHAPES.get(key[0], (FAN_OUT, FAN_IN)), math.nan, dtype=torch.float64)
    run(key, w=w, layers=LAYERS, stride=STRIDE, k=K)
    squares = w.square().flatten()
    error = squares.std() / math.sqrt(len(squares))
    assert abs(squares.mean() - EXPECTED[key]) <= 4 * error


def keras_variance(line, fan_in, fan_out):
    """The variance of a layer's weights by the formulas of Keras's documentation."""
    names = {
        "math": math,
        "stride": STRIDE,
        "d": fan_in,
        "VarianceScaling": lambda scale, mode: scale / {"fan_in": fan_in, "fan_out": fan_out}[mode],
        "RandomNormal": lambda stddev: stddev**2,
    }
    words = {
        "he_normal": 2 / fan_in,
        "lecun_normal": 1 / fan_in,
        "glorot_uniform": 2 / (fan_in + fan_out),
        "zeros": 0.0,
    }
    call = ast.walk(ast.parse(f"layer({line})"))
    arguments = [node for node in call if isinstance(node, ast.keyword)]
    [argument] = [node for node in arguments if node.arg.endswith("_initializer")]
    value = eval(ast.unparse(argument.value), names)
    return words.get(value, value)


@pytest.mark.parametrize("key", KERAS, ids=name)
def test_a_keras_line_asks_for_the_same_variance(key):
    fans = (64 * K * K, 32 * K * K) if key[0].startswith("Transposed") else (FAN_IN, FAN_OUT)
    [line, *_] = [code for code in LINES[key] if "_initializer=" in code]
    assert keras_variance(line, *fans) == pytest.approx(EXPECTED[key], rel=1e-3)


def test_keras_counts_a_depthwise_fan_in_over_all_channels_so_its_line_does_not_use_it():
    _, _, depthwise = LINES["Convolutions, grouped ones too", "Keras"]
    assert keras_variance(depthwise, 9 * 128, 9) == pytest.approx(2 / 9)


def test_lines_for_recurrent_layers():
    rnn, lstm = nn.RNN(10, 20), nn.LSTM(10, 20)
    run(("RNN", "PyTorch"), rnn=rnn)
    assert torch.allclose(rnn.weight_hh_l0 @ rnn.weight_hh_l0.T, torch.eye(20), atol=1e-5)
    assert rnn.weight_ih_l0.abs().max() <= math.sqrt(6 / 30)
    assert not rnn.bias_ih_l0.any() and not rnn.bias_hh_l0.any()
    run(("LSTM that should remember $T$ steps", "PyTorch"), lstm=lstm, T=50)
    bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).detach().view(4, 20)
    assert torch.equal(bias[[0, 2, 3]], torch.zeros(3, 20))
    # The gates in order are input, forget, cell, output: the cell keeps sigmoid(bias) a step.
    with torch.no_grad():
        for weight in (lstm.weight_ih_l0, lstm.weight_hh_l0):
            weight.zero_()
        start = torch.ones(1, 1, 20)
        _, (_, cell) = lstm(torch.zeros(50, 1, 10), (start, start))
    assert cell.mean().item() == pytest.approx((50 / 51) ** 50, rel=1e-5)


def test_lines_for_attention_residual_branches_and_the_output_bias():
    attention = nn.MultiheadAttention(64, 4)
    run(("Attention projections", "PyTorch"), attention=attention)
    squares = attention.in_proj_weight.detach().square().flatten()
    assert abs(squares.mean() * 64 - 1) <= 4 * math.sqrt(0.8 / len(squares))
    block = SimpleNamespace(bn2=nn.BatchNorm2d(3), conv2=nn.Conv2d(3, 3, 3))
    run(("Branches that are normalized", "PyTorch"), block=block)
    run(("Branches without normalization", "PyTorch"), block=block)
    assert not block.bn2.weight.any() and not block.conv2.weight.any()
    w, b = torch.ones(3, 5), torch.ones(3)
    shares = torch.tensor([0.7, 0.2, 0.1])
    run(("The layer before a softmax", "PyTorch, zero"), w=w)
    run(("The output bias", "PyTorch"), b=b, shares=shares)
    assert torch.allclose((torch.randn(4, 5) @ w.T + b).softmax(1), shares.expand(4, 3))
    run(("All other biases", "PyTorch"), b=b)
    assert not b.any()


def test_lines_that_call_the_helpers():
    network = networks.MLP([8, 8, 8, 8], "gelu")
    names = {"network": network, "generator": torch.Generator().manual_seed(0)}
    run(("ReLU, very narrow and deep", "PyTorch"), initializers=initializers, **names)
    assert network.linear1.weight.any() and network.linear2.bias.any()
    batch = torch.randn(64, 8, dtype=torch.float64)
    run(("GELU, SiLU", "Any depth"), data_dependent=data_dependent, batch=batch, **names)
    assert network(batch).square().mean().item() == pytest.approx(1, abs=0.01)


def test_no_line_of_pytorch_is_left_out():
    """Every bullet is run by a test above: a new one needs a row, or a test, of its own."""
    elsewhere = {
        "RNN",
        "LSTM that should remember $T$ steps",
        "Attention projections",
        "Branches that are normalized",
        "Branches without normalization",
        "The output bias",
        "All other biases",
        "ReLU, very narrow and deep",
    }
    bullets = {key for key in LINES if key[1].startswith("PyTorch")}
    assert bullets == set(PYTORCH) | {(entry, "PyTorch") for entry in elsewhere}
