"""`amiss audit`: what it leaves in its folder, what it says, and that it can be repeated from what it says."""

import json
import shlex
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch

from amiss.cli.command import data_name
from amiss.errors import DataError
from amiss.study import Store, refuse_foreign
from amiss.study.sameness import run_digest
from tests.audit.conftest import from_disk, strict
from tests.cli.conftest import draw

FAST = ("--attacked", "4")


def record(folder):
    return strict((Path(folder) / "audit.json").read_text(encoding="utf-8"))


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_an_audit_leaves_its_record_its_report_and_its_pictures(amiss):
    said = amiss("audit", "nets.py:wrapped", "photos", *FAST)
    assert said.code == 0, said.err
    run = Path("runs/nets-py-wrapped-photos")
    account = record(run)
    assert account["counts"] == {"images": 8, "right": 6, "wrong": 2, "unreadable": 0}
    assert (account["model"], account["data"]) == ("nets.py:wrapped", "photos")
    assert account["command"] == "amiss audit nets.py:wrapped photos --attacked 4 --seed 0"
    *_, trust, sentence, report = said.out.splitlines()
    assert trust.startswith("Trust: ")
    assert sentence == account["sentence"]
    assert report == f"Report: {run / 'report.html'}"
    said = {"audit.json", "report.html", "run.json", "config.toml", "inputs.csv", "flags.json", "card.md"}
    assert {name for name in files(run) if "/" not in name} - {"run.lock"} == said
    named = {entry["image"] for entry in account["fooled"]}
    for case in account["cases"]:
        named |= {
            case["original"],
            *(r["image"] for r in case["repairs"]),
            *(f for r in case["repairs"] for f in r["frames"]),
        }
    assert named <= {name for name in files(run) if name.endswith(".png")}
    assert {name.split("/")[1] for name in files(run) if name.startswith("studies/")} == {
        *("pixel-pgd", "fooling", "imposters-10-255"),
        *(f"attack-{2**k}-255" for k in range(7)),
    }
    for case in account["cases"]:  # judged by hand: the logits are 0 and 40 x mean - 20
        x, repair = from_disk(run / case["repairs"][0]["image"]), case["repairs"][0]
        ahead = (40 * x.mean() - 20) * (1 if case["true"] == "bright" else -1)
        assert ahead >= 0.5 - 1e-4
        assert repair["verified"] is True
        assert repair["margin"] == pytest.approx(ahead, abs=1e-4)


def test_no_path_of_this_machine_is_written_down(amiss, tmp_path):
    said = amiss("audit", tmp_path / "nets.py:build", tmp_path / "photos", "--out", tmp_path / "run", *FAST)
    assert said.code == 0, said.err
    assert record("run")["command"] == "amiss audit nets.py:build photos --attacked 4 --seed 0"
    for name in ("audit.json", "report.html", "card.md"):
        assert str(tmp_path) not in (tmp_path / "run" / name).read_text(encoding="utf-8")


def test_the_command_that_is_written_down_gives_the_same_figures(amiss):
    draw(Path("many words"), (12, 10, 3), each=8)
    options = "--size 8 --channels 1 --limit 12 --mistakes 3 --attacked 5 --batch 4 --seed 3 --mean 0.1 --std 2"
    first = amiss("audit", "./nets.py:build", "many words", "--out", "one", "--quiet", *options.split())
    assert first.code == 0, first.err
    one = record("one")
    words = shlex.split(one["command"])
    assert words[:4] == ["amiss", "audit", "./nets.py:build", "many words"]
    given = options.split()
    assert {(words[i], words[i + 1]) for i in range(4, len(words), 2)} == set(
        zip(given[::2], given[1::2], strict=True)
    )
    again = amiss(*words[1:], "--out", "two", "--quiet")
    assert again.code == 0, again.err
    two = record("two")
    for key in one:
        if key != "created":
            assert one[key] == two[key], key
    assert one["counts"]["images"] == 12
    assert len(one["cases"]) == 3
    assert one["robustness"]["n"] == 5


def test_json_is_one_object_and_nothing_else(amiss):
    said = amiss("audit", "nets.py:wrapped", "photos", "--json", *FAST)
    assert said.err == ""
    (line,) = said.out.splitlines()
    told = strict(line)
    account = record("runs/nets-py-wrapped-photos")
    rest = {
        "report": told["report"],
        "gates": [],
        "flags": strict(Path(told["report"]).with_name("flags.json").read_text()),
    }
    assert told == {"sentence": account["sentence"], **account["figures"], **rest}
    assert Path(told["report"]).is_file()
    assert told["accuracy"] == 0.75
    assert len(told["flags"]) > 10
    assert told["flags"] == account["flags"]


