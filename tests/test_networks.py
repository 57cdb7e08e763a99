import pytest
import torch
from torch import nn

from helpers import networks


def test_the_article_cnn_is_the_article_s():
    network = networks.ArticleCNN()
    # Keras prints these counts for the example that the article trained.
    sizes = {name: sum(p.numel() for p in m.parameters()) for name, m in network.named_children()}
    assert {n: s for n, s in sizes.items() if s} == {
        "conv1": 320, "conv2": 18_496, "dense1": 1_179_776, "dense2": 1_290
    }  # fmt: skip
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_pooling_before_rectifying_changes_nothing():
    values = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    network = networks.ArticleCNN()
    first, second = network.pool, network.act2
    assert torch.equal(second(first(values)), first(second(values)))


def test_the_cnn_flattens_with_the_channels_last():
    images = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    flat = networks.ArticleCNN().flatten(images)
    assert torch.equal(
        flat[1], torch.stack([channel.flatten() for channel in images[1]], 1).flatten()
    )


def test_dropout_drops_its_share_and_keeps_the_mean():
    layer, ones = networks.Dropout(0.25), torch.ones(1000, 1003)
    torch.manual_seed(0)
    dropped = layer(ones)
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    share = (dropped == 0).double().mean().item()
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / ones.numel()) ** 0.5
    assert torch.equal(layer.eval()(ones), ones)
    for p in (-0.5, 1, 0.3):
        with pytest.raises(ValueError, match="expected a multiple of 1/256"):
            networks.Dropout(p)


def test_an_mlp_computes_what_it_says():
    network = networks.MLP([3, 4, 2], "tanh")
    for parameter in network.parameters():
        nn.init.uniform_(parameter, generator=torch.Generator().manual_seed(0))
    w1, b1, w2, b2 = network.parameters()
    inputs = torch.ones(5, 3, dtype=torch.float64)
    assert torch.allclose(network(inputs), torch.tanh(inputs @ w1.T + b1) @ w2.T + b2)
    assert [name for name, _ in network.named_children()] == ["linear1", "act1", "linear2"]


def test_batch_normalization_stands_before_every_activation():
    network = networks.MLP([3, 4, 4, 2], "relu", normalization="batch")
    assert [name for name, _ in network.named_children()] == [
        *("linear1", "norm1", "act1", "linear2", "norm2", "act2", "linear3")
    ]
    assert [network.linear1.bias, network.linear2.bias] == [None, None]
    assert network.linear3.bias is not None
    inputs = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = (inputs - inputs.mean(0)) / (inputs.var(0, unbiased=False) + 1e-5).sqrt()
    assert torch.allclose(network.norm1(inputs), expected)
    with pytest.raises(ValueError, match="Unknown normalization 'layer'"):
        networks.MLP([3, 2], normalization="layer")


def test_each_layer_may_have_an_activation_of_its_own():
    network = networks.MLP([3, 3, 3], ["linear", torch.erf])
    assert [name for name, _ in network.named_children()] == ["linear1", "act1", "linear2", "act2"]
    with pytest.raises(ValueError, match="3 activations for 2 linear layers"):
        networks.MLP([3, 3, 3], ["relu"] * 3)


def test_a_network_can_be_cut_and_keeps_its_layers():
    network = networks.MLP([3, 4, 2])
    body = network[:-1]
    assert [name for name, _ in body.named_children()] == ["linear1", "act1"]
    assert body.linear1 is network.linear1 is network[0]
    assert len(networks.ArticleCNN()[:2]) == 2


def test_building_leaves_the_global_generator_alone_and_the_weights_zero():
    before = torch.random.get_rng_state()
    built = [networks.MLP([5, 5]), networks.ArticleCNN()]
    assert torch.equal(before, torch.random.get_rng_state())
    assert all((p == 0).all() for network in built for p in network.parameters())


@pytest.mark.parametrize("widths", [[0, 3], [3, -1], [3, 2.5], [3], []])
def test_bad_widths_are_refused(widths):
    with pytest.raises(ValueError, match="width"):
        networks.MLP(widths)


def test_an_unknown_activation_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'relu'"):
        networks.MLP([3, 3, 3], "relo")
