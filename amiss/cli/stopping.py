"""Ctrl-C: the first finishes the turn, saves and ends; the second ends at once. Both are safe."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stopping"]

_ASKING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Whether somebody asked to stop, for the length of a block; SIGTERM asks as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():  # only there may signals be handled
        yield lambda: False
        return
    asked = False

    def ask(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        print("Stopping after this turn; once more stops at once.", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, ask) for number in _ASKING}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
