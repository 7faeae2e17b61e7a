"""A run with its model once more: its successes judged anew, and all that follows from its shards made anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amiss.cli.auditing import AUDITS, account_of, open_audit, write_account
from amiss.cli.config import RunConfig
from amiss.cli.experiments import EXPERIMENTS
from amiss.cli.folder import RECORD
from amiss.cli.gates import settled
from amiss.cli.running import Tell, derive, open_work
from amiss.errors import DataError
from amiss.gates import Gate, parse
from amiss.study import Store, Study
from amiss.study.check import failing
from amiss.study.hold import MODELS
from amiss.study.identity import experiment, refuse_other
from amiss.study.lock import locked
from amiss.study.tables import write_inputs, write_results

__all__ = ["Checked", "checked", "rebuilt"]

Checked = dict[str, tuple[Study, list[tuple[int, str]]]]
"""By name of the study: it, and (position, why) of each success that its files do not hold."""


def checked(config: RunConfig, folder: Path, device: str | None, tell: Tell) -> tuple[Checked, bool]:
    """Judge every success of a run or an audit by its files; nothing is written.

    Returns:
        What was judged, by study, and whether that is all of the audit.

    Raises:
        DataError: Model, data or settings are not those that the run was made with.
    """
    if config.recipe in EXPERIMENTS:
        experiment = EXPERIMENTS[config.recipe].opened(config, device=device).experiment
        return _failing(*experiment.studies(folder, progress=tell), tell)
    if config.recipe not in AUDITS:
        work = open_work(config, folder, device=device, tell=tell)
        refuse_other(_fingerprints(folder), work.study.fingerprints, str(folder))
        return {config.recipe: (work.study, failing(work.study, _judging(tell, config.recipe)))}, True
    from amiss.audit import audit_studies

    _refuse_untrained(config, folder)
    audit = open_audit(config, folder, device=device, quiet=True)
    return _failing(*audit_studies(audit.classifier, audit.images, folder, **audit.given, progress=tell), tell)


def rebuilt(config: RunConfig, folder: Path, device: str | None, tell: Tell) -> dict[str, Any]:
    """Remake images, tables, flags, record and report of a run or an audit from its shards.

    Returns:
        The record of the report.

    Raises:
        DataError: Model, data or settings are not those that the run was made with; another process is at work; or
            an audit is not finished.
    """
    if config.recipe in EXPERIMENTS:
        opened, store = EXPERIMENTS[config.recipe].opened(config, device=device), Store(folder)
        with locked(folder, store.disk):
            found = opened.experiment.read(folder, progress=tell, visit=_mended)
            write_inputs(store, found.inputs, opened.classifier, config.batch)
            return opened.write(found, folder, tell, _gates(folder / opened.file))
    if config.recipe not in AUDITS:
        work = open_work(config, folder, device=device, tell=tell)
        _mended(work.study)
        return derive(work, tell)
    from amiss.audit import read_audit, write_answers

    _refuse_untrained(config, folder)
    audit = open_audit(config, folder, device=device, quiet=True)
    store, given = Store(folder), {**audit.given, "judge": audit.judge}
    with locked(folder, store.disk):
        found = read_audit(audit.classifier, audit.images, folder, **given, progress=tell, visit=_mended)
        write_answers(store, found.images, found.predicted)
        tell("Writing the report", 0, 1)
        account = account_of(found, audit, folder, str((store.about or {}).get("command", "")))
        settled(_gates(folder / RECORD), account, account["figures"])
        write_account(account, folder)
    return account


def _failing(studies: tuple[Study, ...], whole: bool, tell: Tell) -> tuple[Checked, bool]:
    """Each study of an audit or an experiment by its name, with the successes that its files do not hold."""
    names = [Path(study.folder).name for study in studies]
    return {
        name: (study, failing(study, _judging(tell, name))) for name, study in zip(names, studies, strict=True)
    }, whole


def _mended(study: Study) -> None:
    """Take out of a study what cannot be believed, and remake its images and tables."""
    store = study.store
    if store.about is None:  # an audit that did not get so far
        return
    refuse_other(_fingerprints(study.folder), study.fingerprints, str(study.folder))
    with locked(study.folder, study.disk):
        found = store.mend(store.recover(experiment(study.fingerprints)))
        write_inputs(store, study.inputs, study.classifier, study.probe.batch)
        write_results(store, study.inputs, found.entries)


def _fingerprints(folder: Path) -> dict[str, str]:
    return (Store(folder).about or {"fingerprints": {}})["fingerprints"]


def _gates(record: Path) -> tuple[Gate, ...]:
    """The gates that a run was held to, to be judged by the same figures once more."""
    try:
        said = json.loads(record.read_text(encoding="utf-8"))
        return tuple(parse(gate["text"]) for gate in said["gates"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _refuse_untrained(config: RunConfig, folder: Path) -> None:
    """What was trained on the spot is not trained once more: it would be another model."""
    if config.recipe == "digits" and len(list((folder / MODELS).glob("*.safetensors"))) < 2:
        raise DataError(
            "The models of this audit are gone.",
            slug="run-models",
            seen=f"no classifier and decoder in {folder / MODELS}",
            needed="both, as the audit trained them",
            why="the folder was copied without them",
            hint="Restore them, or begin anew: amiss audit digits --out DIR --overwrite",
        )


def _judging(tell: Tell, name: str) -> Callable[[int, int], None]:
    return lambda done, n: tell(f"Judging the successes of {name}", done, n)
