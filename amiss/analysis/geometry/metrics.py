"""Where an adversary lies among natural images, as pure functions of one layer's features, in float64.

Features are rows of D numbers, one an image; distances d are Euclidean unless said otherwise. Names of the
arguments are the paper's: a source s, a guide g, an adversary a made from s to be like g.
"""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Sets",
    "active_share",
    "active_union",
    "angular_consistency",
    "distances",
    "knn_score",
    "nearest",
    "percentile_rank",
    "ppca_difference",
    "r1",
    "r2",
    "r3",
    "reference_sets",
    "shared_neighbors",
]

REFERENCE, CLOSE, WITHIN, FAR = 15, 20, 40, 50  # of the nearest images by cosine: the paper's numbers
_FLOOR = 1e-6  # of the largest variance: the noise of 15 points that lie in a plane
_TINY = torch.finfo(torch.float64).tiny


def r1(adversary: Tensor, source: Tensor, guide: Tensor) -> Tensor:
    """R1 = d(a, g) / d(s, g): the way to the guide that is left, as a share of the source's.

    Below 0.5 the adversary is nearer to its guide than to its source.

    Args:
        adversary: Features [..., D].
        source: Features [..., D].
        guide: Features [..., D].

    Returns:
        Ratios [...], 0 where a = g.

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, section 3.
    """
    return _apart(adversary, guide) / _apart(source, guide).clamp_min(_TINY)


def r2(adversary: Tensor, guide: Tensor, spacing: Tensor | float) -> Tensor:
    """R2 = d(a, g) / dbar_1(g): the distance to the guide beside that of natural neighbors.

    Below 1 the adversary is nearer to its guide than images of that class are to their nearest one.

    Args:
        adversary: Features [..., D].
        guide: Features [..., D].
        spacing: dbar_1(g), the mean over the reference images of g's class of the distance to their nearest one of
            that class; a number or [...].

    Returns:
        Ratios [...].

    References:
        Sabour et al. (2016), section 3.
    """
    return _apart(adversary, guide) / torch.as_tensor(spacing, dtype=torch.float64).clamp_min(_TINY)


def r3(adversary: Tensor, source: Tensor, spread: Tensor | float) -> Tensor:
    """R3 = d(a, s) / dbar(s): how far the adversary is from its source, beside the width of the source's class.

    Below 1 it stayed nearer than two images of that class are on average.

    Args:
        adversary: Features [..., D].
        source: Features [..., D].
        spread: dbar(s), the mean distance of two reference images of s's class; a number or [...].

    Returns:
        Ratios [...].

    References:
        Sabour et al. (2016), section 3.
    """
    return _apart(adversary, source) / torch.as_tensor(spread, dtype=torch.float64).clamp_min(_TINY)


def distances(x: Tensor, members: Tensor) -> Tensor:
    """Euclidean distances [p, n] of features [p, D] to features [n, D]; 0 exactly where they are equal."""
    # Without the matrix product, whose rounding would put equal features some way apart.
    return torch.cdist(x.double(), members.double(), compute_mode="donot_use_mm_for_euclid_dist")


