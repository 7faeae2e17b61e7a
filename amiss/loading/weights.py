"""Weights from other people's files: tensors by name, and never a pickle that could run code."""

import difflib
import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amiss.errors import CheckpointError, ModelError
from amiss.loading.pickles import forbidden_globals, is_program, is_zip

__all__ = ["load_weights", "put_weights", "refuse_nan"]

_NESTS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name
_SAVE = "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"


def load_weights(path: Path | str) -> dict[str, Tensor]:
    """Read the weights in a file, on the CPU.

    `.safetensors` files are data alone. Files of torch.save (.pt, .pth, .bin, .ckpt) are opened as weights only:
    one that names anything but tensors and plain values is refused with those names, and nothing in it is run.

    Args:
        path: The file. Where the weights lie in it under "state_dict", "model_state_dict" or "model", those are
            taken; "module." and "_orig_mod." before every name are dropped.

    Returns:
        Tensors by name, as `load_state_dict` takes them.

    Raises:
        CheckpointError: The file is missing, cannot be read, names what is forbidden, or holds no weights.
    """
    path = Path(path)
    if not os.path.isfile(path):
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=3)
        raise CheckpointError(
            f"There is no file {str(path)!r}.",
            slug="weights-missing",
            seen=f"{path.parent.name or 'the working folder'} holds no {path.name}",
            needed="a file of weights: .safetensors, .pt, .pth, .bin or .ckpt",
            hint=f"Close names: {', '.join(near)}" if near else "Check the path.",
        )
    weights = _bare(path, _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path))
    _refuse_claims(path, weights)
    return weights


def put_weights(network: nn.Module, path: Path | str) -> None:
    """Put the weights of a file into a network, all of them and no other.

    Raises:
        CheckpointError: As `load_weights`.
        ModelError: They do not fit the network, or are NaN.
    """
    weights = load_weights(path)
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        raise ModelError(
            f"The weights in {Path(path).name} do not fit the network.",
            slug="weights-fit",
            seen="; ".join(line[:160] for line in lines[:2]) or str(error)[:200],
            needed="every weight of the network by its own name and shape, and no other",
            why="another architecture, or another number of classes",
            hint="Build the network as it was built for its training.",
        ) from error
    refuse_nan(network)


def refuse_nan(network: nn.Module) -> None:
    """Refuse a network with weights that are NaN.

    Raises:
        ModelError: It has some.
    """
    for name, p in network.named_parameters():
        if bool(torch.isnan(p).any()):
            raise ModelError(
                "The network has weights that are NaN.",
                slug="model-not-finite",
                seen=f"NaN in {name}",
                needed="finite weights",
                why="the training diverged, or the checkpoint is damaged",
                hint="Load a checkpoint from before the training diverged.",
            )


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, str(error), "cut short, or another kind of file under this name") from error


def _read_pickle(path: Path) -> Any:
    if is_program(path):
        raise _unreadable(path, "an archive of TorchScript", "a program is no weights, and amiss runs none")
    try:
        if is_zip(path):
            with zipfile.ZipFile(path) as archive:
                if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                    raise _unreadable(path, "a compressed zip", "torch.save never compresses; a bomb does")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own words about the types of older files
            return torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # what a hostile file ends in is its own choice
        names = forbidden_globals(path)
        if not names:
            why = "cut short, or another kind of file under this name"
            said = "opcodes of a plain pickle" if isinstance(error, pickle.UnpicklingError) else str(error)
            raise _unreadable(path, said, why) from error
        raise CheckpointError(
            f"{path.name} names more than weights, and was not opened.",
            slug="weights-forbidden",
            seen=", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else ""),
            needed="tensors and plain values alone",
            why="a whole network or a training's state was saved, not its state_dict; or the file would run code",
            hint=f"Where you trust the file, and with its own code, save the weights alone: {_SAVE}",
        ) from error


def _bare(path: Path, value: Any) -> dict[str, Tensor]:
    """The weights inside what was read, by their own names."""
    if isinstance(value, Mapping):
        value = next((value[nest] for nest in _NESTS if isinstance(value.get(nest), Mapping)), value)
    wrong = not isinstance(value, Mapping) or not value
    if wrong or any(not isinstance(k, str) or not isinstance(v, Tensor) for k, v in value.items()):
        seen = f"a {type(value).__name__}"
        if isinstance(value, Mapping):
            seen += f" with {', '.join(f'{k!s:.40}: {type(v).__name__}' for k, v in list(value.items())[:4])}"
        raise CheckpointError(
            f"{path.name} holds no weights.",
            slug="weights-none",
            seen=seen,
            needed='tensors by name, or such under "state_dict", "model_state_dict" or "model"',
            hint=f"Save the weights alone: {_SAVE}",
        )
    weights = {name: tensor.detach() for name, tensor in value.items()}
    for prefix in _PREFIXES * 2:  # each may stand inside the other
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


def _refuse_claims(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Refuse a tensor without memory of its own, or that claims more than its file brings."""
    size = path.stat().st_size
    for name, tensor in weights.items():
        claim = tensor.numel() * tensor.element_size()
        if tensor.device.type != "cpu" or tensor.layout != torch.strided or claim > size:
            raise CheckpointError(
                f"{path.name} claims more than it holds.",
                slug="weights-claim",
                seen=f"{name[:80]} of shape {tuple(tensor.shape)}: {claim:,} bytes, in a file of {size:,}",
                needed="tensors whose every number stands in the file",
                why="an expanded, sparse or meta tensor, or a file that is built to fill the memory",
                hint="Save plain tensors, where you trust their source: {k: v.to_dense().clone() for k, v in ...}",
            )


def _unreadable(path: Path, seen: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} cannot be read as weights.",
        slug="weights-file",
        seen=seen.splitlines()[0][:200] if seen else "nothing",
        needed="a whole .safetensors file, or one of torch.save that holds tensors alone",
        why=why,
        hint=f"Write it again where it came from: {_SAVE}",
    )
