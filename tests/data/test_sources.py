import gzip
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from realdata import amiss_data, cifar10

from amiss.data import guards, open_data, read_image
from amiss.data.guards import check_memory, subset
from amiss.errors import DataError, UsageError


def refused(source, **options):
    with pytest.raises(DataError) as caught:
        open_data(source, **options)
    assert caught.value.hint
    return caught.value


def write_idx(path, array):
    data = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def classes(tmp_path, photo):
    """Two classes of three photos each."""
    root = tmp_path / "set"
    pixels = {f"{name}/{i}.png": photo(root / name / f"{i}.png", seed=i) for name in ("dog", "cat") for i in range(3)}
    return root, pixels


# --- digits


def test_digits_are_split_once_and_for_all():
    train, test = open_data("digits", split="train"), open_data("digits")
    assert (len(train), len(test)) == (1200, 597)
    assert train.pixels.shape[1:] == (1, 8, 8)
    assert int(train.pixels.max()) == 255
    assert not set(train.ids) & set(test.ids)
    assert train.classes == tuple("0123456789")
    count = train.labels.bincount() + test.labels.bincount()
    assert float((train.labels.bincount() - count * 1200 / 1797).abs().max()) <= 1
    assert open_data("digits", seed=5).fingerprint == test.fingerprint


def test_digits_are_the_ones_scikit_learn_has():
    from sklearn.datasets import load_digits

    test, data = open_data("digits"), load_digits()
    rows = [int(name.split("/")[1]) for name in test.names]
    assert torch.equal(test.labels, torch.from_numpy(data.target[rows]))
    assert np.abs(test.images()[:, 0].numpy() * 16 - data.images[rows]).max() < 16 * 0.5 / 255 + 1e-5


def test_digits_can_be_brought_to_another_shape():
    images = open_data("digits", size=28, channels=3, limit=10, seed=3)
    assert images.pixels.shape == (10, 3, 28, 28)
    assert torch.equal(images.pixels[:, 0], images.pixels[:, 2])
    small = open_data("digits", limit=10, seed=3)
    assert torch.equal(images.labels, small.labels)
    assert images.names == small.names


# --- folders


def test_class_folders_are_numbered_by_name(classes):
    root, pixels = classes
    images = open_data(root)
    assert images.classes == ("cat", "dog")
    assert images.names == ("cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png", "dog/2.png")
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert all(torch.equal(image, pixels[name]) for image, name in zip(images.pixels, images.names, strict=True))
    assert images.unreadable == ()
    assert open_data(str(root)).fingerprint == images.fingerprint


def test_class_folders_may_be_nested_once_and_hide_nothing_else(classes, photo):
    root, _ = classes
    photo(root / "dog" / "puppies" / "9.png")
    photo(root / "dog" / ".cache" / "9.png")
    photo(root / ".thumbs" / "9.png")
    (root / "dog" / "notes.txt").write_text("good dog")
    images = open_data(root)
    assert images.names[3:] == ("dog/0.png", "dog/1.png", "dog/2.png", "dog/puppies/9.png")
    assert images.classes == ("cat", "dog")
    assert images.unreadable == ()


def test_images_that_lie_too_deep_are_named(classes, photo):
    root, _ = classes
    for deep in ("dog/a/b", "dog/a/b/c/d"):
        photo(root / deep / "9.png")
    images = open_data(root)
    assert len(images) == 6
    assert [name for name, _ in images.unreadable] == ["dog/a/b/9.png", "dog/a/b/c/d/9.png"]
    assert "below its class" in images.unreadable[0][1]
    high = root.parent / "too" / "high"
    high.mkdir(parents=True)
    root.rename(high / "set")
    assert "sub-folders are the classes" in refused(root.parent).hint


def test_folders_that_differ_in_case_alone_are_not_one_split(tmp_path, photo):
    for name in ("train", "TRAIN"):
        photo(tmp_path / name / "0.png")
    if len(list(tmp_path.iterdir())) == 2:
        assert open_data(tmp_path).classes == ("TRAIN", "train")


