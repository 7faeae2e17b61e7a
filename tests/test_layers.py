"""Who may import whom, read from the source; and what `import amiss` may load."""

import ast
import subprocess
import sys
from pathlib import Path

import amiss

ROOT = Path(amiss.__file__).parent
ORDER = """errors, repro, citations, scope < disk < tensorfile < task, foreign, heads < constraints,
 transforms, spaces, data < domain < optimizers, classifier < objectives < order, result < reading,
 standing < search < probe < recipes < loading < trust < study < analysis, codec, defend < audit, gates < report <
 studio < testing < demo < figures < bench < cli < __main__"""
RANK = {name.strip(): level for level, group in enumerate(ORDER.split("<")) for name in group.split(",")}
ISLANDS = {"models": {"errors"}, "training": {"errors", "repro", "tensorfile", "data", "models"}}
# Who may import the islands, models and training.
TRAINERS = {"audit", "codec", "defend", "demo", "figures", "bench", "cli", "loading"}
LEAVES = {"_version"}


def rooms_imported(path):
    """The rooms of amiss that a file names, at the top or inside a function, and where."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by full name"
            names = [node.module] if node.module != "amiss" else [f"amiss.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name == "amiss" or name.startswith("amiss."):
                yield [*name.split("."), "amiss"][1], node.lineno


def allowed(room, other):
    if other == room or other in LEAVES:
        return True
    if room in ISLANDS:
        return other in ISLANDS[room]
    if other in ISLANDS:
        return room in TRAINERS
    return other in RANK and RANK[other] < RANK[room]


def test_every_room_imports_only_those_to_its_left():
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT)
        room = place.parts[0].removesuffix(".py")
        if room in LEAVES or place == Path("__init__.py"):
            continue
        assert room in RANK or room in ISLANDS, f"{room} has no place in the order"
        wrong += [f"{place}:{line} imports {o}" for o, line in rooms_imported(path) if not allowed(room, o)]
    assert not wrong, "\n".join(wrong)


def test_the_rule_itself_can_fail():
    assert allowed("probe", "standing") and not allowed("standing", "probe")
    assert not allowed("result", "order") and not allowed("spaces", "constraints")
    assert allowed("training", "data") and not allowed("training", "task") and not allowed("probe", "training")


HEAVY = ("sklearn", "scipy", "typer", "rich", "jinja2", "PIL")
CHILD = f"""
import sys
import amiss
def found():
    return [name for name in {HEAVY} if name in sys.modules]
assert not found(), f"import amiss loads {{found()}}"
import amiss.probe, amiss.spaces, amiss.objectives, amiss.optimizers, amiss.testing, amiss.transforms
assert not found(), f"the core loads {{found()}}"
"""


def test_importing_amiss_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-W", "error", "-c", CHILD], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
