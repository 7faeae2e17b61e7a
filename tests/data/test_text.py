"""Texts: opened, split, and refused where they are none."""

import math
import os
import stat
from pathlib import Path

import pytest

from amiss.data.text import Text, open_text
from amiss.errors import DataError, UsageError
from amiss.models import TextModel
from amiss.training import KINDS
from amiss.training.measures.texts import bits_per_character


def test_the_first_nine_tenths_are_for_training_and_the_rest_for_testing(tmp_path):
    path = tmp_path / "play.txt"
    path.write_bytes("To be, or not\r\nto be: ü".encode() * 10)
    parts = [open_text(path, split=split) for split in ("train", "test", "all")]
    whole = parts[2].characters
    assert whole == "To be, or not\nto be: ü" * 10  # ends of lines are one character
    assert parts[0].characters + parts[1].characters == whole
    assert len(parts[0]) == round(0.9 * len(whole))
    assert open_text(path, limit=7).characters == "To be, "
    assert parts[2].symbols == tuple(sorted(set(whole)))
    assert parts[0].fingerprint == Text(parts[0].characters, "other").fingerprint != parts[1].fingerprint


def test_what_the_last_tenth_alone_has_is_known_to_all_parts(tmp_path):
    path = tmp_path / "play.txt"
    path.write_text("to be or not " * 9 + "quit!", encoding="utf-8-sig")
    train, test = open_text(path), open_text(path, split="test")
    assert "q" in test.characters and "q" not in train.characters
    assert train.symbols == test.symbols == train.pick(slice(3)).symbols == tuple(" !beinoqrtu")
    model = TextModel(train.symbols, hidden=3)
    assert 0 < bits_per_character(model, test.characters) < 10


def test_the_smallest_text_needs_no_file():
    assert open_text("hello").characters == open_text("hello", split="test").characters == "hello"


@pytest.mark.parametrize(
    ("content", "slug"),
    [
        (None, "text-missing"),
        (b"", "text-empty"),
        (b"\xef\xbb\xbf", "text-empty"),
        (b"\x89PNG\xff", "text-encoding"),
        ("hello".encode("utf-16-le"), "text-encoding"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, slug):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        open_text(path)
    assert caught.value.slug == slug


def test_other_splits_and_folders_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("text")
    with pytest.raises(DataError, match="data-split"):
        open_text(tmp_path / "a", split="val")
    with pytest.raises(DataError, match="text-missing"):
        open_text(tmp_path)
    monkeypatch.setattr("amiss.data.text._MOST", 3)
    with pytest.raises(DataError, match="text-size"):
        open_text(tmp_path / "a")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_not_read(tmp_path, kind):
    path = Path(os.devnull)
    if kind == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    with pytest.raises(DataError, match="text-missing") as caught:
        open_text(path)
    assert caught.value.seen == f"{path.name}: not a plain file"


def test_a_text_that_grows_while_it_is_read_is_too_large(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("text")
    monkeypatch.setattr("amiss.data.text._MOST", 3)
    monkeypatch.setattr("os.fstat", lambda _: os.stat_result((stat.S_IFREG, *[0] * 9)))
    with pytest.raises(DataError, match="text-size"):
        open_text(tmp_path / "a")


def test_a_mark_of_the_order_of_bytes_and_every_end_of_line_are_read_as_text_is(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n\r\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_text("~/a", split="all").characters == "a\nb\nc\n\n"


def test_rows_of_a_long_text_are_windows_with_what_stands_before_them():
    text = Text("abcdefghij" * 3)
    kind = KINDS["text"]
    preset = kind.preset(text, window=4, warm=3)
    rows = ["".join(text.symbols[i] for i in row) for row in kind.data(preset, text)["tokens"]]
    assert rows[:2] == ["abcdefg", "efghija"]
    assert "".join(row[3:] for row in rows) == text.characters[3 : 3 + 4 * len(rows)]
    whole = kind.preset(Text("hello"))
    assert kind.data(whole, Text("hello"))["tokens"].shape == (1, 5)
    with pytest.raises(DataError, match="text-short"):
        kind.preset(Text("a"))
    for window, warm in ((0, 1), (4, -1)):
        with pytest.raises(UsageError, match="text-window"):
            kind.preset(text, window=window, warm=warm)


def test_a_short_text_is_read_more_often_than_a_long_one_and_a_narrow_network_exactly():
    def recipe(length, **options):
        return KINDS["text"].preset(Text("ab" * length), **options).training

    assert recipe(5).steps == 300
    assert 300 < recipe(50_000).steps < recipe(500_000).steps == recipe(5_000_000).steps
    assert recipe(5, hidden=64).precision == "float32"
    assert recipe(5, epochs=2).steps is None


def test_bits_of_a_model_that_knows_nothing_are_those_of_a_uniform_one():
    model = TextModel("abcd", hidden=3)
    model.readout.weight.data.zero_()
    model.readout.bias.data.zero_()
    assert bits_per_character(model, "abcdabcd" * 9, rows=5, warm=3) == pytest.approx(2)


@pytest.mark.parametrize("rows", [2, 5, 64])
def test_parts_with_all_that_stands_before_them_cost_what_the_whole_text_does(rows):
    model, text = TextModel("abc", hidden=4), "abcabcaabbcc" * 20
    exact = bits_per_character(model, text, rows=1)
    assert bits_per_character(model, text, rows=rows, warm=len(text)) == pytest.approx(exact, rel=1e-6)
    nats = -float(model.log_prob(model.vocabulary.encode(text)[None]).detach())
    assert exact == pytest.approx(nats / len(text) / math.log(2), rel=1e-6)
