"""Files that mean harm cost themselves and nothing else; and the bench that says so can fail."""

import io
import json
import os
import pickle
import threading
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from amiss.bench import trust_files
from amiss.bench.bench import Run, Skip
from amiss.bench.hostile import Case, Maker, array_cases, csv_cases, image_cases, image_files, mutant_cases, zip_cases
from amiss.bench.hostile import visit as visiting
from amiss.bench.hostile.arrays import trap
from amiss.bench.hostile.images import png_bomb
from amiss.data import files, open_data, read_image
from amiss.data.guards import Metered, Room
from amiss.errors import DataError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """All hostile sources but the mutants, by what is wrong with them."""
    make = Maker.at(tmp_path_factory.mktemp("hostile"))
    parts = (image_cases, zip_cases, csv_cases, array_cases)
    return make, {case.name: case for part in parts for case in part(make, quick=True)}


@pytest.fixture(scope="module")
def watch(made):
    return visiting.Watch(str(made[0].root / "outside"))


def reasons(folder, **options):
    return dict(open_data(folder, **options).unreadable)


# --- every hostile source, in this process


def test_every_source_is_handled_or_refused(made, watch):
    make, cases = made
    wrong = {name: visiting.visit(case, watch) for name, case in cases.items()}
    assert {name: said for name, said in wrong.items() if said} == {}
    assert len(cases) > 120
    assert not make.marker.exists()


def test_files_that_fill_the_terminal_are_read_in_silence(made, recwarn):
    warnings.simplefilter("always")
    for name in ("tags.tif", "exif.jpg", "circle.tif", "crc.png"):
        open_data(made[1][name].source)
    assert len(recwarn) == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_mutants_cost_an_error_of_ours_at_most(tmp_path, seed):
    make = Maker.at(tmp_path)
    for case in mutant_cases(make, seed, 5):
        try:
            images = open_data(case.source, size=16)
        except DataError:
            assert not case.good, case.name
        else:
            assert len(images) >= case.good
            assert all(reason for _, reason in images.unreadable)


# --- what the bench would see


def test_the_bench_finds_nothing(tmp_path):
    figures, raw = trust_files.files(Run(0, True, tmp_path))
    assert raw["failures"] == []
    assert figures == {"hostile_failures": 0}
    assert raw["sources"] > 120
    assert raw["mutants"] == 42
    assert list(tmp_path.iterdir()) == []


def test_hostile_names_stay_names_to_the_end_of_an_audit(tmp_path):
    try:
        figures, raw = trust_files.names(Run(0, True, tmp_path))
    except Skip as reason:
        pytest.skip(str(reason))
    assert raw["failures"] == []
    assert figures == {"hostile_name_failures": 0}


