"""Flags after a study, against linear worlds where it is known who can be broken by what."""

from dataclasses import replace
from itertools import count

import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.constraints import L2, Linf, Mask, Unconstrained
from amiss.objectives import Avoid, Become
from amiss.optimizers import Adam, Momentum, Optimizer, Sign
from amiss.probe import Budget, Probe
from amiss.recipes import classes, fgsm, fool_gradient, lse, pgd, square
from amiss.result import Outcome, Result
from amiss.spaces import Latent, Pixels
from amiss.task import Query, Task
from amiss.testing import LinearWorld
from amiss.trust import KINDS, Verified, after
from amiss.trust.controls import Unfit, doubled, huge, rival
from tests.trust.nets import scaled

EPS, MARGIN = 0.02, 0.05


@pytest.fixture(scope="module")
def world():
    return LinearWorld(n=30, crowd=0.15)


def turned(world):
    """The world's classifier with a gradient of the opposite sign."""

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.honest = world.classifier().network

        def forward(self, x):
            return self.honest(scaled(-1.0)(x))

    return Classifier(Turned())


def study(probe, classifier, task, **options):
    """Flags by slug of a probe's own result."""
    return flags(probe, classifier, probe.run(classifier, task), **options)


def flags(probe, classifier, result, **options):
    found = after(probe, classifier, result, **options)
    assert [flag.slug for flag in found] == [slug for slug, kind in KINDS.items() if kind.when == "after"]
    return {flag.slug: flag for flag in found}


def attack(eps=EPS, steps=40, **options):
    return pgd(eps, steps, target="task", margin=MARGIN, levels=None, **options)


def test_an_honest_attack_on_an_honest_network_raises_none(world):
    found = study(attack(), world.classifier(), world.task)
    assert [slug for slug, flag in found.items() if flag.fired] == []
    assert {slug for slug, flag in found.items() if flag.state == "not measured"} == {"eight-bit"}


@pytest.mark.parametrize(
    ("claimed", "held", "state", "value"), [(None, 3, "clear", 1.0), (4, 3, "fired", 0.75), (3, 0, "fired", 0.0)]
)
def test_what_is_lost_on_disk_is_a_share_of_what_was_claimed(world, claimed, held, state, value):
    probe = attack(steps=1)
    result = plain_result(world, ["met"] * 3 + ["exhausted"] * 2)
    verified = torch.arange(5) < held
    flag = flags(probe, world.classifier(), result, claimed=claimed, verified=verified)["eight-bit"]
    assert (flag.state, flag.value) == (state, value)
    whole = Verified(torch.ones(5).bool(), verified, verified, verified, verified.long())
    assert flags(probe, world.classifier(), result, verified=whole)["eight-bit"].value == 1.0  # no claim, no credit


def plain_result(world, statuses):
    task = world.task.rows(torch.arange(len(statuses)))
    outcomes = tuple(Outcome(status, 0.0, 0.0, 1, 1, -1, "") for status in statuses)
    return Result(task, task.image, task.image, outcomes)


@pytest.mark.parametrize("k", [0, 1, 4])
def test_searches_that_end_in_no_number_are_counted(world, k):
    result = plain_result(world, ["not-finite"] * k + ["exhausted"] * 5)
    flag = flags(attack(steps=1), world.classifier(), result)["not-finite"]
    assert (flag.fired, flag.value) == (k > 0, k)


@pytest.mark.parametrize("status", ["not-finite", "out-of-memory", "already-met"])
def test_where_no_attack_came_to_an_end_nothing_is_said_to_have_fallen(world, status):
    found = flags(attack(steps=1), world.classifier(), plain_result(world, [status] * 5))
    assert found["black-box-better"].state == found["not-converged"].state == "not measured"
    nothing = attack().run(world.classifier(), world.task.rows(torch.arange(0)))
    assert {flag.state for flag in flags(attack(), world.classifier(), nothing).values()} == {"not measured"}


