"""Names of collections: what their own configurations say is used, and nothing is fetched that need not be."""

import os
import pickle
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn

import amiss as am
from amiss.errors import CheckpointError, ModelError
from amiss.loading.collections import open_timm, open_torchvision

KNOWN = ("resnet18", "resnet50", "vgg11", "bare")
MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


class Net(nn.Module):
    """Stands for any network of a collection."""

    def __init__(self, num_classes=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.fc = nn.Linear(2, num_classes)
        self.num_classes = num_classes
        for p in self.parameters():
            nn.init.constant_(p, 0.25)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


class Collection:
    """What was asked of it, and what it does when it fetches."""

    def __init__(self):
        self.made = []
        self.fetch = lambda: None

    def make(self, name, fetch, **options):
        self.made.append((name, fetch, options))
        if fetch:
            self.fetch()
        net = Net(**options)
        net.train()
        return net


@pytest.fixture
def timm(monkeypatch):
    """A stand-in for timm with its own words: names, tags, configurations."""
    own = Collection()
    module, data, models = (types.ModuleType(name) for name in ("timm", "timm.data", "timm.models"))
    own.config = {"mean": MEAN, "std": STD, "input_size": (3, 12, 12), "num_classes": 4}

    def create_model(name, pretrained=False, **options):
        net = own.make(name, pretrained, **options)
        net.pretrained_cfg = own.config
        return net

    class ImageNetInfo:
        def __init__(self, subset):
            assert subset == "four"

        def num_classes(self):
            return 4

        def index_to_description(self, index, detailed=False):
            return f"animal {index}, Animalia {index}"

    data.infer_imagenet_subset = lambda net: "four" if net.num_classes == 4 else None
    data.ImageNetInfo = ImageNetInfo
    models.is_model_pretrained = lambda name: name != "bare"
    module.create_model, module.data, module.models = create_model, data, models
    module.is_model = lambda name: name.partition(".")[0] in KNOWN
    module.list_models = lambda: list(KNOWN)
    module.list_pretrained = lambda: ["resnet18.a1_in1k", "resnet50.tv_in1k"]
    monkeypatch.setitem(sys.modules, "timm", module)
    return own


@pytest.fixture
def torchvision(monkeypatch):
    """A stand-in for torchvision.models: names, an enumeration of weights, transforms."""
    own = Collection()
    package, models = types.ModuleType("torchvision"), types.ModuleType("torchvision.models")
    own.shown = types.SimpleNamespace(mean=list(MEAN), std=list(STD), crop_size=[12], resize_size=[14])
    best = types.SimpleNamespace(transforms=lambda: own.shown, meta={"categories": ["a", "b", "c", "d"]})

    def get_model(name, weights=None, **options):
        assert weights in (None, best)
        return own.make(name, weights is not None, **options)

    def list_models(module=None):
        assert module is models  # classifiers alone
        return list(KNOWN)

    models.get_model, models.list_models = get_model, list_models
    models.get_model_weights = lambda name: types.SimpleNamespace(DEFAULT=best)
    package.models = models
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    return own


@pytest.fixture(params=["timm", "torchvision"])
def either(request):
    """The name of a collection, and its stand-in."""
    return request.param, request.getfixturevalue(request.param)


NAMES = {"timm": ("animal 0", "animal 1", "animal 2", "animal 3"), "torchvision": ("a", "b", "c", "d")}


def test_its_own_preprocessing_size_and_names_are_used(either, images):
    name, own = either
    c = am.open_classifier(f"{name}:resnet18")
    assert own.made == [("resnet18", True, {})]
    assert (c.labels, c.size, c.gives) == (NAMES[name], 12, "jacobian")
    assert not c.network.training
    x = images(2, (3, 12, 12))
    normal = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    assert torch.allclose(c.outputs(x)["answer"], Net()(normal), atol=1e-6)


def test_what_the_caller_says_comes_first(either, images):
    x = images(2, (3, 12, 12))
    c = am.open_classifier(f"{either[0]}:resnet18", mean=(0.0,), std=(1.0,))
    assert torch.allclose(c.outputs(x)["answer"], Net()(x), atol=1e-6)


def test_local_weights_and_nothing_fetched(either, tmp_path, images):
    name, own = either
    net = Net()
    nn.init.normal_(net.fc.weight)
    torch.save(net.state_dict(), tmp_path / "own.pt")
    c = am.open_classifier(f"{name}:resnet18", weights=tmp_path / "own.pt", mean=(0.0,), std=(1.0,))
    assert [fetched for _, fetched, _ in own.made] == [False]
    x = images(2, (3, 12, 12))
    assert torch.allclose(c.outputs(x)["answer"], net(x), atol=1e-6)
    assert c.labels == NAMES[name]


def test_local_weights_of_another_number_of_classes(either, tmp_path, images):
    name, own = either
    net = Net(7)
    torch.save({"state_dict": net.state_dict()}, tmp_path / "own.pt")
    c = am.open_classifier(f"{name}:resnet18", weights=tmp_path / "own.pt")
    assert own.made[-1] == ("resnet18", False, {"num_classes": 7})
    assert not any(fetched for _, fetched, _ in own.made)
    assert c.outputs(images(2, (3, 12, 12)))["answer"].shape == (2, 7)
    assert c.labels == tuple(map(str, range(7)))  # not the names of four


def test_local_weights_that_do_not_fit_or_are_none(either, tmp_path, refuses):
    name, _ = either
    torch.save({"other": torch.ones(2)}, tmp_path / "own.pt")
    with refuses(ModelError, "weights-fit"):
        am.open_classifier(f"{name}:resnet18", weights=tmp_path / "own.pt")
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(os.getcwd, protocol=2))
    with refuses(CheckpointError, "weights-forbidden"):
        am.open_classifier(f"{name}:resnet18", weights=tmp_path / "evil.pt")


