"""How near feature adversaries come, by layer, by bound, and by whether the network has learned anything."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.bench.mobilenets import ratios, scene
from amiss.classifier import Classifier
from amiss.models import reinitialized
from amiss.recipes import feature_opt

__all__ = ["laws", "ordering"]

_PAIRS = 12
_STEPS = {"early": 100, "middle": 100, "pool": 500}  # near the output the box binds little, and the last steps tell
_DELTAS = (5, 10, 15, 20, 25)


def ordering(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """R1 of MobileNetV1 0.25 at 128 pixels: trained, random and orthonormal, three layers, five bounds, 12 pairs.

    The smallest network for photographs is taken: it is cheap enough for 45 searches a seed, and the claim is about
    such networks. Both laws are about means over pairs of the trained one, and strict.

    What lies within a bound lies within a larger one: R1 at a bound is the least that was found in it, by its own
    search or by one of a smaller bound. `alone` is what its own search found. Near the output the two differ: from
    15/255 on the box hardly binds there, and a search of a larger box may end a little further from its guides.
    """
    torch.set_num_threads(1)
    place = scene(run, "v1-0.25", _PAIRS)
    deltas = _DELTAS[1::2] if run.quick else _DELTAS
    told: dict[str, Any] = {"pairs": len(place.task), "steps": _STEPS}
    for name, classifier in _networks(place.classifier, run.seed).items():
        told[name] = {layer: {} for layer in place.layers}
        for layer, most in zip(place.layers, _STEPS.values(), strict=True):
            steps = 20 if run.quick else most
            least = torch.full((len(place.task),), torch.inf)
            for delta in deltas:
                probe = feature_opt(layer, delta / 255, steps, seed=run.seed, levels=None)
                r1 = ratios(classifier, layer, place.task, probe.run(classifier, place.task).images)
                least = torch.minimum(least, r1)
                told[name][layer][str(delta)] = {
                    "mean": float(least.mean()),
                    "std": float(least.std()),
                    "alone": float(r1.mean()),
                }
    means = [[told["trained"][layer][str(delta)]["mean"] for delta in deltas] for layer in place.layers]
    return laws(means), told


def laws(means: Sequence[Sequence[float]]) -> dict[str, float]:
    """Whether R1 falls at each layer as the bound grows, and rises toward the input at each bound: 1 or 0.

    Args:
        means: R1 by layer, the nearest to the input first, and within a layer by bound, the smallest first.
    """
    falls = all(less > more for row in means for less, more in pairwise(row))
    rises = all(a > b for near, far in pairwise(means) for a, b in zip(near, far, strict=True))
    return {"r1_falls_with_delta": float(falls), "r1_rises_to_input": float(rises)}


def _networks(trained: Classifier, seed: int) -> dict[str, Classifier]:
    """The network as it is, and two that have learned nothing."""
    network: Any = trained.network
    fresh = {how: reinitialized(network, how, seed) for how in ("random", "orthonormal")}
    return {"trained": trained} | {
        how: Classifier(one, mean=(0.5,) * 3, std=(0.5,) * 3, labels=trained.labels) for how, one in fresh.items()
    }
