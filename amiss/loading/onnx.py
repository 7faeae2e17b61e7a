"""ONNX files, run by onnxruntime: a network that answers and gives no gradient."""

import ast
import difflib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amiss.data.guards import readable
from amiss.errors import ModelError, UsageError
from amiss.loading.bare import Bare, package
from amiss.loading.wire import external_files, is_onnx
from amiss.repro import digest

__all__ = ["OnnxNetwork", "open_onnx"]

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_NAMES = ("labels", "classes", "class_names", "names")  # where exporters write them; there is no standard
_LONGEST, _TEXT = 200, 2**20  # characters of a name, and of all names
_ROWS = 4096
"""A fixed batch is filled up before it is shown; a larger one would fill the memory."""


class OnnxNetwork:
    """A callable network: images [N, C, H, W] in, one output of the model back, on the device of the images.

    A model that puts the channels last is given them so, one with a fixed batch is shown that many rows at a time,
    and one that takes bytes is given 0..255.

    Args:
        session: An onnxruntime session with one image-like input.
        output: Name of the output.
        fingerprint: Digest of the model's files.

    Attributes:
        channels: Of the images that it takes; None where it takes any number.

    Raises:
        ModelError: The model has no single input for images.
    """

    def __init__(self, session: Any, output: str, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self._session, self._output = session, output
        self._input, shape, self._type = _image_input(session)
        self._last = shape[1] not in (1, 3) and shape[3] in (1, 3)
        channels, *sides = (shape[i] for i in ((3, 1, 2) if self._last else (1, 2, 3)))
        self._rows, self.channels, self._sides = shape[0], channels, sides

    @property
    def size(self) -> int | None:
        """Side of the square that the model takes, where it takes one."""
        height, width = self._sides
        return height if height == width else None

    @property
    def bytes(self) -> bool:
        """Whether it takes bytes."""
        return self._type is np.uint8

    def __call__(self, x: Tensor) -> Tensor:
        """The output [N, ...] for images [N, C, H, W]: preprocessed, or in [0, 1] where it takes bytes."""
        self._refuse(x)
        shown = (x * 255).round().clamp(0, 255) if self.bytes else x
        array: Any = (shown.permute(0, 2, 3, 1) if self._last else shown).detach().cpu().numpy().astype(self._type)
        rows = self._rows or len(array)
        parts = []
        for start in range(0, len(array), max(rows, 1)):
            part = np.ascontiguousarray(array[start : start + rows])
            have = len(part)
            if have < rows:  # the last of a fixed batch is filled up, and what that answers is dropped
                part = np.concatenate([part, np.repeat(part[-1:], rows - have, 0)])
            (out,) = self._session.run([self._output], {self._input: part})
            out = torch.from_numpy(out)
            parts.append(out.reshape(1, -1) if rows == 1 and out.ndim < 2 else out[:have])
        return torch.cat(parts).to(x.device)

    def _refuse(self, x: Tensor) -> None:
        """Refuse images that the model says it does not take."""
        if self.channels not in (None, x.shape[1]):
            raise ModelError(
                "The network takes another number of channels than the images have.",
                slug="model-channels",
                seen=f"images [N, {x.shape[1]}, H, W]",
                needed=f"{self.channels} channels",
                hint=f"--channels {self.channels}",
            )
        for have, want in zip(x.shape[2:], self._sides, strict=True):
            if want not in (None, have):
                height, width = self._sides
                raise ModelError(
                    "The network takes images of one size.",
                    slug="onnx-size",
                    seen=f"images of {x.shape[2]} x {x.shape[3]} pixels",
                    needed=f"{height or 'any'} x {width or 'any'}",
                    hint=f"--size {want}" if self.size else "Export the model with a free height and width.",
                )


def open_onnx(path: Path, output: str | None = None, device: torch.device | str | None = None) -> Bare:
    """The network in an ONNX file, on as many threads as torch has.

    Args:
        path: The file. Files that it wants beside it must lie inside its folder.
        output: Name of the output with the logits; where left out, the only one that holds a row an image.
        device: "cpu", or "cuda" with an onnxruntime that was built for it.

    Raises:
        ModelError: The file is missing, is no ONNX, reaches out of its folder, cannot be run, or has no such input
            or output; or onnxruntime is not installed.
        UsageError: onnxruntime cannot use the device.
    """
    data = _read(path)
    beside = _beside(path, data)
    runtime = package("onnxruntime", "An ONNX file")
    session = _session(runtime, path, torch.device(device or "cpu"))
    chosen = _choose(session.get_outputs(), output)
    network = OnnxNetwork(session, chosen.name, digest(data, chosen.name, *(file.read_bytes() for file in beside)))
    width = _fixed(chosen.shape[1]) if len(chosen.shape) > 1 else 1
    labels = _labels(session.get_modelmeta().custom_metadata_map, 2 if width == 1 else width)
    shape: dict[str, Any] = {"size": network.size, "channels": network.channels}
    return Bare(network, labels=labels, **shape, gives="loss", bytes=network.bytes)


def _read(path: Path) -> bytes:
    if not os.path.isfile(path):
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.onnx")], n=3)
        raise ModelError(
            f"There is no file {str(path)!r}.",
            slug="model-path",
            seen=f"{path.parent.name or 'the working folder'} holds no {path.name}",
            needed="an ONNX file",
            why="a typing mistake, or a path from another folder",
            hint=f"Close names: {', '.join(near)}" if near else "Check the path.",
        )
    data = path.read_bytes()
    if not is_onnx(data):
        raise _refused(path, f"{len(data):,} bytes that are no ONNX model", "cut short, or another kind of file")
    return data


def _beside(path: Path, data: bytes) -> list[Path]:
    """The files that the model wants read, all of them inside its folder."""
    folder, found = path.parent.resolve(), []
    try:
        wanted = sorted(external_files(data))
    except ValueError as error:
        raise _refused(path, str(error), "cut short, or damaged") from error
    for name in wanted:
        try:
            file = (folder / name).resolve()
            # With stars around it a name is onnxruntime's own word for an address in memory, which it would read.
            inside, there = file.is_relative_to(folder) and "*" not in name, file.is_file()
        except (OSError, ValueError):  # a name that no file can have
            inside, there = True, False
        if not inside or not there:
            raise ModelError(
                f"{path.name} wants weights from a file that " + ("is not there." if inside else "is not its own."),
                slug="onnx-external",
                seen=repr(name[:200]),
                needed=f"files inside the folder of {path.name}",
                why="the file was moved without the weights beside it" if inside else "a path out of its folder",
                hint="Put the weights beside it, or export the model into one file.",
            )
        found.append(file)
    return found


def _session(runtime: Any, path: Path, device: torch.device) -> Any:
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.type != "cpu":
        name = {"cuda": "CUDAExecutionProvider"}.get(device.type, "")
        if name not in runtime.get_available_providers():
            raise _no_device(device)
        providers.insert(0, (name, {"device_id": device.index or 0}))
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # whatever goes wrong is raised, too
    # Threads that spin while they wait slow down all else on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = runtime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its exceptions have no base of their own
        said = str(error).partition("\n")[0].replace(str(path), path.name)
        raise _refused(path, said, "an operator or a version that this onnxruntime does not know") from error
    if device.type == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise _no_device(device)  # it falls back without a word
    return session


def _image_input(session: Any) -> tuple[str, list[int | None], type]:
    """Name, shape (None: free) and type of the one input."""
    inputs = session.get_inputs()
    shown = ", ".join(f"{i.name[:40]}: {i.type} {i.shape}" for i in inputs[:4])
    if len(inputs) == 1:
        (one,) = inputs
        if one.type in _TYPES and len(one.shape) == 4:
            shape = [_fixed(side) for side in one.shape]
            if (shape[1] in (None, 1, 3) or shape[3] in (1, 3)) and (shape[0] or 1) <= _ROWS:
                return one.name, shape, _TYPES[one.type]
    raise ModelError(
        "The model has no single input for images.",
        slug="onnx-input",
        seen=shown[:300] or "no input at all",
        needed="one input [N, C, H, W] or [N, H, W, C] of 1 or 3 channels, of floats or bytes, "
        f"a fixed N at most {_ROWS:,}",
        why="a model of another kind, or one that wants more than an image",
        hint="Export the classifier alone, or wrap it in a function: Classifier(f, gives='loss').",
    )


def _choose(outputs: list[Any], name: str | None) -> Any:
    """The output with a row of logits an image."""
    names = [out.name for out in outputs]
    fit = [out for out in outputs if out.type in _TYPES and out.name == (name or out.name)]
    if name is None and len(fit) > 1:
        fit = [out for out in fit if len(out.shape) == 2]
    if len(fit) == 1:
        return fit[0]
    near = difflib.get_close_matches(name, names, n=3) if name else names[:3]
    raise ModelError(
        f"The model has no output {name!r} of floats." if name else "It is not clear which output holds the logits.",
        slug="onnx-output",
        seen=", ".join(f"{out.name[:40]}: {out.type} {out.shape}" for out in outputs[:6]),
        needed="one output of logits [N, classes]",
        hint=f"Name it after a colon: model.onnx:{(near or names)[0][:40]}" if names else "Export it with an output.",
    )


def _labels(metadata: dict[str, str], count: int | None) -> tuple[str, ...] | None:
    """Names of the outputs, where the exporter wrote one for each."""
    for key in _NAMES:
        text = metadata.get(key, "")
        if len(text) > _TEXT:
            continue
        for reader in (json.loads, ast.literal_eval):  # a list or a dictionary, of JSON or of Python's literals
            try:
                names = reader(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(names, dict):
                names = [names.get(i, names.get(str(i))) for i in range(len(names))]
            plain = isinstance(names, list) and names and all(isinstance(n, str) and n for n in names)
            if plain and count in (None, len(names)) and max(map(len, names)) <= _LONGEST:
                return tuple(map(readable, names))
    return None


def _fixed(side: Any) -> int | None:
    """A dimension that is a number; names and gaps are free."""
    return side if isinstance(side, int) and side > 0 else None


def _refused(path: Path, seen: str, why: str) -> ModelError:
    return ModelError(
        f"{path.name} cannot be read as an ONNX model.",
        slug="onnx-file",
        seen=seen[:300],
        needed="an ONNX model of standard operators",
        why=why,
        hint="Export it again: torch.onnx.export(net, example, 'model.onnx').",
    )


def _no_device(device: torch.device) -> UsageError:
    return UsageError(
        f"onnxruntime cannot use {device} here.",
        slug="onnx-device",
        seen=f"an onnxruntime without {device.type}",
        needed="cpu, or cuda with an onnxruntime that was built for it",
        why="the plain package runs on the CPU alone",
        hint="Use --device cpu, or install onnxruntime-gpu in place of onnxruntime.",
    )
