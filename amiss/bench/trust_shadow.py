"""Every success that is shown, judged again from the files alone: by nothing that had a part in finding it."""

import csv
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from amiss.audit import Plan, run_audit
from amiss.bench.bench import Run
from amiss.bench.trust_studies import KINDS, rotten
from amiss.classifier import Classifier
from amiss.demo import demo_classifier, demo_decoder, demo_faces
from amiss.study import Study

__all__ = ["false_imposters", "false_successes", "shadow"]

_HAIR = 1e-5  # logits, which another batch may round otherwise
_SLACK = 1e-6  # of a pixel's range

Logits = Callable[[Tensor], Tensor]


def shadow(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Successes that are shown and are none, in studies with every kind of rot in them and in an audit of faces.

    The studies: three honest ones; smallest changes that eight bits do not hold; radii that rounding leaves; an
    optimizer that projects nothing; a network that answers by what stands beside an image. The audit is that of the
    demo's classifier, with repairs, attacks, nonsense, and imposters, whose features are read by a hook.
    """
    shown: dict[str, int] = {}
    false: dict[str, int] = {}
    claimed: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        studies: dict[str, Study] = {name: kind(place / name, run.seed) for name, kind in KINDS.items()}
        studies |= rotten(place, run.seed)
        for name, study in studies.items():
            study.run()
            images = study.inputs.rows(range(len(study.inputs))).image
            assert images is not None  # noqa: S101
            known = dict(zip(study.inputs.ids, images, strict=True))
            shown[name], false[name] = false_successes(study.store.folder, study.classifier.network, known)
            claimed[name] = sum(entry.claimed for entry in study.store.recover().entries.values())
        faces = demo_faces(60 if run.quick else 300)
        plan = Plan(
            attacked=20 if run.quick else 128,
            epsilons=(2 / 255, 4 / 255, 8 / 255, 16 / 255),
            imposters=8 if run.quick else 40,
            seed=run.seed,
        )
        asked = demo_classifier()
        run_audit(asked, faces, place / "audit", decoder=demo_decoder(), plan=plan)
        originals = faces.images().double()
        known = dict(zip(faces.ids, originals, strict=True))
        named = dict(zip(faces.names, originals, strict=True))
        for part in sorted((place / "audit" / "studies").iterdir()):
            name = f"audit, {part.name}"
            if part.name.startswith("imposters"):
                shown[name], false[name] = false_imposters(part, asked, named)
            else:
                shown[name], false[name] = false_successes(part, lambda x: asked.outputs(x)["answer"], known)
    figures = {"shadow_successes": float(sum(false.values()))}
    return figures, {"shown": shown, "false": false, "claimed": claimed}


def false_successes(folder: Path, logits: Logits, originals: Mapping[str, Tensor]) -> tuple[int, int]:
    """How many successes a run folder shows, and how many of them its files do not hold.

    Each PNG is read by Pillow; the network is asked about it alone and about all of them in batches of 32; what is
    wanted, and how far from the original it may lie, is read from the words in `run.json`.

    Args:
        folder: A run folder.
        logits: Images [N, C, H, W], float64 in [0, 1], to logits [N, m].
        originals: Images [C, H, W] by id.
    """
    words, rows = _told(folder)
    if not rows:
        return 0, 0
    seen = torch.stack([_read(folder / row["image"]) for row in rows])
    with torch.no_grad():
        batch = torch.cat([logits(part) for part in seen.split(32)])
        alone = torch.cat([logits(x[None]) for x in seen])
    false = 0
    for i, row in enumerate(rows):
        good = _met(words, alone[i], row) and _met(words, batch[i], row)
        false += not (good and _near(words, seen[i], originals.get(row["id"])))
    return len(rows), false


def false_imposters(folder: Path, classifier: Classifier, originals: Mapping[str, Tensor]) -> tuple[int, int]:
    """The same of images whose hidden features shall be near a guide's: their files are read, the layer is heard.

    Args:
        folder: A run folder.
        classifier: Its network is a module.
        originals: Images [C, H, W] by name, sources and guides: a row is named "SOURCE as GUIDE".
    """
    words, rows = _told(folder)
    layer, near = re.search(r"Mimic\(layer='([^']+)', near=([\d.e-]+)", words).groups()  # type: ignore[union-attr]
    false = 0
    for row in rows:
        source, guide = (originals[name] for name in row["name"].split(" as "))
        seen = _read(folder / row["image"])
        at, begun, wanted = (_heard(classifier, layer, x[None]) for x in (seen, source, guide))
        ratio = float((at - wanted).norm() / (begun - wanted).norm())
        false += not (ratio <= float(near) + _HAIR and _near(words, seen, source))
    return len(rows), false


def _heard(classifier: Classifier, layer: str, x: Tensor) -> Tensor:
    """What a layer says of an image [1, C, H, W], flat, float64."""
    heard: list[Tensor] = []
    assert isinstance(classifier.network, nn.Module)  # noqa: S101
    module = classifier.network.get_submodule(layer)
    handle = module.register_forward_hook(lambda _module, _inputs, out: heard.append(out.detach()))
    try:
        classifier.predict(x)
    finally:
        handle.remove()
    return heard[0].double().flatten()


def _told(folder: Path) -> tuple[str, list[dict[str, str]]]:
    """The words that say what was searched for, and the rows of the successes."""
    words: str = json.loads((folder / "run.json").read_text())["fingerprints"]["probe"]
    with (folder / "results.csv").open(newline="") as table:
        return words, [row for row in csv.DictReader(table) if row["status"] in ("met", "already-met")]


def _met(words: str, logits: Tensor, row: Mapping[str, str]) -> bool:
    """Whether the objective in these words is met."""
    if found := re.search(r"Confidence\((?:\w+=)?([\d.e-]+)", words):
        return float(logits.double().softmax(0)[int(row["target"])]) >= float(found[1]) - _HAIR
    margin = float(re.search(r"margin=([\d.e-]+)", words)[1])  # type: ignore[index]
    away = "Avoid(" in words
    own = int(row["label"] if away else row["target"])
    rest = torch.cat([logits[:own], logits[own + 1 :]]).amax()
    ahead = float(rest - logits[own]) if away else float(logits[own] - rest)
    return ahead >= margin - _HAIR


def _near(words: str, image: Tensor, original: Tensor | None) -> bool:
    """Whether a change lies within the radius in these words."""
    for norm, name in ((torch.inf, "Linf"), (2, "L2")):
        if found := re.search(rf"\b{name}\(eps=([\d.e-]+)", words):
            assert original is not None  # noqa: S101
            far = float(torch.linalg.vector_norm(image - original.double(), norm))
            return far <= float(found[1]) + _SLACK
    return True


def _read(path: Path) -> Tensor:
    """An image file in [0, 1], float64 [C, H, W]."""
    with Image.open(path) as image:
        values = torch.from_numpy(np.array(image)).double() / 255
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1)
