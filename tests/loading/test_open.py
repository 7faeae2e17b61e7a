"""MODEL in one word: whose it is, what may be said beside it, and what is none."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import amiss as am
from amiss.data import Images
from amiss.errors import CheckpointError, ModelError, UsageError
from amiss.loading import check_fit, open_classifier, open_decoder
from amiss.models import build
from amiss.training import classifier_for, decoder_for, save_model
from tests.cli.conftest import amiss as command  # noqa: F401

NETS = """
import torch
from torch import nn
import amiss

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 3)
        self.train()

    def forward(self, x):
        return self.fc(x.flatten(1))

def build():
    return Net()

def wrapped():
    return amiss.Classifier(Net(), labels="abc")

def plain():
    return lambda x: x.flatten(1)[:, :3]

def blind():
    return amiss.Classifier(lambda x: x.flatten(1)[:, :3], gives="loss")

def nan():
    net = Net()
    net.fc.bias.data[0] = float("nan")
    return amiss.Classifier(net)
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETS, encoding="utf-8")


@pytest.fixture
def digits():
    pixels = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Images.of(pixels, torch.tensor([0, 1, 2, 0]), ["a", "b", "c"])


def test_a_function_gives_a_network_or_a_classifier(images):
    x = images(2, (1, 8, 8))
    c = open_classifier("nets.py:build", mean=(0.5,), std=(0.25,))
    assert not c.network.training
    assert torch.allclose(c.outputs(x)["answer"], c.network((x - 0.5) / 0.25))
    assert open_classifier("nets.py:wrapped").labels == ("a", "b", "c")
    assert torch.equal(open_classifier("nets.py:plain", head=1).outputs(x)["answer"][:, 1], x.flatten(1)[:, 1])
    assert am.open_classifier is open_classifier


def test_weights_of_a_file_are_put_into_the_function_s_network(images):
    weights = {"fc.weight": torch.randn(3, 64), "fc.bias": torch.randn(3)}
    save_file(weights, "own.safetensors")
    x = images(2, (1, 8, 8))
    for name in ("build", "wrapped"):
        c = open_classifier(f"nets.py:{name}", weights="own.safetensors")
        assert torch.allclose(c.outputs(x)["answer"], x.flatten(1) @ weights["fc.weight"].T + weights["fc.bias"])
    with pytest.raises(UsageError):
        open_classifier("nets.py:plain", weights="own.safetensors")
    with pytest.raises(UsageError):
        open_classifier("nets.py:blind", weights="own.safetensors")


def test_what_a_classifier_brings_is_not_said_twice(refuses):
    for option in ({"mean": (0.5,)}, {"std": (0.5,)}, {"head": 1}, {"mean": (0.5,), "head": "a"}):
        with refuses(UsageError, "usage-preprocessing") as caught:
            open_classifier("nets.py:wrapped", **option)
        assert caught.value.seen == " and ".join(f"--{name}" for name in option)


def test_nan_is_found_inside_a_classifier_too(refuses):
    with refuses(ModelError, "model-not-finite"):
        open_classifier("nets.py:nan")


def test_a_device_moves_what_can_be_moved():
    c = open_classifier("nets.py:wrapped", device="meta")
    assert c.device.type == c.network.fc.weight.device.type == "meta"


def test_checkpoints_of_ours(digits, refuses):
    facts = {"mean": [0.5], "std": [0.5], "classes": ["a", "b", "c"]}
    for name, preset in (("classifier", classifier_for(digits)), ("decoder", decoder_for(digits))):
        network = build(preset.model, seed=0)
        save_model(f"{name}.safetensors", network, preset.model, {**facts, "kind": preset.kind})
    c = open_classifier("classifier.safetensors")
    assert c.labels == ("a", "b", "c")
    assert c.outputs(digits.images())["answer"].shape == (4, 3)
    preset = classifier_for(digits)
    said = {**facts, "kind": "classifier", "classes": ["\ud800", "b", "c"]}
    save_model("x.safetensors", build(preset.model, seed=0), preset.model, said)
    assert "".join(open_classifier("x.safetensors").labels).encode()
    assert open_decoder("decoder.safetensors").decode
    with refuses(ModelError, "model-kind"):
        open_classifier("decoder.safetensors")
    with refuses(ModelError, "model-kind"):
        open_decoder("classifier.safetensors")
    for option in ({"mean": (0.5,)}, {"weights": "x.pt"}, {"head": 0}):
        with refuses(UsageError, "usage-preprocessing"):
            open_classifier("classifier.safetensors", **option)


