"""`amiss run feature-opt`: one folder for all layers and bounds, how it goes on, and what it refuses."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amiss.audit.sweep import Sweep
from amiss.cli.config import RunConfig, read_config
from amiss.cli.imposters import sweep_of, sweep_settings
from amiss.errors import UsageError
from amiss.study import Store
from amiss.study.sameness import run_digest
from tests.audit.conftest import strict

SIZE = ("--delta", "20,120", "--pairs", "3", "--steps", "6", "--inverted", "0", "--batch", "2", "--quiet")
RUN = ("run", "feature-opt", "nets.py:wrapped", "photos", "--layers", "scale,answer", *SIZE)

OPTIONS_OF_RUN = ("--layers", "scale,answer", *SIZE[:8])


def studies(folder):
    return sorted(path.name for path in (Path(folder) / "studies").iterdir())


def rows(folder):
    with (Path(folder) / "imposters.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(name):
    with Path("run/studies", name, "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def gray(path):
    return np.asarray(Image.open(path), np.float64)


def test_the_experiment_is_one_folder_that_says_what_its_files_hold(amiss):
    said = amiss(*RUN, "--out", "run")
    assert said.code == 0, said.err
    assert studies("run") == ["0-scale-120-255", "0-scale-20-255", "1-answer-120-255", "1-answer-20-255"]
    names = {"run.json", "config.toml", "inputs.csv", "imposters.csv", "imposters.json", "flags.json"}
    assert names | {"report.html", "card.md"} <= {path.name for path in Path("run").iterdir()}
    table = rows("run")
    assert len(table) == 2 * 2 * 3
    for row in table:
        made, source = gray(Path("run") / row["image"]), gray(Path("photos") / row["source"])
        assert row["label"] != row["guide_label"]
        assert np.abs(made - source).max() <= (20 if row["delta"] == "20/255" else 120)
        # Class 0, "bright", is above a half: the answer is what the mean of the file says.
        assert int(row["called"]) == int(made.mean() < 127.5)
        if row["layer"] == "answer":
            guide = gray(Path("photos") / row["guide"])
            left = abs(made.mean() - guide.mean()) / abs(source.mean() - guide.mean())
            assert float(row["ratio"]) == pytest.approx(left, abs=1e-4)
            assert (row["status"] == "met") == (left <= 0.5)
    record = strict(Path("run/imposters.json").read_text(encoding="utf-8"))
    wide = [row for row in table if (row["layer"], row["delta"]) == ("answer", "120/255")]
    share = sum(row["called"] == row["guide_label"] for row in wide) / 3
    assert record["figures"]["imposter_label.answer@120/255"] == pytest.approx(share)
    assert record["figures"]["pairs"] == 3
    assert record["sentence"] in said.out


def test_it_is_shown_listed_checked_and_remade(amiss):
    amiss(*RUN, "--out", "run")
    shown = amiss("show", "run")
    assert shown.code == 0 and shown.out.startswith("feature_opt on nets.py:wrapped, photos\n")
    assert "0-scale-20-255: 3 of 3 samples finished" in shown.out
    listed = amiss("show", "run", "--csv").out.splitlines()
    assert len(listed) == 1 + 4 * 3 and listed[0].startswith("study,sample,id,name,label,target")
    told = strict(amiss("show", "run", "--json").out)
    assert (told["kind"], told["finished"], told["samples"], len(told["studies"])) == ("imposters", True, 3, 4)
    code = ("--model", "nets.py:wrapped", "--quiet")
    assert amiss("show", "run", "--verify", *code).code == 0
    files = {p: p.read_bytes() for p in Path("run").glob("imposters.*")}
    for path in files:
        path.unlink()
    assert amiss("show", "run", "--rebuild", *code).code == 0
    before, after = (
        json.loads(text) for text in (files[Path("run/imposters.json")], Path("run/imposters.json").read_text())
    )
    assert {**before, "created": ""} == {**after, "created": ""}
    assert Path("run/imposters.csv").read_bytes() == files[Path("run/imposters.csv")]
    lost = next(Path(row["image"]) for row in rows("run") if row["status"] == "met")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(Path("run") / lost)
    amiss("show", "run", "--verify", *code).refused("run-unverified")


@pytest.mark.parametrize("turns", [2, 9, 20])
def test_a_stop_anywhere_changes_nothing(amiss, stopped, turns):
    amiss(*RUN, "--out", "whole")
    said = stopped(turns, *RUN, "--out", "torn")
    assert said.code == 130 and "amiss run torn nets.py:wrapped goes on from here" in said.err
    assert "Not finished. It goes on by: amiss run torn nets.py:wrapped" in amiss("show", "torn").out
    amiss("run", "torn").refused("run-code", code=2)
    assert amiss("run", "torn", "nets.py:wrapped", "--quiet").code == 0
    for name in studies("whole"):
        one, two = (run_digest(Store(Path(folder) / "studies" / name)) for folder in ("whole", "torn"))
        assert one == two
    assert Path("whole/imposters.csv").read_bytes() == Path("torn/imposters.csv").read_bytes()


def test_another_run_is_refused_or_begun_beside(amiss):
    amiss(*RUN, "--out", "run")
    other = [*RUN, "--out", "run", "--seed", "1"]
    amiss(*other).refused("run-other", "plan")
    said = amiss(*other, "--fork")
    assert said.code == 0 and "Report: run-2/report.html" in said.out
    assert strict(Path("run-2/run.json").read_text())["parent"] == "run"


def test_gates_hold_it_to_its_figures(amiss):
    gate = ["--require", "imposter_label.answer@120/255>=0.5", "--require", "imposter_ratio.scale@20/255<=0.001"]
    said = amiss(*RUN, *gate, "--out", "run", "--json")
    assert said.code == 3
    told = strict(said.out)
    assert [gate["met"] for gate in told["gates"]] == [True, False]
    assert told["counts"]["scale at 20/255"] == {"exhausted": 3}
    amiss(*RUN, "--require", "imposter_label.fc1@120/255>=0.5").refused("gate-unknown", code=2)
    amiss("show", "run", "--rebuild", "--model", "nets.py:wrapped", "--quiet")
    assert [gate["met"] for gate in strict(Path("run/imposters.json").read_text())["gates"]] == [True, False]


@pytest.mark.parametrize(
    ("options", "slug", "words"),
    [
        (["--layers", "scale", "--delta", "0.04"], "delta-units", ["10.2 gray levels", "--delta 10"]),
        (["--layers", "scale", "--delta", "5,0.1"], "delta-units", ["--delta 0.1"]),
        (["--layers", "scale", "--delta", "7.5"], "delta-units", ["--delta 8"]),
        (["--layers", "scale", "--delta", "0.5/255"], "delta-units", ["--delta 1"]),
        (["--layers", "scale", "--delta", "5,300.5"], "delta-units", ["--delta 255"]),
        (["--layers", "scale", "--pairs", "9" * 5000], "recipe-option", ["--pairs 999"]),
        (["--layers", "scale", "--delta", "ten"], "recipe-option", ["--delta ten"]),
        (["--layers", "scale", "--delta", "10,5"], "sweep-deltas", ["ascend", "--delta 10,5", "--delta 5,10"]),
        (["--layers", "scale", "--delta", "0,5"], "sweep-deltas", ["ascend", "--delta 0,5"]),
        (["--layers", "scale", "--delta", "300"], "sweep-deltas", ["300 is above 255", "--delta 300"]),
        (["--delta", "5"], "recipe-option", ["needs --layers"]),
        (["--layers", "scale,scale"], "sweep-layers", []),
        (["--layers", "scale,,answer"], "recipe-option", []),
        (["--layers"], "recipe-option", ["nothing after it"]),
        (["--layers", "scale", "--pairs", "0"], "recipe-option", ["--pairs 0"]),
        (["--layers", "scale", "--inverted", "-1"], "recipe-option", ["--inverted -1"]),
        (["--layers", "scale", "--eps", "8/255"], "recipe-option", ["'--eps'"]),
        (["--layers", "scale", "--frames", "4"], "recipe-option", ["--frames"]),
    ],
)
def test_options_that_mean_nothing_are_refused(amiss, options, slug, words):
    said = amiss("run", "feature-opt", "nets.py:wrapped", "photos", *options)
    said.refused(slug, *words, code=2)
    assert not Path("runs").exists()


def test_levels_may_be_told_as_fractions_of_255(amiss):
    said = amiss(
        *RUN[:4], "--layer", "answer", "--delta", "10/255,20", "--pairs", "1", "--steps", "1", "--out", "run"
    )
    assert said.code == 0, said.err
    assert {"0-answer-10-255", "0-answer-20-255"} <= set(studies("run"))


def test_what_cannot_be_mimicked_is_refused_before_anything_is_written(amiss):
    assert "layer-unknown] There is no layer 'scail'" in amiss(*RUN[:4], "--layers", "scail", "--quiet").err
    amiss("run", "feature-opt", "nets.py:turned", "photos", "--layers", "scale", "--quiet").refused(
        "data-class-order"
    )
    shutil.rmtree("photos/dark")
    amiss(*RUN[:4], "--layers", "scale", "--quiet").refused("pairs-none")
    assert not Path("runs").exists()


def test_a_model_without_gradients_is_refused_before_its_layers_are_looked_at(amiss):
    blind = "\n\ndef blind():\n    return amiss.Classifier(Brightness(), labels=['bright', 'dark'], gives='loss')\n"
    Path("nets.py").write_text(Path("nets.py").read_text(encoding="utf-8") + blind, encoding="utf-8")
    for layers in ("fc1", "answer"):
        said = amiss("run", "feature-opt", "nets.py:blind", "photos", "--layers", layers, "--quiet")
        lines = said.refused("contract-ladder", "need gradients", "gives only logits")
        assert "square" not in lines["Try"]
    assert not Path("runs").exists()


@pytest.mark.parametrize("words", [["feature-opt"], ["feature-opt", "digits"], ["pgd", "nets.py:build"]])
def test_a_recipe_without_model_or_data_says_so(amiss, words):
    lines = amiss("run", *words, *(["--layers", "fc1"] if len(words) == 1 else [])).refused("usage-data", code=2)
    assert "MODEL DATA" in lines["Try"] and words[0] in lines["Seen"]


def test_an_edited_configuration_is_refused(amiss):
    amiss(*RUN, "--out", "run")
    path = Path("run/config.toml")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("pairs = 3", "pears = 3"), encoding="utf-8")
    amiss("run", "run", "nets.py:wrapped").refused("run-plan", code=2)


@pytest.mark.parametrize(
    ("was", "now", "seen"),
    [
        ("pairs = 3", "pears = 3", "no pairs"),
        ("pairs = 3", "pairs = inf", "pairs = inf"),
        ("pairs = 3", "pairs = 2.9", "pairs = 2.9"),
        ("pairs = 3", "pairs = true", "pairs = True"),
        ("pairs = 3", f"pairs = {10**18}", "pairs = 1000"),
        ("pairs = 3", "pairs = 3\nmore = 1", "more = 1"),
        ('layers = ["scale", "answer"]', 'layers = "fc1"', "layers = 'fc1'"),
        ('layers = ["scale", "answer"]', "layers = [1]", "layers = [1]"),
        ("delta = [20.0, 120.0]", "delta = [nan]", "delta = [nan]"),
        ("delta = [20.0, 120.0]", "delta = 20", "delta = 20"),
    ],
)
def test_settings_of_another_kind_are_no_experiment(tmp_path, was, now, seen):
    config = RunConfig("feature_opt", "m", "d", settings=sweep_settings(OPTIONS_OF_RUN))
    (tmp_path / "config.toml").write_text(text := config.text(tmp_path), encoding="utf-8")
    assert sweep_of(read_config(tmp_path)) == Sweep(("scale", "answer"), (20 / 255, 120 / 255), 3, 6, 0)
    assert was in text
    (tmp_path / "config.toml").write_text(text.replace(was, now), encoding="utf-8")
    with pytest.raises(UsageError, match="run-plan") as caught:
        sweep_of(read_config(tmp_path))
    assert seen in str(caught.value)


def test_other_models_are_shown_the_same_images_beside_noise_of_equal_size(amiss):
    said = amiss(*RUN, "--out", "run", "--transfer", "nets.py:build")
    assert said.code == 0, said.err
    text = Path("run/transfer.json").read_text(encoding="utf-8")
    kept = strict(text)["rows"]
    assert [(row["model"], row["layer"], row["delta"]) for row in kept] == [
        (model, layer, f"{levels}/255")
        for model in ("nets.py:wrapped", "nets.py:build")
        for layer in ("scale", "answer")
        for levels in (20, 120)
    ]
    assert {row["right"] for row in kept} == {3}
    for own, other in zip(kept[:4], kept[4:], strict=True):
        assert own["made"] == other["made"]  # the same network under two names
        assert own["noise"] == other["noise"]
        assert own["made"]["top"] is None  # of two classes each guide is among the five
    record = strict(Path("run/imposters.json").read_text(encoding="utf-8"))
    assert record["imposters"]["transfer"] == kept
    figures = record["figures"]
    assert kept[3]["made"]["guide"]["share"] == figures["imposter_label.answer@120/255"]
    # It is told again without the models, and not of other images, nor in other words than numbers.
    code = ("--model", "nets.py:wrapped", "--quiet")

    def told():
        assert amiss("show", "run", "--rebuild", *code).code == 0
        return strict(Path("run/imposters.json").read_text(encoding="utf-8"))["imposters"].get("transfer")

    assert told() == kept
    hurt = (text.replace('"images": "', '"images": "0'), text.replace('"side": null', '"side": "x"'), text[:40], "[]")
    for changed in (*hurt, text.replace('"share": ', '"share": "1", "was": '), '{"images": 1, "rows": []}'):
        Path("run/transfer.json").write_text(changed, encoding="utf-8")
        assert told() is None


@pytest.mark.parametrize("model", ["nets.py:color", "nets.py:broken"])
def test_a_model_that_cannot_be_shown_the_images_is_named_before_anything_is_searched(amiss, model):
    said = amiss(*RUN, "--transfer", f"nets.py:build,{model}", "--out", "run")
    assert f"Leave {model} out" in said.refused("model-raises", f"'{model}' of --transfer")["Try"]
    assert not Path("run").exists()


def test_the_models_of_transfer_are_remembered(amiss, stopped):
    said = stopped(2, *RUN, "--transfer", "nets.py:build", "--out", "run")
    again = "amiss run run nets.py:wrapped --transfer nets.py:build"
    assert said.code == 130 and f"{again} goes on from here" in said.err
    assert f"It goes on by: {again}\n" in amiss("show", "run").out
    assert "--transfer nets.py:build" in strict(Path("run/run.json").read_text(encoding="utf-8"))["command"]
    # Code is run only where the user names it once more, and nothing is left out without a word.
    assert amiss("run", "run", "nets.py:wrapped", "--quiet").refused("run-code", code=2)["Try"] == again
    assert amiss(*again.split()[1:], "--quiet").code == 0
    models = {row["model"] for row in strict(Path("run/transfer.json").read_text(encoding="utf-8"))["rows"]}
    assert models == {"nets.py:wrapped", "nets.py:build"}


def test_the_model_itself_is_shown_its_images_anyway(amiss):
    said = amiss(*RUN, "--transfer", "nets.py:build,nets.py:wrapped")
    assert "anyway" in said.err and "Leave nets.py:wrapped out" in said.refused("recipe-option", code=2)["Try"]


@pytest.mark.parametrize("models", ["", "nets.py:build,", "nets.py:build,nets.py:build", "nets.py:wrapped"])
def test_other_models_are_each_named_once(amiss, models):
    amiss(*RUN, "--transfer", models).refused("recipe-option", "--transfer", code=2)
    assert not Path("runs").exists()


def test_other_models_know_the_same_classes_and_serve_this_experiment_alone(amiss):
    amiss("run", "pgd", "nets.py:build", "photos", "--eps", "8/255", "--transfer", "nets.py:wrapped").refused(
        "recipe-option", "pgd", code=2
    )


def test_layers_are_inverted_for_source_imposter_and_guide(amiss):
    said = amiss(
        *RUN[:4],
        "--layers",
        "scale,answer",
        "--delta",
        "60",
        "--pairs",
        "1",
        "--steps",
        "2",
        "--quiet",
        "--out",
        "run",
    )
    assert said.code == 0, said.err
    assert studies("run") == ["0-scale-60-255", "0-scale-inverted", "1-answer-60-255", "1-answer-inverted"]
    section = strict(Path("run/imposters.json").read_text(encoding="utf-8"))["imposters"]
    (panel,) = section["inversion"]
    assert [row["layer"] for row in panel["layers"]] == ["scale", "answer"]
    assert "fewer than 60" in section["notes"][0]
    verified = amiss("show", "run", "--verify", "--model", "nets.py:wrapped", "--quiet")
    assert verified.code == 0
    # Inversions that were met are told apart from imposters that were met.
    words = {name: Counter(row["status"] for row in table(name))["met"] for name in studies("run")}
    imposters = sum(k for name, k in words.items() if name.endswith("-255"))
    inversions = sum(k for name, k in words.items() if name.endswith("-inverted"))
    told = f"All {imposters + inversions} successes ({imposters} imposters, {inversions} inversions) hold"
    assert told in verified.out and imposters != inversions
