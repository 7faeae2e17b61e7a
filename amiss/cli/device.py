"""The device that `--device` names, tried before anything is loaded."""

import torch

from amiss.errors import UsageError

__all__ = ["usable"]


def usable(name: str) -> str:
    """The name itself, once a number has been put on the device.

    Args:
        name: A device as torch names it: "cpu", "cuda", "cuda:1", "mps".

    Raises:
        UsageError: Torch does not know it, or finds none here.
    """
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            "This device cannot be used.",
            slug="device",
            seen=f"{name}: {str(error).splitlines()[0]}",
            needed="a device that torch finds here, such as cpu or cuda",
            why="no such accelerator in this machine, or a torch that was built without it",
            hint="Use --device cpu.",
        ) from error
    return name