def test_images_that_were_lost_on_the_way_do_not_hide_those_that_fall(world):
    probe = replace(attack(0.04), optimizer=Sign(0.04 / 20), budget=Budget(5))
    result = probe.run(world.classifier(), world.task)
    plain = flags(probe, world.classifier(), result)["not-converged"]
    lost = tuple(Outcome("out-of-memory", 0.0, 0.0, 1, 1, -1, "") for _ in range(30))
    more = Result(
        Task.join([world.task, world.task]),
        torch.cat([result.images] * 2),
        torch.cat([result.p] * 2),
        (*result.outcomes, *lost),
    )
    assert flags(probe, world.classifier(), more)["not-converged"].value == plain.value > 0.1


class Recorded(Become):
    """Notes every image that is shown."""

    def __init__(self):
        super().__init__(margin=MARGIN)
        self.seen = []

    def read(self, classifier, x, task, draw):
        self.seen.append(x.detach().clone())
        return super().read(classifier, x, task, draw)


class Idle(Optimizer):
    """Has no steps."""

    wants = "grad"

    def init(self, domain, warm=None):
        return {}

    def ask(self, state, domain):
        return Query(domain.start(), torch.full_like(domain.everyone, -1))


@pytest.mark.parametrize("masked", [False, True])
def test_random_changes_are_as_large_as_the_one_found_in_every_norm(masked):
    world = LinearWorld(n=8)  # far from the walls of the box
    top = torch.zeros(1, 8, 8, dtype=torch.bool)
    top[:, :4] = True
    constraint = Linf(0.3) & Mask(top) if masked else Unconstrained()
    objective = Recorded()
    probe = Probe(Pixels(), objective, constraint, Momentum(0.05, 0.0, "l2"), budget=Budget(100))
    result = probe.run(world.classifier(), world.task)
    assert result.met.all()
    objective.seen.clear()
    flag = flags(replace(probe, optimizer=Idle()), world.classifier(), result)["random-direction"]
    assert (flag.state, flag.value) == ("clear", 0.0)
    assert "0 of 40 random changes" in flag.measured
    own = (result.images - world.task.image).flatten(1)
    assert len(objective.seen) > 4
    for images in objective.seen[:5]:  # what else is asked comes after the random changes
        change = (images - world.task.image).flatten(1)
        torch.testing.assert_close(change.abs().sort(1).values, own.abs().sort(1).values, atol=1e-12, rtol=0)
        assert bool((change != own).any(1).all())
        assert not masked or float(change[:, ~top.flatten()].abs().max()) == 0


def test_where_any_change_will_do_the_direction_says_nothing(world):
    start = world.task.image.to(torch.float32)

    def brittle(x):  # class 1 as soon as anything has changed
        near = (x[:, None] - start[None]).flatten(2).abs().sum(2).amin(1)
        return torch.stack([torch.full_like(near, 0.5), 100 * near], 1)

    task = Task(torch.arange(30), start, target=torch.ones(30).long())
    probe = Probe(Pixels(), Become(), Linf(0.1), Adam(0.05), budget=Budget(5))
    classifier = Classifier(brittle)
    noisy = task.rows(torch.arange(30))
    with torch.no_grad():
        moved = start + 0.05 * (torch.arange(64) % 2 * 2 - 1).reshape(1, 1, 8, 8)
    outcomes = tuple(Outcome("met", 0.05, 0.0, 1, 1, 0, "") for _ in range(30))
    flag = flags(probe, classifier, Result(noisy, moved, moved, outcomes))["random-direction"]
    assert flag.fired and flag.value == 1.0


@pytest.mark.parametrize("residual", [True, False])
def test_codes_are_moved_at_random_as_pixels_are(residual):
    world = LinearWorld(n=20, latent=40)
    probe = lse(world.codec, residual=residual, levels=None)
    found = study(probe, world.classifier(), world.task)
    assert found["random-direction"].state == "clear"
    assert [found[slug].state for slug in ("black-box-better", "not-converged", "eps-huge")] == ["not measured"] * 3


def test_the_random_change_stays_in_the_set(world):
    crowded = LinearWorld(n=30, crowd=0.3)  # many pixels lie at the walls of the box
    objective = Recorded()
    probe = Probe(Pixels(), objective, Linf(0.1), Sign(0.02), budget=Budget(40))
    result = probe.run(crowded.classifier(), crowded.task)
    assert result.met.sum() > 4
    objective.seen.clear()
    flags(replace(probe, constraint=Linf(0.01), optimizer=Idle()), crowded.classifier(), result)
    for images in objective.seen[:5]:
        change = (images - crowded.task.image[result.met]).abs().flatten(1).amax(1)
        torch.testing.assert_close(change, torch.full_like(change, 0.01), atol=1e-12, rtol=0)
        assert float(images.min()) >= 0 and float(images.max()) <= 1


