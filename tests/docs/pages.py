"""The pages of this repository, and what they hold: blocks of code, headings, links."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Block", "blocks", "headings", "links", "text_files"]

ROOT = Path(__file__).parents[2]
PAGES = tuple(sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")]))

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TEXT = {"", ".cff", ".css", ".html", ".js", ".json", ".md", ".py", ".toml", ".txt"}
_MADE = {"build", "checkpoints", "dist", "runs", "__pycache__"}  # as .gitignore says; none of it is committed


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after the fence, what is inside, and the line of the page where that begins."""

    page: Path
    words: tuple[str, ...]
    text: str
    line: int


def blocks(page: Path, *kinds: str) -> list[Block]:
    """The blocks of a page whose first word is one of `kinds`."""
    source = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(source):
        words = tuple(match[1].split())
        if words and words[0] in kinds:
            found.append(Block(page, words, match[2], source.count("\n", 0, match.start(2)) + 1))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def headings(page: Path, level: int) -> list[str]:
    """The headings of one level, in order."""
    return re.findall(rf"^{'#' * level} (.+)$", prose(page), re.MULTILINE)


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead, those to other sites left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def text_files() -> list[Path]:
    """All text files that a commit may hold: nothing hidden but .ci, and nothing that commands make."""
    found, folders = [], [ROOT]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            name = path.name
            if (name.startswith(".") and name not in (".ci", ".gitignore")) or name in _MADE:
                continue
            if path.is_dir() and not name.endswith(".egg-info"):
                folders.append(path)
            elif path.is_file() and path.suffix in _TEXT:
                found.append(path)
    return found
