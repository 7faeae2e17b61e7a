"""`timm:NAME` and `torchvision:NAME`: networks of the two collections, with the preprocessing that these name."""

import difflib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from amiss.errors import ModelError
from amiss.loading.bare import Bare, package
from amiss.loading.weights import load_weights, put_weights

__all__ = ["COLLECTIONS", "open_timm", "open_torchvision"]

_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def open_timm(name: str, weights: Path | str | None = None) -> Bare:
    """A network of timm.

    Args:
        name: As timm lists it, with or without the tag of its weights: "resnet18", "resnet18.a1_in1k".
        weights: A local file of weights; left out, timm fetches its own, if there are any.

    Raises:
        ModelError: timm is not installed, knows no such name, or has no weights for it.
        CheckpointError: The file of weights is refused.
    """
    timm = package("timm", "timm:NAME")
    if not timm.is_model(name) or ("." in name and name not in timm.list_pretrained()):
        raise _unknown("timm", name, timm.list_pretrained() if "." in name else timm.list_models())
    if weights is None and not timm.models.is_model_pretrained(name):
        raise ModelError(
            f"timm has no weights for {name!r}.",
            slug="collection-untrained",
            seen="an architecture alone",
            needed="weights, or the answers are those of chance",
            hint=f"Give your own: --weights FILE, or one of timm's names with a tag: timm.list_pretrained('{name}*')",
        )

    def make(trained: bool, **options: int) -> Any:
        return timm.create_model(name, pretrained=trained, **options)

    network = _made("timm", name, make, weights)
    config = dict(network.pretrained_cfg or {})
    labels = config.get("label_names")
    subset = timm.data.infer_imagenet_subset(network)
    if labels is None and subset is not None:
        info = timm.data.ImageNetInfo(subset)
        labels = [info.index_to_description(i).partition(",")[0] for i in range(info.num_classes())]
    channels, *sides = config.get("input_size") or (3, None, None)
    said = (config.get("mean"), config.get("std"), labels)
    return _described(network, int(network.num_classes), *said, sides, channels)


def open_torchvision(name: str, weights: Path | str | None = None) -> Bare:
    """A classifier of torchvision, with the best weights that it has for it.

    Args:
        name: As torchvision lists it: "resnet50".
        weights: A local file of weights; left out, torchvision fetches its own.

    Raises:
        ModelError: torchvision is not installed, or knows no such name.
        CheckpointError: The file of weights is refused.
    """
    models = package("torchvision.models", "torchvision:NAME")
    known = models.list_models(module=models)
    if name not in known:
        raise _unknown("torchvision", name, known)
    best = models.get_model_weights(name).DEFAULT

    def make(trained: bool, **options: int) -> Any:
        return models.get_model(name, weights=best if trained else None, **options)

    network = _made("torchvision", name, make, weights)
    shown, (_, last) = best.transforms(), _last_weight(network)
    sides = [shown.crop_size[0], shown.crop_size[-1]]
    return _described(network, len(last), shown.mean, shown.std, best.meta.get("categories"), sides)


COLLECTIONS = {"timm": open_timm, "torchvision": open_torchvision}
"""What opens a name, by what stands before the colon."""


def _made(collection: str, name: str, make: Callable[..., Any], weights: Path | str | None) -> Any:
    """The network, with the collection's own weights or with those of a file."""
    if weights is not None:
        network = make(False)
        count = _classes(network, load_weights(weights))
        if count is not None:
            network = make(False, num_classes=count)
        put_weights(network, weights)
        return network.eval()
    try:
        with _weights_alone():
            return make(True).eval()
    except Exception as error:  # no network, no room, a broken download: each library has its own errors
        raise ModelError(
            f"{collection} could not get the weights of {name!r}.",
            slug="collection-weights",
            seen=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}",
            needed="the file that the collection names, whole",
            why="no connection, no room on the disk, or a download that was cut short",
            hint="Fetch it by other means, and give it as --weights FILE.",
        ) from error


def _classes(network: nn.Module, weights: dict[str, Tensor]) -> int | None:
    """How many classes the weights are for, where that is all that sets them apart from the network's."""
    name, own = _last_weight(network)
    given = weights.get(name)
    if given is None or given.shape[1:] != own.shape[1:] or len(given) == len(own):
        return None
    return len(given)


def _last_weight(network: nn.Module) -> tuple[str, Tensor]:
    """The last matrix of the network, a row a class."""
    return [(name, p) for name, p in network.named_parameters() if p.ndim >= 2][-1]


@contextmanager
def _weights_alone() -> Iterator[None]:
    """Whatever torch.load a library calls meanwhile opens weights only."""
    before = os.environ.get(_FORCE)
    os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before


def _described(
    network: nn.Module,
    count: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    labels: Sequence[str] | None,
    sides: Sequence[int | None],
    channels: int | None = 3,
) -> Bare:
    """The network with its collection's facts; names only where there is one for each class."""
    named = tuple(map(str, labels)) if labels is not None and len(labels) == count else None
    size = sides[0] if sides[0] == sides[1] else None
    own = [None if part is None else tuple(part) for part in (mean, std)]
    return Bare(network, mean=own[0], std=own[1], labels=named, size=size, channels=channels)


def _unknown(collection: str, name: str, known: Sequence[str]) -> ModelError:
    near = difflib.get_close_matches(name, known, n=3)
    return ModelError(
        f"{collection} has no classifier {name!r}.",
        slug="collection-unknown",
        seen=f"{len(known):,} names",
        needed="one of them",
        hint=f"Close names: {', '.join(near)}" if near else f"Look into the documentation of {collection}.",
    )
