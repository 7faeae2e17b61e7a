"""Labels out of a CSV beside the images: which file, which label, which rows, and what is refused."""

import csv
import io
import json
import zipfile

import pytest
import torch

from amiss.data import open_data, tables
from amiss.errors import DataError


@pytest.fixture
def photos(tmp_path, photo):
    """A folder of photos a.png to f.png, and a writer of its table."""
    folder = tmp_path / "photos"
    pixels = {name: photo(folder / f"{name}.png", seed=i) for i, name in enumerate("abcdef")}

    def table(text, name="labels.csv", encoding="utf-8"):
        (folder / name).write_bytes(text.encode(encoding))
        return folder

    table.pixels = pixels
    return table


def refused(source, **options):
    with pytest.raises(DataError) as caught:
        open_data(source, **options)
    assert caught.value.hint
    return caught.value


def left_out(images):
    return dict(images.unreadable)


def test_a_column_with_a_book_for_a_name_is_not_read_out(photos):
    book = "x" * 100_000
    for text in (
        f'file,"{book}"\na.png,1\n',
        f"file,label,split\na.png,1,{book}\n",
        f"file,label\na.png,0.{'1' * 9999}\n",
    ):
        assert len(str(refused(photos(text)))) < 2000


# --- which file


def test_rows_are_joined_with_files(photos):
    folder = photos("file,label\nb.png,dog\na.png,cat\nf.png,dog\nc.png,cat\nd.png,cat\ne.png,emu\n")
    for source in (folder, str(folder), folder / "labels.csv"):
        images = open_data(source)
        assert images.names == ("b.png", "a.png", "f.png", "c.png", "d.png", "e.png")
        assert images.classes == ("cat", "dog", "emu")
        assert images.labels.tolist() == [1, 0, 1, 0, 0, 2]
        assert all(torch.equal(p, photos.pixels[n[0]]) for p, n in zip(images.pixels, images.names, strict=True))
        assert images.unreadable == ()


@pytest.mark.parametrize("head", ["file", "FileName", "path", "image", "image_id", "id", "name", "whatever"])
def test_the_column_of_files_is_found_by_name_or_by_what_it_holds(photos, head):
    images = open_data(photos(f"label,{head}\n0,a.png\n1,b.png\n"))
    assert images.names == ("a.png", "b.png")
    assert images.labels.tolist() == [0, 1]


def test_a_column_called_id_that_names_no_file_gives_way(photos):
    images = open_data(photos("id,name,label,picture\n1,Ann,0,a.png\n2,Bob,1,b.png\n"))
    assert images.names == ("a.png", "b.png")
    assert images.table["id"].tolist() == [1, 2]


@pytest.mark.parametrize("given", ["a.png", "./a.png", "a", "photos/sub/../a.png"])
def test_names_are_read_with_and_without_their_ending(photos, given):
    if ".." in given:
        assert "leaves the folder" in left_out(open_data(photos(f"file,label\nb.png,0\n{given},0\n")))[given]
    else:
        assert open_data(photos(f"file,label\n{given},0\n")).names == ("a.png",)


def test_files_in_folders_below_are_found_by_the_end_of_their_path(photos, photo):
    folder = photos("file,label\nimg/x.png,0\nx,1\ntwin.png,0\ndeep\\z.png,1\n")
    for name in ("one/img/x.png", "one/twin.png", "two/twin.png", "two/deep/z.png"):
        photo(folder / name)
    images = open_data(folder, label="label")
    assert images.names == ("two/deep/z.png",)
    assert left_out(images)["twin.png"] == "labels.csv, line 4: fits more than one file"
    assert "contradict" in left_out(images)["one/img/x.png"]  # "img/x.png" and "x" are one file


def test_a_whole_path_is_meant_before_the_end_of_another(photos, photo):
    folder = photos("file,label\na.png,0\n")
    photo(folder / "sub" / "a.png")
    assert open_data(folder).names == ("a.png",)


