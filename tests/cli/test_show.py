"""`amiss show`: a run told from its files alone, its successes judged again, and what follows from it remade."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.audit.conftest import strict
from tests.cli.conftest import draw

PGD = ("run", "pgd", "nets.py:wrapped", "photos", "--eps", "64/255", "--steps", "9", "--quiet")
AUDIT = ("audit", "nets.py:wrapped", "photos", "--eps", "8/255,64/255", "--attacked", "4", "--steps", "5", "--quiet")
BY = ("--model", "nets.py:wrapped")


@pytest.fixture
def run(amiss):
    """A finished run in run/."""
    said = amiss(*PGD, "--out", "run")
    assert said.code == 0, said.err
    return amiss


@pytest.fixture
def audit(amiss):
    """A finished audit in run/."""
    said = amiss(*AUDIT, "--out", "run")
    assert said.code == 0, said.err
    return amiss


def bytes_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def successes(folder):
    """The images of successes, by the ledger's own words."""
    return [Path(folder) / row["image"] for row in rows(folder) if row["status"] in ("met", "already-met")]


def text_of(folder):
    return (Path(folder) / "results.csv").read_bytes().decode()


def rows(folder):
    return list(csv.DictReader(io.StringIO(text_of(folder), newline="")))


def told(amiss, folder="run"):
    said = amiss("show", folder, "--json")
    assert (said.code, said.err) == (0, ""), said.err
    (line,) = said.out.splitlines()
    return strict(line)


def table(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def test_a_run_is_told_without_its_model_and_without_a_change(run):
    Path("nets.py").unlink()
    before = bytes_of("run")
    said = run("show", "run")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "pgd on nets.py:wrapped, photos"
    assert lines[1] == "amiss run pgd nets.py:wrapped photos --seed 0 --eps 64/255 --steps 9"
    assert re.fullmatch(r"8 of 8 samples finished: (\d [a-z-]+(, )?)+", lines[2])
    assert sum(map(int, re.findall(r"(\d) [a-z]", lines[2].partition(": ")[2]))) == 8
    assert any(line.startswith("Trust: ") for line in lines)
    assert lines[-1] == f"Report: {Path('run/report.html')}"
    assert bytes_of("run") == before


def test_json_is_one_object_whose_counts_add_up(run):
    account = told(run)
    assert (account["kind"], account["finished"], account["samples"]) == ("run", True, 8)
    assert sum(account["counts"].values()) == 8
    assert account["figures"]["met"] == len(successes("run"))
    assert account["figures"]["success_rate"] == len(successes("run")) / 8
    assert (account["damage"], account["parent"], len(account["sessions"])) == ([], None, 1)
    assert account["flags"] == strict(Path("run/flags.json").read_text())


def test_the_table_is_that_of_the_finished_run(run):
    said = run("show", "run", "--csv")
    assert said.code == 0
    assert table(said.out) == table(text_of("run"))


def test_an_unfinished_run_has_a_table_too_and_says_how_it_goes_on(run):
    ledger = Path("run/ledger.jsonl")
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:5]))
    Path("run/results.csv").unlink()
    rows = list(csv.DictReader(io.StringIO(run("show", "run", "--csv").out)))
    assert [row["status"] == "interrupted" for row in rows] == [False] * 5 + [True] * 3
    assert [row["name"] for row in rows] == sorted(f"{c}/{k}.png" for c, k in NAMES)
    account = told(run)
    assert (account["finished"], account["counts"]["interrupted"]) == (False, 3)
    assert run("show", "run").out.splitlines()[-1].endswith("It goes on by: amiss run run nets.py:wrapped")


NAMES = [(name, f"{c}{i}") for c, name in enumerate(("bright", "dark")) for i in range(4)]