def test_splits_are_entered(tmp_path, photo):
    for split in ("train", "val"):
        photo(tmp_path / split / "cat" / f"{split}.png")
    assert open_data(tmp_path, split="train").names == ("train/cat/train.png",)
    assert open_data(tmp_path).names == ("val/cat/val.png",)
    photo(tmp_path / "test" / "cat" / "test.png")
    assert open_data(tmp_path).names == ("test/cat/test.png",)
    assert refused(tmp_path, split="dev").slug == "data-split"


def test_a_class_may_be_called_train(tmp_path, photo):
    for name in ("train", "tram"):
        photo(tmp_path / name / "0.png")
    assert open_data(tmp_path).classes == ("train", "tram")


def test_class_index_gives_numbers_and_names(tmp_path, photo):
    photo(tmp_path / "val" / "n02" / "0.png")
    index = {"0": ["n01", "tench"], "1": ["n02", "shark"], "2": ["n03", "ray"]}
    (tmp_path / "class_index.json").write_text(json.dumps(index))
    for source in (tmp_path, tmp_path / "val"):
        images = open_data(source)
        assert images.labels.tolist() == [1]
        assert images.classes == ("tench", "shark", "ray")


@pytest.mark.parametrize(
    "text",
    [
        *('{"0": ["other", "tench"]}', '{"1": ["cat", "cat"]}', '["cat"]', "{", '{"0": 1}', '{"0": ["cat"]}'),
        '{"0": ["cat", "cat"], "1": ["dog", "dog"], "2": ["cat", "lynx"]}',
    ],
)
def test_a_class_index_that_does_not_fit_is_refused(classes, text):
    root, _ = classes
    (root / "class_index.json").write_text(text)
    assert refused(root).slug == "data-class-index"


def test_a_flat_folder_has_no_labels(tmp_path, photo):
    for i in range(3):
        photo(tmp_path / f"{i}.png", seed=i)
    images = open_data(tmp_path)
    assert images.labels is None
    assert images.names == ("0.png", "1.png", "2.png")


def test_grey_among_colors_becomes_rgb(tmp_path, photo):
    photo(tmp_path / "0.png", channels=1)
    assert open_data(tmp_path).pixels.shape[1] == 1
    photo(tmp_path / "1.png", channels=3)
    images = open_data(tmp_path)
    assert images.pixels.shape[1] == 3
    assert torch.equal(images.pixels[0, 0], images.pixels[0, 1])
    assert open_data(tmp_path, channels=1).pixels.shape[1] == 1


def test_sizes_must_agree_or_be_given(classes, photo):
    root, _ = classes
    photo(root / "cat" / "big.png", size=(20, 30))
    error = refused(root)
    assert error.slug == "data-sizes"
    assert "size=" in error.hint
    assert open_data(root, size=6).pixels.shape == (7, 3, 6, 6)


