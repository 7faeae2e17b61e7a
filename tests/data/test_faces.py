import math
import time

import pytest
import torch

from amiss.data import ATTRIBUTES, draw_faces, open_data, redraw, sample_faces
from amiss.data.worlds.faces import BINARY, LABEL_NOISE
from amiss.errors import UsageError

N = 4000


def side(faces, plant):
    """Whether the attribute points to "male"."""
    return (faces[plant] > 0.5) != (plant in ("hair", "earrings"))


def agreement(faces, plant):
    return float((side(faces, plant) == faces.labels.bool()).float().mean())


def changed(faces, attribute, low=0.0, high=1.0):
    """Greatest change of each pixel over faces and channels [size, size], in gray levels."""
    one, other = (redraw(faces, attribute, value).float() for value in (low, high))
    return (one - other).abs().amax((0, 1))


# --- the lots


def test_attributes_are_in_range_and_of_their_kind():
    faces = sample_faces(N, 0)
    assert faces.attributes.shape == (N, len(ATTRIBUTES))
    assert 0 <= float(faces.attributes.min()) <= float(faces.attributes.max()) <= 1
    assert not ((faces["hair"] > 0.35) & (faces["hair"] < 0.65)).any()
    for name in ATTRIBUTES:
        assert set(faces[name].tolist()) == {0, 1} if name in BINARY else len(faces[name].unique()) > N / 2
        assert abs(float((faces[name] > 0.5).float().mean()) - 0.5) < 4 * 0.5 / math.sqrt(N)


def test_without_a_plant_attributes_are_independent():
    far = torch.corrcoef(sample_faces(N, 1).attributes.T) - torch.eye(len(ATTRIBUTES))
    assert float(far.abs().max()) < 4.5 / math.sqrt(N)


@pytest.mark.parametrize("plant", [name for name in ATTRIBUTES if name not in ("jaw", "brow")])
def test_without_a_plant_the_label_follows_from_jaw_and_brow_alone(plant):
    assert abs(agreement(sample_faces(N, 2), plant) - 0.5) < 4.5 * 0.5 / math.sqrt(N)


