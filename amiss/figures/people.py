"""Figures 6 and 10: attributes that are missed or seen where there are none, and a cohort of mistakes."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.constraints import LatentNorm, Quantized
from amiss.data import redraw, sample_faces
from amiss.data.worlds.faces import BINARY, CLASSES, Faces
from amiss.demo import demo_classifier, demo_decoder
from amiss.figures import draw
from amiss.figures.world import World
from amiss.objectives import Become
from amiss.optimizers import Adam
from amiss.probe import Budget, Probe
from amiss.result import Result
from amiss.spaces import Latent
from amiss.task import Task
from amiss.training import attributes_for

__all__ = ["attributes", "cohort", "draw_attributes", "draw_cohort", "groups", "mistaken"]

Values = dict[str, Any]

_KINDS = (("earrings", 1, "missed earrings"), ("mustache", 0, "false mustache"), ("mustache", 1, "missed mustache"))
_EACH = 3  # examples of each kind
_SHOWN = 8  # men of the cohort that are shown, at most
_LEARN, _ASK = 1_000_000, 2_000_000  # seeds of faces that nothing else is drawn from


def _network(world: World) -> tuple[nn.Module, dict[str, Any]]:
    """A network of many labels that has seen too few faces, and its facts."""
    faces = sample_faces(world.effort.faces, _LEARN + world.seed).images()
    preset = attributes_for(faces, BINARY, world.seed, float(world.effort.epochs))
    return world.trained("attributes", preset, faces, "Training a classifier of attributes")


def attributes(world: World) -> Values:
    """Figure 6: attributes that a network of many labels gets wrong, and what would have put each right.

    Args:
        world: Seed, effort and progress.
    """
    network, facts = _network(world)
    faces = sample_faces(world.effort.cohort, _ASK + world.seed)
    images = faces.images()
    kinds = []
    for k, (name, true, says) in enumerate(_KINDS):
        world.tell("Repairing attributes", k, len(_KINDS))
        classifier = Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["heads"], head=name)
        truth = faces[name].long()
        answers = torch.cat([classifier.predict(images.images(rows)) for rows in _parts(len(images))])
        wrong = ((truth == true) & (answers != truth)).nonzero().flatten()
        task = _task(images, wrong[: world.effort.repairs], true)
        result = _repaired(world, classifier, task)
        met = result.met.nonzero().flatten().tolist()
        kinds.append(
            {
                "says": says,
                "attribute": name,
                "true": true,
                "classes": list(classifier.labels or ()),
                "faces": int((truth == true).sum()),
                "mistakes": len(wrong),
                "tried": len(task),
                "repaired": len(met),
                "place": _where(faces, wrong[: world.effort.repairs], name, result),
                "cases": [_triple(result, i, classifier) for i in met[:_EACH]],
            }
        )
    told = [_told(kind) for kind in kinds]
    says = (
        "Attributes that a network of many labels, trained on {} faces, gets wrong: each image x, the change x' - x "
        "from white (brighter) over gray to black (darker), and x'. {}. Density: how many times denser the squared "
        "change is where the attribute is drawn than over the whole image."
    )
    if not any(kind["cases"] for kind in kinds):
        return {"found": False, "kinds": kinds, "says": says.format(world.effort.faces, "; ".join(told))}
    return {"kinds": kinds, "says": says.format(world.effort.faces, "; ".join(told))}


def _told(kind: Values) -> str:
    """What became of one kind of mistake."""
    dense = "" if kind["place"] is None else f", density {kind['place']:.1f}"
    return f"{kind['says']}: {kind['repaired']} of {kind['tried']} repaired ({kind['mistakes']} mistakes){dense}"


def _repaired(world: World, classifier: Classifier, task: Task) -> Result:
    """The first flips along the demo's decoder, with a margin of half a logit, on what a file can hold."""
    bound = LatentNorm(0.0) & Quantized()
    probe = Probe(Latent(demo_decoder()), Become(margin=0.5), bound, Adam(0.05), "met", Budget(100), world.seed)
    return probe.run(classifier, task)


def _parts(n: int) -> tuple[Tensor, ...]:
    return torch.arange(n).split(250)


def _task(images: Any, rows: Tensor, target: int) -> Task:
    """Some faces, each wanting one answer."""
    part: Task = images.task(rows)
    wanted = torch.full((len(rows),), target)
    return Task(part.key, part.image, wanted, wanted)


def _triple(result: Result, i: int, classifier: Classifier) -> Values:
    """An image, its change and the image changed, with the classifier's answers to both."""
    assert result.task.image is not None  # noqa: S101 - repairs start from images
    before, after = (_bytes(images[i]) for images in (result.task.image, result.images))
    pair = torch.stack([before, after]).float() / 255
    said = classifier.outputs(pair)["answer"].softmax(1).detach()
    return {
        "image": before.tolist(),
        "change": (after - before).tolist(),
        "repaired": after.tolist(),
        "answers": said.argmax(1).tolist(),
        "probability": said[:, 1].tolist(),
        "sample": i,
    }


def _bytes(image: Tensor) -> Tensor:
    return (image * 255).round().int()


def _where(faces: Faces, rows: Tensor, attribute: str, result: Result) -> float | None:
    """How many times denser the repairs' squared change is where the attribute is drawn than over the whole face.

    That place is each face's own: the pixels that drawing it with and without the attribute tells apart by more than
    a twentieth of the range. At 1 the repairs know nothing of it.
    """
    met = result.met
    if not bool(met.any()):
        return None
    chosen = faces.pick(rows)
    there = redraw(chosen, attribute, 1.0).int() - redraw(chosen, attribute, 0.0).int()
    region = there.abs().amax(1) > 255 / 20
    assert result.task.image is not None  # noqa: S101
    energy = (result.images - result.task.image).square().sum(1)
    inside, whole = (energy * region)[met].sum(), energy[met].sum()
    area = region[met].float().mean()
    return float(inside / whole / area) if float(area) > 0 else None


