"""All that geometry says of adversaries at one layer: each beside its guide and the natural images around that."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.analysis.geometry import metrics
from amiss.analysis.geometry.reference import NEIGHBORS, Population, Reference, check_finite, read_features
from amiss.analysis.geometry.telling import chance_below, ks_distance, spearman, two_sided_auc
from amiss.classifier import Classifier
from amiss.errors import DataError
from amiss.repro import fold, uniform

__all__ = ["Geometry", "geometry", "nearest_natural", "portray"]

_SAME = 1e-5  # of the class's spacing, or of the features' length: what reading in other batches rounds, and copies
_PAIRS = 16  # at a time: fifteen neighbors of each, in float64


@dataclass(frozen=True)
class Geometry:
    """P adversaries at one layer, row by row; float64 unless said otherwise.

    The center g of a row is its guide; for adversaries without one, the nearest natural image of their class.

    Attributes:
        r1: d(a, g) / d(s, g) [P].
        r2: d(a, g) over the mean distance of nearest neighbors in g's class [P].
        r3: d(a, s) over the mean distance of two images of s's class [P]; NaN where the reference has no two.
        shared: Of the 3 nearest natural images, how many a and g have in common [P], int64.
        rank: r_3(a) in percent [P].
        rank_center: r_3(g) [P].
        rank_nearest: r_3 of a's nearest natural image [P].
        nearest: That image's row in the reference [P], int64.
        likelihood: Delta L(a) in nats [P].
        likelihood_close: Delta L of the images of N_c [P, 5].
        likelihood_far: Delta L of those of N_f [P, 10]; NaN where the class is too small.
        omega: Omega(a, g) [P].
        omega_close: Omega of the images of N_c [P, 5].
        omega_far: Omega of those of N_f [P, 10]; NaN where the class is too small.
        active: S(a), in percent [P].
        active_source: S(s) [P].
        overlap: I/U of a with s [P].
        overlap_center: I/U of a with g [P].
    """

    r1: Tensor
    r2: Tensor
    r3: Tensor
    shared: Tensor
    rank: Tensor
    rank_center: Tensor
    rank_nearest: Tensor
    nearest: Tensor
    likelihood: Tensor
    likelihood_close: Tensor
    likelihood_far: Tensor
    omega: Tensor
    omega_close: Tensor
    omega_far: Tensor
    active: Tensor
    active_source: Tensor
    overlap: Tensor
    overlap_center: Tensor

    def __len__(self) -> int:
        return len(self.r1)

    @property
    def delta_rank(self) -> Tensor:
        """Delta r_3(a, g) [P] in percent: below 0 where the adversary is in a denser region than g."""
        return self.rank - self.rank_center

    @property
    def delta_omega(self) -> Tensor:
        """Omega(a, g) less its mean over N_c [P]: below 0 where a is less of a neighbor than they are."""
        return self.omega - self.omega_close.mean(1)

    @property
    def delta_active(self) -> Tensor:
        """Delta S = S(a) - S(s) [P], in percent."""
        return self.active - self.active_source

    @property
    def natural(self) -> Tensor:
        """Delta L of the natural neighbors, of N_c and of N_f [P, 15]."""
        return torch.cat([self.likelihood_close, self.likelihood_far], 1)

    def summary(self) -> dict[str, float]:
        """The whole as single numbers.

        Returns:
            Medians by the names of the fields; shares `shared_2` (two natural neighbors or more in common) and
            `shared_3`; `rank_rho`, Spearman's correlation of an adversary's rank with that of its nearest natural
            image; `inlier_auc`, the two-sided AUC of telling adversaries from N_c and N_f by Delta L, and
            `inlier_auc_close`, `inlier_auc_far` from one of them; `outlier`, the chance that an adversary lies below
            such a neighbor; `omega_ks_close` and `omega_ks_far`, the widest gap between the shares of Omega.
        """
        medians = ("r1", "r2", "r3", "delta_rank", "likelihood", "omega", "delta_omega")
        paths = ("active", "delta_active", "overlap", "overlap_center")
        return {
            **{name: float(getattr(self, name).median()) for name in (*medians, *paths)},
            "shared_2": float((self.shared >= 2).double().mean()),
            "shared_3": float((self.shared >= 3).double().mean()),
            "delta_rank_least": float(self.delta_rank.min()),
            "delta_rank_most": float(self.delta_rank.max()),
            "rank_rho": spearman(self.rank, self.rank_nearest),
            "inlier_auc": two_sided_auc(self.likelihood, self.natural),
            "inlier_auc_close": two_sided_auc(self.likelihood, self.likelihood_close),
            "inlier_auc_far": two_sided_auc(self.likelihood, self.likelihood_far),
            "outlier": chance_below(self.likelihood, self.natural),
            "omega_ks_close": ks_distance(self.omega, self.omega_close),
            "omega_ks_far": ks_distance(self.omega, self.omega_far),
        }


def geometry(
    reference: Reference,
    source: Tensor,
    center: Tensor,
    adversary: Tensor,
    *,
    source_labels: Tensor,
    labels: Tensor,
    without: Tensor | None = None,
    guide_rows: Tensor | None = None,
    keys: Tensor | None = None,
    seed: int = 0,
) -> Geometry:
    """Every metric of the paper, from features.

    Natural neighbors are the reference images of the center's class. The center itself, where it is one of them, is
    no neighbor of anything, and neither are its copies: images whose features differ by no more than a hundred
    thousandth of their length or of the class's spacing. Where the guides' rows are known, give them: no rounding
    can hide those.

    Args:
        reference: Natural images at the layer.
        source: Features [P, D].
        center: Features [P, D] of the guides; of the nearest natural images for adversaries without a guide.
        adversary: Features [P, D].
        source_labels: Classes of the sources [P], int64.
        labels: Classes of the centers [P], int64.
        without: Features [P, D] of natural images that do not count as neighbors either, one a row: the guides
            where the centers are others.
        guide_rows: The guides' rows in the reference [P], int64, that do not count as neighbors; -1 where a guide is
            none of its images.
        keys: Sample keys [P], int64, that the lots of N_ref are drawn by; the rows' numbers where left out.
        seed: Of those lots.

    Raises:
        DataError: A class without enough reference images, or features of other shapes.
        ModelError: Features that are not finite.
    """
    keys = torch.arange(len(source)) if keys is None else keys
    features = {"source": source, "center": center, "adversary": adversary, "without": without}
    guide_rows = torch.full((len(source),), -1) if guide_rows is None else guide_rows
    known = {"source_labels": source_labels, "labels": labels, "guide_rows": guide_rows, "keys": keys}
    _check(reference, features, known)
    lots = uniform(fold(keys, seed), (metrics.CLOSE,))
    rows: list[Tensor] = []
    found: list[dict[str, Tensor]] = []
    for label in labels.unique().tolist():
        population = reference.population(int(label))
        members = reference.features[population.rows].double()
        for part in (labels == label).nonzero().flatten().split(_PAIRS):
            drop = _same(center[part], members, population.spacing) | (population.rows == guide_rows[part, None])
            if without is not None:
                drop |= _same(without[part], members, population.spacing)
            found.append(_around(population, int(label), members, center[part], adversary[part], drop, lots[part]))
            rows.append(part)
    back = torch.cat(rows).argsort()
    around = {name: torch.cat([one[name] for one in found])[back] for name in found[0]}
    wide = {label: population.spread for label, population in reference.populations.items()}
    spreads = torch.tensor([wide.get(int(label), torch.nan) for label in source_labels], dtype=torch.float64)
    return Geometry(
        r1=metrics.r1(adversary, source, center),
        r3=metrics.r3(adversary, source, spreads),
        active=metrics.active_share(adversary),
        active_source=metrics.active_share(source),
        overlap=metrics.active_union(adversary, source),
        overlap_center=metrics.active_union(adversary, center),
        **around,
    )


def nearest_natural(
    reference: Reference,
    x: Tensor,
    labels: Tensor,
    without: Tensor | None = None,
    guide_rows: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The nearest reference image of a class: the center of an adversary that has no guide.

    Args:
        reference: Natural images at the layer.
        x: Features [P, D].
        labels: The classes [P], int64, to look in: what the adversaries are taken for.
        without: Features [P, D] of images that do not count, one a row: their guides.
        guide_rows: Rows of the same guides in the reference [P], int64, where they are known; -1 for none.

    Returns:
        Features [P, D], and rows in the reference [P].
    """
    rows = torch.zeros(len(x), dtype=torch.int64)
    for label in labels.unique().tolist():
        population = reference.population(int(label))
        members = reference.features[population.rows].double()
        for part in (labels == label).nonzero().flatten().split(_PAIRS):
            drop = torch.zeros(len(part), len(members), dtype=torch.bool)
            if without is not None:
                drop |= _same(without[part], members, population.spacing)
            if guide_rows is not None:
                drop |= population.rows == guide_rows[part, None]
            rows[part] = population.rows[metrics.nearest(x[part], members, 1, drop)[1][:, 0]]
    return reference.features[rows], rows


