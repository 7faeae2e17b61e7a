"""`amiss train text FILE` and `amiss sample CHECKPOINT --prompt TEXT`."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from amiss.models import build
from amiss.training import load_model, save_model

TRAIN = ("train", "text", "hello", "--hidden", "16", "--out", "run")


@pytest.fixture
def hello(amiss):
    """A folder `run` with a model that has learned the smallest text."""
    said = amiss(*TRAIN)
    assert said.code == 0, said.err
    return amiss


def test_a_text_is_learned_and_continued(hello):
    assert {p.name for p in Path("run").iterdir()} >= {
        "model.safetensors",
        "training.json",
        "curve.svg",
        "samples.txt",
        "expected.svg",
    }
    figures = json.loads(Path("run/training.json").read_text())["figures"]
    assert figures["characters"] == 5
    assert figures["bits_per_character"] < 0.1
    words = ("sample", "run/model.safetensors", "--prompt", "h", "--length", "4", "--top-k", "1")
    assert hello(*words).out == "hello\n"
    assert hello(*words, "-n", "2").out == "hello\n\nhello\n"
    said = json.loads(hello(*words, "--json", "--out", "drawn").out)
    assert said["texts"] == ["hello"]
    assert said == json.loads(Path("drawn/sample.json").read_text())
    assert hello(*words, "--quiet").out == "hello\n"  # nowhere else
    assert hello(*words, "--quiet", "--out", "drawn").out == ""
    assert "amiss sample CHECKPOINT --prompt" in hello("check", "run/model.safetensors", "photos").err
    assert (
        "amiss sample run/model.safetensors"
        in hello("show", "run").refused("run-missing", "trained model, text")["Try"]
    )


def test_draws_repeat_by_their_seed(hello):
    words = ("sample", "run/model.safetensors", "--length", "40", "--temperature", "3")
    first, same, other = (hello(*words, "--seed", seed).out for seed in "001")
    assert first == same != other
    assert len(first) == 41


def test_a_text_does_nothing_to_the_terminal(amiss):
    Path("bad.txt").write_text("\x1b[2Ja\n" * 9)
    assert amiss("train", "text", "bad.txt", "--hidden", "8", "--steps", "2", "--out", "bad").code == 0
    out = amiss("sample", "bad/model.safetensors", "--length", "60").out
    assert "\x1b" not in out
    assert "\n" in out.strip("\n")


def test_an_interrupted_text_goes_on(hello):
    before = load_model("run/model.safetensors")[0].state_dict()
    assert hello(*TRAIN).code == 0  # it is done: nothing changes
    after = load_model("run/model.safetensors")[0].state_dict()
    assert all(torch.equal(t, after[name]) for name, t in before.items())
    assert hello(*TRAIN, "--more", "5").code == 0
    assert json.loads(Path("run/training.json").read_text())["history"]["steps"] == 305


@pytest.mark.parametrize(
    ("words", "slug", "code"),
    [
        ("--prompt help", "text-symbol", 1),
        ("--length 0", None, 2),
        ("--top-k 0", None, 2),
        ("--temperature 0", "sample-options", 2),
        ("--given photos", "sample-options", 2),
        ("--caption h", "sample-options", 2),
        ("--grid", "sample-options", 2),
    ],
)
def test_what_a_language_model_cannot_be_asked_is_refused(hello, words, slug, code):
    said = hello("sample", "run/model.safetensors", *words.split())
    if slug is None:
        assert said.code == code
    else:
        said.refused(slug, code=code)


@pytest.mark.parametrize(
    ("words", "slug", "code"),
    [
        ("hello --size 8", "train-option", 2),
        ("hello --label-column a", "train-option", 2),
        ("nothing.txt", "text-missing", 1),
        ("photos", "text-missing", 1),
        ("nets.py --limit 1", "text-short", 1),
        ("hello --cell elm", "train-option", 2),
        ("hello --window 0", "text-window", 2),
        ("hello --dropout 1", "token-density", 2),
    ],
)
def test_what_is_no_text_to_learn_from_is_refused(amiss, words, slug, code):
    amiss("train", "text", *words.split(), "--out", "run").refused(slug, code=code)


def test_a_text_too_short_for_a_last_tenth_is_learned_all_the_same(amiss):
    Path("two.txt").write_text("ab")
    said = amiss("train", "text", "two.txt", "--hidden", "4", "--out", "run")
    assert said.code == 0
    assert "nothing to test on" in said.out
    assert "a character" in Path("run/curve.svg").read_text()
    said = amiss("sample", "run/model.safetensors", "--length", "10001")
    assert "10,001 characters" in said.err
    assert len(said.out) == 10_002
    assert set(said.out) == {"a", "b", "\n"}


@pytest.mark.parametrize("words", [["--prompt", "h"], ["--length", "4"], ["--top-k", "1"], []])
def test_a_model_of_images_writes_no_text_and_needs_a_folder(amiss, words):
    recipe = {"architecture": "DCGAN", "arguments": {"size": 8, "latent": 4, "width": 4}}
    save_model("gan.safetensors", build(recipe), recipe, {"kind": "dcgan"})
    amiss("sample", "gan.safetensors", *words).refused("sample-options", code=2)


@pytest.fixture
def captioner(amiss):
    """An untrained captioner of images of 8 pixels a side."""
    recipe = {"architecture": "Captioner", "arguments": {"words": ["a", "two"], "size": 8, "width": 2, "length": 3}}
    save_model("captioner.safetensors", build(recipe, seed=2), recipe, {"kind": "captioner"})
    return amiss


def test_images_are_described(captioner):
    words = ("sample", "captioner.safetensors", "--given", "photos", "--limit", "3", "--out", "told")
    lines = captioner(*words).out.splitlines()
    rows = json.loads(Path("told/sample.json").read_text())["captions"]
    assert lines == [f"{row['given']}: {row['caption'] or '(nothing)'}" for row in rows]
    assert len(rows) == 3
    assert all(row["nats"] < 0 for row in rows)
    captioner("sample", "captioner.safetensors").refused("sample-options", code=2)
    captioner(*words, "--prompt", "a").refused("sample-options", code=2)


def test_images_are_brought_to_the_channels_that_the_captioner_knows(captioner):
    for path in sorted(Path("photos").rglob("*.png"))[:4]:
        Image.open(path).convert("RGB").resize((16, 12)).save(path)
    words = ("sample", "captioner.safetensors", "--given")
    assert len(captioner(*words, "photos").out.splitlines()) >= 4
    assert len(captioner(*words, str(path)).out.splitlines()) == 1


def test_a_captioner_that_says_nothing_is_said_to(captioner):
    recipe = {"architecture": "Captioner", "arguments": {"words": ["a"], "size": 8, "width": 2, "length": 3}}
    model = build(recipe, seed=2)
    with torch.no_grad():
        model.readout.bias[model.end] = 99
    save_model("mute.safetensors", model, recipe, {"kind": "captioner"})
    said = captioner("sample", "mute.safetensors", "--given", "photos", "--limit", "1", "--out", "told", "--quiet")
    assert said.out == ""
    assert json.loads(Path("told/sample.json").read_text())["captions"][0]["caption"] == ""
    assert captioner("sample", "mute.safetensors", "--given", "photos", "--limit", "1", "-q").out.endswith(
        ": (nothing)\n"
    )


def test_a_captioner_is_no_classifier_and_says_who_can_ask_it(captioner):
    row = captioner("check", "captioner.safetensors", "photos").refused("model-kind")["Try"]
    assert "amiss sample CHECKPOINT --given" in row and "am.open_captioner" in row
