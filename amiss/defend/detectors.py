"""Detectors of adversaries beside a classifier: a radial SVM on quantized activations, and a linear one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.errors import CheckpointError, UsageError
from amiss.objectives import Rule
from amiss.objectives.objective import View
from amiss.tensorfile import read_tensors, write_tensors

__all__ = ["CodeDetector", "Detector", "LinearDetector", "activations", "late_layer", "read_detector"]

_SOFT = 0.1  # width of a smoothed threshold, in standard deviations of the unit
_SOFTER = (1.0, 0.3, 0.1)  # widths that attacks try, over that one
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Detector(Rule):
    """A rule that was fitted on natural images and adversaries, with the score from which it accepts.

    Attributes:
        layer: The layer whose activations it reads.
        threshold: Least score that passes.
        spread: Standard deviation of natural scores.
    """

    layer: str
    threshold: float = 0.0
    spread: float = 1.0

    @property
    def layers(self) -> tuple[str, ...]:  # type: ignore[override]
        """The layer alone."""
        return (self.layer,)

    def of(self, outputs: View) -> Tensor:
        """Scores [N], float64: above 0 on the side of natural images."""
        return self.judge(rectified(outputs[self.layer]))

    def judge(self, features: Tensor) -> Tensor:
        """Scores [N] of rectified activations [N, D], float64."""
        raise NotImplementedError

    def pursued(self) -> tuple[Self, ...]:
        """The same rule as attacks may follow it: alike in scores and success, each with a gradient of its own."""
        return (self,)

    def save(self, path: Path) -> None:
        """Write it to a file that `read_detector` reads."""
        held = {one.name: getattr(self, one.name) for one in fields(self)}
        tensors = {name: value for name, value in held.items() if isinstance(value, Tensor)}
        plain = {name: value for name, value in held.items() if not isinstance(value, Tensor)}
        write_tensors(path, tensors, {"detector": self.name, **plain})


@dataclass(frozen=True, eq=False)
class CodeDetector(Detector):
    """SafetyNet's detector: late activations become codes of a few levels, and a radial SVM tells codes apart.

    A code has no gradient. What follows the gradient is given that of a smooth code, whose thresholds are sigmoids,
    while scores and success are always those of the codes themselves.

    Attributes:
        steps: Where a unit's level rises [levels - 1, D], 0 first.
        width: Width of each unit's smoothed thresholds [D].
        support: Support vectors: codes in [0, 1] [S, D].
        dual: Their coefficients [S], above 0 for adversaries.
        gamma: Of the kernel exp(-gamma |u - v|^2).
        bias: Of the decision.

    References:
        Lu, Issaranon and Forsyth (2017), SafetyNet: detecting and rejecting adversarial examples robustly, section 3;
        Athalye, Carlini and Wagner (2018), obfuscated gradients give a false sense of security, section 4.1 (the
        backward pass of a smooth relative).
    """

    steps: Tensor = field(default_factory=lambda: torch.zeros(1, 0), repr=False)
    width: Tensor = field(default_factory=lambda: torch.zeros(0), repr=False)
    support: Tensor = field(default_factory=lambda: torch.zeros(0, 0), repr=False)
    dual: Tensor = field(default_factory=lambda: torch.zeros(0), repr=False)
    gamma: float = 1.0
    bias: float = 0.0

    name = "safetynet"

    @classmethod
    def fit(
        cls, layer: str, natural: Tensor, adversarial: Tensor, levels: int = 4, *, sharpness: float = 1.0
    ) -> Self:
        """Codes of so many levels, and the SVM that tells them apart.

        The first level is left at 0, the others at equal shares of the values above 0 that natural images give the
        unit. Both kinds weigh the same.

        Args:
            layer: Where the activations come from.
            natural: Activations of natural images [N, D].
            adversarial: Those of adversaries [M, D].
            levels: Of a code, 2 or more.
            sharpness: How narrow the kernel is: its gamma over 1 / (units x variance of the codes). A narrow one
                refuses codes that are unlike any natural one.
        """
        from sklearn.svm import SVC

        natural, adversarial = natural.double(), adversarial.double()
        shares = torch.arange(1, levels - 1, dtype=torch.float64) / (levels - 1)
        above = torch.where(natural > 0, natural, torch.nan)
        steps = torch.cat([torch.zeros(1, natural.shape[1], dtype=torch.float64), _quantiles(above, shares)])
        width = _SOFT * natural.std(0, correction=0).clamp_min(_TINY)
        codes = torch.cat([_levels(part, steps) for part in (natural, adversarial)])
        kind = torch.arange(len(codes)) >= len(natural)
        gamma = sharpness / (codes.shape[1] * max(float(codes.var(correction=0)), _TINY))
        machine = SVC(kernel="rbf", gamma=gamma, class_weight="balanced").fit(codes.numpy(), kind.numpy())
        support, dual = (torch.tensor(part) for part in (machine.support_vectors_, machine.dual_coef_[0]))
        return cls(layer, 0.0, 1.0, steps, width, support, dual, gamma, float(machine.intercept_[0]))

    def pursued(self) -> tuple[Self, ...]:
        """With thresholds that are smoothed more and less: a wide one has a slope from afar, a narrow one is true."""
        return tuple(replace(self, width=share * self.width) for share in _SOFTER)

    def judge(self, features: Tensor) -> Tensor:
        """Minus the SVM's decision [N]."""
        a = features.double()
        steps, width, support, dual = (t.to(a.device) for t in (self.steps, self.width, self.support, self.dual))
        code = _levels(a.detach(), steps)
        if a.requires_grad:
            soft = torch.sigmoid((a.unsqueeze(1) - steps) / width).mean(1)
            code = code + soft - soft.detach()
        apart = (code.square().sum(1, keepdim=True) + support.square().sum(1) - 2 * code @ support.T).clamp_min(0)
        return -((-self.gamma * apart).exp() @ dual + self.bias)


