"""Zip archives: the same images as in the folder, and nothing that leads out of them or fills the memory."""

import io
import json
import tracemalloc
import zipfile

import pytest
import torch

from amiss.bench.hostile import Maker, zip_cases
from amiss.bench.hostile.containers import packed
from amiss.data import archives, open_data
from amiss.errors import DataError


def zipped(folder, path, top=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, top + file.relative_to(folder).as_posix())
    return path


def refused(source, **options):
    with pytest.raises(DataError) as caught:
        open_data(source, **options)
    assert caught.value.hint
    return caught.value


def layouts(root, photo):
    """One folder for each layout that is known."""
    for name in ("plain/dog/0.png", "plain/cat/0.png", "plain/cat/kittens/1.png"):
        photo(root / name, seed=len(name))
    for name in ("split/train/cat/0.png", "split/train/dog/0.png", "split/val/cat/1.png", "split/val/dog/1.png"):
        photo(root / name, seed=len(name))
    for name in ("flat/0.png", "flat/1.png", "index/val/n02/0.png", "index/val/n01/0.png"):
        photo(root / name, seed=len(name))
    (root / "plain" / "empty").mkdir()
    index = {"0": ["n02", "shark"], "1": ["n01", "tench"]}
    (root / "index" / "class_index.json").write_text(json.dumps(index))
    return [path for path in root.iterdir() if path.is_dir()]


@pytest.mark.parametrize("top", ["", "wrapped/"])
def test_an_archive_holds_what_its_folder_holds(tmp_path, photo, top):
    for folder in layouts(tmp_path / "sets", photo):
        plain = open_data(folder)
        inside = open_data(zipped(folder, tmp_path / f"{folder.name}.zip", top))
        assert inside.fingerprint == plain.fingerprint, folder.name
        assert inside.classes == plain.classes
        assert inside.names == tuple(top + name for name in plain.names)


def test_nothing_is_written_to_disk(tmp_path, photo, monkeypatch):
    photo(tmp_path / "set" / "cat" / "a.png")
    path = zipped(tmp_path / "set", tmp_path / "set.zip")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(zipfile.ZipFile, "extract", lambda *a: pytest.fail("unpacked"))
    monkeypatch.setattr("tempfile.TemporaryFile", lambda *a: pytest.fail("unpacked"))
    assert len(open_data(path)) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_limits_sizes_and_channels_hold_for_archives_too(tmp_path, photo):
    for i in range(6):
        photo(tmp_path / "set" / "cat" / f"{i}.png", seed=i, size=(8 + i, 9))
    path = zipped(tmp_path / "set", tmp_path / "set.zip")
    assert refused(path).slug == "data-sizes"
    assert open_data(path, size=4, channels=1, limit=3).pixels.shape == (3, 1, 4, 4)


def test_a_damaged_member_costs_itself_only(tmp_path, photo):
    pixels = photo(tmp_path / "a.png", seed=1)
    data = (tmp_path / "a.png").read_bytes()
    path = tmp_path / "set.zip"
    path.write_bytes(packed(("c/a.png", data), ("c/b.png", data[:50]), ("c/c.png", b"")))
    images = open_data(path)
    assert images.names == ("c/a.png",)
    assert torch.equal(images.pixels[0], pixels)
    assert [name for name, _ in images.unreadable] == ["c/b.png", "c/c.png"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.png", "could lead out"),
        ("c/../evil.png", "could lead out"),
        ("/etc/evil.png", "could lead out"),
        ("C:evil.png", "could lead out"),
        ("c\\evil.png", "could lead out"),
        ("c//evil.png", "could lead out"),
        ("c/./evil.png", "could lead out"),
        ("x" * 2000 + ".png", "a name of more than"),
        ("c/" * 20 + "evil.png", "a name of more than"),
    ],
)
def test_names_that_lead_out_are_refused_and_the_others_read(tmp_path, name, reason):
    path = tmp_path / "a.zip"
    path.write_bytes(packed(("c/good.png", Maker.picture()), (name, Maker.picture())))
    images = open_data(path)
    assert images.names == ("c/good.png",)
    assert [(said, reason in why) for said, why in images.unreadable] == [(name[:1024], True)]


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    path.write_bytes(packed(("c/good.png", Maker.picture()), ("c/bomb.png", bytes(2**22))))
    assert "200 times" in dict(open_data(path).unreadable)["c/bomb.png"]
    monkeypatch.setattr(archives, "MAX_RATIO", 10_000)
    assert "no known format" in dict(open_data(path).unreadable)["c/bomb.png"]


def test_a_member_is_unpacked_no_further_than_it_admits_to(tmp_path):
    """A list that says 100 bytes of a member of 64 MB: a whole read would lay all of it out."""
    data = packed(("c/good.png", Maker.picture()), ("c/bomb.png", bytes(2**26)))
    at = data.rindex(b"c/bomb.png") - 46 + 24
    (tmp_path / "a.zip").write_bytes(data[:at] + (100).to_bytes(4, "little") + data[at + 4 :])
    tracemalloc.start()
    try:
        assert open_data(tmp_path / "a.zip").names == ("c/good.png",)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("cap", "value"), [("MAX_MEMBERS", 1), ("MAX_TOTAL", 100), ("_MAX_DIRECTORY", 60)])
def test_archives_have_caps(tmp_path, monkeypatch, cap, value):
    path = tmp_path / "a.zip"
    path.write_bytes(packed(("c/a.png", Maker.picture()), ("c/b.png", Maker.picture())))
    assert len(open_data(path)) == 2
    monkeypatch.setattr(archives, cap, value)
    assert refused(path).slug == "data-archive"


def test_members_that_overlap_are_refused(tmp_path):
    cases = {case.name: case for case in zip_cases(Maker.at(tmp_path), quick=True)}
    assert "overlap" in refused(cases["zip: overlapping members"].source).seen


def test_what_macs_and_hidden_files_add_is_not_there(tmp_path):
    path = tmp_path / "a.zip"
    extra = [("__MACOSX/c/._a.png", b"x"), ("c/.b.png", b"x"), (".thumbs/c.png", b"x"), ("c/notes.txt", b"x")]
    path.write_bytes(packed(("c/a.png", Maker.picture()), *extra))
    images = open_data(path)
    assert (images.names, images.unreadable) == (("c/a.png",), ())


def test_of_two_members_of_one_name_the_first_counts(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("c/a.png", Maker.picture((1, 1, 1)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("c/a.png", Maker.picture((9, 9, 9)))
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    images = open_data(tmp_path / "a.zip")
    assert images.unreadable == (("c/a.png", "a second member of this name"),)
    assert images.pixels.unique().tolist() == [1]
