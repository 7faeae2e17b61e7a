"""`amiss compare DIR DIR`: two runs side by side, paired by image, or defenses in one table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from amiss.cli.command import shown, written
from amiss.cli.compare_defenses import PLACES, compare_defenses
from amiss.cli.config import CONFIG, read_config
from amiss.cli.gates import Junit, Require, asked, conclude, settled
from amiss.cli.looking import Look, look
from amiss.errors import DataError, UsageError
from amiss.study.pairing import Fourfold, differences, fourfold, paired, ratio

__all__ = ["compare"]

_COUNTS = ("both", "broken", "fixed", "neither", "p", "pairs", "only_first", "only_second")
_RATIOS = ("l2_ratio", "linf_ratio")
_AUDIT, _DEFENSE = "an audit", "a defense"


@dataclass(frozen=True)
class _Side:
    """Two lists of images, paired.

    Attributes:
        table: How often something held of a pair.
        only_first: Images of the first alone.
        only_second: Images of the second alone.
        unfinished: Pairs of which one is not finished.
        ratios: Median of second over first of sizes, where both reached it.
    """

    table: Fourfold
    only_first: int
    only_second: int
    unfinished: int
    ratios: dict[str, float]

    @property
    def figures(self) -> dict[str, float]:
        """By the names that gates use."""
        t = self.table
        pairs = t.both + t.broken + t.fixed + t.neither
        counts = (t.both, t.broken, t.fixed, t.neither, t.p, pairs, self.only_first, self.only_second)
        return {**dict(zip(_COUNTS, counts, strict=True)), "unfinished": self.unfinished, **self.ratios}


def compare(
    context: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="DIR DIR", help="two run folders; of defenses also more")],
    require: Require = None,
    junit: Junit = None,
    page: Annotated[
        Path | None, typer.Option(dir_okay=False, help="of defenses: also write the table as a page, to this file")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON")] = False,
) -> None:
    """Pair two runs image by image: met in both, broken (in the first alone), fixed (in the second alone), neither.

    Two audits are compared by their answers, and by every study that both have. Defenses, up to nine, stand in one
    table: accuracy, what stays right under each attack, and cost, before and after; they must have been attacked
    alike. No model is loaded.
    """
    seen = [look(folder) for folder in folders]
    kinds = [_kind(one) for one in seen]
    defenses = set(kinds) == {_DEFENSE}
    if not 2 <= len(seen) <= (len(PLACES) if defenses else 2) or (page is not None and not defenses):
        raise UsageError(
            "Two runs are compared, or several defenses.",
            slug="compare-count",
            seen=", ".join(f"{folder} ({kind})" for folder, kind in zip(folders, kinds, strict=True))
            + " and --page" * (page is not None),
            needed=f"two run folders, or two to {len(PLACES)} of defenses, which alone have a --page",
            hint="amiss compare DIR DIR",
        )
    if len(set(kinds)) > 1:
        raise _unlike(folders, kinds)
    if defenses:
        options: dict[str, Any] = {"require": require, "junit": junit, "page": page, "as_json": as_json}
        compare_defenses(folders, seen, written(context), **options)
        return
    first, second = folders
    one, two = seen
    sides = _audits(one, two) if one.audit else {"": _runs(one, two)}
    if not sides[""].figures["pairs"] + sides[""].unfinished:
        raise DataError(
            "These runs share no image.",
            slug="compare-nothing",
            seen=f"{one.n:,} samples and {two.n:,}, none of them the same",
            needed="two runs over some of the same images, brought to one size",
            why="other data, another --size, or another --limit",
            hint="Run both on the same DATA.",
        )
    curves = _curves(one, two)
    figures: dict[str, float] = {}
    known: dict[str, str] = {}
    for name, side in sides.items():
        dot = f"{name}." if name else ""
        figures |= {f"{dot}{figure}": value for figure, value in side.figures.items()}
        known |= {f"{dot}{figure}": "no image was changed in both" for figure in _RATIOS}
    for which, place in (("first", 0), ("second", 1)):
        figures |= {f"{which}.{name}": pair[place] for name, pair in curves.items()}
    gates = asked(require, {**dict.fromkeys(figures, ""), **known})
    record: dict[str, Any] = {"figures": figures}
    verdicts = settled(gates, record, known)
    differing = _differing(one, two)
    if as_json:
        studies = {name: side.figures for name, side in sides.items() if name}
        told = {"first": str(first), "second": str(second), **(sides[""].figures if "" in sides else {})}
        told |= {"studies": studies, "robust_accuracy": curves, "differing": differing, "gates": record["gates"]}
        typer.echo(json.dumps(told))
    else:
        typer.echo("\n".join(shown(line) for line in _lines(one, sides, curves, differing)))
    conclude(verdicts, record, junit, quiet=as_json)


def _runs(one: Look, two: Look) -> _Side:
    """Two runs of a recipe: whether each sample's objective was met."""
    ids = one.inputs().ids, two.inputs().ids
    pairs = paired(*ids)
    both = [(one.found.entries.get(i), two.found.entries.get(j)) for i, j in pairs]
    done = [(a, b) for a, b in both if a is not None and b is not None]
    table = fourfold((a.outcome.met, b.outcome.met) for a, b in done)
    ratios = {f"{name}_ratio": value for name in ("l2", "linf") if (value := ratio(done, name)) is not None}
    alone = len(ids[0]) - len(pairs), len(ids[1]) - len(pairs)
    return _Side(table, *alone, len(pairs) - len(done), ratios)


