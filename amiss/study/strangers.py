"""Run folders that somebody else may have packed: nothing in them leads outside, and words are of their kind."""

import os
import re
import stat
from pathlib import Path
from typing import Any

from amiss.errors import DataError

__all__ = ["is_account", "is_digest", "refuse_leads"]

_WORDS = ("kind", "recipe", "model", "data", "command", "created", "parent")


def refuse_leads(folder: Path) -> None:
    """Refuse a run folder that holds a link, a pipe or a device: what is read or written there must lie there.

    Raises:
        DataError: It holds one.
    """
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            try:
                mode = path.lstat().st_mode
            except OSError:  # gone in between
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise DataError(
                    f"The run folder {str(folder)!r} holds something that leads out of it.",
                    slug="run-leads",
                    seen=f"{path.relative_to(folder).as_posix()!r} is "
                    + ("a link" if stat.S_ISLNK(mode) else "no plain file"),
                    needed="plain files and folders alone",
                    why="a folder of somebody else's, or one whose parts were moved to another disk",
                    hint="Put the file itself there; link the whole run folder if it must lie elsewhere.",
                )


def is_digest(value: Any) -> bool:
    """Whether it is a SHA-256 in hexadecimal: part of a path may be made of it."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def is_account(said: Any) -> bool:
    """Whether it is what `run.json` holds, as far as anybody reads it."""
    if not isinstance(said, dict) or not _texts(said.get("fingerprints")):
        return False
    n, lost, sessions = said.get("n", 0), said.get("unreadable", []), said.get("sessions", [])
    papers = said.get("references", [])
    named = all(isinstance(said.get(name, ""), str) for name in _WORDS)
    counted = isinstance(n, int) and not isinstance(n, bool) and n >= 0
    cited = isinstance(papers, list) and all(isinstance(key, str) for key in papers)
    pairs = isinstance(lost, list) and all(isinstance(x, list) and len(x) == 2 for x in lost)
    return named and counted and cited and pairs and isinstance(sessions, list) and all(map(_is_session, sessions))


def _is_session(said: Any) -> bool:
    if not isinstance(said, dict) or not isinstance(said.get("began"), str) or not _texts(said.get("versions")):
        return False
    damage = said.get("damage")
    return isinstance(damage, list) and all(isinstance(text, str) for text in damage)


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