def test_what_is_damaged_is_said_and_not_counted(run):
    shard = Path("run/tensors/00000.safetensors")
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    account = told(run)
    assert account["counts"] == {"interrupted": 8}
    assert account["damage"] == ["tensors/00000.safetensors (8 samples)"]
    assert "Damaged, and not believed: tensors/00000.safetensors (8 samples)" in run("show", "run").out
    said = run("show", "run", "--verify", *BY)  # what is not believed is no success that could hold
    assert said.out.splitlines() == [
        "Damaged, and not believed: tensors/00000.safetensors (8 samples)",
        "There was no success to judge.",
    ]


def test_names_are_no_formulas_and_command_no_terminal(amiss):
    evil = "=cmd()|'\x1b[2J"
    draw(Path("x"), classes=("a", evil))
    Path("x/a/=1+1.png").write_bytes(b"no image")
    assert amiss("run", "pgd", "nets.py:build", "x", "--eps", "8/255", "--out", "run", "--quiet").code == 0
    said = amiss("show", "run", "--csv")
    cells = [cell for row in csv.reader(io.StringIO(said.out)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    assert not [cell for cell in cells if cell.startswith("-") and not re.fullmatch(r"-?[\d.e-]+", cell)]
    assert table(said.out) == table(text_of("run"))
    lines = amiss("show", "run").out
    assert "\x1b" not in lines
    assert "Left out: a/=1+1.png" in lines
    assert told(amiss)["counts"]["unreadable"] == 1


def test_the_papers_are_those_of_the_recipes_used(run):
    assert re.findall(r"@\w+\{(\w+),", run("show", "run", "--bibtex").out) == ["madry2018"]
    run("run", "fgsm", "nets.py:wrapped", "photos", "--eps", "8/255", "--out", "other", "--quiet")
    assert re.findall(r"@\w+\{(\w+),", run("show", "other", "--bibtex").out) == ["goodfellow2015"]


def test_the_page_is_opened_and_missed(run, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)  # as if there were no browser
    assert run("show", "run", "--open").out == f"No browser was found here. Report: {Path('run/report.html')}\n"
    assert opened == [Path("run/report.html").resolve().as_uri()]
    Path("run/report.html").unlink()
    lines = run("show", "run", "--open").refused("run-no-report")
    assert "--rebuild" in lines["Try"]
    assert len(opened) == 1


def test_every_success_is_judged_again_and_nothing_is_changed(run):
    before = bytes_of("run")
    said = run("show", "run", "--verify", *BY)
    assert said.code == 0, said.err
    assert said.out == f"All {len(successes('run'))} successes hold: each was read from its file and judged again.\n"
    assert bytes_of("run") == before


def test_a_file_that_shows_something_else_is_named(run):
    image = successes("run")[-1]
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(image)
    said = run("show", "run", "--verify", *BY)
    lines = said.refused("run-unverified", "1 of")
    name = next(row["name"] for row in rows("run") if row["image"] == image.relative_to("run").as_posix())
    assert lines["Seen"] == name
    assert said.out.splitlines()[-1].startswith(f"pgd: {name} (sample ")
    account = strict(run("show", "run", "--verify", "--json", *BY).out)
    assert [row["name"] for row in account["failing"]] == [name]


def test_a_file_that_is_gone_is_a_success_that_does_not_hold_until_it_is_remade(run):
    before = bytes_of("run")
    image = successes("run")[-1]
    image.unlink()
    run("show", "run", "--verify", *BY).refused("run-unverified")
    assert run("show", "run", "--rebuild", "--quiet", *BY).code == 0
    assert image.read_bytes() == before[image.relative_to("run")]
    assert run("show", "run", "--verify", *BY).code == 0


def test_what_follows_from_the_shards_is_remade(run):
    before = bytes_of("run")
    for name in ("results.csv", "flags.json", "report.html", "card.md", "inputs.csv"):
        Path("run", name).unlink()
    assert run("show", "run", "--csv").refused("run-inputs")
    said = run("show", "run", "--rebuild", "--quiet", *BY)
    assert said.code == 0, said.err
    after = bytes_of("run")
    assert set(after) == set(before)
    for name in set(before) - {Path("report.html"), Path("run.owner")}:
        assert after[name] == before[name], name


def test_code_is_named_by_the_user_alone(run):
    for wish in ("--verify", "--rebuild"):
        lines = run("show", "run", wish).refused("run-code", "nets.py:wrapped", code=2)
        assert lines["Try"] == f"amiss show run {wish} --model nets.py:wrapped"


def test_another_model_verifies_nothing(run):
    run("show", "run", "--verify", "--model", "nets.py:three").refused("run-other", "model")
    Path("photos/dark/13.png").unlink()
    run("show", "run", "--verify", *BY).refused("run-other", "data")
    before = bytes_of("run")
    run("show", "run", "--rebuild", *BY).refused("run-other", "data")
    assert bytes_of("run") == before


def test_options_that_do_not_go_together(run):
    for words in (("--csv", "--bibtex"), ("--csv", "--json"), ("--open", "--verify"), BY, ("--csv", *BY)):
        run("show", "run", *words).refused("show-options", code=2)


def test_folders_that_are_no_run(run):
    assert "run" in run("show", ".").refused("run-missing")["Try"]
    run("show", "nowhere").refused("run-missing", "no such folder")
    text = Path("run/run.json").read_text()
    for broken in (
        "{",
        "[]",
        text.replace('"n": 8', '"n": "8"'),
        text.replace('"unreadable": []', '"unreadable": [1]'),
    ):
        assert broken != text
        Path("run/run.json").write_text(broken)
        run("show", "run").refused("run-damaged")


SAMPLED = "amiss sample old/model.safetensors --out samples/"
CAPTIONED = (
    "amiss sample old/model.safetensors --given photos/, or am.open_captioner('old/model.safetensors') in Python"
)
PYTHON = "In Python: amiss.training.load_model('old/model.safetensors')"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ('{"kind": "classifier"}', "classifier", "amiss check old/model.safetensors DATA"),
        ('{"kind": "attributes"}', "attributes", "amiss check old/model.safetensors DATA --head NAME"),
        ('{"kind": "captioner"}', "captioner", CAPTIONED),
        ('{"kind": "vae"}', "vae", SAMPLED),
        ('{"kind": "\\u001b[2J"}', "of an unknown kind", PYTHON),
        ('{"kind": ["vae"]}', "of an unknown kind", PYTHON),
        ('{"kind": "vae", "preset": 3}', "vae", SAMPLED),
        ('{"kind": "vae", "preset": {"model": [1]}}', "vae", SAMPLED),
        ('{"kind": "vae", "preset": {"model": {"architecture": [], "arguments": 3}}}', "vae", SAMPLED),
        ("[]", "of an unknown kind", PYTHON),
        ("{", "of an unknown kind", PYTHON),
    ],
)
def test_a_folder_of_training_says_how_its_model_is_asked(amiss, text, said, hint):
    Path("old").mkdir()
    Path("old/training.json").write_text(text)
    row = amiss("show", "old").refused("run-missing", f"'old' holds a trained model, {said}, and no run.")
    assert row["Try"] == hint and "\x1b" not in str(row)


