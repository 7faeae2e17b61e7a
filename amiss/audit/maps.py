"""Maps of code space for some cases of an audit: the atlas of its report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from amiss.analysis import atlas_record, trace
from amiss.audit.repairs import Repairs
from amiss.classifier import Classifier
from amiss.data import Images, write_png
from amiss.spaces.latent import Codec

__all__ = ["atlas"]

_NODES = 31
_THUMBS = 9


def atlas(
    classifier: Classifier, codec: Codec, images: Images, part: Repairs, cases: dict[str, int], out: Path, batch: int
) -> dict[str, Any]:
    """Search for some repairs once more, note where the searches go, and map the planes that they go through.

    Args:
        classifier: Who is asked.
        codec: Encoder and decoder.
        images: All images.
        part: Whose search it is.
        cases: Position of each case by its id.
        out: Run folder; the decoded images are written to its `atlas`.
        batch: Images a pass.

    Returns:
        What the page draws.
    """
    task = images.task(torch.tensor(list(cases.values())))
    result, paths = trace(part.probe, classifier, replace(task, target=task.label).to(classifier.device))
    made, pictures = atlas_record(
        classifier, codec, result, paths, ids=list(cases), n=_NODES, thumbs=_THUMBS, batch=batch
    )
    (out / "atlas").mkdir(exist_ok=True)
    for name, picture in pictures.items():
        write_png(out / name, picture)
    return made
