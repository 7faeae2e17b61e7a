"""Whether the data and the classifier number the same names alike."""

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError

__all__ = ["refuse_other_order"]


def refuse_other_order(classifier: Classifier, images: Images) -> None:
    """Refuse data that number the classifier's own classes otherwise: every count would be of other classes.

    Args:
        classifier: Its labels are compared where they are names.
        images: Labeled images.

    Raises:
        DataError: All of the data's names are the classifier's, and some stand at another number.
    """
    own, other = ([name.casefold() for name in names] for names in (classifier.labels or (), images.classes))
    bare = own == [str(i) for i in range(len(own))]  # numbers that nobody gave as names
    moved = [i for i, name in enumerate(other) if own[i : i + 1] != [name]]
    if bare or not moved or not set(other) <= set(own):  # names that the classifier does not know tell nothing
        return
    at = moved[0]
    shown = slice(max(0, at - 1), at + 4)
    raise DataError(
        "The data number the classes in another order than the classifier.",
        slug="data-class-order",
        seen=f"data: {', '.join(images.classes[shown])}; classifier: {', '.join((classifier.labels or ())[shown])}",
        needed="one order for both",
        why="folders are numbered by name, and the classifier was trained in another order or on more classes",
        hint='Beside the folders, write class_index.json: {"0": [folder, name], ...} in the classifier\'s order.',
    )
