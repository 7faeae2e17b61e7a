"""Zip archives and CSV files that mean harm."""

import io
import os
import stat
import struct
import zipfile
from pathlib import Path

from amiss.bench.hostile.case import Case, Maker

__all__ = ["csv_cases", "packed", "zip_cases"]


def packed(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of (name, bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data, method)
    return buffer.getvalue()


def zip_cases(make: Maker, quick: bool = False) -> list[Case]:
    """Archives with one healthy image, or two, beside what is wrong."""
    folder, good, secret = make.folder("zips"), make.picture(), make.secret
    fine = ("a/good.png", good)
    cases: list[Case] = []

    def add(name: str, data: bytes, healthy: int = 1, opened: int | None = 1, left_out: int = 0) -> Path:
        path = folder / f"{len(cases):02d}.zip"
        path.write_bytes(data)
        cases.append(Case(f"zip: {name}", str(path), healthy, opened, left_out))
        return path

    for name in (
        "../evil.png",
        "a/../../evil.png",
        f"../{secret.parent.name}/secret.png",
        str(secret),
        "C:\\evil.png",
        "a\\..\\evil.png",
        "a/" + "x" * 5_000 + ".png",
        "a/" * 500 + "deep.png",
    ):
        add(f"a member {name[:40]}", packed(fine, (name, good)), left_out=1)
    link = zipfile.ZipInfo("a/link.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    add("a link", packed(fine, (link, os.fsencode(secret))), left_out=1)
    device = zipfile.ZipInfo("a/device.png")
    device.create_system, device.external_attr = 3, (stat.S_IFCHR | 0o666) << 16
    add("a device", packed(fine, (device, good)), left_out=1)
    add("an archive in an archive", packed(fine, ("a/inner.zip", packed(fine))))
    add("what Macs add", packed(fine, ("__MACOSX/a/._good.png", b"no image"), ("a/.hidden.png", b"no image")))
    add("an encrypted member", _flagged(packed(fine, ("a/locked.png", good)), b"a/locked.png", 1), left_out=1)
    rare = io.BytesIO()
    with zipfile.ZipFile(rare, "w") as archive:
        archive.writestr("a/good.png", good)
        archive.writestr("a/bomb.png", bytes(2**20 if quick else 2**28), zipfile.ZIP_BZIP2)
    add("a bomb of bzip2", rare.getvalue(), left_out=1)
    add("a bomb of deflate", packed(fine, ("a/bomb.png", bytes(2**22 if quick else 2**28))), left_out=1)
    add(
        "a bomb that says it is small",
        _sized(packed(fine, ("a/bomb.png", bytes(2**24))), b"a/bomb.png", 100),
        left_out=1,
    )
    add("a member that says it is large", _sized(packed(fine, ("a/b.png", good)), b"a/b.png", 2**30), left_out=1)
    twice = io.BytesIO(packed(fine))
    with zipfile.ZipFile(twice, "a") as archive:
        archive.writestr("b/good.png", good)
        archive.filelist[-1].filename = "a/good.png"
    add("two members of one name", twice.getvalue(), left_out=1)
    whole = packed(fine)
    add("overlapping members", _overlapping(whole, 5_000), 0, 0)
    add("a list of members as long as it says", whole[:-10] + struct.pack("<II", 2**31, 0) + whole[-2:], 0, 0)
    long = add("a list of members of two gigabytes", b"", 0, 0)
    with long.open("wb") as file:
        file.seek(2**31)  # a hole, which takes no room on the disk
        file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 2**31 - 1, 1, 0))
    add("cut", whole[:-9], 0, 0)
    add("damaged in the middle", whole[:60] + bytes(b ^ 255 for b in whole[60:70]) + whole[70:], 0, None)
    add("nothing", b"", 0, 0)
    add("words", b"PK\x03\x04 not an archive", 0, 0)
    add("no member", packed(), 0, 0)
    if not quick:
        many = packed(*[(f"{i}", b"") for i in range(200_001)], method=zipfile.ZIP_STORED)
        add("too many members", many, 0, 0)
    return cases


