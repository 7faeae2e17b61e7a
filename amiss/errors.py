"""What can go wrong, as a tree; every error says what failed, what was seen, and the one thing to do.

AmissError
├── UsageError          an argument that cannot mean anything (exit code 2 on the command line)
├── DataError           images or labels that cannot be read or do not fit
├── ModelError          the classifier cannot be loaded, or its output is not what it should be
│   ├── LayerError      a layer that does not exist, or returns something other than a tensor
│   └── ParityError     the wrapped model does not score what its owner says it scores
├── ContractError       nouns that do not fit together: an optimizer that wants more than is given
├── TrainingError       training that cannot go on
├── CheckpointError     a file that cannot be trusted or does not fit the model
└── Interrupted         stopped on request, with all that was done in its place (exit code 130)
"""

__all__ = [
    "AmissError",
    "CheckpointError",
    "ContractError",
    "DataError",
    "Interrupted",
    "LayerError",
    "ModelError",
    "ParityError",
    "TrainingError",
    "UsageError",
]


class AmissError(Exception):
    """Base of every error that amiss raises on purpose.

    Args:
        what: What failed, in one sentence.
        slug: Stable short name, listed in the error index of the docs.
        seen: What was there.
        needed: What should have been there.
        why: The likely reason.
        hint: The one thing to do.
    """

    exit_code = 1

    def __init__(self, what: str, *, slug: str, hint: str, seen: str = "", needed: str = "", why: str = "") -> None:
        self.what, self.slug, self.hint = what, slug, hint
        self.seen, self.needed, self.why = seen, needed, why
        rows = {"Seen": seen, "Needed": needed, "Likely": why, "Try": hint}
        lines = [f"  {name + ':':<8}{text}" for name, text in rows.items() if text]
        super().__init__("\n".join([f"[{slug}] {what}", *lines]))


class UsageError(AmissError):
    """An argument that cannot mean anything."""

    exit_code = 2


class DataError(AmissError):
    """Images or labels that cannot be read or do not fit."""


class ModelError(AmissError):
    """The classifier cannot be loaded, or its output is not what it should be."""


class LayerError(ModelError):
    """A layer that does not exist, or returns something other than one tensor."""


class ParityError(ModelError):
    """The wrapped model does not score what its owner says it scores."""


class ContractError(AmissError):
    """Nouns that do not fit together."""


class TrainingError(AmissError):
    """Training that cannot go on."""


class CheckpointError(AmissError):
    """A file that cannot be trusted or does not fit the model."""


class Interrupted(AmissError):
    """Stopped on request, with all that was done in its place."""

    exit_code = 130
