"""An audit from its settings: its model, data, decoder and judge, however they are named."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.classifier import Classifier
from amiss.cli.command import data_name, model_name
from amiss.cli.config import RunConfig
from amiss.cli.flags import FLAGS
from amiss.cli.folder import CARD, FINDINGS, RECORD
from amiss.cli.model import named
from amiss.data import Images, open_data
from amiss.disk import Disk
from amiss.errors import UsageError
from amiss.loading import check_fit, open_classifier, open_decoder
from amiss.spaces.latent import Codec
from amiss.study.hold import MODELS

if TYPE_CHECKING:
    from amiss.audit import Audit, Plan
    from amiss.audit.findings import Redraw

__all__ = ["AUDITS", "AuditWork", "account_of", "open_audit", "plan_of", "settings_of_plan", "write_account"]

AUDITS = ("audit", "digits", "demo")
"""What `config.toml` calls the audits, where it names a recipe for other runs."""


@dataclass(frozen=True)
class AuditWork:
    """An audit with everything open that it needs.

    Attributes:
        config: What was asked.
        plan: How thorough it is.
        classifier: Whom it is about.
        images: Labeled images.
        decoder: What repairs go along, where it was given.
        judge: An independent classifier, where one was given.
        model: How the classifier is called.
        data: How the images are called.
        remark: What the reader must know and the audit cannot: (title, text), or None.
        redraw: Draws the same images anew, where they come from a world that can.
    """

    config: RunConfig
    plan: "Plan"
    classifier: Classifier
    images: Images
    decoder: Codec | None
    judge: Classifier | None
    model: str
    data: str
    remark: tuple[str, str] | None = None
    redraw: "Redraw | None" = None

    @property
    def given(self) -> dict[str, Any]:
        """What every function that makes or reads an audit is given beside classifier, images and folder."""
        accuracy = self.config.network.get("accuracy")
        return {"decoder": self.decoder, "plan": self.plan, "accuracy": accuracy}

    @property
    def judge_name(self) -> str:
        """How the judge is called; empty without one."""
        return "" if self.judge is None else model_name(self.config.network["judge"])


def settings_of_plan(plan: "Plan") -> dict[str, Any]:
    """A plan as settings; batch and seed stand above them in every configuration."""
    return {name: value for name, value in asdict(plan).items() if name not in ("batch", "seed")}


def plan_of(config: RunConfig) -> "Plan":
    """How thorough the audit is that a configuration asks for.

    Raises:
        UsageError: A setting that there is none of, radii that do not ascend, or counts that are too low.
    """
    from amiss.audit import Plan

    if strange := sorted(set(config.settings) - {part.name for part in fields(Plan)}):
        raise UsageError(
            "An audit has no such setting.",
            slug="run-plan",
            seen=strange[0],
            needed="the settings that amiss wrote into config.toml",
            why="the file was edited",
            hint="Give the whole command once more; what is finished in the folder is kept.",
        )
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.settings.items()}
    return Plan(**{**settings, "batch": config.batch, "seed": config.seed})


def open_audit(config: RunConfig, out: Path, *, device: str | None = None, quiet: bool = False) -> AuditWork:
    """Open what an audit needs; what `amiss audit digits` trains on the spot is trained, or found in `out`.

    Raises:
        UsageError: MODEL or DATA mean nothing.
        ModelError: The model or the judge cannot be opened.
        DataError: The images cannot be read, or are no match for the model.
        CheckpointError: A file of weights is refused.
    """
    judge = config.network.get("judge")
    judged_by = None if judge is None else open_classifier(judge, device=device)
    if config.recipe == "digits":
        return _on_digits(config, out / MODELS, judged_by, device, quiet)
    return _demo(config) if config.recipe == "demo" else _of_model(config, judged_by, device)


def account_of(found: "Audit", work: AuditWork, out: Path, command: str) -> dict[str, Any]:
    """The record of an audit, with what its caller knows first among the notices; its pictures are written."""
    from amiss.audit import record

    names = {"model": work.model, "data": work.data, "command": command, "judge": work.judge_name}
    account = record(found, work.classifier, out, **names, redraw=work.redraw)
    if work.remark is not None:
        title, text = work.remark
        account["notices"].insert(0, {"level": "info", "title": title, "text": text})
    return account


def write_account(account: dict[str, Any], out: Path) -> Path:
    """Write report.html, then card.md, audit.json, flags.json, and findings.json where findings were looked for.

    Returns:
        Where the page lies.
    """
    from amiss.report import build, card

    page, disk = build(account, out), Disk()
    disk.write(out / CARD, card(account).encode())
    tables = {RECORD: account, FLAGS: account["flags"], FINDINGS: account.get("findings")}
    for name, what in tables.items():
        if what is not None:
            disk.write(out / name, (json.dumps(what, indent=1, allow_nan=False) + "\n").encode())
    return page


def _of_model(config: RunConfig, judge: Classifier | None, device: str | None) -> AuditWork:
    network = config.network
    preprocessing: dict[str, Any] = {name: network.get(name) for name in ("mean", "std", "head", "weights")}
    classifier = named(config.model, device=device, **preprocessing)
    images = open_data(config.data, **{"size": classifier.size, **config.images}, seed=config.seed)
    check_fit(classifier, images)
    decoder = None if network.get("decoder") is None else open_decoder(network["decoder"])
    names = model_name(config.model), data_name(config.data)
    return AuditWork(config, plan_of(config), classifier, images, decoder, judge, *names)


def _on_digits(
    config: RunConfig, place: Path, judge: Classifier | None, device: str | None, quiet: bool
) -> AuditWork:
    from amiss.cli.digits import digits

    limit = config.images.get("limit")
    classifier, decoder, images, called, remark = digits(config.seed, quiet, limit, device, place)
    return AuditWork(config, plan_of(config), classifier, images, decoder, judge, called, "digits", remark)


def _demo(config: RunConfig) -> AuditWork:
    from amiss.demo import demo_classifier, demo_decoder, demo_faces, demo_figures, demo_redraw

    men = demo_figures()["classifier"]["errors"]["male"]
    remark = (
        "What was planted",
        "In the training faces hair length agreed with the label nine times in ten; in these it says nothing. "
        f"When the classifier was made, it was wrong on {men['long']['share']:.0%} of {men['long']['images']} "
        f"men with long hair and on {men['short']['share']:.0%} of {men['short']['images']} with short hair.",
    )
    images = demo_faces(config.images["n"])
    names = "the demo's face classifier", "drawn faces"
    made = demo_classifier(), images, demo_decoder(), None
    return AuditWork(config, plan_of(config), *made, *names, remark, demo_redraw(len(images)))
