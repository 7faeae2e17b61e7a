"""Detectors score as their papers say, thresholds keep their promise, and worlds with known areas are told right."""

import json
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils._python_dispatch import TorchDispatchMode

from amiss.analysis import rejection as rj
from amiss.analysis.rejection.fitting import read_natural
from amiss.classifier import Classifier
from amiss.errors import DataError, ModelError, UsageError
from amiss.models import LeNet
from amiss.objectives import Accepted, Confidence, OwnRule, Rule
from amiss.task import Task

N, SIDE = 240, 8


def lenet():
    torch.manual_seed(0)
    net = LeNet(size=SIDE, classes=4, hidden=6)
    with torch.no_grad():
        net.fc1.bias += 0.3  # no unit is dead
        net.fc2.weight *= 8
    return Classifier(net.eval(), labels=list("abcd"))


CLASSIFIER = lenet()
IMAGES = torch.rand(N, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(N) % 4
OTHERS = torch.rand(60, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2)) ** 3


@pytest.fixture(scope="module")
def detectors():
    return rj.fit_detectors(CLASSIFIER, "relu3", IMAGES, LABELS)


def seen(images):
    """Features and logits as arrays in float64."""
    with torch.no_grad():
        out = CLASSIFIER.outputs(images, ("relu3", "answer"))
    return out["relu3"].double().numpy(), out["answer"].double().numpy()


def lse(logits):
    high = logits.max(1, keepdims=True)
    return (high + np.log(np.exp(logits - high).sum(1, keepdims=True)))[:, 0]


def references(images):
    """The scores written another way: row by row, in numpy, with explicit inverses."""
    bank, known = seen(IMAGES)
    f, logits = seen(images)
    labels = LABELS.numpy()
    means = [bank[labels == c].mean(0) for c in range(4)]
    within = sum((bank[labels == c] - means[c]).T @ (bank[labels == c] - means[c]) for c in range(4)) / N
    inside, whole = np.linalg.inv(within), np.linalg.inv(np.cov(bank.T, bias=True))
    nearest = np.array([min((x - m) @ inside @ (x - m) for m in means) for x in f])
    away = np.array([(x - bank.mean(0)) @ whole @ (x - bank.mean(0)) for x in f])
    unit = lambda x: x / np.linalg.norm(x)  # noqa: E731
    tenth = [sorted(np.linalg.norm(unit(x) - unit(b)) for b in bank)[9] for x in f]
    head = CLASSIFIER.network.fc2
    w, b = head.weight.detach().double().numpy(), head.bias.detach().double().numpy()
    origin = -np.linalg.pinv(w) @ b
    _, _, directions = np.linalg.svd(bank - origin)
    rest = directions[3:]  # half of six
    left = lambda x: np.linalg.norm((x - origin) @ rest.T, axis=1)  # noqa: E731
    alpha = known.max(1).sum() / left(bank).sum()
    return {
        "msp": np.exp(logits.max(1) - lse(logits)),
        "max logit": logits.max(1),
        "energy": lse(logits),
        "mahalanobis": -nearest,
        "relative mahalanobis": away - nearest,
        "knn": -np.array(tenth),
        "vim": lse(logits) - alpha * left(f),
        "feature norm": np.sqrt((f**2).sum(1)),
    }


def test_scores_are_those_of_the_papers(detectors):
    assert tuple(rule.name for rule in detectors.rules) == rj.DETECTORS
    assert not detectors.left_out
    scores, sure = rj.score_images(CLASSIFIER, detectors.rules, OTHERS, batch=7)
    wanted = references(OTHERS)
    for name, reference in wanted.items():
        # The head is read off single-precision logits, hence the looser bound of ViM.
        assert np.allclose(scores[name].numpy(), reference, rtol=1e-4 if name == "vim" else 1e-6), name
    assert torch.allclose(sure, scores["msp"])


