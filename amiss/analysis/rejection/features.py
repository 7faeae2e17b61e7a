"""Rules that read a layer's features: distances to natural images, what their subspace leaves over, and length."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from amiss.objectives import Rule
from amiss.objectives.objective import View

__all__ = ["KNN", "FeatureNorm", "Mahalanobis", "Natural", "RelativeMahalanobis", "ViM", "pooled"]

_TINY = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class Natural:
    """What one pass brought of the natural images that rules are fitted on.

    Attributes:
        layer: Name of the layer.
        features: Its features [N, D], float64, as `pooled` gives them.
        logits: [N, m], float64.
        labels: True labels [N], int64.
    """

    layer: str
    features: Tensor
    logits: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class _OfFeatures(Rule):
    """A rule of one layer's features."""

    layer: str

    @property
    def layers(self) -> tuple[str, ...]:  # type: ignore[override]
        """The layer alone."""
        return (self.layer,)


@dataclass(frozen=True, eq=False)
class Mahalanobis(_OfFeatures):
    """Minus the squared Mahalanobis distance to the nearest class mean, with one covariance for all classes.

    Directions in which natural images of a class do not differ do not count, for their precision is not known. So a
    unit that is dead on all natural images is not looked at: nonsense may drive it as high as it will. `ignored`
    tells how large the share of such directions is.

    Attributes:
        root: A root of the precision [D, D], float64: what whitens features.
        means: Class means, whitened [classes, D].

    References:
        Lee, Lee, Lee and Shin (2018), a simple unified framework for detecting out-of-distribution samples and
        adversarial attacks, eq. 1 and 2.
    """

    root: Tensor = field(repr=False)
    means: Tensor = field(repr=False)

    name = "mahalanobis"

    @classmethod
    def fit(cls, natural: Natural) -> "Mahalanobis":
        """Means of the classes, and the covariance within them."""
        means, within = _classes(natural)
        root = _root(within)
        return cls(natural.layer, root, means @ root)

    @property
    def ignored(self) -> float:
        """The share of directions that do not count, those of dead units among them."""
        return _ignored(self.root)

    def of(self, outputs: View) -> Tensor:
        """- min_c (f - mu_c)^T P (f - mu_c) [N]."""
        return -_squared(pooled(outputs[self.layer]) @ self.root, self.means).amin(1)


@dataclass(frozen=True, eq=False)
class RelativeMahalanobis(_OfFeatures):
    """Minus the squared Mahalanobis distance to the nearest class mean, less that to the mean of all images.

    Directions in which natural images do not differ do not count, dead units among them, as for `Mahalanobis`.

    Attributes:
        root: A root of the precision within classes [D, D], float64.
        means: Class means, whitened by it [classes, D].
        background: A root of the precision of all images [D, D].
        mean: Their mean, whitened by that [1, D].

    References:
        Ren, Fort, Liu et al. (2021), a simple fix to Mahalanobis distance for improving near-OOD detection, eq. 2.
    """

    root: Tensor = field(repr=False)
    means: Tensor = field(repr=False)
    background: Tensor = field(repr=False)
    mean: Tensor = field(repr=False)

    name = "relative mahalanobis"

    @classmethod
    def fit(cls, natural: Natural) -> "RelativeMahalanobis":
        """Means and covariances, of the classes and of all images."""
        means, within = _classes(natural)
        mean = natural.features.mean(0, keepdim=True)
        root, background = _root(within), _root(natural.features - mean)
        return cls(natural.layer, root, means @ root, background, mean @ background)

    @property
    def ignored(self) -> float:
        """The share of directions that do not count in the distance to class means."""
        return _ignored(self.root)

    def of(self, outputs: View) -> Tensor:
        """d_0^2 - min_c d_c^2 [N]."""
        features = pooled(outputs[self.layer])
        nearest = _squared(features @ self.root, self.means).amin(1)
        return _squared(features @ self.background, self.mean)[:, 0] - nearest


@dataclass(frozen=True, eq=False)
class KNN(_OfFeatures):
    """Minus the distance to the k-th nearest natural image, features being scaled to length 1.

    Attributes:
        bank: Natural features of length 1 [N, D], float64.
        k: Which neighbor. The paper takes about one for each thousand images.

    References:
        Sun, Ming, Zhu and Li (2022), out-of-distribution detection with deep nearest neighbors, section 3.
    """

    bank: Tensor = field(repr=False)
    k: int = 10

    name = "knn"

    @classmethod
    def fit(cls, natural: Natural, k: int = 10) -> "KNN":
        """Keep the features; where there are fewer images than k, the farthest of them counts."""
        return cls(natural.layer, _unit(natural.features), min(k, len(natural.features)))

    def of(self, outputs: View) -> Tensor:
        """- |z - z_(k)| [N]."""
        cosines = _unit(pooled(outputs[self.layer])) @ self.bank.T
        return -(2 - 2 * cosines.topk(self.k, dim=1).values[:, -1]).clamp_min(_TINY).sqrt()


