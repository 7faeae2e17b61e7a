"""Geometry of representations: known answers, laws, and every metric beside a reference written another way."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from amiss.analysis import geometry as geo
from amiss.analysis.geometry import Geometry, Reference, geometry
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError, LayerError, ModelError
from amiss.models import LeNet
from amiss.repro import fold, uniform

D, PAIRS = 24, 9
DRAW = torch.Generator().manual_seed(5)
ROUNDED = {"atol": 1e-3, "rtol": 1e-3}  # float32, in batches of other sizes


def drawn(*shape):
    return torch.randn(*shape, generator=DRAW, dtype=torch.float64)


LABELS = torch.tensor([0, 1, 2]).repeat(70)
FEATURES = (drawn(210, D) + 2 * drawn(3, D)[LABELS]).clamp_min(0)  # as after a ReLU: many are 0
REFERENCE = Reference.of(FEATURES, LABELS)
GUIDE_ROWS = torch.tensor([0, 3, 6, 1, 4, 7, 2, 5, 8])
GUIDES, GUIDE_LABELS = FEATURES[GUIDE_ROWS], LABELS[GUIDE_ROWS]
SOURCE_LABELS = (GUIDE_LABELS + 1) % 3
SOURCES = FEATURES[:PAIRS] * 0.9 + FEATURES[30 : 30 + PAIRS] * 0.1
ADVERSARIES = (GUIDES + 0.3 * (SOURCES - GUIDES) + 0.2 * drawn(PAIRS, D)).clamp_min(0)


def told(adversary=ADVERSARIES, guides=GUIDES, reference=REFERENCE, sources=SOURCES, **options):
    labels = {"source_labels": SOURCE_LABELS, "labels": GUIDE_LABELS}
    return geometry(reference, sources, guides, adversary, **{**labels, **options})


FOUND = told()


def members(row):
    """The reference images of a guide's class but the guide, as numpy, and their rows."""
    rows = [i for i in range(210) if LABELS[i] == GUIDE_LABELS[row] and i != GUIDE_ROWS[row]]
    return FEATURES[rows].numpy(), rows


def same_class(label):
    return FEATURES[[i for i in range(210) if LABELS[i] == label]].numpy()


def near(x, points, k):
    """The k nearest by a sort of plain distances."""
    return sorted(range(len(points)), key=lambda i: np.linalg.norm(points[i] - x))[:k]


def sets(row, seed=0):
    """N_ref, N_c and N_f by plain loops; the lots are the library's."""
    points, _ = members(row)
    g = GUIDES[row].numpy()
    cosine = [1 - g @ x / np.linalg.norm(g) / np.linalg.norm(x) for x in points]
    order = np.argsort(cosine, kind="stable")
    lots = uniform(fold(torch.arange(PAIRS), seed), (20,))[row].numpy()
    lucky = set(np.argsort(lots, kind="stable")[:15])
    return (
        [points[order[i]] for i in range(20) if i in lucky],
        [points[order[i]] for i in range(20) if i not in lucky],
        [points[i] for i in order[40:50]],
    )


def _alike(one, other):
    """Two portraits but for rounding; rows and counts exactly."""
    for field in fields(Geometry):
        exact = field.name in ("nearest", "shared")
        by = {"atol": 0, "rtol": 0} if exact else ROUNDED
        torch.testing.assert_close(getattr(one, field.name), getattr(other, field.name), equal_nan=True, **by)


# What is known without computing


def test_an_adversary_that_is_its_guide_has_all_that_its_guide_has():
    found = told(GUIDES)
    zeros, ones = torch.zeros(PAIRS, dtype=torch.float64), torch.ones(PAIRS, dtype=torch.float64)
    for name in ("r1", "r2", "delta_rank", "likelihood"):
        assert torch.equal(getattr(found, name), zeros), name
    torch.testing.assert_close(found.omega, ones)
    assert (found.shared == 3).all() and torch.equal(found.overlap_center, ones)
    assert (found.nearest != GUIDE_ROWS).all()


def test_an_adversary_that_is_its_source_has_all_that_its_source_has():
    found = told(SOURCES)
    assert (found.r1 == 1).all() and (found.r3 == 0).all()
    assert (found.delta_active == 0).all() and (found.overlap == 1).all()


