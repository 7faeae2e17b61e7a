"""Whether a network takes the images at all, asked with one of them."""

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ModelError

__all__ = ["check_fit"]


def check_fit(classifier: Classifier, images: Images) -> None:
    """Show the network one image, and tell a wrong number of channels apart from all else.

    Raises:
        ModelError: The network does not take such an image.
    """
    x = images.images([0])
    try:
        classifier.predict(x)
    except ModelError as error:
        if error.slug not in ("model-raises", "model-channels"):
            raise
        have, want = (3, 1) if x.shape[1] == 3 else (1, 3)
        try:
            classifier.predict(x.mean(1, keepdim=True) if want == 1 else x.expand(-1, 3, -1, -1))
        except ModelError:
            raise error from None
        kinds = {1: "1 channel (gray)", 3: "3 channels (color)"}
        raise ModelError(
            "The network takes another number of channels than the images have.",
            slug="model-channels",
            seen=f"images of {kinds[have]}; the network answers for {kinds[want]}",
            needed=kinds[want],
            why="a network for gray images" if want == 1 else "a network for color images, and gray files",
            hint=f"--channels {want}",
        ) from error
