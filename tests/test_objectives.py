"""Losses are 0 exactly where met begins, belong to their row, add up in one pass, and read each image once."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amiss.classifier import Classifier
from amiss.errors import ContractError, DataError, ModelError, UsageError
from amiss.objectives import EOT, Avoid, Become, Confidence, Objective, Says
from amiss.objectives.objective import leaves
from amiss.repro import fold, normal
from amiss.task import Task
from amiss.testing import LinearWorld
from amiss.transforms import Light, Noise

LOGIT = st.one_of(st.floats(-5, 5, width=32), st.sampled_from([0.0, 0.05, 0.1, -0.05, 1e-45, 5.0]))
WORLD = LinearWorld(n=6, classes=4, crowd=0.15)
LABELS = [Become(margin=0.05), Avoid(margin=0.05), Confidence(0.6)]


def read(objective, classifier=None, task=WORLD.task, x=None, draw=0):
    classifier = classifier or WORLD.classifier()
    task = objective.prepare(classifier, task)
    y = objective.read(classifier, task.image if x is None else x, task, draw)
    return *objective.score(y, task), y, task


class Layer(Objective):
    """Half the squared feature at a layer; met under 1."""

    def __init__(self, name):
        self.layers = (name,)

    def score(self, y, task):
        loss = y[self.layers[0]].square().flatten(task.key.ndim).sum(-1) / 2
        return loss, loss < 1


@given(
    rows=st.lists(st.tuples(st.lists(LOGIT, min_size=3, max_size=3), st.integers(0, 2)), min_size=1, max_size=8),
    margin=st.sampled_from([0.0, 0.05, 0.1, 0.3, 1.0]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_a_margin_loss_is_0_exactly_where_met_begins(rows, margin, dtype):
    logits, label = torch.tensor([r[0] for r in rows], dtype=dtype), torch.tensor([r[1] for r in rows])
    task = Task(torch.arange(len(rows)), label=label, target=label)
    others = logits.scatter(1, label[:, None], -torch.inf).amax(1)
    gap = logits.gather(1, label[:, None])[:, 0] - others
    for objective, ahead in ((Become(margin=margin), gap), (Avoid(margin), -gap)):
        y = objective.view({"answer": logits})
        loss, met = objective.score(y, task)
        assert torch.equal(loss == 0, met)
        assert torch.equal(met, ahead >= margin)
        assert torch.allclose(loss, (margin - ahead).clamp_min(0), rtol=0, atol=1e-6)
        # The least of the margins is how far the row is beyond its boundary.
        margins = objective.margins(y, task)
        least = margins.amin(1) if isinstance(objective, Become) else margins.amax(1)
        assert torch.allclose(least, ahead - margin, rtol=0, atol=2e-6)
        slack = objective.slack(y, task)
        assert torch.equal(slack >= 0, met)
        assert torch.allclose(slack, ahead - margin, rtol=0, atol=1e-6)


def test_confidence_is_the_softmax_probability():
    loss, met, _, task = read(Confidence(0.6))
    p = WORLD.logits(task.image).softmax(1).gather(1, task.target[:, None])[:, 0]
    assert torch.allclose(loss, -p.log())
    assert torch.equal(met, p >= 0.6)


def test_the_slack_of_a_sum_is_the_least_and_a_factor_moves_no_boundary():
    parts = [Become(margin=0.3), Avoid(0.1), Confidence(0.4)]
    _, met, y, task = read(parts[0] + 3 * parts[1] + parts[2])
    each = torch.stack([part.slack(read(part)[2], task) for part in parts])
    assert torch.equal((parts[0] + 3 * parts[1] + parts[2]).slack(y, task), each.amin(0))
    assert torch.equal(each.amin(0) >= 0, met)
    confident = each[2] + torch.tensor(0.4).log()
    assert torch.allclose(confident.exp(), WORLD.logits(task.image).softmax(1).gather(1, task.target[:, None])[:, 0])


@pytest.mark.parametrize("objective", [*LABELS, 2 * Become() + Avoid(), EOT(Become(), [Noise(0.1)], n=3)], ids=repr)
def test_a_rows_loss_has_no_slope_along_another_row(objective):
    x = WORLD.task.image.clone().requires_grad_()
    loss, *_ = read(replace_margin(objective), x=x)
    for i in range(len(loss)):
        (grad,) = torch.autograd.grad(loss[i], x, retain_graph=True)
        other = torch.arange(len(loss)) != i
        assert grad[other].abs().max() == 0
        assert grad[i].abs().max() > 0


def replace_margin(objective):
    """The same objective with a margin that no row has reached, so that every loss has a slope."""
    for part in (objective, *getattr(objective, "parts", ()), getattr(objective, "objective", None)):
        part = getattr(part, "part", part)
        if hasattr(part, "margin"):
            part.margin = 100.0
    return objective


@pytest.mark.parametrize("objective", [*LABELS, Become() + 3 * Confidence(0.3)], ids=repr)
def test_rows_that_compete_are_scored_as_row_by_row(objective):
    _, _, y, task = read(objective)
    rows, n = len(task), len(task)
    wide = leaves(y, lambda t: t.unsqueeze(1).expand(rows, n, *t.shape[1:]))
    loss, met = objective.score(wide, task.grid(rows))
    for i in range(rows):
        for j in range(n):
            one = leaves(y, lambda t, i=i: t[i : i + 1])
            expected = objective.score(one, task.rows(torch.tensor([j])))
            assert torch.equal(loss[i, j], expected[0][0])
            assert torch.equal(met[i, j], expected[1][0])


# Sums


def test_a_sum_adds_losses_and_is_one_pass():
    parts = [Become(margin=0.3), Layer("flatten"), Layer("linear"), Confidence(0.4)]
    classifier = WORLD.classifier()
    total = parts[0] + parts[1] * 0.5 + (parts[2] + parts[3])
    loss, met, _, _ = read(total, classifier)
    assert vars(classifier.counts) == {"forward": 1, "backward": 0, "queries": 6}
    assert (total.looks, total.layers) == (1, ("answer", "flatten", "linear"))
    alone = [read(part) for part in parts]
    expected = sum(a[0] * w for a, w in zip(alone, (1, 0.5, 1, 1), strict=True))
    assert torch.allclose(loss, expected, rtol=1e-12)
    assert torch.equal(met, torch.stack([a[1] for a in alone]).all(0))


def test_a_scaled_sum_is_one_pass_too():
    classifier = WORLD.classifier()
    total = Avoid() + 2 * (Become() + Layer("linear"))
    loss, *_ = read(total, classifier)
    assert (classifier.counts.forward, total.looks) == (1, 1)
    assert torch.allclose(loss, read(Avoid())[0] + 2 * (read(Become())[0] + read(Layer("linear"))[0]))


def test_scaling_changes_the_loss_and_not_when_it_is_met():
    loss, met, *_ = read(Become())
    for scaled in (0.25 * Become(), Become() * 0.25):
        assert torch.equal(read(scaled)[0], 0.25 * loss)
        assert torch.equal(read(scaled)[1], met)


# Expectation over transformation


def test_eot_judges_the_image_alone():
    views = EOT(Become(margin=0.5), [Light(), Noise(0.2)], n=5, share=0.6)
    runs = [read(views, draw=draw) for draw in (None, 0, 1, torch.arange(6))]
    assert len({str(met.tolist()) for _, met, *_ in runs}) == 1
    assert len({str(loss.tolist()) for loss, *_ in runs}) == 4
    some = torch.tensor([4, 1])
    assert torch.equal(read(views, task=WORLD.task.rows(some))[1], runs[0][1][some])


def test_eot_is_the_mean_over_views_and_met_by_share():
    views = EOT(Become(margin=0.5), [Light(), Noise(0.2)], n=5, share=0.6)
    task, net = WORLD.task, WORLD.classifier()

    def by_hand(turn):
        out = []
        for i in range(5):
            key = fold(fold(task.key, turn), i)
            out.append(read(Become(margin=0.5), net, x=Noise(0.2)(Light()(task.image, fold(key, 0)), fold(key, 1))))
        return torch.stack([o[0] for o in out]).mean(0), torch.stack([o[1] for o in out]).double().mean(0)

    loss, met, *_ = read(views, draw=3)
    assert torch.allclose(loss, by_hand(3)[0])
    assert torch.equal(met, by_hand(-1)[1] >= 0.6)
    assert torch.allclose(read(views, draw=None)[0], by_hand(-1)[0])
    # A row's own turn: the rows of one reading may be at different turns.
    turns = torch.tensor([3, 0, 3, 1, 3, 2])
    mixed, *_ = read(views, draw=turns)
    assert torch.allclose(mixed[turns == 3], loss[turns == 3])
    assert torch.allclose(mixed[1], by_hand(0)[0][1])


def test_the_share_is_exact_for_every_count():
    class Said(Objective):
        def score(self, y, task):
            return torch.zeros_like(y["met"], dtype=torch.float32), y["met"]

    for n in (*range(1, 21), 100):
        counts = torch.arange(n + 1)
        y = {"judged": {"met": torch.arange(n) < counts[:, None]}}
        for k in range(1, n + 1):
            views = EOT(Said(), [], n=n, share=k / n)
            assert torch.equal(views.score(y, Task(counts))[1], counts >= k), (k, n)


def test_eot_costs_what_it_says():
    views, classifier = EOT(Avoid(), [Noise()], n=4), WORLD.classifier()
    read(views, classifier)
    assert classifier.counts.queries == views.looks * 6 == views.cost(0) * 6
    read(views, classifier, draw=None)
    assert classifier.counts.queries == (views.cost(0) + views.cost(None)) * 6
    assert views.cost(None) == 4
    assert (3 * (Become() + views)).cost(None) == 5
    total = Become() + views
    classifier = WORLD.classifier()
    loss, *_ = read(total, classifier)
    assert classifier.counts.queries == total.looks * 6
    assert torch.allclose(loss, read(Become())[0] + read(views)[0])
    nested, classifier = EOT(EOT(Avoid(), [Noise()], n=2), [Light()], n=3), WORLD.classifier()
    read(nested, classifier, draw=torch.arange(6))
    assert classifier.counts.queries == nested.looks * 6


# Answers in words


class Teller:
    """Says "bright" or "dark", by the mean."""

    def log_prob(self, answer, x):
        odds = 20 * (x.flatten(1).mean(1) - 0.5)
        return torch.nn.functional.logsigmoid(odds if answer == "bright" else -odds)

    def answer(self, x):
        return ["bright" if m > 0.5 else "dark" for m in x.flatten(1).mean(1).tolist()]


def test_says_takes_the_log_probability_and_judges_what_is_said(images):
    x = torch.cat([images(3) * 0.5, images(3) * 0.5 + 0.5]).requires_grad_()
    task = Task(torch.arange(6), x)
    loss, met, *_ = read(Says("bright"), Teller(), task)
    assert met.tolist() == [False] * 3 + [True] * 3
    assert torch.allclose(loss, -Teller().log_prob("bright", x))
    (grad,) = torch.autograd.grad(loss.sum(), x)
    assert (grad < 0).all()


# Targets and refusals


def test_a_class_by_number_or_by_name():
    names = ("ant", "bee", "cat", "dog")
    for target in (2, "cat"):
        assert Become(target).prepare(WORLD.classifier(labels=names), WORLD.task).target.tolist() == [2] * 6
    own = Become().prepare(WORLD.classifier(), WORLD.task)
    assert torch.equal(own.target, WORLD.task.target)


def test_refusals(refuses):
    classifier, bare = WORLD.classifier(labels=("ant", "bee", "cat", "dog")), Task(torch.arange(2))
    with refuses(UsageError, "class-unknown") as caught:
        Become("act").prepare(classifier, WORLD.task)
    assert "cat" in caught.value.hint
    for target in (4, -1):
        with refuses(UsageError, "class-unknown"):
            Become(target).prepare(classifier, WORLD.task)
    with refuses(ContractError, "contract-no-target", seen=False):
        Confidence().prepare(classifier, bare)
    with refuses(ContractError, "contract-no-label"):
        Avoid().prepare(classifier, bare)
    for threshold in (0, 1, 99):
        with refuses(UsageError, "confidence-range"):
            Confidence(threshold)
    for options in ({"n": 0}, {"share": 0}, {"share": 90}):
        with refuses(UsageError, "eot-share"):
            EOT(Avoid(), [Noise()], **options)
    with refuses(ContractError, "contract-margins", seen=False):
        Confidence().margins({}, bare)
    for objective in (EOT(Avoid(), [Noise()]), Become() + Layer("linear")):
        _, _, y, task = read(objective)
        with refuses(ContractError, "contract-slack", seen=False):
            objective.slack(y, task)
    one = Classifier(lambda x: x.flatten(1)[:, :0])
    with refuses(ModelError, "model-one-class"):
        read(Avoid(), one)
    with pytest.raises(NotImplementedError):
        Objective().score({}, bare)


def test_margins_of_a_sum_are_no_higher_than_what_its_other_parts_have_to_spare():
    both = Become(2) + Confidence(0.5, 2)
    _, _, y, task = read(both)
    label, sure = both.parts
    wanted = torch.minimum(label.margins(y["0"], task), sure.slack(y["1"], task)[:, None])
    assert torch.equal(both.margins(y, task), wanted)
    with pytest.raises(ContractError, match="margins"):
        (Confidence(0.5, 2) + Confidence(0.9, 2)).margins(y, task)


@pytest.mark.parametrize(
    "objective",
    [
        Become(2, 0.1),
        Avoid(0.0),
        Confidence(0.9, "cat"),
        Become() + 0.5 * Avoid(),
        2 * (Become() + Avoid()),
        EOT(Become(margin=0.1), [Noise(0.1), Light()], n=3, share=0.5),
        Says("an owl"),
    ],
    ids=repr,
)
def test_words_construct_it_again(objective):
    again = eval(repr(objective))
    assert repr(again) == repr(objective)
    assert type(again) is type(objective)
    assert again.layers == objective.layers


def test_reading_twice_reads_the_same():
    noisy = replace(WORLD.task, image=WORLD.task.image + 0 * normal(WORLD.task.key, WORLD.shape))
    views = EOT(Avoid(), [Noise(0.1)], n=2)
    assert torch.equal(read(views, task=noisy, draw=5)[0], read(views, task=noisy, draw=5)[0])


def test_a_label_that_the_classifier_does_not_have_is_refused_by_name():
    world = LinearWorld(n=3)
    beyond = replace(world.task, label=torch.tensor([0, 1, 7]), target=torch.tensor([0, 1, 7]))
    for objective in (Avoid(), Become(), Confidence(0.9)):
        y = objective.read(world.classifier(), beyond.image, beyond, None)
        with pytest.raises(DataError, match="data-labels"):
            objective.score(y, beyond)
