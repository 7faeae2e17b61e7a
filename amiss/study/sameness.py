"""Whether two runs came to the same: one digest of everything in a run folder but clocks and sessions."""

from dataclasses import asdict

from amiss.disk import PART
from amiss.repro import digest
from amiss.study.ledger import read_ledger
from amiss.study.store import LEDGER, Store
from amiss.study.tables import INPUTS, RESULTS
from amiss.tensorfile import contents_digest, read_tensors

__all__ = ["run_digest"]


def run_digest(store: Store) -> str:
    """One digest of what a run left behind: equal for two runs of one experiment, however often they were stopped.

    It takes in the ledger without seconds, the last line of each sample; tensors by their contents, for the header
    of their file has no order; images and tables byte for byte; and what should be gone by the end: states, and
    files that were not finished.

    Raises:
        CheckpointError: A file of tensors is damaged.
    """
    entries = read_ledger(store.folder / LEDGER).entries
    told = [{k: v for k, v in asdict(entries[i]).items() if k != "seconds"} for i in sorted(entries)]
    parts: list[str | bytes] = [repr(told)]
    files = [store.folder / INPUTS, store.folder / RESULTS]
    files += sorted(store.folder.glob("images/*/*"))
    files += sorted(store.folder.rglob(f".*{PART}"))
    for path in files:
        parts += [path.relative_to(store.folder).as_posix(), path.read_bytes() if path.is_file() else b""]
    for path in sorted([*store.folder.glob("tensors/*.safetensors"), *store.folder.glob("state/*.safetensors")]):
        parts += [path.relative_to(store.folder).as_posix(), contents_digest(*read_tensors(path))]
    return digest(*parts)
