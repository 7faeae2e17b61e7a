"""What a report shows of the experiment with fooling images, against the notes it was made of and the files."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from amiss.audit.chronicle import Told
from amiss.audit.evolution import Encoded, Evolution, EvolutionExperiment, Evolved, log_odds
from amiss.audit.evolution_pages import evolution_figures, evolution_known, evolution_record, evolution_rows
from amiss.classifier import Classifier
from amiss.report import build
from amiss.result import Outcome, Result
from amiss.study import Inputs
from amiss.task import Task
from tests.audit.conftest import from_disk, strict
from tests.audit.test_evolution import SHAPE, SMALL, linear


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("pages") / "run"
    found = EvolutionExperiment(linear(), None, SMALL, shape=SHAPE).run(out)
    made = evolution_record(found, linear(), out, model="m", data="", command="amiss run fooling m")
    return found, strict(json.dumps(made)), out


def sheet(path):
    with Image.open(path) as image:
        return np.asarray(image)


def cell(part, out, k):
    """The picture of an individual, cut out of its sheet."""
    place, at = divmod(k, part["columns"] * part["rows"])
    y, x = divmod(at, part["columns"])
    side = part["side"]
    return sheet(out / part["sheets"][place])[y * side : (y + 1) * side, x * side : (x + 1) * side]


def test_the_wall_at_the_end_shows_the_very_files(run):
    found, record, out = run
    for part, shown in zip(found.parts, record["nonsense"]["parts"], strict=True):
        for c, path in enumerate(part.paths):
            file = (from_disk(out / path)[0] * 255).round()
            assert np.array_equal(cell(shown, out, shown["marks"][-1]["cells"][c]), file)
            assert shown["champions"][c]["image"] == path
            assert shown["champions"][c]["odds"] == pytest.approx(float(log_odds(part.nats)[c]), abs=0.006)
            assert shown["marks"][-1]["odds"][c] == pytest.approx(shown["champions"][c]["odds"], abs=0.02)


def test_ancestors_are_those_of_the_notes_and_look_as_they_were_drawn(run):
    found, record, out = run
    part, shown = found.parts[1], record["nonsense"]["parts"][1]
    for c in range(6):
        line, entry = part.told.line(int(part.told.holders[-1, c])), shown["champions"][c]
        assert entry["length"] == len(line) == len(entry["line"])
        for number, one in zip(line, entry["line"], strict=True):
            assert (one["turn"], one["held"]) == part.told.first[number][:2]
            drawn = (part.probe.space.draw(part.told.pool[number][None])[0, 0] * 255).round()
            assert np.array_equal(cell(shown, out, one["cell"]), drawn.numpy())
    assert all(entry["line"][0]["cell"] >= 0 for entry in record["nonsense"]["parts"][2]["champions"])


def test_a_graph_in_words_draws_the_champion(run):
    found, record, out = run
    kinds = {
        "sine": np.sin,
        "sigmoid": lambda s: 2 / (1 + np.exp(-s)) - 1,
        "gaussian": lambda s: np.exp(-(s**2)),
        "linear": lambda s: np.clip(s, -3, 3) / 3,
    }
    y, x = np.meshgrid(*[np.linspace(-1, 1, 8)] * 2, indexing="ij")
    for c, entry in enumerate(record["nonsense"]["parts"][1]["champions"]):
        nodes = {node["name"]: node for node in entry["graph"]}
        known = {"x": x, "y": y, "distance": np.hypot(x, y), "one": np.ones_like(x)}

        def value(name, nodes=nodes, known=known):
            if name not in known:
                known[name] = kinds[nodes[name]["kind"]](
                    sum(w * value(source) for source, w in nodes[name]["of"]) + 0 * x
                )
            return known[name]

        drawn = np.abs(value("output 0")) * 255
        assert np.abs(drawn - from_disk(out / found.parts[1].paths[c])[0] * 255).mean() < 4  # weights to two digits


def test_figures_are_those_of_the_files(run):
    found, record, _ = run
    known = evolution_known(SMALL)
    assert set(record["figures"]) <= set(known) and {"classes", "fooled.direct"} <= set(record["figures"])
    for part in found.parts:
        figures, sure = evolution_figures(part, 0.99), part.confidence.double()
        assert figures[f"confidence_worst.{part.encoding}"] == float(sure.min())
        assert figures[f"fooled.{part.encoding}"] == float((sure >= 0.99).double().mean())
        at = figures.get(f"evaluations_to_median.{part.encoding}")
        medians = (-part.told.losses.double()).exp().quantile(0.5, dim=1).tolist()
        reached = [k for k, m in zip(part.told.evaluations, medians, strict=True) if m >= 0.99]
        assert at == (reached[0] if reached else None)
    head, rows = evolution_rows(found)
    assert len(rows) == 18 and len(set(map(len, rows))) == 1 and len(head) == len(rows[0])
    at = head.index("evaluations_of_encoding")
    assert {(row[0], row[at]) for row in rows} == {
        (part.encoding, record["figures"][f"evaluations.{part.encoding}"]) for part in found.parts
    }
    assert {row[at] for row in rows if row[0] == "gradient"} == {6 * (3 * 12 + 1)}  # the last look is no gradient
    words = record["sentence"]
    assert "of 6 classes by direct" in words and f"{int(found.parts[0].result.met.sum())} of 6" in words


def test_the_curve_is_in_log_odds_where_probabilities_have_no_digits_left(run):
    found, record, _ = run
    for part, shown in zip(found.parts, record["nonsense"]["parts"], strict=True):
        p = (-part.told.losses.double()).exp()
        assert shown["curve"]["evaluations"] == list(part.told.evaluations)
        mean = torch.tensor(shown["curve"]["mean"], dtype=torch.float64).sigmoid()
        assert torch.allclose(mean, p.mean(1), atol=0.002)
        median = torch.tensor(shown["curve"]["median"], dtype=torch.float64).sigmoid()
        assert torch.allclose(median, p.quantile(0.5, dim=1), atol=0.002)
        assert shown["curve"]["worst"] == sorted(shown["curve"]["worst"])


def of_numbers(n, individuals, shape, lines):
    """An encoding with so many individuals at each of four marks, each with a line of so many ancestors."""
    marks = (0, 1, 10, 100)
    pool = {k: torch.zeros(*shape, dtype=torch.uint8) for k in range(individuals * 4 + lines)}
    holders = torch.stack([torch.arange(n) % individuals + m * individuals for m in range(4)])
    first = {k: (0, 0, k + 1 if 4 * individuals <= k < 4 * individuals + lines - 1 else -1) for k in pool}
    first |= {int(k): (100, 0, 4 * individuals if lines else -1) for k in holders[-1]}
    losses = torch.full((4, n), 1.0)
    told = Told(marks, holders, marks, (1, 2, 11, 101), losses, pool, first)
    outcomes = tuple(Outcome("exhausted", 0.0, 1.0, 1, 1, -1, "") for _ in range(n))
    images = torch.zeros(n, *shape)
    result = Result(Task(torch.arange(n), target=torch.arange(n)), images, images, outcomes)
    evolution = Evolution(("direct",))
    paths = tuple(f"{c}.png" for c in range(n))
    part = Encoded("direct", evolution.probe("direct", shape), result, 0, losses[-1], paths, told)
    inputs = Inputs.of_task(result.task, tuple(map(str, range(n))))
    return Evolved(evolution, inputs, shape, (part,), {}, ())


@pytest.mark.parametrize(
    ("n", "individuals", "lines", "side", "words"),
    [
        (10, 10, 30, 64, []),
        (1000, 400, 60, 32, ["32 pixels wide"]),
        (1000, 1000, 0, 24, ["24 pixels wide"]),
        (1500, 1500, 0, 24, ["24 pixels wide", "Not every generation"]),
    ],
)
def test_many_champions_fit_one_file_and_what_is_left_out_is_said(tmp_path, n, individuals, lines, side, words):
    found = of_numbers(n, individuals, (3, 64, 64), lines)
    net = Classifier(lambda x: torch.zeros(len(x), n), labels=found.names, gives="loss")
    section = evolution_record(found, net, tmp_path, model="m", data="", command="")["nonsense"]
    (part,) = section["parts"]
    assert part["side"] == side
    pixels = sum(sheet(tmp_path / name).size for name in part["sheets"])
    assert pixels <= 9_000_000
    assert all(max(mark["cells"]) < len(part["sheets"]) * 1024 for mark in part["marks"])
    assert [word for word in words if not any(word in note for note in section["notes"])] == []
    assert part["marks"][-1]["turn"] == 100 and bool(words) == bool(section["notes"])
    assert all(entry["image"] is None for entry in part["champions"]) == (n > 400)


def test_a_network_that_answers_no_number_in_some_places_is_told_as_it_is(tmp_path):
    def answers(x):
        logits = 10 * linear().outputs(x)["answer"]
        return torch.where(x.mean((1, 2, 3))[:, None] > 0.5, torch.nan, logits)  # gray itself is not above

    classifier = Classifier(answers, labels=list("abcdef"), gives="loss")
    found = EvolutionExperiment(classifier, None, replace(SMALL, encodings=("direct", "cppn")), shape=SHAPE).run(
        tmp_path
    )
    for part in found.parts:
        assert part.result.counts.keys() <= {"met", "exhausted"}
        for path in part.paths:
            assert from_disk(tmp_path / path).mean() <= 0.5 + 1e-6  # no picture without a number holds a cell
    record = evolution_record(found, classifier, tmp_path, model="m", data="", command="")
    strict(json.dumps(record, allow_nan=False))
    build(record, tmp_path)


def test_where_every_answer_is_no_number_the_page_says_so(tmp_path):
    def answers(x):
        gray = (x == 0.5).flatten(1).all(1)[:, None]
        return torch.where(gray, 0.0, torch.nan).expand(len(x), 3)

    classifier = Classifier(answers, labels=list("abc"), gives="loss")
    found = EvolutionExperiment(classifier, None, replace(SMALL, encodings=("direct",)), shape=SHAPE).run(tmp_path)
    assert found.parts[0].result.counts == {"not-finite": 3}
    record = evolution_record(found, classifier, tmp_path, model="m", data="", command="")
    assert "answers no number" in record["sentence"] and record["figures"]["fooled.direct"] == 0
    assert math.isfinite(record["figures"]["confidence_worst.direct"])
    strict(json.dumps(record, allow_nan=False))
    build(record, tmp_path)
    assert evolution_rows(found)[1][0][5] == -1