def csv_cases(make: Maker, quick: bool = False) -> list[Case]:
    """Folders of a healthy image and one more, with a table that means harm."""
    good, secret, row = make.picture(), make.secret, "good.png,cat\n"
    cases: list[Case] = []

    def add(name: str, text: str | bytes, opened: int | None, healthy: int = 1, label: str | None = None) -> Path:
        folder = make.folder(f"csv-{len(cases):02d}")
        (folder / "good.png").write_bytes(good)
        (folder / "other.png").write_bytes(good)
        (folder / "labels.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        left_out = 1 if opened == 1 else 0
        cases.append(Case(f"csv: {name}", str(folder), healthy if opened else 0, opened, left_out, label))
        return folder

    head = "file,label\n" + row
    for path in (
        f"../{secret.parent.name}/secret.png",
        str(secret),
        "a/../../outside/secret.png",
        "C:\\x.png",
        "//x/y",
    ):
        add(f"a row of {path[:12]}", f"{head}{path},dog\n", 1)
    out = add("a link out", f"{head}link.png,dog\n", 1)
    (out / "link.png").symlink_to(secret)
    add("missing, empty and short rows", f"{head}missing.png,dog\n,dog\nother.png\n\n,,\nother.png,,,\n", 1)
    add("the same row again", head + row, 1)
    add("rows that contradict", f"{head}other.png,cat\nother.png,dog\n", 1)
    add("formulas", f"{head}other.png,=cmd()\n", 2, 2)
    add("scripts", f"{head}other.png,</script><img src=x onerror=alert(1)>\n", 2, 2)
    add("a mark and semicolons", ("\ufeff" + head + "other.png,dog\n").replace(",", ";").replace("\n", "\r\n"), 2, 2)
    add("UTF-16", (head + "other.png,dog\n").encode("utf-16"), 2, 2)
    add("zero bytes", f"{head}other.png,d\0og\n", 2, 2)
    add("a column that is not there", head, 0, label="missing")
    add("numbers that no class has", f"{head.replace('cat', '0')}other.png,999999999999999999\n", 0)
    add("numbers below zero", f"{head.replace('cat', '0')}other.png,-7\n", 0)
    add("fractions", f"{head.replace('cat', '0.5')}other.png,0.25\n", 0)
    add("no column of labels", "file,what\n" + row, 0)
    add("nothing", "", 0)
    add("a head alone", "file,label\n", 0)
    add("an open quote", f'{head}other.png,"dog\n' + "x,y\n" * 100_000, 0)
    add("no text", bytes(range(128, 256)) * 8, 0)
    add("a cell without end", f"{head}other.png,{'x' * 200_000}\n", 0)
    add("a line without end", head + "x" * (2 * 2**20), 0)
    add("columns without end", ",".join(f"c{i}" for i in range(10_000)) + "\n", 0)
    if not quick:
        add("lines without end", head + "\n" * 1_100_000, 0)
        sparse = add("a table of a gigabyte", head, 0)
        os.truncate(sparse / "labels.csv", 2**30)
    return cases


def _entry(data: bytes, name: bytes) -> int:
    """Where the list of members says what it says of `name`."""
    return data.rindex(name) - 46


def _flagged(data: bytes, name: bytes, flag: int) -> bytes:
    """The archive with a flag set on a member."""
    there = bytearray(data)
    there[_entry(data, name) + 8] |= flag
    there[data.index(name) - 30 + 6] |= flag
    return bytes(there)


def _sized(data: bytes, name: bytes, size: int) -> bytes:
    """The archive with another size said of a member."""
    at = _entry(data, name) + 24
    return data[:at] + struct.pack("<I", size) + data[at + 4 :]


def _overlapping(data: bytes, times: int) -> bytes:
    """The archive with its one member listed many times."""
    start, end = data.rindex(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    listed = data[start:end] * times
    counts = struct.pack("<HHII", times, times, len(listed), start)
    return data[:start] + listed + data[end : end + 8] + counts + data[end + 20 :]
