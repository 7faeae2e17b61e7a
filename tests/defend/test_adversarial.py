"""Losses that learn from adversaries, against their formulas; defenses that train, against what they must leave."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import DEFENSES, AdversarialLoss, AdversarialTraining, Augmentation, LogitPairing, PairingLoss
from amiss.defend.adversaries import adversaries, training_attack
from amiss.errors import Interrupted, ModelError, UsageError
from amiss.training import Batch, ClassifierLoss, TrainingRecipe, fit

torch.set_num_threads(1)

EPS = 0.1
WEIGHT = torch.tensor([[1.5, -2.0, 0.5, 3.0], [-1.0, 1.0, 2.0, -0.5]])


def linear(weight=WEIGHT, dtype=torch.float64):
    """Two logits of four pixels; the worst point of a box is known: x -/+ eps times the sign of w_0 - w_1."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(weight.shape[1], 2, bias=False)).to(dtype)
    net[1].weight.data.copy_(weight)
    return net


def batch(n=6, step=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(1)
    image = 0.3 + 0.4 * torch.rand(n, 1, 2, 2, generator=draw, dtype=dtype)
    return Batch({"image": image, "label": torch.arange(n) % 2}, step, 0.5, 7)


def worst(b):
    """Where the label's logit is furthest behind."""
    gap = (WEIGHT[0] - WEIGHT[1]).sign().double().view(1, 1, 2, 2)
    side = (2.0 * b["label"].double() - 1).view(-1, 1, 1, 1)
    return b["image"] + EPS * side * gap


def nats(logits, label):
    return sum(
        math.log(sum(math.exp(v) for v in row)) - row[c] for row, c in zip(logits.tolist(), label, strict=True)
    )


def logits_of(x):
    return x.flatten(1) @ WEIGHT.double().T


def test_adversaries_end_at_the_worst_corner_of_a_linear_network_and_stay_in_the_ball():
    b = batch()
    for steps in (1, 4):
        probe = training_attack(EPS, steps, seed=7)
        made = adversaries(Classifier(linear()), b["image"], b["label"], probe, 0)
        assert (made - b["image"]).abs().max() <= EPS + 1e-12
        if steps > 1:
            torch.testing.assert_close(made, worst(b), rtol=0, atol=1e-9)
    edge = torch.cat([torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)]).double()
    made = adversaries(Classifier(linear()), edge, b["label"], training_attack(EPS, 3), 0)
    assert made.min() >= 0 and made.max() <= 1


def test_starts_differ_from_step_to_step_and_are_the_same_again():
    b, probe = batch(), training_attack(EPS, 1, seed=7)
    flat = Classifier(linear(torch.zeros(2, 4)))  # no gradient: what is left is the start
    one, same, other = (adversaries(flat, b["image"], b["label"], probe, turn) for turn in (3, 3, 4))
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize(("weight", "clean"), [(1.0, 1.0), (0.5, 2.0), (3.0, 0.0)])
def test_adversarial_training_minimizes_the_weighted_sum(weight, clean):
    b = batch()
    loss = AdversarialLoss(eps=EPS, steps=4, weight=weight, clean=clean)
    value = loss.losses(linear().train(), b, ("classifier",))["classifier"].detach()
    label = b["label"].tolist()
    wanted = clean * nats(logits_of(b["image"]), label) + weight * nats(logits_of(worst(b)), label)
    assert float(value) == pytest.approx(wanted, rel=1e-6)


def test_logit_pairing_is_its_formula():
    b, weight = batch(), 0.7
    label, x, made = b["label"].tolist(), logits_of(b["image"]), logits_of(worst(b))
    apart = weight * float((x - made).square().sum())
    wanted = {
        "lecture": nats(x, label) + apart,
        "adversarial": (nats(x, label) + nats(made, label)) / 2 + apart,
        "clean": nats(x, label) + weight * float((x[:3] - x[3:]).square().sum()),
    }
    for form, known in wanted.items():
        loss = PairingLoss(eps=EPS, steps=4, weight=weight, form=form)
        value = loss.losses(linear().train(), b, ("classifier",))["classifier"].detach()
        assert float(value) == pytest.approx(known, rel=1e-6), form


def test_the_radius_grows_over_its_share_of_the_run():
    b = batch()  # half of the run lies behind
    loss = AdversarialLoss(eps=EPS, steps=4, grow=1.0)
    made = loss.attack(linear(), b)
    assert float((made - b["image"]).abs().max()) == pytest.approx(EPS / 2, rel=1e-9)
    full = replace(loss, grow=0.25).attack(linear(), b)
    assert float((full - b["image"]).abs().max()) == pytest.approx(EPS, rel=1e-9)


def test_noise_of_clean_pairing_is_drawn_anew_and_only_there():
    b = batch()
    loss = PairingLoss(eps=EPS, form="clean", noise=0.2)
    made, again = loss.attack(linear(), b), loss.attack(linear(), b)
    assert torch.equal(made, again)
    assert not torch.equal(made, loss.attack(linear(), batch(step=1)))


