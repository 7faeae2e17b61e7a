"""`file.py:function`: a function of the user's, called at the user's own word."""

import contextlib
import difflib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from torch import nn

from amiss.errors import AmissError, ModelError

__all__ = ["call"]


def call(path: Path, name: str) -> Any:
    """Run the file and call the function without arguments.

    Args:
        path: The Python file; its folder is on the path of imports while it runs.
        name: Of the function.

    Returns:
        What it returned; a module in evaluation mode.

    Raises:
        ModelError: The file or the function is missing, or raises.
    """
    if not os.path.isfile(path):
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
        with contextlib.suppress(ValueError):  # the file may have changed the path itself
            sys.path.remove(str(path.parent))
    if isinstance(made, nn.Module):
        made.eval()
    return made


def _likely(error: BaseException) -> str:
    if isinstance(error, ImportError):
        return "a package that is not installed beside amiss"
    if isinstance(error, OSError):
        return "a file that is looked for from another working folder"
    if isinstance(error, TypeError) and "argument" in str(error):
        return "the function wants arguments; it is called without any"
    return "a bug in that file, or weights that do not fit the network"
