"""The direction to test: where minimal repairs and the model's residual agree."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.analysis.findings.statistics import Whitening, logistic, unit

__all__ = ["Evidence", "evidence", "without"]


@dataclass(frozen=True)
class Evidence:
    """The parts of a direction, each whitened and of unit length [d].

    Attributes:
        repairs: Mean direction of the minimal repairs. A legitimate cue repairs mistakes, too.
        residual: Minus the covariance of codes with what the model gets wrong. Of a cue that the model uses too
            little it has the other sign than `repairs`, of a misused one the same: the bisector keeps the misused.
        linear: Slope of a linear fit of the model's logit on the codes, in the repairs' place: the cross-check.
        whitening: Of the codes.
    """

    repairs: Tensor
    residual: Tensor
    linear: Tensor
    whitening: Whitening

    def bisector(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """The direction to test and its cross-check, of unit whitened length, in code space [d].

        Args:
            known: Whitened directions found before [k, d], orthonormal rows: nothing along them is found again.
        """
        parts = [unit(part - known.T @ (known @ part)) for part in (self.repairs, self.residual, self.linear)]
        return self.whitening.root @ unit(parts[0] + parts[1]), self.whitening.root @ unit(parts[2] + parts[1])


def evidence(codes: Tensor, gap: Tensor, truth: Tensor, changes: Tensor, whitening: Whitening) -> Evidence:
    """Gather the parts from the discovering half.

    Args:
        codes: Of its images [n, d], float64.
        gap: The model's logit of the cohort's true class over its rival's [n].
        truth: Whether each is of the true class [n].
        changes: Minimal repairs eps of its mistakes [k, d].
        whitening: Of the codes.

    References:
        Platt (1999), probabilistic outputs for support vector machines: the scaling of the logit.
    """
    (intercept, slope), _ = logistic(gap[:, None], truth)
    centered = codes - codes.mean(0)
    residual = -(centered * (truth.double() - torch.sigmoid(intercept + slope * gap))[:, None]).mean(0)
    steps = changes / changes.norm(dim=1, keepdim=True).clamp_min(torch.finfo(changes.dtype).tiny)
    ridge = 1e-3 * whitening.covariance.diagonal().mean() * torch.eye(codes.shape[1], dtype=codes.dtype)
    fit = torch.linalg.solve(whitening.covariance + ridge, (centered * (gap - gap.mean())[:, None]).mean(0))
    # A repair and a slope are gradients of a kind, a covariance is a displacement: they whiten the other way round.
    return Evidence(
        unit(whitening.root @ steps.mean(0)),
        unit(whitening.inverse @ residual),
        unit(whitening.root @ fit),
        whitening,
    )


def without(directions: Tensor, known: Tensor, whitening: Whitening) -> Tensor:
    """Directions [m, d] with what was found before taken out.

    Args:
        directions: In code space.
        known: Whitened directions [k, d], orthonormal rows.
        whitening: Of the codes.
    """
    white = directions.double() @ whitening.inverse
    return (white - white @ known.T @ known) @ whitening.root
