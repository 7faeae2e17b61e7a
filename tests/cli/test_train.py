"""`amiss train`: what it leaves behind, how it goes on, and what it refuses."""

import json
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from amiss.cli.train import _Reporter, help_of_kind, read_options
from amiss.cli.training import TrainRequest, train_to_folder
from amiss.data import read_image
from amiss.errors import CheckpointError, DataError, UsageError
from amiss.models import CodeFlow, ConvVAE, ResNet
from amiss.training import KINDS, Watch, load_model
from amiss.training.pictures import magnified

torch.set_num_threads(1)


@pytest.fixture
def squares(tmp_path):
    """Bright squares on the left or on the right: 96 to learn from, 32 to test."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 96), ("test", 32)):
        y = np.arange(n) % 2
        x = rng.integers(0, 60, (n, 8, 8), dtype=np.uint8)
        for i, side in enumerate(y):
            x[i, 2:6, 4 * side : 4 * side + 3] += 180
        arrays |= {f"x_{split}": x, f"y_{split}": y}
    path = tmp_path / "squares.npz"
    np.savez(path, **arrays)
    return str(path)


def test_a_classifier_is_trained_tested_and_described(squares, tmp_path):
    out = tmp_path / "run"
    report = train_to_folder(TrainRequest("classifier", squares, out, epochs=8))
    assert report["figures"]["accuracy"] == 1.0
    assert report["figures"]["images"] == report["data"]["test"] == 32
    assert json.loads((out / "training.json").read_text()) == json.loads(json.dumps(report))
    model, facts = load_model(out / "model.safetensors")
    assert facts["kind"] == "classifier"
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 2)
    assert "<polyline" in (out / "curve.svg").read_text()
    names = sorted(p.name for p in out.iterdir())
    assert names == ["curve.svg", "model.safetensors", "state.safetensors", "training.json"]  # it draws no images
    assert str(tmp_path) not in (out / "training.json").read_text()


def test_a_residual_network_is_trained_where_it_is_named(squares, tmp_path):
    request = TrainRequest("classifier", squares, tmp_path / "run", epochs=2, options={"network": "ResNet"})
    assert train_to_folder(request)["preset"]["model"]["architecture"] == "ResNet"
    assert isinstance(load_model(tmp_path / "run" / "model.safetensors")[0], ResNet)
    with pytest.raises(UsageError, match="has no option 'network'"):
        train_to_folder(TrainRequest("vae", squares, tmp_path / "other", options={"network": "ResNet"}))


def test_an_interrupted_command_goes_on_to_the_same_model(squares, tmp_path):
    def request(out):
        return TrainRequest("vae", squares, tmp_path / out, epochs=6, options={"latent": 2})

    def stop(progress):
        if progress.step == 4:
            raise KeyboardInterrupt

    train_to_folder(request("whole"))
    with pytest.raises(KeyboardInterrupt):
        train_to_folder(request("parts"), stop)
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    assert train_to_folder(request("parts"))["history"]["resumed"] == 4
    whole, parts = (load_model(tmp_path / name / "model.safetensors")[0] for name in ("whole", "parts"))
    assert isinstance(whole, ConvVAE)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def test_a_folder_with_another_run_is_refused(squares, tmp_path):
    train_to_folder(TrainRequest("classifier", squares, tmp_path / "run", epochs=1))
    with pytest.raises(CheckpointError, match=r"recipe\.epochs: 1 there, 2 here"):
        train_to_folder(TrainRequest("classifier", squares, tmp_path / "run", epochs=2))


def test_a_file_in_the_place_of_the_folder_is_refused_before_anything_is_trained(squares, tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(DataError, match="out-not-folder"):
        train_to_folder(TrainRequest("classifier", squares, tmp_path / "run", epochs=1e6))
    assert (tmp_path / "run").read_text() == "mine"


def test_requests_that_mean_nothing_are_refused(squares, tmp_path):
    out = tmp_path / "run"
    for request in (
        TrainRequest("gnome", squares, out),
        TrainRequest("classifier", squares, out, options={"latent": 3}),
        TrainRequest("flow", squares, out, options={"latent": 3}),
        TrainRequest("vae", squares, out, options={"codes": "vae.safetensors"}),
        TrainRequest("classifier", squares, out, device="abacus"),
        TrainRequest("classifier", squares, out, epochs=1, steps=2),
        TrainRequest("classifier", squares, out, epochs=1, more=2),
    ):
        with pytest.raises(UsageError):
            train_to_folder(request)
    with pytest.raises(DataError):
        train_to_folder(TrainRequest("classifier", str(tmp_path / "nowhere"), out))
    assert not out.exists()


def test_a_flow_is_trained_on_pixels_or_on_the_codes_of_a_vae(squares, tmp_path):
    train_to_folder(TrainRequest("vae", squares, tmp_path / "vae", epochs=2, options={"latent": 2}))
    codes = load_model(tmp_path / "vae" / "model.safetensors")
    pixels = train_to_folder(TrainRequest("flow", squares, tmp_path / "pixels", epochs=1))
    mapped = train_to_folder(TrainRequest("flow", squares, tmp_path / "codes", epochs=1, options={"codes": codes}))
    assert pixels["kind"] == mapped["kind"] == "flow"
    assert pixels["figures"]["mse"] < 1e-10 < mapped["figures"]["mse"]
    assert pixels["figures"]["bits_per_dim"] < 8
    vae, flow = (load_model(tmp_path / name / "model.safetensors")[0] for name in ("vae", "codes"))
    assert isinstance(flow, CodeFlow)
    x = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(flow.decode(flow.encode(x)), vae(x))
    # Codes of another vae make another run, though no tensor has another shape.
    train_to_folder(TrainRequest("vae", squares, tmp_path / "other", epochs=2, options={"latent": 2}, seed=1))
    other = load_model(tmp_path / "other" / "model.safetensors")
    with pytest.raises(CheckpointError, match="another run"):
        train_to_folder(TrainRequest("flow", squares, tmp_path / "codes", epochs=1, options={"codes": other}))


def test_the_command_prints_a_summary_or_json_or_nothing(amiss, squares):
    base = ["train", "classifier", squares, "--epochs", "8", "--out", "run"]
    said = {flag: amiss(*base, *flag.split()) for flag in ("", "--json", "--quiet")}
    assert [r.code for r in said.values()] == [0, 0, 0]
    assert "accuracy 1" in said[""].out
    assert json.loads(said["--json"].out)["figures"]["accuracy"] == 1.0
    assert said["--quiet"].out == said["--quiet"].err == ""


def test_a_total_of_steps_and_more_of_them(amiss, squares):
    steady = ["train", "vae", squares, "--latent=2", "--seed", "3", "--quiet"]
    for out, options in (("whole", "--steps 9"), ("parts", "--steps 5"), ("parts", "--steps 5 --more 4")):
        assert amiss(*steady, "--out", out, *options.split()).code == 0
    reports = [json.loads(Path(out, "training.json").read_text()) for out in ("whole", "parts")]
    assert [r["history"]["steps"] for r in reports] == [9, 9]
    assert reports[1]["history"]["resumed"] == 5
    # The total is the recipe's: another one is another run, which the error tells from more steps of this one.
    amiss(*steady, "--out", "parts", "--steps", "7").refused("checkpoint-other-run", "--more N")
    amiss(*steady, "--out", "new", "--steps", "5", "--more", "4").refused("training-more", "no state", code=2)


def test_curve_and_picture_are_renewed_while_it_runs_and_change_nothing(squares, tmp_path):
    seen = []

    def look(here):
        out = tmp_path / "watched"
        seen.append({p.name: p.stat().st_mtime_ns for p in out.iterdir() if p.suffix in (".png", ".svg")})
        assert not (out / "model.safetensors").exists()
        root = ElementTree.parse(out / "curve.svg")
        (held,) = [e for e in root.iter() if "stroke-dasharray" in e.attrib]
        assert len(held.attrib["points"].split()) == len(here.held["autoencoder"]) == len(seen)

    def request(out):
        return TrainRequest("vae", squares, tmp_path / out, steps=6, options={"latent": 2})

    report = train_to_folder(request("watched"), on_look=look, watch=Watch(print, every=2))
    train_to_folder(request("alone"), watch=Watch(print, every=100))
    assert [set(files) for files in seen] == [{"curve.svg", "reconstructions.png", "samples.png"}] * 3
    assert len({files["samples.png"] for files in seen}) == 3
    assert [step for step, _ in report["history"]["held"]["autoencoder"]] == [2, 4, 6]
    watched, alone = (load_model(tmp_path / name / "model.safetensors")[0] for name in ("watched", "alone"))
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), alone.parameters(), strict=True))
    page = magnified(torch.zeros(1, 4 * 9 + 1, 4 * 9 + 1))
    assert read_image(tmp_path / "watched" / "samples.png").shape == page.shape


@pytest.mark.parametrize(
    ("words", "slug", "said"),
    [
        ("train vae DATA --out x --width 3", "train-option", "--latent"),
        ("train vae DATA --out x --latent many", "train-option", "a whole number"),
        ("train vae DATA --out x --latent", "train-option", "a value after it"),
        ("train dcgan DATA --out x --generator minmax", "train-option", "one of non-saturating, minimax"),
        ("train classifier DATA --out x --codes v", "train-option", "--network"),
        ("train flow DATA --out x --codes nowhere.safetensors", "checkpoint-missing", "nowhere"),
        ("train gnome DATA --out x", "train-kind", "classifier"),
        ("train vae DATA more --out x", "train-words", "more"),
        ("train classifier nowhere --out x", "data-missing", "nowhere"),
        ("train vae DATA --out x --size 7 --processes 1", "vae-arguments", "8"),
    ],
)
def test_one_clear_error_for_what_a_kind_does_not_take(amiss, squares, words, slug, said):
    words = [squares if word == "DATA" else word for word in words.split()]
    code = 1 if slug.startswith(("checkpoint", "data")) else 2
    assert "Try" in amiss(*words).refused(slug, said, code=code)
    assert not Path("x").exists()


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_every_option_of_every_kind_is_explained_and_read(amiss, kind):
    said = amiss("train", kind.name, "--help")
    assert said.code == 0 and said.out.strip() == help_of_kind(kind).strip()
    for option, parameter in kind.options.items():
        line = next(line for line in said.out.splitlines() if line.startswith(f"  --{option.replace('_', '-')} "))
        assert len(line.split()) > 2, "its docstring says nothing of it"
        if isinstance(parameter.default, bool):
            assert read_options(kind, [f"--no-{option.replace('_', '-')}"]) == {option: False}
        elif "Module" not in str(parameter.annotation):
            words = get_args(parameter.annotation)
            word = next((w for w in words if isinstance(w, str)), "7")
            assert str(read_options(kind, [f"--{option.replace('_', '-')}", word])[option]).strip("(',)") in (
                word, f"{word}.0")  # fmt: skip


def test_two_processes_train_by_one_command(amiss, squares):
    base = ["train", "classifier", squares, "--steps", "4", "--quiet", "--out"]
    assert amiss(*base, "two", "--processes", "2").code == 0
    assert amiss(*base, "one").code == 0
    one, two = (load_model(Path(out, "model.safetensors"))[0] for out in ("one", "two"))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_who_interrupts_a_command_is_told_how_it_goes_on(amiss, squares, tmp_path, monkeypatch):
    step = _Reporter.step

    def stop(self, progress):
        step(self, progress)
        if progress.step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Reporter, "step", stop)
    words = ("train", "vae", squares, "--latent", "2", "--epochs", "4", "--out", str(tmp_path / "run"))
    said = amiss(*words)
    assert said.code == 130
    assert "the same command goes on there" in said.err
    amiss("sample", str(tmp_path / "run" / "model.safetensors"), "--out", "drawn").refused(
        "checkpoint-missing", "the same amiss train command goes on with it"
    )
    monkeypatch.setattr(_Reporter, "step", step)
    assert amiss(*words).code == 0


def test_a_model_that_learns_by_heart_is_said_to(amiss, squares, tmp_path, monkeypatch):
    words = ("train", "vae", squares, "--latent", "2", "--steps", "3", "--out")
    assert "by heart" not in amiss(*words, str(tmp_path / "one")).err
    monkeypatch.setattr("amiss.cli.train.turned", lambda held: (2, 1.0, 1.5))
    assert "least at step 2, 1, and is 1.5 now" in amiss(*words, str(tmp_path / "two")).err