def test_odin_moves_each_pixel_toward_a_higher_softmax():
    rule = rj.ODIN(temperature=10.0, step=0.01)
    x = OTHERS[:3].clone().requires_grad_()
    top = (CLASSIFIER.outputs(x)["answer"] / 10).log_softmax(1).amax(1)
    moved = x.detach() + 0.01 * torch.autograd.grad(top.sum(), x)[0].sign()
    wanted = (CLASSIFIER.outputs(moved)["answer"].double() / 10).softmax(1).amax(1)
    with torch.no_grad():
        found = rule.score(CLASSIFIER, OTHERS[:3])
    assert torch.allclose(found, wanted, rtol=1e-6)
    assert (found > top.detach().double().exp()).all()


def test_the_rules_of_one_pass_share_it(detectors):
    before = CLASSIFIER.counts.forward
    rj.score_images(CLASSIFIER, [rule for rule in detectors.rules if rule.name != "odin"], OTHERS, batch=60)
    assert CLASSIFIER.counts.forward == before + 1


@pytest.mark.filterwarnings("ignore")  # of theirs
def test_pytorch_ood_agrees(detectors):
    try:
        from pytorch_ood import detector
    except Exception as error:  # with a torchvision that is none for this torch it raises whatever it likes
        pytest.skip(f"pytorch-ood is not installed, or not for this torch: {type(error).__name__}")
    natural = read_natural(CLASSIFIER, "relu3", IMAGES, LABELS)
    f, logits = (torch.from_numpy(part).float() for part in seen(OTHERS))
    scores, _ = rj.score_images(CLASSIFIER, detectors.rules, OTHERS)
    head, bank = CLASSIFIER.network.fc2, natural.features.float()
    theirs = {
        "msp": detector.MaxSoftmax.score(logits),
        "max logit": detector.MaxLogit.score(logits),
        "energy": detector.EnergyBased.score(logits),
        "knn": detector.KNN(None, k=10).fit_features(bank, LABELS).predict_features(f),
        "vim": detector.ViM(None, 3, head.weight, head.bias).fit_features(bank, LABELS).predict_features(f),
        # Theirs divides the scatter by 1, ours by N, and their distance is halved.
        "mahalanobis": 2 * N * detector.Mahalanobis(None).fit_features(bank, LABELS).predict_features(f),
        "relative mahalanobis": N * detector.RMD(None).fit_features(bank, LABELS).predict_features(f),
        "odin": detector.ODIN(CLASSIFIER.network).predict(OTHERS),
    }
    for name, other in theirs.items():
        assert torch.allclose(scores[name], -other.detach().double(), rtol=2e-3, atol=1e-3), name


def test_known_areas_of_two_normal_distributions():
    draw = torch.Generator().manual_seed(3)
    apart = 1.0
    true = NormalDist().cdf(apart / 2**0.5)
    held, widths = 0, []
    for _ in range(200):
        natural = torch.randn(150, generator=draw) + apart
        figure = rj.auroc(natural, torch.randn(80, generator=draw))
        held += figure.low <= true <= figure.high
        widths.append(figure.high - figure.low)
    assert 180 <= held <= 199  # 95 % of 200, give or take
    assert max(widths) < 0.2
    true = 1 - NormalDist().cdf(apart + NormalDist().inv_cdf(0.05))
    figures = [
        rj.false_positives(torch.randn(2000, generator=draw) + apart, torch.randn(2000, generator=draw), seed=i)
        for i in range(200)
    ]
    assert 180 <= sum(one.low <= true <= one.high for one in figures) <= 199
    assert max(one.high - one.low for one in figures) < 0.12


def test_the_interval_is_that_of_samples_drawn_anew():
    draw = torch.Generator().manual_seed(6)
    natural, others = torch.randn(60, generator=draw).round(decimals=1) + 2, torch.randn(45, generator=draw)
    redrawn = []
    for _ in range(4000):
        up = natural[torch.randint(60, (60,), generator=draw)].sort().values
        redrawn.append(float((others[torch.randint(45, (45,), generator=draw)] >= up[3]).double().mean()))
    figure = rj.false_positives(natural, others, draws=20_000)
    wanted = np.quantile(redrawn, (0.025, 0.975))
    assert figure.low < figure.high and np.allclose((figure.low, figure.high), wanted, atol=1.1 / 45)


