"""Counts add up, changes are refused, and faults of a model cost what they touch."""

from collections import Counter
from dataclasses import replace
from itertools import count

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import amiss.search
import amiss.study.study
from amiss.classifier import Classifier
from amiss.constraints import L2, Linf, Mask, Quantized
from amiss.data import Images
from amiss.errors import DataError, Interrupted, ModelError, UsageError
from amiss.objectives import Says
from amiss.optimizers import Momentum
from amiss.probe import Budget, Probe
from amiss.result import STATUSES, Outcome
from amiss.spaces import Latent, Pixels
from amiss.study import Inputs, Saving
from amiss.study.ledger import Entry
from amiss.study.study import counts
from amiss.testing import LinearWorld
from tests.probes import worlds
from tests.study.studies import EPS, entries, on_file, probe, study, world


def stopped(made, turns=1):
    left = iter(range(turns - 1))
    with pytest.raises(Interrupted):
        made.run(stop=lambda: next(left, None) is None)
    return made


def network(n=4):
    return world(n).classifier().network


class Around(nn.Module):
    """A network behind something that may go wrong."""

    def __init__(self, do, n=4):
        super().__init__()
        self.inner, self.do = network(n), do

    def forward(self, x):
        return self.inner(self.do(x))


# What it says


def test_what_a_run_found_is_what_the_probe_finds(tmp_path):
    for kind in ("pgd", "lse", "elites"):
        made = study(tmp_path / kind, kind)
        told = made.run()
        result = made.result()
        found = made.probe.run(made.classifier, made.inputs.rows(range(len(made.inputs))), frames=made.frames)
        assert told == result.counts == found.counts
        assert torch.equal(result.images, found.images)
        assert result.outcomes == found.outcomes
        assert len(result.trajectories) == len(found.trajectories)
        assert result.probe == found.probe
        assert all(
            torch.equal(a.frames, b.frames) for a, b in zip(result.trajectories, found.trajectories, strict=True)
        )
        if kind == "elites":
            assert result.p == found.p
        else:  # where images are the parameters, they are stored once
            assert torch.equal(result.p, found.p if kind == "lse" else found.images)


def test_progress_goes_up_to_the_end(tmp_path):
    told = []
    made = study(tmp_path)
    counted = made.run(progress=lambda *row: told.append(row))
    done = [row[0] for row in told]
    assert done == sorted(done)
    assert told[-1] == (4, 4, counted.get("met", 0))
    assert {n for _, n, _ in told} == {4}
    again = []
    made.run(progress=lambda *row: again.append(row))
    assert again == []  # nothing was left to do


def test_an_unfinished_run_says_how_far_it_got(tmp_path, refuses):
    made = stopped(study(tmp_path))
    with refuses(DataError, "run-unfinished") as caught:
        made.result()
    assert caught.value.seen == "0 of 4 are"
    made.run()
    with refuses(DataError, "run-unfinished"):
        made.read([3, 4])


def test_the_state_moves_to_where_the_search_goes_on(tmp_path):
    state = {"a": [torch.ones(1), (torch.ones(2), "x")], "n": 3}
    moved = amiss.study.study._moved(state, torch.device("meta"))
    assert moved["a"][0].device == moved["a"][1][0].device == torch.device("meta")
    assert (moved["a"][1][1], moved["n"]) == ("x", 3)


# Samples of every kind


