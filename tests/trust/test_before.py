"""Flags before a study: each fires on the network that is about it, and is silent on its honest neighbor."""

from itertools import count

import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.testing import LinearWorld
from amiss.trust import KINDS, DecoderGate, before
from tests.trust.nets import Honest, noise


def flags(classifier, images=None, **options):
    found = before(classifier, noise() if images is None else images, **options)
    assert [flag.slug for flag in found] == [slug for slug, kind in KINDS.items() if kind.when == "before"]
    return {flag.slug: flag for flag in found}


def states(classifier, slug, images=None, **options):
    return flags(classifier, images, **options)[slug].state


def test_an_honest_network_raises_none():
    found = flags(Classifier(Honest()))
    assert [slug for slug, flag in found.items() if flag.fired] == []
    unasked = {"parity", "decoder-reconstruction", "decoder-agreement"}
    assert {slug for slug, flag in found.items() if flag.state == "not measured"} == unasked


def test_images_without_labels_will_do():
    bare = Images.of(noise().pixels)
    found = flags(Classifier(Honest()), bare, accuracy=0.5)
    assert not any(flag.fired for flag in found.values())
    assert found["class-count"].state == found["parity"].state == "not measured"


def test_parity_is_the_distance_of_the_two_accuracies():
    images = noise()
    classifier = Classifier(Honest())
    right = float((classifier.predict(images.images()) == images.labels).double().mean())
    assert states(classifier, "parity", images, accuracy=right + 0.019) == "clear"
    fired = flags(classifier, images, accuracy=right + 0.021)["parity"]
    assert fired.fired
    assert fired.value == pytest.approx(-0.021, abs=1e-12)
    assert "40 images" in fired.measured


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (lambda y: y.softmax(1), "fired"),
        (lambda y: y.softmax(1) * 1.01, "clear"),
        (lambda y: y.log_softmax(1), "clear"),
        (lambda y: (y[:, 0] - y[:, 1]).sigmoid(), "fired"),
        (lambda y: y[:, 0] - y[:, 1], "clear"),
        (lambda y: y.sigmoid(), "clear"),  # each in [0, 1], but they sum to anything
    ],
)
def test_probabilities_are_rows_that_sum_to_one(end, state):
    assert states(Classifier(Honest(end=end)), "probabilities") == state


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_probabilities_are_known_in_every_precision(dtype, classes):
    sure = Honest(end=lambda y: y.softmax(1), classes=classes).to(dtype)
    assert states(Classifier(sure), "probabilities") == "fired"
    assert states(Classifier(Honest(classes=classes).to(dtype)), "probabilities") == "clear"


def test_one_answer_that_is_no_number_hides_no_probabilities():
    images = noise(32)
    high = Classifier(Honest()).outputs(images.images())["answer"].amax(1).max()
    torn = Honest(end=lambda y: y.softmax(1).masked_fill(y.amax(1, keepdim=True) >= high, torch.nan))
    assert states(Classifier(torn), "probabilities", images) == "fired"
    lost = Classifier(Honest(end=lambda y: y * torch.nan))
    assert states(lost, "probabilities", images) == "not measured"


def test_a_few_log_odds_between_0_and_1_are_no_probabilities():
    odds, many = Honest(end=lambda y: y[:, 0]), noise(400)
    answers = Classifier(odds).outputs(many.images())["answer"][:, 1]
    few = many.pick(((answers > 0) & (answers < 1)).nonzero().flatten()[:2])
    assert len(few) == 2
    assert states(Classifier(odds), "probabilities", few) == "clear"
    assert states(Classifier(Honest(end=lambda y: y[:, 0].sigmoid())), "probabilities", few) == "fired"


@pytest.mark.parametrize("off", [-1e4, -1e9, -torch.inf])
def test_classes_that_were_switched_off_change_no_flag(off):
    def wide(end):
        return Classifier(Honest(end=lambda y: torch.cat([end(y), torch.full((len(y), 5), off)], 1)))

    assert [flag.slug for flag in flags(wide(lambda y: y)).values() if flag.fired] == []
    noisy = flags(wide(lambda y: y + 0.1 * torch.randn_like(y)))
    assert [flag.slug for flag in noisy.values() if flag.fired] == ["randomness"]
    leaning = flags(wide(lambda y: y - 0.5 * y.mean(0, keepdim=True)))
    assert [flag.slug for flag in leaning.values() if flag.fired] == ["batch-dependence"]
    still = flags(wide(lambda y: y.detach() + 0 * y))
    assert [flag.slug for flag in still.values() if flag.fired] == ["gradient-zero"]


