"""Findings from end to end, in worlds where the shortcut is known, or known not to be."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.analysis.findings import Finding, Findings, Named, Settings, Share, find, halves
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError, ModelError
from amiss.recipes import lse
from amiss.repro import fold, normal
from amiss.testing import LinearCodec, PlantedWorld

FEW = Settings(mistakes=25, pushed=40, controls=4, draws=100, deflations=1)


def wide(world, d=24):
    """The world's decoder with more directions of noise: few differences of codes then lie along the plant."""
    others = normal(fold(torch.tensor([world.seed]), 9), (64, d - 2))[0]
    basis, upper = torch.linalg.qr(torch.cat([world.direction[:, None], world.pattern[:, None], others], 1))
    return LinearCodec(basis * upper.diagonal().sign(), (1, 8, 8))


def looked(world, settings=FEW, table=None, **options):
    images = replace(world.images, table=world.images.table | (table or {}))
    return find(world.classifier(), wide(world), images, settings=settings, **options)


def rivals(n):
    """Attributes that have nothing to do with anything."""
    return {f"rival {i}": torch.rand(n, generator=torch.Generator().manual_seed(i)) for i in range(3)}


@pytest.fixture(scope="module")
def planted():
    world = PlantedWorld(rho=0.9, n=900, seed=0)
    return world, looked(world, replace(FEW, deflations=2), rivals(900))


def cosine(findings, finding, direction):
    covariance = findings.covariance[finding.true, finding.predicted]
    precision = torch.linalg.inv(covariance)
    other = direction / (direction @ precision @ direction).sqrt()
    return float(finding.direction @ precision @ other)


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_shortcut_is_claimed_named_and_measured(seed, planted):
    world = PlantedWorld(rho=0.9, n=900, seed=seed)
    found = planted[1] if seed == 0 else looked(world, table=rivals(900))
    assert {(one.true, one.predicted) for one in found.claims} <= {(0, 1), (1, 0)}
    assert found.claims
    first = found.claims[0]
    assert first is found.tested[0]
    assert first.name == "patch"
    # Along it mistakes become right: the patch brightens for class 1 and darkens for class 0.
    sign = 1 if first.true == 1 else -1
    assert first.names[0].difference * sign > 1
    assert cosine(found, first, sign * torch.eye(24).double()[0]) > 0.9
    assert first.agreement > 0.9, "a linear model's repairs are its slope"
    assert first.wald < -5
    assert first.auc_prediction > first.auc_truth + 0.1
    upper, lower = first.ends(30)
    bright = world.images.table["patch"].double()
    assert float((bright[upper].mean() - bright[lower].mean()) * sign) > 0.9
    # Whoever has the patch that the class goes with would, with the other, be right as seldom as others are.
    expected = 1 - world.accuracy(False) / world.accuracy(True)
    assert first.seen.value == pytest.approx(expected, abs=0.2)
    assert first.measured.breaks.value == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_without_a_plant_nothing_is_claimed(seed):
    found = looked(PlantedWorld(rho=0.5, n=700, seed=seed))
    assert found.tested, "there are mistakes enough"
    assert not found.claims
    assert all(abs(one.wald) < 5 for one in found.tested)


def test_what_one_direction_has_claimed_is_not_claimed_again(planted):
    """Two kinds of mistake, one cue; once it is taken out, the next direction tested is none."""
    _, found = planted
    kinds = {(one.true, one.predicted) for one in found.claims}
    assert len(found.claims) == len(kinds), "one plant, one claim in each kind"
    again = [one for one in found.tested if one not in found.claims and (one.true, one.predicted) in kinds]
    assert again
    assert all(abs(cosine(found, one, torch.eye(24).double()[0])) < 0.2 for one in again)
    assert all(found.same(found.claims[0], other) for other in found.claims)
    assert not found.same(found.claims[0], again[0])
    assert [one.verdict == "misuse" for one in found.tested] == sorted(
        (one.verdict == "misuse" for one in found.tested), reverse=True
    ), "claims come first"


