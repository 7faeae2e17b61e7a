"""The loop keeps its word: outcomes add up, budgets hold, the best stays the best, nothing is left changed."""

import json
from dataclasses import replace
from itertools import count, pairwise

import pytest
import torch
from torch import nn

import amiss.search
from amiss.classifier import Classifier
from amiss.constraints import L2, LatentNorm, Linf, Unconstrained
from amiss.data import Images
from amiss.errors import ContractError, DataError, ModelError, UsageError
from amiss.objectives import EOT, Avoid, Become
from amiss.optimizers import Adam, Sign, Then
from amiss.order import better
from amiss.probe import Budget, Probe
from amiss.result import STATUSES, Recorder
from amiss.spaces import Latent, Pixels
from amiss.task import Task
from amiss.testing import LinearWorld
from amiss.transforms import Noise

WORLD = LinearWorld(n=12, crowd=0.15)
EPS = 0.02
MARKED = 0.999


class Marked(nn.Module):
    """A network in front of which marked images (first pixel at 0.999 or more) meet a fault."""

    def __init__(self, net, fault):
        super().__init__()
        self.net, self.fault = net, fault

    def forward(self, x):
        # Row by row: the gradient of torch.where would carry a NaN into the rows it does not come from.
        marked = (x[:, 0, 0, 0] >= MARKED - EPS).tolist()
        return self.net(torch.stack([self.fault(row) if hit else row for row, hit in zip(x, marked, strict=True)]))


def pgd(steps=10, until="met", **options):
    return Probe(Pixels(), Become(), Linf(EPS), Sign(EPS / 4), until, Budget(steps, **options), batch=5)


def marked(rows, world=WORLD):
    image = world.task.image.clone()
    image[rows, 0, 0, 0] = 1.0
    return replace(world.task, image=image)


def network(world=WORLD):
    return world.classifier().network


def plain(a):
    """Outcomes without the costs of time."""
    return [replace(o, reason="") for o in a.outcomes]


# Outcomes


def test_outcomes_of_a_mixed_task_add_up():
    world = LinearWorld(n=40, crowd=0.15)
    target = world.task.target.clone()
    already = torch.tensor([0, 7, 20])
    target[already] = 1 - target[already]
    broken, flat = 3, 11
    task = replace(marked([broken, flat], world), target=target)
    task.image[broken, 0, 0, 1] = 1.0
    task.image[flat, 0, 0, 1] = 0.0
    net = Marked(network(world), lambda row: row * torch.nan if row[0, 0, 1] > 0.5 else row.round())
    result = pgd().run(Classifier(net), task)
    assert sum(result.counts.values()) == len(result) == len(task) == 40
    assert set(result.counts) <= set(STATUSES)
    statuses = [o.status for o in result.outcomes]
    assert statuses[broken] == "not-finite"
    assert statuses[flat] == "no-gradient"
    assert [statuses[i] for i in already] == ["already-met"] * 3
    others = torch.ones(40, dtype=torch.bool)
    others[[*already.tolist(), broken, flat]] = False
    feasible = world.feasible(EPS, 0.05)
    assert torch.equal(result.met[others], feasible[others])
    assert feasible[others].any() and not feasible[others].all()
    assert all(statuses[i] == "exhausted" for i in (others & ~feasible).nonzero().flatten())
    assert result.images.isfinite().all()
    assert torch.equal(result.images[broken], task.image[broken])


def test_a_broken_row_does_not_touch_the_others():
    bad = [2, 8]
    task = marked(bad)
    healthy = pgd().run(WORLD.classifier(), task)
    result = pgd().run(Classifier(Marked(network(), lambda x: x * torch.nan)), task)
    for i in range(12):
        if i in bad:
            assert result.outcomes[i].status == "not-finite"
            assert "turn 0" in result.outcomes[i].reason
        else:
            assert plain(result)[i] == plain(healthy)[i]
            assert torch.equal(result.images[i], healthy.images[i])


