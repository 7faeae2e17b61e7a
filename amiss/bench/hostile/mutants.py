"""Healthy files with a few bytes changed, or cut off, at places that a seed draws."""

import io

import numpy as np
import torch
from PIL import Image

from amiss.bench.hostile.case import Case, Maker
from amiss.bench.hostile.containers import packed
from amiss.repro import generator

__all__ = ["mutant_cases"]

_TOGETHER = 5


def mutant_cases(make: Maker, seed: int, count: int) -> list[Case]:
    """`count` mutants of each of PNG, JPEG, WebP, TIFF, zip, CSV and npz.

    Image files lie in folders of five, beside a healthy one; zip, CSV and npz are sources of their own, of which any
    number of images may be opened, or none.
    """
    draw = generator(seed, 7)
    noise = torch.randint(0, 256, (16, 16, 3), generator=draw).to(torch.uint8).numpy()
    photo = Image.fromarray(noise)
    images = {kind: _saved(photo, kind) for kind in ("png", "jpeg", "webp", "tiff")}
    arrays = io.BytesIO()
    np.savez_compressed(arrays, x=np.stack([noise] * 3), y=np.array([0, 1, 1]), classes=np.array(["a", "b"]))
    archive = packed(*[(f"{c}/{i}.png", images["png"]) for c in "ab" for i in range(2)])
    table = "file,label,age\n" + "".join(f"{i}.png,{'ab'[i % 2]},{i}\n" for i in range(8))
    cases = []
    for kind, data in images.items():
        for start in range(0, count, _TOGETHER):
            folder = make.folder(f"mutants-{kind}-{start}")
            (folder / "good.png").write_bytes(make.picture())
            for i in range(start, min(start + _TOGETHER, count)):
                (folder / f"{i}.{kind}").write_bytes(_mutant(data, draw))
            cases.append(Case(f"mutants of {kind} from {start}", str(folder), 1))
    for kind, data in {"zip": archive, "npz": arrays.getvalue()}.items():
        folder = make.folder(f"mutants-{kind}")
        for i in range(count):
            path = folder / f"{i}.{kind}"
            path.write_bytes(_mutant(data, draw))
            cases.append(Case(f"mutant {i} of {kind}", str(path)))
    for i in range(count):
        folder = make.folder(f"mutant-csv-{i}")
        for n in range(8):
            (folder / f"{n}.png").write_bytes(make.picture())
        (folder / "labels.csv").write_bytes(_mutant(table.encode(), draw))
        cases.append(Case(f"mutant {i} of csv", str(folder)))
    return cases


def _mutant(data: bytes, draw: torch.Generator) -> bytes:
    """One to eight bytes changed; one time in eight the end is missing too."""
    there = bytearray(data)
    times, cut = torch.randint(0, 8, (2,), generator=draw).tolist()
    for _ in range(times + 1):
        place, value = torch.randint(0, 2**31, (2,), generator=draw).tolist()
        there[place % len(there)] = value % 256
    return bytes(there[: int(torch.randint(0, len(there), (1,), generator=draw))] if cut == 0 else there)


def _saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