def test_accents_are_one_letter_however_they_are_spelled(photos, photo):
    folder = photos("file,label\ncaf\u00e9.png,0\n")
    photo(folder / "cafe\u0301.png")
    assert open_data(folder).names == ("cafe\u0301.png",)


@pytest.mark.parametrize(
    "given", ["../secret.png", "{outside}", "sub/../../secret.png", "C:\\x.png", "\\\\host\\x.png"]
)
def test_no_row_leads_out_of_the_folder(photos, photo, tmp_path, given):
    photo(tmp_path / "secret.png")
    given = given.format(outside=tmp_path / "secret.png")
    images = open_data(photos(f"file,label\na.png,0\n{given},1\n"))
    assert images.names == ("a.png",)
    assert left_out(images)[given] == "labels.csv, line 3: a path that leaves the folder"


def test_a_link_that_leaves_the_folder_is_no_way_out(photos, photo, tmp_path):
    photo(tmp_path / "secret.png")
    photo(tmp_path / "secrets" / "s.png")
    folder = photos("file,label\na.png,0\nlink.png,1\nlinked/s.png,1\n")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "linked").symlink_to(tmp_path / "secrets")
    images = open_data(folder)
    assert images.names == ("a.png",)
    assert "leaves the folder" in left_out(images)["link.png"]
    assert "no such file" in left_out(images)["linked/s.png"]


def test_all_that_has_no_part_is_named(photos):
    rows = ["a.png,0,", "lost.png,1,", ",1,", "b.png,,", "c.png,1,2,3", "d.png", "a.png,0,", "", ",,"]
    images = open_data(photos("file,label,age\n" + "\n".join(rows) + "\n"))
    assert images.names == ("a.png",)
    assert images.unreadable == (
        ("a.png", "labels.csv, line 8: the same row once more"),
        ("b.png", "labels.csv, line 5: no label"),
        ("c.png", "has no row in labels.csv"),
        ("d.png", "has no row in labels.csv"),
        ("e.png", "has no row in labels.csv"),
        ("f.png", "has no row in labels.csv"),
        ("labels.csv", "labels.csv, line 4: it names no file"),
        ("labels.csv, line 6", "4 cells, where the head has 3"),
        ("labels.csv, line 7", "1 cells, where the head has 3"),
        ("lost.png", "labels.csv, line 3: there is no such file"),
    )


def test_rows_that_contradict_each_other_are_not_believed(photos):
    images = open_data(photos("file,label\na.png,cat\na.png,dog\nb.png,cat\n"))
    assert images.names == ("b.png",)
    assert "contradict" in left_out(images)["a.png"]
    assert images.classes == ("cat", "dog")  # numbers do not hang on which files are whole


def test_a_damaged_image_costs_itself_only(photos):
    folder = photos("file,label,age\na.png,0,10\nb.png,1,20\nc.png,1,30\n")
    (folder / "b.png").write_bytes(b"no image")
    images = open_data(folder)
    assert (images.names, images.labels.tolist()) == (("a.png", "c.png"), [0, 1])
    assert images.table["age"].tolist() == [10, 30]


# --- which label


@pytest.mark.parametrize(
    ("values", "labels", "classes"),
    [
        ("0 2 1", [0, 2, 1], ("0", "1", "2")),
        ("0 3 0", [0, 3, 0], ("0", "1", "2", "3")),
        ("1.0 0.0 1.0", [1, 0, 1], ("0", "1")),
        ("-1 1 -1", [0, 1, 0], ("not label", "label")),
        ("1 1 1", [1, 1, 1], ("0", "1")),
        ("b a B", [2, 1, 0], ("B", "a", "b")),
        ("10 9 ten", [0, 1, 2], ("10", "9", "ten")),
    ],
)
def test_labels_are_numbers_names_or_signs(photos, values, labels, classes):
    rows = [f"{file}.png,{value}" for file, value in zip("abc", values.split(), strict=True)]
    images = open_data(photos("\n".join(["file,label", *rows])))
    assert images.labels.tolist() == labels
    assert images.classes == classes


