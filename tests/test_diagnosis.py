"""What `diagnosis.diagnose` promises: planted faults named, healthy networks left in peace,
remedies that mend, numbers that agree with other routes, and nothing left behind."""

import copy
import math
from dataclasses import dataclass

import planted
import pytest
import torch
from planted import Case, Residual
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from helpers import diagnosis, initializers, networks, propagation


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=generator(seed))


def seeded(make, seed=0):
    """Built by PyTorch's own constructors, which draw from the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def he(*layers, scheme="he"):
    return initializers.initialize(nn.Sequential(*layers), scheme, generator=generator(3))


def kinds(report, severity=None):
    return [f.kind for f in report.findings if severity in (None, f.severity)]


def misses(case: Case) -> str:
    """What is wrong with the diagnosis of a case; "" if nothing is."""
    faults = diagnosis.diagnose(case.network, case.batch).faults
    found = [(f.kind, f.layers, f.cause) for f in faults]
    if not case.kind:
        return str(found) if found else ""
    right = (
        len(faults) == 1
        and faults[0].kind == case.kind
        and case.layers in (None, faults[0].layers)
        and case.words in faults[0].cause
        and (case.factor is None or faults[0].evidence["factor"] == pytest.approx(case.factor, 0.2))
    )
    return "" if right else f"planted {case.kind} at {case.layers}, found {found}"


@pytest.mark.parametrize("kind", planted.FAULTS)
def test_planted_faults_are_named_at_the_right_layer_and_nothing_else(kind):
    missed = {seed: misses(planted.FAULTS[kind](generator(seed))) for seed in range(20)}
    assert not {seed: text for seed, text in missed.items() if text}


def test_healthy_networks_have_no_fault():
    missed = {seed: misses(planted.healthy(generator(seed))) for seed in range(100)}
    assert not {seed: text for seed, text in missed.items() if text}


@pytest.mark.parametrize("kind", planted.FAULTS)
def test_remedies_run_and_mend(kind):
    for seed in range(100, 108):
        case = planted.FAULTS[kind](generator(seed))
        (fault,) = diagnosis.diagnose(case.network, case.batch).faults
        exec(fault.remedy, {"model": case.network})
        assert not diagnosis.diagnose(case.network, case.batch).faults, (seed, fault.remedy)


# Numbers


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_second_moments_are_those_of_an_independent_route(activation):
    network = networks.MLP([40, 60, 50, 10], activation)
    initializers.initialize(network, "lecun", generator=generator())
    batch = normal(30, 40).double()
    readout = torch.randn(30, 10, generator=generator(5)).double()

    def loss(output):
        return (output * readout).sum()

    table = diagnosis.diagnose(network, batch, loss).table
    signals = [s for s in propagation.observe(network, batch, loss)]
    layers = propagation.statistics([s for s in signals if s.kind == "Linear"])
    layers = layers.set_index(["layer", "direction"])["second_moment"]
    assert table["layer"].tolist() == ["linear1", "linear2", "linear3"]
    for direction in ("forward", "backward"):
        expected = [layers[name, direction] for name in table["layer"]]
        assert table[direction].tolist() == pytest.approx(expected, rel=1e-12)
    assert table["activation"].tolist() == [activation, activation, ""]


def test_expectations_meet_measurements_in_wide_layers():
    """Borders padded with zeros, strides, groups and transposed convolutions counted."""
    network = he(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, 2, 1, groups=4), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.Tanh(), nn.Conv2d(32, 64, 3, dilation=2),
        nn.GELU(), nn.Flatten(), nn.Linear(64 * 36, 20),
    )  # fmt: skip
    nn.init.normal_(network[0].bias, 0, 0.5, generator=generator())
    table = diagnosis.diagnose(network, normal(16, 3, 10, 10)).table
    assert table["forward"].tolist() == pytest.approx(table["expected_forward"].tolist(), rel=0.2)
    known = table[:-1]
    assert known["backward"].tolist() == pytest.approx(known["expected_backward"], rel=0.25)
    assert table["fan_in"].tolist() == [27, 144, 1024, 288, 2304]


class Functional(nn.Module):
    """Functions for modules: activations, dropout, a weight used without its layer's call."""

    def __init__(self, width=48):
        super().__init__()
        self.one, self.two, self.three = (nn.Linear(width, width) for _ in range(3))
        self.last = nn.Linear(width, 5)

    def forward(self, x):
        x = F.dropout(F.relu(self.one(x)), 0.5)
        x = F.leaky_relu(F.linear(x, self.two.weight, self.two.bias), 0.2)
        x = torch.sigmoid(x) * self.three(x).clamp_(min=0)
        return self.last(x)