def nearest(x: Tensor, members: Tensor, k: int, drop: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k nearest of the reference images, by Euclidean distance.

    Args:
        x: Features [p, D].
        members: Features of the reference images [n, D].
        k: How many, at most n less those dropped.
        drop: Which members do not count for a row [p, n]; the guide itself, as a rule.

    Returns:
        Distances and positions among the members, both [p, k], the nearest first.
    """
    apart = distances(x, members)
    apart = apart if drop is None else apart.masked_fill(drop, torch.inf)
    near = apart.topk(k, dim=1, largest=False)
    return near.values, near.indices


def shared_neighbors(one: Tensor, other: Tensor) -> Tensor:
    """How many neighbors two points have in common: the size of kNN(a) and kNN(g) intersected.

    The guide is in neither list, so that a = g shares all.

    Args:
        one: Positions of the neighbors of the one [p, k], as `nearest` gives them.
        other: Those of the other [p, k].

    Returns:
        Counts [p], 0 to k.

    References:
        Sabour et al. (2016), section 3.1, table 1.
    """
    return (one[:, :, None] == other[:, None, :]).any(2).sum(1)


def knn_score(near: Tensor) -> Tensor:
    """The score that ranks are made of: the mean [p] of the distances to the k nearest [p, k]."""
    return near.double().mean(1)


def percentile_rank(score: Tensor, scores: Tensor, drop: Tensor | None = None) -> Tensor:
    """r_K: the share of a class's reference images, in percent, that lie in a denser region.

    Args:
        score: Mean distances to the K nearest [p].
        scores: The same of the reference images, each left out of its own neighbors [n].
        drop: Which of them do not count for a row [p, n].

    Returns:
        Ranks [p] in [0, 100]; low in a dense region.

    References:
        Sabour et al. (2016), section 3.1; Delta r_K(a, g) = r_K(a) - r_K(g).
    """
    lower = scores.double()[None] < score.double()[:, None]
    counted = torch.ones_like(lower) if drop is None else ~drop
    return 100 * (lower & counted).sum(1).double() / counted.sum(1)


class Sets(NamedTuple):
    """Reference sets around a guide: positions among the members of its class; -1 where the class is too small.

    Attributes:
        reference: N_ref [p, 15]: 15 of the 20 nearest, by lot.
        close: N_c [p, 5]: the other five of the 20 nearest.
        far: N_f [p, 10]: the 41st to the 50th nearest.
    """

    reference: Tensor
    close: Tensor
    far: Tensor


def reference_sets(guide: Tensor, members: Tensor, lots: Tensor, drop: Tensor | None = None) -> Sets:
    """N_ref, N_c = N_20(g) without N_ref, and N_f = N_50(g) without N_40(g), by cosine distance.

    Args:
        guide: Features [p, D].
        members: Features of the reference images of g's class [n, D].
        lots: Numbers [p, 20]: those of the 20 nearest that drew the lowest 15 are N_ref.
        drop: Which members do not count for a row [p, n], the guide itself. 20 are left at the least.

    References:
        Sabour et al. (2016), section 4.1.
    """
    one, other = (torch.nn.functional.normalize(f.double(), dim=1) for f in (guide, members))
    cosine = one @ other.T
    cosine = cosine if drop is None else cosine.masked_fill(drop, -torch.inf)
    order = torch.full((len(guide), FAR), -1)
    k = min(FAR, len(members))
    order[:, :k] = cosine.topk(k, dim=1).indices
    if drop is not None:  # a small class: what is left after those that count is no neighbor
        order[:, :k][drop.gather(1, order[:, :k])] = -1
    mixed = order[:, :CLOSE].gather(1, lots.argsort(dim=1, stable=True))
    return Sets(mixed[:, :REFERENCE], mixed[:, REFERENCE:], order[:, WITHIN:])


def ppca_difference(z: Tensor, guide: Tensor, points: Tensor, q: int = 10) -> Tensor:
    """Delta L(z) = L(z) - L(g): how much less likely z is than the guide, on the local tangent of the class.

    L is the log-density of a probabilistic principal component analysis of `points`, its mean then moved to the
    guide: N(g, W W' + sigma2 I). With the eigenvalues l_i and eigenvectors u_i of the points' covariance,
    sigma2 = sum_{i > q} l_i / (D - q) and c_i = u_i . (z - g),

        Delta L(z) = -1/2 [ sum_{i <= q} c_i^2 / l_i + (|z - g|^2 - sum_{i <= q} c_i^2) / sigma2 ].

    Fifteen points leave little variance beyond the tenth, spread over all other dimensions: sigma2, and with it the
    first eigenvalues, are held at a millionth of l_1 or more.

    Args:
        z: Features [p, m, D].
        guide: Features [p, D].
        points: Features of N_ref [p, k, D].
        q: Dimensions of the tangent; fewer where D - 1 or k - 1 is less.

    Returns:
        Nats [p, m], at most 0, which is where z = g.

    References:
        Tipping and Bishop (1999), probabilistic principal component analysis, eq. 7 and 8; Sabour et al. (2016),
        section 4.1.
    """
    z, guide, points = z.double(), guide.double(), points.double()
    k, dimensions = points.shape[1:]
    q = min(q, dimensions - 1, k - 1)
    _, lengths, directions = torch.linalg.svd(points - points.mean(1, keepdim=True), full_matrices=False)
    variances = lengths.square() / k
    noise = variances[:, q:].sum(1) / (dimensions - q)
    noise = torch.maximum(noise, _FLOOR * variances[:, 0]).clamp_min(_TINY)[:, None]
    kept = torch.maximum(variances[:, :q], noise)
    away = z - guide[:, None]
    along = (away @ directions[:, :q].mT).square()
    beyond = (away.square().sum(2) - along.sum(2)).clamp_min(0)
    return -((along / kept[:, None]).sum(2) + beyond / noise) / 2


def angular_consistency(z: Tensor, guide: Tensor, points: Tensor) -> Tensor:
    """Omega(z, g): whether z sees the guide's neighbors in the directions in which the guide sees them.

    Omega(z, g) = 1/k sum_i <x_i - z, x_i - g> / (|x_i - z| |x_i - g|), over the k points x_i of N_ref.

    Args:
        z: Features [p, m, D].
        guide: Features [p, D].
        points: Features of N_ref [p, k, D].

    Returns:
        Means of cosines [p, m] in [-1, 1]; 1 where z = g.

    References:
        Sabour et al. (2016), section 4.1.
    """
    z, guide, points = z.double(), guide.double(), points.double()
    theirs = torch.nn.functional.normalize(points - guide[:, None], dim=2, eps=_TINY)
    each = [
        (torch.nn.functional.normalize(points - one[:, None], dim=2, eps=_TINY) * theirs).sum(2).mean(1)
        for one in z.unbind(1)
    ]
    return torch.stack(each, 1).clamp(-1, 1)


def active_share(x: Tensor) -> Tensor:
    """S: the share of units [...] of features [..., D] that are not 0, in percent; read it after a ReLU.

    References:
        Sabour et al. (2016), section 4.2; Delta S = S(a) - S(s).
    """
    return 100 * (x != 0).double().mean(-1)


def active_union(one: Tensor, other: Tensor) -> Tensor:
    """I/U: units active in both images over units active in either, in [0, 1]; 1 where none is in either.

    Args:
        one: Features [..., D], read after a ReLU.
        other: Features [..., D].

    Returns:
        Shares [...]; 1 says the same paths.

    References:
        Sabour et al. (2016), section 4.2.
    """
    both, either = ((one != 0) & (other != 0)).sum(-1), ((one != 0) | (other != 0)).sum(-1)
    return torch.where(either > 0, both.double() / either.clamp_min(1), 1.0)


def _apart(one: Tensor, other: Tensor) -> Tensor:
    return (one.double() - other.double()).norm(dim=-1)
