"""`amiss defend MODEL DATA --with NAME`: a hardened network or a detector beside it, and what that cost."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from amiss.audit.defense_pages import defense_record
from amiss.audit.hardening_pages import hardening_section
from amiss.audit.rubbish_pages import rubbish_section
from amiss.classifier import Classifier
from amiss.cli.command import data_name, left_out, model_name, shown, written
from amiss.cli.config import CONFIG, RunConfig
from amiss.cli.defended import TABLE, write_page, write_rounds
from amiss.cli.device import usable
from amiss.cli.flags import FLAGS, told_flags
from amiss.cli.model import MODEL_HELP, Table, Weights, named
from amiss.cli.progress import showing
from amiss.cli.stopping import stopping
from amiss.data import Images, open_data
from amiss.defend import DEFENSES, Defense, Hardened, RubbishClass
from amiss.disk import Disk
from amiss.errors import DataError, UsageError
from amiss.loading import check_fit
from amiss.repro import generator
from amiss.study import refuse_foreign
from amiss.tensorfile import write_tensors
from amiss.training import read_facts, save_model
from amiss.trust import before, refuse_other_order

__all__ = ["defend", "hardened_file"]

MODEL, WEIGHTS = "model.safetensors", "weights.safetensors"
DETECTOR = "detector.safetensors"
_HELD_OUT = 5  # one image of so many is held out where DATA has no test split


def defend(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help=f"{MODEL_HELP}; but one that can be trained")],
    data: Annotated[
        str, typer.Argument(help="labeled images: a folder, a zip, idx files, an npz, digits or faces; split or not")
    ],
    with_: Annotated[str, typer.Option("--with", help=f"which defense: {', '.join(DEFENSES)}")],
    out: Annotated[Path, typer.Option("--out", "-o", help="run folder; an unfinished run there goes on")],
    eps: Annotated[
        str | None, typer.Option(help="L_inf radius of adversaries, in pixel values of [0, 1]: 8/255")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="passes over the images; of rubbish-class, a round")] = None,
    rate: Annotated[float | None, typer.Option(help="highest learning rate")] = None,
    shift: Annotated[int | None, typer.Option(help="images move by up to so many pixels while learned from")] = None,
    layers: Annotated[
        str | None, typer.Option(help="modules that learn, with commas between; the whole network if left out")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="arithmetic of training: float32 or bf16")] = None,
    steps: Annotated[
        int | None, typer.Option(help="gradients of an adversary; of safetynet, of the smallest changes")
    ] = None,
    weight: Annotated[
        float | None, typer.Option(help="of the adversaries' part of the loss, or of the pairing")
    ] = None,
    clean: Annotated[float | None, typer.Option(help="of the images' own part, adversarial-training")] = None,
    grow: Annotated[float | None, typer.Option(help="share of the training in which the radius grows")] = None,
    form: Annotated[str | None, typer.Option(help="of logit-pairing: lecture, adversarial or clean")] = None,
    noise: Annotated[float | None, typer.Option(help="deviation of the noise of logit-pairing, form clean")] = None,
    layer: Annotated[str | None, typer.Option(help="whose activations safetynet reads")] = None,
    levels: Annotated[int | None, typer.Option(help="of a code of safetynet")] = None,
    learned: Annotated[int | None, typer.Option(help="natural images that safetynet learns from")] = None,
    images: Annotated[int | None, typer.Option(help="test images that are attacked")] = None,
    few: Annotated[int | None, typer.Option(help="steps of the short attack")] = None,
    many: Annotated[int | None, typer.Option(help="steps of the long attack")] = None,
    restarts: Annotated[int | None, typer.Option(help="starts of the long attack")] = None,
    worst: Annotated[bool | None, typer.Option(help="attack by the worst case too, several times as long")] = None,
    rounds: Annotated[int | None, typer.Option(help="times that rubbish-class retrains")] = None,
    champions: Annotated[int | None, typer.Option(help="images of nonsense that a round adds")] = None,
    share: Annotated[
        float | None, typer.Option(help="of rubbish-class, what is nonsense; of safetynet, what images pass")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="how nonsense is written down: cppn or direct")] = None,
    confidence: Annotated[float | None, typer.Option(help="softmax probability that counts as fooled")] = None,
    learned_generations: Annotated[int | None, typer.Option(help="of an evolution that is learned from")] = None,
    generations: Annotated[int | None, typer.Option(help="of one that measures what fooling costs")] = None,
    children: Annotated[int | None, typer.Option(help="images a generation")] = None,
    held_out: Annotated[int | None, typer.Option(help="champions of other seeds a round, for the test")] = None,
    size: Annotated[int | None, typer.Option(min=4, help="side that images are brought to")] = None,
    channels: Annotated[int | None, typer.Option(help="1 for gray, 3 for color")] = None,
    label_column: Annotated[str | None, typer.Option(help="the column of labels, where DATA has a CSV")] = None,
    table: Table = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="at most so many images a split, drawn by the seed")
    ] = None,
    mean: Annotated[str | None, typer.Option(help="mean a channel, for a bare network: .485,.456,.406")] = None,
    std: Annotated[str | None, typer.Option(help="standard deviation a channel")] = None,
    weights: Weights = None,
    seed: Annotated[int, typer.Option(help="of everything drawn")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="images a pass and a step")] = 128,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; where the model is, if left out")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print rounds and figures as JSON")] = False,
) -> None:
    """Harden a classifier, and tell what it gained and what it lost.

    An option that is left out is as the defense has it. The same command goes on where it was stopped; with a larger
    --rounds, rubbish-class goes on after the last.
    """
    from amiss.cli.audit import numbers

    given: dict[str, Any] = {"eps": _radius(eps), "epochs": epochs, "rate": rate, "shift": shift}
    given |= {"layers": layers, "precision": precision, "steps": steps, "weight": weight}
    given |= {"clean": clean, "grow": grow, "form": form, "noise": noise}
    given |= {"layer": layer, "levels": levels, "learned": learned, "images": images}
    given |= {"few": few, "many": many, "restarts": restarts, "worst": worst, "rounds": rounds}
    given |= {"champions": champions, "share": share, "encoding": encoding, "confidence": confidence}
    given |= {
        "learned_generations": learned_generations,
        "generations": generations,
        "children": children,
        "held_out": held_out,
    }
    told = {name: value for name, value in given.items() if value is not None}
    defense = _defense(with_, told | {"seed": seed, "batch": batch})
    refuse_foreign(out)
    classifier = named(
        model,
        device=None if device is None else usable(device),
        mean=numbers(mean),
        std=numbers(std),
        head=None,
        weights=weights,
    )
    sight = {"size": size or classifier.size, "channels": channels, "limit": limit, "label": label_column}
    sight |= {"table": table}
    train, test = _splits(data, sight, seed)
    check_fit(classifier, train)
    refuse_other_order(classifier, train)
    left_out(train)
    about: dict[str, Any] = {"recipe": with_, "model": model_name(model), "data": data_name(data)}
    about |= {"seed": seed, "command": written(context)}
    with showing(quiet or as_json) as tell, stopping() as stop:
        tell("Asking whether the model can be believed", 0, 1)
        flags = [flag.to_json() for flag in before(classifier, test, batch=batch, seed=seed)]
        done = defense.harden(
            classifier,
            train,
            test,
            out,
            about=about,
            progress=tell,
            stop=stop,
            on_row=lambda rows: write_rounds(out, {"rows": rows}, rows),
        )
    file = hardened_file(done, model, out)
    if isinstance(defense, RubbishClass):
        section = rubbish_section(done, defense.confidence, out)
    else:
        section = hardening_section(done, with_)
    page: dict[str, Any] = {"flags": flags, "about": about, "settings": repr(defense)}
    write_page(out, defense_record(done, section, classifier, train, test, **page))
    record = {"sentence": done.sentence, "figures": done.figures, "rows": done.rows, "model": file.name}
    write_rounds(out, record, done.rows)
    network = {"mean": numbers(mean), "std": numbers(std), "weights": weights and str(weights)}
    Disk().write(out / CONFIG, _config(with_, model, data, defense, sight, network).text(out).encode())
    Disk().write(out / FLAGS, (json.dumps(flags, indent=1, allow_nan=False) + "\n").encode())
    if as_json:
        typer.echo(json.dumps({**record, "flags": flags, "folder": str(out), "report": str(out / "report.html")}))
        return
    typer.echo("\n".join(told_flags(flags)))
    typer.echo(shown(done.sentence))
    typer.echo(f"Rounds: {out / TABLE}")
    typer.echo(f"Report: {out / 'report.html'}")
    if file.name == DETECTOR:
        typer.echo(f"Detector: {file}; the network is as it was")
    else:
        typer.echo(f"Hardened: {file}" + ("" if file.name == MODEL else _how(model, file, done.classifier)))


def hardened_file(done: Hardened, model: str, out: Path) -> Path:
    """Write the hardened network: as a checkpoint of ours where MODEL was one, as weights alone otherwise.

    Of a defense that leaves the network as it was, the detector is written instead.

    Args:
        done: What the defense left.
        model: MODEL, as given.
        out: The run folder.

    Returns:
        The file.
    """
    if done.detector is not None:
        done.detector.save(out / DETECTOR)
        return out / DETECTOR
    network: Any = done.classifier.network
    labels = list(done.classifier.labels or ())
    if not model.endswith(".safetensors"):
        write_tensors(out / WEIGHTS, network.state_dict(), {"classes": labels})
        return out / WEIGHTS
    facts = read_facts(model)
    recipe = facts.pop("recipe")
    recipe = {**recipe, "arguments": {**recipe["arguments"], "classes": len(labels)}}
    figures = {name: done.figures[name] for name in ("accuracy", "called_rubbish", "robust") if name in done.figures}
    save_model(out / MODEL, network, recipe, {**facts, "classes": labels, "figures": figures})
    return out / MODEL


def _defense(name: str, given: dict[str, Any]) -> Defense:
    """The defense of that name, with the options that were given.

    Raises:
        UsageError: There is none, it has no such option, or an option cannot mean anything.
    """
    if name not in DEFENSES:
        raise UsageError(
            f"There is no defense {name!r}.",
            slug="defend-unknown",
            seen=name,
            needed=f"one of {', '.join(DEFENSES)}",
            hint=f"--with {next(iter(DEFENSES))}",
        )
    made = DEFENSES[name]
    known = {field.name: field.name.replace("_", "-") for field in fields(made)}
    if strange := [key for key in given if key not in known]:
        raise UsageError(
            f"The defense {name!r} has no option --{strange[0].replace('_', '-')}.",
            slug="defend-option",
            seen=", ".join(f"--{key.replace('_', '-')}" for key in strange),
            needed="options out of " + ", ".join(f"--{word}" for word in sorted(known.values())),
            hint=f"Leave it out, or choose another defense: {', '.join(DEFENSES)}.",
        )
    if "layers" in given:
        given = {**given, "layers": tuple(part.strip() for part in given["layers"].split(",") if part.strip())}
    return made(**{key: value for key, value in given.items() if key in known})


def _radius(text: str | None) -> float | None:
    """The radius of "8/255" or "0.03"; None where it was left out.

    Raises:
        UsageError: It is no number, or several.
    """
    from amiss.cli.audit import numbers

    found = numbers(text, "one radius in pixel values of [0, 1]", "--eps 8/255")
    if found is not None and len(found) > 1:
        raise UsageError(
            "A defense has one radius.",
            slug="usage-numbers",
            seen=repr(text),
            needed="one number in pixel values of [0, 1]",
            hint="--eps 8/255",
        )
    return None if found is None else found[0]


def _config(
    name: str, model: str, data: str, defense: Defense, sight: dict[str, Any], network: dict[str, Any]
) -> RunConfig:
    """What was asked, with all that was left to the defense: what `amiss compare` reads."""
    settings = asdict(defense)
    seed, batch = settings.pop("seed"), settings.pop("batch")
    tables = ({key: value for key, value in table.items() if value is not None} for table in (sight, network))
    return RunConfig(name, model, data, seed, batch, 0, settings, *tables)


def _splits(data: str, sight: dict[str, Any], seed: int) -> tuple[Images, Images]:
    """Images to learn from and images to be measured by, none of which are the same.

    Raises:
        DataError: They have no labels, or there are too few.
    """
    train = open_data(data, split="train", seed=seed, **sight)
    _ = train.truth  # refuses images without labels
    try:
        test = open_data(data, split="test", seed=seed, **sight)
    except DataError as error:
        if error.slug != "data-split":
            raise
        test = train
    known = set(train.ids)
    fresh = [i for i, name in enumerate(test.ids) if name not in known]
    if fresh:
        return train, test.pick(fresh)
    order = torch.randperm(len(train), generator=generator(seed))
    aside = len(train) // _HELD_OUT
    if not aside:
        raise DataError(
            "There are too few images to hold some out.",
            slug="defend-images",
            seen=f"{len(train)} images, and no others in a test split",
            needed=f"{_HELD_OUT} images or more",
            hint="Give more images, or a split named test beside the one named train.",
        )
    return train.pick(order[aside:].sort().values), train.pick(order[:aside].sort().values)


def _how(model: str, file: Path, classifier: Classifier) -> str:
    """How weights alone are used: with a function that builds the network with so many outputs."""
    return f" (weights for {model_name(model)} with {len(classifier.labels or ())} outputs: --weights {file})"
