"""Every success of a run judged once more, from the files as they lie there now."""

from collections.abc import Callable
from itertools import groupby

from amiss.study.identity import experiment
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
    store = study.store
    found = store.recover(experiment(study.fingerprints))
    lost = [(e.sample, "its file is gone, or shows another image") for e in found.spoiled if e.outcome.met]
    entries = [entry for _, entry in sorted(found.entries.items()) if entry.outcome.met]
    done = 0
    for shard, group in groupby(entries, key=lambda entry: entry.shard):
        own = list(group)
        result = store.result(shard, study.inputs.rows([entry.sample for entry in own]), own)
        paths = [store.image_path(entry.id, entry.sample) for entry in own]
        judged = verify(
            study.probe, study.classifier, result.task, result.images, paths, result.p, study.votes, lambda *_: None
        )
        lost += [
            (entry.sample, "its file does not hold it")
            for entry, held in zip(own, judged.held.tolist(), strict=True)
            if not held
        ]
        done += len(own)
        if progress is not None:
            progress(done, len(entries))
    return sorted(lost)
