"""Every success of a run judged once more, from the files as they lie there now."""

from collections.abc import Callable

from amiss.errors import AmissError
from amiss.study.study import Study
from amiss.trust import verify

__all__ = ["failing"]


def failing(study: Study, progress: Callable[[int, int], None] | None = None) -> list[tuple[int, str]]:
    """The successes that their files do not hold: alone, in a batch, inside the constraint.

    Args:
        study: With the model and the data that the run was made with.
        progress: Called with (successes judged, successes in all) after each shard.

    Returns:
        (position of the sample, why) of each; empty where every success is one.
    """
    entries = [entry for _, entry in sorted(study.store.recover().entries.items()) if entry.outcome.met]
    lost: list[tuple[int, str]] = []
    done = 0
    for shard in sorted({entry.shard for entry in entries}):
        samples = [entry.sample for entry in entries if entry.shard == shard]
        held = study.read(samples)
        result, paths = held.result, held.paths
        readable = [k for k, path in enumerate(paths) if path.is_file()]
        lost += [(samples[k], "its file is gone") for k in range(len(samples)) if k not in readable]
        part = result.pick(readable)
        files = [paths[k] for k in readable]
        try:
            judged = verify(
                study.probe, study.classifier, part.task, part.images, files, part.p, study.votes, lambda *_: None
            )
            held_now = judged.held.tolist()
        except AmissError as error:  # a file that is no image any more, or of another size
            held_now = []
            lost += [(samples[k], error.what) for k in readable]
        lost += [(samples[k], "its file does not hold it") for k, ok in zip(readable, held_now, strict=False) if not ok]
        done += len(samples)
        if progress is not None:
            progress(done, len(entries))
    return lost