def test_functions_are_seen_like_modules_and_dropout_lets_everything_through():
    network = he(Functional())
    batch = normal(64, 48)
    table = diagnosis.diagnose(network, batch).table.set_index("layer")
    assert table["activation"].tolist() == ["relu", "leaky_relu(0.2)", "relu", ""]
    s = network[0].one(batch)
    x = F.leaky_relu(F.linear(torch.relu(s), network[0].two.weight), 0.2)
    assert table["zero"]["0.one"] == pytest.approx((s <= 0).float().mean().item())
    assert table["forward"]["0.three"] == pytest.approx(
        network[0].three(x).square().mean().item(), rel=1e-5
    )


@pytest.mark.parametrize(
    ("scheme", "shape", "expected"),
    [
        ("pytorch", (200, 150), "PyTorch's default, uniform"),
        ("he", (200, 150), "He, normal"),
        ("he-truncated", (200, 150), "He, truncated"),
        ("he-fan-out", (200, 120), "He, fan_out, normal"),
        ("he-fan-out", (150, 150), "He or He, fan_out (fan_in = fan_out here), normal"),
        ("glorot-uniform", (200, 120), "Glorot, uniform"),
        ("lecun", (200, 120), "LeCun, normal"),
        ("zeros", (20, 12), "zeros"),
        ("orthogonal", (60, 80), "orthogonal, gain 1"),
    ],
)
def test_schemes_are_recognized(scheme, shape, expected):
    network = he(nn.Linear(*shape), scheme=scheme)
    assert diagnosis.diagnose(network, normal(4, shape[0])).table["scheme"].tolist() == [expected]


def test_other_layers_have_their_own_defaults_and_hand_made_weights_are_named():
    class Others(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.gru = nn.Embedding(50, 32), nn.GRU(32, 48, batch_first=True)
            self.attention = nn.MultiheadAttention(48, 4, batch_first=True)
            self.hand, self.same = nn.Linear(48, 48), nn.Linear(48, 48)
            nn.init.normal_(self.hand.weight, 0, 0.5)
            nn.init.eye_(self.same.weight)

        def forward(self, words):
            x = self.gru(self.words(words))[0]
            return self.same(self.hand(self.attention(x, x, x)[0]))

    words = torch.randint(50, (6, 9), generator=generator())
    table = diagnosis.diagnose(seeded(Others), words).table
    assert table["scheme"].tolist()[:3] == [
        "PyTorch's default (normal, σ = 1)",
        "PyTorch's default (uniform, within ±1/√hidden)",
        "PyTorch's default (uniform, Glorot)",
    ]
    assert table["scheme"][3].startswith("normal, σ = 0.4") and table["scheme"][4] == "identity"
    assert (table["backward"] > 0).all() and table["kind"][2] == "MultiheadAttention"


# Faults and choices that no planting covers


class Block(nn.Module):
    """x + norm(conv(relu(conv(x))))"""

    def __init__(self, channels):
        super().__init__()
        self.one = nn.Conv2d(channels, channels, 3, padding=1)
        self.two = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return x + self.norm(self.two(F.relu(self.one(x), inplace=True)))


def test_known_good_zeros_are_no_fault_but_a_zero_normalizer_in_a_chain_is():
    blocks = he(nn.Conv2d(3, 16, 3), *(Block(16) for _ in range(4)), nn.Flatten())
    images = normal(4, 3, 8, 8)
    for block in blocks[1:-1]:
        nn.init.zeros_(block.norm.weight)
    assert not diagnosis.diagnose(blocks, images).findings
    chain = he(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(576, 5))
    nn.init.zeros_(chain[1].weight)
    report = diagnosis.diagnose(chain, images)
    assert [(f.kind, f.layers) for f in report.faults] == [("zero", ("1",))]
    exec(report.faults[0].remedy, {"model": chain})
    assert not diagnosis.diagnose(chain, images).faults
    nn.init.zeros_(chain[4].weight)
    assert kinds(diagnosis.diagnose(chain, images)) == ["zero head"]


def test_depthwise_layers_counted_by_fan_out_as_pytorch_counts():
    def network(norm):
        rows = [nn.Conv2d(3, 32, 3)]
        for _ in range(2):
            rows += [norm(32), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1, groups=32)]
        rows += [norm(32), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 36, 5)]
        found = he(*rows)
        for layer in found:
            if getattr(layer, "groups", 1) > 1:
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", generator=generator(7))
        return found

    images = normal(8, 3, 8, 8)
    assert kinds(diagnosis.diagnose(network(nn.BatchNorm2d), images)) == ["depthwise"]
    bare = network(lambda _: nn.Identity())
    report = diagnosis.diagnose(bare, images)
    assert kinds(report, "fault") == ["depthwise"]
    assert len(report.faults[0].layers) == 2
    exec(report.faults[0].remedy, {"model": bare})
    assert not diagnosis.diagnose(bare, images).faults