def test_numbers_that_break_on_the_way_end_their_sample_there():
    # The root of a negative number: finite at the start, NaN once the first pixel has moved down by two steps.
    def fault(row):
        return row + 0 * (row[:1, :1, :1] - (1 - 1.5 * EPS / 4)).sqrt()

    down = int((WORLD.deficit(0.0)[1][:, 0] < 0).nonzero()[0])
    result = pgd(20).run(Classifier(Marked(network(), fault)), marked([down]))
    outcome = result.outcomes[down]
    assert (outcome.status, outcome.steps, outcome.first) == ("not-finite", 3, -1)
    assert "turn 2" in outcome.reason
    assert result.images[down].isfinite().all()


def test_restarts_that_are_all_broken_say_so():
    probe = replace(pgd(), optimizer=Adam(0.01, restarts=2, spread=0.001))
    result = probe.run(Classifier(Marked(network(), lambda x: x * torch.nan)), marked([0]).rows(torch.tensor([0])))
    (outcome,) = result.outcomes
    assert (outcome.status, outcome.steps, outcome.queries) == ("not-finite", 1, 2)
    assert "turn 0" in outcome.reason


@pytest.mark.parametrize("until", ["met", "budget"])
@pytest.mark.parametrize("kind", ["pixels", "latent"])
def test_what_was_met_before_anything_changed_is_called_that(until, kind):
    task = replace(WORLD.task, target=1 - WORLD.task.target)
    probe = pgd(until=until)
    if kind == "latent":
        probe = Probe(Latent(WORLD.codec), Become(), LatentNorm(), Adam(0.02), until, Budget(5))
    result = probe.run(WORLD.classifier(), task)
    assert result.counts == {"already-met": 12}
    assert torch.equal(result.images, task.image)
    assert result.size.tolist() == [0.0] * 12


def test_without_a_size_the_best_moves_on_and_is_met():
    task = replace(WORLD.task, target=1 - WORLD.task.target)
    wanted = Become() + 0.1 * Confident()
    probe = Probe(Pixels(), wanted, Unconstrained(), Sign(0.01), "budget", Budget(5))
    result = probe.run(WORLD.classifier(), task)
    assert result.counts == {"met": 12}
    assert not torch.equal(result.images, task.image)


class Confident(Become):
    """A loss that goes on falling after it is met."""

    def score(self, y, task):
        return -self.gap(y, task.target), super().score(y, task)[1]


