"""`amiss compare`: two runs of the same images, side by side; what it counts is what the tables of the runs say."""

import csv
import io
from pathlib import Path
from statistics import median
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from tests.audit.conftest import strict
from tests.cli.conftest import draw

SMALL, LARGE = "8/255", "80/255"


def attack(amiss, eps, out, data="photos", *more):
    said = amiss("run", "pgd", "nets.py:wrapped", data, "--eps", eps, "--steps", "9", "--out", out, "--quiet", *more)
    assert said.code == 0, said.err


def told(amiss, one, two, *more):
    said = amiss("compare", one, two, "--json", *more)
    assert said.err == ""
    (line,) = said.out.splitlines()
    return strict(line)


def rows(folder):
    text = Path(folder, "results.csv").read_text(encoding="utf-8")
    return {row["name"]: row for row in csv.DictReader(io.StringIO(text))}


def met(row):
    return row["status"] in ("met", "already-met")


@pytest.fixture
def pair(amiss):
    """Two attacks on the same images in a/ and b/."""
    attack(amiss, SMALL, "a")
    attack(amiss, LARGE, "b")
    return amiss


def test_the_counts_are_those_of_the_two_tables(pair):
    account, one, two = told(pair, "a", "b"), rows("a"), rows("b")
    seen = [(met(one[name]), met(two[name])) for name in one]
    for name, both in (("both", (1, 1)), ("broken", (1, 0)), ("fixed", (0, 1)), ("neither", (0, 0))):
        assert account[name] == seen.count(tuple(map(bool, both))), name
    assert account["fixed"] > 0  # ten times the radius breaks more
    assert account["p"] == binomtest(account["broken"], account["broken"] + account["fixed"]).pvalue
    assert (account["only_first"], account["only_second"], account["unfinished"]) == (0, 0, 0)
    assert account["differing"]["settings"] == {"settings.eps": [8 / 255, 80 / 255]}
    assert "probe" in account["differing"]["fingerprints"]
    assert not {"model", "data"} & set(account["differing"]["fingerprints"])


def test_swapping_the_runs_swaps_what_was_broken_and_fixed(pair):
    one, two = told(pair, "a", "b"), told(pair, "b", "a")
    assert (one["broken"], one["fixed"]) == (two["fixed"], two["broken"])
    assert (one["both"], one["neither"], one["p"]) == (two["both"], two["neither"], two["p"])


def test_a_run_beside_itself_differs_nowhere(pair):
    account = told(pair, "b", "b")
    assert (account["broken"], account["fixed"], account["p"]) == (0, 0, 1)
    assert account["l2_ratio"] == account["linf_ratio"] == 1
    assert account["differing"] == {"fingerprints": [], "settings": {}}
    assert "Both were made with the same model, data and settings." in pair("compare", "b", "b").out


def test_sizes_are_compared_where_both_were_changed(amiss):
    attack(amiss, LARGE, "a")
    attack(amiss, "none", "b", "photos", "--norm", "l2", "--step", "1/2", "--margin", "1")
    one, two = rows("a"), rows("b")
    shared = [name for name in one if one[name]["status"] == two[name]["status"] == "met"]
    assert shared
    wanted = median(float(two[name]["l2"]) / float(one[name]["l2"]) for name in shared)
    assert told(amiss, "a", "b")["l2_ratio"] == pytest.approx(wanted)
    lines = amiss("compare", "a", "b").out.splitlines()
    assert "  settings.norm: none and l2" in lines
    assert f"  settings.eps: {80 / 255} and none" in lines


def test_images_of_one_run_alone_are_counted_and_the_others_paired(pair):
    draw(Path("more"), seed=0)  # the same images, and one more, and one of them twice
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save("more/bright/09.png")
    Path("more/dark/19.png").write_bytes(Path("more/dark/11.png").read_bytes())
    attack(pair, LARGE, "c", "more")
    account = told(pair, "b", "c")
    assert (account["pairs"], account["only_first"], account["only_second"]) == (8, 0, 2)
    assert account["broken"] == account["fixed"] == 0
    assert "2 in the second alone" in pair("compare", "b", "c").out
    assert "data" in account["differing"]["fingerprints"]


