import itertools

import pytest

from amiss.data import open_data, sample_faces
from amiss.data.worlds.captions import FACES, SCENES, words_of
from amiss.data.worlds.scenes import sample_scenes
from amiss.errors import DataError

SINGLE = list(itertools.product(range(5), range(10), range(2), [10], [2]))
DOUBLE = list(itertools.product([5, 6], range(10), range(2), range(10), range(2)))
MEANT = [(SCENES, labels) for labels in SINGLE + DOUBLE]
MEANT += [(FACES, labels) for labels in itertools.product(range(2), repeat=5)]


def test_every_wording_means_its_own_labels_and_no_other():
    for grammar, labels in MEANT:
        wordings = grammar.wordings(labels)
        assert {grammar.read(text) for text in wordings} == {labels}
        assert len(wordings) >= 2 and grammar.means(labels)


@pytest.mark.parametrize("grammar", [SCENES, FACES])
def test_the_vocabulary_is_all_words_that_are_said(grammar):
    said = {word for g, labels in MEANT if g is grammar for text in g.wordings(labels) for word in words_of(text)}
    assert said <= set(grammar.words) and len(set(grammar.words)) == len(grammar.words)
    assert set(grammar.words) - said <= {"without", "and"}  # understood, and never said


def test_labels_that_no_sentence_means_are_told_apart():
    assert not SCENES.means((0, 3, 1, 4, 0)) and not SCENES.means((5, 3, 1, 10, 2))  # one digit too many, one too few
    assert not SCENES.means((7, 3, 1, 10, 2)) and not SCENES.means((0, 3, 1, 10)) and not FACES.means((2, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("a two above a large seven", (5, 2, 0, 7, 1)),
        ("A large SEVEN, below a two.", (5, 2, 0, 7, 1)),
        ("an eight right of a little one", (6, 1, 0, 8, 0)),
        ("a big three", (0, 3, 1, 10, 2)),
        ("a nine at the top", (3, 9, 0, 10, 2)),
    ],
)
def test_scenes_are_read_as_one_would(text, labels):
    assert SCENES.read(text) == labels


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("long hair, round glasses, no beard", (1, 1, 0, 0, 0)),
        ("a face with a beard and a mustache, short hair, without glasses", (0, 0, 0, 1, 1)),
        ("short hair", (0, 0, 0, 0, 0)),
    ],
)
def test_faces_are_read_as_one_would(text, labels):
    assert FACES.read(text) == labels


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "two",
        "a large",
        "a two above",
        "above a two",
        "a two above a seven below a one",
        "a two on the top",
    ],
)
def test_what_is_no_scene_is_refused(text):
    with pytest.raises(DataError) as told:
        SCENES.read(text)
    assert told.value.slug == "caption-grammar" and SCENES.example in told.value.hint


@pytest.mark.parametrize("text", ["glasses", "long hair, short hair", "long hair, glasses, no glasses", "hair long"])
def test_what_is_no_face_is_refused(text):
    with pytest.raises(DataError) as told:
        FACES.read(text)
    assert told.value.slug == "caption-grammar"


def test_an_unknown_word_is_named_with_those_near_it():
    with pytest.raises(DataError) as told:
        SCENES.read("a two abov a large seven")
    assert told.value.slug == "caption-word" and "'abov'" in told.value.what and "above" in told.value.hint
    hostile = "\x1b[31m" + "x" * 100_000
    with pytest.raises(DataError) as told:
        SCENES.read(hostile)
    assert len(str(told.value)) < 1000 and "\x1b" not in str(told.value)


def test_captions_of_images_say_what_is_drawn():
    scenes = sample_scenes(300, 10)
    assert [SCENES.read(text) for text in scenes.captions] == list(map(tuple, scenes.labels.tolist()))
    images = scenes.images()
    assert images.captions == scenes.captions and images.pick([7, 3]).captions == (
        scenes.captions[7],
        scenes.captions[3],
    )
    faces = sample_faces(300, 10)
    for i, name in enumerate(FACES.columns):
        assert [FACES.read(text)[i] for text in faces.captions] == (faces[name] > 0.5).int().tolist()
    assert len({*scenes.captions}) > 200 and len({*faces.captions}) > 100


def test_captions_stay_with_images_that_are_resized():
    images = open_data("faces:n=3", channels=1)
    assert images.captions == open_data("faces:n=3").captions and len(images.captions) == 3


def test_as_many_captions_as_images():
    images = sample_scenes(3, 10).images()
    with pytest.raises(DataError) as told:
        type(images).of(images.pixels, captions=images.captions[:2])
    assert told.value.slug == "data-counts"