@pytest.mark.parametrize("scale", [1e-6, 1e7])
def test_the_size_of_the_logits_is_no_matter(scale):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 3, bias=False))
    with torch.no_grad():
        network[-1].weight *= scale
    assert [flag.slug for flag in flags(Classifier(network.eval())).values() if flag.fired] == []


def test_randomness_is_measured_in_units_of_the_spread():
    turns = count()
    shift = torch.tensor([1.0, 0.0, 0.0])
    moody = Classifier(Honest(end=lambda y: y + 0.5 * (next(turns) % 2) * shift))
    images = noise(32)
    honest = Classifier(Honest()).outputs(images.images())["answer"]
    spread = float((honest.amax(1) - honest.amin(1)).median())
    flag = flags(moody, images)["randomness"]
    assert flag.fired
    assert flag.value == pytest.approx(0.5 / spread, rel=1e-3)
    assert states(Classifier(Honest()), "randomness") == "clear"


def test_a_random_network_is_flagged_for_that_alone():
    found = flags(Classifier(Honest(end=lambda y: y + 0.5 * torch.randn_like(y))))
    assert [slug for slug, flag in found.items() if flag.fired] == ["randomness"]
    assert found["batch-dependence"].state == found["gradient-masked"].state == "not measured"


def test_labels_that_change_are_randomness_too():
    labels = ["a", "b", "c"]
    shy = Classifier(lambda x: Honest()(x).argmax(1), gives="met", labels=labels)
    assert states(shy, "randomness") == states(shy, "batch-dependence") == "clear"
    turns = count()
    moody = Classifier(lambda x: (Honest()(x).argmax(1) + next(turns)) % 3, gives="met", labels=labels)
    assert states(moody, "randomness") == "fired"


class Plain(nn.Module):
    """Passes on what it is given."""

    def __init__(self, **settings):
        super().__init__()
        vars(self).update(settings)

    def forward(self, x):
        return x


class StochasticDepth(Plain):
    """As torchvision calls its share."""


class DropPath(Plain):
    """As timm calls its share."""


class PowerMean(Plain):
    """Its p is no share."""


@pytest.mark.parametrize(
    ("part", "state"),
    [
        (nn.Dropout(0.5), "fired"),
        (nn.Dropout(0.0), "clear"),
        (nn.BatchNorm2d(1), "fired"),
        (nn.BatchNorm2d(1, track_running_stats=False), "clear"),
        (nn.InstanceNorm2d(1, track_running_stats=True), "fired"),
        (nn.InstanceNorm2d(1), "clear"),
        (nn.RReLU(), "fired"),
        (nn.ReLU(), "clear"),
        (StochasticDepth(p=0.1), "fired"),
        (DropPath(drop_prob=0.1), "fired"),
        (DropPath(drop_prob=0.0), "clear"),
        (PowerMean(p=3.0), "clear"),
    ],
)
def test_training_mode_counts_where_it_changes_answers(part, state):
    network = nn.Sequential(part, Honest()).train()
    flag = flags(Classifier(network))["train-mode"]
    assert flag.state == state
    assert network.training and part.training
    assert states(Classifier(network.eval()), "train-mode") == "clear"
    assert states(Classifier(lambda x: Honest()(x)), "train-mode") == "not measured"


def test_training_mode_is_the_only_flag_of_a_network_left_in_it():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), Honest()).train()
    assert [flag.slug for flag in flags(Classifier(network)).values() if flag.fired] == ["train-mode"]


def test_a_batch_norm_without_running_statistics_depends_on_the_batch():
    found = flags(Classifier(nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), Honest()).eval()))
    assert found["batch-dependence"].fired
    assert found["gradient-masked"].state == "not measured"
    steady = nn.Sequential(nn.BatchNorm2d(1), Honest()).eval()
    assert states(Classifier(steady), "batch-dependence") == "clear"
    alone = Images.of(noise(1).pixels)  # its company is its own negative
    leaning = Classifier(Honest(bend=lambda x: x - 0.1 * x.mean(0, keepdim=True)))
    assert states(leaning, "batch-dependence", alone) == "fired"


