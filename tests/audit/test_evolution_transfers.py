"""What other models say of champions: rows that are checked when read, and a table that claims no more."""

import json
from dataclasses import replace

import pytest

from amiss.audit.evolution import Evolution, EvolutionExperiment
from amiss.audit.evolution_transfers import champions_matrix, read_champions_matrix, transfer_table
from amiss.trust import wilson
from tests.audit.test_evolution_tables import SHAPE, ring


def quiet(*_):
    return None


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    asked = Evolution(("direct", "cppn"), generations=15, children=20, confidence=0.9)
    return EvolutionExperiment(ring(), None, asked, shape=SHAPE).run(tmp_path_factory.mktemp("transfers") / "run")


@pytest.fixture(scope="module")
def matrix(found):
    return json.loads(json.dumps(champions_matrix(found, {"own": ring(), "finer": ring(24)}, quiet)))


def test_only_champions_that_are_sure_count_and_their_own_model_keeps_them_all(found, matrix):
    own = matrix["rows"][:2]
    assert [row["n"] for row in own] == [int(part.result.met.sum()) for part in found.parts]
    assert all(row["first"] == row["top"] == row["sure"] == row["n"] > 0 for row in own)
    assert all(row["chance"] == pytest.approx(1 / row["n"]) for row in own)
    # Of twice as many steps from dark to bright the one of the same number is darker, except the darkest.
    for row in matrix["rows"][2:]:
        assert row["first"] <= 1 and row["top"] >= row["first"]


def test_rows_that_are_known_are_not_asked_for_again(found, matrix):
    def silent(x):
        raise AssertionError("asked again")

    mute = type(ring())(silent, labels=ring().labels, gives="loss")
    known = [{**row, "fingerprint": mute.fingerprint} for row in matrix["rows"]]
    assert champions_matrix(found, {"own": mute, "finer": mute}, quiet, known)["rows"] == known
    with pytest.raises(Exception, match="asked again"):
        champions_matrix(found, {"other": mute}, quiet, known)


def test_a_matrix_is_believed_only_where_it_is_one_and_of_these_champions(found, matrix):
    assert read_champions_matrix(matrix, found) == matrix
    more = {**matrix, "rows": [{**matrix["rows"][0], "note": "<b>"}]}
    assert read_champions_matrix(more, found)["rows"] == matrix["rows"][:1]
    other = replace(found, evolution=replace(found.evolution, confidence=0.8))
    assert read_champions_matrix(matrix, other) is None
    row = matrix["rows"][0]
    wrong = (
        {"n": row["n"] + 1},
        {"first": row["n"] + 1},
        {"first": None},
        {"sure": True},
        {"chance": float("nan")},
        {"chance": None},
        {"side": -1},
        {"model": 3},
        {"encoding": "gradient"},
    )
    for change in wrong:
        assert read_champions_matrix({**matrix, "rows": [{**row, **change}]}, found) is None, change
    for said in (None, [], {**matrix, "rows": []}, {**matrix, "rows": 3}, {**matrix, "rows": [1]}):
        assert read_champions_matrix(said, found) is None


def test_the_table_has_counts_with_intervals_and_where_nothing_is_sure_no_rate(found, matrix):
    table = transfer_table(found, matrix["rows"])
    assert [row[0] for row in table["rows"]] == ["direct", "direct", "cppn", "cppn"]
    assert [row[1] for row in table["rows"]][:2] == ["own (itself)", "finer"]
    low, high = wilson(n := matrix["rows"][0]["n"], n)
    assert table["rows"][0][2:4] == [n, f"100% ({100 * low:.0f}\u2013100%)"] and high == 1
    assert all(len(row) == len(table["head"]) == 7 for row in table["rows"])

    part = found.parts[0]
    timid = replace(part.result, outcomes=tuple(replace(o, status="exhausted") for o in part.result.outcomes))
    none = replace(found, parts=(replace(part, result=timid), *found.parts[1:]))
    rows = champions_matrix(none, {"own": ring()}, quiet)["rows"]
    assert (rows[0]["n"], rows[0]["first"]) == (0, None)
    assert transfer_table(none, rows)["rows"][0][2:] == [0, *["\u2013"] * 4]
    assert read_champions_matrix(champions_matrix(none, {"own": ring()}, quiet), none)["rows"] == rows