class Scorer(nn.Module):
    """Two logits, 0 and slope . (x - .5)."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(slope)

    def forward(self, x):
        score = (x.flatten(1) - 0.5) @ self.slope
        return torch.stack([torch.zeros_like(score), score], 1)


def two_shortcuts(seed, n=1600, d=24):
    """Codes of d numbers: the truth follows the first, the model the first three; the second and third are known."""
    drawn = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(64, d, generator=drawn))[0]
    codes = torch.randn(n, d, generator=drawn)
    codes[:, 1:3] = codes[:, 1:3].sign() * (1 + 0.1 * torch.randn(n, 2, generator=drawn))
    pixels = (0.5 + 0.06 * (codes @ basis.T)).clamp(0, 1).reshape(n, 1, 8, 8)
    truth = codes[:, 0] + 0.3 * torch.randn(n, generator=drawn) > 0
    table = {"left": (codes[:, 1] > 0).float(), "right": (codes[:, 2] > 0).float(), **rivals(n)}
    images = Images.of((pixels * 255).round().byte(), truth.long(), ("no", "yes"), table=table)
    slope = 50 * (basis[:, 0] + basis[:, 1] + basis[:, 2])
    return Classifier(Scorer(slope), labels=("no", "yes")), LinearCodec(basis, (1, 8, 8)), images


@pytest.mark.parametrize("seed", range(3))
def test_two_shortcuts_come_out_as_a_mixture_and_are_split_by_the_table(seed):
    classifier, codec, images = two_shortcuts(seed)
    found = find(classifier, codec, images, settings=replace(FEW, deflations=2))
    assert {one.name for one in found.claims} == {"left", "right"}
    for one in found.claims:
        assert one.names[0].cosine ** 2 > 0.9, "each is its attribute's own direction"
        assert one.wald < -5, "given the other"
    bare = find(classifier, codec, replace(images, table=rivals(len(images))), settings=FEW)
    first = bare.tested[0]
    left, right = (torch.eye(24).double()[i] for i in (1, 2))
    assert all(0.4 < abs(cosine(bare, first, axis)) < 0.9 for axis in (left, right)), "without names it stays one"


def test_every_image_is_of_one_half_and_mistakes_are_of_the_discovering_one(planted):
    world, found = planted
    assert torch.equal(torch.cat([found.discover, found.test]).sort().values, torch.arange(900))
    predicted = world.classifier().predict(world.images.images())
    for one in found.tested:
        assert set(one.mistakes.tolist()) <= set(found.discover.tolist())
        assert torch.equal(one.tested, found.test), "of two classes both are tested"
        assert bool((world.images.truth[one.mistakes] == one.true).all())
        assert bool((predicted[one.mistakes] == one.predicted).all())
        assert len(one.mistakes) <= FEW.mistakes
        assert set(one.pushed.tolist()) <= set(found.test.tolist())
        assert float(one.position.mean()) == pytest.approx(0, abs=1e-9)
        assert float(one.position.std()) == pytest.approx(1)
        assert one.length == one.effects[-1].length
        if one.measured is not None:
            assert one.measured.breaks.value == pytest.approx(float(one.broken.double().mean()))


def test_halves_go_by_content_and_are_about_even():
    images = PlantedWorld(n=900).images
    half = halves(images)
    assert 0.4 < float(half.double().mean()) < 0.6
    order = torch.randperm(900, generator=torch.Generator().manual_seed(0))
    assert torch.equal(halves(images.pick(order)), half[order])


def test_the_discovering_half_may_be_chosen():
    world = PlantedWorld(rho=0.9, n=700)
    chosen = torch.arange(700) < 400
    found = looked(world, discover=chosen)
    assert torch.equal(found.discover, torch.arange(400))
    assert torch.equal(found.test, torch.arange(400, 700))
    assert all(int(one.mistakes.max()) < 400 <= int(one.tested.min()) for one in found.tested)


@pytest.mark.parametrize("chosen", ["all", "none", "one class to test"])
def test_where_nobody_is_left_to_make_or_to_test_a_direction_nothing_is_found(chosen):
    world = PlantedWorld(rho=0.9, n=300)
    discover = {
        "all": torch.ones(300).bool(),
        "none": torch.zeros(300).bool(),
        "one class to test": (torch.arange(300) < 250) | (world.images.truth == 0),
    }[chosen]
    assert looked(world, discover=discover).tested == ()


def test_batches_do_not_matter():
    world = PlantedWorld(rho=0.9, n=500, seed=1)
    one, other = (looked(world, replace(FEW, batch=batch)) for batch in (128, 33))
    assert [(a.true, a.predicted, a.verdict) for a in one.tested] == [
        (a.true, a.predicted, a.verdict) for a in other.tested
    ]
    for a, b in zip(one.tested, other.tested, strict=True):
        torch.testing.assert_close(a.direction, b.direction, atol=1e-4, rtol=1e-3)
        assert a.wald == pytest.approx(b.wald, abs=0.01)
        assert a.seen == b.seen
        assert a.effects[-1].breaks.value == pytest.approx(b.effects[-1].breaks.value, abs=0.06)


def test_the_same_call_gives_the_same_findings():
    world = PlantedWorld(rho=0.9, n=400, seed=2)
    one, other = (looked(world) for _ in range(2))
    assert one.tested
    assert repr(one.tested) == repr(other.tested)


def test_given_repairs_are_used_and_only_missing_ones_are_made():
    world = PlantedWorld(rho=0.9, n=500, seed=1)
    classifier, codec = world.classifier(), wide(world)
    predicted = classifier.predict(world.images.images())
    at = (predicted != world.images.truth).nonzero().flatten()
    task = world.images.task(at)
    result = lse(codec).run(classifier, replace(task, target=task.label))

    def asked(repairs):
        fresh = world.classifier()
        found = find(fresh, codec, world.images, settings=FEW, repairs=repairs)
        return found, fresh.counts.backward

    alone, own = asked(None)
    given, none = asked((at, result))
    assert own > 0
    assert none == 0, "all repairs were there: no gradient is asked for"
    assert torch.equal(alone.tested[0].mistakes, given.tested[0].mistakes)
    torch.testing.assert_close(alone.tested[0].direction, given.tested[0].direction, atol=1e-3, rtol=0.01)
    _, some = asked((at[:30], result.pick(range(30))))
    assert some > 0, "the others are made"
    # Repairs are believed: turned round, the direction that they make is another one.
    turned, _ = asked((at, replace(result, p=-result.p)))
    assert all(abs(cosine(turned, one, torch.eye(24).double()[0])) < 0.3 for one in turned.tested)
    assert abs(cosine(given, given.tested[0], torch.eye(24).double()[0])) > 0.9


def test_an_empty_table_gives_no_name_and_the_same_claim():
    world = PlantedWorld(rho=0.9, n=700)
    found = find(world.classifier(), wide(world), replace(world.images, table={}), settings=FEW)
    assert found.claims
    assert found.claims[0].names == ()
    assert found.claims[0].name is None


class Told(nn.Module):
    """Answers what is written into the first pixels of an image."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x):
        return self.scale * x.flatten(1)[:, :3]


