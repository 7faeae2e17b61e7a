"""Files of models: what goes in comes out, and nothing else is let in."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from amiss.errors import CheckpointError
from amiss.models import build
from amiss.training import load_model, read_facts, save_model

RECIPE = {"architecture": "LeNet", "arguments": {"size": 8, "width": 4, "hidden": 8}}
FACTS = {"kind": "classifier", "classes": [str(i) for i in range(10)], "mean": [0.1], "std": [0.3]}


@pytest.fixture
def saved(tmp_path):
    model = build(RECIPE, seed=3)
    path = tmp_path / "model.safetensors"
    save_model(path, model, RECIPE, FACTS)
    return model, path


def test_a_model_comes_back_bit_for_bit_with_its_facts(saved):
    model, path = saved
    loaded, facts = load_model(path)
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(x), model(x))
    assert not loaded.training
    assert all(p.requires_grad for p in loaded.parameters())
    assert facts == {**FACTS, "recipe": RECIPE} == read_facts(path)


def test_light_that_was_not_to_be_learned_is_not_learned_by_who_loads_it(tmp_path):
    recipe = {
        "architecture": "LitClassifier",
        "arguments": {"model": RECIPE, "size": 8, "patterns": 2, "learned": False},
    }
    save_model(tmp_path / "lit.safetensors", build(recipe), recipe, FACTS)
    loaded = load_model(tmp_path / "lit.safetensors")[0]
    assert [name for name, p in loaded.named_parameters() if not p.requires_grad] == ["light.scores"]


def test_half_precision_halves_the_file_and_rounds_by_at_most_its_unit(saved, tmp_path):
    model, path = saved
    half = tmp_path / "half.safetensors"
    save_model(half, model, RECIPE, FACTS, dtype="float16")
    loaded, _ = load_model(half)
    for (name, a), (_, b) in zip(model.named_parameters(), loaded.named_parameters(), strict=True):
        assert b.dtype == torch.float32, name
        assert (a - b).abs().max() <= a.abs().max() * 2**-11, name
    weights = sum(p.numel() for p in model.parameters())
    assert abs(path.stat().st_size - half.stat().st_size - 2 * weights) < 64


def test_saving_replaces_whole_files_and_leaves_no_scraps(saved, tmp_path):
    _, path = saved
    other = build(RECIPE, seed=4)
    save_model(path, other, RECIPE, FACTS)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    assert torch.equal(load_model(path)[0].fc1.weight, other.fc1.weight)


@pytest.mark.parametrize("where", [0.2, 0.5, 0.9999])
def test_a_file_cut_short_is_refused(saved, where):
    _, path = saved
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * where)])
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    assert caught.value.slug == "checkpoint-corrupt"


def test_one_flipped_bit_in_the_weights_is_noticed(saved):
    _, path = saved
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="digest"):
        load_model(path)


def test_files_of_others_are_refused(tmp_path):
    foreign, pickle, missing = (tmp_path / n for n in ("a.safetensors", "b.pt", "c.safetensors"))
    save_file({"fc.weight": torch.zeros(2, 2)}, foreign)
    torch.save({"fc.weight": torch.zeros(2, 2)}, pickle)
    slugs = []
    for path in (foreign, pickle, missing):
        with pytest.raises(CheckpointError) as caught:
            load_model(path)
        slugs.append(caught.value.slug)
        assert str(tmp_path) not in str(caught.value)
    assert slugs == ["checkpoint-foreign", "checkpoint-corrupt", "checkpoint-missing"]


@pytest.mark.parametrize(
    "recipe",
    [
        {"architecture": "LeNet", "arguments": {"size": 8, "width": 4, "hidden": 10**7}},  # would take 3 GB
        {"architecture": "LeNet", "arguments": {"size": 8, "width": 4, "hidden": -1}},
        {"architecture": "os.system", "arguments": {}},
        {"architecture": "SmallCNN", "arguments": {}},
        "LeNet",
    ],
)
def test_a_header_that_lies_is_refused(saved, recipe):
    _, path = saved
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    about = json.loads(header["__metadata__"]["about"])
    header["__metadata__"]["about"] = json.dumps({**about, "recipe": recipe})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(CheckpointError):
        load_model(path)


def test_weights_that_are_not_finite_and_facts_that_are_not_json_are_not_written(tmp_path):
    model = build(RECIPE)
    with pytest.raises(CheckpointError, match="JSON"):
        save_model(tmp_path / "m.safetensors", model, RECIPE, {"mean": torch.zeros(1)})
    with torch.no_grad():
        model.fc1.weight[0, 0] = 1e6  # finite as float32, not as float16
    with pytest.raises(CheckpointError, match=r"fc1\.weight"):
        save_model(tmp_path / "m.safetensors", model, RECIPE, FACTS, dtype="float16")
    assert not list(tmp_path.iterdir())
