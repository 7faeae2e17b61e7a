"""A class more: what a network says of the others stays, and what cannot be trained is refused."""

import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.defend import FineTuning, widened
from amiss.errors import ModelError
from amiss.models import LeNet, ResNet
from amiss.training import TrainingRecipe, fit

torch.set_num_threads(1)

GRAY = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def dense(out=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU(), nn.Linear(3, out))


def convolution():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


NETWORKS = [dense(), convolution(), LeNet(1, 3, 8), ResNet(1, 3, 8)]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_old_logits_stay_and_the_new_one_is_zero(network):
    classifier = Classifier(network, mean=(0.2,), std=(0.5,), labels=["a", "b", "c"], size=8)
    before = classifier.fingerprint
    wide = widened(classifier, GRAY[:1])
    with torch.no_grad():
        old, new = classifier.outputs(GRAY)["answer"], wide.outputs(GRAY)["answer"]
    torch.testing.assert_close(new[:, :3], old, rtol=1e-5, atol=1e-5)
    assert (new[:, 3] == 0).all()
    assert wide.labels == ("a", "b", "c", "rubbish")
    assert wide.preprocessing == ((0.2,), (0.5,))
    assert wide.size == 8
    assert classifier.fingerprint == before


def test_an_earlier_layer_of_as_many_outputs_is_left_alone():
    wide = widened(Classifier(dense()), GRAY[:1])
    assert (wide.network[1].out_features, wide.network[3].out_features) == (3, 4)


class Prototypes(nn.Module):
    """Minus the distance to a point a class: no layer decides."""

    def __init__(self):
        super().__init__()
        self.places = nn.Parameter(torch.rand(3, 64))

    def forward(self, x):
        return -torch.cdist(x.flatten(1), self.places)


class Twice(nn.Module):
    """A dense layer whose outputs are not the logits."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64, 3)

    def forward(self, x):
        return self.first(x.flatten(1)).log_softmax(1)


@pytest.mark.parametrize("network", [Prototypes(), Twice()], ids=["prototypes", "softmax"])
def test_a_network_without_such_a_layer_is_refused(network):
    with pytest.raises(ModelError, match="defend-head"):
        widened(Classifier(network), GRAY[:1])


@pytest.mark.parametrize(
    "classifier",
    [
        Classifier(lambda x: x.flatten(1)[:, :3], labels=["a", "b", "c"]),
        Classifier(dense(), gives="loss"),
        Classifier(dense(), head=1, labels=["a", "b", "c"]),
        Classifier(dense(1)),
        Classifier(nn.Sequential(dense(), nn.Unflatten(1, (1, 3))), answer=lambda out: out[:, 0]),
    ],
    ids=["function", "no gradients", "many labels", "one log-odds", "picked"],
)
def test_what_cannot_be_trained_is_refused(classifier):
    with pytest.raises(ModelError, match="defend-model"):
        widened(classifier, GRAY[:1])


def test_a_second_class_of_rubbish_is_refused():
    with pytest.raises(ModelError, match="defend-twice"):
        widened(widened(Classifier(dense()), GRAY[:1]), GRAY[:1])


def test_only_named_layers_learn_and_the_batch_norms_of_the_others_stay():
    network = ResNet(1, 3, 8, width=4)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    images = (GRAY.repeat(4, 1, 1, 1) * 255).to(torch.uint8)
    data = {"image": images, "label": torch.arange(12) % 3}
    fit(network, FineTuning(layers=("stage3", "fc")), data, TrainingRecipe(steps=2, batch=6))
    moved = {name.split(".")[0] for name, t in network.state_dict().items() if not torch.equal(t, before[name])}
    assert moved == {"stage3", "fc"}
    fit(network, FineTuning(), data, TrainingRecipe(steps=2, batch=6))
    moved = {name.split(".")[0] for name, t in network.state_dict().items() if not torch.equal(t, before[name])}
    assert {"conv1", "bn1", "stage1"} <= moved
