"""`amiss train`: what it leaves behind, how it goes on, and what it refuses."""

import json

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from amiss.cli.train import TrainRequest, train, train_to_folder
from amiss.errors import CheckpointError, DataError, UsageError
from amiss.models import CodeFlow, ConvVAE, ResNet
from amiss.training import load_model

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
    assert names == ["curve.svg", "model.safetensors", "state.safetensors", "training.json"]
    assert str(tmp_path) not in (out / "training.json").read_text()


def test_a_residual_network_is_trained_where_it_is_named(squares, tmp_path):
    request = TrainRequest("classifier", squares, tmp_path / "run", epochs=2, network="ResNet")
    assert train_to_folder(request)["preset"]["model"]["architecture"] == "ResNet"
    assert isinstance(load_model(tmp_path / "run" / "model.safetensors")[0], ResNet)
    with pytest.raises(UsageError, match="architecture of its own"):
        train_to_folder(TrainRequest("vae", squares, tmp_path / "other", network="ResNet"))


def test_an_interrupted_command_goes_on_to_the_same_model(squares, tmp_path):
    def request(out):
        return TrainRequest("vae", squares, tmp_path / out, epochs=6, latent=2)

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


def test_requests_that_mean_nothing_are_refused(squares, tmp_path):
    out = tmp_path / "run"
    for request in (
        TrainRequest("gan", squares, out),
        TrainRequest("classifier", squares, out, latent=3),
        TrainRequest("flow", squares, out, latent=3),
        TrainRequest("vae", squares, out, codes="vae.safetensors"),
        TrainRequest("classifier", squares, out, device="abacus"),
    ):
        with pytest.raises(UsageError):
            train_to_folder(request)
    with pytest.raises(DataError):
        train_to_folder(TrainRequest("classifier", str(tmp_path / "nowhere"), out))
    assert not out.exists()


def test_a_flow_is_trained_on_pixels_or_on_the_codes_of_a_vae(squares, tmp_path):
    train_to_folder(TrainRequest("vae", squares, tmp_path / "vae", epochs=2, latent=2))
    codes = str(tmp_path / "vae" / "model.safetensors")
    pixels = train_to_folder(TrainRequest("flow", squares, tmp_path / "pixels", epochs=1))
    mapped = train_to_folder(TrainRequest("flow", squares, tmp_path / "codes", epochs=1, codes=codes))
    assert pixels["kind"] == mapped["kind"] == "flow"
    assert pixels["figures"]["mse"] < 1e-10 < mapped["figures"]["mse"]
    assert pixels["figures"]["bits_per_dim"] < 8
    vae, flow = (load_model(tmp_path / name / "model.safetensors")[0] for name in ("vae", "codes"))
    assert isinstance(flow, CodeFlow)
    x = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(flow.decode(flow.encode(x)), vae(x))
    # Codes of another vae make another run, though no tensor has another shape.
    train_to_folder(TrainRequest("vae", squares, tmp_path / "other", epochs=2, latent=2, seed=1))
    other = str(tmp_path / "other" / "model.safetensors")
    with pytest.raises(CheckpointError, match="another run"):
        train_to_folder(TrainRequest("flow", squares, tmp_path / "codes", epochs=1, codes=other))


def test_the_command_prints_a_summary_or_json_or_nothing(squares, tmp_path):
    app = typer.Typer()
    app.command()(train)
    base = ["classifier", squares, "--epochs", "8", "--out", str(tmp_path / "run")]
    said = {flag: CliRunner().invoke(app, [*base, *flag.split()]) for flag in ("", "--json", "--quiet")}
    assert [r.exit_code for r in said.values()] == [0, 0, 0]
    assert "accuracy 1" in said[""].output
    assert json.loads(said["--json"].output)["figures"]["accuracy"] == 1.0
    assert said["--quiet"].output == ""
