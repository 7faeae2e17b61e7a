"""CelebA's own layout, of drawn faces: both forms of its lists, its splits, and lists that lie."""

import zipfile

import pytest
import torch

from amiss.data import draw_faces, open_data, write_png
from amiss.errors import DataError

NAMES = ("Male", "Wearing_Earrings", "Mustache", "Eyeglasses")
SPLIT = (0, 0, 0, 1, 1, 2, 2, 2, 2, 2)
FACES = draw_faces(10, seed=3)
SIGNS = torch.stack([FACES.labels, *(FACES.table[name].long() for name in ("earrings", "mustache", "glasses"))], 1)


def ids():
    return [f"{i + 1:06d}.jpg" for i in range(10)]


def written(form, rows, head, count=None):
    """One of CelebA's lists as text."""
    if form == "csv":
        return "\n".join([",".join(("image_id", *head)), *(",".join(row) for row in rows)]) + "\n"
    first = [str(len(rows) if count is None else count), " ".join(head) + " "] if head != ("partition",) else []
    return "\n".join([*first, *("  ".join([row[0], *(f"{cell:>2}" for cell in row[1:])]) for row in rows)]) + "\n"


def rows_of(signs=SIGNS):
    return [[name, *map(str, (2 * row - 1).tolist())] for name, row in zip(ids(), signs, strict=True)]


@pytest.fixture
def celeba(tmp_path):
    """celeba(form, rows=..., partition=...): a folder in CelebA's layout, its images drawn."""

    def make(form="txt", rows=None, partition=True, anno="", nested=False, count=None):
        root = tmp_path / "celeba"
        images = root / "img_align_celeba" / ("img_align_celeba" if nested else "")
        images.mkdir(parents=True)
        for name, pixels in zip(ids(), FACES.pixels, strict=True):
            write_png(images / name, pixels)  # what a file is, its content says
        lists = root / anno
        lists.mkdir(exist_ok=True)
        text = written(form, rows_of() if rows is None else rows, NAMES, count)
        (lists / f"list_attr_celeba.{form}").write_text(text)
        (lists / f"list_landmarks_align_celeba.{form}").write_text("2\nlefteye_x lefteye_y\n000001.jpg 3 4\n")
        if partition:
            said = list(zip(ids(), map(str, SPLIT), strict=True)) if partition is True else partition
            (root / ("Eval" if anno else "")).mkdir(exist_ok=True)
            text = written(form, said, ("partition",))
            (root / ("Eval" if anno else "") / f"list_eval_partition.{form}").write_text(text)
        return root

    return make


def refused(source, slug, **options):
    with pytest.raises(DataError) as caught:
        open_data(source, **options)
    assert caught.value.slug == slug, caught.value
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_a_list_without_one_row_of_signs_says_so(celeba, form):
    """Not that no row names an image, which is true of no rows whatever they name."""
    folder = celeba(form, rows=[[name, "2", "1", "1", "1"] for name in ids()], partition=False)
    told = refused(folder, "data-csv", label="Male")
    assert f"No row of list_attr_celeba.{form} can be used." in told
    assert "'2' for Male, where -1 or 1 is needed" in told


@pytest.mark.parametrize("form", ["txt", "csv"])
@pytest.mark.parametrize("nested", [False, True])
def test_both_forms_load_with_their_splits(celeba, form, nested):
    folder = celeba(form, nested=nested)
    for split, number in {"train": 0, "val": 1, "test": 2}.items():
        rows = [i for i, part in enumerate(SPLIT) if part == number]
        images = open_data(folder, label="Male", split=split)
        assert images.classes == ("not Male", "Male")
        assert images.labels.tolist() == FACES.labels[rows].tolist()
        assert torch.equal(images.pixels, FACES.pixels[rows])
        assert list(images.table) == list(NAMES[1:])
        for k, name in enumerate(NAMES[1:], 1):
            assert images.table[name].tolist() == SIGNS[rows, k].tolist()
        assert images.unreadable == ()


def test_without_a_partition_every_image_is_there(celeba):
    images = open_data(celeba(partition=False), label="mustache")
    assert len(images) == 10
    assert images.classes == ("not Mustache", "Mustache")
    assert images.labels.tolist() == SIGNS[:, 2].tolist()