@dataclass(frozen=True, eq=False)
class LinearDetector(Detector):
    """A linear SVM on the same activations, unquantized: what SafetyNet is to be harder to fool than.

    Attributes:
        weight: Of each unit [D], above 0 where it speaks for an adversary.
        bias: Of the decision.

    References:
        Lu, Issaranon and Forsyth (2017), section 3 (why not a linear detector).
    """

    weight: Tensor = field(default_factory=lambda: torch.zeros(0), repr=False)
    bias: float = 0.0

    name = "linear"

    @classmethod
    def fit(cls, layer: str, natural: Tensor, adversarial: Tensor, *, cost: float = 1.0) -> Self:
        """The SVM on activations in standard deviations of natural images; both kinds weigh the same.

        Args:
            layer: Where the activations come from.
            natural: Activations of natural images [N, D].
            adversarial: Those of adversaries [M, D].
            cost: What an error costs against a wide margin.
        """
        from sklearn.svm import SVC

        natural, adversarial = natural.double(), adversarial.double()
        mean, std = natural.mean(0), natural.std(0, correction=0).clamp_min(_TINY)
        rows = (torch.cat([natural, adversarial]) - mean) / std
        kind = torch.arange(len(rows)) >= len(natural)
        machine = SVC(kernel="linear", C=cost, class_weight="balanced").fit(rows.numpy(), kind.numpy())
        weight = torch.tensor(machine.coef_[0], dtype=torch.float64) / std
        return cls(layer, 0.0, 1.0, weight, float(machine.intercept_[0]) - float(weight @ mean))

    def judge(self, features: Tensor) -> Tensor:
        """Minus the SVM's decision [N]."""
        return -(features.double() @ self.weight.to(features.device) + self.bias)


def rectified(features: Tensor) -> Tensor:
    """What a ReLU leaves of activations [N, D, ...], averaged over positions where there are any: [N, D]."""
    kept = features.clamp_min(0)
    return kept if kept.ndim == 2 else kept.flatten(2).mean(2)


@torch.no_grad()
def activations(classifier: Classifier, layer: str, images: Tensor, batch: int = 256) -> Tensor:
    """Rectified activations [N, D] of a layer, on the CPU.

    Args:
        classifier: Who is shown the images.
        layer: Name of the layer.
        images: [N, C, H, W] in [0, 1].
        batch: Images a pass.
    """
    parts = [rectified(classifier.outputs(x, (layer,))[layer]).cpu() for x in images.split(batch)]
    return torch.cat(parts)


def late_layer(classifier: Classifier) -> str:
    """The layer before the last ReLU, from which a gradient leads to units that are off; or the ReLU itself.

    Raises:
        UsageError: The network has no ReLU among its modules.
    """
    modules = list(classifier.network.named_modules()) if isinstance(classifier.network, nn.Module) else []
    for i in range(len(modules) - 1, -1, -1):
        if isinstance(modules[i][1], nn.ReLU):
            before = modules[i - 1] if i else modules[i]
            dense = isinstance(before[1], nn.Linear | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d)
            return before[0] if dense else modules[i][0]
    raise UsageError(
        "There is no late ReLU whose activations a detector could read.",
        slug="safetynet-layer",
        seen=f"{len(modules)} modules, none of them an nn.ReLU",
        needed="the name of a hidden layer",
        why="another nonlinearity, or one that is called as a function",
        hint="Name it: SafetyNet(layer='features.7'), --layer features.7.",
    )


def read_detector(path: Path) -> Detector:
    """The detector in a file that `Detector.save` wrote.

    Raises:
        CheckpointError: The file is damaged, or holds no detector.
    """
    tensors, about = read_tensors(path)
    kinds: Mapping[str, type[Detector]] = {kind.name: kind for kind in (CodeDetector, LinearDetector)}
    kind = kinds.get(str(about.get("detector")))
    names = {one.name for one in fields(kind)} if kind else set()
    held: dict[str, Any] = {**tensors, **{name: value for name, value in about.items() if name in names}}
    plain = {name: value for name, value in held.items() if not isinstance(value, Tensor)}
    fit = all(isinstance(value, str if name == "layer" else int | float) for name, value in plain.items())
    if kind is None or set(held) != names or not fit:
        raise CheckpointError(
            "This file holds no detector.",
            slug="defend-detector",
            seen=f"{path.name} of {about.get('detector') or 'something else'}",
            needed="a file that amiss defend --with safetynet wrote",
            hint="Name detector.safetensors in the folder of such a run.",
        )
    return kind(**held)


def _levels(a: Tensor, steps: Tensor) -> Tensor:
    """Codes in [0, 1] [N, D]: the share of its thresholds that each unit is above."""
    return (a.unsqueeze(1) > steps).double().mean(1)


def _quantiles(values: Tensor, shares: Tensor) -> Tensor:
    """Quantiles of each column, NaN left aside [shares, D]; 0 for a column of NaN alone."""
    if not len(shares):
        return values.new_zeros(0, values.shape[1])
    return values.nanquantile(shares, dim=0).nan_to_num(nan=0.0)
