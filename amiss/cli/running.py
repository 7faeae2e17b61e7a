"""A run of one recipe, from its settings to its report: what `amiss run` and `amiss show` share."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from amiss.analysis.pairs import draw_pairs, pair_inputs
from amiss.citations import reference
from amiss.classifier import Classifier
from amiss.cli.command import data_name, model_name
from amiss.cli.config import RunConfig
from amiss.cli.flags import FLAGS
from amiss.cli.folder import CARD
from amiss.cli.model import named
from amiss.cli.settings import find_recipe
from amiss.data import Images, open_data
from amiss.errors import UsageError
from amiss.loading import check_fit, open_decoder
from amiss.probe import Probe
from amiss.recipes import classes
from amiss.report import card
from amiss.report.of_study import shown_samples, study_record, write_study_report
from amiss.study import Inputs, Study
from amiss.study.figures import figures, telling
from amiss.study.study import counts
from amiss.study.tables import write_results
from amiss.trust import Flag, after, before, refuse_other_order, tallied, votes_for

__all__ = ["Tell", "Work", "derive", "open_work"]


Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Work:
    """A run with its model and data open.

    Attributes:
        config: What was asked.
        study: The study that answers it.
        classifier: Who is asked.
        images: What DATA holds.
        flags: What was measured before anything was searched.
    """

    config: RunConfig
    study: Study
    classifier: Classifier
    images: Images
    flags: tuple[Flag, ...]


def open_work(config: RunConfig, out: Path, *, command: str = "", device: str | None = None, tell: Tell) -> Work:
    """Open model and data, measure what must hold before a search, and make the study.

    Raises:
        UsageError: The recipe or its options are none.
        ModelError: The model cannot be opened, or does not take such images.
        DataError: The images cannot be read, or are no match for the model.
        ParityError: The model does not score what its owner says.
        ContractError: The recipe wants more than the model gives, or labels that the images do not have.
    """
    recipe, network = find_recipe(config.recipe), dict(config.network)
    accuracy, decoder_path = network.pop("accuracy", None), network.pop("decoder", None)
    preprocessing = {name: network.get(name) for name in ("mean", "std", "head", "weights")}
    classifier = named(config.model, device=device, **preprocessing)
    images = open_data(config.data, **{"size": classifier.size, **config.images}, seed=config.seed)
    check_fit(classifier, images)
    if images.labels is not None:
        refuse_other_order(classifier, images)
    if accuracy is not None:
        classifier.check(images.pixels, images.truth, accuracy=accuracy, batch=config.batch)
    decoder = None if decoder_path is None else open_decoder(decoder_path, classifier.device)
    probe = _probe(config, images, decoder)
    tell("Asking whether the model can be believed", 0, 1)
    flags = before(classifier, images, accuracy=accuracy, decoder=decoder, batch=config.batch, seed=config.seed)
    about = {
        "recipe": config.recipe,
        "model": model_name(config.model),
        "data": data_name(config.data),
        "seed": config.seed,
        "command": command,
        "references": list(recipe.cite),
    }
    inputs = _inputs(recipe.over, classifier, images, config, tell)
    text = config.text(out)
    study = Study(out, probe, classifier, inputs, config.frames, votes_for(flags), about=about, settings=text)
    if len(inputs):
        probe.search(classifier, inputs.rows([0]))  # what does not fit together is refused before anything is written
    return Work(config, study, classifier, images, flags)


def derive(work: Work, tell: Tell) -> dict[str, Any]:
    """Remake everything that follows from ledger and shards: results.csv, flags.json, report.html and card.md.

    Returns:
        The record of the report, with "figures" and "flags".
    """
    study, store = work.study, work.study.store
    entries = store.recover().entries
    ordered = [entries[i] for i in sorted(entries)]
    write_results(store, study.inputs, entries)
    flags = work.flags
    if ordered:
        tell("Asking whether the result can be believed", 0, 1)
        part = study.read(telling(ordered))
        held = Tensor([entry.outcome.met for entry in part.entries]).bool()
        claimed = sum(entry.claimed for entry in part.entries)
        measured = after(
            study.probe, work.classifier, part.result, claimed=claimed, verified=held, seed=work.config.seed
        )
        # What the ledger tells of every sample need not be said of some.
        whole = {f.slug: f for f in tallied([e.outcome for e in ordered], sum(e.claimed for e in ordered))}
        flags += tuple(whole.get(flag.slug, flag) for flag in measured)
    said = [flag.to_json() for flag in flags]
    store.disk.write(store.folder / FLAGS, (json.dumps(said, indent=1, allow_nan=False) + "\n").encode())
    found = figures(ordered, len(study.inputs))
    claims = [entry for entry in ordered if entry.claimed]
    about: Mapping[str, Any] = {
        **(store.about or {}),
        "counts": counts(ordered, len(study.inputs), len(study.inputs.unreadable)),
        "flags": said,
        "claimed": len(claims),
        "held": len([entry for entry in claims if entry.outcome.met]),
        "references": [reference(key) for key in find_recipe(work.config.recipe).cite],
    }
    unfinished = {"outcomes": {work.config.recipe: about["counts"]}, "sentence": "No sample is finished."}
    record: dict[str, Any] = {"figures": found, "flags": said, **unfinished}
    if ordered or not len(study.inputs):
        tell("Writing the report", 0, 1)
        shown = study.read(shown_samples(ordered))
        names = study.inputs.names
        record = study_record(about, shown, work.classifier, store.folder, figures=found, names=names)
        write_study_report(record, store.folder)
        store.disk.write(store.folder / CARD, card(record).encode())
    return record


def _probe(config: RunConfig, images: Images, decoder: Any) -> Probe:
    recipe = find_recipe(config.recipe)
    given = dict(config.settings)
    needs = recipe.make.__code__.co_varnames[: recipe.make.__code__.co_argcount]
    if "decoder" in needs:
        if decoder is None:
            raise UsageError(
                f"The recipe {config.recipe} searches along a decoder, and none was given.",
                slug="run-decoder",
                seen="no --decoder",
                needed="--decoder with a decoder of such images",
                hint="amiss train vae DATA --out decoder/, then --decoder decoder/model.safetensors",
            )
        given["decoder"] = decoder
    if "shape" in needs:
        given["shape"] = tuple(images.pixels.shape[1:])
    probe = recipe.make(**given)
    budget = replace(probe.budget, **config.budget)
    return replace(probe, budget=budget, seed=config.seed, batch=config.batch)


def _inputs(over: str, classifier: Classifier, images: Images, config: RunConfig, tell: Tell) -> Inputs:
    """What the recipe runs over: all images, the mistakes, one sample a class, or pairs of a source and a guide."""
    if over == "classes":
        task = classes(classifier)
        return Inputs.of_task(task, [(classifier.labels or ())[int(c)] for c in task.key])
    if over == "images":
        return Inputs.of_images(images)
    checked = classifier.check(
        images.pixels,
        images.truth,
        batch=config.batch,
        progress=lambda done, n: tell("Asking the classifier", done, n),
    )
    if over == "pairs":  # each image that is rightly classified once, as far as classes allow
        return pair_inputs(
            images, draw_pairs(images.truth, checked.predicted, max(1, checked.right // 2), config.seed)
        )
    wrong = (checked.predicted != images.truth).nonzero().flatten()
    return Inputs.of_images(images, wrong, to_truth=True)