def test_what_is_not_finished_is_neither_met_nor_missed(pair):
    ledger = Path("b/ledger.jsonl")
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:5]))
    account = told(pair, "a", "b")
    assert (account["pairs"], account["unfinished"]) == (5, 3)
    assert account["both"] + account["broken"] + account["fixed"] + account["neither"] == 5


def test_gates_and_junit(pair):
    said = pair("compare", "a", "b", "--require", "broken==0", "--require", "fixed<1", "--junit", "ci.xml")
    assert said.code == 3
    assert "met      broken==0" in said.out and "not met  fixed<1" in said.out
    cases = [(case.get("name"), len(case)) for case in ElementTree.parse("ci.xml").getroot().iter("testcase")]
    assert cases == [("broken==0", 0), ("fixed<1", 1)]
    assert pair("compare", "a", "b", "--require", "p<=1").code == 0
    pair("compare", "a", "b", "--require", "worse==0").refused("gate-unknown", "broken", code=2)
    (gate,) = told(pair, "a", "b", "--require", "l2_ratio<9")["gates"]
    assert (gate["met"], gate["why"]) == (False, "not measured: no image was changed in both")


def test_other_images_cannot_be_compared(pair):
    draw(Path("others"), seed=7)
    attack(pair, SMALL, "c", "others")
    pair("compare", "a", "c").refused("compare-nothing", "8 samples and 8")
    pair("compare", "a", "nowhere").refused("run-missing")


def test_no_model_is_loaded_and_nothing_is_changed(pair):
    Path("nets.py").unlink()
    before = {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()}
    assert pair("compare", "a", "b").code == 0
    assert {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()} == before


@pytest.fixture
def audits(amiss):
    """Audits of a classifier and of one that takes bright for dark, in a/ and b/; neither names its classes."""
    Path("nets.py").write_text(
        Path("nets.py").read_text()
        + "\n\ndef other():\n    net = Brightness()\n    net.scale.bias.data[0] -= 20\n    return net\n"
    )
    for name, out in (("build", "a"), ("other", "b")):
        words = ("--eps", "8/255,.1", "--attacked", "6", "--steps", "3", "--fooled", "2", "--out", out, "--quiet")
        said = amiss("audit", f"nets.py:{name}", "photos", *words)
        assert said.code == 0, said.err
    return amiss


def test_audits_are_compared_by_answers_and_by_every_study_they_share(audits):
    account = told(audits, "a", "b")
    inputs = [list(csv.DictReader(io.StringIO(Path(name, "inputs.csv").read_text()))) for name in ("a", "b")]
    right = [[row["label"] == row["prediction"] for row in part] for part in inputs]
    seen = list(zip(*right, strict=True))
    assert account["both"] == seen.count((True, True)) and account["neither"] == seen.count((False, False))
    assert account["broken"] == seen.count((True, False)) > 0
    assert account["fixed"] == seen.count((False, True))
    shared = {path.name for path in Path("a/studies").iterdir()} & {path.name for path in Path("b/studies").iterdir()}
    assert set(account["studies"]) == shared > {"fooling"}
    curves = [strict(Path(name, "audit.json").read_text())["figures"] for name in ("a", "b")]
    assert account["robust_accuracy"] == {
        name: [part[name] for part in curves] for name in curves[0] if name.startswith("robust_accuracy@")
    }
    assert "model" in account["differing"]["fingerprints"]
    assert audits("compare", "a", "b", "--require", "second.robust_accuracy@8/255<=1").code == 0
    assert audits("compare", "a", "b", "--require", "fooling.broken==0", "--require", "broken==0").code == 3


def test_an_audit_is_not_compared_with_a_run(audits):
    attack(audits, SMALL, "c")
    lines = audits("compare", "a", "c").refused("compare-kinds", code=2)
    assert str(Path("a/studies")) in lines["Try"]


def test_an_audit_beside_itself_differs_nowhere(audits):
    account = told(audits, "a", "a")
    assert (account["broken"], account["fixed"], account["p"]) == (0, 0, 1)
    assert all(part["broken"] == part["fixed"] == 0 for part in account["studies"].values())