def _audits(one: Look, two: Look) -> dict[str, _Side]:
    """Two audits: under no name whether each image was answered rightly, and every study that both have."""
    rows = one.table, two.table
    ids = [[row["id"] for row in part] for part in rows]
    right = [[row["label"] == row.get("prediction") for row in part] for part in rows]
    pairs = paired(*ids)
    table = fourfold((right[0][i], right[1][j]) for i, j in pairs)
    answers = _Side(table, len(ids[0]) - len(pairs), len(ids[1]) - len(pairs), 0, {})
    return {
        "": answers,
        **{name: _runs(part, two.studies[name]) for name, part in one.studies.items() if name in two.studies},
    }


def _curves(one: Look, two: Look) -> dict[str, tuple[float, float]]:
    """Accuracy under attack at every radius that both audits have."""
    shared = [name for name in one.figures if name.startswith("robust_accuracy@") and name in two.figures]
    return {name: (one.figures[name], two.figures[name]) for name in shared}


def _differing(one: Look, two: Look) -> dict[str, Any]:
    """What made the runs different: fingerprints by name, and the settings that are not the same in both."""
    marks = [part.about["fingerprints"] for part in (one, two)]
    names = dict.fromkeys([*marks[0], *marks[1]])
    others = [name for name in names if marks[0].get(name) != marks[1].get(name)]
    if not all((part.folder / CONFIG).is_file() for part in (one, two)):
        return {"fingerprints": others, "settings": {}}
    settings = [asdict(read_config(part.folder)) for part in (one, two)]
    return {"fingerprints": others, "settings": differences(*settings)}


def _lines(
    one: Look, sides: dict[str, _Side], curves: dict[str, tuple[float, float]], differing: dict[str, Any]
) -> list[str]:
    """What is printed."""
    words: list[str] = []
    for name, side in sides.items():
        t = side.table
        what = name or ("answers that are right" if one.audit else str(one.about.get("recipe", "samples")))
        words.append(
            f"{what}: both {t.both:,}, broken {t.broken:,}, fixed {t.fixed:,}, neither {t.neither:,}; p = {t.p:.3g}"
        )
        words += [
            f"  {measure.removesuffix('_ratio')}: second over first, median {v:.3g}"
            for measure, v in side.ratios.items()
        ]
        apart = {"in the first alone": side.only_first, "in the second alone": side.only_second}
        apart["not finished in both"] = side.unfinished
        words += [f"  {n:,} {where}" for where, n in apart.items() if n]
    words += [f"{name}: {a:.1%} and {b:.1%}" for name, (a, b) in curves.items()]
    others = ", ".join(differing["fingerprints"])
    words.append(f"They differ in: {others}" if others else "Both were made with the same model, data and settings.")
    for name, pair in differing["settings"].items():
        a, b = ("none" if value is None else value for value in pair)
        words.append(f"  {name}: {a} and {b}")
    return words


def _kind(seen: Look) -> str:
    if seen.about.get("kind") == "defense":
        return _DEFENSE
    return _AUDIT if seen.audit else "a run of one recipe"


def _unlike(folders: list[Path], kinds: list[str]) -> UsageError:
    """Two folders of other kinds: which they are, and what could be compared instead."""
    hint = "Compare defenses with defenses."
    if _DEFENSE not in kinds:
        audit = folders[kinds.index(_AUDIT)]
        hint = f"Compare the run with one study of the audit: {audit / 'studies'}"
    return UsageError(
        "Runs of different kinds cannot be compared.",
        slug="compare-kinds",
        seen=" and ".join(f"{folder} is {kind}" for folder, kind in zip(folders, kinds, strict=True)),
        needed="two audits, two runs of a recipe, or defenses",
        hint=hint,
    )