def test_redraws_take_no_more_memory_than_the_samples():
    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for one in out if isinstance(out, tuple | list) else [out]:
                self.numbers = max(self.numbers, one.numel() if isinstance(one, torch.Tensor) else 0)
            return out

    with Largest() as seen:
        rj.false_positives(torch.arange(3000.0), torch.arange(2000.0) - 1000)
    assert seen.numbers <= 3000


def test_natural_beside_natural_is_a_coin():
    draw = torch.Generator().manual_seed(4)
    figures = [rj.auroc(torch.randn(100, generator=draw), torch.randn(100, generator=draw)) for _ in range(100)]
    assert sum(one.low <= 0.5 <= one.high for one in figures) >= 88
    same = torch.zeros(20)
    assert rj.auroc(same, same).value == 0.5


def test_perfect_scores_still_have_an_interval():
    figure = rj.auroc(torch.ones(100), torch.zeros(10))
    assert figure.value == 1 and 0.6 < figure.low < 0.8
    assert rj.auroc(torch.ones(5), torch.full((3,), torch.nan)).value == 1
    share = rj.false_positives(torch.ones(100), torch.zeros(10))
    assert share.value == share.low == 0 and 0.2 < share.high < 0.4


def test_a_threshold_lets_fresh_natural_images_pass():
    draw = torch.Generator().manual_seed(5)
    passed = [
        float((torch.randn(400, generator=draw) >= rj.threshold_at(torch.randn(99, generator=draw))).double().mean())
        for _ in range(300)
    ]
    assert sum(passed) / 300 == pytest.approx(0.95, abs=0.006)
    assert rj.threshold_at(torch.arange(99.0)) == 4  # the fifth lowest of 99


@pytest.mark.parametrize(
    "scores",
    [torch.zeros(18), torch.zeros(0), *(torch.tensor([bad] + [0.0] * 50) for bad in (np.nan, np.inf, -np.inf))],
)
def test_too_few_natural_images_are_refused(scores):
    with pytest.raises(DataError, match="rejection-few"):
        rj.threshold_at(scores)


def test_accepted_is_met_from_the_threshold_on():
    rule = rj.Energy()
    scores, _ = rj.score_images(CLASSIFIER, [rule], OTHERS)
    threshold = float(scores["energy"].median())
    objective, task = Accepted(rule, threshold, 0.5), Task(torch.arange(60), target=torch.zeros(60).long())
    loss, met = objective.score(objective.read(CLASSIFIER, OTHERS, task, 0), task)
    assert torch.equal(met, scores["energy"] >= threshold)
    assert torch.allclose(loss.detach(), ((threshold - scores["energy"]).clamp_min(0) / 0.5).log1p())
    both = Confidence(0.3) + objective
    assert both.looks == 1 and (Confidence(0.3) + Accepted(rj.ODIN(), 0.1)).looks == 3
    for threshold, spread in ((0.0, 0.0), (0.0, np.inf), (np.nan, 1.0), (np.inf, 1.0), (-np.inf, 1.0)):
        with pytest.raises(UsageError, match="rule-threshold"):
            Accepted(rule, threshold, spread)


def test_what_an_evaluation_costs():
    assert rj.evaluations_each(rj.Energy(), "cppn") == 1 and rj.evaluations_each(rj.Energy(), "gradient") == 3
    assert rj.evaluations_each(rj.ODIN(), "cppn") == 5 and rj.evaluations_each(rj.ODIN(), "gradient") == 9
    assert rj.evaluations_each(OwnRule(lambda x: x.mean((1, 2, 3))), "cppn") == 1


