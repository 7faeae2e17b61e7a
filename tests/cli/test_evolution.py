"""`amiss run fooling`: one folder for all encodings, with or without images, how it goes on, and what it refuses."""

import csv
import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amiss.audit.evolution import Evolution
from amiss.cli.config import RunConfig, read_config
from amiss.cli.evolution import evolution_of, evolution_settings
from amiss.cli.folder import cleared
from amiss.errors import UsageError
from amiss.models import build
from amiss.study import Store
from amiss.study.sameness import run_digest
from amiss.training import save_model
from tests.audit.conftest import strict
from tests.cli.conftest import draw
from tests.cli.test_run import graph

SIZE = ("--generations", "4", "--children", "6", "--steps", "4", "--batch", "4", "--quiet")
RUN = ("run", "fooling", "nets.py:wrapped", "photos", *SIZE)
BARE = ("--size", "8", "--channels", "1")


def rows(folder):
    with (Path(folder) / "fooling.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def account(folder):
    return strict((Path(folder) / "fooling.json").read_text(encoding="utf-8"))


def test_the_experiment_is_one_folder_that_says_what_its_files_hold(amiss):
    said = amiss(*RUN, "--out", "run")
    assert said.code == 0, said.err
    names = {"run.json", "config.toml", "inputs.csv", "fooling.csv", "fooling.json", "flags.json", "report.html"}
    assert names | {"card.md", "frames", "studies"} <= {path.name for path in Path("run").iterdir()}
    table = rows("run")
    assert [(row["encoding"], row["name"]) for row in table] == [
        (encoding, name) for encoding in ("direct", "cppn", "gradient") for name in ("bright", "dark")
    ]
    for row in table:
        mean = np.asarray(Image.open(Path("run") / row["image"]), np.float64).mean() / 255
        # The logits are 40 m - 20 and 0.
        odds = (40 * mean - 20) * (1 if row["name"] == "bright" else -1)
        assert float(row["log_odds"]) == pytest.approx(odds, abs=1e-3)
        assert (row["status"] == "met") == (odds >= np.log(99))
    record = account("run")
    assert record["figures"]["fooled.gradient"] == sum(row["status"] == "met" for row in table[4:]) / 2
    assert record["figures"]["evaluations.direct"] == 30 and record["sentence"] in said.out


def test_it_is_shown_listed_checked_and_remade(amiss):
    amiss(*RUN, "--out", "run")
    shown = amiss("show", "run")
    assert shown.code == 0 and shown.out.startswith("fooling on nets.py:wrapped, photos\n")
    assert "cppn: 2 of 2 samples finished" in shown.out
    assert len(amiss("show", "run", "--csv").out.splitlines()) == 1 + 3 * 2
    told = strict(amiss("show", "run", "--json").out)
    assert (told["kind"], told["finished"], told["samples"], len(told["studies"])) == ("fooling", True, 2, 3)
    assert "nguyen2015" in amiss("show", "run", "--bibtex").out
    code = ("--model", "nets.py:wrapped", "--quiet")
    assert amiss("show", "run", "--verify", *code).code == 0
    files = {p: p.read_bytes() for p in (*Path("run").glob("fooling.*"), *Path("run/frames").iterdir())}
    for path in files:
        path.unlink()
    assert amiss("show", "run", "--rebuild", *code).code == 0
    place = Path("run/fooling.json")
    before, after = json.loads(files[place]), json.loads(place.read_text())
    assert {**before, "created": ""} == {**after, "created": ""}
    assert all(path.read_bytes() == data for path, data in files.items() if path != place)
    lost = next(Path(row["image"]) for row in rows("run") if row["status"] == "met")
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(Path("run") / lost)
    amiss("show", "run", "--verify", *code).refused("run-unverified")


@pytest.mark.parametrize("turns", [2, 7, 12])
def test_a_stop_anywhere_changes_nothing(amiss, stopped, turns):
    amiss(*RUN, "--out", "whole")
    said = stopped(turns, *RUN, "--out", "torn")
    assert said.code == 130 and "amiss run torn nets.py:wrapped goes on from here" in said.err
    assert "Not finished. It goes on by: amiss run torn nets.py:wrapped" in amiss("show", "torn").out
    assert amiss("run", "torn", "nets.py:wrapped", "--quiet").code == 0
    for name in ("direct", "cppn", "gradient"):
        one, two = (run_digest(Store(Path(folder) / "studies" / name)) for folder in ("whole", "torn"))
        assert one == two
    for name in ("fooling.csv", *(f"frames/{path.name}" for path in Path("whole/frames").iterdir())):
        assert (Path("whole") / name).read_bytes() == (Path("torn") / name).read_bytes()


def test_no_images_are_needed(amiss, stopped):
    command = ("run", "fooling", "nets.py:wrapped", *SIZE, *BARE)
    assert stopped(3, *command, "--out", "run").code == 130
    assert amiss("run", "run", "nets.py:wrapped", "--quiet").code == 0
    record = account("run")
    assert record["data"] == "no images" and record["figures"]["classes"] == 2
    words = record["command"].split()
    assert words[:3] == ["amiss", "run", "fooling"] and words[words.index("--generations") + 1] == "4"
    assert amiss(*words[1:], "--out", "again", "--quiet").code == 0
    assert rows("again") == rows("run")
    amiss(*command[:3]).refused("fooling-shape", "--size", "--channels", code=2)
    amiss("run", "fooling", "nets.py:wrapped", "--size", "8").refused("fooling-shape", code=2)


def test_what_a_model_says_of_its_images_need_not_be_said(amiss):
    graph()
    direct = ("--encodings", "direct", *SIZE)
    said = amiss("run", "fooling", "m.onnx", *direct, "--out", "onnx")
    assert said.code == 0, said.err
    assert np.asarray(Image.open(Path("onnx") / rows("onnx")[0]["image"])).shape == (8, 8)
    recipe = {"architecture": "LeNet", "arguments": {"channels": 1, "classes": 3, "size": 8}}
    facts = {"kind": "classifier", "mean": None, "std": None, "classes": ["a", "b", "c"]}
    save_model("model.safetensors", build(recipe, seed=0), recipe, facts)
    said = amiss("run", "fooling", "model.safetensors", *direct, "--out", "ours")
    assert said.code == 0, said.err
    assert [row["name"] for row in rows("ours")] == ["a", "b", "c"]


def test_a_model_is_asked_for_where_none_was_named(amiss):
    amiss("run", "fooling").refused("usage-data", code=2)


def test_an_onnx_file_is_fooled_by_queries_alone(amiss):
    graph()
    said = amiss("run", "fooling", "m.onnx", "photos", *SIZE, "--out", "run")
    assert said.code == 0, said.err
    section = account("run")["nonsense"]
    assert [part["encoding"] for part in section["parts"]] == ["direct", "cppn"]
    assert "no gradients" in section["notes"][0]
    amiss("run", "fooling", "m.onnx", "photos", "--encodings", "gradient").refused("contract-ladder", "direct,cppn")


def test_one_class_can_be_asked_for_in_every_encoding(amiss):
    every = ("--encodings", "direct,cppn,gradient,direct-gradient,ascent", "--color", "rgb", "--classes", "dark")
    said = amiss(*RUN, *every, "--out", "run", "--require", "fooled.direct-gradient>=1")
    assert said.code == 0, said.err
    table = rows("run")
    assert [row["encoding"] for row in table] == every[1].split(",")
    assert {(row["class"], row["name"]) for row in table} == {("1", "dark")}
    section = account("run")["nonsense"]
    assert section["notes"][0] == "1 of the model's 2 classes were asked for."
    assert [part["unit"] for part in section["parts"]] == ["generation", "generation", "step", "generation", "step"]
    shown = amiss("show", "run", "--verify", "--model", "nets.py:wrapped", "--quiet")
    assert shown.code == 0, shown.err


LEARN = """
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

import amiss


def fitted():
    data, digit = load_digits(return_X_y=True)
    with threadpool_limits(1):  # threads that spin are slow on a busy machine
        return LogisticRegression(max_iter=500).fit(data[:600] / 16, digit[:600])


def build():
    model = fitted()

    def logits(x):
        return torch.from_numpy(model.decision_function(x.flatten(1).numpy()))

    return amiss.Classifier(logits, labels=[str(d) for d in model.classes_], gives="loss")


def one():
    return amiss.Classifier(lambda x: torch.zeros(len(x), 1), labels=["only"], gives="loss")
"""


def test_a_classifier_of_scikit_learn_is_fooled_by_queries_alone(amiss):
    Path("learn.py").write_text(LEARN, encoding="utf-8")
    exec(LEARN, learn := {})
    few = ("--generations", "6", "--children", "10", "--quiet")
    said = amiss("run", "fooling", "learn.py:build", *BARE, *few, "--classes", "3,8", "--out", "run")
    assert said.code == 0, said.err
    model, table = learn["fitted"](), rows("run")
    assert [(row["encoding"], row["name"]) for row in table] == [(e, c) for e in ("direct", "cppn") for c in "38"]
    for row in table:
        pixels = np.asarray(Image.open(Path("run") / row["image"]), np.float64).reshape(1, 64) / 255
        sure = model.predict_proba(pixels)[0, int(row["class"])]
        assert float(row["confidence"]) == pytest.approx(sure, abs=1e-4)
    said = amiss("run", "fool_cppn", "learn.py:build", "digits", "--limit", "40", *few, "--out", "one")
    assert said.code == 0 and "of 10 samples" in said.out, said.err


def test_one_class_and_no_budget_are_refused_before_anything_is_written(amiss):
    Path("learn.py").write_text(LEARN, encoding="utf-8")
    amiss("run", "fooling", "learn.py:one", *BARE).refused("model-classes", "2 logits, 1 labels")
    amiss("run", "fool_cppn", "learn.py:one", "photos").refused("model-classes")
    graph()
    for budget in (("--generations", "0"), ("--budget", "queries=0")):
        amiss("run", "fool_direct", "m.onnx", "photos", *budget).refused("budget-zero", "above 0", code=2)
    assert not Path("runs").exists()


def test_recipes_evolve_against_an_onnx_file(amiss):
    graph()
    for recipe in ("fool_direct", "fool_cppn"):
        said = amiss("run", recipe, "m.onnx", "photos", *SIZE[:4], "--quiet", "--out", recipe)
        assert said.code == 0 and "of 2 samples" in said.out, said.err


def test_gates_hold_it_to_its_figures(amiss):
    gate = ["--require", "classes>=2", "--require", "evaluations.direct<=3"]
    said = amiss(*RUN, *gate, "--out", "run", "--json")
    assert said.code == 3
    assert [gate["met"] for gate in strict(said.out)["gates"]] == [True, False]
    amiss(*RUN, "--encodings", "cppn", "--require", "fooled.direct>=0.5").refused("gate-unknown", code=2)


def test_another_run_is_refused_or_begun_beside(amiss):
    amiss(*RUN, "--out", "run")
    other = [*RUN, "--out", "run", "--seed", "1"]
    amiss(*other).refused("run-other", "plan")
    said = amiss(*other, "--fork")
    assert said.code == 0 and "Report: run-2/report.html" in said.out
    assert strict(Path("run-2/run.json").read_text())["parent"] == "run"


@pytest.mark.parametrize(
    ("options", "slug", "words"),
    [
        (["--encodings", "cpn"], "fooling-encodings", ["cpn"]),
        (["--encodings", "cppn,"], "recipe-option", ["--encodings cppn,"]),
        (["--encodings", "direct-gradient", "--preset", "paper-2015"], "fooling-encodings", ["2015"]),
        (["--classes", "bright,,dark"], "recipe-option", ["--classes bright,,dark"]),
        (["--classes", "brigth"], "class-unknown", ["bright"]),
        (["--classes", "2"], "class-unknown", ["from 0 to 1"]),
        (["--classes", "dark,1"], "class-twice", []),
        (["--color", "cmyk"], "recipe-option", ["hls or rgb"]),
        (["--generations", "0"], "recipe-option", ["--generations 0"]),
        (["--generations", "many"], "recipe-option", []),
        (["--children"], "recipe-option", ["nothing after it"]),
        (["--confidence", "high"], "recipe-option", ["--confidence high"]),
        (["--confidence", "1"], "recipe-option", ["between 0 and 1"]),
        (["--preset", "old"], "recipe-option", ["paper-2015"]),
        (["--adaptive", "-1"], "recipe-option", ["0 or more"]),
        (["--no-rejection=1"], "recipe-option", ["--no-rejection 1", "stands alone"]),
        (["--rejection"], "recipe-option", ["'--rejection'"]),
        (["--eps", "8/255"], "recipe-option", ["'--eps'"]),
        (["--frames", "4"], "recipe-option", ["--frames"]),
        (["--transfer", "nets.py:build,"], "recipe-option", ["--transfer"]),
    ],
)
def test_options_that_mean_nothing_are_refused(amiss, options, slug, words):
    amiss("run", "fooling", "nets.py:wrapped", "photos", *options).refused(slug, *words, code=2)
    assert not Path("runs").exists()


@pytest.mark.parametrize(("model", "slug"), [("nets.py:nan", "model-not-finite"), ("nets.py:nothing", None)])
def test_models_that_answer_nothing_are_refused_before_anything_is_written(amiss, model, slug):
    said = amiss("run", "fooling", model, *SIZE, *BARE)
    assert said.code != 0 and "Traceback" not in said.err
    if slug:
        said.refused(slug)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("was", "now", "seen"),
    [
        ("children = 6", "child = 6", "no children"),
        ("children = 6", "children = 2.5", "children = 2.5"),
        ('encodings = ["direct", "cppn", "gradient"]', 'encodings = "cppn"', "encodings = 'cppn'"),
        ("confidence = 0.99", 'confidence = "x"', "confidence = 'x'"),
        ("children = 6", "children = 6\nmore = 1", "more = 1"),
        ("rejection = true", "rejection = 1", "rejection = 1"),
        ("adaptive = 0", "adaptive = 0.5", "adaptive = 0.5"),
    ],
)
def test_settings_of_another_kind_are_no_experiment(tmp_path, was, now, seen):
    config = RunConfig("fooling", "m", "", settings=evolution_settings(SIZE[:6]))
    (tmp_path / "config.toml").write_text(text := config.text(tmp_path), encoding="utf-8")
    assert evolution_of(read_config(tmp_path)) == Evolution(generations=4, children=6, steps=4, batch=64)
    assert was in text
    (tmp_path / "config.toml").write_text(text.replace(was, now), encoding="utf-8")
    with pytest.raises(UsageError, match="run-plan") as caught:
        evolution_of(read_config(tmp_path))
    assert seen in str(caught.value)


