"""`amiss run RECIPE --help` is about that recipe."""

import pytest

from amiss.cli.helping import help_of
from amiss.cli.imposters import OPTIONS as IMPOSTERS
from amiss.cli.settings import settings_of
from amiss.recipes import RECIPES


@pytest.mark.parametrize("word", ["fooling", "feature-opt", "feature_opt"])
def test_an_experiment_speaks_of_its_own_options(amiss, word):
    said = amiss("run", word, "--help")
    assert said.code == 0
    for option in IMPOSTERS if word.startswith("feature") else ("encodings", "classes", "color", "no-rejection"):
        assert f"  --{option} " in said.out
    assert "--decoder" not in said.out and "amiss run --help" in said.out


def test_help_is_given_wherever_it_is_asked_for(amiss):
    assert amiss("run", "fooling", "nets.py:wrapped", "--help").out == amiss("run", "fooling", "--help").out
    assert "  --eps" in amiss("run", "pgd", "--help").out
    whole = amiss("run", "--help").out
    assert "--decoder" in whole and whole == amiss("run", "nonsense", "--help").out


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_option_of_every_recipe_is_explained(name):
    text = help_of(name)
    if name != "feature_opt":  # an experiment there
        for option in settings_of(RECIPES[name]):
            line = next(line for line in text.splitlines() if line.startswith(f"  --{option.replace('_', '-')} "))
            assert len(line.split()) > 2, "its docstring says nothing of it"


def test_an_unknown_recipe_is_told_of_experiments_too(amiss):
    amiss("run", "foolng", "m", "d").refused(
        "recipe-unknown", "feature-opt or fooling", "Close names: fooling", code=2
    )