def test_without_features_or_gradients_some_are_left_out_with_the_reason():
    for kinds in (("cppn", "evolved"), "cppn"):
        with pytest.raises(UsageError, match="nonsense-kind"):
            rj.make_nonsense(CLASSIFIER, (1, SIDE, SIDE), kinds=kinds)
    network = CLASSIFIER.network
    black = Classifier(lambda x: network(x).detach(), labels=list("abcd"), gives="loss")
    found = rj.fit_detectors(black, "relu3", IMAGES, LABELS)
    assert [rule.name for rule in found.rules] == ["msp", "max logit", "energy"]
    assert set(found.left_out) == set(rj.DETECTORS) - {"msp", "max logit", "energy"}
    assert "gradient" in found.left_out["odin"] and "features" in found.left_out["vim"]
    assert len(rj.fit_detectors(CLASSIFIER, None, IMAGES, LABELS).rules) == 4
    told = Classifier(lambda x: x.flatten(1).argmax(1) % 4, labels=list("abcd"), gives="met")
    with pytest.raises(ModelError, match="rejection-logits"):
        rj.fit_detectors(told, None, IMAGES, LABELS)
    with pytest.raises(UsageError, match="rejection-detector"):
        rj.fit_detectors(CLASSIFIER, None, IMAGES, LABELS, only=("msq",))
    with pytest.raises(DataError, match="data-lengths"):
        rj.fit_detectors(CLASSIFIER, "relu3", IMAGES, LABELS[:3])


class Shifted(torch.nn.Module):
    """Logits under a layer of one's own."""

    def __init__(self, last):
        super().__init__()
        self.features, self.head, self.last = torch.nn.Flatten(), torch.nn.Linear(SIDE**2, 4), last

    def forward(self, x):
        return self.last(self.head(self.features(x)))


@pytest.mark.parametrize(
    ("last", "missing"),
    [
        (torch.nn.LogSoftmax(1), {"energy": "log-probabilities", "vim": "log-probabilities"}),
        (lambda z: z.log_softmax(1) + 3, {"energy": "same for all", "vim": "same for all"}),
        (lambda z: z - 50, {"vim": "not above 0"}),
        (lambda z: z + 5, {}),
    ],
)
def test_rules_that_such_logits_leave_nothing_to_tell_by_are_left_out(last, missing):
    torch.manual_seed(0)
    classifier = Classifier(Shifted(last).eval(), labels=list("abcd"))
    for layer in ("features", None):
        found = rj.fit_detectors(classifier, layer, IMAGES, LABELS)
        expected = missing if layer else {name: why for name, why in missing.items() if name == "energy"}
        assert {name for name in found.left_out if layer or name == "energy"} == {*expected}
        assert all(why in found.left_out[name] for name, why in expected.items())
        assert {rule.name for rule in found.rules} == {*rj.DETECTORS} - {*found.left_out}
    only = rj.fit_detectors(classifier, "features", IMAGES, LABELS, only=("knn", "energy"))
    assert {*only.left_out} == {"energy"} & {*missing}
    for rule in found.rules:
        assert not isinstance(rule, rj.ViM) or rule.alpha > 0


def test_mahalanobis_says_how_much_it_does_not_look_at(detectors):
    natural = read_natural(CLASSIFIER, "relu3", IMAGES, LABELS)
    features = natural.features.clone()
    features[:, :3] = 0
    dead = replace(natural, features=features)
    woken = features[:1].clone()
    woken[:, 0] = 1000
    for rule in (rj.Mahalanobis.fit(dead), rj.RelativeMahalanobis.fit(dead)):
        assert rule.ignored == 0.5
        assert torch.equal(rule.of({"relu3": woken}), rule.of({"relu3": features[:1]}))
    told = rj.audit_rejection(CLASSIFIER, detectors.rules, IMAGES, {}, searches=())
    assert told.record["ignored"] == {"mahalanobis": 0.0, "relative mahalanobis": 0.0}


def test_features_that_are_not_finite_are_refused():
    class Broken(torch.nn.Sequential):
        def forward(self, x):
            return super().forward(x.log())

    net = Broken(torch.nn.Flatten(), torch.nn.Linear(64, 4))
    with pytest.raises(ModelError, match="rejection-not-finite"):
        rj.fit_detectors(Classifier(net, labels=list("abcd")), "0", torch.zeros(30, 1, 8, 8), LABELS[:30])


