import os
import struct
import time
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from amiss.data import Images, read_image, to_bytes, write_png
from amiss.disk import Disk
from amiss.errors import DataError
from amiss.repro import digest, sample_key


def bytes_of(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def some(n=6, classes=3):
    return Images.of(bytes_of(n, 3, 4, 5), torch.arange(n) % classes, table={"age": torch.arange(n)})


class Says:
    """A classifier that gives the same labels whatever it sees, in the order asked."""

    def __init__(self, labels):
        self.labels, self.at, self.batches = labels, 0, []

    def predict(self, x):
        assert x.dtype == torch.float32
        self.at += len(x)
        self.batches.append(len(x))
        return self.labels[self.at - len(x) : self.at]


# --- Images


def test_an_id_is_the_digest_of_the_image_and_its_key_follows():
    images = some()
    assert images.ids == tuple(digest(image) for image in images.pixels)
    assert images.keys().tolist() == [sample_key(digest(image)) for image in images.pixels]


def test_ids_tell_shapes_apart_and_equal_images_not():
    flat, tall = torch.zeros(2, 1, 2, 8, dtype=torch.uint8), torch.zeros(1, 1, 8, 2, dtype=torch.uint8)
    assert len(set(Images.of(flat).ids)) == 1
    assert Images.of(flat).ids[0] != Images.of(tall).ids[0]


def test_sixty_thousand_images_are_known_in_two_seconds():
    pixels = bytes_of(60_000, 1, 28, 28)
    begun = time.process_time()
    images = Images.of(pixels, torch.zeros(60_000, dtype=torch.int64))
    assert len(images.fingerprint) == 64
    assert time.process_time() - begun < 2


def test_fingerprint_sees_labels_and_order():
    images = some()
    other = Images.of(images.pixels, images.labels.flip(0))
    assert len({images.fingerprint, other.fingerprint, images.pick([1, 0, 2, 3, 4, 5]).fingerprint}) == 3
    assert images.fingerprint == some().fingerprint


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize(
    "index", [[4, 1, 1], torch.tensor([4, 1]), slice(1, 4), torch.arange(6) > 3, [], [True] * 5 + [False]]
)
def test_pick_takes_every_part_along(index, hashed):
    images = some()
    if hashed:
        assert images.ids
    part = images.pick(index)
    rows = torch.arange(6)[torch.as_tensor(index, dtype=torch.int64) if index == [] else index].tolist()
    assert torch.equal(part.pixels, images.pixels[rows])
    assert torch.equal(part.labels, images.labels[rows])
    assert torch.equal(part.table["age"], images.table["age"][rows])
    assert part.names == tuple(images.names[i] for i in rows)
    assert part.ids == tuple(images.ids[i] for i in rows)
    assert torch.equal(part.images(), images.images(index))


def test_bytes_survive_the_way_to_floats_and_back():
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    x = Images.of(every).images()
    assert x.dtype == torch.float32
    assert (float(x.min()), float(x.max())) == (0, 1)
    assert torch.equal(to_bytes(x), every)


def test_rounding_is_to_the_nearest_byte():
    x = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    assert float((to_bytes(x).double() / 255 - x).abs().max()) <= 0.5 / 255 + 1e-12
    assert to_bytes(torch.tensor([-1.0, 2.0])).tolist() == [0, 255]


def test_task_carries_key_image_and_label():
    images = some()
    task = images.task([3, 0])
    assert torch.equal(task.key, images.keys()[[3, 0]])
    assert torch.equal(task.image, images.images([3, 0]))
    assert task.label.tolist() == [0, 0]
    assert task.target is None
    assert Images.of(images.pixels).task().label is None


def test_misclassified_wants_the_true_label():
    images = some()
    answers = images.labels.clone()
    answers[[1, 4]] = 0
    classifier = Says(answers)
    task = images.misclassified(classifier, batch=4)
    assert classifier.batches == [4, 2]
    assert torch.equal(task.key, images.keys()[[1, 4]])
    assert torch.equal(task.image, images.images([1, 4]))
    assert task.target.tolist() == task.label.tolist() == [1, 1]
    assert len(images.misclassified(Says(images.labels))) == 0


def test_misclassified_needs_labels():
    with pytest.raises(DataError, match="data-unlabeled"):
        Images.of(bytes_of(2, 1, 3, 3)).misclassified(Says(torch.zeros(2)))


PIXELS = bytes_of(3, 3, 4, 4)


@pytest.mark.parametrize(
    ("slug", "arguments"),
    [
        ("data-pixels", {"pixels": PIXELS.float()}),
        ("data-pixels", {"pixels": PIXELS[0]}),
        ("data-pixels", {"pixels": PIXELS.permute(0, 2, 3, 1)}),
        ("data-pixels", {"pixels": bytes_of(3, 2, 4, 4)}),
        ("data-empty", {"pixels": PIXELS[:0]}),
        ("data-labels", {"labels": torch.zeros(2, dtype=torch.int64)}),
        ("data-labels", {"labels": torch.zeros(3)}),
        ("data-labels", {"labels": torch.zeros(3, 2, dtype=torch.int64)}),
        ("data-label-range", {"labels": [0, 1, 2], "classes": ["a", "b"]}),
        ("data-label-range", {"labels": [0, -1, 1]}),
        ("data-label-range", {"labels": [0, 1, 10**15]}),
        ("data-counts", {"names": ["one"]}),
        ("data-counts", {"table": {"age": torch.zeros(4)}}),
    ],
)
def test_parts_that_do_not_fit_are_refused(slug, arguments):
    with pytest.raises(DataError) as caught:
        Images.of(**{"pixels": PIXELS, **arguments})
    assert caught.value.slug == slug
    assert caught.value.seen
    assert caught.value.hint


def test_repr_says_what_is_there():
    text = repr(some())
    assert all(part in text for part in ("6", "RGB", "4x5", "3 classes", "age"))
    assert "no labels" in repr(Images.of(PIXELS))


# --- reading


@pytest.mark.parametrize(
    ("suffix", "mode"), [("png", "RGB"), ("bmp", "RGB"), ("tif", "RGB"), ("png", "L"), ("tif", "L")]
)
def test_lossless_formats_are_read_exactly(tmp_path, suffix, mode):
    pixels = bytes_of(7, 5, 3).numpy() if mode == "RGB" else bytes_of(7, 5).numpy()
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}")
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.dtype == torch.uint8
    assert torch.equal(image, torch.from_numpy(pixels.reshape(7, 5, -1)).permute(2, 0, 1))


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_formats_are_read_nearly(tmp_path, suffix):
    Image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / f"a.{suffix}", quality=95)
    far = read_image(tmp_path / f"a.{suffix}").float() - torch.tensor([200.0, 100.0, 50.0])[:, None, None]
    assert float(far.abs().max()) < 8


