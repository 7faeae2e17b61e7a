"""MODEL on the command line: a checkpoint of ours, or `file.py:function`."""

import difflib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.errors import AmissError, ModelError, UsageError

__all__ = ["load_classifier", "load_decoder", "model_name"]


def load_classifier(
    model: str,
    *,
    device: str = "cpu",
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Classifier:
    """The classifier that MODEL names.

    Args:
        model: `path.safetensors` (a classifier trained by amiss) or `path/file.py:function`; the function takes
            nothing and returns an `amiss.Classifier`, or a module that wants images in [0, 1].
        device: Where it is moved.
        mean: Preprocessing for a bare module.
        std: The same.

    Raises:
        UsageError: MODEL is neither of both.
        ModelError: The file or function is missing or raises, or returns something else.
    """
    if model.endswith(".safetensors"):
        from amiss.training import load_model

        module, facts = load_model(model)
        if facts["kind"] != "classifier":
            raise ModelError(
                f"{Path(model).name} is no classifier.",
                slug="model-kind",
                seen=f"a {facts['kind']}",
                hint="Give it as --decoder, and the classifier as MODEL.",
            )
        return Classifier(module, mean=facts["mean"], std=facts["std"], labels=facts["classes"], device=device)
    path, colon, name = model.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise UsageError(
            f"MODEL {model!r} is none that amiss knows.",
            slug="model-unknown",
            needed="path/file.py:function, or a .safetensors file of ours",
            hint="Write a function that returns your network: amiss audit nets.py:build photos/",
        )
    made = _call(Path(path), name)
    if isinstance(made, Classifier):
        return made
    if not callable(made):
        raise ModelError(
            f"{name}() returns no classifier.",
            slug="model-function",
            seen=f"a {type(made).__name__}",
            needed="an amiss.Classifier or a torch.nn.Module",
            hint="return amiss.Classifier(net, mean=..., std=..., labels=[...])",
        )
    return Classifier(made, mean=mean, std=std, device=device)


def load_decoder(path: str) -> Any:
    """The decoder in a checkpoint of ours."""
    from amiss.training import load_model

    module, facts = load_model(path)
    if facts["kind"] != "decoder":
        raise ModelError(
            f"{Path(path).name} is no decoder.",
            slug="model-kind",
            seen=f"a {facts['kind']}",
            hint="Train one: amiss train vae DATA --out decoder/",
        )
    return module


def model_name(model: str) -> str:
    """How the report calls a model: without the folders it lies in."""
    return Path(model).name


def _call(path: Path, name: str) -> Any:
    """Run the user's own file, at the user's own word, and call the function."""
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.py")], n=3)
        raise ModelError(
            f"There is no file {str(path)!r}.",
            slug="model-path",
            hint=f"Close names: {', '.join(near)}" if near else "Check the path before the colon.",
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a .py file always has them
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, name):
            public = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
            near = difflib.get_close_matches(name, public, n=3) or public[:5]
            raise ModelError(
                f"{path.name} has no function {name!r}.",
                slug="model-function",
                hint=f"It has: {', '.join(near)}",
            )
        made = getattr(module, name)()
    except (AmissError, KeyboardInterrupt):
        raise
    except BaseException as error:
        trace, line = error.__traceback__, 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == str(path):
                line = trace.tb_lineno
            trace = trace.tb_next
        raise ModelError(
            f"{path.name} raised {type(error).__name__}: {str(error)[:300]}",
            slug="model-file",
            seen=f"line {line} of {path.name}" if line else path.name,
            needed=f"{name}() to return a network",
            hint=f"Run it by itself: python -c 'import {path.stem}; {path.stem}.{name}()'; --debug shows all.",
        ) from error
    finally:
        sys.path.remove(str(path.parent))
    if isinstance(made, nn.Module):
        made.eval()
        if any(bool(torch.isnan(p).any()) for p in made.parameters()):
            raise ModelError(
                "The network has weights that are NaN.",
                slug="model-not-finite",
                seen="NaN in " + next(n for n, p in made.named_parameters() if bool(torch.isnan(p).any())),
                hint="Load a checkpoint from before the training diverged.",
            )
    return made
