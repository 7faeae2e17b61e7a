"""The contract holds on the catalog: known answers, exact resume, no dependence on the batch, early refusals."""

import io
from dataclasses import replace

import pytest
import torch

from amiss.classifier import Classifier
from amiss.errors import ContractError
from amiss.probe import Budget
from tests.probes.catalog import ROWS, pgd

each = pytest.mark.parametrize("make", ROWS, ids=[make.__name__ for make in ROWS])


@each
def test_known_answer(make):
    row = make()
    result = row.probe.run(row.asked, row.task)
    assert sum(result.counts.values()) == len(row.task)
    row.known(result)


def copied(state):
    """Through bytes and back, weights only: tensors and plain values, or it fails."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def shortened(row):
    probe = replace(row.probe, budget=replace(row.probe.budget, steps=min(row.probe.budget.steps, 60)))
    return probe, row.task if probe.optimizer.competes else row.task.rows(torch.arange(8))


@each
def test_resume_is_bit_identical(make):
    row = make()
    probe, small = shortened(row)
    steps = list(probe.walk(row.asked, small))
    assert len(steps) >= 2
    for cut in {0, len(steps) // 2 - 1, len(steps) - 2}:
        rest = list(probe.walk(row.asked, small, copied(steps[cut].state)))
        assert len(rest) == len(steps) - cut - 1
        assert same(rest[-1].state, steps[-1].state)


@each
def test_float64_results_do_not_depend_on_the_batch(make):
    row = make()
    if row.probe.optimizer.competes:
        pytest.skip("rows that compete in every sample are one batch")
    probe, small = shortened(row)
    results = [replace(probe, batch=batch).run(row.asked, small) for batch in (1, 3, 8)]
    for other in results[1:]:
        assert torch.equal(results[0].met, other.met)
        # a search over c takes decisions on rounding; its outcomes agree, its numbers nearly
        assert torch.allclose(results[0].images, other.images, atol=1e-3 if "over c" in row.name else 1e-9)


@each
def test_what_is_too_little_is_refused_before_any_pass(make):
    row = make()
    asked = []
    mute = Classifier(lambda x: asked.append(x), labels=("a", "b"), gives="met")
    if row.probe.optimizer.wants == "met":
        pytest.skip("labels are enough for it")
    with pytest.raises(ContractError, match="wants"):
        row.probe.run(mute, row.task)
    assert not asked and mute.counts.queries == 0


def test_queries_are_spent_to_the_last_and_not_beyond():
    row = pgd()
    probe = replace(row.probe, until="budget", budget=Budget(40, queries=7))
    classifier = row.asked
    before = classifier.counts.queries
    result = probe.run(classifier, row.task)
    assert {o.queries for o in result.outcomes} == {7}
    assert classifier.counts.queries - before == 7 * len(row.task) + len(row.task)  # and the judgement at the end