def test_twice_the_steps_break_exactly_those_that_lie_twice_as_far(world):
    # Steps of a twentieth of the radius: five of them reach a quarter of it, ten one half.
    probe = replace(attack(0.04), optimizer=Sign(0.04 / 20), budget=Budget(5))
    first, second = world.feasible(0.01, MARGIN), world.feasible(0.02, MARGIN)
    result = probe.run(world.classifier(), world.task)
    assert torch.equal(result.met, first)
    assert int((~first).sum()) <= 32  # all that were left are attacked again
    flag = flags(probe, world.classifier(), result)["not-converged"]
    assert flag.value == pytest.approx(int((second & ~first).sum()) / len(first))
    assert flag.fired and flag.value > 0.1
    whole = attack(0.01)
    assert study(whole, world.classifier(), world.task)["not-converged"].value == 0


def test_one_image_more_is_luck(world):
    probe = replace(attack(0.04), optimizer=Sign(0.04 / 20), budget=Budget(5))
    result = probe.run(world.classifier(), world.task)
    first, second = world.feasible(0.01, MARGIN), world.feasible(0.02, MARGIN)
    rows = torch.cat([(second & ~first).nonzero()[:1], (~second).nonzero()[:2]]).flatten()
    few = Result(world.task.rows(rows), result.images[rows], result.p[rows], tuple(result.outcomes[i] for i in rows))
    flag = flags(probe, world.classifier(), few)["not-converged"]
    assert flag.value == pytest.approx(1 / 3) and flag.state == "clear"


def test_a_turned_gradient_is_beaten_without_one(world):
    found = study(attack(), turned(world), world.task)
    assert found["black-box-better"].fired
    assert found["black-box-better"].value <= float(world.feasible(EPS, MARGIN).double().mean())
    assert found["eps-huge"].fired and found["eps-huge"].value == 0
    assert not found["not-converged"].fired


def test_with_everything_allowed_every_image_falls(world):
    for probe in (
        attack(),
        replace(attack(), optimizer=Adam(EPS / 10)),
        replace(attack(), optimizer=Momentum(EPS / 10)),
    ):
        flag = study(probe, world.classifier(), world.task)["eps-huge"]
        assert (flag.state, flag.value) == ("clear", 1.0)
    stuck = Classifier(lambda x: torch.stack([x.flatten(1).sum(1) * 0 + 1, x.flatten(1).sum(1) * 0], 1))
    task = replace(world.task, target=torch.ones(30).long())
    assert study(attack(), stuck, task)["eps-huge"].value == 0  # nothing can ever be class 1


def test_steps_that_cross_the_whole_box_are_no_failure_of_the_attack(world):
    # Class 1 is a narrow band of brightness, which long steps jump over: only shorter ones come to stand in it.
    def band(x):
        bright = x.flatten(1).mean(1)
        return torch.stack([torch.zeros_like(bright), 2.0 - 100 * (bright - 0.7).abs()], 1)

    task = Task(torch.arange(6), torch.full((6, 1, 8, 8), 0.5), target=torch.ones(6).long())
    probe = pgd(0.01, 10, target="task", margin=MARGIN)
    assert not huge(probe).run(Classifier(band), task).met.any()
    assert study(probe, Classifier(band), task)["eps-huge"].state == "clear"


def test_random_changes_are_drawn_a_batch_at_a_time(world):
    probe = attack()
    result = probe.run(world.classifier(), world.task)
    objective = Recorded()
    small = replace(probe, objective=objective, batch=4)
    flags(small, world.classifier(), result)
    assert max(map(len, objective.seen)) == 4