def pixels(n, seed):
    """Class 1 is bright by much in the first column, and by little in six others: only the first outlasts 0.2."""
    draw = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % 2
    image = 0.5 + 0.02 * torch.randn(n, 1, 8, 8, generator=draw)
    side = (2 * label - 1).float().view(-1, 1, 1, 1)
    image[..., :1] += 0.3 * side * (torch.rand(n, 1, 1, 1, generator=draw) > 0.04)
    image[..., 2:] += 0.1 * side
    return Images.of((image.clamp(0, 1) * 255).round().to(torch.uint8), label, ["dark", "bright"])


TRAIN, TEST = pixels(256, 0), pixels(60, 1)
QUICK = {
    "eps": 0.2,
    "epochs": 30,
    "rate": 3e-2,
    "batch": 32,
    "images": 40,
    "many": 20,
    "restarts": 2,
    "worst": False,
    "seed": 3,
}


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    data = {"image": TRAIN.pixels, "label": TRAIN.truth}
    fit(network, ClassifierLoss(), data, TrainingRecipe(epochs=12, batch=32, rate=1e-2))
    return Classifier(network, labels=TRAIN.classes)


def test_adversarial_training_leaves_the_fragile_feature(classifier, tmp_path):
    told, before = [], classifier.fingerprint
    defense = AdversarialTraining(steps=3, clean=0.0, **QUICK)
    done = defense.harden(classifier, TRAIN, TEST, tmp_path / "run", on_row=lambda rows: told.append(len(rows)))
    first, last = done.rows
    assert told == [1, 2] and classifier.fingerprint == before
    assert first["accuracy"] > 0.9 and first["robust_many"] < 0.2
    assert last["robust_many"] > first["robust_many"] + 0.5 and last["robust_many"] <= last["robust_few"]
    assert first["cpu_minutes"] == 0 < last["cpu_minutes"]
    assert done.figures["robust_gain"] == done.figures["robust"] - min(first["robust_few"], first["robust_many"])
    assert "CPU minutes" in done.sentence
    # How far the fragile pixels sway the answer, beside the others.
    sway = [
        (net[1].weight[1] - net[1].weight[0]).view(8, 8).abs().detach()
        for net in (classifier.network, done.classifier.network)
    ]
    ratios = [float(w[:, 2:].mean() / w[:, :1].mean()) for w in sway]
    assert ratios[1] < ratios[0] / 3


def test_a_stopped_run_ends_with_the_same_weights(classifier, tmp_path):
    defense = LogitPairing(steps=2, **{**QUICK, "epochs": 3, "many": 5})
    whole = defense.harden(classifier, TRAIN, TEST, tmp_path / "whole")
    calls = []

    def stop():
        calls.append(None)
        return len(calls) == 12

    with pytest.raises(Interrupted):
        defense.harden(classifier, TRAIN, TEST, tmp_path / "run", stop=stop)
    again = defense.harden(classifier, TRAIN, TEST, tmp_path / "run")
    assert again.classifier.fingerprint == whole.classifier.fingerprint
    without = [[{k: v for k, v in row.items() if k != "cpu_minutes"} for row in done.rows] for done in (again, whole)]
    assert without[0] == without[1]
    once = defense.harden(classifier, TRAIN, TEST, tmp_path / "run")
    assert once.rows == again.rows


def test_augmentation_learns_each_image_twice_and_no_more_adversaries_than_that(classifier, tmp_path):
    defense = Augmentation(steps=3, **{**QUICK, "epochs": 2, "many": 5})
    seen = []
    done = defense.harden(classifier, TRAIN, TEST, tmp_path, progress=lambda what, i, n: seen.append((what, n)))
    assert ("Making adversaries", len(TRAIN)) in seen
    steps = {n for what, n in seen if what == "Training"}
    assert steps == {2 * (2 * len(TRAIN) // 32)}
    assert len(done.rows) == 2


def test_settings_that_mean_nothing_are_refused():
    for name in ("adversarial-training", "logit-pairing", "augmentation"):
        made = DEFENSES[name]
        for wrong in ({"eps": 0.0}, {"eps": -0.1}, {"eps": 8.0}, {"epochs": 0}, {"rate": math.inf}, {"steps": 0}):
            with pytest.raises(UsageError, match="cannot be hardened") as caught:
                made(**wrong)
            assert caught.value.slug == "defend-options" and next(iter(wrong)) in caught.value.seen
    for wrong in ({"form": "other"}, {"weight": 0.0}, {"noise": -1.0}, {"grow": 2.0}):
        with pytest.raises(UsageError):
            LogitPairing(**wrong)
    for wrong in ({"clean": -1.0}, {"weight": math.nan}, {"grow": -0.1}, {"precision": "int8"}):
        with pytest.raises(UsageError):
            AdversarialTraining(**wrong)


def test_what_has_no_weights_is_refused(tmp_path):
    function = Classifier(lambda x: x.flatten(1)[:, :2], labels=TRAIN.classes)
    with pytest.raises(ModelError) as caught:
        AdversarialTraining(**QUICK).harden(function, TRAIN, TEST, tmp_path / "run")
    assert caught.value.slug == "defend-model" and not (tmp_path / "run").exists()
