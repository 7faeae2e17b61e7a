"""Attributes of images: which columns are some, a label made of one, and a table joined to images with labels."""

import numpy as np
import pytest
import torch

from amiss.data import Images, draw_faces, open_data
from amiss.data.attributes import attributes, labeled_by
from amiss.errors import DataError

BYTES = torch.arange(4 * 64, dtype=torch.uint8).reshape(4, 1, 8, 8)


def some(table, labels=None, classes=()):
    return Images.of(BYTES, labels, classes, table={name: torch.tensor(column) for name, column in table.items()})


def refused(slug, call, *arguments, **options):
    with pytest.raises(DataError) as caught:
        call(*arguments, **options)
    assert caught.value.slug == slug, caught.value
    assert caught.value.seen and caught.value.needed and caught.value.hint
    return str(caught.value)


# --- attributes of images


def test_columns_in_0_to_1_are_attributes_and_others_are_not():
    table = {"hat": [0.0, 1, 1, 0], "hair": [0.1, 0.5, 0.51, 0.9], "age": [3.0, 40, 1, 0], "flat": [1.0, 1, 1, 1]}
    found = attributes(some(table))
    assert {name: column.tolist() for name, column in found.items()} == {"hat": [0, 1, 1, 0], "hair": [0, 0, 1, 1]}
    assert all(column.dtype == torch.int64 for column in found.values())


def test_a_label_that_is_an_attribute_is_one_of_them():
    found = attributes(some({"hat": [0.0, 1, 1, 0]}, [1, 1, 0, 0], ("not male", "male")))
    assert {name: column.tolist() for name, column in found.items()} == {"male": [1, 1, 0, 0], "hat": [0, 1, 1, 0]}
    assert list(attributes(some({"hat": [0.0, 1, 1, 0]}, [1, 1, 0, 0], ("cat", "dog")))) == ["hat"]


def test_attributes_are_had_by_name_in_the_order_asked_for_even_where_all_are_alike():
    images = some({"hat": [0.0, 1, 1, 0], "flat": [1.0, 1, 1, 1]})
    assert list(attributes(images, ["flat", "hat"])) == ["flat", "hat"]
    assert "did" not in refused("data-attributes", attributes, images, ["Hat"])
    assert "choose among hat" in refused("data-attributes", attributes, images, ["Hat"])
    assert "choose among hat, flat" in refused("data-attributes", attributes, images, ["zzz"])
    many = some({name: [0.0, 1, 1, 0] for name in "abcde"})
    assert "choose among a, b, c and 2 more" in refused("data-attributes", attributes, many, ["zzz"])
    assert "--table" in refused("data-attributes", attributes, some({"age": [3.0, 40, 1, 0]}))
    assert len(refused("data-attributes", attributes, images, ["x" * 100_000])) < 1000


def test_an_attribute_becomes_the_label_and_the_label_an_attribute():
    faces = draw_faces(12, seed=0)
    changed = labeled_by(faces, "earrings")
    assert changed.classes == ("not earrings", "earrings")
    assert changed.labels.tolist() == faces.table["earrings"].long().tolist()
    assert "earrings" not in changed.table
    assert changed.table["male"].tolist() == faces.labels.tolist()
    assert changed.ids == faces.ids
    back = labeled_by(changed, "male")
    assert (back.classes, back.labels.tolist()) == (faces.classes, faces.labels.tolist())
    assert sorted(back.table) == sorted(faces.table)
    assert labeled_by(faces, "male") is faces


def test_classes_that_are_no_attribute_do_not_go_into_the_table():
    changed = labeled_by(some({"hat": [0.0, 1, 1, 0]}, [1, 1, 0, 0], ("cat", "dog")), "hat")
    assert changed.table == {}


def test_faces_are_labeled_by_a_column():
    assert open_data("faces", limit=8, label="hair").classes == ("not hair", "hair")
    assert "choose among" in refused("data-attributes", open_data, "faces", limit=8, label="height")


# --- a table for images that have labels