def test_saturated_tanh_and_whether_input_or_weights_are_the_cause():
    rows = [nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 5)]
    network = he(*rows, scheme="glorot")
    report = diagnosis.diagnose(network, 20 * normal(32, 64))
    assert kinds(report) == ["saturation", "input"] and report.faults[0].layers == ("0",)
    assert "input has the second moment" in report.faults[0].cause
    for layer in network[::2]:
        nn.init.normal_(layer.weight, 0, 0.6, generator=generator())
    (fault,) = diagnosis.diagnose(network, normal(32, 64)).faults
    assert fault.kind == "saturation" and fault.layers == ("0", "2")
    exec(fault.remedy, {"model": network})
    assert not diagnosis.diagnose(network, normal(32, 64)).faults


@pytest.mark.parametrize(
    ("sigma", "kind"), [(0.02, "vanishing"), (0.15, ""), (1.0, "saturation"), (0.0, "zero")]
)
def test_one_sigma_for_a_deep_tanh_network(sigma, kind):
    rows = []
    for _ in range(10):
        rows += [nn.Linear(64, 64), nn.Tanh()]
    network = he(*rows, nn.Linear(64, 5))
    for layer in network[:-1:2]:
        nn.init.normal_(layer.weight, 0, sigma, generator=generator())
    report = diagnosis.diagnose(network, normal(32, 64))
    assert kinds(report, "fault") == [kind] * bool(kind)
    for fault in report.faults:
        assert len(fault.layers) >= 9
        exec(fault.remedy, {"model": network})
        assert not diagnosis.diagnose(network, normal(32, 64)).faults


def test_choices_that_are_no_slips():
    """A head that starts small; weights that are positions or scales, not layers."""
    network = he(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 9))
    network[4].weight.data /= 4
    assert kinds(diagnosis.diagnose(network, normal(8, 64))) == ["small head"]
    policy = he(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 6))
    for layer, gain in zip(policy[::2], (math.sqrt(2), math.sqrt(2), 0.01)):
        nn.init.orthogonal_(layer.weight, gain, generator=generator())
    assert kinds(diagnosis.diagnose(policy, normal(8, 64))) == ["small head"]
    network[2].weight.data -= 0.3
    (fault,) = diagnosis.diagnose(network, normal(8, 64)).faults
    assert fault.kind == "dead" and "Its weights have the mean -0.29" in fault.cause

    class Position(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.positions = nn.Parameter(torch.full((2, 5, 64), value))

        def forward(self, x):
            return (x + self.positions[0]) * self.positions[1].exp()

    network = he(nn.Linear(64, 64), Position(0.0), nn.LayerNorm((5, 64)), nn.Linear(64, 9))
    assert not diagnosis.diagnose(network, normal(8, 5, 64)).findings


def test_layers_that_checkpointing_runs_again_are_seen_once():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(9, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 9))
            self.last = nn.Linear(9, 3)

        def forward(self, x):
            return self.last(checkpoint(self.inner, x, use_reentrant=False))

    table = diagnosis.diagnose(seeded(Checkpointed), normal(6, 9)).table
    assert table["layer"].tolist() == ["inner.0", "inner.3", "last"] and (table.backward > 0).all()


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_inf_and_nan_are_reported_where_they_begin():
    network = he(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    batch = normal(6, 8)
    batch[2, 3] = math.inf
    (fault,) = diagnosis.diagnose(network, batch).faults
    assert (fault.kind, fault.layers) == ("not finite", ("0",))
    assert "look at the data" in fault.cause
    network[2].weight.data[1, 1] = math.nan
    (fault,) = diagnosis.diagnose(network, normal(6, 8)).faults
    assert (fault.kind, fault.layers) == ("not finite", ("2",)) and "weights" in fault.cause
    half = he(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64)).half()
    half[2].weight.data.fill_(1e4).mul_(normal(64, 64).sign().half())
    report = diagnosis.diagnose(half, normal(9, 64).half())
    assert report.faults and report.table["finite"].min() < 1