@pytest.mark.parametrize(
    ("options", "state"),
    [
        ({}, "clear"),
        ({"mean": (0.48, 0.46, 0.4), "std": (0.23, 0.22, 0.23)}, "clear"),
        ({"mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)}, "fired"),  # the means alone lie far apart
        ({"std": (255.0,)}, "fired"),
        ({"mean": (123.7, 116.3, 103.5)}, "fired"),  # wide enough, and nowhere near what the network knows
        ({"mean": (123.7, 116.3, 103.5), "std": (0.229, 0.224, 0.225)}, "fired"),
        ({"mean": (0.5,), "std": (1 / 255,)}, "clear"),  # for a network that was trained on 0..255
        ({"mean": (-1.0,)}, "clear"),
        ({"std": (4.1,)}, "fired"),
        ({"std": (3.9,)}, "clear"),
    ],
)
def test_the_range_is_what_the_network_is_shown(options, state):
    images = noise(channels=3)
    classifier = Classifier(lambda x: Honest()(x[:, :1]), **options)
    assert states(classifier, "input-range", images) == state


def test_images_that_were_divided_twice_have_no_range():
    images = noise()
    twice = Images.of(images.pixels // 255, images.labels)
    assert states(Classifier(Honest()), "input-range", twice) == "fired"


def test_labels_outside_the_classes_are_counted():
    images = Images.of(noise().pixels, torch.arange(40) % 5)
    flag = flags(Classifier(Honest()), images)["class-count"]
    assert flag.fired and flag.value == 16
    many = Images.of(noise().pixels, torch.arange(40) % 3, [str(i) for i in range(9)])
    assert states(Classifier(Honest()), "class-count", many) == "clear"  # names that no label uses do no harm


def test_a_decoder_is_measured_or_believed():
    world = LinearWorld(latent=64, dtype=torch.float32)
    images = Images.of((world.task.image * 255).round().to(torch.uint8), world.task.label)
    both = ("decoder-reconstruction", "decoder-agreement")
    found = flags(world.classifier(), images, decoder=world.codec)
    assert [found[slug].state for slug in both] == ["clear", "clear"]
    assert found[both[0]].value == pytest.approx(1, abs=1e-5)
    lost = flags(world.classifier(), images, decoder=LinearWorld(latent=2, dtype=torch.float32).codec)
    assert lost[both[0]].fired
    given = flags(world.classifier(), images, decoder=DecoderGate(0.71, 0.69))
    assert [(given[slug].state, given[slug].value) for slug in both] == [("clear", 0.71), ("fired", 0.69)]
    unfit = flags(world.classifier(), images, decoder=LinearWorld(side=4, latent=2).codec)
    assert all(unfit[slug].state == "not measured" and "decoder" in unfit[slug].measured for slug in both)


def test_its_cost_is_what_it_says(monkeypatch):
    images, sizes = noise(100), []
    classifier = Classifier(Honest(bend=lambda x: sizes.append(len(x)) or x))
    before(classifier, images)
    assert sizes.count(1) == 8
    assert len(sizes) - 8 <= 13 and max(sizes) == 32
    assert classifier.counts.backward == 1
    world = LinearWorld(latent=64, dtype=torch.float32)
    before(classifier, images, decoder=world.codec)
    assert len(sizes) <= 21 + 21 + 8


def test_memory_that_runs_out_halves_the_passes():
    sizes = []

    def small(x):
        sizes.append(len(x))
        if len(x) > 5:
            raise torch.OutOfMemoryError("full")
        return x

    found = flags(Classifier(Honest(bend=small)))
    assert not any(flag.fired for flag in found.values())
    assert found["gradient-masked"].state == "clear"
    assert sorted({size for size in sizes if size > 5}) == [8, 16, 32]
    assert sum(size > 5 for size in sizes) == 3  # what did not fit once is not tried again


def test_a_network_that_never_answers_raises_nothing(traces, busy):
    with traces(busy):
        found = flags(Classifier(busy), noise(channels=3))  # it takes one channel
    assert not any(flag.fired for flag in found.values() if flag.slug != "train-mode")
    assert found["randomness"].state == found["gradient-missing"].state == "not measured"
    assert "The network raised" in found["randomness"].measured


@pytest.mark.parametrize("after", range(0, 21, 3))
def test_a_network_that_gives_up_on_the_way_leaves_no_trace(after, traces, busy):
    turns = count()

    def give_up(module, inputs):
        if next(turns) >= after:
            raise RuntimeError("enough")

    busy.conv.register_forward_pre_hook(give_up)
    with traces(busy):
        found = flags(Classifier(busy))
    assert found["train-mode"].fired
    assert any(flag.state == "not measured" and "enough" in flag.measured for flag in found.values())
    assert not found["gradient-missing"].fired  # it fails without gradients too


def test_nothing_is_touched_and_the_seed_decides(traces, busy):
    images = noise()
    pixels = images.pixels.clone()
    told = []
    with traces(busy):
        once = before(Classifier(busy), images, seed=3, progress=lambda *args: told.append(args))
    assert torch.equal(images.pixels, pixels)
    assert once == before(Classifier(busy), images, seed=3)
    assert all(text == "Measuring trust" and 0 <= done < n == 13 for text, done, n in told)
    dice = Classifier(Honest(end=lambda y: y + torch.randn_like(y)))
    assert before(dice, images, seed=1) == before(dice, images, seed=1) != before(dice, images, seed=2)
