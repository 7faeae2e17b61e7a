"""Networks with other weights: what was learned is gone, what is orthonormal is, and folding changes no answer."""

import pytest
import torch
from torch import nn

from amiss.models import LeNet, ResNet, fused, reinitialized

torch.set_num_threads(1)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrices(network):
    """Each layer's weights, a matrix a group: outputs by inputs times pixels."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            groups = getattr(module, "groups", 1)
            yield module.weight.detach().reshape(groups, len(module.weight) // groups, -1)


class Grouped(nn.Sequential):
    """A depthwise convolution, one of two groups, and one that narrows."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 4, 3, groups=2), nn.BatchNorm2d(4), nn.Conv2d(4, 40, 1)
        )


@pytest.mark.parametrize("make", [LeNet, ResNet, Grouped])
def test_orthonormal_matrices_have_equal_singular_values_and_the_size_of_random_ones(make):
    network = make().double()
    drawn, even = reinitialized(network, "random", 3), reinitialized(network, "orthonormal", 3)
    for one, other in zip(matrices(drawn), matrices(even), strict=True):
        values = torch.linalg.svdvals(other)
        torch.testing.assert_close(values, values[:, :1].expand_as(values))
        torch.testing.assert_close(one.norm(dim=(1, 2)), other.norm(dim=(1, 2)))
        if min(one.shape[1:]) > 1:
            spread = torch.linalg.svdvals(one)
            assert (spread[:, 0] > 1.01 * spread[:, -1]).all()
    for module in even.modules():
        if getattr(module, "bias", None) is not None:
            assert not module.bias.any()


def test_random_weights_have_the_variance_that_rectified_layers_keep():
    network = reinitialized(nn.Sequential(nn.Conv2d(20, 50, 3), nn.Linear(400, 300)), "random")
    for layer, inputs in zip(network, (180, 400), strict=True):
        assert float(layer.weight.detach().var()) == pytest.approx(2 / inputs, rel=0.05)


def test_the_network_stays_as_it_was_and_a_seed_repeats():
    network = ResNet(width=4)
    network.stage1.block1.bn1.running_mean.fill_(3)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    first, same, other = (reinitialized(network, "random", seed) for seed in (1, 1, 2))
    fused(network)
    assert network.training and all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    assert torch.equal(first.conv1.weight, same.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)
    norm = first.stage1.block1.bn1
    assert not first.training and not norm.running_mean.any() and (norm.running_var == 1).all()


def test_folded_batch_norms_change_no_answer_and_no_name():
    network = ResNet(width=4).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for i, part in enumerate((module.weight, module.bias, module.running_mean, module.running_var)):
                part.data = rand(len(part), seed=i) + 0.5
    quick, x = fused(network), rand(2, 3, 32, 32)
    torch.testing.assert_close(quick(x), network(x), rtol=1e-10, atol=1e-10)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in quick.modules())
    assert [name for name, _ in quick.named_modules()] == [name for name, _ in network.named_modules()]


def test_a_batch_norm_that_follows_no_convolution_of_its_width_stays():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 5, 1), nn.ReLU(), nn.BatchNorm2d(5)).double().eval()
    quick, x = fused(network), rand(2, 3, 4, 4)
    assert [type(module) for module in quick] == [type(module) for module in network]
    assert torch.equal(quick(x), network(x))
    mixed = fused(nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(3)))
    assert isinstance(mixed[1], nn.BatchNorm2d)
