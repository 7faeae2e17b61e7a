"""Searches by queries on what gives no gradient: an ONNX file, a scikit-learn classifier, any function."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import amiss as am
from amiss.classifier import Classifier
from amiss.recipes import hop_skip_jump, nes, spsa, square
from amiss.task import Task
from tests.loading import graphs

SIDE, CLASSES, BUDGET = graphs.SIDE, 4, 150
IMAGE = torch.randint(0, 256, (6, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(5)).float() / 255
WEIGHT = graphs.weight(1, CLASSES) - graphs.weight(1, CLASSES).mean(0)  # no class is favored by brightness


def from_onnx(folder):
    """A file of nodes, as onnxruntime runs it."""
    graphs.write(folder / "model.onnx", ("n", 1, SIDE, SIDE), weight=WEIGHT)
    return am.open_classifier(str(folder / "model.onnx")).network


def from_sklearn(folder):
    """Logistic regression that has learned the same from its answers."""
    x = np.random.default_rng(0).uniform(size=(400, SIDE * SIDE))
    model = LogisticRegression(C=100, max_iter=500).fit(x, (x @ WEIGHT).argmax(1))
    return lambda seen: torch.from_numpy(model.decision_function(seen.flatten(1).numpy()))


def from_function(folder):
    """NumPy alone."""
    return lambda seen: torch.from_numpy(seen.flatten(1).numpy() @ WEIGHT)


class Counted:
    """A model that counts the images it is shown, and keeps to itself what lies above its rung."""

    def __init__(self, model, gives):
        self.model, self.gives, self.rows = model, gives, 0

    def __call__(self, x):
        assert not x.requires_grad
        self.rows += len(x)
        logits = self.model(x)
        return logits if self.gives == "loss" else logits.argmax(1)


RECIPES = {
    "square": (square(0.2, BUDGET), "loss"),
    "square toward": (square(0.3, BUDGET, target="task"), "loss"),
    "nes": (nes(0.2, BUDGET, pairs=8), "loss"),
    "spsa": (spsa(0.2, BUDGET, pairs=8), "loss"),
    "hop_skip_jump": (hop_skip_jump(BUDGET, rows=20), "met"),
    "hop_skip_jump linf": (hop_skip_jump(BUDGET, norm="linf", rows=20), "met"),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("kind", [from_onnx, from_sklearn, from_function])
def test_budgets_are_exact_and_successes_are_the_models_own(kind, name, tmp_path):
    probe, gives = RECIPES[name]
    model = kind(tmp_path)
    counted = Counted(model, gives)
    classifier = Classifier(counted, gives=gives, labels=[str(c) for c in range(CLASSES)])
    label = model(IMAGE).argmax(1)
    task = Task(torch.arange(len(IMAGE)), IMAGE, label=label, target=(label + 1) % CLASSES)
    result = probe.run(classifier, task)
    spent = [outcome.queries for outcome in result.outcomes]
    assert counted.rows == sum(spent) + len(IMAGE)  # each best attempt is judged once more
    assert max(spent) <= BUDGET
    if "square" in name:
        assert all(outcome.met or outcome.queries == BUDGET for outcome in result.outcomes)
    assert result.met.sum() >= 4
    saved = (result.images * 255).round() / 255
    said = model(saved).argmax(1)
    won = said == task.target if "toward" in name else said != label
    assert won[result.met].all()


@pytest.mark.parametrize("kind", [from_onnx, from_sklearn, from_function])
def test_one_query_more_is_one_query_more(kind, tmp_path):
    counted = Counted(kind(tmp_path), "loss")
    classifier = Classifier(counted, gives="loss", labels=[str(c) for c in range(CLASSES)])
    label = counted.model(IMAGE).argmax(1)
    task = Task(torch.arange(len(IMAGE)), IMAGE, label=label)
    shown = []
    for queries in (1, 2, 7):
        counted.rows = 0
        result = square(0.1, queries, margin=1e3).run(classifier, task)
        assert not result.met.any()
        shown.append(counted.rows - len(IMAGE))
    assert shown == [len(IMAGE) * queries for queries in (1, 2, 7)]
