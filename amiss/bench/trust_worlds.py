"""Trust flags: every hostile world raises its own and no other, and healthy networks raise none."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from amiss.bench.bench import Run, Skip
from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.demo import demo_classifier, demo_decoder, demo_faces
from amiss.loading import open_classifier
from amiss.recipes import pgd
from amiss.repro import generator
from amiss.spaces.latent import Codec
from amiss.testing.hostile import HOSTILE
from amiss.training import presets, train
from amiss.trust import survey

__all__ = ["worlds"]

_EPS = 8 / 255
_EXAMPLES = Path("examples")
_NETWORKS = (
    ("mobilenet_v1.py", "mobilenetv1_025", 128, 48),
    ("mobilenet_v1.py", "mobilenetv1_050", 160, 48),
    ("mobilenet_v2.py", "mobilenet_v2", 224, 16),
)
"""File, function, side and number of photographs."""


@dataclass(frozen=True)
class _Case:
    """A classifier with its images, and what a survey of it must end in."""

    name: str
    classifier: Classifier
    images: Images
    decoder: Codec | None = None
    flags: frozenset[str] = frozenset()
    raises: str = ""


def worlds(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Survey each under PGD at 8/255: a flag too many or too few is an error, and so is another refusal."""
    torch.set_num_threads(1)
    wrong: dict[str, list[str]] = {}
    names = []
    for case in _cases(run):
        attack = pgd(_EPS, 40, seed=run.seed)
        seen = survey(case.classifier, case.images, attack, decoder=case.decoder, seed=run.seed)
        errors = sorted(seen.fired ^ case.flags) + ([seen.raised or "ran"] if seen.raised != case.raises else [])
        names.append(case.name)
        if errors:
            wrong[case.name] = errors
    return {"flag_errors": float(sum(map(len, wrong.values())))}, {"surveyed": names, "wrong": wrong}


def _cases(run: Run) -> Iterator[_Case]:
    for hostile in HOSTILE:
        world = hostile.make(run.seed)
        yield _Case(hostile.name, world.classifier, world.images, world.decoder, hostile.flags, hostile.raises)
    yield _Case("faces", demo_classifier(), demo_faces(100), demo_decoder())
    learned, asked = open_data("digits", split="train"), open_data("digits")
    trained = train(presets.classifier_for(learned, seed=run.seed), learned, asked)
    mean, std, classes = (trained.facts[name] for name in ("mean", "std", "classes"))
    digits = Classifier(trained.model.eval(), mean=mean, std=std, labels=classes)
    yield _Case("digits", digits, asked.pick(slice(0, 100)))
    if not run.quick:
        yield from _photographs(run)


def _photographs(run: Run) -> Iterator[_Case]:
    """The networks for photographs that the examples load; all photographs are drawn from, a few are attacked."""
    if not _EXAMPLES.is_dir():
        raise Skip("run it from the root of the project, where examples/ lies")
    folder = str(run.data("imagenet-200"))
    for file, name, size, count in _NETWORKS:
        photos = open_data(folder, size=size, channels=3)
        some = torch.randperm(len(photos), generator=generator(run.seed))[:count]
        yield _Case(name, open_classifier(f"{_EXAMPLES / file}:{name}"), photos.pick(some))