def test_the_lists_may_lie_in_folders_of_their_own_and_in_an_archive(celeba, tmp_path):
    folder = celeba(anno="Anno")
    images = open_data(folder, label="Male", split="val")
    assert images.labels.tolist() == FACES.labels[3:5].tolist()
    with zipfile.ZipFile(tmp_path / "celeba.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path))
    assert open_data(tmp_path / "celeba.zip", label="Male", split="val").fingerprint == images.fingerprint


def test_the_list_itself_is_data(celeba):
    folder = celeba()
    images = open_data(folder / "list_attr_celeba.txt", label="Male")
    assert images.fingerprint == open_data(folder, label="Male").fingerprint


def test_an_attribute_must_be_chosen(celeba):
    folder = celeba()
    said = refused(folder, "data-csv-columns")
    assert "list_attr_celeba.txt does not say which column holds the labels" in said
    assert "--label-column 'Eyeglasses'" in said
    assert "did you mean Male?" in refused(folder, "data-csv-columns", label="Mal")
    bare = open_data(folder, unlabeled=True)
    assert bare.labels is None
    assert list(bare.table) == list(NAMES)


def test_a_copy_with_0_for_minus_1_says_the_same(celeba):
    rows = [[name, *map(str, row.tolist())] for name, row in zip(ids(), SIGNS, strict=True)]
    images = open_data(celeba("csv", rows), label="Male", split="train")
    assert images.classes == ("not Male", "Male")
    assert images.labels.tolist() == FACES.labels[:3].tolist()


def test_rows_that_say_something_else_are_left_out_and_named(celeba):
    rows = rows_of()
    rows[5][1] = "99999999999999999999"
    rows[6][2] = "1e999"
    rows[7] = rows[7][:3]
    rows[8][0] = "../../secret.jpg"
    rows.append(["777777.jpg", "1", "1", "1", "1"])
    images = open_data(celeba(rows=rows, partition=False), label="Male")
    assert images.names == tuple(f"img_align_celeba/{name}" for name in [*ids()[:5], ids()[9]])
    left = dict(images.unreadable)
    assert left["list_attr_celeba.txt, line 8"] == "'99999999999999999999' for Male, where -1 or 1 is needed"
    assert left["list_attr_celeba.txt, line 9"] == "'1e999' for Wearing_Earrings, where -1 or 1 is needed"
    assert left["list_attr_celeba.txt, line 10"] == "3 cells, where the head has 5"
    assert left["777777.jpg"] == "list_attr_celeba.txt, line 13: there is no such file"
    assert "leaves the folder" in left["../../secret.jpg"]
    for name in ids()[5:9]:
        assert left[f"img_align_celeba/{name}"] == "has no row in list_attr_celeba.txt"


def test_a_count_that_lies_is_told_and_costs_nothing(celeba):
    images = open_data(celeba(count=202599), label="Male")
    assert dict(images.unreadable) == {
        "list_attr_celeba.txt": "its first line counts 202,599 rows, and it has 10",
    }
    assert len(images) == 5


@pytest.mark.parametrize("count", ["many", "-3", "9" * 10_000, "2.5", " "])
def test_a_list_without_a_count_is_no_list(celeba, count):
    said = refused(celeba(count=count), "data-csv", label="Male")
    assert len(said) < 1000


def test_a_split_that_is_not_known_leaves_the_image_out(celeba):
    partition = [*zip(ids()[:8], "00011222", strict=True), (ids()[8], "7"), ("900000.jpg", "2")]
    folder = celeba(partition=partition)
    images = open_data(folder, label="Male")
    assert len(images) == 3
    left = dict(images.unreadable)
    assert left["000009.jpg"] == "list_attr_celeba.txt, line 11: '7' is no split in list_eval_partition.txt"
    assert left["000010.jpg"] == "list_attr_celeba.txt, line 12: has no row in list_eval_partition.txt"
    assert "1 of its rows have no whole row" in left["list_eval_partition.txt"]
    assert "900000.jpg" in left["list_eval_partition.txt"]


def test_splits_of_other_images_are_refused(celeba):
    folder = celeba(partition=[("900000.jpg", "2")])
    assert "a split said of at least one image" in refused(folder, "data-split", label="Male")


def test_a_list_of_other_images_is_refused(celeba):
    rows = [[f"x{row[0]}", *row[1:]] for row in rows_of()]
    assert "'x000001.jpg' is no file" in refused(celeba(rows=rows, partition=False), "data-csv-columns", label="Male")
