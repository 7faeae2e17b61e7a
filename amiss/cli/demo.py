"""`amiss demo`: no download, no arguments; audits a small face classifier with a planted shortcut."""

from pathlib import Path
from typing import Annotated

import typer

from amiss.cli.audit import audit_to_folder
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
    from amiss.demo import demo_classifier, demo_decoder, demo_faces, demo_figures

    plan = Plan(seed=seed)
    gates = asked(require, known(plan))
    men = demo_figures()["classifier"]["errors"]["male"]

    audit_to_folder(
        demo_classifier(),
        demo_faces(images),
        out,
        model="the demo's face classifier",
        data="drawn faces",
        command=f"amiss demo --images {images} --seed {seed}",
        decoder=demo_decoder(),
        plan=plan,
        remark=(
            "What was planted",
            "In the training faces hair length agreed with the label nine times in ten; in these it says nothing. "
            f"When the classifier was made, it was wrong on {men['long']['share']:.0%} of {men['long']['images']} "
            f"men with long hair and on {men['short']['share']:.0%} of {men['short']['images']} with short hair.",
        ),
        gates=gates,
        junit=junit,
        where_other="replace",
        quiet=quiet or as_json,
        as_json=as_json,
    )