def test_kinds_of_mistake_go_by_their_number_and_those_of_too_few_are_told():
    """Labels are given so that 0 is taken for 1 30 times, 1 for 2 25 times, 2 for 0 12 times, 0 for 2 3 times."""
    n = 420
    image = 0.5 + 0.05 * normal(torch.arange(n), (1, 6, 6))
    predicted = image.flatten(1)[:, :3].argmax(1)
    image = (image * 255).round().byte()
    predicted = image.flatten(1)[:, :3].argmax(1)
    label = predicted.clone()
    rows = torch.arange(n)
    for true, wrong, count in ((0, 1, 30), (1, 2, 25), (2, 0, 12), (0, 2, 3)):
        free = rows[(predicted == wrong) & (label == predicted) & (rows < 300)]
        label[free[:count]] = true
    basis = torch.linalg.qr(normal(torch.tensor([5]), (36, 12))[0]).Q
    codec = LinearCodec(torch.linalg.qr(torch.cat([torch.eye(36)[:, :3], basis[:, 3:]], 1)).Q, (1, 6, 6))
    images = Images.of(image, label)
    classifier = Classifier(Told())

    def kinds(**changes):
        few = replace(FEW, mistakes=8, pushed=10, **changes)
        return find(classifier, codec, images, settings=few, discover=rows < 300)

    found = kinds()
    assert found.too_few == ((2, 0, 12), (0, 2, 3))
    assert found.needed == 20
    assert {(one.true, one.predicted) for one in found.tested} == {(0, 1), (1, 2)} == set(found.covariance)
    for one in found.tested:
        assert set(label[one.tested].tolist()) == {one.true, one.predicted}
        assert int(one.tested.min()) >= 300
    assert {(one.true, one.predicted) for one in kinds(cohorts=1).tested} == {(0, 1)}
    strict = kinds(needed=26)
    assert strict.too_few == ((1, 2, 25), (2, 0, 12), (0, 2, 3))
    assert {(one.true, one.predicted) for one in strict.tested} == {(0, 1)}
    none = kinds(needed=31)
    assert none.tested == ()
    assert len(none.too_few) == 4


