"""`amiss check`: parity, and what a decoder keeps; nothing is written."""

import json
from pathlib import Path

import pytest

from amiss.cli.audit import numbers
from amiss.data import open_data
from tests.audit.conftest import strict


def test_it_counts_what_is_right(amiss):
    before = sorted(map(str, Path().rglob("*")))
    said = amiss("check", "nets.py:wrapped", "photos")
    assert said.code == 0, said.err
    first, second, trust = said.out.splitlines()
    assert trust == "Trust: 10 checks clear, 3 not measured."  # no accuracy was given, and no decoder
    assert first == "nets.py:wrapped on photos: 75.0% of 8 images right"
    assert second.startswith("logits from ")
    after = [name for name in sorted(map(str, Path().rglob("*"))) if "__pycache__" not in name]
    assert after == before


def test_json_is_one_object(amiss):
    said = amiss("check", "nets.py:wrapped", "photos", "--accuracy", "0.75", "--json")
    (line,) = said.out.splitlines()
    figures = json.loads(line)
    means = open_data("photos").images().mean((1, 2, 3)).double()
    logits = [*(40 * means - 20).tolist(), 0.0]
    assert figures["accuracy"] == 0.75
    assert (figures["images"], figures["unreadable"]) == (8, 0)
    assert figures["lowest_logit"] == pytest.approx(min(logits), abs=1e-4)
    assert figures["highest_logit"] == pytest.approx(max(logits), abs=1e-4)


def test_preprocessing_of_a_bare_network_is_applied(amiss):
    # (x - 0.25) / 0.5 moves the threshold from a mean of 0.5 to one of 0.5 as well, and doubles the logits.
    plain, scaled = (
        json.loads(amiss("check", "nets.py:build", "photos", "--json", *options).out)
        for options in ((), ("--mean", "0.25", "--std", "0.5"))
    )
    assert plain["accuracy"] == scaled["accuracy"] == 0.75
    assert scaled["highest_logit"] == pytest.approx(2 * plain["highest_logit"], abs=1e-4)


def test_the_limit_is_drawn_by_the_seed(amiss):
    def lowest(seed):
        return json.loads(amiss("check", "nets.py:build", "photos", "--json", "--limit", 2, "--seed", seed).out)

    assert lowest(0) == lowest(0)
    assert len({lowest(seed)["lowest_logit"] for seed in range(4)}) > 1
    assert lowest(0)["images"] == 2


def test_numbers_with_commas():
    assert numbers(None) is None
    assert numbers("0.5") == (0.5,)
    assert numbers("0.485, .456,1e-1") == (0.485, 0.456, 0.1)


def test_labels_alone_have_no_logits_to_report(amiss):
    Path("said.py").write_text(
        "import amiss, nets\ndef build():\n    net = nets.build()\n"
        "    return amiss.Classifier(lambda x: net(x).argmax(1), gives='met', labels=['bright', 'dark'])\n"
    )
    said = amiss("check", "said.py:build", "photos", "--json")
    assert said.code == 0, said.err
    figures = strict(said.out)
    assert figures["accuracy"] == 0.75
    assert "lowest_logit" not in figures


def test_no_model_is_run_twice_by_its_own_import(amiss):
    Path("count.py").write_text(
        "from pathlib import Path\nfrom nets import build\n"
        "Path('imported').write_text(Path('imported').read_text() + 'x' if Path('imported').exists() else 'x')\n"
    )
    assert amiss("check", "count.py:build", "photos", "--json").code == 0
    assert Path("imported").read_text() == "x"


def test_help_and_version(amiss):
    assert amiss("--version").out.startswith("amiss ")
    for verb in ("audit", "check", "demo", "train", "bench"):
        said = amiss(verb, "--help")
        assert said.code == 0
        assert verb in said.out


def test_what_cannot_be_believed_is_said_with_what_to_do(amiss):
    Path("soft.py").write_text(
        "import amiss\nimport nets\n"
        "def build():\n    net = nets.Brightness()\n    return amiss.Classifier(lambda x: net(x).softmax(1))\n"
    )
    said = amiss("check", "soft.py:build", "photos")
    assert said.code == 0 and "Trust: probabilities: 8 of 8 answers look like probabilities" in said.out
    flags = json.loads(amiss("check", "soft.py:build", "photos", "--json").out)["flags"]
    (fired,) = (flag for flag in flags if flag["slug"] == "probabilities")
    assert f"{fired['measured'].rstrip('.')}. {fired['remedy']}" in said.out
    assert "probabilities" in {flag["slug"] for flag in flags if flag["state"] == "fired"}
    gated = amiss("check", "soft.py:build", "photos", "--require", "flags_fired==0", "--require", "accuracy>=0.7")
    assert gated.code == 3 and "not met" in gated.out


def test_of_many_files_that_cannot_be_read_the_first_are_named(amiss):
    for i in range(14):
        next(Path("photos").iterdir()).joinpath(f"broken-{i:02d}.png").write_bytes(b"nothing")
    said = amiss("check", "nets.py:wrapped", "photos")
    lines = [line for line in said.err.splitlines() if line.startswith("Left out")]
    assert len(lines) == 11 and lines[-1] == "Left out: 4 more, 14 files in all."