def test_no_sample_is_a_run_too(tmp_path):
    images = Images.of(torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
    made = study(tmp_path, inputs=Inputs.of_images(images, torch.zeros(0, dtype=torch.int64)))
    assert made.run() == {}
    assert len(made.result()) == 0
    assert made.read().paths == ()


def test_one_sample_and_equal_ones(tmp_path):
    task = on_file(world().task)
    one = study(tmp_path / "one", inputs=Inputs.of_task(task.rows(torch.tensor([1]))))
    twins = study(tmp_path / "twins", inputs=Inputs.of_task(task.rows(torch.tensor([1, 1, 1]))))
    assert sum(one.run().values()) == 1
    assert sum(twins.run().values()) == 3
    assert torch.equal(twins.result().images, one.result().images.expand(3, -1, -1, -1))
    assert [o.status for o in twins.result().outcomes] == [one.result().outcomes[0].status] * 3
    assert len(set(twins.read().paths)) == 3


def test_unreadable_files_are_counted_among_the_others(tmp_path):
    pixels = (world().task.image * 255).round().to(torch.uint8)
    lost = [("=cmd().png", "cut short"), ("b.png", "no image")]
    images = Images.of(pixels, world().task.label, unreadable=lost)
    told = study(
        tmp_path, inputs=Inputs.of_images(images, to_truth=True), classifier=Classifier(network().float())
    ).run()
    assert told["unreadable"] == 2
    assert sum(told.values()) == 6
    rows = (tmp_path / "results.csv").read_text().splitlines()
    assert len(rows) == 7
    assert ",'=cmd().png,,,unreadable," in rows[-2]


def test_a_task_without_images_has_none_to_compare_with(tmp_path):
    made = study(tmp_path, "elites")
    made.run()
    assert all(entry.l2 != entry.l2 for entry in entries(made).values())
    assert all(path.is_file() for path in made.read().paths)


@given(
    st.lists(st.sampled_from(STATUSES[:8]), max_size=9),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_counts_add_up(statuses, unfinished, unreadable):
    made = [
        Entry(i, "", Outcome(s, 0.0, 0.0, 0, 0, -1, ""), False, 0, 0, 0.0, 0.0, 0.0, 0, i, "", "")
        for i, s in enumerate(statuses)
    ]
    n = len(statuses) + unfinished
    told = counts(made, n, unreadable)
    assert sum(told.values()) == n + unreadable
    assert 0 not in told.values()
    assert told == {
        k: v for k, v in {**Counter(statuses), "interrupted": unfinished, "unreadable": unreadable}.items() if v
    }


@settings(max_examples=12)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 9), st.integers(0, 2))
def test_whatever_the_batches_every_sample_ends_once(tmp_path_factory, n, batch, turns, unreadable):
    folder = tmp_path_factory.mktemp("counts") / "run"
    lost = tuple((f"{i}.png", "cut") for i in range(unreadable))
    inputs = replace(Inputs.of_task(on_file(world(5).task.rows(torch.arange(n)))), unreadable=lost)
    made = study(folder, inputs=inputs, probe=probe(batch=batch), classifier=world(5).classifier())
    left = iter(range(turns))
    try:
        told = made.run(stop=lambda: next(left, None) is None)
    except Interrupted:
        told = counts(entries(made).values(), n, unreadable)
    assert sum(told.values()) == n + unreadable
    told = made.run()
    assert sum(told.values()) == n + unreadable
    assert told.get("interrupted", 0) == 0
    assert sorted(entries(made)) == list(range(n))


# What is refused


def other_decoder():
    return replace(probe("lse"), space=Latent(LinearWorld(n=4, side=4, seed=1).codec))


def masked(at):
    inside = Linf(EPS) & Mask(torch.eye(4)[None] if at else torch.ones(1, 4, 4))
    return replace(probe(), constraint=inside)