@pytest.mark.parametrize("function", [lambda x: x.mean(), lambda x: x, lambda x: 1 / 0])
def test_a_score_that_is_none_is_refused(function):
    with pytest.raises(ModelError, match="rule-score"):
        rj.score_images(CLASSIFIER, [OwnRule(function)], OTHERS)


@pytest.mark.parametrize(
    "function", [lambda x: x.numpy().std((1, 2, 3)), lambda x: x.detach().numpy().std((1, 2, 3))]
)
def test_a_score_in_numpy_is_searched_against_by_scores_alone(function):
    own = OwnRule(function, name="smooth")
    scores, _ = rj.score_images(CLASSIFIER, [own], OTHERS)
    assert np.allclose(scores["smooth"], OTHERS.numpy().std((1, 2, 3)))
    assert rj.bypass(CLASSIFIER, Accepted(own, 0.0), (1, SIDE, SIDE), "cppn", generations=1, children=4).spent > 0
    promised = Accepted(OwnRule(function, name="smooth", gives="jacobian"), 0.0)
    with pytest.raises(ModelError, match="rule-score") as caught:  # a gradient is promised, and none leads through
        rj.bypass(CLASSIFIER, promised, (1, SIDE, SIDE), "gradient", steps=2)
    assert "Return a tensor that torch computed" in caught.value.hint


def test_two_rules_of_one_name_are_refused():
    with pytest.raises(UsageError, match="rejection-names"):
        rj.score_images(CLASSIFIER, [rj.Energy(), rj.Energy()], OTHERS)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_natural_images_without_a_finite_score_are_refused_wherever_they_fall(bad):
    for at in range(0, 60, 7):  # in the half of thresholds or in the half that is judged
        own = OwnRule(lambda x, at=at: torch.where((x == OTHERS[at]).all(3).all(2).all(1), bad, x.mean((1, 2, 3))))
        with pytest.raises(DataError, match="rejection-scores"):
            rj.audit_rejection(CLASSIFIER, [own], OTHERS, {}, searches=())


def test_what_cannot_be_is_refused_before_anything_is_shown():
    shown = []
    own = OwnRule(lambda x: shown.append(len(x)) or x.mean((1, 2, 3)))
    with pytest.raises(UsageError, match="rejection-search"):
        rj.audit_rejection(CLASSIFIER, [own], IMAGES, {}, searches=("cppn", "luck"))
    for kind in ("adaptive", "natural"):
        with pytest.raises(UsageError, match="rejection-kind"):
            rj.audit_rejection(CLASSIFIER, [own], IMAGES, {"noise": OTHERS, kind: OTHERS}, searches=())
    assert not shown


def test_a_rule_is_bypassed_by_evolution_and_what_a_gradient_finds_is_told_apart():
    def found(name, search, *met):
        return rj.Bypass(name, search, OTHERS[:2], met, (1, None), 5)

    told = rj.Rejection(
        (),
        (
            found("seen through", "gradient", True, True),
            found("seen through", "cppn", True, False),
            found("evolved past", "cppn", True, False),
            found("evolved past", "direct", False, True),
        ),
        {"seen through": 0.0, "evolved past": 0.0, "never tried": 0.0},
    )
    assert told.bypassed == ("evolved past",) == tuple(told.record["bypassed"])
    assert told.bypassed_by("gradient") == ("seen through",)
    assert told.bypassed_by("cppn") == () and told.bypassed_by(*rj.SEARCHES) == ("seen through", "evolved past")


