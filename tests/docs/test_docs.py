"""What the pages say holds: their code runs, their commands parse, their links lead on, no error is missing."""

import ast
import re
import shlex
import types

import pytest
import typer
from typer.testing import CliRunner

import amiss
from amiss import recipes
from amiss.cli.app import app
from amiss.cli.experiments import EXPERIMENTS
from amiss.cli.settings import settings_of
from amiss.training import KINDS
from tests.docs.pages import PAGES, ROOT, blocks, headings, links, text_files

COMMAND = typer.main.get_command(app)


def named(page):
    return page.relative_to(ROOT).as_posix()


def python(page):
    return blocks(page, "python")


@pytest.mark.parametrize("page", [page for page in PAGES if python(page)], ids=named)
def test_python_runs_from_the_top_of_a_page_to_its_end(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = types.ModuleType("page").__dict__
    for block in python(page):
        # Line numbers are the page's own, so a failure says where to look.
        code = compile("\n" * (block.line - 1) + block.text, named(page), "exec")
        if block.words[1:] != ("no-run",):
            assert block.words == ("python",), f"{named(page)}:{block.line}: unknown word after the fence"
            exec(code, space)


def commands():
    """Each command in the blocks of a shell: page, line number, words; comments and prompts taken away."""
    for page in PAGES:
        for block in blocks(page, "console", "sh"):
            for number, line in enumerate(block.text.splitlines(), block.line):
                if words := shlex.split(line.removeprefix("$ "), comments=True):
                    yield pytest.param(words, id=f"{named(page)}:{number}")


@pytest.mark.parametrize("words", list(commands()))
def test_commands_exist_with_their_options(words):
    program, *rest = words
    if program == "make":
        targets = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert rest
        assert set(rest) <= set(targets)
    else:
        assert program == "amiss"
        verb, *rest = [word for word in rest if word != "--debug"]
        COMMAND.commands[verb].make_context(verb, rest)  # parses as the command line does, and runs nothing


def test_a_wrong_command_would_be_found():
    with pytest.raises(Exception, match="No such option"):
        COMMAND.commands["check"].make_context("check", ["nets.py:build", "photos/", "--accurate", "1"])


def test_every_verb_and_every_option_in_the_text_exists():
    options = {"--help", "--version", "--debug"}
    for command in COMMAND.commands.values():
        options |= {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    makers = [settings_of(recipe) for recipe in recipes.RECIPES.values()]
    makers += [kind.options for kind in KINDS.values()]
    options |= {
        f"--{name.replace('_', '-')}"
        for names in (*makers, *(entry.asks.options for entry in EXPERIMENTS.values()))
        for name in names
    }
    options |= {
        f"--no-{name.replace('_', '-')}" for known in makers for name, p in known.items() if p.default is True
    }
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        verbs = set(re.findall(r"`amiss ([a-z]+)", text))
        assert verbs <= set(COMMAND.commands), named(page)
        said = set(re.findall(r"`(--[a-z-]+)", text))
        assert said <= options, named(page)


def test_every_verb_is_on_some_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0
    for verb in COMMAND.commands:
        assert f"amiss {verb}" in text


def test_every_recipe_has_a_page_with_all_its_parts():
    makers = list(recipes.RECIPES)
    assert makers
    pages = {page.stem: page for page in (ROOT / "docs" / "recipes").glob("*.md")}
    assert set(pages) == set(makers)
    for page in pages.values():
        assert headings(page, 2) == ["Formula", "Code", "Command", "References", "Limits"]
        (question,) = re.findall(r"^\*.+\?\*$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert question


def slugs():
    """Every slug that the package can raise, read from its source."""
    found = set()
    for path in (ROOT / "amiss").rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            if not isinstance(call.func, ast.Name) or not re.fullmatch(r"\w+Error|Interrupted", call.func.id):
                continue  # trust flags have slugs too
            for keyword in (keyword for keyword in call.keywords if keyword.arg == "slug"):
                words = [node.value for node in ast.walk(keyword.value) if isinstance(node, ast.Constant)]
                assert words, f"{named(path)}:{call.lineno}: a slug that is not written out"
                found |= {word for word in words if isinstance(word, str)}
    return found


def test_the_index_of_errors_holds_every_slug_and_no_other():
    listed = [heading.strip("`") for heading in headings(ROOT / "docs" / "errors.md", 3)]
    assert len(listed) == len(set(listed))
    raised = slugs()
    assert raised - set(listed) == set(), "errors without an entry in docs/errors.md"
    assert set(listed) - raised == set(), "entries of docs/errors.md that nothing raises"


def test_each_error_has_a_meaning_a_cause_and_a_remedy():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    for entry in re.split(r"^### ", re.sub(r"^## .*$", "", page, flags=re.MULTILINE), flags=re.MULTILINE)[1:]:
        name, meaning, *rest = [line for line in entry.splitlines() if line.strip()]
        assert meaning.endswith("."), name
        assert [line.partition(":")[0] for line in rest if not line.startswith(" ")] == ["- Cause", "- Remedy"], name


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for link in links(page):
        assert (page.parent / link.partition("#")[0]).exists(), link


def test_every_page_is_linked_from_the_readme_or_from_a_page_that_is():
    seen, front = set(), [ROOT / "README.md"]
    while front:
        page = front.pop()
        seen.add(page)
        there = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
        front += [path for path in there if path.suffix == ".md" and path not in seen]
    assert seen >= set(PAGES) - {ROOT / "docs" / "figures.md"}


def test_the_picture_is_light_and_described():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (described,) = re.findall(r"!\[([^\]]+)\]\(docs/report\.png\)", page)
    assert len(described) > 60
    picture = (ROOT / "docs" / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 300_000


def test_the_changelog_keeps_its_form():
    page = ROOT / "CHANGELOG.md"
    first, *released = headings(page, 2)
    assert first == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in released)
    kinds = headings(page, 3)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert "Added" in kinds
    assert "keepachangelog.com" in page.read_text(encoding="utf-8")


def test_public_names_in_the_changelog_exist():
    page = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([A-Z][A-Za-z0-9]+)`", page):
        assert hasattr(amiss, name), name


def test_the_citation_has_what_its_format_asks_for():
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    given = dict(line.split(": ", 1) for line in lines if re.match(r"[a-z-]+: ", line))
    assert given["cff-version"] == "1.2.0"
    assert given["license"] == "Apache-2.0"
    assert given["title"] == "amiss"
    assert {"message", "type"} <= set(given)
    assert "authors:" in lines


# A folder of one machine; built from parts, so that this file passes its own test.
MACHINE = re.compile(r"(?<![\w./])/(?:" + "|".join(("work", "home", "root", "Users")) + r")/[\w.]")


def test_no_file_names_a_folder_of_one_machine():
    assert MACHINE.search("see /" + "home/me/photos")
    files = text_files()
    assert ROOT / "README.md" in files
    assert ROOT / ".ci" / "run" in files
    for path in files:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not MACHINE.search(line), f"{named(path)}:{number}"