def test_sizes_that_only_a_rotation_shows_must_agree_too(tmp_path, photo):
    photo(tmp_path / "a.png", size=(8, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (10, 8)).save(tmp_path / "b.png", exif=exif)
    assert refused(tmp_path).slug == "data-sizes"
    assert len(open_data(tmp_path, size=8)) == 2


def test_a_limit_takes_a_seeded_subset_in_order(classes):
    root, _ = classes
    names = open_data(root).names
    chosen = {open_data(root, limit=3, seed=seed).names for seed in range(8)}
    assert len(chosen) > 1
    assert all(len(c) == 3 and list(c) == sorted(c, key=names.index) for c in chosen)
    assert open_data(root, limit=3, seed=1).fingerprint == open_data(root, limit=3, seed=1).fingerprint
    assert open_data(root, limit=99).names == names
    assert refused(root, limit=0).slug == "data-limit"


def test_a_subset_holds_everyone_equally_often():
    times = torch.zeros(5)
    for seed in range(400):
        times[subset(5, 2, seed)] += 1
    assert float((times - 160).abs().max()) < 4 * (400 * 0.4 * 0.6) ** 0.5


def test_bad_files_cost_themselves_only(classes):
    root, pixels = classes
    whole = (root / "cat" / "0.png").read_bytes()
    (root / "cat" / "0.png").write_bytes(whole[:60])
    (root / "dog" / "1.png").write_text("<script>alert(1)</script>")
    (root / "lost.png").write_bytes(whole)
    images = open_data(root)
    assert images.names == ("cat/1.png", "cat/2.png", "dog/0.png", "dog/2.png")
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert torch.equal(images.pixels[2], pixels["dog/0.png"])
    assert [name for name, _ in images.unreadable] == ["cat/0.png", "dog/1.png", "lost.png"]
    assert all(reason for _, reason in images.unreadable)
    assert "3 unreadable" in repr(images)


def test_links_that_leave_the_folder_are_not_followed(classes, tmp_path, photo):
    root, _ = classes
    photo(tmp_path / "secret" / "0.png")
    (root / "cat" / "link.png").symlink_to(tmp_path / "secret" / "0.png")
    (root / "cat" / "inside.png").symlink_to(root / "dog" / "0.png")
    (root / "cat" / "loop.png").symlink_to(root / "cat" / "loop.png")
    (root / "cow").symlink_to(tmp_path / "secret")
    images = open_data(root)
    assert [name for name, _ in images.unreadable] == ["cat/link.png", "cat/loop.png", "cow"]
    assert images.classes == ("cat", "cow", "dog")  # nothing moves to another number
    assert "leaves the folder" in dict(images.unreadable)["cat/link.png"]
    assert "cat/inside.png" in images.names


def test_a_folder_may_itself_be_a_link(classes, tmp_path):
    root, _ = classes
    (tmp_path / "alias").symlink_to(root)
    assert len(open_data(tmp_path / "alias")) == 6


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_a_pipe_is_not_waited_for(classes):
    root, _ = classes
    os.mkfifo(root / "cat" / "pipe.png")
    assert [name for name, _ in open_data(root).unreadable] == ["cat/pipe.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_neither_is_one_that_is_called_as_idx_files_are_or_named_alone(tmp_path, photo, refuses):
    photo(tmp_path / "0.png")
    os.mkfifo(tmp_path / "t10k-images-idx3-ubyte")
    os.mkfifo(tmp_path / "1.png")
    assert open_data(tmp_path).names == ("0.png",)
    with refuses(DataError, "data-unreadable") as caught:
        read_image(tmp_path / "1.png")
    assert caught.value.seen == "not a plain file"


def test_what_takes_a_files_place_after_it_was_found_is_no_way_out(classes, tmp_path, photo, monkeypatch):
    root, _ = classes
    photo(tmp_path / "secret.png")
    resolve = Path.resolve

    def late(self, strict=False):
        found = resolve(self, strict=strict)
        if self.name == "1.png" and not self.is_symlink():
            self.unlink()
            self.symlink_to(tmp_path / "secret.png")
        return found

    monkeypatch.setattr(Path, "resolve", late)
    assert [name for name, _ in open_data(root).unreadable] == ["cat/1.png", "dog/1.png"]


def test_a_file_too_large_is_not_read(tmp_path, photo, monkeypatch, refuses):
    photo(tmp_path / "0.png")
    monkeypatch.setattr(guards.open_plain, "__defaults__", (10,))
    with refuses(DataError, "data-unreadable"):
        read_image(tmp_path / "0.png")


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 5000 + "/b", "a\0b", "~nobody-of-this-name/x", ""])
def test_names_that_no_file_can_have(name):
    assert refused(name).slug == "data-missing"


def test_none_readable_is_an_error(tmp_path):
    (tmp_path / "a.png").write_text("no")
    error = refused(tmp_path)
    assert error.slug == "data-unreadable"
    assert "a.png" in error.seen


def test_empty_folders_are_an_error(tmp_path):
    assert refused(tmp_path).slug == "data-empty"
    (tmp_path / "cat").mkdir()
    (tmp_path / "a.txt").write_text("a")
    assert ".txt" in refused(tmp_path).seen


def test_a_wrong_path_offers_what_is_near(classes):
    root, _ = classes
    error = refused(root.parent / "sett" / "cat")
    assert error.slug == "data-missing"
    assert "set" in error.hint
    assert "digits" in refused("digit").hint


def test_other_files_are_named_as_such(tmp_path):
    for name in ("a.tar", "a.tar.gz", "a.pkl", "a.png", "a"):
        (tmp_path / name).write_bytes(b"")
        assert refused(tmp_path / name).slug == "data-kind"
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.zip")  # would be waited on for ever
        assert refused(tmp_path / "pipe.zip").slug == "data-kind"


