"""The residual network: shapes, names, what a block adds, and files and runs that keep its batch norms."""

import pytest
import torch

from amiss.classifier import Classifier
from amiss.errors import UsageError
from amiss.models import ResNet, build
from amiss.training import ClassifierLoss, TrainingRecipe, fit, load_model, save_model

torch.set_num_threads(1)
SMALL = {"architecture": "ResNet", "arguments": {"size": 8, "width": 4, "classes": 3}}


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [8, 9, 28, 32, 40, 41, 64])
@pytest.mark.parametrize("depth", [8, 14])
def test_it_gives_logits_for_any_size(size, depth):
    network = ResNet(channels=2, classes=7, size=size, width=2, depth=depth).eval()
    assert network(rand(3, 2, size, size)).shape == (3, 7)


def test_it_has_the_layers_and_parameters_it_says():
    network = ResNet()
    names = "conv1 bn1 relu1 stage1 stage2 stage3 pool flatten fc"
    assert [name for name, _ in network.named_children()] == names.split()
    assert sum(p.numel() for p in network.parameters()) == 78_042
    weighted = (torch.nn.Conv2d, torch.nn.Linear)
    for depth in (8, 14, 20):
        named = ResNet(width=1, depth=depth).named_modules()
        assert sum(isinstance(m, weighted) and "shortcut" not in name for name, m in named) == depth


def test_layers_are_heard_by_name_and_halve_and_double():
    classifier = Classifier(ResNet(width=4))
    seen = classifier.outputs(rand(2, 3, 32, 32), ["stage1.block1.conv1", "stage1", "stage2", "stage3", "pool"])
    assert [tuple(t.shape[1:]) for t in seen.values()] == [
        (4, 32, 32),
        (4, 32, 32),
        (8, 16, 16),
        (16, 8, 8),
        (16, 1, 1),
    ]
    large = Classifier(ResNet(width=4, size=64)).outputs(rand(1, 3, 64, 64), ["stage1"])
    assert large["stage1"].shape == (1, 4, 32, 32)


def test_a_block_whose_convolutions_add_nothing_passes_what_came_in():
    network = ResNet(width=4, depth=14).eval()
    block = network.stage2.block2
    torch.nn.init.zeros_(block.bn2.weight)
    x = rand(2, 8, 16, 16)
    assert torch.equal(block(x), x)


def test_rows_do_not_see_each_other_in_evaluation():
    network = ResNet(width=4).double().eval()
    x = rand(3, 3, 32, 32).double().requires_grad_()
    (grad,) = torch.autograd.grad(network(x)[0].sum(), x)
    assert grad[0].abs().max() > 0
    assert not grad[1:].any()


@pytest.mark.parametrize("depth", [2, 9, -4])
def test_a_depth_that_cannot_be_is_refused(depth):
    with pytest.raises(UsageError, match="of this depth"):
        ResNet(depth=depth)


def trained(steps, out=None, stop=None):
    network = build(SMALL, seed=1)
    data = {"image": (rand(40, 3, 8, 8) * 255).to(torch.uint8), "label": torch.arange(40) % 3}

    def interrupt(progress):
        if progress.step == stop:
            raise KeyboardInterrupt

    recipe = TrainingRecipe(steps=steps, batch=8, rate=3e-3)
    fit(network, ClassifierLoss(), data, recipe, out=out, on_step=interrupt, every=2)
    return network


def test_a_run_that_was_interrupted_ends_at_the_same_weights_and_batch_norms(tmp_path):
    whole = trained(8)
    with pytest.raises(KeyboardInterrupt):
        trained(8, tmp_path, stop=3)
    resumed = trained(8, tmp_path)
    assert whole.bn1.num_batches_tracked == 8
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_file_keeps_its_answers(tmp_path):
    network = trained(4)
    save_model(tmp_path / "m.safetensors", network, SMALL, {"kind": "classifier"})
    again, _ = load_model(tmp_path / "m.safetensors")
    x = rand(4, 3, 8, 8, seed=2)
    assert isinstance(again, ResNet)
    assert torch.equal(again(x), network.eval()(x))