def test_a_study_of_python_is_shown_and_says_who_can_judge_it(amiss):
    import amiss as am
    from tests.cli.conftest import NETS

    space = {}
    exec(NETS, space)
    photos = am.open_data("photos")
    study = am.Study(Path("mine"), am.recipes.pgd(64 / 255), space["wrapped"](), am.Inputs.of_images(photos))
    counts = study.run()
    assert told(amiss, "mine")["counts"] == counts
    amiss("show", "mine", "--verify").refused("run-settings-missing", "amiss.study.check.failing")
    amiss("show", "mine", "--bibtex").refused("run-recipe")


def test_an_audit_is_told_by_its_studies(audit):
    account = told(audit)
    assert (account["kind"], account["finished"]) == ("audit", True)
    assert list(account["studies"]) == ["attack-8-255", "attack-64-255", "fooling", "imposters-10-255", "pixel-pgd"]
    assert all(sum(part["counts"].values()) == part["samples"] for part in account["studies"].values())
    record = strict(Path("run/audit.json").read_text())
    assert (account["sentence"], account["figures"]) == (record["sentence"], record["figures"])
    lines = audit("show", "run").out.splitlines()
    assert record["sentence"] in lines
    assert "  fooling: 2 of 2 samples finished: 2 met" in lines
    table = list(csv.DictReader(io.StringIO(audit("show", "run", "--csv").out)))
    assert {row["study"] for row in table} == set(account["studies"])
    assert len(table) == sum(part["samples"] for part in account["studies"].values())
    keys = re.findall(r"@\w+\{(\w+),", audit("show", "run", "--bibtex").out)
    assert sorted(keys) == ["byrd1995", "liu1989", "madry2018", "nguyen2015", "sabour2016"]


