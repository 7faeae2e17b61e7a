"""Progress with an estimate of the time left: a bar on a terminal, a line every five seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["showing"]

_EVERY = 5.0


@contextmanager
def showing(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """What an audit tells its progress to: (what, done, total).

    Args:
        quiet: Say nothing.
    """
    if quiet:
        yield lambda *_: None
    elif not sys.stderr.isatty():
        yield _lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            tasks: dict[str, TaskID] = {}

            def move(what: str, done: int, total: int) -> None:
                name = what.split(" (")[0]
                if name not in tasks:
                    for task in tasks.values():
                        bar.update(task, visible=False)
                    tasks[name] = bar.add_task(what, total=total)
                bar.update(tasks[name], completed=done, description=what)

            yield move


def _lines() -> Callable[[str, int, int], None]:
    name, began, said, first = "", 0.0, 0.0, 0

    def line(what: str, done: int, total: int) -> None:
        nonlocal name, began, said, first
        now = time.monotonic()
        if what.split(" (")[0] != name:
            name, began, first = what.split(" (")[0], now, done  # what was done before took none of this time
        elif now - said < _EVERY:
            return
        said = now
        left = (
            f", about {(now - began) * (total - done) / (done - first):.0f} s to go" if first < done < total else ""
        )
        print(f"{what}: {done} of {total}{left}", file=sys.stderr, flush=True)

    return line
