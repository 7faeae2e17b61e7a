"""`amiss codec`: images to a file and back, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch

from amiss.codec import decode_images
from amiss.data import open_data, read_image
from amiss.models import LeNet, build
from amiss.training import save_model
from amiss.training.presets.codec import STEPS, codec_for

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A codec of digits as training begins with it."""
    preset = codec_for(open_data("digits", split="train", limit=200), width=8)
    model = build(preset.model)
    model.load_state_dict(dict(preset.start), strict=False)
    path = tmp_path_factory.mktemp("codec") / "model.safetensors"
    save_model(path, model, preset.model, {"kind": "codec"})
    return path, model.eval()


def test_images_go_to_a_file_and_back(amiss, saved):
    path, model = saved
    said = amiss("codec", "encode", path, "digits", "--out", "digits.amc", "--limit", 30, "--rate", 1, "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    packed = Path("digits.amc").read_bytes()
    assert (told["images"], told["rate"], told["bytes"]) == (30, 1, len(packed))
    assert told["bits_per_pixel"] == 8 * len(packed) / (30 * 64)
    assert told["estimated_bytes"] < len(packed)
    said = amiss("codec", "decode", path, "digits.amc", "--out", "back")
    assert said.code == 0, said.err
    assert "30 images" in said.out
    images = torch.stack([read_image(file) for file in sorted(Path("back").iterdir())])
    assert torch.equal(images, decode_images(model, packed))
    error = images.float() - open_data("digits", limit=30).pixels.float()
    assert error.square().mean() < STEPS[1] ** 2 / 6


def test_what_does_not_fit_is_refused(amiss, saved):
    path, _ = saved
    assert amiss("codec", "encode", path, "digits", "--out", "a.amc", "--limit", 5).code == 0
    packed = Path("a.amc").read_bytes()
    Path("cut.amc").write_bytes(packed[:-9])
    Path("full").mkdir()
    Path("full/note.txt").write_text("mine")
    save_model(
        "lenet.safetensors",
        LeNet(size=8),
        {"architecture": "LeNet", "arguments": {"size": 8}},
        {"kind": "classifier"},
    )
    lenet = Path("lenet.safetensors").read_bytes()
    amiss("codec", "encode", path, "digits", "--out", "lenet.safetensors", "--limit", 5).refused("codec-foreign")
    amiss("codec", "encode", path, "digits", "--out", "full", "--limit", 5).refused("codec-foreign", "a folder")
    assert Path("lenet.safetensors").read_bytes() == lenet
    assert amiss("codec", "encode", path, "digits", "--out", "cut.amc", "--limit", 5).code == 0  # one of its own
    assert Path("cut.amc").read_bytes() == packed
    Path("cut.amc").write_bytes(packed[:-9])
    amiss("codec", "decode", path, "cut.amc", "--out", "b").refused("codec-corrupt")
    amiss("codec", "decode", path, "nets.py", "--out", "b").refused("codec-foreign")
    amiss("codec", "decode", path, "none.amc", "--out", "b").refused("codec-file")
    amiss("codec", "decode", path, "full", "--out", "b").refused("codec-file")
    amiss("codec", "decode", path, "a.amc", "--out", "full").refused("out-not-empty")
    amiss("codec", "decode", "lenet.safetensors", "a.amc", "--out", "b").refused("model-kind")
    amiss("codec", "encode", path, "digits", "--out", "c.amc", "--rate", 7).refused("codec-rate", code=2)
    amiss("codec", "encode", path, "faces", "--out", "c.amc", "--limit", 2).refused("codec-shape")
    assert not Path("b").exists() and not Path("c.amc").exists()
    assert Path("full/note.txt").read_text() == "mine"