def test_what_goes_wrong_is_said(made, watch, monkeypatch):
    make, cases = made
    good = cases["cut.png"]

    def said(case):
        return " ".join(visiting.visit(case, watch))

    assert said(good) == ""
    assert "1 of 2 healthy" in said(replace(good, good=2))
    assert "1 images were opened, not 2" in said(replace(good, opened=2))
    assert "left out, not 3" in said(replace(good, left_out=3))
    assert "refused as a whole" in said(replace(cases["npz: objects"], good=1))
    secret = said(Case("the secret itself", str(make.secret.parent)))
    assert "from outside was opened" in secret
    assert "reached for what it must not: opened secret.png" in secret
    assert "accepted as weights" in _accepted(monkeypatch, said, good)
    monkeypatch.setattr(visiting, "open_data", lambda *a, **k: pickle.loads(pickle.dumps(Maker)))
    assert "reached for what it must not: pickle.find_class" in said(good)
    monkeypatch.setattr(visiting, "open_data", lambda *a, **k: 1 // 0)
    assert "ZeroDivisionError" in said(good)


def _accepted(monkeypatch, said, good):
    with monkeypatch.context() as patch:
        patch.setattr(visiting, "load_weights", lambda path: {})
        return said(replace(good, weights=True))


def test_a_process_that_hangs_dies_or_grows_is_a_failure(made):
    make, cases = made
    cut, photo = cases["cut.png"], cases["photo.png"]
    assert trust_files.watched([cut], make.root, seconds=0) == ["cut.png: more than 0 seconds"]
    large = make.root / "large"
    large.mkdir()
    (large / "a.png").write_bytes(png_bomb(5000))
    greedy = trust_files.watched([cut, Case("greedy", str(large)), photo], make.root, memory=20_000_000)
    assert [text.split(":")[0] for text in greedy] == ["greedy"]
    assert greedy[0].endswith(" GB")
    broken = replace(cut, label=["no", "text"])  # what no case can be: the process dies of it or says so
    assert len(trust_files.watched([broken, photo], make.root)) == 1


# --- images with known answers


def saved(path, image, kind=None, **options):
    image.save(path, kind, **options)
    return path


def test_inks_of_a_photograph_become_colors(tmp_path):
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    far = read_image(saved(tmp_path / "a.jpg", ink, quality=95)).float() - torch.tensor([255.0, 0, 0])[:, None, None]
    assert float(far.abs().max()) < 8


def test_a_palette_with_transparency_is_laid_on_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((1, 0), 1)
    saved(tmp_path / "a.png", image, transparency=bytes([51, 255]))
    assert read_image(tmp_path / "a.png")[:, 0].T.tolist() == [[204, 204, 204], [255, 0, 0]]


def test_sixteen_bits_are_scaled_and_not_cut(tmp_path):
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    for name in ("a.png", "a.tif"):
        saved(tmp_path / name, Image.fromarray(ramp))
        assert read_image(tmp_path / name)[0].flatten().tolist() == list(range(256))


def test_an_ending_that_lies_is_judged_by_the_content(tmp_path):
    photo = Image.new("RGB", (16, 16), (9, 99, 199))
    saved(tmp_path / "a.png", photo, "JPEG", quality=95)
    assert read_image(tmp_path / "a.png").shape == (3, 16, 16)
    for kind in ("GIF", "PPM", "ICO", "EPS", "PDF", "TGA", "ICNS", "JPEG2000"):
        if kind not in Image.SAVE and kind not in Image.registered_extensions().values():
            continue
        buffer = io.BytesIO()
        photo.save(buffer, kind)
        (tmp_path / "b.png").write_bytes(buffer.getvalue())
        with pytest.raises(DataError, match="no known format"):
            read_image(tmp_path / "b.png")


def test_a_photograph_of_endless_scans_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    data, _ = image_files(quick=True)["scans.jpg"]
    (tmp_path / "a.jpg").write_bytes(data)
    begun = time.process_time()
    with pytest.raises(DataError, match="scans"):
        read_image(tmp_path / "a.jpg")
    assert time.process_time() - begun < 0.5
    saved(tmp_path / "b.jpg", Image.new("RGB", (64, 64)), progressive=True)
    assert read_image(tmp_path / "b.jpg").shape == (3, 64, 64)
    monkeypatch.setattr(files, "MAX_SCANS", 2)
    with pytest.raises(DataError, match="scans"):
        read_image(tmp_path / "b.jpg")


def test_names_that_are_no_text_can_be_written_down(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.png", "wb") as file:
        file.write(Maker.picture())
    (tmp_path / "line\nbreak.png").write_bytes(b"")
    images = open_data(tmp_path)
    assert images.names == ("\\udcff.png",)
    assert [name for name, _ in images.unreadable] == ["line\nbreak.png"]
    json.dumps([images.names, images.unreadable], ensure_ascii=False).encode("utf-8")


def test_a_file_beyond_the_cap_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(Maker.picture())
    (tmp_path / "b.webp").write_bytes(b"RIFF")
    os.truncate(tmp_path / "b.webp", 2**31)  # a hole, which takes no room on the disk
    assert "more than 256 MB" in reasons(tmp_path)["b.webp"]


@pytest.mark.skipif(not hasattr(os, "mknod") or os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_not_read(tmp_path):
    (tmp_path / "a.png").write_bytes(Maker.picture())
    try:
        os.mknod(tmp_path / "zero.png", 0o666 | 0o020000, os.makedev(1, 5))
    except OSError as error:
        pytest.skip(str(error))
    assert "not a plain file" in reasons(tmp_path)["zero.png"]


def test_a_folder_that_cannot_be_listed_costs_itself(tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(Maker.picture())
    whole = os.listdir

    def listdir(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(os, "listdir", listdir)
    images = open_data(tmp_path)
    assert images.names == ("a/x.png",)
    assert images.classes == ("a", "b")
    assert images.unreadable == (("b", "Permission denied"),)


def test_an_index_of_classes_that_is_a_link_out_is_not_read(tmp_path):
    (tmp_path / "index.json").write_text('{"0": ["a", "secret"]}')
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "x.png").write_bytes(Maker.picture())
    (tmp_path / "set" / "class_index.json").symlink_to(tmp_path / "index.json")
    with pytest.raises(DataError, match="leaves the folder"):
        open_data(tmp_path / "set")


# --- guards


def test_a_metered_file_is_read_a_few_times_over_and_no_more(monkeypatch):
    data = bytes(2**20)
    file = Metered(io.BytesIO(data))
    for _ in range(5):  # four times its size, and a megabyte
        file.seek(0)
        assert file.read() == data
    file.seek(0)
    with pytest.raises(OSError, match="circles"):
        file.read()
    monkeypatch.setattr("amiss.data.guards._READS", 10)
    file = Metered(io.BytesIO(data))
    assert all(file.read(1) == b"\0" for _ in range(10))
    with pytest.raises(OSError, match="circles"):
        file.read(1)


def test_a_room_holds_so_much_at_once_and_gives_it_back():
    room, most, now, lock = Room(10), [0], [0], threading.Lock()

    def work(amount):
        with room.taken(amount):
            with lock:
                now[0] += min(amount, 10)
                most[0] = max(most[0], now[0])
            time.sleep(0.002)
            with lock:
                now[0] -= min(amount, 10)

    threads = [threading.Thread(target=work, args=(amount,)) for amount in (1, 4, 9, 100, 3, 6) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert now == [0]
    assert most[0] == 10


def test_a_trap_goes_off_where_it_is_unpickled(tmp_path):
    """The control: what the sources carry would run, if anything loaded it."""
    pickle.loads(trap(tmp_path / "marker"))["weight"].close()
    assert (tmp_path / "marker").exists()


def test_npz_conversion_needs_no_second_copy_of_the_images(tmp_path):
    x = np.random.default_rng(0).random((64, 64, 64))
    np.savez(tmp_path / "a.npz", x=x)
    assert np.array_equal(open_data(tmp_path / "a.npz").pixels[:, 0].numpy(), np.round(x * 255).astype(np.uint8))
