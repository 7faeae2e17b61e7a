"""`amiss demo`: no download, no arguments; audits a small face classifier with a planted shortcut."""

from pathlib import Path
from typing import Annotated

import typer

from amiss.cli.audit import audit_to_folder
from amiss.cli.auditing import open_audit, settings_of_plan
from amiss.cli.config import RunConfig
from amiss.cli.gates import Junit, Require, asked

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="run folder")] = Path("runs/demo"),
    images: Annotated[int, typer.Option(min=50, help="how many faces are drawn")] = 1000,
    seed: Annotated[int, typer.Option(help="of everything drawn")] = 0,
    require: Require = None,
    junit: Junit = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON")] = False,
) -> None:
    """Audit a face classifier that learned a shortcut: hair length, planted in its training images."""
    from amiss.audit import Plan
    from amiss.audit.figures import known

    plan = Plan(seed=seed)
    gates = asked(require, known(plan))
    config = RunConfig("demo", "", "", seed, plan.batch, 0, settings_of_plan(plan), {"n": images})
    audit_to_folder(
        open_audit(config, out),
        out,
        command=f"amiss demo --images {images} --seed {seed}",
        gates=gates,
        junit=junit,
        where_other="replace",
        quiet=quiet or as_json,
        as_json=as_json,
    )