def test_an_audit_is_judged_and_remade(audit):
    before = bytes_of("run")
    said = audit("show", "run", "--verify", *BY)
    assert said.code == 0, said.err
    assert bytes_of("run") == before
    image = successes("run/studies/pixel-pgd")[0]
    image.unlink()
    audit("show", "run", "--verify", *BY).refused("run-unverified")
    for name in ("audit.json", "flags.json", "report.html", "card.md", "inputs.csv", "studies/fooling/results.csv"):
        Path("run", name).unlink()
    assert told(audit)["finished"] is False
    said = audit("show", "run", "--rebuild", "--quiet", *BY)
    assert said.code == 0, said.err
    after = bytes_of("run")
    assert set(after) == set(before)
    one, two = (strict(part[Path("audit.json")].decode()) for part in (before, after))
    assert {k: v for k, v in one.items() if k != "created"} == {k: v for k, v in two.items() if k != "created"}
    for name in set(before) - {Path("report.html"), Path("audit.json")}:
        assert after[name] == before[name], name
    assert audit("show", "run", "--verify", *BY).code == 0


def test_the_gates_of_an_audit_outlive_a_rebuild(amiss):
    assert amiss(*AUDIT, "--out", "run", "--require", "accuracy>=0.9").code == 3
    assert "not met: accuracy>=0.9" in amiss("show", "run").out
    assert amiss("show", "run", "--rebuild", "--quiet", *BY).code == 0
    assert "not met: accuracy>=0.9" in amiss("show", "run").out


def test_one_study_of_an_audit_points_to_the_audit(audit):
    lines = audit("show", "run/studies/fooling", "--verify").refused("run-settings-missing", "study of an audit")
    assert lines["Try"] == "amiss show run --verify"
    assert told(audit, "run/studies/fooling")["recipe"] == "fool_gradient"


def test_a_judge_that_is_code_is_named_too(amiss):
    assert amiss(*AUDIT, "--out", "run", "--judge", "nets.py:wrapped").code == 0
    assert amiss("show", "run", "--verify", *BY).code == 0  # a judge has no part in what a success is
    lines = amiss("show", "run", "--rebuild", *BY).refused("run-code", "nets.py:wrapped", code=2)
    assert "--judge nets.py:wrapped" in lines["Try"]
    before = strict(Path("run/audit.json").read_text())["figures"]
    assert amiss("show", "run", "--rebuild", "--quiet", *BY, "--judge", "nets.py:wrapped").code == 0
    assert strict(Path("run/audit.json").read_text())["figures"] == before
    assert "judge_before" in before


def test_json_of_a_hostile_run_is_still_json(run):
    path = Path("run/run.json")
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "model": "</script>\x1b[2J", "recipe": "\u202e"}))
    said = run("show", "run")
    assert said.code == 0
    assert not set("\x1b\u202e") & set(said.out)
    assert told(run)["model"] == "</script>\x1b[2J"
