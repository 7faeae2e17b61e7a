"""Arrays and weights that mean harm: npz, idx, and pickles that would run code."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np

from amiss.bench.hostile.case import Case, Maker
from amiss.bench.hostile.containers import packed

__all__ = ["array_cases", "npy", "trap"]


class _Trap:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.marker), "w")


def trap(marker: Path) -> bytes:
    """A pickle that makes a file where it is loaded."""
    return pickle.dumps({"weight": _Trap(marker)})


def npy(descr: str, shape: str, data: bytes = b"", more: str = "") -> bytes:
    """An npy file whose header says anything."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, {more}}}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


def array_cases(make: Maker, quick: bool = False) -> list[Case]:
    """Files that must all be refused; nothing in them is healthy."""
    folder = make.folder("arrays")
    byte, pixels = "'|u1'", bytes(16 * 16)
    bad = {
        "objects": npy("'|O'", "(1,)", trap(make.marker)),
        "a pickle": trap(make.marker),
        "a huge shape": npy(byte, "(1000000, 1000000, 3)", pixels),
        "a shape beyond 64 bits": npy(byte, "(9223372036854775807, 16, 16)", pixels),
        "a shape below zero": npy(byte, "(-1, 16, 16)", pixels),
        "two dimensions below zero": npy(byte, "(-1, -16, 16)", pixels),
        "no pixels, many images": npy(byte, "(10000000000, 0, 16)"),
        "elements of no size": npy("'|S0'", "(10000000000,)"),
        "elements of great size": npy("'|S2147483647'", "(1,)", pixels),
        "times": npy("'<M8[s]'", "(1, 4, 8)", pixels),
        "complex numbers": npy("'<c8'", "(1, 4, 8)", pixels),
        "a record": npy("[('a', '|u1')]", "(1, 16, 16)", pixels),
        "a record of objects": npy("[('a', '|O')]", "(1,)", trap(make.marker)),
        "sixty-four dimensions": npy(byte, "(1,) * 64", pixels),
        "a header that calls": npy(byte, f"open({str(make.marker)!r}, 'w')", pixels),
        "a header of brackets": npy(byte, "(" * 4_900 + ")" * 4_900, pixels),
        "a header that is cut": b"\x93NUMPY\x01\0\xff\xff{",
        "a version to come": b"\x93NUMPY\x09\0" + bytes(100),
        "nothing": b"",
    }
    cases: list[Case] = []
    for name, data in bad.items():
        path = folder / f"{len(cases):02d}.npz"
        path.write_bytes(packed(("x.npy", data)))
        cases.append(Case(f"npz: {name}", str(path), 0, 0))
    fine = _saved(np.zeros((2, 16, 16), np.uint8))
    rest = {
        "labels of objects": packed(("x.npy", fine), ("y.npy", npy("'|O'", "(2,)", trap(make.marker)))),
        "names of no size": packed(
            ("x.npy", fine), ("y.npy", _saved(np.array([0, 1]))), ("classes.npy", npy("'<U0'", "(10000000000,)"))
        ),
        "labels of long doubles": packed(("x.npy", fine), ("y.npy", _saved(np.zeros(2, np.longdouble)))),
        "packed by bzip2": packed(("x.npy", fine), method=zipfile.ZIP_BZIP2),
        "a bomb": packed(("x.npy", npy(byte, "(4, 8192, 8192)", bytes(2**20 if quick else 2**28 + 1)))),
        "cut": packed(("x.npy", fine))[:-30],
        "words": b"not an archive",
        "a pickle itself": trap(make.marker),
    }
    for name, data in rest.items():
        path = folder / f"{len(cases):02d}.npz"
        path.write_bytes(data)
        cases.append(Case(f"npz: {name}", str(path), 0, 0))
    for i, (name, sizes) in enumerate(
        {
            "a huge size": (2**32 - 1, 2**16, 2**16),
            "no pixels, many images": (2**32 - 1, 0, 0),
            "too little": (5, 8, 8),
        }.items()
    ):
        inner = make.folder(f"idx-{i}")
        (inner / "t10k-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", *sizes))
        cases.append(Case(f"idx: {name}", str(inner), 0, 0))
    for ending in ("pkl", "pt", "tar", "npy"):
        path = folder / f"trap.{ending}"
        path.write_bytes(trap(make.marker))
        cases.append(Case(f"a pickle called .{ending} as data", str(path), 0, 0))
    for ending in ("pt", "pth", "bin", "ckpt", "safetensors"):
        path = folder / f"weights.{ending}"
        path.write_bytes(trap(make.marker))
        cases.append(Case(f"a pickle called .{ending} as weights", str(path), 0, 0, weights=True))
    return cases


def _saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
