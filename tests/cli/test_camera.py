"""`amiss run camera`: one folder for both kinds of adversary, how it goes on, and what it refuses."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amiss.cli.camera import FILMING, OPTIONS, camera_of, camera_settings
from amiss.cli.config import RunConfig, read_config
from amiss.cli.settings import words_alone
from amiss.cli.words import sorted_words
from amiss.study import Store
from amiss.study.sameness import run_digest
from tests.audit.conftest import strict

SIZE = ("--eps", "0.3", "--images", "3", "--views", "4", "--steps", "4", "--drawn", "2", "--batch", "4")
RUN = ("run", "camera", "nets.py:wrapped", "photos", *SIZE, "--quiet")
FILES = {"run.json", "config.toml", "inputs.csv", "camera.csv", "camera.json", "answers.json", "sheet.svg"}


def rows(folder):
    with (Path(folder) / "camera.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def gray(path):
    return np.asarray(Image.open(path).convert("L"), np.float64)


def test_the_experiment_is_one_folder_that_says_what_its_files_hold(amiss):
    said = amiss(*RUN, "--out", "run", "--require", "clean_accuracy>=0", "--require", "eot_success<=-1")
    assert said.code == 3, said.err
    names = {path.name for path in Path("run").iterdir()}
    assert FILES | {"flags.json", "report.html", "card.md", "images", "studies"} <= names
    table = rows("run")
    assert [row["kind"] for row in table] == ["clean"] * 3 + ["single"] * 3 + ["eot"] * 3
    for row in table:
        if row["kind"] != "clean":
            made, source = gray(Path("run") / row["image"]), gray(Path("photos") / row["name"])
            assert np.abs(made - source).max() <= 0.3 * 255 + 1e-9
            # Class 0, "bright", is above a half: the answer is what the mean of the file says.
            assert int(row["screen"]) == int(made.mean() < 127.5)
            assert (row["status"] == "met") <= (row["screen"] != row["label"] or row["kind"] == "eot")
    record = strict(Path("run/camera.json").read_text(encoding="utf-8"))
    assert record["sentence"] in said.out
    assert [gate["met"] for gate in record["gates"]] == [True, False]
    for figure, kind in (("clean_accuracy", "clean"), ("eot_success", "eot")):
        share = sum(int(row["held"]) for row in table if row["kind"] == kind) / 12
        assert record["figures"][figure] == pytest.approx(share)


def test_it_is_shown_checked_and_remade(amiss):
    amiss(*RUN, "--out", "run")
    shown = amiss("show", "run")
    assert shown.code == 0 and shown.out.startswith("camera on nets.py:wrapped, photos\n")
    assert "single: 3 of 3 samples finished" in shown.out and "eot: 3 of 3 samples finished" in shown.out
    assert {"madry2018", "athalye2018"} <= set(read_references(amiss))
    code = ("--model", "nets.py:wrapped", "--quiet")
    assert amiss("show", "run", "--verify", *code).code == 0
    kept = {name: Path("run", name).read_bytes() for name in ("camera.csv", "sheet.svg")}
    before = strict(Path("run/camera.json").read_text())
    for name in (*kept, "camera.json"):
        Path("run", name).unlink()
    # Noted answers that somebody changed have no part in what is remade.
    Path("run/answers.json").write_text("[]", encoding="utf-8")
    assert amiss("show", "run", "--rebuild", *code).code == 0
    assert {name: Path("run", name).read_bytes() for name in kept} == kept
    assert {**before, "created": ""} == {**strict(Path("run/camera.json").read_text()), "created": ""}


def read_references(amiss):
    return [
        line.split("{")[1].rstrip(",") for line in amiss("show", "run", "--bibtex").out.splitlines() if "@" in line
    ]


@pytest.mark.parametrize("turns", [6, 40])
def test_a_stop_anywhere_changes_nothing(amiss, stopped, turns):
    amiss(*RUN, "--out", "whole")
    said = stopped(turns, *RUN, "--out", "torn")
    assert said.code == 130 and "amiss run torn nets.py:wrapped goes on from here" in said.err
    assert amiss("run", "torn", "nets.py:wrapped", "--quiet").code == 0
    for name in ("single", "eot"):
        one, two = (run_digest(Store(Path(folder) / "studies" / name)) for folder in ("whole", "torn"))
        assert one == two
    for name in ("camera.csv", "answers.json", "sheet.svg"):
        assert Path("whole", name).read_bytes() == Path("torn", name).read_bytes()


def test_a_mask_a_target_and_a_print_are_kept_where_the_run_goes_on(amiss, stopped):
    mask = np.zeros((8, 8), np.uint8)
    mask[:4] = 255
    Path("masks").mkdir()
    Image.fromarray(mask).save("masks/top.png")
    options = ("--mask", "masks/top.png", "--target", "dark", "--print", "--scale", ".8,1.2", "--millimeters", "60")
    said = stopped(3, "run", "camera", "--print", *RUN[2:], *options, "--out", "deep/run")
    assert said.code == 130, said.err
    config = read_config(Path("deep/run"))
    assert os.path.normpath(config.settings["mask"]) == os.path.join("masks", "top.png")
    assert config.settings["print"] is True and config.settings["target"] == "dark"
    assert camera_of(config).scale == (0.8, 1.2) and len(camera_of(config).photographs()) == 6
    assert amiss("run", "deep/run", "nets.py:wrapped", "--quiet").code == 0
    for row in rows("deep/run"):
        assert row["label"] == "0"
        if row["kind"] != "clean":
            change = gray(Path("deep/run") / row["image"]) - gray(Path("photos") / row["name"])
            assert np.all(change[4:] == 0) and np.any(change[:4] != 0) >= (row["status"] == "met")
    assert 'width="60"' in Path("deep/run/sheet.svg").read_text(encoding="utf-8")
    mask[:] = 255
    Image.fromarray(mask).save("masks/top.png")
    amiss("run", "deep/run", "nets.py:wrapped", "--quiet").refused("run-other")


def test_pictures_that_fit_on_no_page_leave_the_sheet_out(amiss):
    Path("tall").mkdir()
    for name in ("bright", "dark"):
        Path("tall", name).mkdir()
        for path in Path("photos", name).glob("*.png"):
            Image.open(path).resize((8, 64), Image.Resampling.NEAREST).save(Path("tall", name, path.name))
    said = amiss(*RUN[:3], "tall", *RUN[4:], "--out", "run")
    assert said.code == 0, said.err
    assert not Path("run/sheet.svg").exists()
    assert strict(Path("run/camera.json").read_text())["camera"]["sheet"] is None


def test_an_option_alone_takes_no_argument_for_its_value():
    assert sorted_words(["camera", "--print", "nets.py:a", "photos", "--eps", "0.1"], words_alone()) == (
        ["camera", "nets.py:a", "photos"],
        ["--print", "--eps", "0.1"],
    )
    assert camera_settings(["--eps", "25/255", "--printed"])["print"] is True
    assert camera_settings(["--eps", "25/255"])["eps"] == pytest.approx(25 / 255)


def test_a_class_that_is_called_none_is_a_class(tmp_path):
    settings = camera_settings(["--eps", "0.1", "--target", "none"])
    (tmp_path / "config.toml").write_text(RunConfig("camera", "m.onnx", "d", settings=settings).text(tmp_path))
    assert camera_of(read_config(tmp_path)).target == "none"
    free = camera_settings(["--eps", "0.1"])
    (tmp_path / "config.toml").write_text(RunConfig("camera", "m.onnx", "d", settings=free).text(tmp_path))
    found = camera_of(read_config(tmp_path))
    assert found.target == "" and found.mask is None and set(free) == set(OPTIONS)


@pytest.mark.parametrize(
    ("options", "slug", "words"),
    [
        ([], "recipe-option", ["needs --eps"]),
        (["--eps", "8"], "eps-units", ["0..255"]),
        (["--eps", "-0.1"], "eps-negative", []),
        (["--eps", "0"], "camera-counts", ["eps=0"]),
        (["--eps", "nan"], "recipe-option", ["--eps nan"]),
        (["--eps", "1/0"], "recipe-option", ["--eps 1/0"]),
        (["--eps", "0.1", "--views", "0"], "recipe-option", ["--views 0"]),
        (["--eps", "0.1", "--scale", "1.5,.5"], "recipe-option", ["--scale 1.5,.5"]),
        (["--eps", "0.1", "--scale", "1"], "recipe-option", ["--scale 1"]),
        (["--eps", "0.1", "--scale", "0,1"], "recipe-option", ["--scale 0,1"]),
        (["--eps", "0.1", "--tilt", "85"], "recipe-option", ["0 to 80"]),
        (["--eps", "0.1", "--rotation", "-10"], "recipe-option", ["0 to 180"]),
        (["--eps", "0.1", "--millimeters", "300"], "recipe-option", ["10 to 186"]),
        (["--eps", "0.1", "--print=yes"], "recipe-option", ["--print yes"]),
        (["--eps", "0.1", "--target="], "recipe-option", ["name or number of a class"]),
        (["--eps", "0.1", "--distance", "2"], "recipe-option", ["--scale"]),
        (["--eps", "0.1", "--frames", "4"], "recipe-option", ["--frames"]),
    ],
)
def test_options_that_mean_nothing_are_refused(amiss, options, slug, words):
    amiss("run", "camera", "nets.py:wrapped", "photos", *options).refused(slug, *words, code=2)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("options", "slug", "code"),
    [
        (["--target", "toaster"], "class-unknown", 2),
        (["--transfer", "nets.py:build"], "recipe-option", 2),
        (["--mask", "nowhere.png"], "data-unreadable", 1),
        (["--mask", "photos/dark/10.png", "--size", "16"], "camera-mask", 2),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_written(amiss, options, slug, code):
    amiss(*RUN, *options).refused(slug, code=code)
    assert not Path("runs").exists()


def test_an_edited_configuration_is_refused(amiss):
    amiss(*RUN, "--out", "run")
    path = Path("run/config.toml")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("views = 4", 'views = "four"'), encoding="utf-8")
    amiss("run", "run", "nets.py:wrapped").refused("run-plan", code=2)


def test_every_option_is_explained(amiss):
    said = amiss("run", "camera", "--help").out
    assert FILMING.page in said
    for option in OPTIONS:
        assert f"  --{option} " in said