def test_points_on_a_line():
    """Members at 0, 1, 2, ... 40: every distance, score and rank is known by counting."""
    line = torch.arange(41, dtype=torch.float64)[:, None] * torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    line[:, 1] = 1
    reference = Reference.of(line, torch.zeros(41, dtype=torch.int64))
    population = reference.populations[0]
    assert population.spacing == 1
    assert population.spread == pytest.approx(42 / 3)  # the mean distance of two of n in a row is (n + 1) / 3
    assert population.scores[0] == 2  # (1 + 2 + 3) / 3
    assert population.scores[20] == pytest.approx(4 / 3)  # (1 + 1 + 2) / 3
    guide, zero = line[20:21], torch.zeros(1, dtype=torch.int64)
    source, adversary = guide + 8, guide + torch.tensor([[2.0, 0.0]])
    source[:, 1] = adversary[:, 1] = 1
    found = geometry(reference, source, guide, adversary, source_labels=zero, labels=zero)
    assert found.r1.item() == 0.25 and found.r2.item() == 2
    assert found.r3.item() == pytest.approx(6 / 14)
    # The adversary is where the member at 22 is.
    assert found.nearest.item() == 22
    # Around the guide every other member but the two at the ends scores 4/3 or more, and none less.
    assert found.rank_center.item() == 0 and found.rank.item() == 0
    apart = geometry(reference, source, guide, guide + torch.tensor([[0.0, 100.0]]), source_labels=zero, labels=zero)
    assert apart.rank.item() == 100 and apart.rank_center.item() == 0


def test_what_is_not_active_in_either_is_the_same_path():
    assert geo.active_union(torch.zeros(4), torch.zeros(4)) == 1
    assert geo.active_union(torch.tensor([1.0, 1, 0, 0]), torch.tensor([0.0, 2, 3, 0])) == pytest.approx(1 / 3)
    assert geo.active_share(torch.tensor([1.0, -1, 0, 0])) == 50


# Each metric beside a reference written another way


@pytest.mark.parametrize("row", range(PAIRS))
def test_ratios_are_those_of_plain_loops(row):
    a, s, g = (x[row].numpy() for x in (ADVERSARIES, SOURCES, GUIDES))
    assert FOUND.r1[row].item() == pytest.approx(np.sqrt(((a - g) ** 2).sum() / ((s - g) ** 2).sum()), rel=1e-12)
    own = same_class(GUIDE_LABELS[row])
    spacing = np.mean([min(np.linalg.norm(x - y) for j, y in enumerate(own) if j != i) for i, x in enumerate(own)])
    assert FOUND.r2[row].item() == pytest.approx(np.linalg.norm(a - g) / spacing, rel=1e-9)
    theirs = same_class(SOURCE_LABELS[row])
    spread = np.mean([np.linalg.norm(theirs[i] - theirs[j]) for i in range(len(theirs)) for j in range(i)])
    assert FOUND.r3[row].item() == pytest.approx(np.linalg.norm(a - s) / spread, rel=1e-9)


@pytest.mark.parametrize("row", range(PAIRS))
def test_neighbors_and_ranks_are_those_of_plain_loops(row):
    a, g = ADVERSARIES[row].numpy(), GUIDES[row].numpy()
    points, rows = members(row)
    one, other = near(a, points, 3), near(g, points, 3)
    assert FOUND.shared[row] == len(set(one) & set(other))
    assert FOUND.nearest[row] == rows[one[0]]
    own = same_class(GUIDE_LABELS[row])
    search = NearestNeighbors(n_neighbors=3).fit(own)  # each left out of its own neighbors
    order = [i for i in range(210) if LABELS[i] == GUIDE_LABELS[row]]
    scores = dict(zip(order, search.kneighbors()[0].mean(1), strict=True))
    others = [scores[i] for i in rows]
    for name, x, index in (("rank", a, one), ("rank_center", g, other)):
        score = np.mean([np.linalg.norm(points[i] - x) for i in index])
        assert getattr(FOUND, name)[row].item() == pytest.approx(100 * np.mean([s < score for s in others]))
    least = scores[rows[one[0]]]
    assert FOUND.rank_nearest[row].item() == pytest.approx(100 * np.mean([s < least - 1e-9 for s in others]))