def test_controls_are_the_same_search_but_for_one_thing(world):
    probe = attack(seed=5, batch=7)
    assert doubled(probe) == replace(probe, budget=Budget(80))
    limited = replace(probe, budget=Budget(10, queries=30, seconds=2.0))
    assert doubled(limited).budget == Budget(20, 60, 4.0)
    other = rival(probe, seed=3)
    assert (other.objective, other.constraint, other.batch, other.seed) == (probe.objective, probe.constraint, 7, 3)
    assert other.budget.queries == 200 and other.optimizer.wants == "loss"
    wide = huge(probe)
    assert wide.optimizer.step == pytest.approx(probe.optimizer.step / EPS)
    assert [part.eps for part in wide.constraint.parts if isinstance(part, Linf)] == [1.0]
    assert probe.optimizer.step == pytest.approx(2.5 * EPS / 40)  # the study's own is as it was


@pytest.mark.parametrize(
    ("control", "probe", "why"),
    [
        (rival, pgd(0.5, norm="l2"), "no attack inside a ball"),
        (rival, square(0.1), "no gradients itself"),
        (rival, replace(attack(), constraint=Unconstrained()), "no attack inside a ball"),
        (doubled, pgd(None, norm="l2", step=0.1), "no attack inside a ball"),
        (doubled, Probe(Latent(None), Avoid(), Linf(0.1), Sign(0.1)), "no attack inside a ball"),
        (huge, fgsm(0.1), "fewer than 10 steps"),
        (huge, replace(attack(), constraint=Linf(0.1) & L2(1.0)), "Another constraint"),
        (huge, replace(attack(), optimizer=Idle()), "no length of a step"),
    ],
)
def test_controls_say_whom_they_cannot_speak_of(control, probe, why):
    with pytest.raises(Unfit, match=why):
        control(probe)


def test_searches_from_nothing_and_genomes_are_not_compared(world):
    classifier = world.classifier()
    classifier.predict(world.task.image[:1])
    probe = fool_gradient((1, 8, 8), steps=3)
    found = study(probe, classifier, classes(classifier))
    measured = {slug for slug, flag in found.items() if flag.state != "not measured"}
    assert measured == {"not-finite"}
    bred = replace(plain_result(world, ["met"] * 3), p=[{}, {}, {}])
    assert flags(probe, classifier, bred)["random-direction"].state == "not measured"


@pytest.mark.parametrize("kind", ["random", "leaning"])
def test_two_searches_of_an_unsteady_network_are_not_compared(world, kind):
    network = world.classifier().network
    random = Classifier(lambda x: network(x) + torch.randn(len(x), 2))
    leaning = Classifier(lambda x: network(x) + 0.1 * network(x).mean(0, keepdim=True))
    found = study(attack(), random if kind == "random" else leaning, world.task, verified=torch.zeros(30).bool())
    assert {slug for slug, flag in found.items() if flag.state != "not measured"} == {"not-finite"}
    assert "cannot be compared" in found["eps-huge"].measured


def test_an_empty_study_and_one_that_broke_all(world):
    classifier = world.classifier()
    none = attack().run(classifier, world.task.rows(torch.zeros(0).long()))
    assert not any(flag.fired for flag in flags(attack(), classifier, none).values())
    found = study(attack(0.5), classifier, world.task)
    assert [found[slug].state for slug in ("black-box-better", "not-converged")] == ["clear", "clear"]
    assert "no image was left standing" in found["not-converged"].measured


@pytest.mark.parametrize("after_passes", [0, 3, 14, 40])
def test_a_network_that_gives_up_makes_no_flag_fire(world, after_passes):
    result = attack().run(world.classifier(), world.task)
    network, turns = world.classifier().network, count()

    def tired(x):
        if next(turns) >= after_passes:
            raise RuntimeError("enough")
        return network(x)

    found = flags(attack(), Classifier(tired), result)
    assert not any(flag.fired for flag in found.values())
    assert any("enough" in flag.measured for flag in found.values())


def test_nothing_is_touched_and_the_seed_decides(world, traces, busy):
    task = Task(
        torch.arange(12), torch.rand(12, 1, 6, 6, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 3
    )
    classifier, probe = Classifier(busy), pgd(4 / 255, 10)
    result = probe.run(classifier, task)
    told = []
    with traces(busy):
        once = after(probe, classifier, result, seed=4, progress=lambda *args: told.append(args))
    assert [args[1] for args in told] == list(range(6))
    assert once == after(probe, classifier, result, seed=4)