def test_an_attribute_is_chosen_by_name_and_the_others_make_the_table(photos):
    text = "image_id,Male,Young,score,note\na.png,-1,1,0.5,x\nb.png,1,1,1e3,7\nc.png,1,-1,-2,y\n"
    images = open_data(photos(text, "list_attr.csv"), label="Male")
    assert images.classes == ("not Male", "Male")
    assert images.labels.tolist() == [0, 1, 1]
    assert {name: column.tolist() for name, column in images.table.items()} == {
        "Young": [1, 1, 0],
        "score": [0.5, 1000, -2],
    }
    assert open_data(photos(text, "list_attr.csv"), label="young").labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize("word", ["nan", "inf", "", "1;2"])
def test_a_column_with_a_cell_that_is_no_number_is_no_part_of_the_table(photos, word):
    assert open_data(photos(f"file,label,age\na.png,0,1\nb.png,1,{word}\n")).table == {}


def test_class_index_numbers_the_names(photos):
    folder = photos("file,label\na.png,n02\nb.png,n01\n")
    (folder / "class_index.json").write_text(json.dumps({"0": ["n02", "shark"], "1": ["n01", "tench"]}))
    images = open_data(folder)
    assert images.labels.tolist() == [0, 1]
    assert images.classes == ("shark", "tench")
    (folder / "labels.csv").write_text("file,label\na.png,1\n")
    assert open_data(folder).classes == ("shark", "tench")
    (folder / "labels.csv").write_text("file,label\na.png,n07\n")
    assert refused(folder).slug == "data-class-index"


def test_wrong_columns_are_named_with_those_that_are_there(photos):
    text = "file,kind,age\na.png,cat,1\n"
    error = refused(photos(text))
    assert (error.slug, error.seen) == ("data-csv-columns", "columns file, kind, age")
    assert "--label-column" in error.hint
    error = refused(photos(text), label="knd")
    assert (error.slug, error.hint) == ("data-csv-columns", "did you mean kind?")
    error = refused(photos("file,label\nx.png,0\n"))
    assert (error.slug, error.seen) == ("data-csv-columns", "columns file, label; 'x.png' is no file")
    assert refused(photos("file,label\na.png,0.5\nb.png,0.25\n")).slug == "data-csv-labels"
    assert refused(photos("file,label\na.png,0\nb.png,-2\n")).slug == "data-label-range"
    assert refused(photos("file,label\na.png,0\nb.png,12345678901\n")).slug == "data-label-range"


def test_a_column_of_labels_needs_a_table(photos, photo, tmp_path):
    photo(tmp_path / "set" / "cat" / "a.png")
    for source in (tmp_path / "set", "digits"):
        assert refused(source, label="Male").slug == "data-no-table"


# --- which table, which rows


def test_a_table_is_found_as_labels_or_as_the_only_one(photos):
    text = "file,label\na.png,0\n"
    folder = photos(text, "any.csv")
    assert len(open_data(folder)) == 1
    photos("file\tlabel\na.png\t0\nb.png\t1\n", "more.tsv")
    assert refused(folder).slug == "data-csv-choice"
    assert len(open_data(folder / "more.tsv")) == 2
    photos(text, "Labels.csv")
    assert len(open_data(folder)) == 1


def test_class_folders_stay_class_folders_unless_the_table_is_asked_for(photos, photo):
    folder = photos("file,label,age\nx.png,9,1\n")
    for name in ("cat/x.png", "dog/y.png"):
        photo(folder / name)
    assert open_data(folder).classes == ("cat", "dog")
    assert open_data(folder, label="label").labels.tolist() == [9]
    assert open_data(folder / "labels.csv").labels.tolist() == [9]