CHANGES = {
    "model": {"classifier": LinearWorld(n=4, side=4, seed=1).classifier()},
    "model, its labels": {"classifier": world().classifier(labels=("p", "q"))},
    "model, its kind": {"classifier": Classifier(nn.Sequential(network(), nn.Tanh()))},
    "data": {"inputs": Inputs.of_task(on_file(world().task).rows(torch.tensor([1, 0, 2, 3])))},
    "data, more": {"inputs": Inputs.of_task(on_file(world(5).task))},
    "data, targets": {"inputs": Inputs.of_task(replace(on_file(world().task), target=1 - world().task.target))},
    "probe": {"probe": replace(probe(), constraint=Linf(EPS / 2))},
    "probe, batch": {"probe": probe(batch=3)},
    "probe, seed": {"probe": replace(probe(), seed=1)},
    "probe, budget": {"probe": replace(probe(), budget=Budget(7))},
    "probe, frames": {"frames": 2},
    "probe, votes": {"votes": 4},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_of_something_else_is_refused_with_the_difference(tmp_path, change, refuses):
    made = stopped(study(tmp_path))
    with refuses(DataError, "run-other") as caught:
        study(tmp_path, **CHANGES[change]).run()
    name = change.partition(",")[0]
    assert f"{name}: " in caught.value.seen
    if name == "probe":
        assert " before, " in caught.value.seen
    made.run()  # nothing was touched
    assert len(made.store.about["sessions"]) == 2


@pytest.mark.parametrize(
    ("one", "other"), [(probe("lse"), other_decoder()), (masked(0), masked(1))], ids=["decoder", "mask"]
)
def test_what_no_words_tell_apart_is_refused_all_the_same(tmp_path, one, other, refuses):
    assert repr(one) == repr(other)
    stopped(study(tmp_path, probe=one))
    with refuses(DataError, "run-other") as caught:
        study(tmp_path, probe=other).run()
    assert caught.value.what.endswith("was begun with another parts.")


def test_a_network_that_changed_under_a_study_is_another(tmp_path, refuses):
    net = network()
    made = stopped(study(tmp_path, classifier=Classifier(net)))
    with torch.no_grad():
        next(net.parameters()).add_(0.1)
    with refuses(DataError, "run-other"):
        made.run()


def test_whoever_is_asked_is_fingerprinted(tmp_path, refuses):
    world = LinearWorld(n=4, side=4, classes=6)
    wanted = Probe(
        Pixels(), Says("owl dog"), L2() & Quantized(), Momentum(0.05, 0.0, "l2"), budget=Budget(4), batch=2
    )
    asked = [worlds.Captioner(weight.view(2, 3, -1)) for weight in (world.weight, world.weight + 1)]
    one, other = (
        study(tmp_path, probe=wanted, classifier=made, inputs=Inputs.of_task(on_file(world.task))) for made in asked
    )
    stopped(one)
    with refuses(DataError, "run-other"):
        other.run()
    assert sum(one.run().values()) == 4


def test_votes_that_decide_nothing_are_refused(tmp_path, refuses):
    with refuses(UsageError, "verify-votes"):
        study(tmp_path, votes=2).run()


def test_what_is_no_run_is_not_written_into(tmp_path, refuses):
    (tmp_path / "file").write_text("mine")
    with refuses(DataError, "out-not-folder"):
        study(tmp_path / "file").run()
    with refuses(DataError, "out-not-empty"):
        study(tmp_path).run()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# Faults of the model


def test_a_model_that_raises_is_told_and_the_run_goes_on_once_it_is_mended(tmp_path, refuses):
    whole = study(tmp_path / "peace")
    whole.run()
    for k in range(1, 20, 3):
        fault = {"passes": count(1), "at": k}

        def do(x, fault=fault):
            if next(fault["passes"]) == fault["at"]:
                raise RuntimeError("the network gives up")
            return x

        made = study(tmp_path / str(k), classifier=Classifier(Around(do)))
        with refuses(ModelError, "model-raises"):
            made.run()
        fault["at"] = 0
        made.run()
        assert made.result().outcomes == whole.result().outcomes
        assert torch.equal(made.result().images, whole.result().images)


def test_a_number_that_is_none_ends_its_own_sample(tmp_path):
    task = on_file(world().task)
    task.image[2, 0, 0, 0] = 1.0

    def broken(x):
        return torch.where((x[:, :1, :1, :1] > 0.99), torch.nan, 0.0) + x

    made = study(tmp_path, classifier=Classifier(Around(broken)), inputs=Inputs.of_task(task))
    told = made.run()
    healthy = study(tmp_path / "healthy", inputs=Inputs.of_task(task))
    healthy.run()
    assert told["not-finite"] == 1
    assert sum(told.values()) == 4
    both = zip(made.result().outcomes, healthy.result().outcomes, strict=True)
    assert [a == b for a, b in both] == [True, True, False, True]


def hungry(room):
    """A network that runs out of memory on more rows than there is room for."""

    def do(x):
        if len(x) > room():
            raise torch.OutOfMemoryError(f"{len(x)} rows")
        return x

    return Classifier(Around(do))


def test_memory_that_holds_one_row_is_enough(tmp_path):
    made, free = study(tmp_path / "one", classifier=hungry(lambda: 1)), study(tmp_path / "free")
    assert made.run() == free.run()
    assert torch.equal(made.result().images, free.result().images)


def test_memory_that_holds_none_is_told_of_each(tmp_path):
    made = study(tmp_path, classifier=hungry(lambda: 0))
    assert made.run() == {"out-of-memory": 4}
    assert (tmp_path / "inputs.csv").read_text().splitlines()[0] == "sample,id,name,label,target"


def test_memory_that_comes_back_serves_the_shards_after(tmp_path):
    rooms = iter([9, 9] + [0] * 20)  # the answers of inputs.csv, then nothing until one shard has starved
    made = study(tmp_path / "run", classifier=hungry(lambda: next(rooms, 9)))
    told = made.run(progress=lambda done, *_: list(rooms) if done >= 2 else None)
    free = study(tmp_path / "free")
    free.run()
    assert told["out-of-memory"] == 2
    assert made.result().outcomes[2:] == free.result().outcomes[2:]


def test_a_budget_in_seconds_is_spent_over_all_sessions(tmp_path, monkeypatch):
    clock = count(0)  # a second each time it is read
    monkeypatch.setattr(amiss.search.time, "monotonic", lambda: float(next(clock)))
    slow = replace(probe(), until="budget", budget=Budget(steps=1000, seconds=60), batch=4)
    whole = study(tmp_path / "peace", probe=slow, saving=Saving(turns=1))
    whole.run()
    turns = whole.result().outcomes[0].steps
    assert 10 < turns < 200
    made = study(tmp_path / "run", probe=slow, saving=Saving(turns=1))
    for _ in range(5):
        stopped(made, 2)
    made.run()
    assert {entry.outcome.status for entry in entries(made).values()} <= {"met", "exhausted"}
    assert 10 < made.result().outcomes[0].steps < turns + 12  # a session more does not begin its seconds anew


def test_seconds_are_summed_over_sessions(tmp_path, monkeypatch):
    made = study(tmp_path)
    with monkeypatch.context() as patch:
        clock = count(0)
        patch.setattr(amiss.study.study.time, "monotonic", lambda: 1000.0 * next(clock))
        stopped(made, 3)
    made.run()
    spent = [entry.seconds for entry in entries(made).values()]
    assert spent[0] == spent[1] > 1000 > 100 * spent[2]


def test_two_studies_in_one_process_are_told_apart(tmp_path, refuses):
    made, seen = study(tmp_path), []

    def again():
        with refuses(DataError, "run-locked"):
            study(tmp_path).run()
        seen.append(1)

    made.run(stop=again)
    assert seen
