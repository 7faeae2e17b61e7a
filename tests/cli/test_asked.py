"""What a folder of training says of its model is what its model answers to, of every kind."""

import json
import shlex
from pathlib import Path

import pytest
import torch

import amiss.training.presets.sequences
from amiss.data.sequences import Sequences
from amiss.models import build
from amiss.training import KINDS, save_model
from tests.training.test_every_kind import TINY, preset_of

torch.set_num_threads(1)

MODEL = "run/model.safetensors"


def saved(preset, **facts):
    """A folder as `amiss train` leaves it, with a network that has learned nothing."""
    known = {"kind": preset.kind, "classes": list("0123456789"), "mean": None, "std": None, "heads": ["odd", "large"]}
    Path("run").mkdir()
    save_model(MODEL, build(preset.model, seed=0), preset.model, known | facts)
    Path("run/training.json").write_text(json.dumps({"kind": preset.kind, "preset": {"model": preset.model}}))


@pytest.fixture
def hints(amiss, monkeypatch):
    """What `amiss show` says can be done, and what who wanted a classifier is told."""
    monkeypatch.setenv("COLUMNS", "400")

    def call():
        refused = amiss("check", MODEL, "digits").refused("model-kind")["Try"]
        return amiss("show", "run").refused("run-missing")["Try"], refused.replace("CHECKPOINT", MODEL)

    return call


def answered(said, **known):
    """What the words of Python give, whose reason stands behind them."""
    words = said.removeprefix("In Python: ").split(" (")[0]
    return eval(words, {"amiss": amiss, **known})


@pytest.mark.parametrize("name", [name for name in KINDS if name != "label-sequence"])
def test_every_kind_has_a_command_that_asks_it(amiss, name):
    saved(preset_of(name, TINY[name].images()[0]))
    said = amiss("show", "run").refused("run-missing")["Try"].split(", or ")[0]
    for word, value in (
        ("strips:DATA", "strips:digit-movies"), ("DATA", "digits"), ("NAME", "odd"), ("TEXT", "he"),
    ):  # fmt: skip
        said = said.replace(word, value)
    words = shlex.split(said)
    done = amiss(*words[1:], *(() if words[1] == "sample" and "--given" not in words else ("--limit", "4")))
    if name == "attributes":
        done.refused("data-labels", "2 logits")  # the head was found; ten digits are no attribute
    else:
        assert done.code == 0, done.err


def test_a_model_of_labels_is_asked_in_python(amiss, hints):
    saved(preset_of("label-sequence", TINY["label-sequence"].images()[0]))
    said, refused = hints()
    frames = TINY["label-sequence"].images()[1].frames
    assert said == refused and answered(said, frames=frames).shape == frames.shape[:2]
    amiss("sample", MODEL, "--out", "samples").refused("sample-options", code=2)


@pytest.mark.parametrize(
    ("frames", "options", "why"),
    [
        (torch.rand(4, 5, 3), {}, "movies alone"),
        (torch.rand(4, 5, 3), {"keep": 2}, "--keep"),
        (torch.zeros(4, 5, 1, 8, 8, dtype=torch.uint8), {"keep": 2}, "--keep"),
    ],
)
def test_classifiers_of_sequences_that_strips_do_not_show_are_asked_in_python(hints, frames, options, why):
    sequences = Sequences.of(frames, None, [0, 1, 0, 1])
    saved(KINDS["sequence-classifier"].preset(sequences, hidden=4, **options))
    said, refused = hints()
    assert said == refused and why in said
    assert answered(said, sequences=sequences).shape == (4, 2)


def test_one_that_reads_numbers_beside_frames_is_asked_in_python(amiss, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    movies = Sequences.of(
        torch.zeros(4, 5, 1, 8, 8, dtype=torch.uint8), None, [0, 1, 0, 1], beside=torch.rand(4, 5, 2)
    )
    saved(KINDS["sequence-classifier"].preset(movies, hidden=4), classes=["0", "1"])
    said = amiss("show", "run").refused("run-missing", "numbers beside")["Try"]
    assert answered(said, sequences=movies).shape == (4, 2)
    amiss("check", MODEL, "strips:digit-movies").refused("film-strip", code=2)  # as that says