def test_channels_asked_for_are_given(tmp_path):
    Image.new("RGB", (3, 2), (255, 0, 0)).save(tmp_path / "red.png")
    Image.new("L", (3, 2), 7).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "red.png", channels=1).unique().tolist() == [76]  # .299 of 255
    assert torch.equal(read_image(tmp_path / "grey.png", channels=3), torch.full((3, 2, 3), 7, dtype=torch.uint8))
    with pytest.raises(DataError, match="data-channels"):
        read_image(tmp_path / "red.png", channels=4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_rotation_is_undone(tmp_path, orientation):
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    # How a camera stores an upright scene under each orientation of the EXIF standard.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png")[0].numpy(), upright)


def test_transparency_is_laid_on_white(tmp_path):
    clear = Image.new("RGBA", (1, 1), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    Image.new("RGBA", (1, 1), (0, 0, 0, 51)).save(tmp_path / "veil.png")
    Image.new("LA", (1, 1), (0, 51)).save(tmp_path / "grey.png")
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "keyed.png", transparency=(1, 2, 3))
    assert read_image(tmp_path / "clear.png").flatten().tolist() == [255, 255, 255]
    assert read_image(tmp_path / "veil.png").flatten().tolist() == [204, 204, 204]
    assert read_image(tmp_path / "grey.png").flatten().tolist() == [204]
    assert read_image(tmp_path / "keyed.png").flatten().tolist() == [255, 255, 255]


def test_sixteen_bits_become_eight_by_rounding(tmp_path):
    wide = np.array([[0, 127, 129, 257 * 100, 65535]], dtype=np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(wide).save(tmp_path / name)
        assert read_image(tmp_path / name).flatten().tolist() == [0, 0, 1, 100, 255]


def test_palette_bits_and_inks_become_colors(tmp_path):
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([9, 8, 7])
    palette.save(tmp_path / "palette.png")
    Image.new("1", (1, 1), 1).save(tmp_path / "bit.png")
    Image.new("CMYK", (1, 1), (0, 255, 255, 0)).save(tmp_path / "ink.tif")
    assert read_image(tmp_path / "palette.png").flatten().tolist() == [9, 8, 7]
    assert read_image(tmp_path / "bit.png").flatten().tolist() == [255]
    assert read_image(tmp_path / "ink.tif").flatten().tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), color) for color in ("black", "white")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    assert int(read_image(tmp_path / f"a.{suffix}").max()) < 8


