"""`amiss run attacks`: one folder for all recipes, whom else their images break, and what it refuses."""

import csv
from pathlib import Path

import pytest

from amiss.study import Store
from amiss.study.sameness import run_digest
from tests.audit.conftest import strict

SIZE = ("--eps", "60/255", "--recipes", "pgd,ddn,hop-skip-jump", "--steps", "8", "--queries", "40", "--batch", "3")
RUN = ("run", "attacks", "nets.py:wrapped", "photos", *SIZE, "--quiet")
CODE = ("--model", "nets.py:wrapped", "--quiet")


def rows(folder):
    with (Path(folder) / "attacks.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def record(folder):
    return strict((Path(folder) / "attacks.json").read_text(encoding="utf-8"))


def studies(folder):
    return sorted(path.name for path in (Path(folder) / "studies").iterdir())


def test_the_experiment_is_one_folder_that_says_what_its_files_hold(amiss):
    said = amiss(*RUN, "--out", "run")
    assert said.code == 0, said.err
    assert studies("run") == ["ddn", "hop_skip_jump", "pgd"]
    names = {"run.json", "config.toml", "inputs.csv", "attacks.csv", "attacks.json", "flags.json"}
    assert names | {"report.html", "card.md"} <= {path.name for path in Path("run").iterdir()}
    figures, table = record("run")["figures"], rows("run")
    # Of eight images two are drawn the wrong way round.
    assert figures["accuracy"] == 0.75 and figures["images"] == 6 and len(table) == 3 * 6
    for name in ("pgd", "ddn", "hop_skip_jump"):
        own = [row for row in table if row["recipe"] == name]
        assert figures[f"success.{name}"] == pytest.approx(sum(row["status"] == "met" for row in own) / 6)
        assert figures[f"within.{name}"] == pytest.approx(sum(row["within"] == "1" for row in own) / 6)
        assert all((row["called"] != row["label"]) >= (row["status"] == "met") for row in own)
    assert all(float(row["linf"]) <= 60 / 255 + 1e-6 for row in table if row["recipe"] == "pgd")
    stood = {row["name"] for row in table} - {row["name"] for row in table if row["within"] == "1"}
    assert figures["withstood@60/255"] == pytest.approx(len(stood) / 6)
    assert record("run")["sentence"] in said.out


def test_it_is_shown_listed_checked_and_remade(amiss):
    amiss(*RUN, "--out", "run")
    assert amiss("show", "run").out.startswith("attacks on nets.py:wrapped, photos\n")
    assert len(amiss("show", "run", "--csv").out.splitlines()) == 1 + 3 * 6
    told = strict(amiss("show", "run", "--json").out)
    assert (told["kind"], told["finished"], told["samples"]) == ("attacks", True, 6)
    assert "rony2019" in amiss("show", "run", "--bibtex").out
    assert amiss("show", "run", "--verify", *CODE).code == 0
    before, table = record("run"), Path("run/attacks.csv").read_bytes()
    for name in ("attacks.json", "attacks.csv", "report.html"):
        (Path("run") / name).unlink()
    assert amiss("show", "run", "--rebuild", *CODE).code == 0
    assert {**record("run"), "created": ""} == {**before, "created": ""}
    assert Path("run/attacks.csv").read_bytes() == table


@pytest.mark.parametrize("turns", [3, 15])
def test_a_stop_anywhere_changes_nothing(amiss, stopped, turns):
    amiss(*RUN, "--out", "whole")
    said = stopped(turns, *RUN, "--out", "torn")
    assert said.code == 130 and "amiss run torn nets.py:wrapped goes on from here" in said.err
    assert amiss("run", "torn", "nets.py:wrapped", "--quiet").code == 0
    for name in studies("whole"):
        one, two = (run_digest(Store(Path(folder) / "studies" / name)) for folder in ("whole", "torn"))
        assert one == two
    assert Path("whole/attacks.csv").read_bytes() == Path("torn/attacks.csv").read_bytes()


def test_other_models_are_attacked_too_and_shown_all(amiss, stopped):
    with_other = (*RUN, "--transfer", "nets.py:build")
    said = amiss(*with_other, "--out", "run")
    assert said.code == 0, said.err
    kept = record("run")["attacks"]["transfer"]
    names = ["nets.py:wrapped", "nets.py:build"]
    assert {(row["source"], row["model"]) for row in kept} == {(a, b) for a in names for b in names}
    assert len(kept) == 3 * 4 and len(studies("run")) == 6
    for recipe in ("pgd", "ddn", "hop_skip_jump"):  # the same network under two names
        assert len({row["changed"]["share"] for row in kept if row["recipe"] == recipe}) == 1
    figures = record("run")["figures"]
    assert figures["transfer_mean"] == figures["transfer_own"] > figures["transfer_noise"]
    # It is told again without the models, and not where somebody else wrote into the file.
    assert amiss("show", "run", "--rebuild", *CODE).code == 0
    assert record("run")["attacks"]["transfer"] == kept
    path = Path("run/transfer.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"n": 6', '"n": 7'), encoding="utf-8")
    assert amiss("show", "run", "--rebuild", *CODE).code == 0
    assert record("run")["attacks"]["transfer"] is None
    # Stopped among the attacks on another model, it goes on there.
    torn = stopped(200, *with_other, "--out", "torn")
    again = "amiss run torn nets.py:wrapped --transfer nets.py:build"
    assert torn.code == 130 and f"{again} goes on from here" in torn.err
    assert any("-for-" in name for name in studies("torn"))
    assert amiss(*again.split()[1:], "--quiet").code == 0
    assert record("torn")["attacks"]["transfer"] == kept


def test_gates_hold_it_to_its_figures(amiss):
    gate = ["--require", "robust_accuracy@60/255>=0.99", "--require", "success.ddn>=1"]
    said = amiss(*RUN, *gate, "--out", "run", "--json")
    assert said.code == 3
    assert [gate["met"] for gate in strict(said.out)["gates"]] == [False, True]
    amiss(*RUN, "--require", "success.fgsm>=0.5").refused("gate-unknown", code=2)
    amiss(*RUN, "--require", "robust_accuracy@0.5>=0.5").refused("gate-unknown", code=2)


@pytest.mark.parametrize(
    ("options", "slug"),
    [
        (["--eps", "8"], "eps-units"),
        (["--eps", "-0.1"], "eps-negative"),
        (["--eps", "0"], "attacks-radius"),
        (["--eps", "ten"], "recipe-option"),
        (["--recipes", "pgd,lse"], "attacks-recipes"),
        (["--recipes", "pgd,"], "recipe-option"),
        (["--images", "0"], "recipe-option"),
        (["--layers", "fc1"], "recipe-option"),
        (["--budget", "steps=3"], "recipe-option"),
    ],
)
def test_options_that_mean_nothing_are_refused(amiss, options, slug):
    amiss("run", "attacks", "nets.py:wrapped", "photos", *options, "--quiet").refused(slug, code=2)
    assert not Path("runs").exists()


def test_what_cannot_be_attacked_is_refused_before_anything_is_written(amiss):
    blind = "\n\ndef blind():\n    return amiss.Classifier(Brightness(), labels=['bright', 'dark'], gives='loss')\n"
    Path("nets.py").write_text(Path("nets.py").read_text(encoding="utf-8") + blind, encoding="utf-8")
    amiss("run", "attacks", "nets.py:blind", "photos", *SIZE, "--quiet").refused("contract-ladder")
    amiss(*RUN, "--transfer", "nets.py:color").refused("model-raises", "'nets.py:color' of --transfer")
    assert not Path("runs").exists()


def test_an_edited_configuration_is_refused(amiss):
    amiss(*RUN, "--out", "run")
    path = Path("run/config.toml")
    text = path.read_text(encoding="utf-8")
    for was, now in (
        ("steps = 8", "steps = 0"),
        ('recipes = ["pgd"', 'recipes = ["pdg"'),
        ("queries = 40", "more = 1"),
    ):
        assert was in text
        path.write_text(text.replace(was, now), encoding="utf-8")
        assert amiss("run", "run", "nets.py:wrapped").code == 2