def test_quiet_says_what_was_found_alone(amiss):
    said = amiss("audit", "nets.py:wrapped", "photos", "--quiet", *FAST)
    assert said.err == ""
    assert said.out.splitlines()[-1].startswith("Report: ")


def without(account, *names):
    return {key: value for key, value in account.items() if key not in ("created", *names)}


def ledgers(folder):
    return {path.parent.name: path.read_bytes() for path in Path(folder).glob("studies/*/ledger.jsonl")}


def test_a_finished_audit_is_told_again_and_not_searched_again(amiss):
    assert amiss("audit", "nets.py:wrapped", "photos", "--out", "run", *FAST).code == 0
    one, searched = record("run"), ledgers("run")
    assert amiss("audit", "nets.py:wrapped", "photos", "--out", "run", *FAST).code == 0
    assert without(record("run")) == without(one)
    assert ledgers("run") == searched


def test_an_audit_of_something_else_is_refused_begun_beside_or_replaced_at_ones_word(amiss):
    words = ("audit", "nets.py:wrapped", "photos", "--out", "run")
    assert amiss(*words, *FAST).code == 0
    before = files("run")
    Path("run/notes.txt").write_text("mine")
    amiss(*words, "--attacked", "5").refused("run-other", "another plan", "attacked=4 before, attacked=5 now")
    assert amiss(*words, "--attacked", "5", "--fork", "--quiet").code == 0
    assert json.loads(Path("run-2/run.json").read_text())["parent"] == "run"
    for path in list(Path("photos/dark").iterdir())[1:]:
        path.unlink()
    amiss(*words, *FAST).refused("run-other", "another data")
    amiss("audit", "nets.py:gone", "photos", "--out", "run", "--overwrite").refused("model-function")
    assert files("run") == sorted([*before, "notes.txt"])  # what cannot begin replaces nothing
    amiss(*words, "--overwrite", *FAST).refused("out-not-empty", "notes.txt; nothing was removed")
    assert files("run") == sorted([*before, "notes.txt"])
    Path("run/notes.txt").unlink()
    said = amiss(*words, "--overwrite", *FAST)
    assert said.code == 0, said.err
    assert record("run")["counts"]["images"] == 5
    after = [name for name in files("run") if name.endswith(".png")]
    assert len(after) < len([name for name in before if name.endswith(".png")])


@pytest.mark.parametrize("calls", [8, 30, 45])
def test_a_stopped_audit_goes_on_by_the_same_command_to_the_same_record(amiss, monkeypatch, calls):
    words = ("audit", "nets.py:wrapped", "photos", "--eps", "8/255,.1", "--steps", "3", "--quiet", *FAST)
    assert amiss(*words, "--out", "whole").code == 0

    @contextmanager
    def soon():
        asked = count(1)
        yield lambda: next(asked) >= calls

    with monkeypatch.context() as patch:
        patch.setattr("amiss.cli.audit.stopping", soon)
        said = amiss(*words, "--out", "run")
    assert (said.code, said.out) == (130, "")
    assert "Interrupted [interrupted]" in said.err
    assert "audit.json" not in files("run")
    said = amiss(*words, "--out", "run")
    assert said.code == 0, said.err
    assert without(record("run")) == without(record("whole"))
    for name in ledgers("whole"):
        one, two = (Store(Path(folder, "studies", name)) for folder in ("run", "whole"))
        assert run_digest(one) == run_digest(two), name


