"""Exhausted, stuck or unreachable: told apart by a grid, on a ring with a trap whose truth is known."""

from dataclasses import dataclass, replace

import torch

from amiss.analysis import tell_apart
from amiss.recipes import lse
from amiss.testing import RingWorld

RING = RingWorld(decoy=0.2)


@dataclass(frozen=True)
class Dim:
    """The ring's decoder, its light turned down: what it draws is nearer to the origin than what it codes."""

    share: float

    def encode(self, x):
        return RING.codec.encode(x)

    def decode(self, z):
        return RING.codec.decode(self.share * z)


def searched(decoder=RING.codec, margin=0.05):
    probe = lse(decoder, margin=margin, lr=0.01, steps=80, levels=None)
    return probe.run(RING.classifier(), RING.task)


def told(result, decoder=RING.codec, margin=0.05, **options):
    return tell_apart(result, RING.classifier(), decoder, margin=margin, levels=None, **options)


def test_who_is_in_the_trap_is_stuck_and_the_node_that_holds_the_answer_is_told():
    result = searched()
    found = told(result, reach=1.2, n=9)
    assert found.result.counts == {"met": 31, "stuck": 9} and result.counts == {"met": 31, "exhausted": 9}
    stuck = torch.tensor([o.status == "stuck" for o in found.result.outcomes])
    assert torch.equal(stuck, RING.trapped)
    assert (RING.lead(found.node[stuck].double()) >= 0.05 - 1e-6).all() and found.node[~stuck].isnan().all()
    axis = torch.linspace(-1.2, 1.2, 9)
    assert (found.node[stuck][:, :, None] - axis).abs().amin(2).max() < 1e-6
    assert not found.plain.any()
    assert found.result.met.sum() == 31 and torch.equal(found.result.images, result.images)
    assert all("local minimum" in o.reason for o in found.result.outcomes if o.status == "stuck")


def test_what_no_node_holds_is_unreachable_and_the_plain_images_say_whose_fault_it_is():
    # The summit of the ring is 0.2: at a margin of 0.25 no x' holds it, though many a g(z) is called by the class.
    result = searched(margin=0.25)
    found = told(result, margin=0.25, reach=1.2, n=9)
    assert found.result.counts == {"unreachable": 40} and found.plain.all()
    assert {o.reason for o in found.result.outcomes} == {
        "No point of the 9 x 9 grid within 1.2 of the origin holds the answer."
    }
    # A decoder that draws everything near the origin: no plain image is called by the class either.
    dim = Dim(0.2)
    found = told(searched(dim, 0.25), dim, 0.25, reach=1.2, n=9)
    assert found.result.counts == {"unreachable": 40} and not found.plain.any()


def test_what_was_not_exhausted_is_left_as_it_was():
    result = searched()
    outcomes = tuple(replace(o, status="no-gradient") if o.status == "exhausted" else o for o in result.outcomes)
    given = replace(result, outcomes=outcomes)
    found = told(given)
    assert found.result is given and not found.plain.any() and found.node.isnan().all()


def test_rounded_and_plain_searches_are_looked_up_as_they_were_searched():
    result = searched()
    fine = told(result, reach=1.2, n=9)
    plain = told(result, reach=1.2, n=9, residual=False)
    assert torch.allclose(plain.node, fine.node, equal_nan=True)  # codes that hold all: g(z + eps) is x' itself
    rounded = tell_apart(result, RING.classifier(), RING.codec, 9, 1.2, margin=0.05)
    assert rounded.result.counts == fine.result.counts
