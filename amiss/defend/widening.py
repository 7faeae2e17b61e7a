"""A network with one output more: what it said of its classes before is what it says of them still."""

import copy

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.defend.checking import bare, check_trainable
from amiss.errors import ModelError

__all__ = ["RUBBISH", "widened"]

RUBBISH = "rubbish"
"""Name of the class of images that show nothing."""


@torch.no_grad()
def widened(classifier: Classifier, image: Tensor) -> Classifier:
    """A copy of a classifier with a class more, "rubbish", whose logit is 0 for every image until it learns.

    Its last layer of as many outputs as there are classes, dense or a convolution, gets one output more.

    Args:
        classifier: A module with weights and gradients, whose output is the logits themselves.
        image: One image [1, C, H, W] in [0, 1], for which both must answer alike.

    Returns:
        A classifier of a copy of the network; the one that was given is not changed.

    Raises:
        ModelError: It cannot be trained, has such a class already, or has no such layer.
    """
    network = check_trainable(classifier, image)
    said, labels = classifier.outputs(image)["answer"], classifier.labels or ()
    if RUBBISH in labels:
        raise ModelError(
            "This classifier has a class of rubbish already.",
            slug="defend-twice",
            seen=f"{len(labels)} classes, of them {RUBBISH!r}",
            needed="a classifier without it",
            why="the checkpoint that a defense made",
            hint="For more rounds give the command that made it, with its --out and a larger --rounds.",
        )
    heads = [name for name, module in network.named_modules() if _outputs(module) == len(labels)]
    for name in reversed(heads):
        wide = copy.deepcopy(network)
        parent, _, own = name.rpartition(".")
        if not name:
            wide = _grown(wide)
        else:
            setattr(wide.get_submodule(parent), own, _grown(wide.get_submodule(name)))
        mean, std = classifier.preprocessing
        grown = Classifier(wide.eval(), mean=mean, std=std, labels=(*labels, RUBBISH), size=classifier.size)
        now = bare(wide, grown.shown(image))
        if now.shape == (1, len(labels) + 1) and torch.allclose(now[:, :-1], said, rtol=1e-4, atol=1e-4):
            return grown
    raise ModelError(
        "The network has no last layer that one more class could be added to.",
        slug="defend-head",
        seen=f"{len(heads)} layers of {len(labels)} outputs, none of which decides",
        needed="a dense layer or a convolution of as many outputs as there are classes, whose outputs are the logits",
        hint="End your network with nn.Linear(features, classes), without a softmax after it.",
    )


def _outputs(module: nn.Module) -> int:
    """How many outputs a layer has that could decide; 0 for all other modules."""
    if isinstance(module, nn.Linear):
        return module.out_features
    return module.out_channels if isinstance(module, nn.Conv2d) and module.groups == 1 else 0


def _grown(layer: nn.Module) -> nn.Module:
    """The same layer with one output more, which is 0."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)  # noqa: S101 - `_outputs` has seen to it
    for name, p in list(layer.named_parameters(recurse=False)):
        more = torch.cat([p.detach(), p.detach().new_zeros(1, *p.shape[1:])])
        setattr(layer, name, nn.Parameter(more))
    if isinstance(layer, nn.Linear):
        layer.out_features += 1
    else:
        layer.out_channels += 1
    return layer
