"""Settings that a stranger may have edited: each is of its kind, or the file is refused before anything is opened."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from amiss.cli.config import RunConfig, read_config
from amiss.errors import DataError

SAID = RunConfig(
    "fgsm",
    "net.safetensors",
    "photos",
    seed=3,
    settings={"eps": 0.1, "target": None},
    images={"split": "test", "limit": 12},
    network={"mean": (0.5, 0.25), "head": "2", "accuracy": 0.9, "weights": "w.pt"},
    budget={"steps": 4, "seconds": 1.5},
)


def test_what_was_written_is_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    Path("run/config.toml").write_text(SAID.text(Path("run")))
    found = read_config(Path("run"))
    assert found == RunConfig(**{**vars(SAID), "network": {**SAID.network, "mean": [0.5, 0.25]}})


@pytest.mark.parametrize(
    ("data", "moved"),
    [
        *((word, word) for word in ("digits", "scenes", "scenes:n=9", "strips:cells", "strips:digit-movies")),
        ("a.npz", "../a.npz"),
        ("strips:a.npz", "strips:../a.npz"),
    ],
)
def test_paths_move_with_a_run_and_words_do_not(data, moved):
    there = replace(SAID, data=data, network={}).moved(Path(), Path("run"))
    assert there.data == moved
    assert there.moved(Path("run"), Path()).data == data
    assert there.moved(Path("elsewhere/run"), Path()).data == (
        data if data == moved else f"{moved[:-8]}elsewhere/a.npz"
    )


@pytest.mark.parametrize(
    "line",
    [
        *("recipe = 3", "model = 3", "data = []", "seed = true", "seed = 9223372036854775808", "seed = 1.0"),
        *("batch = 0", "batch = true", "frames = -1", "extra = 1", "settings = 3", "x = " + "[" * 100_000),
        *("settings.eps = true", "settings.eps = [1]", "settings.target = [1]", "settings.nothing = 1"),
        *("images.limit = 'x'", "images.size = '8'", "images.split = ['a']", "images.label = 5", "images.n = 5"),
        *("images.limit = 1979-01-01", "images.limit = true", "network.mean = 'a'", "network.mean = [['a']]"),
        *("network.mean = [nan]", "network.head = 3", "network.accuracy = nan", "network.accuracy = 'x'"),
        *("network.weights = 3", "network.more = 3", "budget.steps = 1.5", "budget.seconds = nan"),
        *("budget.seconds = inf", "budget.hours = 1"),
    ],
)
def test_what_no_command_writes_is_refused(tmp_path, line, refuses):
    keys = {"recipe": '"fgsm"', "model": '"m.safetensors"', "data": '"digits"', "settings.eps": "0.1"}
    name, _, value = line.partition(" = ")
    keys[name] = value.replace("'", '"')
    if name == "settings":
        del keys["settings.eps"]
    (tmp_path / "config.toml").write_text("".join(f"{k} = {v}\n" for k, v in keys.items()))
    with refuses(DataError, "run-damaged"):
        read_config(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_a_pipe_is_not_waited_for(tmp_path, refuses):
    os.mkfifo(tmp_path / "config.toml")
    with refuses(DataError, "run-damaged"):
        read_config(tmp_path)


def test_the_demo_is_so_many_faces_and_nothing_else(tmp_path, refuses):
    for images, good in (("n = 5", True), ("limit = 5", False), ("n = 5\nlimit = 3", False), ("", False)):
        text = f'recipe = "demo"\nmodel = ""\ndata = ""\n[images]\n{images}\n'
        (tmp_path / "config.toml").write_text(text)
        if good:
            assert read_config(tmp_path).images == {"n": 5}
        else:
            with refuses(DataError, "run-damaged"):
                read_config(tmp_path)


def test_a_path_of_nobody_s_stays_a_path(tmp_path):
    text = 'recipe = "fgsm"\nmodel = "m.safetensors"\ndata = "~nobody-of-this-name/x"\n[settings]\neps = 0.1\n'
    (tmp_path / "config.toml").write_text(text)
    assert read_config(tmp_path).data.endswith("~nobody-of-this-name/x")