def test_the_audit_of_ones_own_score_and_of_one_that_lets_nothing_pass():
    own = OwnRule(lambda x: -x.flatten(1).std(1), "smooth")
    never = OwnRule(lambda x: (x.flatten(1)[:, None] == IMAGES.flatten(1)).all(2).any(1), "known")
    quadrants = Classifier(lambda x: 12 * adaptive_avg_pool2d(x, 2).flatten(1), labels=list("abcd"))
    told = rj.audit_rejection(
        quadrants, [own, never], IMAGES, {"bright": torch.ones(30, 1, SIDE, SIDE), "noise": OTHERS},
        searches=("cppn", "gradient"), confidence=0.5, generations=20, children=20, seed=10,
    )  # fmt: skip
    assert told.row("smooth", "bright").accepted.value == 1 and told.row("smooth", "bright").auroc.value == 0
    assert told.row("known", "bright").accepted.value == 0
    natural = told.row("smooth", "natural")
    assert natural.accepted.low <= 0.95 <= natural.accepted.high and natural.auroc.low <= 0.5 <= natural.auroc.high
    assert told.bypassed == ("smooth",)
    easy, hard = told.bypasses
    assert all(easy.met) and max(easy.evaluations) <= easy.spent and not any(hard.met)
    scores, sure = rj.score_images(quadrants, [own], easy.images)
    assert (scores["smooth"] >= told.thresholds["smooth"]).all()
    assert torch.equal((easy.images * 255).round() / 255, easy.images)
    assert (sure >= 0.5).all()
    assert set(told.kinds) == {"natural", "bright", "noise", "adaptive"}
    again = json.loads(json.dumps(told.record, allow_nan=False))
    assert again["bypassed"] == ["smooth"] and len(again["rows"]) == len(told.rows)
    with pytest.raises(KeyError):
        told.row("smooth", "nothing")
    head, *lines = [line.split() for line in repr(told).splitlines()]
    assert head == ["let", "pass", *told.kinds] and lines[-1] == ["bypassed", "for", "every", "class:", "smooth"]
    assert {line[0]: line[2] for line in lines[:2]} == {"smooth": "1.00", "known": "0.00"}


@pytest.mark.parametrize("name", ["odin", "relative mahalanobis", "knn", "vim"])
def test_what_a_gradient_finds_passes_the_rule(detectors, name):
    scores, _ = rj.score_images(CLASSIFIER, detectors.rules, IMAGES)
    for rule in (rule for rule in detectors.rules if rule.name == name):
        gate = rj.calibrate(rule, scores[rule.name])
        found = rj.bypass(CLASSIFIER, gate, (1, SIDE, SIDE), "gradient", confidence=0.4, steps=25, seed=10)
        met, (again, _) = torch.tensor(found.met), rj.score_images(CLASSIFIER, [rule], found.images)
        assert met.any() and (again[rule.name][met] >= gate.threshold).all()


def test_searches_that_cannot_be_are_refused():
    gate = Accepted(OwnRule(lambda x: x.mean((1, 2, 3))), 0.0)
    with pytest.raises(UsageError, match="rule-gradient"):
        rj.bypass(CLASSIFIER, gate, (1, SIDE, SIDE), "gradient")
    with pytest.raises(UsageError, match="rejection-search"):
        rj.bypass(CLASSIFIER, gate, (1, SIDE, SIDE), "luck")


def test_nonsense_of_every_kind_that_the_classifier_allows():
    made = rj.make_nonsense(CLASSIFIER, (1, SIDE, SIDE), each=2, generations=2, children=10, steps=3, seed=10)
    assert tuple(made) == rj.KINDS
    for kind, images in made.items():
        assert len(images) == (500 if kind == "uniform noise" else 8)
        assert torch.allclose((images * 255).round() / 255, images)
    assert not torch.equal(made["gradient"][:4], made["gradient"][4:])
    for kinds in (("cppn", "evolved"), "cppn"):
        with pytest.raises(UsageError, match="nonsense-kind"):
            rj.make_nonsense(CLASSIFIER, (1, SIDE, SIDE), kinds=kinds)
    network = CLASSIFIER.network
    black = Classifier(lambda x: network(x).detach(), labels=list("abcd"), gives="loss")
    told: list[str] = []
    made = rj.make_nonsense(black, (1, SIDE, SIDE), each=1, generations=1, children=10, progress=told.append)
    assert tuple(made) == tuple(told) == rj.KINDS[:3]


def test_a_spread_is_above_zero_whatever_the_scores():
    assert rj.calibrate(rj.Energy(), torch.ones(50)).spread == 1
    assert rj.calibrate(rj.Energy(), torch.arange(99.0)).spread == 45
    assert isinstance(rj.Energy(), Rule)
