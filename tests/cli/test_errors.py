"""Whatever is wrong is said once, clearly: what, what was seen and needed, why, what to do; and no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from amiss.training import Preset, save_model
from tests.cli.conftest import draw

VERBS = ("check", "audit")


def truncate(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_path_names_what_is_near(amiss, verb):
    assert amiss(verb, "nets.py:build", "phtos").refused("data-missing", "There is no phtos")["Try"].count("photos")
    lines = amiss(verb, "net.py:build", "photos").refused("model-path", "There is no file 'net.py'", code=1)
    assert "nets.py" in lines["Try"]
    amiss(verb, "nowhere/nets.py:build", "photos").refused("model-path", "nowhere holds no nets.py")
    assert not Path("runs").exists()


@pytest.mark.parametrize("verb", VERBS)
def test_an_empty_folder(amiss, verb):
    Path("empty").mkdir()
    lines = amiss(verb, "nets.py:build", "empty").refused("data-empty", "no image in empty")
    assert "Likely:" in amiss(verb, "nets.py:build", "empty").err
    assert lines["Seen"] == "no files at all"


@pytest.mark.parametrize("verb", VERBS)
def test_a_truncated_png_among_good_ones_is_left_out_and_named(amiss, verb):
    truncate(Path("photos/dark/11.png"))
    said = amiss(verb, "nets.py:wrapped", "photos", "--json")
    assert said.code == 0, said.err
    assert said.err.count("Left out: dark/11.png: 11.png cannot be read as an image") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_a_hostile_name_commands_no_terminal(amiss, verb):
    evil = "\x1b]0;owned\x07\x1b[2J\u202e.png"
    Path("photos/dark", evil).write_bytes(b"no image")
    said = amiss(verb, "nets.py:wrapped", "photos", "--json")
    assert said.code == 0, said.err
    assert "Left out: dark/\\x1b]0;owned\\x07\\x1b[2J\\u202e.png: " in said.err
    for path in Path("photos").rglob("[0-9]*.png"):
        path.unlink()
    said = amiss(verb, "nets.py:build", "photos")
    said.refused("data-unreadable", "\\x1b[2J")
    assert not set("\x1b\x07\u202e") & set(said.err)


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_of_truncated_pngs_alone(amiss, verb):
    for path in Path("photos").rglob("*.png"):
        truncate(path)
    amiss(verb, "nets.py:build", "photos").refused(
        "data-unreadable", "Not one image of photos can be read", "8 refused"
    )


@pytest.mark.parametrize("verb", VERBS)
def test_the_wrong_number_of_channels_names_the_option(amiss, verb):
    lines = amiss(verb, "nets.py:color", "photos").refused("model-channels")
    assert lines["Try"] == "--channels 3"
    assert lines["Seen"].startswith("images of 1 channel (gray)")
    draw(Path("colors"), (8, 8, 3))
    lines = amiss(verb, "nets.py:build", "colors").refused("model-channels")
    assert lines["Try"] == "--channels 1"
    assert "Likely" in lines
    assert amiss(verb, "nets.py:color", "photos", "--channels", 3, "--json").code == 0


@pytest.mark.parametrize("verb", VERBS)
def test_gray_and_color_in_one_folder(amiss, verb):
    rgb = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(rgb).save("photos/dark/color.png")
    assert amiss(verb, "nets.py:build", "photos").refused("model-channels")["Try"] == "--channels 1"
    assert amiss(verb, "nets.py:build", "photos", "--channels", 1, "--json").code == 0


@pytest.mark.parametrize("verb", VERBS)
def test_images_of_many_sizes_name_the_option(amiss, verb):
    Image.fromarray(np.zeros((9, 7), np.uint8)).save("photos/dark/other.png")
    amiss(verb, "nets.py:build", "photos").refused("data-sizes", "size=")


@pytest.mark.parametrize("verb", VERBS)
def test_labels_out_of_range(amiss, verb):
    draw(Path("three"), classes=("a", "b", "c"))
    lines = amiss(verb, "nets.py:build", "three").refused("data-labels", "labels from 0 to 2")
    assert "0 to 1" in lines["Needed"]
    assert "Likely" in lines
    assert not Path("runs/nets-py-build-three").exists()


@pytest.mark.parametrize("verb", VERBS)
def test_the_same_classes_in_another_order(amiss, verb):
    lines = amiss(verb, "nets.py:turned", "photos").refused("data-class-order", "another order")
    assert lines["Seen"] == "data: bright, dark; classifier: dark, bright"


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_without_labels(amiss, verb):
    Path("flat").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("flat/one.png")
    amiss(verb, "nets.py:build", "flat").refused("data-unlabeled", "1 images without labels")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("function", "slug", "words"),
    [
        ("raises", "model-file", ("nets.py raised FileNotFoundError: weights.pt is not here", "of nets.py")),
        ("wants", "model-file", ("TypeError", "it is called without any")),
        ("exits", "model-file", ("SystemExit",)),
        ("nan", "model-not-finite", ("NaN in scale.weight",)),
        ("nothing", "model-function", ("nothing() returns no classifier", "NoneType")),
        ("biuld", "model-function", ("no function 'biuld'", "nets.py:build")),
        ("tuples", "model-output", ("returns no tensor", "answer=")),
        ("maps", "model-shape", ("no row of logits",)),
        ("broken", "model-raises", ("ZeroDivisionError: in the forward pass",)),
    ],
)
def test_a_model_file_that_does_not_give_a_network(amiss, verb, function, slug, words):
    amiss(verb, f"nets.py:{function}", "photos").refused(slug, *words)
    assert not Path("runs").exists()


def test_the_line_of_the_users_file_is_named(amiss):
    line = Path("nets.py").read_text().splitlines().index('    raise FileNotFoundError("weights.pt is not here")') + 1
    assert amiss("check", "nets.py:raises", "photos").refused("model-file")["Seen"] == f"line {line} of nets.py"
    Path("bad.py").write_text("import torch\n\ndef build(:\n", encoding="utf-8")
    assert amiss("check", "bad.py:build", "photos").refused("model-file")["Seen"] == "line 3 of bad.py"
    Path("lost.py").write_text("import no_such_package_at_all\n", encoding="utf-8")
    assert "not installed" in amiss("check", "lost.py:build", "photos").refused("model-file")["Likely"]


@pytest.mark.parametrize(
    ("model", "words"), [("resnet", "none that amiss knows"), ("nets.py", "colon"), ("weights.pth", "pickle")]
)
def test_models_that_are_none(amiss, model, words):
    amiss("check", model, "photos").refused("model-unknown", words, code=2)


def test_files_of_weights(amiss):
    amiss("check", "none.safetensors", "photos").refused("checkpoint-missing", "none.safetensors")
    Path("junk.safetensors").write_bytes(os.urandom(200))
    said = amiss("check", "junk.safetensors", "photos")
    assert said.code == 1
    assert "CheckpointError [" in said.err


def test_a_decoder_is_no_model_and_a_model_no_decoder(amiss):
    from amiss.data import open_data
    from amiss.models import build
    from amiss.training import classifier_for, decoder_for

    images = open_data("photos")
    for name, preset in (("classifier", classifier_for(images)), ("decoder", decoder_for(images))):
        assert isinstance(preset, Preset)
        facts = {"kind": preset.kind, "mean": [0.5], "std": [0.5], "classes": ["bright", "dark"]}
        save_model(f"{name}.safetensors", build(preset.model, seed=0), preset.model, facts)
    for verb in VERBS:
        amiss(verb, "decoder.safetensors", "photos").refused("model-kind", "Give it as --decoder")
        said = amiss(verb, "nets.py:build", "photos", "--decoder", "classifier.safetensors")
        said.refused("model-kind", "amiss train vae")
        said = amiss(verb, "classifier.safetensors", "photos", "--mean", "0.5")
        said.refused("usage-preprocessing", code=2)
    draw(Path("wide"), (12, 12))
    amiss("check", "nets.py:build", "wide", "--decoder", "decoder.safetensors").refused("decoder-shape", "[8, 1, 12")


@pytest.mark.parametrize("verb", VERBS)
def test_parity_is_asked_for(amiss, verb):
    amiss(verb, "nets.py:build", "photos", "--accuracy", 0.99).refused("parity-accuracy", "scores", "you said 99.0%")
    assert amiss(verb, "nets.py:build", "photos", "--accuracy", 95).code == 2


@pytest.mark.parametrize("verb", VERBS)
def test_numbers_that_are_none(amiss, verb):
    for text in ("0.5;0.5", "a", "", "nan", "0.5,"):
        amiss(verb, "nets.py:build", "photos", "--mean", text).refused("usage-numbers", repr(text), code=2)
    amiss(verb, "nets.py:build", "photos", "--mean", "0.5,0.5").refused("model-channels", "mean of 2")
    said = amiss(verb, "nets.py:build", "photos", "--std", "0")
    assert "model-std" in said.err
    amiss(verb, "nets.py:wrapped", "photos", "--std", "0.5").refused("usage-preprocessing", code=2)


@pytest.mark.parametrize("verb", VERBS)
def test_devices_that_are_not_there(amiss, verb, monkeypatch):
    lines = amiss(verb, "nets.py:build", "photos", "--device", "abacus").refused("device", code=2)
    assert "Likely" in lines and "--device cpu" in lines["Try"]
    if not torch.cuda.is_available():
        amiss(verb, "nets.py:build", "photos", "--device", "cuda").refused("device", "cuda", code=2)


def test_a_network_on_the_device_that_was_named(amiss):
    said = amiss("check", "nets.py:wrapped", "photos", "--device", "cpu", "--json")
    assert said.code == 0, said.err


def test_folders_that_are_not_to_be_used(amiss):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years")
    lines = amiss("audit", "nets.py:build", "photos", "--out", "mine", "--overwrite").refused("out-not-empty")
    assert "thesis.txt" in lines["Seen"]
    assert Path("mine/thesis.txt").read_text() == "years"
    amiss("audit", "nets.py:build", "photos", "--out", "nets.py").refused("out-not-folder")
    amiss("audit", "digits", "--out", "mine").refused("out-not-empty")  # before anything is trained
    # A folder that merely looks like a run of ours is somebody's all the same.
    draw(Path("looks/images"))
    amiss("audit", "nets.py:build", "photos", "--out", "looks", "--overwrite").refused("out-not-empty")


def test_arguments_that_mean_nothing(amiss):
    amiss("audit", "nets.py:build").refused("usage-data", code=2)
    amiss("audit", "digits", "--size", 16).refused("usage-digits", "--size", code=2)
    amiss("bench", "speed").refused("bench-unknown", "spine", code=2)
    amiss("bench", "spine", "--only", "linear,lnear").refused("bench-part", "lnear", code=2)
    for arguments in (
        ("audit",),
        ("check", "nets.py:build"),
        ("walk",),
        ("check", "--colour"),
        ("audit", "m", "d", "--batch", 0),
    ):
        said = amiss(*arguments)
        assert said.code == 2
        assert "Traceback" not in said.err


def test_an_interruption_ends_with_130(amiss, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("amiss.audit.run_audit", interrupted)
    said = amiss("audit", "nets.py:build", "photos", "--out", "run")
    assert (said.code, said.out) == (130, "")
    assert said.err.splitlines()[-1] == "Interrupted."
    assert not Path("run").exists()


def test_the_unexpected_is_one_line_and_a_hint(amiss, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("the moon is in the wrong house")

    monkeypatch.setattr("amiss.cli.check.open_data", fails)
    said = amiss("check", "nets.py:build", "photos")
    assert said.code == 1
    first, hint = said.err.splitlines()
    assert first == "amiss failed where it should not: RuntimeError: the moon is in the wrong house"
    assert hint.startswith("  Try: ") and "--debug" in hint
    with pytest.raises(RuntimeError, match="moon"):
        amiss("check", "nets.py:build", "photos", "--debug")


def test_debug_shows_where_an_error_of_ours_comes_from(amiss):
    from amiss.errors import DataError

    with pytest.raises(DataError):
        amiss("check", "nets.py:build", "phtos", "--debug")


def test_the_same_as_a_process(amiss):
    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "amiss", *arguments], capture_output=True, text=True)

    done = run("check", "nets.py:build", "phtos")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("DataError [data-missing] There is no phtos.\n  Seen: ")
    assert "Traceback" not in done.stderr