@pytest.mark.parametrize(
    "facts",
    [
        {"mean": "x"},
        {"mean": [None]},
        {"std": []},
        {"std": {"0": 1}},
        {"classes": 5},
        {"classes": [["a"]] * 3},
        {"classes": "abc"},
        *("mean", "std", "classes"),
    ],
)
def test_checkpoints_that_say_what_no_classifier_has(digits, facts, refuses):
    preset = classifier_for(digits)
    said = {"kind": "classifier", "mean": [0.5], "std": [0.5], "classes": ["a", "b", "c"]}
    if isinstance(facts, str):  # left out, a classifier without normalization would be another one
        del said[facts]
    else:
        said |= facts
    save_model("x.safetensors", build(preset.model, seed=0), preset.model, said)
    with refuses(CheckpointError, "checkpoint-facts"):
        open_classifier("x.safetensors")


def test_a_file_may_change_the_path_of_imports():
    Path("path.py").write_text("import sys\nsys.path[:] = []\n\ndef build():\n    return lambda x: x\n")
    before = list(sys.path)
    try:
        assert open_classifier("path.py:build")
    finally:
        sys.path[:] = before


@pytest.mark.parametrize("end", [".onnx", ".safetensors", ".py:build"])
def test_names_that_no_file_can_have(end):
    with pytest.raises((ModelError, CheckpointError)) as caught:
        open_classifier("x" * 5000 + end)
    assert caught.value.slug in ("model-path", "checkpoint-missing")


def test_a_network_of_other_channels_is_told_apart(digits, refuses):
    check_fit(open_classifier("nets.py:build"), digits)
    color = am.Classifier(nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten()))
    with refuses(ModelError, "model-channels") as caught:
        check_fit(color, digits)
    assert caught.value.hint == "--channels 3"
    with refuses(ModelError, "model-raises"):
        check_fit(am.Classifier(nn.Linear(3, 3)), digits)


# What is none


def test_weights_alone_are_no_model(refuses):
    torch.save({"w": torch.ones(1)}, "weights.pt")
    with refuses(UsageError, "model-unknown") as caught:
        open_classifier("weights.pt")
    assert "no network" in caught.value.why and "names" not in caught.value.why
    assert "--weights weights.pt" in caught.value.hint

    class Bomb:
        def __reduce__(self):
            return os.mkdir, ("ran",)

    Path("evil.pkl").write_bytes(pickle.dumps(Bomb()))
    with refuses(UsageError, "model-unknown") as caught:
        open_classifier("evil.pkl")
    assert f"names {os.mkdir.__module__}.mkdir" in caught.value.why
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "model", ["resnet18", "", ":", "hf:somebody/model", "nets.py", "timm", "a.onnx.zip", "x:y:z"]
)
def test_words_that_are_no_model(model, refuses):
    with refuses(UsageError, "model-unknown"):
        open_classifier(model)


# On the command line


def test_a_head_and_weights_on_the_command_line(command):  # noqa: F811
    Path("heads.py").write_text("from nets import *\n\ndef build():\n    return Brightness(classes=3)\n")
    said = command("check", "heads.py:build", "photos", "--head", 0, "--json")
    assert said.code == 0, said.err
    command("check", "heads.py:build", "photos", "--head", 3).refused("model-head")
    command("check", "heads.py:build", "photos", "--head", "male").refused("model-head", "no names of heads")
    command("check", "nets.py:wrapped", "photos", "--head", 0).refused("usage-preprocessing", code=2)
    command("check", "nets.py:build", "photos", "--weights", "none.pt").refused("weights-missing")
    for verb in ("check", "audit"):
        torch.save({"scale.weight": torch.zeros(2, 2, 1, 1)}, "few.pt")
        command(verb, "nets.py:build", "photos", "--weights", "few.pt").refused("weights-fit", "scale.bias")


def test_an_onnx_file_on_the_command_line(command):  # noqa: F811
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    weight = np.stack([np.full(36, 1 / 36), np.zeros(36)], 1).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["y"]),
    ]
    held = [onnx.numpy_helper.from_array(a, n) for a, n in ((weight, "w"), (np.float32([-0.5, 0]), "b"))]
    values = [helper.make_tensor_value_info(*v) for v in (("x", real, ["n", 1, 6, 6]), ("y", real, ["n", 2]))]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    Path("bright.onnx").write_bytes(model.SerializeToString())
    said = command("check", "bright.onnx", "photos", "--json")  # 8 x 8 files, brought to the model's 6 x 6
    assert said.code == 0, said.err
    assert '"accuracy": 0.75' in said.out
    command("check", "bright.onnx", "photos", "--size", 8).refused("onnx-size", "--size 6")
    command("audit", "bright.onnx", "photos").refused("audit-gradients")
    command("check", "brigth.onnx", "photos").refused("model-path", "bright.onnx")