def test_an_audit_of_rejection_that_lies_in_the_folder_is_told(amiss):
    assert amiss(*RUN, "--encodings", "direct", "--out", "run").code == 0
    assert "rejection" not in json.dumps(account("run")["nonsense"]["tables"])
    figure = {"value": 0.9, "low": 0.8, "high": 1.0}
    row = {"detector": "energy", "kind": "direct", "n": 2, **dict.fromkeys(("accepted", "auroc", "fpr95"), figure)}
    Path("run/rejection.json").write_text(json.dumps({"rows": [row]}), encoding="utf-8")
    code = ("--model", "nets.py:wrapped", "--quiet")
    assert amiss("show", "run", "--rebuild", *code).code == 0
    (table,) = account("run")["nonsense"]["tables"]
    assert table["rows"][0][:3] == ["energy", "direct", 2]
    Path("run/rejection.json").write_text("[[[", encoding="utf-8")
    assert amiss("show", "run", "--rebuild", *code).code == 0
    assert account("run")["nonsense"]["tables"] == []


@pytest.fixture
def many(amiss):
    """A folder of 120 images, most of them rightly classified, and the command that asks what rejects champions."""
    draw(Path("many"), each=60)
    return ("run", "fooling", "nets.py:wrapped", "many", *SIZE, "--encodings", "direct,gradient", "--steps", "30")