def mistaken(values: Values) -> list[Values]:
    """One row a kind of mistake.

    Args:
        values: Of figure 6.
    """
    keys = ("says", "faces", "mistakes", "tried", "repaired", "place")
    return [{key: kind[key] for key in keys} for kind in values["kinds"]]


def draw_attributes(values: Values) -> Any:
    """A row a kind of mistake, its examples as triples side by side.

    Args:
        values: Of figure 6.
    """
    kinds = [kind for kind in values["kinds"] if kind["cases"]]
    figure, axes = draw.canvas(len(kinds), 3 * _EACH, 9.6, 1.5 * len(kinds))
    for row, kind in zip(axes, kinds, strict=True):
        for cell in row:
            draw.blank(cell)
        for k, case in enumerate(kind["cases"]):
            before, middle, after = row[3 * k : 3 * k + 3]
            names = [kind["classes"][answer] for answer in case["answers"]]
            most = max(abs(v) for plane in case["change"] for line in plane for v in line) or 1
            draw.picture(before, case["image"], draw.plain(names[0]))
            draw.change(middle, case["change"], -most, most, "gray", "x' - x")
            draw.picture(after, case["repaired"], draw.plain(names[1]))
        row[0].set_ylabel(kind["says"])
    return figure


def cohort(world: World) -> Values:
    """Figure 10: men with long hair whom the demo's classifier calls not male, their repairs, and what is common.

    Args:
        world: Seed, effort and progress.
    """
    classifier = demo_classifier()
    faces = sample_faces(world.effort.cohort, _ASK + world.seed)
    images = faces.images()
    answers = torch.cat([classifier.predict(images.images(rows)) for rows in _parts(len(images))])
    long = faces["hair"] > 0.5
    table = []
    for label, name in enumerate(CLASSES):
        for hair, has in (("short", ~long), ("long", long)):
            group = (answers != label)[(faces.labels == label) & has]
            table.append({"truth": name, "hair": hair, "faces": len(group), "wrong": int(group.sum())})
    rows = ((faces.labels == 1) & (answers == 0) & long).nonzero().flatten()
    missed = int(((faces.labels == 1) & (answers == 0)).sum())
    base = {"table": table, "missed": missed, "long": len(rows)}
    if not len(rows):
        return base | {"found": False, "says": f"Of {missed} men called not male none has long hair."}
    task = _task(images, rows[: world.effort.repairs], 1)
    world.tell("Repairing the cohort", 0, 1)
    result = _repaired(world, classifier, task)
    met = result.met.nonzero().flatten()
    if not len(met):
        return base | {"found": False, "says": f"None of {len(task)} men with long hair could be repaired."}
    assert task.image is not None  # noqa: S101
    change = (result.images - task.image)[met]
    chosen = faces.pick(rows[: world.effort.repairs][met])
    redrawn = {
        name: _cosine(change, (redraw(chosen, name, value).float() / 255 - task.image[met]))
        for name, value in (("hair", 0.15), ("jaw", 1.0), ("brow", 1.0), ("glasses", 1.0))
    }
    says = (
        "Men with long hair whom the demo's classifier calls not male ({} of the {} men that it misses), their "
        "repairs, and the changes: {} of {} repaired. Right: the mean change. Its cosine with the mean change of the "
        "same faces redrawn: hair short {:.2f}, jaw wide {:.2f}, brow thick {:.2f}, glasses {:.2f}."
    )
    said = says.format(len(rows), missed, len(met), len(task), *redrawn.values())
    return base | {
        "tried": len(task),
        "repaired": len(met),
        "cases": [_triple(result, i, classifier) for i in met[:_SHOWN].tolist()],
        "classes": list(CLASSES),
        "mean_change": (change.mean(0) * 255).tolist(),
        "cosine_redrawn": redrawn,
        "says": said,
    }


def _cosine(a: Tensor, b: Tensor) -> float:
    """Cosine between two mean changes; 0 where one of them is nothing."""
    return float(F.cosine_similarity(a.mean(0).flatten(), b.mean(0).flatten(), dim=0))


def groups(values: Values) -> list[Values]:
    """One row for each truth and length of hair.

    Args:
        values: Of figure 10.
    """
    rows: list[Values] = values["table"]
    return rows


def draw_cohort(values: Values) -> Any:
    """Images, changes and repairs in three rows, and the mean change beside them, all on one scale of change.

    Args:
        values: Of figure 10.
    """
    columns = len(values["cases"])
    figure, axes = draw.canvas(3, columns + 1, 1.05 * (columns + 1) + 0.8, 3.3)
    most = 32
    for k, case in enumerate(values["cases"]):
        names = [values["classes"][answer] for answer in case["answers"]]
        draw.picture(axes[0, k], case["image"], names[0])
        bar = draw.change(axes[1, k], case["change"], -most, most, "RdBu")
        draw.picture(axes[2, k], case["repaired"], names[1])
    for cell in axes[:, -1]:
        draw.blank(cell)
    draw.change(axes[1, -1], values["mean_change"], -most, most, "RdBu", f"mean of {values['repaired']}")
    figure.colorbar(bar, ax=axes[:, -1], shrink=0.7, label="change in gray levels")
    return figure