# --- memory


def test_four_gigabytes_are_the_most():
    assert check_memory(1000, (3, 1000, 1000)) == 3_000_000_000
    with pytest.raises(DataError, match=r"limit=.*size="):
        check_memory(1000, (3, 1200, 1200))


def test_a_folder_too_large_is_refused_before_it_is_decoded(classes, monkeypatch):
    root, _ = classes
    monkeypatch.setattr(guards, "MAX_BYTES", 6 * 3 * 8 * 10 - 1)
    monkeypatch.setattr("amiss.data.pool.decode", lambda *a, **k: pytest.fail("decoded"))
    assert refused(root).slug == "data-memory"


def test_a_limit_or_a_size_brings_a_folder_under_the_guard(classes, monkeypatch):
    root, _ = classes
    monkeypatch.setattr(guards, "MAX_BYTES", 6 * 3 * 8 * 10 - 1)
    assert len(open_data(root, limit=5)) == 5
    assert len(open_data(root, size=4)) == 6


def test_idx_and_npz_that_claim_too_much_are_refused(tmp_path, monkeypatch):
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 1000, 1000)
    with gzip.open(tmp_path / "t10k-images-idx3-ubyte.gz", "wb") as file:
        file.write(head)
    assert refused(tmp_path).slug == "data-memory"
    np.savez_compressed(tmp_path / "zeros.npz", x=np.zeros((100, 64, 64), np.uint8))
    monkeypatch.setattr(guards, "MAX_BYTES", 100_000)
    assert refused(tmp_path / "zeros.npz").slug == "data-memory"


# --- idx


@pytest.mark.parametrize(("folder", "end"), [("", ""), ("raw", ".gz")])
def test_idx_files_are_read(tmp_path, folder, end):
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 6), dtype=np.uint8)
    y = np.array([1, 0, 2, 1, 0], dtype=np.uint8)
    for split, rows in (("t10k", slice(None)), ("train", slice(0, 3))):
        write_idx(tmp_path / folder / f"{split}-images-idx3-ubyte{end}", x[rows])
        write_idx(tmp_path / folder / f"{split}-labels-idx1-ubyte{end}", y[rows])
    images = open_data(tmp_path)
    assert np.array_equal(images.pixels[:, 0].numpy(), x)
    assert images.labels.tolist() == y.tolist()
    assert images.names[4] == "test/00004"
    assert len(open_data(tmp_path, split="train")) == 3
    assert refused(tmp_path, split="val").slug == "data-split"


@pytest.mark.parametrize("cut", [0, 3, 10, 17, -1])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_cut_idx_files_are_refused(tmp_path, cut, end):
    path = tmp_path / f"t10k-images-idx3-ubyte{end}"
    write_idx(path, np.zeros((5, 4, 6), np.uint8))
    path.write_bytes(path.read_bytes()[:cut])
    assert refused(tmp_path).slug == "data-idx"


def test_idx_files_that_do_not_belong_together_are_refused(tmp_path):
    write_idx(tmp_path / "t10k-images-idx3-ubyte", np.zeros((5, 4, 6), np.uint8))
    assert open_data(tmp_path).labels is None
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.zeros(4, np.uint8))
    assert refused(tmp_path).slug == "data-labels"


# --- npz


@pytest.mark.parametrize(
    "names", [("x", "y"), ("images", "labels"), ("x_test", "y_test"), ("test_images", "test_labels")]
)
def test_npz_arrays_are_found_by_name(tmp_path, names):
    x = np.arange(2 * 5 * 4, dtype=np.uint8).reshape(2, 5, 4)
    np.savez(tmp_path / "a.npz", **{names[0]: x, names[1]: np.array([1, 0])})
    images = open_data(tmp_path / "a.npz")
    assert np.array_equal(images.pixels[:, 0].numpy(), x)
    assert images.labels.tolist() == [1, 0]