@pytest.fixture
def photos(tmp_path, photo):
    """Two class folders of two photos, and a writer of a table beside them."""
    for i, name in enumerate(("cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png")):
        photo(tmp_path / "photos" / name, seed=i)

    def table(text, name="more.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / "photos", tmp_path / name

    return table


WHOLE = "file,hat,age,note,label\ncat/a.png,1,3,x,0\nb.png,-1,4,y,0\nc,1,5,z,1\ndog/d.png,-1,6,7,1\n"


def test_a_table_is_joined_by_name(photos):
    folder, path = photos(WHOLE)
    images = open_data(folder, table=path)
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert {name: column.tolist() for name, column in images.table.items()} == {
        "hat": [1, 0, 1, 0],
        "age": [3, 4, 5, 6],
    }
    assert open_data(folder, table=str(path)).fingerprint == open_data(folder).fingerprint


def test_images_that_were_not_drawn_or_are_of_another_split_do_no_harm(photos, photo, tmp_path):
    folder, path = photos(WHOLE)
    drawn = open_data(folder, table=path, limit=2)
    assert len(drawn) == len(drawn.table["hat"]) == 2
    for name in ("train/cat/a.png", "train/dog/b.png", "test/cat/c.png", "test/dog/d.png"):
        photo(tmp_path / "parts" / name)
    rows = "file,hat\ntrain/cat/a.png,0\ntrain/dog/b.png,0\ntest/cat/c.png,1\ntest/dog/d.png,0\n"
    _, path = photos(rows, "parts.csv")
    assert open_data(tmp_path / "parts", table=path).table["hat"].tolist() == [1, 0]


def test_a_row_of_a_damaged_image_does_no_harm(photos):
    folder, path = photos(WHOLE)
    (folder / "cat" / "a.png").write_bytes(b"no image")
    assert open_data(folder, table=path).table["hat"].tolist() == [0, 1, 0]


def test_arrays_take_a_table_too(tmp_path, photos):
    np.savez(tmp_path / "a.npz", x_train=BYTES.numpy()[:, 0], y_train=[0, 1, 0, 1], x_test=BYTES.numpy()[:2, 0])
    names = open_data(tmp_path / "a.npz", split="train").names
    rows = "".join(f"{name},{i % 2}\n" for i, name in enumerate(names))
    _, path = photos(f"file,hat\n{rows}test/00000,1\n")
    images = open_data(tmp_path / "a.npz", split="train", table=path, limit=3)
    assert images.table["hat"].tolist() == [int(name[-1]) % 2 for name in images.names]


@pytest.mark.parametrize(
    ("text", "slug", "said"),
    [
        ("file,hat\na,1\nb,0\nc,1\n", "data-table-rows", "1 images: dog/d.png"),
        ("file,hat\na,1\n", "data-table-rows", "3 images: cat/b.png, dog/c.png, dog/d.png"),
        (WHOLE + "e.png,1,1,1,1\n", "data-table-rows", "1 rows: 'e.png' (there is no such file)"),
        (WHOLE + "../a.png,1,1,1,1\n", "data-table-rows", "'../a.png' (a path that leaves the folder)"),
        (WHOLE + "b,1,1,1,1\n", "data-table-rows", "more than one row for an image"),
        (WHOLE + "b,1\n", "data-table-rows", "2 cells, where the head has 5"),
        ("file,note\na,x\nb,y\nc,z\nd,w\n", "data-csv-columns", "tells nothing of the images"),
        ("file,hat\na,1\nb,0\nc,1\nd,1e999\n", "data-csv-columns", "tells nothing of the images"),
        ("file,label\na,1\nb,0\nc,1\nd,1\n", "data-csv-columns", "tells nothing of the images"),
        ("file,hat\nu,1\nv,0\n", "data-csv-columns", "'u' is no file"),
        ("", "data-csv", "nothing in it"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(photos, text, slug, said):
    folder, path = photos(text)
    assert said in refused(slug, open_data, folder, table=path)


def test_four_unknown_rows_are_counted_and_three_are_shown(photos):
    folder, path = photos(WHOLE + "".join(f"lost{i},1,1,1,1\n" for i in range(4)))
    said = refused("data-table-rows", open_data, folder, table=path)
    assert "4 rows: 'lost0'" in said and "'lost2' (there is no such file), ..." in said and "lost3" not in said


def test_a_column_that_is_there_already_is_refused(photos, tmp_path):
    folder, path = photos(WHOLE)
    (folder / "labels.csv").write_text("file,label,hat\na,0,1\nb,0,1\nc,1,1\nd,1,0\n")
    said = refused("data-csv-columns", open_data, folder, label="label", table=path)
    assert "hat is there already" in said


def test_a_table_that_is_none_is_refused(photos, tmp_path):
    folder, _ = photos(WHOLE)
    assert "more.csv" in refused("data-missing", open_data, folder, table=tmp_path / "mor.csv")
    (tmp_path / "more.xlsx").write_bytes(b"PK")
    assert "save it as CSV" in refused("data-kind", open_data, folder, table=tmp_path / "more.xlsx")
