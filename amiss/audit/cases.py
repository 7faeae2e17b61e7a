"""The cases that a report of an audit shows: mistakes, what each method made of them, and what is said of them."""

from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from amiss.audit.audit import Audit
from amiss.audit.findings import finding_id
from amiss.audit.frames import number, read_frames
from amiss.audit.repairs import Repairs
from amiss.classifier import Classifier
from amiss.data import to_bytes, write_png

__all__ = ["cases", "shown"]

_CASES = 24


def shown(audit: Audit) -> dict[str, int]:
    """The mistakes to show: by the id of the case, which of the audit's mistakes it is."""
    return {f"{audit.images.ids[i][:16]}-{i}": k for k in _varied(audit) for i in [int(audit.mistakes[k])]}


def cases(audit: Audit, classifier: Classifier, names: tuple[str, ...], out: Path) -> list[dict[str, Any]]:
    """The cases as JSON values; the pictures they name are written under `out`.

    Args:
        audit: What was found.
        classifier: Who names every frame.
        names: Of the classes.
        out: Run folder.
    """
    images, labels = audit.images, audit.images.truth
    made = []
    for case_id, k in shown(audit).items():
        i = int(audit.mistakes[k])
        original = f"images/original/{case_id}.png"
        (out / original).parent.mkdir(parents=True, exist_ok=True)
        write_png(out / original, images.pixels[i])
        first = next(iter(audit.repairs.values()))
        verified = bool(first.verified[k])
        judged = first.judged_before
        made.append(
            {
                "id": case_id,
                "name": images.names[i],
                "true": names[int(labels[i])],
                "predicted": names[int(audit.predicted[i])],
                "repaired_as": names[int(labels[i])] if verified else None,
                "outcome": first.result.outcomes[k].status,
                "verified": verified,
                "original": original,
                "findings": _findings(audit, i),
                "answers": _answers(audit, classifier, names, k),
                "judge": None if judged is None else names[int(judged[k])],
                "repairs": [
                    _repair(name, part, k, int(labels[i]), classifier, names, case_id, out)
                    for name, part in audit.repairs.items()
                ],
            }
        )
    return made


def _repair(
    name: str,
    part: Repairs,
    k: int,
    label: int,
    classifier: Classifier,
    names: tuple[str, ...],
    case_id: str,
    out: Path,
) -> dict[str, Any]:
    """One method's repair of one case, with its frames named by the classifier."""
    outcome, path = part.result.outcomes[k], part.result.trajectories[k]
    folder = Path(part.paths[k]).parent / "frames"
    (out / folder).mkdir(parents=True, exist_ok=True)
    files = [f"{folder.as_posix()}/{case_id}-{j:02d}.png" for j in range(len(path.frames))]
    for file, frame in zip(files, path.frames, strict=True):
        write_png(out / file, frame)
    margins, answers = read_frames(classifier, path.frames, label)
    return {
        "method": name,
        "image": part.paths[k],
        "outcome": outcome.status,
        "l2": number(float(part.result.l2[k])),
        "linf": number(float(part.result.linf[k])),
        "steps": outcome.steps,
        "margin": margins[-1],
        "judge": None if part.judged is None else names[int(part.judged[k])],
        "verified": bool(part.verified[k]),
        "reason": outcome.reason,
        "frames": files,
        "frame_steps": path.frame_turns.tolist(),
        "frame_margins": margins,
        "frame_labels": [names[a] for a in answers],
    }


def _varied(audit: Audit) -> list[int]:
    """Cases to show: the kinds of mistake in turn, the most frequent first."""
    labels = audit.images.truth
    kinds: dict[tuple[int, int], list[int]] = {}
    for k, i in enumerate(audit.mistakes.tolist()):
        kinds.setdefault((int(labels[i]), int(audit.predicted[i])), []).append(k)
    columns = sorted(kinds.values(), key=len, reverse=True)
    return [k for row in zip_longest(*columns) for k in row if k is not None][:_CASES]


def _findings(audit: Audit, i: int) -> list[str]:
    """The claims about the kind of mistake that an image is."""
    tested = () if audit.findings is None else audit.findings.tested
    kind = int(audit.images.truth[i]), int(audit.predicted[i])
    return [
        finding_id(one, place)
        for place, one in enumerate(tested)
        if one.verdict == "misuse" and (one.true, one.predicted) == kind
    ]


@torch.no_grad()
def _answers(audit: Audit, classifier: Classifier, names: tuple[str, ...], k: int) -> dict[str, str] | None:
    """What the classifier calls an image, what the decoder keeps of it, and both with the change of LSE."""
    changes = audit.repairs["LSE"].result if audit.codec is not None else None
    if audit.codec is None or changes is None or not isinstance(changes.p, torch.Tensor):
        return None
    image = audit.images.images([int(audit.mistakes[k])]).to(classifier.device)
    z = audit.codec.encode(image)
    both = audit.codec.decode(torch.cat([z, z + changes.p[k].to(z)]))
    pictures = torch.cat([image, both, changes.images[k][None].to(image)])
    called = classifier.predict(to_bytes(pictures).to(torch.float32) / 255).tolist()
    return dict(zip(("x", "gz", "plain", "moved"), (names[c] for c in called), strict=True))
