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
    first, second = said.out.splitlines()
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
