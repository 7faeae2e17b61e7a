"""What every set of data is that a model can be trained on: images, a text, sequences."""

from typing import Protocol

__all__ = ["TrainingData"]


class TrainingData(Protocol):
    """Rows of something, known by their content."""

    @property
    def fingerprint(self) -> str:
        """A digest of the content."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each label; none where there are no labels."""
        ...

    def __len__(self) -> int: ...