def test_resizing_keeps_the_center(tmp_path):
    wide = np.zeros((4, 12, 3), dtype=np.uint8)
    wide[:, 4:8] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert torch.equal(read_image(tmp_path / "wide.png", size=4), torch.full((3, 4, 4), 255, dtype=torch.uint8))
    assert read_image(tmp_path / "wide.png", size=2).shape == (3, 2, 2)
    with pytest.raises(DataError, match="data-size"):
        read_image(tmp_path / "wide.png", size=0)


def test_resizing_is_antialiased(tmp_path):
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    small = read_image(tmp_path / "stripes.png", size=8).float()
    assert float((small - 127.5).abs().max()) < 16  # taking every eighth pixel would give 0 or 255


def png_that_claims(width, height):
    """A PNG of fifty bytes whose header claims any size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">II", zlib.crc32(head), 8) + b"IDAT"


@pytest.mark.parametrize("side", [8193, 9500, 20_000])  # over our cap; over Pillow's warning; over its error
def test_a_bomb_is_refused_by_its_header(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png_that_claims(side, side))
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / "bomb.png")
    assert caught.value.slug == "data-too-large"


def test_a_long_thin_image_is_not_blown_up(tmp_path):
    Image.new("L", (100_000, 1), 9).save(tmp_path / "thread.png")
    assert read_image(tmp_path / "thread.png", size=224).unique().tolist() == [9]


def test_broken_and_foreign_files_are_refused(tmp_path, photo):
    photo(tmp_path / "whole.png", size=(32, 32))
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "nothing.png").write_bytes(b"")
    (tmp_path / "words.jpg").write_text("no image at all")
    Image.new("RGB", (2, 2)).save(tmp_path / "gif.png", format="GIF")
    Image.new("F", (2, 2), 0.5).save(tmp_path / "float.tif")
    for name in ("cut.png", "nothing.png", "words.jpg", "gif.png", "float.tif", "absent.png"):
        with pytest.raises(DataError) as caught:
            read_image(tmp_path / name)
        assert caught.value.slug == "data-unreadable", name
        assert caught.value.seen, name
        assert str(tmp_path) not in str(caught.value), name


def test_flipped_bytes_cost_an_error_at_most(tmp_path, photo):
    photo(tmp_path / "a.png", size=(16, 16))
    whole = bytearray((tmp_path / "a.png").read_bytes())
    numbers = torch.randint(0, 256, (200, 2), generator=torch.Generator().manual_seed(1)).tolist()
    read = 0
    for place, value in numbers:
        hurt = whole.copy()
        hurt[place * len(whole) // 256] = value
        (tmp_path / "b.png").write_bytes(hurt)
        try:
            read += read_image(tmp_path / "b.png").dim() == 3
        except DataError:
            continue
    assert read < 200


# --- writing


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_is_read_back(tmp_path, channels):
    image = bytes_of(channels, 9, 7)
    write_png(tmp_path / "a.png", image)
    assert torch.equal(read_image(tmp_path / "a.png"), image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    old = bytes_of(3, 4, 4)
    write_png(tmp_path / "a.png", old)

    def fail(self, descriptor, data):
        os.write(descriptor, data[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Disk, "_write", fail)
    with pytest.raises(DataError, match="No space left"):
        write_png(tmp_path / "a.png", bytes_of(3, 4, 4, seed=1))
    assert torch.equal(read_image(tmp_path / "a.png"), old)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_only_images_are_written(tmp_path):
    for image in (torch.zeros(3, 4, 4), bytes_of(2, 4, 4), bytes_of(4, 4), bytes_of(3, 0, 4)):
        with pytest.raises(DataError, match="data-pixels"):
            write_png(tmp_path / "a.png", image)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="data-write"):
        write_png(tmp_path / "file" / "a.png", bytes_of(3, 4, 4))
