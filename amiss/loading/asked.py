"""How a model of ours is asked, by its kind: one answer for who shows its folder and for who refuses it."""

from typing import Any

from amiss.training import KINDS

__all__ = ["OTHERS", "how_asked"]

_SAMPLED = "amiss sample {} --out samples/"
_COMMANDS = {
    "classifier": "amiss check {} DATA",
    "attributes": "amiss check {} DATA --head NAME",
    "text": "amiss sample {} --prompt TEXT",
    "captioner": "amiss sample {} --given photos/, or am.open_captioner({!r}) in Python",
    "label-sequence": "In Python: amiss.training.load_model({!r})[0].label(frames)",
}
"""By kind; others of images are sampled."""

OTHERS = {
    "TextModel": "text",
    "Captioner": "captioner",
    "LabelSequence": "label-sequence",
    "SequenceClassifier": "sequence-classifier",
    "MovieClassifier": "sequence-classifier",
    "PickedClassifier": "sequence-classifier",
}
"""Kinds by the architecture of models that neither label images nor draw them; some files tell it alone."""


def how_asked(model: str, kind: object, recipe: object) -> str:
    """The command that asks a model, or the words of Python where none can.

    Args:
        model: What names its file.
        kind: What its file says it is, believed only where it is a name in `KINDS`.
        recipe: What its file says it was built of, or anything else where it says nothing.
    """
    said = recipe if isinstance(recipe, dict) else {}
    architecture, arguments = str(said.get("architecture")), said.get("arguments")
    arguments = arguments if isinstance(arguments, dict) else {}
    kind = OTHERS.get(architecture, kind)
    if kind == "sequence-classifier":
        return _of_sequences(model, architecture, arguments)
    if not isinstance(kind, str) or kind not in KINDS:
        return f"In Python: amiss.training.load_model({model!r})"
    if kind not in _COMMANDS and arguments.get("low"):
        return _SAMPLED.format(model) + " --given photos/"  # which are enlarged
    return _COMMANDS.get(kind, _SAMPLED).format(model, model)


def _of_sequences(model: str, architecture: str, arguments: dict[str, Any]) -> str:
    """Strips of film show all frames of a movie, and nothing beside them."""
    if architecture == "MovieClassifier" and not arguments.get("extra"):
        return f"amiss check {model} strips:DATA"
    why = {
        "PickedClassifier": " (it was trained by --keep, and strips of film show all frames)",
        "MovieClassifier": " (it reads numbers beside frames, and strips of film have none)",
        "SequenceClassifier": " (strips of film show movies alone)",
    }.get(architecture, "")
    logits = f"amiss.training.presets.sequences.sequence_logits(amiss.training.load_model({model!r})[0], sequences)"
    return f"In Python: {logits}{why}"