@pytest.mark.parametrize("row", range(PAIRS))
def test_likelihoods_are_those_of_the_full_covariance(row):
    """W W' + sigma2 I, built and handed to a density that knows nothing of principal components."""
    points, close, far = (np.array(part) for part in sets(row))
    g, a = GUIDES[row].numpy(), ADVERSARIES[row].numpy()
    values, vectors = np.linalg.eigh(np.cov(points.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    noise = values[10:].sum() / (D - 10)
    w = vectors[:, :10] * np.sqrt(values[:10] - noise)
    density = stats.multivariate_normal(g, w @ w.T + noise * np.eye(D))
    assert FOUND.likelihood[row].item() == pytest.approx(density.logpdf(a) - density.logpdf(g), rel=1e-6)
    for name, natural in (("likelihood_close", close), ("likelihood_far", far)):
        wanted = np.sort([density.logpdf(x) - density.logpdf(g) for x in natural])
        np.testing.assert_allclose(getattr(FOUND, name)[row].sort().values.numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("row", range(PAIRS))
def test_angles_are_those_of_plain_loops(row):
    points, close, far = sets(row)
    g = GUIDES[row].numpy()

    def omega(z):
        each = [(x - z) @ (x - g) / np.linalg.norm(x - z) / np.linalg.norm(x - g) for x in points]
        return sum(each) / len(each)

    assert FOUND.omega[row].item() == pytest.approx(omega(ADVERSARIES[row].numpy()), rel=1e-10)
    np.testing.assert_allclose(FOUND.omega_close[row].sort().values, np.sort([omega(x) for x in close]), rtol=1e-10)
    np.testing.assert_allclose(FOUND.omega_far[row].sort().values, np.sort([omega(x) for x in far]), rtol=1e-10)
    away = omega(ADVERSARIES[row].numpy()) - np.mean([omega(x) for x in close])
    assert FOUND.delta_omega[row].item() == pytest.approx(away, rel=1e-8)


@pytest.mark.parametrize("row", range(PAIRS))
def test_sparsity_is_that_of_plain_loops(row):
    a, s = ADVERSARIES[row].tolist(), SOURCES[row].tolist()
    on, was = {i for i, v in enumerate(a) if v}, {i for i, v in enumerate(s) if v}
    assert FOUND.active[row].item() == pytest.approx(100 * len(on) / D)
    assert FOUND.delta_active[row].item() == pytest.approx(100 * (len(on) - len(was)) / D)
    assert FOUND.overlap[row].item() == pytest.approx(len(on & was) / len(on | was))


def test_what_tells_two_samples_apart_is_what_textbooks_say():
    one, other = drawn(40).round(decimals=1), (drawn(60) + 0.5).round(decimals=1)  # with ties
    below = stats.mannwhitneyu(other, one).statistic / (40 * 60)
    assert geo.chance_below(one, other) == pytest.approx(below)
    assert geo.two_sided_auc(one, other) == geo.two_sided_auc(other, one) == pytest.approx(max(below, 1 - below))
    assert geo.ks_distance(one, other) == pytest.approx(stats.ks_2samp(one, other).statistic)
    pair = (one, (one + drawn(40)).round(decimals=1))
    assert geo.spearman(*pair) == pytest.approx(stats.spearmanr(*pair).statistic)


def test_samples_that_are_empty_or_never_change_say_nothing():
    some, none = torch.tensor([1.0, 2.0, torch.nan]), torch.full((2,), torch.nan)
    assert geo.two_sided_auc(some, some) == 0.5 and geo.ks_distance(some, some) == 0
    assert geo.chance_below(some, some + 5) == 1 and geo.ks_distance(some, some + 5) == 1
    for tell in (geo.chance_below, geo.two_sided_auc, geo.ks_distance):
        assert np.isnan(tell(some, none)) and np.isnan(tell(none, some))
    assert np.isnan(geo.spearman(torch.ones(3), torch.arange(3)))


# Laws


def test_ranges():
    for found in (FOUND, told(SOURCES), told(10 * ADVERSARIES), told(FEATURES[:PAIRS])):
        for name in ("rank", "rank_center", "rank_nearest", "active", "active_source"):
            assert ((getattr(found, name) >= 0) & (getattr(found, name) <= 100)).all(), name
        for name in ("overlap", "overlap_center"):
            assert ((getattr(found, name) >= 0) & (getattr(found, name) <= 1)).all(), name
        for name in ("likelihood", "likelihood_close", "likelihood_far"):
            assert (getattr(found, name) <= 0).all(), name
        for name in ("omega", "omega_close", "omega_far"):
            assert (getattr(found, name).abs() <= 1).all(), name
        assert ((found.shared >= 0) & (found.shared <= 3)).all()


def test_numbers_are_of_double_precision():
    counted = ("shared", "nearest")
    for field in fields(Geometry):
        wanted = torch.int64 if field.name in counted else torch.float64
        assert getattr(told(ADVERSARIES.float(), GUIDES.float()), field.name).dtype == wanted, field.name


def test_no_metric_depends_on_the_unit_of_the_features():
    scale = 1024.0  # exact in binary
    other = told(scale * ADVERSARIES, scale * GUIDES, Reference.of(scale * FEATURES, LABELS), scale * SOURCES)
    for field in fields(Geometry):
        torch.testing.assert_close(getattr(other, field.name), getattr(FOUND, field.name), msg=field.name)


def test_neither_batch_nor_order_matter():
    order = torch.randperm(PAIRS, generator=torch.Generator().manual_seed(1))
    labels = {"source_labels": SOURCE_LABELS[order], "labels": GUIDE_LABELS[order], "keys": order}
    other = told(ADVERSARIES[order], GUIDES[order], sources=SOURCES[order], **labels)
    for field in fields(Geometry):
        torch.testing.assert_close(getattr(other, field.name), getattr(FOUND, field.name)[order], msg=field.name)


def test_more_rows_than_are_taken_at_once(monkeypatch):
    monkeypatch.setattr(geo.portrait, "_PAIRS", 2)
    monkeypatch.setattr(geo.reference, "_ROWS", 16)
    other = told(reference=Reference.of(FEATURES, LABELS))
    for field in fields(Geometry):
        torch.testing.assert_close(getattr(other, field.name), getattr(FOUND, field.name), msg=field.name)


def test_the_seed_draws_other_neighbors_and_nothing_else():
    other = told(seed=1)
    assert not torch.equal(other.likelihood, FOUND.likelihood)
    assert torch.equal(other.rank, FOUND.rank) and torch.equal(other.shared, FOUND.shared)
    assert torch.equal(told(seed=1).likelihood, other.likelihood)


def test_reference_sets_are_apart_and_without_the_guide():
    drop = torch.zeros(1, 70, dtype=torch.bool)
    drop[0, 0] = True
    own = FEATURES[LABELS == 0]
    lots = torch.rand(1, 20, generator=torch.Generator().manual_seed(0))
    found = geo.reference_sets(own[:1], own, lots, drop)
    assert [part.shape[1] for part in found] == [15, 5, 10]
    everyone = torch.cat(found, 1)[0].tolist()
    assert len(set(everyone)) == 30 and 0 not in everyone and min(everyone) > 0


def test_a_small_class_has_no_far_neighbors():
    rows = torch.cat([GUIDE_ROWS, torch.arange(9, 9 + 3 * 40)])  # 43 of each class: 42 beside the guide
    found = told(reference=Reference.of(FEATURES[rows], LABELS[rows]))
    assert (found.likelihood_far.isnan().sum(1) == 8).all() and (found.omega_far.isnan().sum(1) == 8).all()
    assert found.likelihood.isfinite().all() and found.likelihood_close.isfinite().all()
    assert all(np.isfinite(value) for value in found.summary().values())


def test_copies_of_the_guide_are_no_neighbors():
    copies = Reference.of(torch.cat([FEATURES, GUIDES]), torch.cat([LABELS, GUIDE_LABELS]))
    found = told(GUIDES, reference=copies)
    assert (found.delta_rank == 0).all() and (found.likelihood == 0).all() and (found.shared == 3).all()
    assert (found.nearest != GUIDE_ROWS).all() and (found.nearest != 210 + torch.arange(PAIRS)).all()


def test_images_that_are_set_aside_are_no_neighbors():
    center, rows = geo.nearest_natural(REFERENCE, GUIDES, GUIDE_LABELS, GUIDES)
    plain, same = geo.nearest_natural(REFERENCE, GUIDES, GUIDE_LABELS)
    assert torch.equal(same, GUIDE_ROWS) and torch.equal(plain, GUIDES)
    assert torch.equal(rows, told(GUIDES).nearest) and torch.equal(center, FEATURES[rows])
    found = told(GUIDES, center, without=GUIDES)
    assert (found.nearest != GUIDE_ROWS).all() and (found.nearest != rows).all()
    assert torch.equal(told(GUIDES, center).nearest, GUIDE_ROWS)


def test_a_guide_knows_itself_however_its_features_were_rounded():
    """Much in common, little apart: rounding is 1e-4 of the spacing, and 1e-7 of the features' length."""
    far = Reference.of(FEATURES + 1e3, LABELS)
    shifted = [x + 1e3 for x in (ADVERSARIES, GUIDES, SOURCES)]
    rounding = 1e-7 * shifted[1].norm(dim=1, keepdim=True) * torch.nn.functional.normalize(drawn(PAIRS, D), dim=1)
    assert (rounding.norm(dim=1) > 5e-5 * far.populations[0].spacing).all()
    exact, rounded = (told(shifted[0], shifted[1] + move, far, shifted[2]) for move in (0, rounding))
    assert torch.equal(exact.nearest, rounded.nearest) and torch.equal(exact.shared, rounded.shared)
    torch.testing.assert_close(exact.rank, rounded.rank, atol=3, rtol=0)


def test_rows_of_guides_are_no_neighbors_whatever_their_features():
    blurred = GUIDES + 0.001 * drawn(PAIRS, D)
    assert torch.equal(told(blurred, blurred).nearest, GUIDE_ROWS)  # nothing says that these are the guides
    found = told(blurred, blurred, guide_rows=GUIDE_ROWS)
    assert torch.equal(found.nearest, told(GUIDES).nearest)
    assert (found.rank - told(GUIDES).rank).abs().max() < 3
    _, rows = geo.nearest_natural(REFERENCE, blurred, GUIDE_LABELS, guide_rows=GUIDE_ROWS)
    assert torch.equal(rows, found.nearest)
    _, rows = geo.nearest_natural(REFERENCE, blurred, GUIDE_LABELS, guide_rows=torch.full((PAIRS,), -1))
    assert torch.equal(rows, GUIDE_ROWS)


def test_a_dead_neighborhood_says_so_and_nothing_raises():
    flat = FEATURES.clone()
    flat[LABELS == 0] = 1.0
    flat[GUIDE_ROWS[0]] = FEATURES[GUIDE_ROWS[0]]
    found = told(reference=Reference.of(flat, LABELS))
    assert (found.likelihood <= 0).all() and not found.likelihood.isnan().any()


def test_a_point_on_the_tangent_is_as_likely_as_its_variance_says():
    """Fifteen points along axes: a step of one standard deviation along the first costs half a nat."""
    points = torch.zeros(1, 15, 40, dtype=torch.float64)
    for i in range(7):
        points[0, 2 * i, i], points[0, 2 * i + 1, i] = 1 + i, -(1 + i)
    deviation = (2 * 7**2 / 15) ** 0.5
    z = torch.zeros(1, 2, 40, dtype=torch.float64)
    z[0, 0, 6], z[0, 1, 39] = deviation, 1e-3 * deviation
    found = geo.ppca_difference(z, torch.zeros(1, 40), points, q=5)[0]
    noise = (2 * (1 + 4) / 15) / 35
    assert found[0].item() == pytest.approx(-0.5) and found[1].item() == pytest.approx(-(deviation**2) * 5e-7 / noise)
    flat = geo.ppca_difference(z, torch.zeros(1, 40), points, q=7)[0]  # nothing is left over: the floor
    assert flat[1].item() == pytest.approx(-0.5)


def test_one_dimension_is_enough():
    points, z = drawn(1, 15, 1), drawn(1, 2, 1)
    variance = points.var(correction=0)
    wanted = -z[0, :, 0].square() / 2 / variance
    torch.testing.assert_close(geo.ppca_difference(z, torch.zeros(1, 1), points)[0], wanted)


def test_the_summary_counts_what_the_rows_hold():
    found = FOUND.summary()
    assert found["r1"] == FOUND.r1.median() and found["delta_rank_most"] == FOUND.delta_rank.max()
    assert found["shared_3"] == (FOUND.shared == 3).double().mean() <= found["shared_2"]
    natural = torch.cat([FOUND.likelihood_close, FOUND.likelihood_far], 1)
    assert torch.equal(FOUND.natural, natural)
    assert (
        found["inlier_auc"]
        == max(found["outlier"], 1 - found["outlier"])
        == geo.two_sided_auc(FOUND.likelihood, natural)
    )
    assert told(10 * ADVERSARIES).summary()["outlier"] == 1 and told(GUIDES).summary()["outlier"] == 0
    assert len(FOUND) == PAIRS


# From images


NET = LeNet(1, 3, 12, width=4, hidden=16).eval()
CLASSIFIER = Classifier(NET, labels=["a", "b", "c"])
PIXELS = torch.randint(0, 256, (90, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
SHOWN = Images.of(PIXELS, torch.arange(3).repeat(30), ["a", "b", "c"])


def test_a_portrait_is_the_geometry_of_what_the_layer_makes_of_the_images():
    reference = geo.read_reference(CLASSIFIER, "relu3", SHOWN, batch=32)
    with torch.no_grad():
        features = CLASSIFIER.outputs(SHOWN.images(), ["relu3"])["relu3"]
    torch.testing.assert_close(reference.features, features)
    x = SHOWN.images()
    s, g, a = x[:6], x[40:46], x[40:46] * 0.7 + x[:6] * 0.3
    sides = {"source_labels": SHOWN.truth[:6], "guide_labels": SHOWN.truth[40:46]}
    before = CLASSIFIER.counts.queries
    found = geo.portray(CLASSIFIER, reference, s, g, a, **sides)
    assert CLASSIFIER.counts.queries - before == 18
    rows = [geo.read_features(CLASSIFIER, "relu3", part, 4) for part in (s, g, a)]
    wanted = geometry(reference, *rows, source_labels=sides["source_labels"], labels=sides["guide_labels"])
    _alike(found, wanted)
    itself = geo.portray(CLASSIFIER, reference, s, g, g, **sides)
    assert (itself.r1 == 0).all() and (itself.delta_rank == 0).all() and (itself.shared == 3).all()


def test_portraits_do_not_depend_on_how_the_pairs_are_batched():
    loud = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(144, 512), torch.nn.ReLU(), torch.nn.Linear(512, 3)
    )
    with torch.no_grad():
        for p in loud.parameters():
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(3)) / p[0].numel() ** 0.5)
        loud[-1].bias += 30  # logits have much in common
    x = SHOWN.images()
    classifier = Classifier(loud, labels=["a", "b", "c"])
    reference = geo.read_reference(classifier, "answer", SHOWN)
    s, g, a = x[:20], x[40:60], x[40:60] * 0.7 + x[:20] * 0.3
    sides = {"source_labels": SHOWN.truth[:20], "guide_labels": SHOWN.truth[40:60], "keys": torch.arange(20)}
    together = geo.portray(classifier, reference, s, g, a, **sides)
    alone = [
        geo.portray(classifier, reference, s[i], g[i], a[i], **{k: v[i] for k, v in sides.items()})
        for i in torch.arange(20).split(1)
    ]
    assert not (together.nearest == torch.arange(40, 60)).any()
    for name, close in (("nearest", 0), ("shared", 0), ("rank", 0), ("rank_center", 0), ("omega", 0.01)):
        values = torch.cat([getattr(one, name) for one in alone])
        torch.testing.assert_close(values, getattr(together, name), atol=close, rtol=0)


class Folded(torch.nn.Module):
    """Layers that are no matrix of images by features: one number an image, and the rows of all images."""

    def __init__(self):
        super().__init__()
        self.single, self.rows = torch.nn.Identity(), torch.nn.Identity()
        self.head = torch.nn.Linear(12, 3)

    def forward(self, x):
        rows = self.rows(x.flatten(0, 2))
        return self.head(rows).view(len(x), -1, 3).mean(1) + self.single(x.flatten(1).mean(1))[:, None]


def test_layers_of_another_form_are_read_as_rows_or_refused(refuses):
    classifier, x = Classifier(Folded(), labels=["a", "b", "c"]), SHOWN.images()[:10]
    single = geo.read_features(classifier, "single", x, 4)
    torch.testing.assert_close(single, x.flatten(1).mean(1, keepdim=True))
    assert geo.read_reference(classifier, "single", SHOWN).features.shape == (90, 1)
    with refuses(LayerError, "layer-rows") as caught:
        geo.read_features(classifier, "rows", x)
    assert "(120, 12) for 10 images" in caught.value.seen


def test_without_a_guide_the_center_is_the_nearest_image_of_the_class_that_it_is_taken_for():
    answers = torch.cat([CLASSIFIER.predict(x) for x in SHOWN.images().split(30)])
    answers[answers.bincount(minlength=3)[answers] < 25] = int(answers.mode().values)
    reference = geo.read_reference(CLASSIFIER, "relu3", replace(SHOWN, labels=answers))
    s = SHOWN.images()[:4]
    a = (s + 0.05).clamp(0, 1)
    called = CLASSIFIER.predict(a)
    a, s, called = (part[called == answers.mode().values] for part in (a, s, called))
    found = geo.portray(CLASSIFIER, reference, s, None, a, source_labels=SHOWN.truth[: len(s)])
    features = geo.read_features(CLASSIFIER, "relu3", a)
    center, rows = geo.nearest_natural(reference, features, called)
    own = reference.features[answers == called[0]]
    apart = (features.double()[:, None] - own.double()).norm(dim=2).min(1).values
    torch.testing.assert_close((features - center).double().norm(dim=1), apart)
    assert (answers[rows] == called).all() and (found.nearest != rows).all()
    with_guide = geo.portray(CLASSIFIER, reference, s, s, a, source_labels=SHOWN.truth[: len(s)])
    assert len(with_guide) == len(s)


# Bad input


def refused(kind, slug, call, *args, **options):
    with pytest.raises(kind) as caught:
        call(*args, **options)
    assert caught.value.slug == slug and caught.value.hint
    return str(caught.value)


def test_a_class_with_too_few_images():
    few = Reference.of(FEATURES[:60], LABELS[:60])  # 20 of each class, the guides among them
    assert "19 beside the guide" in refused(DataError, "geometry-few", told, reference=few)
    enough = Reference.of(FEATURES[:63], LABELS[:63])
    assert told(reference=enough).likelihood_close.isfinite().all()


def test_a_class_that_is_absent():
    rows = LABELS != 1
    text = refused(DataError, "geometry-class", told, reference=Reference.of(FEATURES[rows], LABELS[rows]))
    assert "classes 0, 2" in text
    many = Reference.of(drawn(20, 2), torch.arange(20))
    assert "..." in refused(DataError, "geometry-class", many.population, 99)


def test_a_source_of_a_class_that_is_absent_has_no_r3():
    found = told(source_labels=torch.full((PAIRS,), 7))
    assert found.r3.isnan().all() and found.r1.isfinite().all()
    lone = Reference.of(torch.cat([FEATURES, drawn(1, D)]), torch.cat([LABELS, torch.tensor([7])]))
    assert told(source_labels=torch.full((PAIRS,), 7), reference=lone).r3.isnan().all()


def test_features_that_are_not_finite():
    bad = FEATURES.clone()
    bad[3, 2] = torch.nan
    assert "1 of 210" in refused(ModelError, "geometry-not-finite", Reference.of, bad, LABELS)
    bad = ADVERSARIES.clone()
    bad[0, 0] = torch.inf
    refused(ModelError, "geometry-not-finite", told, bad)


def test_rows_that_do_not_belong_together():
    refused(DataError, "geometry-shapes", told, ADVERSARIES[:, :5])
    refused(DataError, "geometry-shapes", told, guides=GUIDES[:4])
    refused(DataError, "geometry-shapes", told, labels=GUIDE_LABELS[:4])
    refused(DataError, "geometry-shapes", told, keys=torch.arange(4))
    refused(DataError, "geometry-shapes", Reference.of, FEATURES, LABELS[:4])


def test_images_without_labels_and_layers_that_are_not_there():
    refused(DataError, "data-unlabeled", geo.read_reference, CLASSIFIER, "relu3", replace(SHOWN, labels=None))
    refused(LayerError, "layer-unknown", geo.read_reference, CLASSIFIER, "relu9", SHOWN)