def test_an_audit_that_was_cut_short_does_not_stand_in_the_way(amiss, monkeypatch):
    from amiss.audit import audit

    def cut(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(audit, "fool", cut)
        assert amiss("audit", "nets.py:wrapped", "photos", "--out", "run", *FAST).code == 130
    assert "run.json" in files("run")
    assert "audit.json" not in files("run")
    assert "Not finished. It goes on by: amiss audit nets.py:wrapped photos" in amiss("show", "run").out
    assert amiss("audit", "nets.py:wrapped", "photos", "--out", "run", *FAST).code == 0
    assert "audit.json" in files("run")


def test_a_report_that_cannot_be_written_leaves_no_audit_that_looks_whole(amiss, monkeypatch):
    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("amiss.report.build", fails)
    said = amiss("audit", "nets.py:wrapped", "photos", "--out", "run", *FAST)
    assert said.code == 1
    assert "No space left" in said.err
    assert "audit.json" not in files("run")


def test_a_decoder_and_a_judge_of_ones_own(amiss):
    # Half of the pixels' mean decides, and a decoder of enough codes draws noise well enough to speak.
    from amiss.data import open_data
    from amiss.models import build
    from amiss.training import decoder_for, save_model

    preset = decoder_for(open_data("photos"))
    facts = {"kind": "decoder", "classes": ["bright", "dark"]}
    save_model("decoder.safetensors", build(preset.model, seed=0), preset.model, facts)
    arguments = ("--decoder", "decoder.safetensors", "--judge", "nets.py:wrapped", "--out", "run")
    said = amiss("audit", "nets.py:wrapped", "photos", *arguments, *FAST)
    assert said.code == 0, said.err
    account = record("run")
    assert account["command"].startswith(
        "amiss audit nets.py:wrapped photos --decoder decoder.safetensors --judge nets.py:wrapped"
    )
    assert account["figures"]["pixel_judge_agreement"] == 1
    assert 0 <= account["figures"]["decoder_explained"] < 0.7  # nobody trained it
    assert "LSE cannot speak here. The decoder given: reconstruction keeps" in said.out
    verification = next(method for method in account["methods"] if method["name"] == "Verification")
    assert verification["settings"]["judge"].startswith("nets.py:wrapped: the judge given, right on")


def test_a_folder_called_by_a_dot_has_a_name(tmp_path, monkeypatch):
    (tmp_path / "photos" / "more").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "photos" / "more")
    assert [data_name(text) for text in (".", "..", "a/b/", "digits")] == ["more", "photos", "b", "digits"]


def test_names_that_attack_the_page_are_only_names(amiss):
    draw(Path("x"), classes=("<b>&'", "a;rm -rf"))
    said = amiss("audit", "nets.py:build", "x", "--out", "run", *FAST)
    assert said.code == 0, said.err
    assert {case["true"] for case in record("run")["cases"]} <= {"<b>&'", "a;rm -rf"}
    assert "<b>&" not in Path("run/report.html").read_text(encoding="utf-8")


def test_no_error_of_numbers_is_written_as_json(amiss):
    said = amiss("audit", "nets.py:wrapped", "photos", "--out", "run", "--mistakes", 1, *FAST)
    assert said.code == 0, said.err
    assert json.dumps(record("run"), allow_nan=False)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("seconds", [0.01, None])
def test_a_decoder_that_the_clock_ended_is_told_of(monkeypatch, tmp_path, seconds):
    """`amiss audit digits` trains on the spot: only what the clock left alone can be had again."""
    from amiss import training
    from amiss.cli.digits import digits

    classifier, decoder = training.classifier_for, training.decoder_for

    def clocked(images, seed, **_):
        preset = decoder(images, seed=seed, epochs=1)
        return replace(preset, training=replace(preset.training, seconds=seconds))

    monkeypatch.setattr(training, "classifier_for", lambda images, seed: classifier(images, seed=seed, epochs=1))
    monkeypatch.setattr(training, "decoder_for", clocked)
    first = digits(0, quiet=True, limit=5, device=None, place=tmp_path)
    remark = first[-1]
    assert (remark is None) == (seconds is None)
    assert remark is None or "The clock ended" in remark[1]
    again = digits(0, quiet=True, limit=5, device=None, place=tmp_path)  # taken from where they lie
    assert again[-1] == remark
    assert again[0].fingerprint == first[0].fingerprint


def test_digits_that_were_stopped_while_they_trained_stand_in_no_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuse_foreign(Path("run"))
    Path("run/run.models").mkdir(parents=True)
    refuse_foreign(Path("run"))
    Path("run/mine").touch()
    with pytest.raises(DataError):
        refuse_foreign(Path("run"))


def test_the_plan_can_be_said_on_the_command_line(amiss):
    said = amiss(
        "audit", "nets.py:wrapped", "photos", "--eps", "4/255, .5", "--steps", "3", "--fooled", "0", "--margin", "1"
    )
    assert said.code == 0, said.err
    account = record("runs/nets-py-wrapped-photos")
    assert account["robustness"]["epsilons"] == [0, 4 / 255, 0.5]
    assert account["plan"]["steps"] == 3
    assert account["plan"]["margin"] == 1
    assert account["fooled"] == []
    assert account["command"].startswith("amiss audit nets.py:wrapped photos --margin 1.0 --eps '4/255, .5'")


@pytest.mark.parametrize(
    ("radii", "slug"),
    [("8", "plan-epsilons"), (".2,.1", "plan-epsilons"), ("x", "usage-numbers"), ("1/0", "usage-numbers")],
)
def test_radii_that_mean_nothing_are_refused_before_anything_is_done(amiss, radii, slug):
    amiss("audit", "nets.py:wrapped", "photos", "--eps", radii).refused(slug, code=2)
    assert not Path("runs").exists()
