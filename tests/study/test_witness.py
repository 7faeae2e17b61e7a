"""A witness of a study: its notes are those of every turn, sealed with the results, and the same after a stop."""

from dataclasses import dataclass
from itertools import count

import pytest
import torch

from amiss.errors import DataError, Interrupted
from amiss.study import Saving
from amiss.study.sameness import run_digest
from tests.study.studies import entries, study


@dataclass(frozen=True)
class Counting:
    """Notes how many rows were asked, turn by turn, and the losses of the last turn."""

    every: int = 1

    def begin(self, search):
        return {"rows": [], "losses": torch.full((len(search.task),), torch.inf)}

    def see(self, search, step, notes):
        return {"rows": [*notes["rows"], len(step.query)], "losses": step.state["best"]["loss"].clone()}

    def close(self, search, state, notes):
        return {**notes, "turns": state["turn"]}


@pytest.mark.parametrize("kind", ["elites", "pgd"])
def test_notes_are_of_every_turn_and_shard_by_shard(tmp_path, kind):
    made = study(tmp_path, kind, witness=Counting())
    made.run()
    held = entries(made)
    samples = [i for own, _ in made.notes() for i in own]
    assert samples == sorted(held)
    for own, notes in made.notes():
        assert len(notes["rows"]) == notes["turns"]
        assert notes["losses"].tolist() == [held[i].outcome.loss for i in own]
    if kind == "elites":
        assert sum(made.notes()[0][1]["rows"]) == held[0].outcome.queries


@pytest.mark.parametrize("turns", [1, 4, 7])
def test_a_stop_changes_no_note(tmp_path, turns):
    whole, torn = (study(tmp_path / name, "elites", witness=Counting()) for name in ("whole", "torn"))
    whole.run()
    turn = count(1)
    with pytest.raises(Interrupted):
        torn.run(stop=lambda: next(turn) >= turns)
    torn.run()
    assert run_digest(whole.store) == run_digest(torn.store)
    assert whole.notes()[0][1]["rows"] == torn.notes()[0][1]["rows"]


def test_notes_that_were_damaged_are_taken_again(tmp_path):
    made = study(tmp_path, "elites", witness=Counting(), saving=Saving(turns=3))
    made.run()
    before, path = run_digest(made.store), made.store.shard_path(0)
    path.write_bytes(path.read_bytes()[:-8])
    assert made.notes() == []
    made.run()
    assert run_digest(made.store) == before


def test_with_another_witness_it_is_another_run(tmp_path):
    study(tmp_path, "pgd", witness=Counting()).run()
    with pytest.raises(DataError, match="run-other") as caught:
        study(tmp_path, "pgd", witness=Counting(2)).run()
    assert "every=2" in str(caught.value)
    with pytest.raises(DataError, match="run-other"):
        study(tmp_path, "pgd").run()


def test_where_nobody_took_notes_there_are_none(tmp_path):
    made = study(tmp_path)
    made.run()
    with pytest.raises(DataError, match="run-no-notes"):
        made.notes()
