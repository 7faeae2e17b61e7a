"""Further tables on fooling images: genes that are known to carry all, and classes in a known order."""

from dataclasses import replace

import pytest
import torch

from amiss.audit.evolution import Evolution, EvolutionExperiment
from amiss.audit.evolution_tables import ablation_table, related_table
from amiss.classifier import Classifier
from amiss.data import Images

SHAPE = (1, 8, 8)


def ring(n=12):
    """A classifier of n classes: how bright an image's left half is, in n steps."""
    steps = torch.linspace(0, 1, n)

    def logits(x):
        return -400 * (x[..., :4].mean((1, 2, 3))[:, None] - steps) ** 2

    return Classifier(logits, labels=[f"step {i}" for i in range(n)], gives="loss")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    pixels = (torch.linspace(0, 1, 12)[:, None, None, None].expand(12, *SHAPE) * 255).round().to(torch.uint8)
    images = Images.of(pixels, torch.arange(12), tuple(f"step {i}" for i in range(12)))
    asked = Evolution(("direct", "cppn"), generations=15, children=20)
    return EvolutionExperiment(ring(), images, asked, shape=SHAPE).run(tmp_path_factory.mktemp("tables") / "run")


def test_genes_that_carry_a_champion_are_named(found):
    table = ablation_table(found, ring())
    assert len(table["rows"]) == 10 and "10 surest" in table["note"]
    sure = dict(zip(found.names, found.parts[1].confidence.tolist(), strict=True))
    for name, before, gene, _, many in table["rows"]:
        assert before == f"{sure[name]:.0%}" or sure[name] >= 0.995
        assert " to output 0" in gene or " to node" in gene or gene.startswith("node ")
        assert int(many.split(" of ")[0]) <= int(many.split(" of ")[1])
    assert [sure[row[0]] for row in table["rows"]] == sorted((sure[row[0]] for row in table["rows"]), reverse=True)


def test_without_graphs_there_are_no_genes(found):
    assert ablation_table(replace(found, parts=found.parts[:1]), ring()) is None


def test_champions_of_neighboring_steps_are_tested_and_relations_must_be_known(found):
    table = related_table(found, ring())
    assert [row[0] for row in table["rows"]] == ["direct", "cppn"]
    for _, pictures, rho, p, every in table["rows"]:
        assert pictures.endswith(" of 12") and -1 <= float(rho) <= 1
        assert 0.001 <= float(p) <= 1 and 0.001 <= float(every) <= 1
    assert related_table(replace(found, images=None), ring()) is None
    few = replace(found, images=found.images.pick(torch.arange(6)))
    assert related_table(few, ring()) is None  # classes without images have no confusions