@pytest.mark.parametrize("words", [("train", "val", "test"), ("0", "1", "2"), ("Training", "VALID", "Test")])
def test_rows_are_chosen_by_split(photos, words):
    rows = [f"{file}.png,{file},{words[i % 3]}" for i, file in enumerate("abcdef")]
    folder = photos("\n".join(["file,label,partition", *rows]))
    for split, names in {"train": "ad", "val": "be", "test": "cf"}.items():
        images = open_data(folder, split=split)
        assert images.names == tuple(f"{name}.png" for name in names)
        assert images.classes == tuple("abcdef")  # one numbering for all splits
        assert images.unreadable == ()  # rows of other splits are not lost


def test_a_wish_for_test_is_met_by_val_and_no_other_is(photos):
    folder = photos("file,label,split\na.png,0,train\nb.png,1,val\n")
    assert open_data(folder).names == ("b.png",)
    (folder / "labels.csv").write_text("file,label,split\na.png,0,train\n")
    assert refused(folder).slug == "data-split"


# --- how it is written


PLAIN = [["file", "label", "note"], ["a.png", "cat", 'say "hi", now'], ["b.png", "dog", "two\nlines"]]


def written(delimiter=",", end="\n"):
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator=end).writerows(PLAIN)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (written(), "utf-8"),
        (written(), "utf-8-sig"),
        (written(), "utf-16"),
        (written(";"), "utf-8"),
        (written("\t"), "utf-8"),
        (written(";", "\r\n"), "utf-8-sig"),
        ("\n\n" + written(), "utf-8"),
        (written().replace(",", " , ", 2), "utf-8"),
        ('file,"label, or class",label\na.png,x,cat\nb.png,y,dog\n', "utf-8"),
        ("file,label,\na.png,cat,\nb.png,dog,\n", "utf-8"),
    ],
)
def test_however_a_spreadsheet_writes_it_it_is_the_same(photos, text, encoding):
    images = open_data(photos(text, encoding=encoding))
    assert (images.names, images.labels.tolist(), images.classes) == (("a.png", "b.png"), [0, 1], ("cat", "dog"))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (b"", "nothing in it"),
        (b"\n \n", "nothing in it"),
        (b"file,label\n", "no row"),
        (b"file,label\nM\xfcller.png,0\n", "no UTF-8"),
        (b'file,label\na.png,"0\n', "unexpected end"),
        (b"file,label\na.png," + b"x" * 200_000, "field limit"),
        (b"file,label\n" + b"x" * 2**21, "a line of more than"),
        (b",".join(b"c%d" % i for i in range(5000)), "5,000 columns"),
    ],
)
def test_tables_that_are_none_are_refused(photos, text, seen):
    error = refused(photos(text.decode("latin-1"), encoding="latin-1"))
    assert error.slug == "data-csv"
    assert seen in error.seen


@pytest.mark.parametrize(("cap", "value"), [("_ROWS", 3), ("_CELLS", 4), ("MAX_TABLE", 20)])
def test_tables_have_caps(photos, monkeypatch, cap, value):
    folder = photos("file,label\na.png,0\nb.png,1\nc.png,1\n")
    assert len(open_data(folder)) == 3
    monkeypatch.setattr(tables, cap, value)
    monkeypatch.setattr("amiss.data.celeba.MAX_TABLE", value if cap == "MAX_TABLE" else tables.MAX_TABLE)
    assert refused(folder).slug == ("data-refused" if cap == "MAX_TABLE" else "data-csv")


def test_a_table_in_an_archive_is_the_same_table(photos, tmp_path):
    folder = photos("file,label,age\na.png,cat,1\nb.png,dog,2\nlost.png,dog,3\n../c.png,cat,4\n")
    for top in ("", "photos/"):
        with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
            for path in folder.iterdir():
                archive.write(path, top + path.name)
        packed, plain = open_data(tmp_path / "photos.zip"), open_data(folder)
        assert packed.fingerprint == plain.fingerprint
        assert packed.classes == plain.classes
        assert packed.names == tuple(top + name for name in plain.names)
        assert packed.table["age"].tolist() == [1, 2]
        assert len(packed.unreadable) == len(plain.unreadable) == 6