def test_npz_layouts_and_types_mean_the_same(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (3, 3, 6, 5), dtype=np.uint8)
    same = {
        "first": x,
        "last": x.transpose(0, 2, 3, 1),
        "floats": (x / 255).astype(np.float32),
        "ints": x.astype(np.int32),
        "big-endian": x.astype(">i4"),
    }
    for name, array in same.items():
        np.savez(tmp_path / f"{name}.npz", x=array, y=np.array([[0], [1], [1]], np.uint8), classes=["a", "b"])
        images = open_data(tmp_path / f"{name}.npz")
        assert np.array_equal(images.pixels.numpy(), x), name
        assert images.classes == ("a", "b")
        assert images.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("slug", "arrays"),
    [
        ("data-array", {"x": np.zeros((2, 4, 4, 2), np.uint8)}),
        ("data-array", {"x": np.zeros((2, 4), np.uint8)}),
        ("data-array", {"x": np.full((2, 4, 4), -0.5)}),
        ("data-array", {"x": np.full((2, 4, 4), np.nan)}),
        ("data-array", {"x": np.full((2, 4, 4), 300)}),
        ("data-array", {"x": np.full((2, 4, 4), "a")}),
        ("data-labels", {"x": np.zeros((2, 4, 4), np.uint8), "y": np.zeros(2)}),
        ("data-labels", {"x": np.zeros((2, 4, 4), np.uint8), "y": np.zeros(3, int)}),
        ("data-label-range", {"x": np.zeros((2, 4, 4), np.uint8), "y": np.array([0, 2]), "classes": ["a", "b"]}),
        ("data-npz", {"pictures": np.zeros((2, 4, 4), np.uint8)}),
        ("data-npz", {"x": np.array([{}, {}], dtype=object)}),
        ("data-empty", {"x": np.zeros((0, 4, 4), np.uint8)}),
    ],
)
def test_npz_arrays_that_do_not_fit_are_refused(tmp_path, slug, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    assert refused(tmp_path / "a.npz").slug == slug


def test_cut_npz_files_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4), np.uint8))
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:100])
    assert refused(tmp_path / "a.npz").slug == "data-npz"


# --- all sources


@pytest.mark.parametrize("options", [{"channels": 2}, {"channels": 0}, {"size": 0}, {"size": 10_000}, {"limit": 0}])
@pytest.mark.parametrize("source", ["digits", "faces"])
def test_options_that_mean_nothing_are_refused(source, options):
    assert refused(source, **options).slug in ("data-channels", "data-size", "data-limit")


def test_faces_are_opened_by_a_word():
    images = open_data("faces", limit=5)
    assert images.pixels.shape == (5, 3, 48, 48)
    assert images.classes == ("not male", "male")
    assert "hair" in images.table
    assert open_data("faces:n=40,rho=1,seed=2,plant=beard", split="train").names[39] == "train/00039"
    assert len({open_data("faces", split=split, limit=2).fingerprint for split in ("train", "val", "test")}) == 3
    assert open_data("faces", size=64, channels=1, limit=2).pixels.shape == (2, 1, 64, 64)


@pytest.mark.parametrize("source", ["faces:rho=much", "faces:n=0", "faces:hat=1", "faces:plant=jaw", "faces:rho=2"])
def test_faces_that_cannot_be_are_refused(source):
    with pytest.raises(UsageError):
        open_data(source)


# --- real data


def test_mnist_is_the_mnist_everyone_counts():
    root = amiss_data("MNIST")
    test = open_data(root)
    assert test.pixels.shape == (10_000, 1, 28, 28)
    assert test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert open_data(root / "raw", limit=10).names == open_data(root, limit=10).names


def test_imagenet_comes_with_its_thousand_names():
    images = open_data(amiss_data("imagenet-200"))
    assert images.pixels.shape == (200, 3, 224, 224)
    assert images.labels.tolist() == list(range(0, 1000, 5))
    assert (images.classes[0], len(images.classes)) == ("tench", 1000)
    assert images.unreadable == ()


def test_cifar_sprites_hold_known_counts():
    test = cifar10("test")
    assert test.pixels.shape == (1000, 3, 32, 32)
    # The first ten labels of the published test set.
    assert [test.classes[i] for i in test.labels[:5]] == ["cat", "ship", "ship", "airplane", "frog"]


def test_movies_are_named_as_strips_to_who_asks_for_images():
    assert refused("cells").hint == "did you mean strips:cells?"
    assert refused("digit-movies").hint == "did you mean strips:digit-movies?"