def test_a_model_that_is_never_wrong_gives_nothing_to_look_at():
    world = PlantedWorld(rho=0.5, n=200)
    predicted = world.classifier().predict(world.images.images())
    found = find(world.classifier(), wide(world), replace(world.images, labels=predicted), settings=FEW)
    assert (found.tested, found.too_few, found.claims) == ((), (), ())


def test_images_of_one_class_are_refused():
    world = PlantedWorld(n=100)
    ones = world.images.pick(world.images.truth == 1)
    with pytest.raises(DataError) as caught:
        find(world.classifier(), wide(world), ones, settings=FEW)
    assert caught.value.slug == "findings-one-class"
    assert "class 1" in caught.value.seen


def test_images_without_labels_are_refused():
    world = PlantedWorld(n=50)
    with pytest.raises(DataError) as caught:
        find(world.classifier(), wide(world), replace(world.images, labels=None), settings=FEW)
    assert caught.value.slug == "data-unlabeled"


def test_what_is_being_done_is_told_to_the_end():
    told = []
    looked(PlantedWorld(rho=0.9, n=300), tell=lambda *said: told.append(said))
    kinds = [said for said in told if "mistakes" in said[0]]
    assert kinds[-1][1] == kinds[-1][2] > 0
    assert all(0 <= done <= all_ for _, done, all_ in told)


class Extended:
    """The world's codec with one more number in each code, which the decoder does not look at."""

    def __init__(self, codec, more):
        self.codec, self.more = codec, more

    def encode(self, x):
        z = self.codec.encode(x)
        return torch.cat([z, self.more(z)], 1)

    def decode(self, z):
        return self.codec.decode(z[:, :-1])


@pytest.mark.parametrize(
    "more",
    [lambda z: torch.full_like(z[:, :1], 7.0), lambda z: z[:, :1]],
    ids=["a constant", "a copy"],
)
def test_numbers_of_a_code_that_say_nothing_change_nothing(more):
    world = PlantedWorld(rho=0.9, n=600)
    plain = looked(world)
    found = find(world.classifier(), Extended(wide(world), more), world.images, settings=FEW)
    for one, other in zip(plain.tested, found.tested, strict=True):
        assert (one.true, one.predicted, one.name) == (other.true, other.predicted, other.name)
        assert other.wald == pytest.approx(one.wald, abs=0.2)
        torch.testing.assert_close(other.direction[:24], one.direction, atol=0.01, rtol=0.05)
    assert found.same(found.tested[0], found.tested[1]), "one cue, from both kinds of mistake"


def test_no_effect_is_claimed_where_there_is_no_other_direction_to_compare_with():
    """In a code of one number every difference of two codes lies along the only direction there is."""
    world = PlantedWorld(rho=0.9, n=900)
    codec, many = LinearCodec(world.codec.basis[:, :1], (1, 8, 8)), replace(FEW, controls=20)
    found = find(world.classifier(), codec, world.images, settings=many)
    assert [one.verdict for one in found.tested] == ["none", "none"]
    for one in found.tested:
        assert one.wald < -5, "the first gate alone would have let it through"
        assert one.effects[-1].control is None


def test_no_effect_is_claimed_that_other_directions_have_too():
    """Of a code of two numbers the other one is the truth's own: moving along it breaks as much."""
    world = PlantedWorld(rho=0.9, n=900)
    codec, many = LinearCodec(world.codec.basis[:, :2], (1, 8, 8)), replace(FEW, controls=20)
    found = find(world.classifier(), codec, world.images, settings=many)
    for one in found.tested:
        last = one.effects[-1]
        assert (one.verdict == "none") == (last.breaks.low <= last.control.most)


@pytest.mark.parametrize("d", [1, 2])
def test_a_code_of_few_numbers_has_no_more_directions_than_those(d):
    world = PlantedWorld(rho=0.9, n=600)
    codec = LinearCodec(world.codec.basis[:, :d], (1, 8, 8))
    found = find(world.classifier(), codec, world.images, settings=replace(FEW, deflations=3))
    for kind in ((0, 1), (1, 0)):
        of_kind = [one for one in found.tested if (one.true, one.predicted) == kind]
        assert 1 <= len(of_kind) <= d
        assert all(bool(one.direction.isfinite().all()) for one in of_kind)


