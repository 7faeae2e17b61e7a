"""The table of attacks, against a linear network whose robust accuracy is known without attacking it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import Detector, Ordeal, endured
from amiss.defend.outcome import before_and_after, gains
from amiss.objectives import Accepted, Avoid
from amiss.probe import Budget

torch.set_num_threads(1)

EPS = 0.01


def world(n=60):
    """Sixteen pixels around gray, labeled by a plane; how far each lies from it in the L_inf norm."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(96, 160, (n, 1, 4, 4), generator=draw, dtype=torch.uint8)
    weight = torch.randn(16, generator=draw)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    net[1].weight.data.copy_(torch.stack([torch.zeros(16), weight]))
    net[1].bias.data.copy_(torch.tensor([0.0, -0.5 * float(weight.sum())]))
    margin = (pixels.flatten(1).float() / 255) @ weight - 0.5 * weight.sum()
    label = (margin > 0).long()
    label[::10] = 1 - label[::10]  # a tenth is labeled otherwise, and stands nothing
    return Classifier(net), Images.of(pixels, label, ["a", "b"]), margin.abs() / weight.abs().sum()


def test_robust_accuracy_is_the_share_further_off_than_eps():
    classifier, images, distance = world()
    right = torch.arange(len(images)) % 10 != 0
    known = float((right & (distance > EPS)).double().mean())
    assert 0.2 < known < 0.8
    row = endured(classifier, images, Ordeal(EPS, images=1000, many=20, restarts=2, worst=False))
    assert row["accuracy"] == pytest.approx(0.9)
    assert row["images"] == 60
    assert row["robust_few"] == pytest.approx(known) and row["robust_many"] == pytest.approx(known)


def test_some_images_are_drawn_by_the_seed():
    classifier, images, distance = world()
    standing = (torch.arange(len(images)) % 10 != 0) & (distance > EPS)
    found = {
        endured(classifier, images, Ordeal(EPS, images=20, many=5, worst=False, seed=s))["robust_many"]
        for s in range(6)
    }
    assert len(found) > 1
    assert all(abs(share - float(standing.double().mean())) < 0.4 for share in found)


def test_the_worst_case_is_unrounded_and_finds_the_truth_with_a_detector_and_without():
    classifier, images, distance = world()
    wrong = (torch.arange(60) % 10 == 0) | (distance <= EPS)
    deaf = Bright("answer", threshold=-1.0)  # of what a ReLU leaves, all is accepted
    for goal in (None, Avoid(1e-3) + Accepted(deaf, deaf.threshold)):
        probe = Ordeal(EPS, seed=4).probes(goal)["worst"]
        assert "Quantized" not in repr(probe) and probe.seed == 4
        found = replace(probe, budget=Budget(130)).run(classifier, images.task()).met
        assert torch.equal(found, wrong)
    assert "worst" not in Ordeal(EPS, worst=False).probes()


class Bright(Detector):
    """Accepts what the logit of class 1 is high for."""

    def judge(self, features):
        return features[:, 1].double()


def test_what_a_detector_rejects_is_wrong_and_an_attack_must_pass_it():
    classifier, images, _ = world()
    ordeal = Ordeal(EPS, images=1000, few=40, many=40, restarts=1, worst=False)
    deaf = Bright("answer", threshold=-1.0)  # of what a ReLU leaves, all is accepted
    assert endured(classifier, images, ordeal, detector=deaf) == endured(classifier, images, ordeal) | {
        "robust_worst": None
    }
    strict = replace(deaf, threshold=1e9)
    row = endured(classifier, images, ordeal, detector=strict)
    assert row["accuracy"] == row["robust_many"] == 0
    # Only images of class 1 pass, so one of them can be made wrong for no attacker: class 0 is not accepted.
    some = replace(deaf, threshold=1e-3)
    row = endured(classifier, images, ordeal, detector=some)
    with torch.no_grad():
        gap = classifier.outputs(images.images())["answer"][:, 1]
    assert row["robust_many"] == pytest.approx(float(((gap > 1e-3) & (images.truth == 1)).double().mean()))


def test_the_sentence_tells_when_few_steps_flatter():
    first = {"round": 0.0, "accuracy": 0.99, "robust_few": 0.1, "robust_many": 0.0, "robust_worst": None}
    first |= {"images": 200.0, "cpu_minutes": 0.0}
    last = first | {"accuracy": 0.97, "robust_few": 0.9, "robust_many": 0.88, "cpu_minutes": 3.0}
    said, figures = before_and_after([first, last], 0.3), gains([first, last])
    assert "99.0 % -> 97.0 %" in said and "0.0 % -> 88.0 % under many steps" in said and "worst" not in said
    assert "flatter" not in said
    assert figures["robust"] == 0.88 and figures["robust_gain"] == 0.88
    assert (
        figures["accuracy_loss"] == pytest.approx(0.02) and "round" not in figures and "robust_worst" not in figures
    )
    masked = last | {"robust_many": 0.4, "robust_worst": 0.2}
    said = before_and_after([first, masked], 0.3)
    assert "flatter" in said and "under the worst case" in said
    assert gains([first, masked])["robust"] == 0.2