@pytest.mark.parametrize("rho", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("plant", ["hair", "glasses", "earrings", "background"])
def test_a_plant_agrees_as_often_as_it_should(rho, plant):
    faces, wanted = sample_faces(N, 3, rho, plant), (1 + rho) / 2
    assert abs(agreement(faces, plant) - wanted) <= 4 * math.sqrt(wanted * (1 - wanted) / N)
    male = faces.labels.bool()
    for part in (male, ~male):  # in both classes alike
        share = float((side(faces, plant) == male)[part].float().mean())
        assert abs(share - wanted) <= 4 * math.sqrt(wanted * (1 - wanted) / int(part.sum()))


def test_a_plant_changes_nothing_else():
    plain, planted = sample_faces(N, 4), sample_faces(N, 4, 0.8, "hair")
    assert torch.equal(plain.labels, planted.labels)
    assert torch.equal(plain.looks, planted.looks)
    assert torch.equal(plain.attributes[:, 1:], planted.attributes[:, 1:])
    same = plain["hair"] == planted["hair"]
    assert torch.allclose(planted["hair"][~same], 1 - plain["hair"][~same])


def test_the_best_possible_accuracy_is_known():
    faces = sample_faces(40_000, 5)
    right = ((faces["jaw"] + faces["brow"] > 1) == faces.labels.bool()).float().mean()
    # E[Phi(|s - 1| / noise)], s the sum of two uniforms: 1 - 2 (noise / sqrt(2 pi) - noise^2 / 4).
    best = 1 - 2 * (LABEL_NOISE / math.sqrt(2 * math.pi) - LABEL_NOISE**2 / 4)
    assert 0.92 < best < 0.93
    assert abs(float(right) - best) < 4 * math.sqrt(best * (1 - best) / 40_000)


def test_faces_do_not_depend_on_how_many_are_drawn():
    few, many = sample_faces(40, 6), sample_faces(100, 6)
    assert torch.equal(few.attributes, many.attributes[:40])
    assert torch.equal(few.looks, many.looks[:40])
    assert not set(few.looks.tolist()) & set(sample_faces(100, 7).looks.tolist())


# --- the pixels


def test_pixels_are_a_pure_function_of_attributes_and_look():
    faces = sample_faces(40, 8)
    pixels = faces.draw()
    assert torch.equal(pixels, faces.draw())
    assert torch.equal(pixels[[33, 2]], faces.pick([33, 2]).draw())
    assert torch.equal(pixels, redraw(faces, "smile", faces["smile"]))
    assert len(draw_faces(40, 8).pick(slice(0, 40)).fingerprint) == 64
    assert torch.equal(draw_faces(40, 8).pixels, pixels)


def test_equal_attributes_still_look_different():
    faces = sample_faces(2, 9)
    twins = type(faces)(faces.attributes[[0, 0]], faces.looks, faces.labels)
    one, other = twins.draw()
    assert (one != other).float().mean() > 0.5


def test_a_set_carries_labels_and_table():
    images, faces = draw_faces(10, 10, 0.5, "beard", 56), sample_faces(10, 10, 0.5, "beard", 56)
    assert images.pixels.shape == (10, 3, 56, 56)
    assert torch.equal(images.labels, faces.labels)
    assert tuple(images.table) == ATTRIBUTES
    assert all(torch.equal(images.table[name], faces[name]) for name in ATTRIBUTES)


# Rows (from the top, of 48) that a change may touch: place jitters by 1.5 and size by 3 percent.
REACH = {
    "earrings": (22, 34),
    "glasses": (17, 31),
    "mustache": (26, 35),
    "beard": (27, 41),
    "smile": (27, 39),
    "jaw": (21, 41),
    "brow": (14, 24),
}


@pytest.mark.parametrize("attribute", REACH)
def test_a_change_shows_and_stays_in_its_place(attribute):
    first, last = REACH[attribute]
    change = changed(sample_faces(60, 11), attribute)
    rows = change.amax(1).nonzero()[:, 0]
    assert first <= int(rows.min())
    assert int(rows.max()) <= last
    assert float(change.max()) > 40


def test_each_earring_hangs_at_its_side():
    faces = sample_faces(60, 12)
    assert not changed(faces, "earrings")[:, 19:29].any()
    share = (redraw(faces, "earrings", 0.0) != redraw(faces, "earrings", 1.0)).any(1).float().mean((1, 2))
    assert float(share.max()) < 0.02


@pytest.mark.parametrize("attribute", ["hair", "background"])
def test_hair_and_background_leave_the_face_alone(attribute):
    assert not changed(sample_faces(60, 13), attribute)[22:29, 21:27].any()


@pytest.mark.parametrize("attribute", ["skin", "face_width", "hair"])
def test_the_corners_are_background(attribute):
    change = changed(sample_faces(60, 14), attribute)
    assert not change[:4, :6].any()
    assert not change[:4, -6:].any()


def test_hair_is_the_strongest_cue_and_the_causes_are_visible():
    faces = sample_faces(60, 15)

    def strength(name, low=0.0, high=1.0):
        return float((redraw(faces, name, low).float() - redraw(faces, name, high).float()).abs().mean())

    hair, causes = strength("hair", 0.1, 0.9), [strength("jaw"), strength("brow")]
    assert hair > 2 * max(causes)
    assert min(causes) > 1  # a gray level over all the image: about 40 pixels changed by 60


def test_a_face_takes_less_than_a_millisecond():
    faces = sample_faces(300, 16)
    begun = time.process_time()
    faces.draw()
    assert time.process_time() - begun < 0.3


@pytest.mark.parametrize(
    "arguments", [{"n": 0}, {"rho": 1.1}, {"rho": -0.1}, {"plant": "jaw"}, {"plant": "hat"}, {"size": 32}]
)
def test_worlds_that_cannot_be_are_refused(arguments):
    with pytest.raises(UsageError):
        sample_faces(**{"n": 3, "seed": 0, **arguments})


def test_counterfactuals_that_cannot_be_are_refused():
    faces = sample_faces(3, 0)
    with pytest.raises(UsageError, match="hat"):
        redraw(faces, "hat", 1.0)
    with pytest.raises(UsageError, match="0, 1"):
        redraw(faces, "hair", 1.5)


def test_two_plants_are_mirrored_by_lots_of_their_own():
    alone, both = sample_faces(4000, 5, 0.8, "hair"), sample_faces(4000, 5, 0.8, ("hair", "glasses"))
    assert torch.equal(both["hair"], alone["hair"]) and torch.equal(both.labels, alone.labels)
    male = both.labels == 1
    for agrees in ((both["hair"] < 0.5) == male, (both["glasses"] > 0.5) == male):
        assert abs(agrees.double().mean() - 0.9) < 0.02
    # Given the label they are independent: what one plant does says nothing about the other.
    disagrees = torch.stack([(both["hair"] < 0.5) != male, (both["glasses"] > 0.5) != male]).double()
    assert abs(torch.corrcoef(disagrees)[0, 1]) < 0.06


def test_a_source_may_name_two_plants():
    few = open_data("faces:rho=1,plant=hair+earrings,n=50", split="train")
    male = few.labels == 1
    assert torch.equal(few.table["hair"] < 0.5, male) and torch.equal(few.table["earrings"] < 0.5, male)
