"""MODEL on the command line: a checkpoint of ours, or `file.py:function`."""

import difflib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import AmissError, ModelError, UsageError

__all__ = ["check_fit", "load_classifier", "load_decoder"]

_LATER = ("timm:", "torchvision:", "hf:")


def load_classifier(
    model: str,
    *,
    device: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Classifier:
    """The classifier that MODEL names.

    Args:
        model: `path.safetensors` (a classifier trained by amiss) or `path/file.py:function`; the function takes
            nothing and returns an `amiss.Classifier`, or a module that wants images in [0, 1].
        device: Where it is moved; it stays where it is if left out.
        mean: Preprocessing for a bare module.
        std: The same.

    Raises:
        UsageError: MODEL is neither of both, or brings its own preprocessing and is given another.
        ModelError: The file or function is missing or raises, or returns something else.
    """
    if model.endswith(".safetensors"):
        from amiss.training import load_model

        module, facts = load_model(model)
        kind = facts.get("kind", "model that does not say what it is")
        if kind != "classifier":
            raise ModelError(
                f"{Path(model).name} is no classifier.",
                slug="model-kind",
                seen=f"a {kind}",
                needed="a classifier",
                hint="Give it as --decoder, and the classifier as MODEL.",
            )
        _refuse_preprocessing(model, mean, std)
        return Classifier(module, mean=facts["mean"], std=facts["std"], labels=facts["classes"], device=device)
    path, colon, name = model.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise _unknown(model)
    made = _call(Path(path), name)
    if isinstance(made, Classifier):
        _refuse_preprocessing(model, mean, std)
        if device is not None:
            made.device = torch.device(device)
            if isinstance(made.network, nn.Module):
                made.network.to(made.device)
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


def load_decoder(path: str, device: torch.device | str = "cpu") -> Any:
    """The decoder in a checkpoint of ours."""
    from amiss.training import load_model

    module, facts = load_model(path)
    kind = facts.get("kind", "model that does not say what it is")
    if kind != "decoder":
        raise ModelError(
            f"{Path(path).name} is no decoder.",
            slug="model-kind",
            seen=f"a {kind}",
            needed="an autoencoder that amiss train made",
            hint="Train one: amiss train vae DATA --out decoder/",
        )
    return module.to(device)


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


def _unknown(model: str) -> UsageError:
    if model.startswith(_LATER) or Path(model).suffix.lower() == ".onnx":
        what, why = f"MODEL {model!r} is of a kind that is not supported yet.", ""
    else:
        what, why = f"MODEL {model!r} is none that amiss knows.", ""
        if model.endswith(".py"):
            why = "the function's name is missing after a colon"
        elif Path(model).suffix.lower() in (".pt", ".pth", ".pkl", ".bin", ".ckpt"):
            why = "such a file is a pickle, which may run code of anybody's; amiss does not open it"
    return UsageError(
        what,
        slug="model-unknown",
        seen=model,
        needed="path/file.py:function, or a .safetensors file of ours",
        why=why,
        hint="Write a function that returns your network: amiss audit nets.py:build photos/",
    )


def _refuse_preprocessing(model: str, mean: object, std: object) -> None:
    if mean is not None or std is not None:
        raise UsageError(
            "--mean and --std are for a bare network; this MODEL brings its own preprocessing.",
            slug="usage-preprocessing",
            seen="--mean" if std is None else "--std" if mean is None else "--mean and --std",
            needed="a function that returns a torch.nn.Module",
            why=f"{Path(model).name} is a classifier already",
            hint="Leave them out, or change the preprocessing where the classifier is made.",
        )


def _call(path: Path, name: str) -> Any:
    """Run the user's own file, at the user's own word, and call the function."""
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.py")], n=3)
        raise ModelError(
            f"There is no file {str(path)!r}.",
            slug="model-path",
            seen=f"{path.parent.name or 'the working folder'} holds no {path.name}",
            needed="a Python file with a function that returns your network",
            why="a typing mistake, or a path from another folder",
            hint=f"Close names: {', '.join(near)}" if near else "Check the path before the colon.",
        )
    path = path.resolve()
    own = f"amiss_user_{path.stem}"  # a file called random.py must not stand in for the standard one
    spec = importlib.util.spec_from_file_location(own, path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a .py file always has them
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    sys.modules[own] = module
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, name):
            public = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
            near = difflib.get_close_matches(name, public, n=3) or public[:5]
            raise ModelError(
                f"{path.name} has no function {name!r}.",
                slug="model-function",
                seen=f"functions {', '.join(public[:8])}" if public else "no function at all",
                needed=f"def {name or 'build'}(): return net",
                hint=f"{path.name}:{near[0]}" if near else "Write one, and name it after the colon.",
            )
        made = getattr(module, name)()
    except (AmissError, KeyboardInterrupt):
        raise
    except BaseException as error:
        trace, line = error.__traceback__, (error.lineno or 0) if isinstance(error, SyntaxError) else 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == str(path):
                line = trace.tb_lineno
            trace = trace.tb_next
        raise ModelError(
            f"{path.name} raised {type(error).__name__}: {str(error)[:300]}",
            slug="model-file",
            seen=f"line {line} of {path.name}" if line else path.name,
            needed=f"{name}() to return a network",
            why=_likely(error),
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
                needed="finite weights",
                why="the training diverged, or the checkpoint is damaged",
                hint="Load a checkpoint from before the training diverged.",
            )
    return made


def _likely(error: BaseException) -> str:
    if isinstance(error, ImportError):
        return "a package that is not installed beside amiss"
    if isinstance(error, OSError):
        return "a file that is looked for from another working folder"
    if isinstance(error, TypeError) and "argument" in str(error):
        return "the function wants arguments; it is called without any"
    return "a bug in that file, or weights that do not fit the network"
