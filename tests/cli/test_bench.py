"""`amiss bench`: parts resume, seeds merge in order, a missed bar is exit 3, and the page is made from the JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from amiss.bench import bench as benches
from amiss.bench.bench import Bar, Bench, Skip, merge, run_bench
from amiss.bench.figures import failing, figures_page


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """A bench of three parts that notes what it was asked; the third is left out at seed 0."""
    monkeypatch.chdir(tmp_path)
    asked = []

    def one(run):
        asked.append(("one", run.seed, run.quick))
        return {"square": run.seed**2, "quick": float(run.quick)}, {"n": 5}

    def two(run):
        asked.append(("two", run.seed, run.quick))
        assert run.place.is_dir()
        return {"twice": 2 * run.seed}, {}

    def three(run):
        if run.seed == 0:
            raise Skip("not today")
        return {"extra": 1.0}, {}

    bars = {"square": Bar("<=", 4, 100), "twice": Bar(">=", 0)}
    return Bench("toy", {"one": one, "two": two, "three": three}, bars), asked


def quietly(bench, seed, file="toy.json", **options):
    return run_bench(bench, seed, Path(file), tell=lambda _: None, **options)


def test_what_is_there_is_not_measured_again(counted):
    bench, asked = counted
    quietly(bench, 1)
    assert asked == [("one", 1, False), ("two", 1, False)]
    quietly(bench, 1)
    assert len(asked) == 2
    quietly(bench, 1, only=("two",), again=True)
    assert asked[2:] == [("two", 1, False)]


def test_a_crash_keeps_the_parts_before_it(counted):
    bench, asked = counted

    def fails(_):
        raise OSError("no disk")

    broken = replace(bench, parts={**bench.parts, "two": fails})
    with pytest.raises(OSError, match="no disk"):
        quietly(broken, 1)
    assert json.loads(Path("toy.json").read_text())["figures"]["square"] == [1]
    quietly(bench, 1)
    assert asked == [("one", 1, False), ("two", 1, False)]


def test_seeds_are_merged_in_their_order_and_figures_are_lists_of_numbers(counted):
    bench, _ = counted
    for seed in (10, 2, 0):
        book = quietly(bench, seed)
    assert book == json.loads(Path("toy.json").read_text())
    assert book["seeds"] == [0, 2, 10]
    assert book["figures"] == {"square": [0, 4, 100], "quick": [0, 0, 0], "twice": [0, 4, 20], "extra": [1, 1]}
    assert book["raw"]["2"]["one"]["raw"] == {"n": 5}
    assert set(book) >= {"command", "commit", "machine", "versions", "seeds", "raw", "figures"}
    assert book["command"] == "amiss bench toy --seed N"
    numbers = [v for values in book["figures"].values() for v in values]
    assert all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers)
    assert failing(book, bench) == ["square"]
    assert failing(book, bench, quick=True) == []


def test_a_quick_figure_does_not_stand_for_a_full_one(counted):
    bench, asked = counted
    assert quietly(bench, 1, quick=True)["figures"]["quick"] == [1]
    assert quietly(bench, 1)["figures"]["quick"] == [0]
    assert quietly(bench, 1, quick=True)["figures"]["quick"] == [0]
    assert [quick for name, _, quick in asked if name == "one"] == [True, False]


def test_the_verdict_names_the_bar_in_force(counted):
    bench, _ = counted
    told = []
    run_bench(bench, 9, Path("toy.json"), quick=True, tell=told.append)
    run_bench(bench, 9, Path("toy.json"), tell=told.append)
    assert [line for line in told if "bar" in line] == [
        "  square 81  (bar <= 100: holds)",
        "  square 81  (bar <= 4: MISSED)",
        "  twice 18  (bar >= 0: holds)",
    ]


def test_merging_takes_nothing_away(counted):
    bench, _ = counted
    book = quietly(bench, 3)
    again = merge({**book, "note": "kept"}, bench)
    assert again["note"] == "kept"
    assert again["figures"] == book["figures"]


@pytest.mark.parametrize(
    ("bar", "value", "holds", "quick"),
    [
        (Bar(">=", 2), 2, True, True),
        (Bar(">=", 2), 1.99, False, True),
        (Bar("<=", 2, 3), 2.5, False, True),
        (Bar("<=", 2, 3), 3.5, False, False),
        (Bar("==", 1, 1), 1, True, True),
        (Bar("==", 1, 1), 0.999, False, False),
        (Bar("<=", 2), float("nan"), False, True),
    ],
)
def test_bars(bar, value, holds, quick):
    assert bar.holds(value) is holds
    assert bar.holds(value, quick=True) is quick


def test_a_missed_bar_is_exit_3(amiss, counted, monkeypatch):
    bench, _ = counted
    monkeypatch.setattr("amiss.bench.bench.load_bench", lambda name: bench)
    assert amiss("bench", "spine", "--seed", 2, "--json", "toy.json").code == 0
    said = amiss("bench", "spine", "--seed", 3, "--json", "toy.json")
    assert said.code == 3
    assert "square 9  (bar <= 4: MISSED)" in said.out
    assert said.out.splitlines()[-1] == "toy.json: seeds [2, 3]; missed: square"
    assert "left out: not today" in amiss("bench", "spine", "--seed", 0, "--json", "toy.json").out


def test_the_page_shows_every_figure_with_its_bar(tmp_path, counted, monkeypatch):
    bench, _ = counted
    for seed in (0, 1, 2):
        book = quietly(bench, seed)
    monkeypatch.setattr("amiss.bench.figures.BENCHES", {"toy": "unused"})
    monkeypatch.setattr("amiss.bench.figures.load_bench", lambda name: bench)
    rows = figures_page(tmp_path).splitlines()
    assert "| `square` | <= 4 | 0, 1, 4 | yes |" in rows
    assert "| `quick` | reported | 0, 0, 0 |  |" in rows
    Path("toy.json").write_text(json.dumps({**book, "figures": {"square": [0, 5, 4], "twice": [1]}}))
    rows = figures_page(tmp_path).splitlines()
    assert "| `square` | <= 4 | 0, 5, 4 | no |" in rows
    assert "| `twice` | >= 0 | 1 | no |" in rows  # one seed proves nothing
    Path("toy.json").unlink()
    assert "| `square` | <= 4 | not measured |  |" in figures_page(tmp_path).splitlines()


def test_the_page_in_the_docs_is_the_one_that_the_results_make():
    root = Path(__file__).parents[2]
    if not (root / "bench/results/spine.json").is_file():
        pytest.skip("the spine has not been measured yet")
    page = root / "docs/figures.md"
    assert page.is_file(), "python -m amiss.bench.figures makes it"
    assert page.read_text(encoding="utf-8") == figures_page(root / "bench/results"), "the same command remakes it"


def test_every_figure_of_the_spine_is_a_figure_of_a_part():
    bench = benches.load_bench("spine")
    assert set(bench.parts) >= {"linear", "overhead", "batches", "imports", "demo"}
    assert {bar.sign for bar in bench.bars.values()} <= {">=", "<=", "==", ">"}


def test_the_spine_in_its_quick_form(amiss):
    said = amiss("bench", "spine", "--quick", "--json", "spine.json")
    assert said.code == 0, said.out + said.err
    book = json.loads(Path("spine.json").read_text())
    assert said.out.splitlines()[-1] == "spine.json: seeds [0]; no bar missed"
    wanted = {"lse_optimum_ratio", "pgd_feasible_agreement", "pgd_overhead", "lse_overhead", "batch_invariance"}
    wanted |= {"same_outcomes", "import_seconds_over_torch", "demo_seconds"}
    assert wanted <= set(book["figures"])
    assert all(len(values) == 1 for values in book["figures"].values())
    assert sum(part["seconds"]["cpu"] for part in book["raw"]["0"].values()) < 60  # wall time is the machine's