def test_notes_on_input_collapse_and_unreached_layers():
    network = he(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3))
    network.spare = nn.Linear(2, 2)
    network.forward = lambda x: network[2](network[1](network[0](x)))
    report = diagnosis.diagnose(network, torch.ones(5, 8) * 9)
    assert kinds(report) == ["input", "collapsed", "not reached"] and not report.faults
    assert report.findings[2].layers == ("spare",)
    assert report.table["state"].tolist() == ["trained", "trained", "not reached"]


def test_gradients_that_explode_under_batch_norm_without_shortcuts():
    rows = []
    for _ in range(60):
        rows += [nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU()]
    network = he(*rows, nn.Linear(32, 5))
    assert kinds(diagnosis.diagnose(network, normal(16, 32)), "fault") == ["exploding gradient"]


# Any module, and no trace


class Shared(nn.Module):
    """Runs in another order than it is registered; one layer twice; tied; frozen; a tuple out."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(16, 40, bias=False)
        self.words, self.again = nn.Embedding(40, 16), nn.Linear(16, 16)
        self.frozen = nn.Linear(16, 16).requires_grad_(False)
        self.last.weight = self.words.weight

    def forward(self, words, *, shift=0.0):
        x = self.words(words) + shift
        for _ in range(2):
            x = torch.tanh(self.again(x))
        x = F.relu_(self.frozen(x))
        return self.last(x), {"mean": x.mean(1)}


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.layer = kind(6, 8, num_layers=2, dropout=0.5, batch_first=True, **options)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.layer(x)[0][:, -1])


@dataclass
class Scores:
    scores: torch.Tensor
    number: int


class Structured(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Bilinear(4, 3, 16), nn.Linear(3, 16)

    def forward(self, x, y):
        return Scores(self.left(x, y) + self.right(y), 3)


def convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, groups=8),
        nn.LeakyReLU(0.1, inplace=True), nn.Dropout2d(0.5), nn.ConvTranspose2d(8, 4, 2, 2),
        nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip


def encoder():
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2)


def parametrized():
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(8, 16)), nn.ReLU(),
        parametrizations.spectral_norm(nn.Linear(16, 16)), nn.ReLU(),
        nn.utils.spectral_norm(nn.Linear(16, 16)),
    )  # fmt: skip


def frozen():
    return nn.Sequential(nn.Embedding(9, 16), nn.Linear(16, 4), nn.ReLU()).requires_grad_(False)


IMAGES = normal(4, 3, 8, 8)
NETWORKS = {
    "convolutional": (convolutional, IMAGES),
    "channels last": (
        lambda: convolutional().to(memory_format=torch.channels_last),
        IMAGES.contiguous(memory_format=torch.channels_last),
    ),
    "one dimension": (
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ELU(), nn.ConvTranspose1d(4, 2, 3)),
        normal(3, 2, 9),
    ),
    "three dimensions": (
        lambda: nn.Sequential(nn.Conv3d(1, 4, 2), nn.InstanceNorm3d(4), nn.Conv3d(4, 2, 1)),
        normal(2, 1, 4, 4, 4),
    ),
    "encoder": (encoder, normal(3, 5, 16)),
    "encoder in evaluation": (lambda: encoder().eval(), normal(3, 5, 16)),
    "lstm": (lambda: Recurrent(nn.LSTM), normal(4, 7, 6)),
    "gru": (lambda: Recurrent(nn.GRU), normal(4, 7, 6)),
    "rnn": (lambda: Recurrent(nn.RNN, nonlinearity="relu"), normal(4, 7, 6)),
    "shared": (Shared, {"words": torch.arange(12).view(3, 4), "shift": 0.5}),
    "structured": (Structured, (normal(5, 4), normal(5, 3))),
    "parametrized": (parametrized, normal(5, 8)),
    "frozen": (frozen, torch.arange(9)),
    "bfloat16": (lambda: convolutional().bfloat16(), IMAGES.bfloat16()),
    "float64": (lambda: convolutional().double(), IMAGES.double()),
}


def everything(network, batch):
    """All that must be the same afterwards."""
    tensors = [batch] if isinstance(batch, torch.Tensor) else list(batch)
    tensors = list(batch.values()) if isinstance(batch, dict) else tensors
    return copy.deepcopy(
        {
            "state": {k: v.view(torch.uint8) if v.ndim else v for k, v in _state(network).items()},
            "strides": [p.stride() for p in network.parameters()],
            "gradients": [p.grad for p in network.parameters()],
            "flags": [(p.requires_grad, id(p)) for p in network.parameters()],
            "modes": [m.training for m in network.modules()],
            "hooks": [
                [
                    (name, list(hooks))
                    for name, hooks in vars(m).items()
                    if "hook" in name and isinstance(hooks, dict)
                ]
                for m in network.modules()
            ],
            "tensor hooks": [bool(p._backward_hooks) for p in network.parameters()],
            "random": torch.random.get_rng_state(),
            "batch": [t for t in tensors if isinstance(t, torch.Tensor)],
            "asks": [t.requires_grad for t in tensors if isinstance(t, torch.Tensor)],
        }
    )


def _state(network):
    return {k: v.detach().contiguous() for k, v in network.state_dict().items()}


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


class Bad(Exception):
    pass


def fails(*_):
    raise Bad


class FailsBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise Bad


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_changes_and_every_layer_is_seen(name):
    make, batch = NETWORKS[name]
    network = seeded(make)
    network.register_forward_hook(lambda *_: None)
    for number, module in enumerate(network.modules()):
        module.training = number % 2 == 0 if "evaluation" not in name else False
    for number, parameter in enumerate(network.parameters()):
        if number % 2 and parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    before = everything(network, batch)
    report = diagnosis.diagnose(network, batch)
    assert same(before, everything(network, batch))
    assert report.table["forward"].notna().all() and (report.table["backward"] > 0).all()
    assert (report.table["state"] != "not reached").all()
    assert str(report) and report._repr_mimebundle_()["text/html"]
    for loss in (fails, lambda output: FailsBackward.apply(next(iter(_tensors(output))).sum())):
        with pytest.raises(Bad):
            diagnosis.diagnose(network, batch, loss)
    handle = [m for m in network.modules() if not any(m.children())][-1]
    handle = handle.register_forward_pre_hook(fails)
    with pytest.raises(Bad):
        diagnosis.diagnose(network, batch)
    handle.remove()
    assert same(before, everything(network, batch))


def _tensors(output):
    from helpers.diagnosis.recording import floating

    return floating(output)


def test_runs_of_a_shared_layer_are_told_apart_and_weights_tied():
    make, batch = NETWORKS["shared"]
    table = diagnosis.diagnose(seeded(make), batch).table
    assert table["layer"].tolist() == ["words", "again", "again", "frozen", "last"]
    assert table["run"].tolist() == [1, 1, 2, 1, 1]
    assert table["state"].tolist()[3] == "frozen"
    assert table["activation"].tolist() == ["", "tanh", "tanh", "relu", ""]


def test_additions_and_normalizers_are_seen_in_the_graph():
    network = Residual(48, 4, "relu", norm=nn.LayerNorm)
    network = initializers.initialize(network, "he", generator=generator())
    table = diagnosis.diagnose(network, normal(9, 48)).table.set_index("layer")
    assert table["normalizer"].sum() == 1 and table["normalizer"]["first"]
    post = seeded(encoder)
    table = diagnosis.diagnose(post, normal(3, 5, 16)).table.set_index("layer")
    assert table["activation"]["layers.0.linear1"] == "relu"


# What is shown


def test_report_reads_well_escapes_and_has_a_chart():
    network = networks.MLP([64] * 6, "relu", dtype=torch.float32)
    initializers.initialize(network, "he", generator=generator())
    network.linear3.weight.data *= 3
    network._modules["<b>"] = network._modules.pop("linear5")
    report = diagnosis.diagnose(network, normal(32, 64))
    bundle = report._repr_mimebundle_()
    assert bundle["text/plain"] == str(report)
    assert report.verdict == "MLP has a fault: scale at 'linear3'."
    assert report.verdict in str(report) and "initializers.initialize" in str(report)
    page = bundle["text/html"]
    assert "<b>" not in page and "&lt;b&gt;" in page and "<script" not in page
    assert "<caption>" in page and page.count('scope="row"') == 5 and 'scope="col"' in page
    chart = report.chart().to_dict()
    assert "Second moments of 5 layers" in chart["description"] and "linear3" in str(chart)
    healthy = diagnosis.diagnose(he(nn.Linear(9, 9)), normal(4, 9))
    assert healthy.verdict == "Sequential is healthy: nothing stops its signals or gradients."
    assert healthy.chart().to_dict()


def test_charts_leave_out_what_a_logarithm_cannot_show():
    network = he(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), scheme="zeros")
    with pytest.raises(ValueError, match="nothing to draw"):
        diagnosis.diagnose(network, normal(4, 8), lambda output: 0 * output.sum()).chart()
    nn.init.ones_(network[2].bias)
    report = diagnosis.diagnose(network, normal(4, 8))
    assert len(report.chart().to_dict()["hconcat"]) == 2 and kinds(report, "fault") == ["zero"]


@pytest.mark.parametrize(
    ("network", "batch", "loss", "message"),
    [
        (nn.Linear(4, 4), normal(0, 4), None, "The batch is empty"),
        (nn.Linear(4, 4), "words", None, "The batch is no batch: str; expected a tensor"),
        (nn.Linear(4, 4), (), None, "The batch is empty: tuple"),
        ("model", normal(2, 4), None, "The model is str; expected an nn.Module"),
        (nn.ReLU(), normal(2, 4), None, "ReLU holds no layer with weights"),
        (nn.LazyLinear(4), normal(2, 4), None, "'weight' has no values yet"),
        (nn.Linear(4, 4), normal(2, 4), lambda o: o, r"The loss is \(2, 4\)"),
        (nn.Linear(4, 4), normal(2, 4), lambda o: 1.0, "The loss is float"),
        (nn.Linear(4, 4), normal(2, 4), lambda o: o.detach().sum(), "depends on no layer"),
        (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), normal(1, 4), None, "Batch norm '1'"),
        (
            nn.Sequential(nn.Linear(4, 4), networks.Activation(lambda x: x.argmax(1))),
            normal(2, 4),
            None,
            "The output is Tensor without a tensor of real numbers",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_errors_name_value_expectation_and_remedy(network, batch, loss, message):
    with pytest.raises(ValueError, match=message):
        diagnosis.diagnose(network, batch, loss)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_compiled_models():
    network, batch = he(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)), normal(4, 8)
    compiled = torch.compile(network, backend="eager")
    assert diagnosis.diagnose(compiled, batch).table.equals(
        diagnosis.diagnose(network, batch).table
    )
    with pytest.raises(ValueError, match="TorchScript"):
        diagnosis.diagnose(torch.jit.script(network), batch)


def test_what_the_model_raises_passes_through():
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        diagnosis.diagnose(nn.Linear(4, 4), normal(2, 3))
