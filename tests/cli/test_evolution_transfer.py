"""`amiss run fooling --transfer`: other networks whose answers are known, what is kept of them, what is refused."""

from pathlib import Path

import pytest

from amiss.audit.evolution import Evolution, EvolutionExperiment
from amiss.cli.evolution_transfer import champions_shown
from amiss.errors import Interrupted
from tests.audit.conftest import strict
from tests.audit.test_evolution_tables import SHAPE, ring
from tests.cli.test_evolution import BARE, account, rows

SMALL = (
    "--encodings",
    "cppn,gradient",
    "--generations",
    "6",
    "--children",
    "10",
    "--steps",
    "8",
    "--confidence",
    "0.7",
    "--quiet",
)
RUN = ("run", "fooling", "nets.py:wrapped", "--confidence", "0.7", *SMALL, *BARE, "--out", "run")
SURE = ("cppn", "gradient")
OTHERS = ("--transfer", "nets.py:build,nets.py:three")


def quiet(*_):
    return None


def kept(folder="run"):
    return strict((Path(folder) / "transfer.json").read_text(encoding="utf-8"))["rows"]


def table():
    found = [one for one in account("run")["nonsense"]["tables"] if one["title"] == "Shown to other models"]
    return found[0] if found else None


def test_other_models_are_shown_the_champions_that_are_sure(amiss):
    said = amiss(*RUN, *OTHERS)
    assert said.code == 0, said.err
    sure = {name: [row for row in rows("run") if (row["encoding"], row["status"]) == (name, "met")] for name in SURE}
    assert all(sure.values())
    told = kept()
    models = ("nets.py:wrapped", "nets.py:build", "nets.py:three")
    assert [(row["model"], row["encoding"]) for row in told] == [(model, name) for model in models for name in SURE]
    for own, same, three in zip(told[:2], told[2:4], told[4:], strict=True):
        champions = sure[own["encoding"]]
        assert own["n"] == own["first"] == own["sure"] == len(champions)  # it is sure of each, as the files say
        apart = {"model", "fingerprint"}  # the same network without names of its classes
        assert {k: v for k, v in same.items() if k not in apart} == {k: v for k, v in own.items() if k not in apart}
        # Of three classes what is dark is called the third: the one by the second name is kept by none.
        assert three["first"] == sum(row["name"] == "bright" for row in champions)
        assert own["top"] is None and own["side"] is None
    shown = table()
    assert [row[:3] for row in shown["rows"]][:2] == [
        ["cppn", "nets.py:wrapped (itself)", len(sure["cppn"])],
        ["cppn", "nets.py:build", len(sure["cppn"])],
    ]
    assert len(shown["head"]) == len(shown["rows"][0]) == 6
    # It is told again without the models, and not of other champions, nor in other words than numbers.
    text, code = Path("run/transfer.json").read_text(encoding="utf-8"), ("--model", "nets.py:wrapped", "--quiet")
    for changed in (
        text,
        text.replace('"images": "', '"images": "0'),
        text.replace('"first": ', '"first": -'),
        "[[[",
    ):
        Path("run/transfer.json").write_text(changed, encoding="utf-8")
        assert amiss("show", "run", "--rebuild", *code).code == 0
        assert table() == (shown if changed == text else None)


def test_what_a_model_said_is_not_asked_again(amiss):
    assert amiss(*RUN, "--transfer", "nets.py:build").code == 0
    path = Path("run/transfer.json")
    text = path.read_text(encoding="utf-8")
    assert amiss("run", "run", "nets.py:wrapped", "--transfer", "nets.py:three", "--quiet").code == 0
    assert [row["model"] for row in kept()] == ["nets.py:wrapped"] * 2 + ["nets.py:three"] * 2
    assert kept()[:2] == strict(text)["rows"][:2]


def test_the_models_are_remembered_and_code_is_named_once_more(amiss, stopped):
    again = "amiss run run nets.py:wrapped --transfer nets.py:build,nets.py:three"
    said = stopped(2, *RUN, *OTHERS)
    assert said.code == 130 and f"{again} goes on from here" in said.err
    assert amiss("run", "run", "nets.py:wrapped", "--quiet").refused("run-code", code=2)["Try"] == again
    assert amiss(*again.split()[1:], "--quiet").code == 0
    assert len(kept()) == 6


def test_a_stop_among_the_models_keeps_what_they_said(tmp_path):
    asked = Evolution(("cppn",), generations=15, children=20, confidence=0.9)
    found = EvolutionExperiment(ring(), None, asked, shape=SHAPE).run(tmp_path)
    models = {"own": ring(), "same": ring(), "finer": ring(24)}
    with pytest.raises(Interrupted, match="1 of 3 models"):
        champions_shown(found, models, tmp_path, quiet, lambda: True)
    (first,) = kept(tmp_path)
    assert (first["model"], first["first"]) == ("own", first["n"])
    (table,) = champions_shown(found, models, tmp_path, quiet)
    assert [row[1] for row in table["rows"]] == ["own (itself)", "same (itself)", "finer"]
    assert kept(tmp_path)[0] == first
    assert champions_shown(found, {"own": ring()}, tmp_path, quiet) == [table]


def test_models_that_cannot_be_asked_are_named_before_anything_is_searched(amiss):
    for model, slug in (("nets.py:color", "model-raises"), ("nets.py:turned", "transfer-order")):
        said = amiss(*RUN, "--transfer", f"nets.py:build,{model}")
        assert f"Leave {model} out" in said.refused(slug, f"'{model}' of --transfer")["Try"]
    few = ("run", "fooling", "nets.py:three", *SMALL, *BARE, "--out", "run", "--transfer", "nets.py:build")
    amiss(*few).refused("transfer-classes", "2 classes, and labels up to 2")
    amiss(*RUN, "--transfer", "nets.py:wrapped").refused("recipe-option", "anyway", code=2)
    assert not Path("run").exists()
