"""SafetyNet on MNIST: fitted on FGSM, tested on DeepFool and the smallest L2 changes, attacked with its knowledge."""

from typing import Any

from amiss.bench.bench import Run
from amiss.bench.defend_training import EPS, attacked, network
from amiss.bench.lenets import digits
from amiss.defend import SafetyNet

__all__ = ["safetynet"]


def safetynet(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """SafetyNet beside the network that is trained on images alone.

    `safetynet_auc` is the lowest area under the curve over the attacks that it was not fitted on; `type2_over_linear`
    the median, over images, of the smallest change that fools network and SafetyNet over the smallest one that fools
    network and linear detector; `type2_met` and `linear_type2_met` are the shares of images that have one.
    """
    ordeal = attacked(run)
    less: dict[str, Any] = {"learned": 300, "steps": 20} if run.quick else {}
    defense = SafetyNet(
        eps=EPS,
        images=ordeal.images,
        few=ordeal.few,
        many=ordeal.many,
        restarts=ordeal.restarts,
        worst=ordeal.worst,
        seed=run.seed,
        **less,
    )
    done = defense.harden(network(run), digits(run), digits(run, "test"), run.place / "safetynet")
    found = done.figures
    areas = {name: value for name, value in found.items() if name.startswith("auc_")}
    figures = {"safetynet_auc": min(areas.values()), **{f"safetynet_{name}": v for name, v in areas.items()}}
    figures |= {f"linear_{name}": found[f"linear_{name}"] for name in areas}
    figures |= {"safetynet_natural_passed": found["natural_passed"]}
    if "type2_ratio" in found:
        figures["type2_over_linear"] = found["type2_ratio"]
    for name in ("type2_met", "linear_type2_met", "type2_l2", "linear_type2_l2"):
        if name in found:
            figures[name] = found[name]
    return figures, {"sentence": done.sentence, "rows": list(done.rows), "figures": found}