def portray(
    classifier: Classifier,
    reference: Reference,
    source: Tensor,
    guide: Tensor | None,
    adversary: Tensor,
    *,
    source_labels: Tensor,
    guide_labels: Tensor | None = None,
    keys: Tensor | None = None,
    seed: int = 0,
    batch: int = 256,
) -> Geometry:
    """Every metric of the paper, from images.

    Args:
        classifier: Who was deceived; asked at the layer of the reference.
        reference: Natural images at that layer, from `read_reference`.
        source: Images [P, C, H, W] in [0, 1].
        guide: Images [P, C, H, W] that were mimicked; None for adversaries without a guide, such as those made to
            change a label. Their center is the nearest natural image of the class that they are taken for.
        adversary: Images [P, C, H, W], made from the sources.
        source_labels: True classes of the sources [P], int64.
        guide_labels: True classes of the guides [P], int64; what the classifier calls them where left out.
        keys: Sample keys [P], int64, that the lots of N_ref are drawn by.
        seed: Of those lots.
        batch: Images a pass.

    Raises:
        DataError: A class without enough reference images, or images of other shapes.
        ModelError: Features that are not finite.
    """
    start, end = (read_features(classifier, reference.layer, x, batch) for x in (source, adversary))
    if guide is None:
        labels = _called(classifier, adversary, batch)
        center, _ = nearest_natural(reference, end, labels)
    else:
        labels = _called(classifier, guide, batch) if guide_labels is None else guide_labels
        center = read_features(classifier, reference.layer, guide, batch)
    return geometry(reference, start, center, end, source_labels=source_labels, labels=labels, keys=keys, seed=seed)


