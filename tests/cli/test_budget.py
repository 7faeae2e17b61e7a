"""`amiss run --budget`: limits that hold to the query, are written down, and belong to what a run is."""

import csv
import tomllib
from pathlib import Path

import pytest

RUN = ("run", "pgd", "nets.py:wrapped", "photos", "--eps", "1/255", "--steps", "9", "--quiet", "--out", "run")


def test_no_sample_costs_more_than_its_budget(amiss):
    said = amiss(*RUN, "--budget", "queries=4,seconds=900")
    assert said.code == 0, said.err
    with open("run/results.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows and max(int(row["queries"]) for row in rows) == 4
    assert tomllib.loads(Path("run/config.toml").read_text())["budget"] == {"queries": 4, "seconds": 900.0}
    amiss(*RUN, "--budget", "queries=5").refused("run-other", "queries=4")


@pytest.mark.parametrize("text", ["minutes=3", "queries", "queries=many", "queries=1.5", "", "steps=3,,"])
def test_what_is_no_budget_is_refused(amiss, text):
    amiss(*RUN, "--budget", text).refused("run-budget", "seconds=60", code=2)
    assert not Path("run").exists()


def test_a_budget_of_nothing_is_refused(amiss):
    amiss(*RUN, "--budget", "queries=0").refused("budget-zero", code=2)