def finding(direction, names=(), kind=(0, 1)):
    nothing, none = Share(0.5, 0.4, 0.6, 9), torch.zeros(0)
    return Finding(
        *kind, direction, none, torch.arange(5) + 10, torch.tensor([0.3, -1.0, 2.0, 0.1, -2.0]), -6.0, -6.0, 0.8, 0.5,
        (), None, float("nan"), none, none.bool(), nothing, 1.0, names, "misuse",
    )  # fmt: skip


def test_ends_are_the_outermost_first():
    upper, lower = finding(torch.ones(2).double()).ends(2)
    assert upper.tolist() == [12, 10]
    assert lower.tolist() == [14, 11]


def test_a_name_is_what_both_readings_put_first():
    hair, hat = Named("hair", -2.0, -0.5), Named("hat", 1.0, 0.4)
    e = torch.ones(2).double()
    assert finding(e, (hair, hat)).name == "hair"
    assert finding(e, (hair, replace(hat, cosine=0.6))).name is None, "ends say hair, codes say hat"
    assert finding(e).name is None
    assert finding(e, (replace(hair, cosine=0.5), hat)).name is None, "more at one end, less by the codes"
    assert finding(e, (replace(hair, noise=2.1), hat)).name is None, "no more than chance would have it"


def test_two_directions_are_the_same_by_their_whitened_cosine_or_between_kinds_by_their_name():
    covariance = torch.diag(torch.tensor([4.0, 1.0, 1e-9], dtype=torch.float64))
    found = Findings((), (), 20, torch.zeros(0), torch.zeros(0), {(0, 1): covariance, (1, 0): covariance})
    along = torch.tensor([2.0, 0.0, 0.0]).double()
    near = torch.tensor([1.6, 0.6, 0.0]).double()
    far = torch.tensor([0.0, 1.0, 0.0]).double()
    assert found.same(finding(along), finding(near))
    assert found.same(finding(along), finding(-near, kind=(1, 0))), "the other kind of mistake turns the sign"
    assert not found.same(finding(along), finding(far))
    dust = torch.tensor([0.0, 0.0, 0.001]).double()
    assert not found.same(finding(along + dust), finding(far + dust)), "a number that codes hardly use does not count"
    hair = (Named("hair", 2.0, 0.5),)
    assert found.same(finding(along, hair), finding(far, hair, kind=(2, 3)))
    assert not found.same(finding(along), finding(along, kind=(2, 3))), "without names nothing is known of them"


class Odd:
    """A codec whose codes are those of another, changed."""

    def __init__(self, codec, change):
        self.codec, self.change = codec, change

    def encode(self, x):
        return self.change(self.codec.encode(x))

    def decode(self, z):
        return self.codec.decode(z)


def hole(value):
    return torch.where(torch.arange(len(value))[:, None] == 3, torch.nan, value)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda z: z[:, :, None, None], "(200, 4, 1, 1)"),
        (lambda z: z.repeat(1, 1500), "(200, 6000)"),
        (hole, "of 200 codes are not finite"),
        (torch.zeros_like, "one code for every image"),
    ],
)
def test_codes_that_say_nothing_are_refused(change, seen):
    world = PlantedWorld(n=200)
    with pytest.raises(ModelError) as refused:
        find(world.classifier(), Odd(world.codec, change), world.images)
    assert refused.value.slug == "findings-codes"
    assert seen in refused.value.seen


def test_logits_labels_and_halves_that_do_not_fit_are_refused():
    world = PlantedWorld(n=200)
    linear = world.classifier().network
    with pytest.raises(ModelError, match="not finite") as refused:
        find(Classifier(lambda x: hole(linear(x)[:, None]), labels=("a", "b")), world.codec, world.images)
    assert refused.value.slug == "findings-logits"
    beyond = replace(world.images, labels=world.images.truth + 1, classes=("a", "b", "c"))
    with pytest.raises(DataError) as outside:
        find(world.classifier(), world.codec, beyond)
    assert outside.value.slug == "data-labels"
    for mask in (torch.ones(199).bool(), torch.arange(200)):
        with pytest.raises(DataError) as half:
            find(world.classifier(), world.codec, world.images, discover=mask)
        assert half.value.slug == "findings-halves"
