"""Detectors: the SVM's decision as torch computes it, codes and their gradient, files, and SafetyNet as a whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.svm import SVC
from torch import nn

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import CodeDetector, LinearDetector, SafetyNet, Workshop, read_detector
from amiss.defend.detectors import activations, late_layer
from amiss.errors import CheckpointError, DataError, Interrupted, LayerError, UsageError
from amiss.tensorfile import write_tensors
from amiss.training import ClassifierLoss, TrainingRecipe, fit

torch.set_num_threads(1)


def clouds(n=80, seed=0):
    """Activations of two kinds: many units on, or few."""
    draw = torch.Generator().manual_seed(seed)
    natural = (torch.randn(n, 6, generator=draw) + 1.0).clamp_min(0)
    return natural, (torch.randn(n, 6, generator=draw) - 0.5).clamp_min(0)


@pytest.fixture(scope="module")
def fitted():
    return [kind.fit("relu", *clouds()) for kind in (CodeDetector, LinearDetector)]


def test_a_code_counts_the_thresholds_that_lie_below(fitted):
    codes = fitted[0]
    natural = clouds()[0].double()
    assert torch.equal(codes.steps[0], torch.zeros(6, dtype=torch.float64))
    assert bool((codes.steps.diff(dim=0) > 0).all())
    # Off, or in one of three thirds of the values above 0.
    above = natural > 0
    for j in range(6):
        values = natural[:, j][above[:, j]]
        shares = [(values > step).double().mean() for step in codes.steps[:, j]]
        assert shares == pytest.approx([1, 2 / 3, 1 / 3], abs=1 / len(values) + 1e-9)


def test_the_decision_is_that_of_the_machine(fitted):
    codes, line = fitted
    natural, adversarial = (part.double() for part in clouds())
    both, kind = torch.cat([natural, adversarial]), np.arange(160) >= 80
    level = (both.unsqueeze(1) > codes.steps).double().mean(1)
    machine = SVC(kernel="rbf", gamma=codes.gamma, class_weight="balanced").fit(level.numpy(), kind)
    np.testing.assert_allclose(-codes.judge(both).numpy(), machine.decision_function(level.numpy()), atol=1e-9)
    scaled = (both - natural.mean(0)) / natural.std(0, correction=0)
    machine = SVC(kernel="linear", class_weight="balanced").fit(scaled.numpy(), kind)
    np.testing.assert_allclose(-line.judge(both).numpy(), machine.decision_function(scaled.numpy()), atol=1e-9)
    for detector in fitted:
        fresh = clouds(seed=5)
        assert float((detector.judge(fresh[0]) > 0).double().mean()) > 0.8
        assert float((detector.judge(fresh[1]) < 0).double().mean()) > 0.8


def test_what_attacks_follow_judges_alike_and_leads_elsewhere(fitted):
    codes, line = fitted
    a = clouds(seed=3)[0].double()
    grads = []
    for followed in codes.pursued():
        q = a.clone().requires_grad_()
        score = followed.judge(q)
        # A narrower smoothing changes the gradient alone.
        assert torch.allclose(score.detach(), codes.judge(a), rtol=0, atol=1e-12)
        grads.append(torch.autograd.grad(score.sum(), q)[0])
    assert len(grads) > 1 and not any(torch.equal(grads[0], other) for other in grads[1:])
    assert line.pursued() == (line,)  # its gradient is its own


def test_a_narrow_kernel_refuses_codes_unlike_any_that_it_knows():
    natural, adversarial = clouds()
    strange = torch.tensor([[9.0, 0.0] * 3, [0.0, 9.0] * 3])  # units on and off by turns, as in neither kind
    wide, narrow = (CodeDetector.fit("relu", natural, adversarial, sharpness=value) for value in (0.1, 300.0))
    # Far from all that it knows a machine says its bias, and that is no natural score.
    assert torch.allclose(narrow.judge(strange), torch.full((2,), -narrow.bias, dtype=torch.float64), atol=1e-6)
    assert bool((narrow.judge(strange) < narrow.judge(natural).quantile(0.05)).all())
    assert float((wide.judge(strange) + wide.bias).abs().max()) > 0.1


def test_scores_are_of_codes_and_the_gradient_of_their_smooth_relative(fitted):
    a = clouds(seed=3)[0].double()
    codes = fitted[0]
    q = a.clone().requires_grad_()
    score = codes.judge(q)
    assert torch.allclose(score.detach(), codes.judge(a), rtol=0, atol=1e-12)
    (grad,) = torch.autograd.grad(score.sum(), q)
    assert float(grad.abs().max()) > 0 and bool(grad.isfinite().all())
    # Within a level nothing changes, whatever the gradient says.
    assert torch.equal(codes.judge(a), codes.judge(torch.where(a > 0, a + 1e-9, a)))


@pytest.mark.parametrize("kind", [0, 1])
def test_a_file_keeps_a_detector(fitted, kind, tmp_path):
    detector = replace(fitted[kind], threshold=-0.25, spread=2.0)
    detector.save(tmp_path / "detector.safetensors")
    again = read_detector(tmp_path / "detector.safetensors")
    a = clouds(seed=9)[0]
    assert type(again) is type(detector) and torch.equal(again.judge(a), detector.judge(a))
    assert (again.layer, again.threshold, again.spread) == ("relu", -0.25, 2.0)


@pytest.mark.parametrize(
    "about",
    [{}, {"detector": "safetynet"}, {"detector": "linear", "layer": 3, "threshold": 0, "spread": 1, "bias": "x"}],
)
def test_another_file_is_no_detector(about, tmp_path):
    write_tensors(tmp_path / "x.safetensors", {"weight": torch.zeros(3)}, about)
    with pytest.raises(CheckpointError) as caught:
        read_detector(Path(tmp_path / "x.safetensors"))
    assert caught.value.slug == "defend-detector"


def small(hidden=24, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 3))


def blobs(n, seed):
    """A bright square at one of three places."""
    draw = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % 3
    image = 0.3 + 0.08 * torch.randn(n, 1, 8, 8, generator=draw)
    for i, c in enumerate(label.tolist()):
        image[i, :, 2 * c : 2 * c + 3, 1:6] += 0.4
    return Images.of((image.clamp(0, 1) * 255).round().to(torch.uint8), label, ["a", "b", "c"])


TRAIN, TEST = blobs(360, 0), blobs(60, 1)
QUICK = SafetyNet(eps=0.3, learned=150, images=40, few=5, many=15, restarts=2, worst=False, steps=40, seed=2)


@pytest.fixture(scope="module")
def classifier():
    network = small()
    data = {"image": TRAIN.pixels, "label": TRAIN.truth}
    fit(network, ClassifierLoss(), data, TrainingRecipe(epochs=12, batch=32, rate=5e-3))
    return Classifier(network, labels=TRAIN.classes)


def test_the_layer_before_the_last_relu_is_read(classifier):
    assert late_layer(classifier) == "1"
    odd = Classifier(nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(64, 2)))
    assert late_layer(odd) == "1"  # what is before has no weights: the ReLU itself
    with pytest.raises(UsageError) as caught:
        late_layer(Classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 2))))
    assert caught.value.slug == "safetynet-layer"
    seen = activations(classifier, "1", TEST.images())
    assert seen.shape == (60, 24) and torch.equal(seen, activations(classifier, "2", TEST.images(), batch=7))


def test_safetynet_tells_adversaries_of_an_attack_that_it_has_not_seen(classifier, tmp_path):
    told = []
    done = QUICK.harden(classifier, TRAIN, TEST, tmp_path / "run", on_row=lambda rows: told.append(len(rows)))
    figures = done.figures
    assert done.classifier is classifier and told == [1, 2]
    assert figures["auc_minimal_l2"] > 0.8 and figures["natural_passed"] > 0.8
    # What passes was searched for: type II needs at least the change of type I, which knows less.
    found = done.detector
    assert isinstance(found, CodeDetector) and found.layer == "1"
    assert figures["type2_met"] > 0.6 and figures["type2_l2"] > 0  # of the fit that is hardest to pass
    alone, both = done.rows
    assert both["accuracy"] <= alone["accuracy"] and both["robust_many"] >= alone["robust_many"] - 0.15
    assert "Area under the curve" in done.sentence
    again = QUICK.harden(classifier, TRAIN, TEST, tmp_path / "run")
    assert again.figures == figures and again.rows == done.rows


class Fixed(LinearDetector):
    """Passes images whose mean is far enough from that of the task: the smallest change is known beforehand."""

    def judge(self, features):
        return features.double().sum(1) - self.bias


def test_the_fit_is_chosen_that_costs_the_attacker_most(classifier, tmp_path):
    task = TRAIN.task(torch.arange(6))
    fits = [Fixed("0", 0.0, 1.0, torch.zeros(0), bias) for bias in (0.0, 40.0, 32.0)]  # an image sums to 25
    shop = Workshop(tmp_path, "run", lambda *_: None)
    assert QUICK._chosen(shop, classifier, task, fits) is fits[1]
    assert QUICK._chosen(Workshop(tmp_path, "other", lambda *_: None), classifier, task, fits[::2]) is fits[2]


def test_a_stop_is_heeded_and_few_adversaries_are_refused(classifier, tmp_path):
    with pytest.raises(Interrupted):
        QUICK.harden(classifier, TRAIN, TEST, tmp_path / "stopped", stop=lambda: True)
    with pytest.raises(DataError) as caught:
        replace(QUICK, eps=1 / 255).harden(classifier, TRAIN, TEST, tmp_path / "few")
    assert caught.value.slug == "defend-adversaries"
    with pytest.raises(LayerError):
        replace(QUICK, layer="nine").harden(classifier, TRAIN, TEST, tmp_path / "none")
    for wrong in ({"levels": 1}, {"share": 1.0}, {"learned": 0}, {"eps": 30.0}):
        with pytest.raises(UsageError):
            replace(QUICK, **wrong)