def test_a_success_that_does_not_hold_is_not_believed():
    class Fickle(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.passes = network(), count()

        def forward(self, x):
            return self.net(x) if next(self.passes) < 6 else self.net(x) * -1

    probe = replace(pgd(5), batch=12, until="budget", constraint=Linf(0.5))
    result = replace(probe, optimizer=Sign(0.2)).run(Classifier(Fickle()), WORLD.task)
    assert result.counts == {"exhausted": 12}
    assert all("did not hold" in o.reason for o in result.outcomes)
    assert not result.met.any()


def test_a_network_that_cuts_the_gradient_is_named(refuses):
    with refuses(ModelError, "model-no-gradient"):
        pgd().run(Classifier(lambda x: network()(x.detach())), WORLD.task)


# Budgets


def test_a_budget_of_queries_is_spent_to_the_last_and_not_beyond():
    for optimizer, each in ((Sign(0.001), 1), (Adam(0.001, restarts=3, spread=0.001), 3)):
        classifier = WORLD.classifier()
        probe = replace(pgd(50, "budget", queries=8), optimizer=optimizer)
        result = probe.run(classifier, WORLD.task)
        assert {o.queries for o in result.outcomes} == {8 // each * each}
        assert classifier.counts.queries == sum(o.queries for o in result.outcomes) + 12  # and one look to judge


def test_queries_are_counted_as_they_were_asked():
    views = EOT(Become(margin=0.1), [Noise(0.01)], n=4)
    for until in ("met", "budget"):
        classifier = WORLD.classifier()
        probe = Probe(Pixels(), views, Linf(0.1), Sign(0.01), until, Budget(6), batch=5)
        result = probe.run(classifier, WORLD.task)
        judged = 12 * 4  # the four judging views of each, once more
        assert classifier.counts.queries == sum(o.queries for o in result.outcomes) + judged


def test_a_budget_too_small_for_one_turn_ends_in_exhausted():
    probe = replace(pgd(queries=1), optimizer=Adam(0.01, restarts=2, spread=0.01))
    for frames in (0, 3):
        result = probe.run(WORLD.classifier(), WORLD.task, frames=frames)
        assert {o.status for o in result.outcomes} == {"exhausted"}
        assert {(o.steps, o.queries) for o in result.outcomes} == {(0, 0)}
        assert torch.equal(result.images, WORLD.task.image)
    assert all(len(t.frames) == 1 and len(t.turns) == 0 for t in result.trajectories)


def test_a_budget_of_seconds(monkeypatch):
    clock = count()
    monkeypatch.setattr(amiss.search.time, "monotonic", lambda: float(next(clock)))
    steps = list(pgd(1000, "budget", seconds=7).walk(WORLD.classifier(), WORLD.task))
    assert len(steps) == 7  # one tick a turn
    rest = list(pgd(1000, "budget", seconds=10).walk(WORLD.classifier(), WORLD.task, steps[-1].state))
    assert len(rest) == 3  # time spent before the interruption counts


def test_budgets_that_allow_nothing(refuses):
    for options in ({"steps": 0}, {"queries": 0}, {"seconds": -1.0}):
        with refuses(UsageError, "budget-zero"):
            Budget(**options)


def test_options_that_mean_nothing(refuses):
    for options in ({"until": "bugdet"}, {"batch": 0}):
        with refuses(UsageError, "probe-options"):
            Probe(Pixels(), Avoid(), Linf(0.1), Sign(0.1), **options)


@pytest.mark.parametrize(
    "search", [lambda p, x: p.run(WORLD.classifier(), x), lambda p, x: list(p.walk(WORLD.classifier(), x))]
)
def test_images_alone_are_no_task(search):
    images = Images.of(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    for thing, hint in ((images, "images.task()"), (torch.zeros(2, 1, 8, 8), "Task(")):
        with pytest.raises(UsageError, match="probe-task") as caught:
            search(pgd(1), thing)
        assert hint in caught.value.hint


# The best


@pytest.mark.parametrize("kind", ["pixels", "latent"])
def test_the_best_never_gets_worse_with_more_steps(kind):
    def run(steps):
        if kind == "pixels":
            return pgd(steps, "budget").run(WORLD.classifier(), WORLD.task)
        space = Latent(WORLD.codec)
        probe = Probe(space, Become(margin=0.5), LatentNorm(0.03), Adam(0.05), "budget", Budget(steps))
        return probe.run(WORLD.classifier(), WORLD.task)

    def numbers(result):
        return result.met, result.size, torch.tensor([o.loss for o in result.outcomes])

    results = [numbers(run(steps)) for steps in (1, 2, 3, 5, 8, 13, 21, 34)]
    for fewer, more in pairwise(results):
        assert not better(*fewer, than=more).any()
    assert better(*results[-1], than=results[0]).any()


def test_until_budget_keeps_the_smallest_success_and_until_met_the_first():
    space = Latent(WORLD.codec)
    probe = Probe(space, Become(margin=0.5), LatentNorm(0.03), Adam(0.3), "budget", Budget(60))
    steps = list(probe.walk(WORLD.classifier(), WORLD.task))
    met = torch.stack([s.answer.met for s in steps])
    size = torch.stack([s.answer.size for s in steps])
    result = probe.run(WORLD.classifier(), WORLD.task)
    assert met.any(0).all()
    smallest = torch.where(met, size, torch.inf).amin(0)
    assert torch.allclose(result.size.double(), smallest, atol=1e-6)
    firsts = met.int().argmax(0)
    assert [o.first for o in result.outcomes] == firsts.tolist()
    first = replace(probe, until="met").run(WORLD.classifier(), WORLD.task)
    assert [o.first for o in first.outcomes] == firsts.tolist()
    assert [o.steps for o in first.outcomes] == (firsts + 1).tolist()
    assert torch.allclose(first.size.double(), size[firsts, torch.arange(12)], atol=1e-6)
    assert (result.size <= first.size + 1e-6).all() and (result.size < first.size - 1e-3).any()


def test_a_chain_goes_on_to_a_smaller_success():
    chain = Then(Adam(0.3), Adam(0.02), steps=30)
    probe = Probe(Latent(WORLD.codec), Become(margin=0.5), LatentNorm(0.03), chain, "budget", Budget(150))
    result = probe.run(WORLD.classifier(), WORLD.task)
    first = replace(probe, optimizer=Adam(0.3), until="met", budget=Budget(30)).run(WORLD.classifier(), WORLD.task)
    assert first.met.all() and result.met.all()
    assert [o.first for o in first.outcomes] == [o.first for o in result.outcomes]
    assert (result.size <= first.size).all() and (result.size < 0.95 * first.size).any()
    assert (result.size >= WORLD.latent_optimum(0.5) * (1 - 1e-6)).all()


# What one turn reads


def test_the_value_is_the_loss_where_not_met_and_the_penalty_everywhere():
    wanted = Confident()  # its loss goes on after it is met: the value's does not
    probe = Probe(Latent(WORLD.codec), wanted, LatentNorm(0.3), Adam(0.3), "budget", Budget(8))
    both = set()
    for step in probe.walk(WORLD.classifier(), WORLD.task):
        penalty = 0.3 * step.query.p.square().sum(1)
        expected = torch.where(step.answer.met, 0.0, step.answer.loss) + penalty
        assert torch.allclose(step.answer.value, expected, rtol=1e-12)
        if step.answer.grad is not None:
            there = step.answer.met
            assert torch.allclose(step.answer.grad[there], 0.6 * step.query.p[there], rtol=1e-9)
            both |= set(there.tolist())
    assert both == {True, False}


def test_finished_rows_are_idle_cost_nothing_and_answer_zeros():
    classifier, asked = WORLD.classifier(), 0
    steps = list(pgd(30).walk(classifier, WORLD.task, images=True))
    for step in steps:
        idle = step.query.owner < 0
        asked += int((~idle).sum())
        assert not step.answer.met[idle].any()
        for value in (step.answer.loss, step.answer.size, step.answer.grad, step.images):
            assert value is None or not value[idle].any()
        assert (step.answer.won[idle] == -1).all()
    assert classifier.counts.queries == asked
    assert idle.any() and not idle.all()


# Any number of samples, any order


def test_no_image_one_image_and_the_same_image_twice():
    probe, some = pgd(), torch.tensor([5])
    empty = probe.run(WORLD.classifier(), WORLD.task.rows(some[:0]))
    assert (len(empty), empty.counts, empty.table, empty.met.tolist()) == (0, {}, [], [])
    assert "0 samples" in repr(empty) and "<table>" in empty._repr_html_()
    every = probe.run(WORLD.classifier(), WORLD.task)
    one = probe.run(WORLD.classifier(), WORLD.task.rows(some))
    twice = probe.run(WORLD.classifier(), WORLD.task.rows(torch.tensor([5, 5, 5])))
    assert plain(twice) == plain(one) * 3
    assert one.outcomes[0].status == every.outcomes[5].status
    assert torch.allclose(twice.images, every.images[[5, 5, 5]], atol=1e-12)


def test_the_order_of_the_samples_does_not_matter():
    shuffled = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    probe = replace(pgd(), optimizer=Adam(0.005, restarts=3, spread=0.01))
    a, b = probe.run(WORLD.classifier(), WORLD.task), probe.run(WORLD.classifier(), WORLD.task.rows(shuffled))
    assert torch.equal(a.met[shuffled], b.met)
    assert torch.allclose(a.images[shuffled], b.images, atol=1e-9)


def test_another_seed_is_another_search():
    probe = replace(pgd(), optimizer=Sign(EPS / 4, spread=0.01))
    runs = [replace(probe, seed=seed).run(WORLD.classifier(), WORLD.task).images for seed in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.allclose(runs[0], runs[2], atol=1e-3)


# What is left as it was


class Tripping(nn.Module):
    """Raises at its k-th pass."""

    def __init__(self, net, at, error):
        super().__init__()
        self.net, self.at, self.error, self.passes = net, at, error, count()

    def forward(self, x):
        if next(self.passes) == self.at:
            raise self.error
        return self.net(x)


@pytest.mark.parametrize("end", ["raises", "interrupted", "closed", "finished"])
@pytest.mark.parametrize("space", [Pixels(), Latent(WORLD.codec)], ids=["pixels", "latent"])
def test_model_and_samples_are_left_as_they_were(busy, images, traces, end, space):
    error = KeyboardInterrupt() if end == "interrupted" else RuntimeError("boom")
    net = Tripping(busy, 4 if end in ("raises", "interrupted") else -1, error).train()
    task = Task(
        torch.arange(5), images(5, (1, 8, 8)), torch.zeros(5, dtype=torch.int64), torch.ones(5, dtype=torch.int64)
    )
    if not isinstance(space, Pixels):
        task = replace(task, image=task.image.double())
    before = [v.clone() for v in (task.key, task.image, task.label, task.target)]
    probe = Probe(space, Become(margin=100.0), Unconstrained(), Sign(0.01), budget=Budget(8))
    with traces(net):
        if end == "closed":
            walk = probe.walk(Classifier(net), task)
            next(walk), next(walk)
            walk.close()
        elif end == "finished":
            probe.run(Classifier(net), task, frames=3)
        else:
            with pytest.raises(ModelError if end == "raises" else KeyboardInterrupt):
                probe.run(Classifier(net), task)
    for value, was in zip((task.key, task.image, task.label, task.target), before, strict=True):
        assert torch.equal(value, was)
    assert task.extra == {}


def test_a_network_that_writes_into_its_input_gives_the_same_answer():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x):
            return self.net(x.mul_(1.0).sub_(0.25).add_(0.25))

    before = WORLD.task.image.clone()
    a, b = pgd().run(WORLD.classifier(), WORLD.task), pgd().run(Classifier(InPlace()), WORLD.task)
    assert torch.equal(WORLD.task.image, before)
    assert torch.equal(a.met, b.met)
    assert torch.allclose(a.images, b.images, atol=1e-9)


# Progress, frames, words


def test_progress_is_told_after_every_batch():
    told = []
    result = pgd().run(WORLD.classifier(), WORLD.task, progress=lambda *now: told.append(now))
    assert [(done, n) for done, n, _ in told] == [(5, 12), (10, 12), (12, 12)]
    assert [met for *_, met in told] == [int(result.met[:k].sum()) for k in (5, 10, 12)]


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("until", ["met", "budget"])
def test_frames_end_with_the_best_attempt(frames, until):
    probe = pgd(30, until)
    result = probe.run(WORLD.classifier(), WORLD.task, frames=frames)
    assert plain(result) == plain(probe.run(WORLD.classifier(), WORLD.task))
    for i, path in enumerate(result.trajectories):
        outcome = result.outcomes[i]
        assert path.frames.dtype == torch.uint8
        assert torch.equal(path.frames[-1], (result.images[i] * 255).round().to(torch.uint8))
        assert 1 <= len(path.frames) <= frames
        assert len(path.frames) == len(path.frame_turns)
        assert len(path.turns) == len(path.loss) == len(path.met) == len(path.size) == outcome.steps
        assert path.turns.tolist() == list(range(outcome.steps))
        assert (path.frame_turns.diff() >= 0).all()
        assert bool(path.met.any()) == (outcome.first >= 0)
        if frames > 1:
            assert torch.equal(path.frames[0], (WORLD.task.image[i] * 255).round().to(torch.uint8))
    assert pgd().run(WORLD.classifier(), WORLD.task).trajectories == ()


def test_a_table_has_plain_values_and_says_what_the_images_say():
    result = pgd().run(Classifier(Marked(network(), lambda x: x * torch.nan)), marked([3]))
    rows = result.table
    assert json.loads(json.dumps(rows)) == rows
    assert all(type(v) in (int, float, str, type(None)) for row in rows for v in row.values())
    change = (result.images - result.task.image).flatten(1)
    assert [row["linf"] for row in rows] == pytest.approx(change.abs().amax(1).tolist())
    assert [row["l2"] for row in rows] == pytest.approx(change.norm(dim=1).tolist())
    assert [row["size"] for i, row in enumerate(rows) if i != 3] == pytest.approx(
        [row["linf"] for i, row in enumerate(rows) if i != 3]
    )
    assert all(row["linf"] <= EPS + 1e-12 for row in rows)


def test_a_result_says_its_probe_in_words_that_construct_it():
    probes = [
        pgd(7, "budget", queries=20),
        Probe(Pixels((1, 8, 8)), Avoid(0.0), L2(2.0), Then(Sign(0.01), Adam(0.1), 4), seed=3, batch=2),
    ]
    for probe in probes:
        result = probe.run(WORLD.classifier(), WORLD.task.rows(torch.arange(3)))
        again = eval(result.probe)
        assert repr(again) == repr(probe)
        assert plain(again.run(WORLD.classifier(), WORLD.task.rows(torch.arange(3)))) == plain(result)


# Precision and refusals


def float32(device):
    world = LinearWorld(n=20, crowd=0.15, dtype=torch.float32)
    result = pgd(40).run(world.classifier(device=device), world.task)
    slack = (world.reach(EPS) - world.deficit(0.05)[0]).abs() > 1e-4  # else rounding decides
    assert result.images.dtype == torch.float32
    assert slack.sum() >= 18
    assert torch.equal(result.met[slack], world.feasible(EPS, 0.05)[slack])
    assert (result.linf <= EPS + 1e-6).all()


def test_float32():
    float32("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_float32_on_a_gpu():
    float32("cuda")


@pytest.mark.parametrize("change", [lambda x: x * 255, lambda x: x - 0.5], ids=["0..255", "normalized"])
def test_images_out_of_range_are_refused_before_any_pass(refuses, change):
    classifier = WORLD.classifier()
    task = replace(WORLD.task, image=change(WORLD.task.image))
    with refuses(DataError, "data-range"):
        pgd().run(classifier, task)
    with refuses(DataError, "data-range"):
        next(pgd().walk(classifier, task))
    assert classifier.counts.queries == 0


def test_a_nan_in_an_image_ends_that_image_alone():
    image = WORLD.task.image.clone()
    image[6, 0, 3, 3] = torch.nan
    result = pgd().run(WORLD.classifier(), replace(WORLD.task, image=image))
    healthy = pgd().run(WORLD.classifier(), WORLD.task)
    assert result.outcomes[6].status == "not-finite"
    assert [o for i, o in enumerate(plain(result)) if i != 6] == [o for i, o in enumerate(plain(healthy)) if i != 6]


def test_a_bare_network_is_refused_and_a_classifier_of_ones_own_is_not(refuses):
    net = network()
    for call in (pgd().run, pgd().search, pgd().prepare, lambda net, task: pgd().judge(net, task, task.image)):
        with refuses(ContractError, "contract-classifier") as caught:
            call(net, WORLD.task)
        assert "am.Classifier(net)" in caught.value.hint

    class Own(nn.Module):
        """A module that is a classifier itself."""

        gives, labels, device = "jacobian", None, torch.device("cpu")

        def outputs(self, x, layers=("answer",)):
            return {"answer": net(x)}

    assert torch.equal(pgd().run(Own(), WORLD.task).images, pgd().run(Classifier(net), WORLD.task).images)


def test_what_does_not_fit_is_refused_before_any_pass(refuses):
    classifier = WORLD.classifier(gives="loss")
    with refuses(ContractError, "contract-ladder"):
        pgd().run(classifier, WORLD.task)
    with refuses(ContractError, "contract-binds", seen=False):
        replace(pgd(), constraint=LatentNorm()).run(WORLD.classifier(), WORLD.task)
    assert classifier.counts.queries == 0


def test_a_judgement_encodes_nothing_and_says_what_the_run_said():
    from amiss.recipes import lse

    world = LinearWorld(n=12, dtype=torch.float32)
    asked = []

    class Codec:
        def encode(self, x):
            asked.append(len(x))
            return world.codec.encode(x)

        def decode(self, z):
            return world.codec.decode(z)

    probe = lse(Codec(), batch=5)
    result = probe.run(world.classifier(), world.task)
    assert asked == [5, 5, 2]
    loss, met = probe.judge(world.classifier(), world.task, result.images)
    assert asked == [5, 5, 2]
    assert torch.equal(met, result.met)
    assert ((loss == 0) == met).all()


class Hungry(nn.Module):
    """Runs out of memory above so many rows, and remembers how many it was shown at most since."""

    def __init__(self, network, most):
        super().__init__()
        self.network, self.most, self.seen = network, most, []

    def forward(self, x):
        self.seen.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("too many rows")
        return self.network(x)


@pytest.mark.parametrize("most", [1, 3, 7])
def test_out_of_memory_halves_the_batch_and_remembers(most):
    world = LinearWorld(n=20, crowd=0.15)
    probe = Probe(Pixels(), Become(), Linf(0.02), Sign(0.002), budget=Budget(20), batch=10)
    hungry = Hungry(world.classifier().network, most)
    result = probe.run(Classifier(hungry), world.task)
    assert torch.equal(result.met, world.feasible(0.02, 0.05))
    too_many = [i for i, rows in enumerate(hungry.seen) if rows > most]
    assert too_many == list(range(len(too_many)))  # found once, and never tried again
    assert torch.equal(probe.judge(Classifier(hungry), world.task, result.images)[1], result.met)


def test_where_not_one_row_fits_every_sample_says_so():
    world = LinearWorld(n=6)
    probe = Probe(Pixels(), Become(), Linf(0.02), Sign(0.002), budget=Budget(20), batch=4)
    result = probe.run(Classifier(Hungry(world.classifier().network, 0)), world.task)
    assert result.counts == {"out-of-memory": 6}
    assert torch.equal(result.images, world.task.image)


def test_a_decoder_that_outgrows_the_memory_is_shown_fewer_and_none_at_all_is_an_error():
    world = LinearWorld(n=9)

    class Greedy:
        most, decode = 2, staticmethod(world.codec.decode)

        def encode(self, x):
            if len(x) > self.most:
                raise torch.OutOfMemoryError("too many rows")
            return world.codec.encode(x)

    greedy = Greedy()
    probe = Probe(Latent(greedy), Become(), LatentNorm(), Adam(0.02), budget=Budget(3))
    plain = replace(probe, space=Latent(world.codec))
    prepared, wanted = (p.prepare(world.classifier(), world.task) for p in (probe, plain))
    assert torch.allclose(prepared.extra["z"], wanted.extra["z"]) and torch.equal(prepared.key, wanted.key)
    greedy.most = 0
    with pytest.raises(ModelError, match="memory-one-image"):
        probe.run(world.classifier(), world.task)


def test_a_search_goes_on_from_a_saved_state_and_recorder():
    world = LinearWorld(n=5)
    probe = Probe(Latent(world.codec), Become(), LatentNorm(0.03), Adam(0.02), "budget", Budget(12))
    whole = probe.search(world.classifier(), world.task).run(frames=4)
    first, recorder = probe.search(world.classifier(), world.task), Recorder(4)
    for step in first.walk(images=True):
        first.record(recorder, step)
        if step.turn == 5:
            break
    second, recorder = probe.search(world.classifier(), world.task), Recorder(**vars(recorder))
    state = step.state
    for later in second.walk(state, images=True):
        second.record(recorder, later)
        state = later.state
    result = second.conclude(state, recorder)
    assert result.outcomes == whole.outcomes and torch.equal(result.images, whole.images)
    for a, b in zip(result.trajectories, whole.trajectories, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def test_memory_that_comes_back_is_used():
    world = LinearWorld(n=6)

    class Once(nn.Module):
        """Out of memory for its first samples, and well again after that."""

        def __init__(self):
            super().__init__()
            self.network, self.left = world.classifier().network, 2  # three rows, then one

        def forward(self, x):
            self.left -= 1
            if self.left >= 0:
                raise torch.OutOfMemoryError("none left")
            return self.network(x)

    probe = Probe(Pixels(), Become(), Linf(0.3), Sign(0.1), budget=Budget(20), batch=3)
    result = probe.run(Classifier(Once()), world.task)
    assert [o.status for o in result.outcomes] == ["out-of-memory"] * 3 + ["met"] * 3
