"""One command in several processes of this machine, which stop together and answer as one."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from amiss.training.processes import MEETING

__all__ = ["launch"]

_GRACE = 20.0  # seconds that the others have to end after one has failed


def launch(words: Sequence[str], processes: int) -> int:
    """Run `amiss WORDS` in so many processes and wait for all.

    The first speaks for all of them; of the others only the end of one that fails alone is heard. Ctrl-C and SIGTERM
    go to the first, which agrees with the others on the step after which they stop; a second one ends all at once.

    Args:
        words: The command, without the name of the program.
        processes: How many, 2 or more.

    Returns:
        The exit code: that of the first process, or of another one that failed where the first did not.
    """
    with tempfile.TemporaryDirectory(prefix="amiss-") as folder:
        # They meet in a file and speak over the loopback interface: nothing listens to other machines.
        place = {**os.environ, "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
        place[MEETING] = str(Path(folder) / "meeting")
        place.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
        if sys.platform == "linux":
            place.setdefault("GLOO_SOCKET_IFNAME", "lo")
        logs = [Path(folder) / f"{rank}.txt" for rank in range(processes)]
        running = [
            _begin(words, {**place, "RANK": str(rank), "LOCAL_RANK": str(rank)}, log if rank else None)
            for rank, log in enumerate(logs)
        ]
        codes = _wait(running)
        if codes[0] == 0 and any(codes):  # the first has not said what went wrong
            failed = next(rank for rank, code in enumerate(codes) if code)
            print(logs[failed].read_text(errors="replace")[-4000:], file=sys.stderr)
    return next((code if code > 0 else 1 for code in codes if code), 0)


def _begin(words: Sequence[str], environment: dict[str, str], log: Path | None) -> subprocess.Popen[bytes]:
    """One process, in a session of its own: Ctrl-C at the terminal reaches it through its parent alone."""
    command = [sys.executable, "-m", "amiss", *words]
    if log is None:
        return subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603
    with log.open("wb") as file:
        return subprocess.Popen(command, env=environment, start_new_session=True, stdout=file, stderr=file)  # noqa: S603


def _wait(running: list[subprocess.Popen[bytes]]) -> list[int]:
    """Exit codes of all; where one fails, the others are ended after a while."""
    asked = 0

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        for process in running if asked > 1 else running[:1]:
            if process.poll() is None:
                process.send_signal(signal.SIGINT if asked < 3 else signal.SIGKILL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    failed = 0.0
    try:
        while any(process.poll() is None for process in running):
            time.sleep(0.05)
            if any(process.returncode for process in running):
                failed = failed or time.monotonic()
                if time.monotonic() - failed > _GRACE:
                    for process in running:
                        process.kill()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return [process.wait() for process in running]