def test_the_run_ends_with_what_rejects_its_champions(amiss, many):
    gate = ["--require", "rejected.msp.noise>=0.9", "--require", "rejected.msp.gradient>=0.5"]
    said = amiss(*many, *gate, "--out", "run", "--json")
    assert said.code == 3, said.err  # noise lies between the classes; champions are as bright and dark as can be
    told = strict(said.out)
    assert [gate["met"] for gate in told["gates"]] == [True, False]
    (table,) = account("run")["nonsense"]["tables"]
    assert table["text"].startswith("No rule rejects a single one of 2 champions that the model is sure of. Noise")
    place = Path("run/rejection.json")
    record, code = strict(place.read_text()), ("--model", "nets.py:wrapped", "--quiet")
    assert {row["kind"] for row in record["rows"]} == {"natural", "uniform noise", "gradient"}
    before, made = place.read_bytes(), account("run")
    for damage in (place.unlink, lambda: place.write_text("[[["), lambda: place.write_text('{"rows": [3]}')):
        damage()
        assert amiss("show", "run", "--rebuild", *code).code == 0
        assert place.read_bytes() == before
        assert {**account("run"), "created": ""} == {**made, "created": ""}
    cleared(Path("run"))  # rejection.json is a file of the run
    assert not place.exists()


