"""Hostile worlds mislead in the way they say and in no other, and leave no trace of their making."""

import ast
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn

import amiss.testing
from amiss.errors import AmissError
from amiss.recipes import pgd
from amiss.testing import HOSTILE
from amiss.testing.hostile import hungry, nan_after, raises_at
from amiss.trust.kinds import KINDS

BY_NAME = {hostile.name: hostile for hostile in HOSTILE}
every = pytest.mark.parametrize("hostile", HOSTILE, ids=[hostile.name for hostile in HOSTILE])


def world(name, seed=0):
    return BY_NAME[name].make(seed)


def logits(made):
    with torch.no_grad():
        return made.classifier.outputs(made.images.images())["answer"]


def slope(made, n=8):
    """Gradient of each image's lead of its first logit over its second [n, ...]."""
    x = made.images.images()[:n].requires_grad_()
    high = made.classifier.outputs(x)["answer"].topk(2).values
    return torch.autograd.grad((high[:, 0] - high[:, 1]).sum(), x)[0]


@every
@pytest.mark.parametrize("seed", range(3))
def test_images_are_of_every_class_and_a_few_are_labeled_wrong(hostile, seed):
    before = torch.get_rng_state()
    made = hostile.make(seed)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(made.images) == 48
    counts = made.images.truth.bincount()
    assert counts.min() >= 48 / len(counts) - 4
    again = hostile.make(seed)
    assert made.images.fingerprint == again.images.fingerprint
    assert made.classifier.fingerprint == again.classifier.fingerprint
    assert made.images.fingerprint != hostile.make(seed + 10).images.fingerprint


@pytest.mark.parametrize("seed", range(5))
def test_the_honest_rule_is_clear_about_every_image(seed):
    made = world("healthy", seed)
    high = logits(made).topk(2)
    lead = high.values[:, 0] - high.values[:, 1]
    assert lead.min() > 0.3 - 1e-3 and lead.max() < 4 + 1e-3
    wrong = (high.indices[:, 0] != made.images.truth).nonzero().flatten().tolist()
    assert wrong == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("masked", 0),
        ("shattered", 2e-3),
        ("no_grad", 0),
        ("frozen", 0),
        ("raises_at", 0),
        ("nan_after", 0),
        ("train_mode", 1e-5),
        ("in_place", 1e-5),
        ("half", 0.05),
        ("tuple_out", 0),
        ("dict_out", 0),
        ("batch_dependent", 0.01),
        ("lossy_decoder", 0),
    ],
)
def test_these_answer_as_the_honest_rule_does(name, near):
    assert (logits(world(name)) - logits(world("healthy"))).abs().max() <= near


def test_the_staircase_has_no_slope():
    assert not slope(world("staircase")).any()
    assert slope(world("healthy")).any()


def test_the_masked_slope_is_the_opposite():
    assert torch.allclose(slope(world("masked")), -slope(world("healthy")))


def test_the_shattered_slope_leads_nowhere():
    made, true = world("shattered"), slope(world("healthy")).flatten(1)
    found = slope(made).flatten(1)
    cosine = nn.functional.cosine_similarity(found, true)
    assert cosine.abs().max() < 0.5
    assert found.norm(dim=1).min() > 5 * true.norm(dim=1).max()


def test_the_dice_are_thrown_anew_from_the_global_generator():
    made = world("dice")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = logits(made), logits(made)
        torch.manual_seed(0)
        assert torch.equal(logits(made), first)
    assert 0 < (first.argmax(1) != second.argmax(1)).sum() < 24


def test_probabilities_add_up_to_one():
    out = logits(world("softmaxed"))
    assert (out >= 0).all()
    assert torch.allclose(out.sum(1), torch.ones(48))
    assert torch.equal(out.argmax(1), logits(world("healthy")).argmax(1))


def test_faults_come_when_they_are_said_to_come():
    for make in (nan_after, raises_at):
        network, x = make(3)(0).classifier.network, torch.rand(2, 1, 8, 8)
        assert all(network(x).isfinite().all() for _ in range(3))
        if make is nan_after:
            assert network(x).isnan().all() and network(x).isnan().all()
        else:
            with pytest.raises(RuntimeError, match="gives up"):
                network(x)


def test_the_hungry_network_takes_as_many_as_fit():
    network = hungry(5)(0).classifier.network
    assert len(network(torch.rand(5, 1, 8, 8))) == 5
    with pytest.raises(torch.OutOfMemoryError):
        network(torch.rand(6, 1, 8, 8))


def test_one_network_is_left_in_training_mode_and_one_writes_into_its_input():
    for hostile in HOSTILE:
        assert hostile.make(0).classifier.network.training == (hostile.name == "train_mode")
    x = torch.rand(2, 1, 8, 8)
    before = x.clone()
    world("in_place").classifier.network(x)
    assert not torch.equal(x, before)
    assert next(world("half").classifier.network.parameters()).dtype == torch.bfloat16
    assert all(p.is_inference() for p in world("frozen").classifier.network.parameters())
    assert world("channels_last").classifier.network.conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_batch_has_a_say():
    made = world("batch_dependent")
    together = logits(made)
    with torch.no_grad():
        alone = torch.cat([made.classifier.outputs(x[None])["answer"] for x in made.images.images()])
    assert 1e-4 < (together - alone).abs().max() < 0.01


def test_shapes_of_answers():
    two = world("one_logit"), world("multi_label")
    assert torch.allclose(*(logits(made) for made in two))
    assert logits(two[0]).shape == (48, 2)
    assert two[1].classifier.network(two[1].images.images()).shape == (48, 5)
    assert logits(world("wrong_classes")).shape == (48, 3)
    assert int(world("wrong_classes").images.truth.max()) == 3


@every
def test_a_check_and_an_attack_end_as_they_are_said_to(hostile):
    made, probe = hostile.make(0), pgd(8 / 255, batch=16)  # what the hungry one can take
    with torch.random.fork_rng(devices=[]), ends(hostile.raises):
        made.classifier.check(made.images.pixels, made.images.truth, batch=16)
        probe.run(made.classifier, made.images.task())


@contextmanager
def ends(slug):
    """In an error of ours with this slug; without one, where it is empty."""
    if not slug:
        yield
        return
    with pytest.raises(AmissError) as caught:
        yield
    assert caught.value.slug == slug


def test_names_are_one_each_and_flags_exist():
    assert len(BY_NAME) == len(HOSTILE)
    assert set().union(*(hostile.flags for hostile in HOSTILE)) <= set(KINDS)
    assert HOSTILE[0].name == "healthy" and not HOSTILE[0].flags
    assert [hostile.name for hostile in HOSTILE if hostile.make(0).decoder is not None] == ["lossy_decoder"]


def test_nothing_of_it_needs_a_test_runner():
    numbers = count()
    for path in Path(amiss.testing.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert not [name for name in names if name.split(".")[0] in ("pytest", "hypothesis", "tests")]
                next(numbers)
    assert next(numbers) > 20
