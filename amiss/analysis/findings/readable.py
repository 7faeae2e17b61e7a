"""Codes and answers that findings can be read from, and a clear refusal of those that they cannot."""

from torch import Tensor

from amiss.errors import DataError, ModelError

__all__ = ["refuse_unreadable"]

_WIDEST = 2048  # numbers in a code: their covariance and its roots are made for every kind of mistake


def refuse_unreadable(codes: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Refuse what statistics would stumble over.

    Args:
        codes: Of all images, as the decoder gave them.
        logits: Of all images.
        labels: True labels [n].

    Raises:
        DataError: A label that the classifier has no class for.
        ModelError: Codes that are no vectors, are too wide, do not vary, or are not finite; or logits that are not.
    """
    if codes.ndim != 2 or codes.shape[1] > _WIDEST:
        raise ModelError(
            "Findings cannot be looked for in such codes.",
            slug="findings-codes",
            seen=f"codes of shape {tuple(codes.shape)}",
            needed=f"[N, d] with d of {_WIDEST:,} at the most",
            why="feature maps that were not flattened, or a flow on the pixels of large images",
            hint="Use a decoder with a code of a few dozen numbers, such as amiss train vae makes.",
        )
    if not bool(codes.isfinite().all()) or not bool((codes != codes[:1]).any()):
        lost = int((~codes.isfinite().all(1)).sum())
        raise ModelError(
            "The decoder's codes say nothing.",
            slug="findings-codes",
            seen=f"{lost:,} of {len(codes):,} codes are not finite" if lost else "one code for every image",
            needed="finite codes that differ from image to image",
            why="an encoder that collapsed, or an image far from what it was trained on",
            hint="amiss check MODEL DATA --decoder FILE says what the decoder keeps.",
        )
    if not bool(logits.isfinite().all()):
        raise ModelError(
            "The classifier answers some images with logits that are not finite.",
            slug="findings-logits",
            seen=f"{int((~logits.isfinite().all(1)).sum()):,} of {len(logits):,} images",
            needed="finite logits",
            why="an image without contrast in a network that divides by it",
            hint="Leave these images out, or mend the preprocessing.",
        )
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise DataError(
            "Labels lie outside the classifier's classes.",
            slug="data-labels",
            seen=f"labels from {int(labels.min())} to {int(labels.max())}",
            needed=f"0 to {logits.shape[1] - 1}: it answers with {logits.shape[1]} logits",
            hint="Number the classes from 0 in the order of the classifier's outputs.",
        )
