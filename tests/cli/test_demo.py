"""`amiss demo`: no argument, no download; finds the shortcut that was planted."""

import re
from pathlib import Path

import pytest

from tests.audit.conftest import strict

pytestmark = pytest.mark.skipif(
    not (Path(__file__).parents[2] / "amiss/demo/classifier.safetensors").is_file(), reason="the demo has no weights"
)


def test_the_demo_finds_its_shortcut_and_can_be_run_again(amiss):
    said = amiss("demo", "--images", 60, "--json")
    assert said.code == 0, said.err
    told = strict(said.out)
    assert told["images"] == 60
    assert told["mistakes"] >= 6
    assert told["lse_repaired"] >= 0.9
    assert told["verified_from_disk"] == 1
    account = strict(Path("runs/demo/audit.json").read_text(encoding="utf-8"))
    assert account["command"] == "amiss demo --images 60 --seed 0"
    assert account["outcomes"].keys() == {"LSE", "LSE, plain decoding", "Pixel PGD"}
    assert sum(account["outcomes"]["LSE"].values()) == told["mistakes"]
    assert account["notices"][0]["title"] == "What was planted"
    assert not [n for n in account["notices"] if n["level"] == "warning"]
    assert Path(told["report"]).stat().st_size > 100_000
    said = amiss("show", "runs/demo", "--verify", "--json")  # its models are its own: none needs to be named
    assert said.code == 0, said.err
    judged = strict(said.out)
    assert judged["whole"] is True
    assert judged["successes"] >= account["verified"]["held"]
    keys = set(re.findall(r"@\w+\{(\w+),", amiss("show", "runs/demo", "--bibtex").out))
    repairs, imposters = {"zoetmulder2018", "lee2015", "moosavi2016", "arvanitidis2018"}, {"sabour2016", "liu1989"}
    assert keys == repairs | imposters | {"byrd1995", "madry2018", "nguyen2015"}


def test_the_demo_replaces_demos_alone(amiss):
    words = ("audit", "nets.py:wrapped", "photos", "--attacked", "0", "--fooled", "0", "--mistakes", "0", "--quiet")
    assert amiss(*words, "--out", "run").code == 0
    before = Path("run/audit.json").read_bytes()
    amiss("demo", "--images", 60, "--out", "run", "--quiet").refused("run-other", "another model")
    assert Path("run/audit.json").read_bytes() == before


def test_the_demo_asks_for_enough_faces(amiss):
    said = amiss("demo", "--images", 10)
    assert said.code == 2
    assert "Traceback" not in said.err