def test_a_head_of_a_collection(either):
    name, _ = either
    c = am.open_classifier(f"{name}:resnet18", head=NAMES[name][2])
    assert c.labels == (f"not {NAMES[name][2]}", NAMES[name][2])


def test_names_that_are_none(either, refuses):
    name, own = either
    for wrong in ("resnet81", "", "hf-hub:somebody/model", "../resnet18", "RESNET18"):
        with refuses(ModelError, "collection-unknown") as caught:
            am.open_classifier(f"{name}:{wrong}")
        assert wrong != "resnet81" or "resnet18" in caught.value.hint
    assert own.made == []


def test_tags_of_timm(timm, refuses):
    assert open_timm("resnet18.a1_in1k").size == 12
    assert timm.made == [("resnet18.a1_in1k", True, {})]
    with refuses(ModelError, "collection-unknown") as caught:
        open_timm("resnet18.a1_in1")
    assert "resnet18.a1_in1k" in caught.value.hint


def test_an_architecture_without_weights_is_refused_unless_some_are_given(timm, tmp_path, refuses):
    with refuses(ModelError, "collection-untrained"):
        open_timm("bare")
    assert timm.made == []
    torch.save(Net().state_dict(), tmp_path / "own.pt")
    assert open_timm("bare", tmp_path / "own.pt").labels == NAMES["timm"]


def test_names_that_a_configuration_brings(timm):
    timm.config = {**timm.config, "label_names": ["w", "x", "y", "z"], "input_size": (3, 12, 16)}
    bare = open_timm("resnet18")
    assert (bare.labels, bare.size) == (("w", "x", "y", "z"), None)
    timm.config = {"label_names": ["w", "x", "y"]}
    bare = open_timm("resnet18")
    assert (bare.labels, bare.mean, bare.std, bare.size) == (None, None, None, None)


def test_a_download_that_fails(either, refuses):
    name, own = either

    def fails():
        raise OSError("no route to host")

    own.fetch = fails
    with refuses(ModelError, "collection-weights") as caught:
        am.open_classifier(f"{name}:resnet18")
    assert "--weights" in caught.value.hint
    assert "no route" in caught.value.seen


def test_the_collection_itself_is_held_to_weights_alone(either, tmp_path, refuses, monkeypatch):
    name, own = either

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"w": Bomb()}, tmp_path / "cached.pth")
    own.fetch = lambda: torch.load(tmp_path / "cached.pth", weights_only=False)  # as libraries do
    for before in (None, "0"):
        monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
        if before is not None:
            monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", before)
        with refuses(ModelError, "collection-weights"):
            am.open_classifier(f"{name}:resnet18")
        assert not (tmp_path / "ran").exists()
        assert os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD") == before


@pytest.mark.parametrize("name", ["timm", "torchvision"])
def test_without_the_package_it_is_said_what_to_install(name, monkeypatch, refuses):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "torchvision.models", raising=False)
    with refuses(ModelError, "model-package") as caught:
        am.open_classifier(f"{name}:resnet18")
    assert caught.value.hint == f"pip install {name}"
    assert "not installed" in caught.value.what


def test_a_package_for_another_torch_is_said_to_be_one(monkeypatch, refuses, tmp_path):
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with refuses(ModelError, "model-package") as caught:
        open_timm("resnet18")
    assert "cannot be imported" in caught.value.what
    assert "nms" in caught.value.seen
    assert "another torch" in caught.value.why


# The packages themselves, where they are


def installed(name):
    try:
        return __import__(name)
    except Exception:
        pytest.skip(f"{name} is not installed, or not for this torch")


def test_the_real_torchvision(tmp_path, images):
    models = installed("torchvision").models
    torch.save(models.resnet18(num_classes=5).state_dict(), tmp_path / "own.pt")
    bare = open_torchvision("resnet18", tmp_path / "own.pt")
    assert (bare.size, bare.labels) == (224, None)
    assert bare.mean == (0.485, 0.456, 0.406)
    assert bare.network(images(1, (3, 64, 64))).shape == (1, 5)
    torch.save(models.resnet18().state_dict(), tmp_path / "own.pt")
    assert open_torchvision("resnet18", Path(tmp_path / "own.pt")).labels[0] == "tench"


def test_the_real_timm(tmp_path, images):
    timm = installed("timm")
    torch.save(timm.create_model("resnet18", num_classes=5).state_dict(), tmp_path / "own.pt")
    bare = open_timm("resnet18", tmp_path / "own.pt")
    assert (bare.size, bare.labels) == (224, None)
    assert bare.network(images(1, (3, 64, 64))).shape == (1, 5)
    torch.save(timm.create_model("resnet18.a1_in1k").state_dict(), tmp_path / "own.pt")
    bare = open_timm("resnet18.a1_in1k", tmp_path / "own.pt")
    assert bare.labels[0] == "tench"
    assert len(bare.labels) == 1000
