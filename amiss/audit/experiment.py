"""What the experiments share: a run folder that is begun or gone on with, and the studies that it holds."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amiss.classifier import Classifier
from amiss.errors import DataError
from amiss.study import CONFIG, RUN, Inputs, Store, Study, held
from amiss.study.identity import refuse_other
from amiss.study.tables import write_inputs

__all__ = ["begun", "refuse_strange", "studies_of"]


@contextmanager
def begun(
    out: Path,
    fingerprints: Mapping[str, str],
    about: Mapping[str, Any],
    settings: str,
    inputs: Inputs,
    classifier: Classifier,
    batch: int,
) -> Iterator[None]:
    """Hold a run folder for the length of a block, with its settings and its inputs written.

    Args:
        out: The folder.
        fingerprints: What makes two runs the same, by name.
        about: What `run.json` shall say beside that. Plain values.
        settings: The text of `config.toml`; empty where no command made the run.
        inputs: The samples.
        classifier: Who is asked of them.
        batch: Images a pass.

    Raises:
        DataError: The folder holds a run of something else, or another process is at work in it.
    """
    with held(store := Store(out), fingerprints, about, classifier.device):
        if settings:
            store.write_once(CONFIG, settings)
        write_inputs(store, inputs, classifier, batch)
        yield


def refuse_strange(out: Path, fingerprints: Mapping[str, str], name: str, command: str) -> None:
    """Refuse a folder that holds no such run.

    Args:
        out: The folder.
        fingerprints: What makes two runs the same, by name.
        name: Of the experiment.
        command: That begins one.

    Raises:
        DataError: It holds none, or one of something else.
    """
    there = Store(out).about
    if there is None:
        raise DataError(
            f"No run of {name} lies in {str(out)!r}.",
            slug="run-missing",
            seen=f"no {RUN}",
            needed=f"a folder that `amiss run {name} --out` made",
            hint=f"{command} --out DIR",
        )
    refuse_other(there["fingerprints"], fingerprints, str(out))


def studies_of(read: Callable[..., object]) -> tuple[tuple[Study, ...], bool]:
    """The studies of an experiment in their order up to the first that is not finished, and whether these are all.

    Args:
        read: Reads the experiment, and calls its `visit` with each study before that is read.

    Raises:
        DataError: As `read` does.
    """
    found: list[Study] = []
    try:
        read(visit=found.append)
    except DataError as error:
        if error.slug != "run-unfinished":
            raise
        return tuple(found), False
    return tuple(found), True
