"""Watching a probe from outside: what it leaves behind, how often it asks, what it keeps, and how it takes a fall."""

import copy
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from amiss.task import Task
from amiss.testing.batteries.values import cloned, parts_of, same, traces
from amiss.testing.batteries.verdicts import Skipped, need

__all__ = ["counting", "living", "newcomers", "tripping", "untraced"]


@contextmanager
def untraced(classifier: Any, task: Task) -> Iterator[None]:
    """Refuse any trace on the model or on the samples that the block leaves.

    Raises:
        Broken: Something is other than before.
    """
    model = _model(classifier)
    before, samples = traces(model), cloned(parts_of(task))
    yield
    after = traces(model)
    changed = [name for name in before if not same(before[name], after[name])]
    need(not changed, f"other {', '.join(changed)}", "everything as it was")
    need(same(parts_of(task), samples), "samples that changed", "samples as they were given")


@contextmanager
def tripping(classifier: Any, error: BaseException) -> Iterator[Any]:
    """A classifier whose second pass ends in the error.

    Raises:
        Skipped: The block came to its end without a second pass.
    """
    passes: list[int] = []

    def trip(x: Tensor) -> None:
        passes.append(len(x))
        if len(passes) == 2:
            raise error

    with _before_each_pass(classifier, trip) as tripped:
        yield tripped
    if len(passes) < 2:
        raise Skipped("the probe makes no second pass through the module")


@contextmanager
def counting(classifier: Any) -> Iterator[tuple[Any, list[int]]]:
    """A classifier, and the number of images in each pass of its network."""
    shown: list[int] = []
    with _before_each_pass(classifier, lambda x: shown.append(len(x))) as counted:
        yield counted, shown


@contextmanager
def newcomers() -> Iterator[None]:
    """Within the block the collector looks at what is made there, which is quick, and leaves the rest alone."""
    frozen = gc.get_freeze_count()
    gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()


def living() -> int:
    """Bytes of the tensors that are alive and known to the collector, each storage once."""
    gc.collect()
    found = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), Tensor):
            storage = thing.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


@contextmanager
def _before_each_pass(classifier: Any, act: Callable[[Tensor], None]) -> Iterator[Any]:
    """A classifier that acts before each pass of its network."""
    model = _model(classifier)
    if isinstance(model, nn.Module):
        handle = model.register_forward_pre_hook(lambda _, inputs: act(inputs[0]))
        try:
            yield classifier
        finally:
            handle.remove()
    elif model is not classifier:
        acting = copy.copy(classifier)

        def network(x: Tensor) -> Any:
            act(x)
            return model(x)

        acting.network = network
        yield acting
    else:
        raise Skipped("the model is no module and no classifier: its passes cannot be watched")


def _model(classifier: Any) -> Any:
    """What the classifier is made of."""
    return getattr(classifier, "network", classifier)
