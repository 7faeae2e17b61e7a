"""Gates on the command line: refused before any work, judged after it, and told by exit code, table, JSON and XML."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer

from amiss.cli import gates as module
from amiss.cli.gates import asked, conclude, settled
from tests.audit.conftest import strict

AUDIT = (
    "audit",
    "nets.py:wrapped",
    "photos",
    "--attacked",
    "4",
    "--steps",
    "3",
    "--eps",
    "8/255,.1",
    "--fooled",
    "0",
)
KNOWN = {"accuracy": "", "mistakes_repaired": "there was no mistake to repair"}


def record():
    return strict(Path("runs/nets-py-wrapped-photos/audit.json").read_text(encoding="utf-8"))


def test_gates_that_are_met_end_with_0_and_are_told(amiss):
    met = ("accuracy==3/4", "mistakes_repaired >= 1", "robust_accuracy@.1>=0", "verified_from_disk==1")
    said = amiss(*AUDIT, *(word for text in met for word in ("--require", text)))
    assert said.code == 0, said.err
    assert [(gate["text"], gate["met"], gate["why"]) for gate in record()["gates"]] == [(t, True, "") for t in met]
    assert "met      accuracy==3/4           0.75\n" in said.out
    assert "not met" not in said.out


def test_a_gate_that_is_missed_ends_with_3_and_everything_is_written(amiss):
    said = amiss(*AUDIT, "--require", "accuracy>=0.9", "--require", "mistakes==2", "--junit", "ci/amiss.xml")
    assert said.code == 3, said.err
    assert said.out.splitlines()[-2:] == [
        "not met  accuracy>=0.9  0.75, where at least 0.9 is needed",
        "met      mistakes==2    2",
    ]
    account = record()
    assert account["gates"][0] == {
        "text": "accuracy>=0.9",
        "value": 0.75,
        "met": False,
        "why": "0.75, where at least 0.9 is needed",
    }
    assert "--require" not in account["command"]  # it gives the figures again, whatever is asked of them
    assert Path("runs/nets-py-wrapped-photos/report.html").is_file()
    gates, flags = ElementTree.parse("ci/amiss.xml").getroot()
    assert [(case.get("name"), len(case)) for case in gates] == [("accuracy>=0.9", 1), ("mistakes==2", 0)]
    assert [case.get("name") for case in flags] == [flag["slug"] for flag in account["flags"]]


def test_json_holds_the_verdicts_and_is_still_one_object(amiss):
    said = amiss(*AUDIT, "--json", "--require", "accuracy>=0.9")
    assert (said.code, said.err) == (3, "")
    told = strict(said.out)
    assert told["gates"] == record()["gates"]
    assert told["gates"][0]["met"] is False
    assert told["flags"] == record().get("flags", [])


def test_a_figure_that_there_is_none_of_in_the_end_is_a_gate_that_is_missed(amiss):
    for path in Path("photos").rglob("[01]0.png"):
        path.unlink()
    said = amiss(*AUDIT, "--require", "mistakes_repaired>=0")
    assert said.code == 3, said.err
    assert "not met  mistakes_repaired>=0  not measured: there was no mistake to repair" in said.out
    assert record()["gates"][0]["value"] is None


@pytest.mark.parametrize(
    ("options", "slug"),
    [
        (("--require", "accuracy"), "gate-text"),
        (("--require", "acuracy>=0.9"), "gate-unknown"),
        (("--require", "accuracy>=0", "--require", "robust_accuracy@4/255>=0.4"), "gate-unknown"),
        (("--require", "robust_accuracy@8/255>=0.4", "--attacked", "0"), "gate-unknown"),
        (("--require", "mistakes_repaired>=0.4", "--mistakes", "0"), "gate-unknown"),
        (("--require", "judge_before>=0.4"), "gate-unknown"),
    ],
)
def test_what_cannot_be_met_by_any_run_is_refused_before_anything_is_done(amiss, options, slug):
    said = amiss(*AUDIT, *options)
    said.refused(slug, code=2)
    assert not Path("runs").exists()


def test_a_judge_brings_its_figures(amiss):
    said = amiss(*AUDIT, "--judge", "nets.py:wrapped", "--require", "pixel_judge_agreement==1")
    assert said.code == 0, said.err


def test_the_demo_refuses_at_once_too(amiss):
    amiss("demo", "--images", "60", "--require", "robust_accuracy@3/255>=0.4").refused("gate-unknown", code=2)
    assert not Path("runs").exists()


def test_a_junit_file_that_cannot_be_written_costs_no_result(amiss):
    Path("file").touch()
    amiss(*AUDIT, "--junit", "file/amiss.xml").refused("data-write")
    assert record()["counts"]["images"] == 8


def test_flags_that_fired_can_be_a_gate():
    gates = asked(["flags_fired==0"], KNOWN)
    flags = [{"slug": "parity", "state": state} for state in ("fired", "clear", "not measured", "fired")]
    assert [v.value for v in settled(gates, {"figures": {}, "flags": flags}, KNOWN)] == [2]
    (verdict,) = settled(gates, {"figures": {}}, KNOWN)
    assert (verdict.met, verdict.why) == (False, "not measured: no trust flag was measured")


def test_a_control_character_commands_no_terminal(capsys):
    gates = asked(["accuracy >= 1"], KNOWN)
    record = {"figures": {}}
    verdicts = settled(gates, record, {"accuracy": "\x1b[2Jcleared"})
    with pytest.raises(typer.Exit) as caught:
        conclude(verdicts, record, None, quiet=False)
    assert caught.value.exit_code == module.NOT_MET == 3
    assert "\x1b" not in capsys.readouterr().out
    assert json.loads(json.dumps(record))["gates"][0]["met"] is False


def test_without_gates_nothing_is_said(capsys):
    record = {"figures": {"accuracy": 0.5}}
    conclude(settled((), record, KNOWN), record, None, quiet=False)
    assert record["gates"] == []
    assert capsys.readouterr().out == ""
