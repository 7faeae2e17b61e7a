"""The comparison of decoders: where the least change is known, it is what the comparison reports."""

import pytest
import torch

from amiss.bench.lse_decoders import compare_decoders
from amiss.testing import LinearWorld

torch.set_num_threads(1)


def test_the_figures_of_a_linear_decoder_are_those_of_the_closed_form():
    world = LinearWorld(seed=0, n=20)
    classifier = world.classifier()

    class Doubled:
        """The same decoder with codes twice as long."""

        def encode(self, x):
            return 2 * world.codec.encode(x)

        def decode(self, z):
            return world.codec.decode(z / 2)

    figures = compare_decoders(
        classifier, classifier, world.task, {"own": world.codec, "doubled": Doubled()}, steps=400
    )
    own, doubled = figures["own"], figures["doubled"]
    assert own["repaired"] == doubled["repaired"] == 1
    assert own["judge"] == doubled["judge"] == 1  # the classifier itself agrees with what convinced it
    least = float(world.latent_optimum(0.5).mean())
    assert 0.99 * least <= own["eps"] <= 1.06 * least  # less only by what 8 bits round
    assert doubled["eps"] == pytest.approx(2 * own["eps"], rel=0.06)
    assert doubled["l2"] == pytest.approx(own["l2"], rel=0.06)
    dimensions = world.codec.encode(world.task.image).shape[1]
    assert own["eps_a_dimension"] == pytest.approx(own["eps"] / dimensions**0.5)
    assert own["explained"] == pytest.approx(doubled["explained"], abs=1e-6)