def _around(
    population: Population,
    label: int,
    members: Tensor,
    center: Tensor,
    adversary: Tensor,
    drop: Tensor,
    lots: Tensor,
) -> dict[str, Tensor]:
    """What the natural images of one class say of a few rows, those left out that are dropped."""
    left = int((~drop).sum(1).min())
    if left < metrics.CLOSE:
        raise DataError(
            f"Class {label} has too few reference images to say what its neighborhoods look like.",
            slug="geometry-few",
            seen=f"{left} beside the guide",
            needed=f"{metrics.CLOSE} or more, {metrics.FAR} for N_f; a thousand in the paper",
            hint="Give more images of every class that guides come from, such as all those of training.",
        )
    (theirs, near), (own, home) = (metrics.nearest(x, members, NEIGHBORS, drop) for x in (adversary, center))
    sets = metrics.reference_sets(center, members, lots, drop)
    points, close, far = (members[index] for index in sets)
    z = torch.cat([adversary.double()[:, None], close, far], 1)
    likelihood = metrics.ppca_difference(z, center, points)
    omega = metrics.angular_consistency(z, center, points)
    absent = torch.cat([torch.zeros(len(z), 1 + sets.close.shape[1], dtype=torch.bool), sets.far < 0], 1)
    likelihood, omega = (value.masked_fill(absent, torch.nan) for value in (likelihood, omega))
    first = 1 + sets.close.shape[1]
    scores = {"rank": metrics.knn_score(theirs), "rank_center": metrics.knn_score(own)}
    scores["rank_nearest"] = population.scores[near[:, 0]]
    return {
        **{name: metrics.percentile_rank(score, population.scores, drop) for name, score in scores.items()},
        "r2": metrics.r2(adversary, center, population.spacing),
        "shared": metrics.shared_neighbors(near, home),
        "nearest": population.rows[near[:, 0]],
        "likelihood": likelihood[:, 0],
        "likelihood_close": likelihood[:, 1:first],
        "likelihood_far": likelihood[:, first:],
        "omega": omega[:, 0],
        "omega_close": omega[:, 1:first],
        "omega_far": omega[:, first:],
    }


def _same(x: Tensor, members: Tensor, spacing: float) -> Tensor:
    """Which members [n] are the images of the rows themselves [p, n]."""
    # Rounding goes with the length of features, which is many spacings where all of a class have much in common.
    scale = torch.fmax(x.double().norm(dim=1, keepdim=True), torch.tensor(spacing, dtype=torch.float64))
    return metrics.distances(x, members) <= _SAME * scale


def _called(classifier: Classifier, x: Tensor, batch: int) -> Tensor:
    return torch.cat([classifier.predict(part).cpu() for part in x.split(batch)])


def _check(reference: Reference, features: Mapping[str, Tensor | None], rows: Mapping[str, Tensor]) -> None:
    """Refuse features of another layer, rows that do not belong together, and what is not finite."""
    n, width = len(rows["source_labels"]), reference.features.shape[1]
    for name, value in features.items():
        if value is None:
            continue
        if value.shape != (n, width):
            raise _shapes(f"{name} {tuple(value.shape)}", f"[{n}, {width}], a row for each source")
        check_finite(value, reference.layer)
    for name, value in rows.items():
        if value.shape != (n,):
            raise _shapes(f"{name} {tuple(value.shape)}", f"one for each of {n} rows")


def _shapes(seen: str, needed: str) -> DataError:
    return DataError(
        "These are not rows of one layer's features.",
        slug="geometry-shapes",
        seen=seen,
        needed=needed,
        why="features of another layer than the reference's, or images that were not flattened",
        hint="Read all of them by read_features(classifier, reference.layer, images).",
    )