def test_a_stop_among_the_rules_is_gone_on_from(amiss, many, monkeypatch):
    adaptive = (*many, "--adaptive", "12")
    assert amiss(*adaptive, "--out", "whole").code == 0
    kept = Path("torn/rejection.json")

    @contextmanager
    def soon():
        yield lambda: kept.exists() and len(json.loads(kept.read_text())["bypasses"]) == 2

    with monkeypatch.context() as patch:
        patch.setattr("amiss.cli.run.stopping", soon)
        said = amiss(*adaptive, "--out", "torn")
    assert said.code == 130 and "amiss run torn nets.py:wrapped goes on from here" in said.err
    assert not strict(kept.read_text())["finished"]
    assert amiss("run", "torn", "nets.py:wrapped", "--quiet").code == 0
    assert kept.read_bytes() == Path("whole/rejection.json").read_bytes()
    titles = [table["title"] for table in account("torn")["nonsense"]["tables"]]
    assert titles == ["What would reject it", "What it takes to get past each rule"]


def test_rejection_can_be_left_out_and_is_where_images_are_few(amiss, many):
    assert amiss("run", "fooling", "--no-rejection", *many[2:], "--out", "off").code == 0
    assert not Path("off/rejection.json").exists() and account("off")["nonsense"]["notes"] == []
    off = (*many, "--no-rejection", "--require", "rejected.msp.noise>=0.5")
    amiss(*off).refused("gate-unknown", code=2)
    assert amiss(*RUN, "--encodings", "direct", "--out", "few").code == 0
    assert "50 of each are needed" in account("few")["nonsense"]["notes"][0]
    said = amiss(*RUN, "--require", "rejected.msp.noise>=0.5", "--out", "judged", "--json")
    assert said.code == 3 and "no such images" in strict(said.out)["gates"][0]["why"]