@dataclass(frozen=True, eq=False)
class ViM(_OfFeatures):
    """The energy, less a virtual logit: how far the features leave the principal subspace of natural ones.

    The origin is where all logits are 0. The head that tells where is read off the natural images by least squares:
    exactly where the logits are affine in the layer's features, else as nearly as may be.

    Attributes:
        origin: [D], float64.
        rest: Orthonormal directions outside of the principal subspace [D, D - d].
        alpha: The virtual logit for each unit of length.

    References:
        Wang, Li, Feng and Zhang (2022), ViM: out-of-distribution with virtual-logit matching, eq. 4 to 6. Their
        principal subspace has about half as many dimensions as the features, as here.

    Where the highest logits are not above 0 on average, `alpha` is not either, and the rule would call natural what
    lies farthest off: `fit_detectors` leaves it out.
    """

    origin: Tensor = field(repr=False)
    rest: Tensor = field(repr=False)
    alpha: float

    name = "vim"

    @property
    def layers(self) -> tuple[str, ...]:  # type: ignore[override]
        """The layer, and the logits."""
        return (self.layer, "answer")

    @classmethod
    def fit(cls, natural: Natural) -> "ViM":
        """Origin, principal subspace, and the factor at which virtual logits are as high as the highest ones."""
        features, logits = natural.features, natural.logits
        center = features.mean(0)
        # Centered, the intercept is none of the unknowns: numbers of one size are solved for.
        weight = torch.linalg.lstsq(features - center, logits - logits.mean(0), driver="gelsd").solution
        bias = logits.mean(0) - center @ weight
        origin = -torch.linalg.pinv(weight.T) @ bias
        moved = features - origin
        vectors = torch.linalg.eigh(moved.T @ moved / len(moved)).eigenvectors
        rest = vectors[:, : features.shape[1] - features.shape[1] // 2]
        left = (moved @ rest).norm(dim=1).mean()
        return cls(natural.layer, origin, rest, float(logits.amax(1).mean() / left.clamp_min(_TINY)))

    def of(self, outputs: View) -> Tensor:
        """Log sum_c exp(f_c) - alpha |P (f - o)| [N]."""
        left = ((pooled(outputs[self.layer]) - self.origin) @ self.rest).norm(dim=1)
        energy: Tensor = outputs["answer"].double().logsumexp(1)
        return energy - self.alpha * left


@dataclass(frozen=True, eq=False)
class FeatureNorm(_OfFeatures):
    """The Euclidean length of the features.

    References:
        Park, Chai, Yoon and Teoh (2023), understanding the feature norm for out-of-distribution detection,
        section 3.
    """

    name = "feature norm"

    @classmethod
    def fit(cls, natural: Natural) -> "FeatureNorm":
        """Nothing is learned."""
        return cls(natural.layer)

    def of(self, outputs: View) -> Tensor:
        """|f| [N]."""
        return pooled(outputs[self.layer]).norm(dim=1)


def pooled(features: Tensor) -> Tensor:
    """Features [N, ...] as rows [N, D], float64; maps [N, C, H, W] are averaged over their places."""
    rows = features.mean((2, 3)) if features.ndim == 4 else features.flatten(1)
    return rows.double()


def _classes(natural: Natural) -> tuple[Tensor, Tensor]:
    """Means of the classes that are there [classes, D], and each image's features less its class's mean [N, D]."""
    present, place = natural.labels.unique(return_inverse=True)
    means = torch.stack([natural.features[place == i].mean(0) for i in range(len(present))])
    return means, natural.features - means[place]


def _root(centered: Tensor) -> Tensor:
    """R [D, D] with R R^T the pseudo-inverse of the covariance of centered rows."""
    values, vectors = torch.linalg.eigh(centered.T @ centered / len(centered))
    # Features were computed in single precision: variances that this alone can bring about say nothing.
    least = values.amax() * len(values) * torch.finfo(torch.float32).eps ** 2
    return vectors * torch.where(values > least, values, torch.inf).rsqrt()


def _ignored(root: Tensor) -> float:
    """The share of a root's columns that are 0."""
    return float((root == 0).all(0).double().mean())


def _squared(white: Tensor, means: Tensor) -> Tensor:
    """Squared distances of whitened features to whitened means [N, classes]."""
    # By differences: a matrix product would cancel the digits of what lies near a mean.
    return torch.cdist(white, means, compute_mode="donot_use_mm_for_euclid_dist").square()


def _unit(features: Tensor) -> Tensor:
    """Rows of length 1; dead ones stay 0."""
    return features / features.norm(dim=1, keepdim=True).clamp_min(_TINY)
