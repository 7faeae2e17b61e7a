"""Weights of other people's: read from every honest file, and from no file is anything run."""

import collections
import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import amiss as am
from amiss.errors import CheckpointError, ModelError
from amiss.loading.pickles import forbidden_globals
from amiss.loading.weights import put_weights


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Bomb:
    """Whoever opens it the old way runs this: a file appears."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


class Two(Bomb):
    def __reduce__(self):
        return eval, ("__import__('os').mkdir('ran')",)


def test_a_tensor_that_claims_more_than_its_file_brings(refuses):
    """Networks are made as wide as the weights say, so a claim alone would fill the memory."""
    dense = torch.ones(2, 2)
    with torch.sparse.check_sparse_tensor_invariants():
        sparse = torch.ones(2, 2).to_sparse()
    for claim in (torch.zeros(1).expand(10**12), sparse, torch.zeros(2, 2, device="meta")):
        torch.save({"fc.weight": claim, "fc.bias": dense}, "claim.pt")
        with refuses(CheckpointError, "weights-claim") as caught:
            am.load_weights("claim.pt")
        assert "fc.weight" in caught.value.seen
    tied = torch.ones(300, 300)
    torch.save({"a": tied, "b": tied.T, "c": torch.arange(4).expand(1, 4)}, "tied.pt")
    assert am.load_weights("tied.pt")["b"].shape == (300, 300)


# What is read


def test_safetensors_and_every_form_of_torch_save_give_the_same(net):
    state = net.state_dict()
    save_file(state, "a.safetensors")
    torch.save(state, "a.pt")
    torch.save(state, "a.pth", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": state, "best": 0.9, "args": {"lr": [1, 2]}}, "a.ckpt")
    torch.save({"model_state_dict": state}, "a.bin")
    torch.save({"model": dict(state)}, "b.bin")
    for name in ("a.safetensors", "a.pt", "a.pth", "a.ckpt", "a.bin", "b.bin"):
        assert same(am.load_weights(name), dict(state)), name
        assert same(am.load_weights(Path(name)), dict(state))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_names_of_wrappers_are_dropped(net, prefix):
    state = net.state_dict()
    torch.save({"state_dict": {prefix + k: v for k, v in state.items()}}, "a.pt")
    assert same(am.load_weights("a.pt"), dict(state))


def test_a_prefix_that_not_all_have_is_a_name():
    weights = {"module.a": torch.ones(1), "b": torch.ones(1)}
    torch.save(weights, "a.pt")
    assert same(am.load_weights("a.pt"), weights)


def test_parameters_come_as_tensors_without_a_graph(net):
    torch.save({"a": nn.Parameter(torch.ones(2))}, "a.pt")
    found = am.load_weights("a.pt")["a"]
    assert not found.requires_grad
    assert torch.equal(found, torch.ones(2))


# What is refused


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_file_that_would_run_code_is_named_and_does_not(refuses, zipped, protocol):
    torch.save({"w": torch.ones(1), "x": Bomb(), "y": Two()}, "a.pt", pickle_protocol=protocol,
               _use_new_zipfile_serialization=zipped)  # fmt: skip
    with refuses(CheckpointError, "weights-forbidden") as caught:
        am.load_weights("a.pt")
    assert "builtins.eval" in caught.value.seen
    assert f"{os.mkdir.__module__}.mkdir" in caught.value.seen
    assert not Path("ran").exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_plain_pickle_does_not_run_either(refuses, protocol):
    Path("a.pth").write_bytes(pickle.dumps(Bomb(), protocol=protocol))
    with refuses(CheckpointError, "weights-forbidden") as caught:
        am.load_weights("a.pth")
    assert caught.value.seen == f"{os.mkdir.__module__}.mkdir"
    assert not Path("ran").exists()
    pickle.loads(Path("a.pth").read_bytes())
    assert Path("ran").exists()  # the bomb is a bomb


def test_a_switch_of_torch_for_all_loads_is_not_heeded():
    Path("a.pth").write_bytes(pickle.dumps(Bomb(), protocol=2))
    code = "import amiss as am\ntry: am.load_weights('a.pth')\nexcept am.errors.CheckpointError as e: print(e.slug)"
    environment = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "weights-forbidden\n", done.stderr
    assert not Path("ran").exists()


def test_a_whole_network_is_refused_with_the_names_of_its_classes(net, refuses):
    torch.save(net, "a.pt")
    with refuses(CheckpointError, "weights-forbidden") as caught:
        am.load_weights("a.pt")
    assert "torch.nn.modules.conv.Conv2d" in caught.value.seen
    assert "state_dict" in caught.value.hint
    assert "weights_only" not in str(caught.value)  # nobody is told to open it the old way


def test_names_are_followed_through_a_pickles_memory(refuses):
    # Module and name by GET, as no pickler writes them and any opens them.
    body = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94" + b"00" + b"h\x00h\x01\x93."
    Path("a.pt").write_bytes(body)
    assert forbidden_globals("a.pt") == ("os.system",)


def test_hostile_names_are_cut_and_cleaned():
    wide = b"\x80\x04\x8c\x04a\x1b[2\x94X\xff\x00\x00\x00" + b"n" * 255 + b"\x94\x93."
    Path("a.pt").write_bytes(wide)
    (name,) = forbidden_globals("a.pt")
    assert len(name) == 80
    assert name.isprintable()


def test_files_that_make_no_sense_forbid_nothing_and_raise_nothing(net):
    torch.save(net, "whole.pt")
    whole = Path("whole.pt").read_bytes()
    for i, body in enumerate(
        (b"", b"PK\x03\x04", b"\x80", whole[:100], whole[: len(whole) // 2], bytes(range(256)) * 4)
    ):
        Path(f"{i}.pt").write_bytes(body)
        assert forbidden_globals(f"{i}.pt") == ()
    assert forbidden_globals("nowhere.pt") == ()


def test_what_torch_allows_is_not_called_forbidden(net):
    torch.save({"a": collections.OrderedDict(net.state_dict()), "s": torch.Size([1]), "d": torch.float16}, "a.pt")
    torch.save(net.state_dict(), "b.pt", _use_new_zipfile_serialization=False)
    assert forbidden_globals("a.pt") == forbidden_globals("b.pt") == ()


def test_files_that_cannot_be_read(net, refuses):
    torch.save(net.state_dict(), "whole.pt")
    save_file(net.state_dict(), "whole.safetensors")
    for whole in ("whole.pt", "whole.safetensors"):
        body = Path(whole).read_bytes()
        for i, cut in enumerate((0, 3, 40, len(body) // 2)):
            path = Path(f"{i}{Path(whole).suffix}")
            path.write_bytes(body[:cut])
            with refuses(CheckpointError, "weights-file"):
                am.load_weights(path)
    Path("junk.bin").write_bytes(os.urandom(500))
    with refuses(CheckpointError, "weights-file"):
        am.load_weights("junk.bin")


def test_a_compressed_archive_is_not_unpacked(net, refuses):
    torch.save({"a": torch.zeros(1_000_000)}, "a.pt")
    with zipfile.ZipFile("a.pt") as old, zipfile.ZipFile("b.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    assert Path("b.pt").stat().st_size < 20_000
    with refuses(CheckpointError, "weights-file") as caught:
        am.load_weights("b.pt")
    assert "compressed" in caught.value.seen


def test_a_program_is_no_weights(refuses):
    with zipfile.ZipFile("a.pt", "w") as archive:  # as torch.jit.save lays it out
        archive.writestr("a/constants.pkl", pickle.dumps(()))
        archive.writestr("a/data.pkl", pickle.dumps({}))
        archive.writestr("a/code/__torch__.py", "raise SystemExit")
    with refuses(CheckpointError, "weights-file") as caught:
        am.load_weights("a.pt")
    assert "TorchScript" in caught.value.seen


def test_files_without_weights(refuses):
    for i, value in enumerate(
        ([torch.ones(1)], {}, {"epoch": 3}, {"nested": {"deep": {"w": torch.ones(1)}}}, {1: torch.ones(1)})
    ):
        torch.save(value, f"{i}.pt")
        with refuses(CheckpointError, "weights-none"):
            am.load_weights(f"{i}.pt")
    torch.save(torch.ones(3), "t.pt")
    with refuses(CheckpointError, "weights-none"):
        am.load_weights("t.pt")


def test_a_missing_file_names_what_is_near(net, refuses):
    torch.save(net.state_dict(), "weights.pt")
    with refuses(CheckpointError, "weights-missing") as caught:
        am.load_weights("wieghts.pt")
    assert "weights.pt" in caught.value.hint


# Into a network


def test_weights_are_put_into_a_network(net):
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    save_file(net.state_dict(), "a.safetensors")
    put_weights(other, "a.safetensors")
    assert same(dict(other.state_dict()), dict(net.state_dict()))


def test_weights_that_do_not_fit(net, refuses):
    state = net.state_dict()
    wrong = {
        "missing": {k: v for k, v in state.items() if k != "0.weight"},
        "more": {**state, "9.weight": torch.ones(1)},
        "shape": {**state, "0.bias": torch.ones(7)},
    }
    for name, weights in wrong.items():
        torch.save(weights, f"{name}.pt")
        with refuses(ModelError, "weights-fit") as caught:
            put_weights(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), f"{name}.pt")
        assert {"missing": "0.weight", "more": "9.weight", "shape": "0.bias"}[name] in caught.value.seen


def test_weights_that_are_nan(net, refuses):
    state = {k: v.clone() for k, v in net.state_dict().items()}
    state["0.bias"][1] = float("nan")
    buffer = io.BytesIO()
    torch.save(state, buffer)
    Path("a.pt").write_bytes(buffer.getvalue())
    with refuses(ModelError, "model-not-finite") as caught:
        put_weights(net, "a.pt")
    assert "0.bias" in caught.value.seen
