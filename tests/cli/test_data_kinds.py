"""DATA of every kind at the command line: a table, its column of labels, an archive."""

import json
import zipfile
from pathlib import Path

import pytest


@pytest.fixture
def table(amiss):
    """photos/ as a flat folder with a table."""
    rows = ["file,dim,kind"]
    for path in sorted(Path("photos").rglob("*.png")):
        rows.append(f"{path.name},{1 if path.parent.name == 'dark' else -1},{path.parent.name}")
        path.rename(Path("photos", path.name))
    for name in ("bright", "dark"):
        Path("photos", name).rmdir()
    Path("photos", "labels.csv").write_text("\n".join([*rows, "../nets.py,1,dark"]), encoding="utf-8")


def accuracy(said):
    assert said.code == 0, said.err
    return json.loads(said.out)["accuracy"]


def test_labels_come_from_the_column_that_is_named(amiss, table):
    said = amiss("check", "nets.py:build", "photos", "--label-column", "dim", "--json")
    assert accuracy(said) == 0.75
    assert "Left out: ../nets.py: labels.csv, line 10: a path that leaves the folder" in said.err
    assert (
        accuracy(amiss("check", "nets.py:wrapped", "photos/labels.csv", "--label-column", "kind", "--json")) == 0.75
    )


@pytest.mark.parametrize("verb", ["check", "audit"])
def test_a_table_that_does_not_say_its_labels_is_refused_with_its_columns(amiss, table, verb):
    lines = amiss(verb, "nets.py:build", "photos").refused("data-csv-columns", "columns file, dim, kind")
    assert "--label-column" in lines["Try"]
    lines = amiss(verb, "nets.py:build", "photos", "--label-column", "kid").refused("data-csv-columns")
    assert lines["Try"] == "did you mean kind?"


@pytest.mark.parametrize("verb", ["check", "audit"])
def test_a_column_without_a_table_is_refused(amiss, verb):
    amiss(verb, "nets.py:build", "photos", "--label-column", "kind").refused("data-no-table")


def test_an_archive_is_audited_like_its_folder(amiss):
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for path in Path("photos").rglob("*.png"):
            archive.write(path)
    few = ("--mistakes", "2", "--attacked", "2", "--steps", "2", "--fooled", "0", "--json")
    whole, packed = (
        amiss("audit", "nets.py:build", data, "--out", data + "-run", *few) for data in ("photos", "photos.zip")
    )
    for said in (whole, packed):
        assert said.code == 0, said.err
    figures = [{k: v for k, v in json.loads(s.out).items() if k != "report"} for s in (whole, packed)]
    assert figures[0]["accuracy"] == figures[1]["accuracy"] == 0.75


def test_digits_alone_heed_no_column(amiss):
    said = amiss("audit", "digits", "--label-column", "kind")
    assert "--label-column" in said.refused("usage-digits", code=2)["Seen"]
