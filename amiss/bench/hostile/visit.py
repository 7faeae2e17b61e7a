"""A process of its own: `python -m amiss.bench.hostile.visit CASES` opens each source and tells what happened."""

import json
import os
import resource
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from amiss.bench.hostile.case import GOOD, OUTSIDE, SECRET, SIDE, Case
from amiss.data import Images, open_data
from amiss.errors import AmissError
from amiss.loading import load_weights

__all__ = ["Watch", "visit"]

_FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")


class Watch:
    """What Python is asked to do while a source is open, as far as no image has any business with it."""

    def __init__(self, outside: str) -> None:
        self.outside = outside
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN:
            self.seen.append(event)
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path.startswith((self.outside, "/dev/zero")):
                self.seen.append(f"opened {Path(path).name}")


def visit(case: Case, watch: Watch) -> list[str]:
    """Open a source; what went wrong, in words."""
    watch.seen.clear()
    wrong: list[str] = []
    try:
        if case.weights:
            load_weights(case.source)
            wrong.append("a pickle was accepted as weights")
        else:
            images = open_data(case.source, size=SIDE, label=case.label)
            wrong += _judge(case, images)
    except AmissError as error:
        if case.good or case.opened:
            wrong.append(f"refused as a whole: {error.slug}: {error.seen}"[:300])
        if not (error.hint and str(error)):
            wrong.append("an error that does not say what to do")
    except BaseException as error:  # whatever else comes out is the failure that is looked for
        wrong.append(f"{type(error).__name__}: {error}"[:300])
    return wrong + [f"it reached for what it must not: {event}" for event in watch.seen]


def _judge(case: Case, images: Images) -> list[str]:
    wrong = []
    color = [tuple(p[:, 0, 0].tolist()) if bool((p == p[:, :1, :1]).all()) else None for p in images.pixels]
    if color.count(GOOD) < case.good:
        wrong.append(f"{color.count(GOOD)} of {case.good} healthy images are left")
    if case.opened is not None and len(images) != case.opened:
        wrong.append(f"{len(images)} images were opened, not {case.opened}: {images.names}"[:300])
    if len(images.unreadable) < case.left_out:
        wrong.append(f"{len(images.unreadable)} files are named as left out, not {case.left_out}")
    if SECRET in color:
        wrong.append("an image from outside was opened")
    if any(not reason for _, reason in images.unreadable):
        wrong.append("a file was left out without a reason")
    json.dumps([images.names, images.classes, images.unreadable], ensure_ascii=False).encode()
    return wrong


def _main(path: Path) -> None:
    """Tell one line at the beginning, and one for each case: [wrong, ...] and the bytes that it took at most."""
    torch.set_num_threads(1)
    cases = [Case(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    watch = Watch(str((path.parent / OUTSIDE).resolve()))
    lone = threading.active_count()
    print(json.dumps([[], 0]), flush=True)
    for case in cases:
        before = _peak(again=True)
        wrong = visit(case, watch)
        if threading.active_count() > lone:
            wrong.append("a thread was left behind")
        print(json.dumps([wrong, _peak() - before]), flush=True)


def _peak(again: bool = False) -> int:
    """The most memory that this process had, in bytes: since it was last asked with `again`, where the system can."""
    try:
        if again:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
