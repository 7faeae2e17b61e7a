"""Image files that mean harm, each beside a healthy one: bombs, ruins, impostors, rare kinds, links and names."""

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

from amiss.bench.hostile.case import SIDE, Case, Maker

__all__ = ["image_cases", "image_files", "png", "png_bomb"]

_HUGE = 30_000


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 8-bit gray whose header claims any size, and which holds any chunks after it."""
    body = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), *chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in body
    )


def png_bomb(side: int) -> bytes:
    """A whole PNG of side x side black pixels, in a file a thousand times smaller."""
    pack = zlib.compressobj(9)
    row = b"\0" * (side + 1)
    data = b"".join(pack.compress(row) for _ in range(side)) + pack.flush()
    return png(side, side, (b"IDAT", data), (b"IEND", b""))


def image_files(quick: bool = False) -> dict[str, tuple[bytes, bool | None]]:
    """The bytes of each file, and whether it must be opened, must be refused, or either (None)."""
    make = Maker.picture
    good, photo = make(), make(kind="JPEG")
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "A" * (50 * 2**20), zip=True)
    frames = [Image.new("RGB", (SIDE, SIDE), color) for color in ("black", "white")]
    turned = Image.Exif()
    turned[0x0112] = 6
    files: dict[str, tuple[bytes, bool | None]] = {
        # Bombs.
        "claims-900-megapixels.png": (png(_HUGE, _HUGE, (b"IDAT", b"")), False),
        "claims-the-most.png": (png(2**31 - 1, 2**31 - 1, (b"IDAT", b"")), False),
        "hundred-megapixels.png": (png_bomb(2_000 if quick else 10_000), quick),
        "claims.webp": (_webp(16_383, 16_383), False),
        "claims.bmp": (_bmp(_HUGE, _HUGE), False),
        "claims.tif": (_tiff(*_gray(_HUGE, _HUGE)), False),
        "claims.jpg": (_patched_jpeg(photo, 65_500, 65_500), False),
        "scans.jpg": (_scans(500 if quick else 4_000, 500 if quick else 8_000), False),
        "text.png": (make(pnginfo=text), None),
        "chunks.png": (png(SIDE, SIDE, *[(b"zTXt", b"")] * (20_000 if quick else 400_000)), False),
        "tags.tif": (_tiff(*[(tag, 1, 2**20, 8) for tag in range(1_000, 21_000)]) + b"\0" * 2**20, False),
        "circle.tif": (b"II*\0\x08\0\0\0\0\0\x08\0\0\0", False),
        # Ruins and impostors.
        "nothing.png": (b"", False),
        "one-byte.jpg": (b"\xff", False),
        "words.png": (b"not an image at all", False),
        "cut.png": (good[: len(good) // 2], False),
        "cut.jpg": (photo[: len(photo) // 2], None),
        "crc.png": (good[:29] + bytes([good[29] ^ 1]) + good[30:], False),
        "gif.png": (make(kind="GIF"), False),
        "eps.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(code-ran) (w) file\n", False),
        "svg.png": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', False),
        "photo.png": (photo, True),
        # Rare kinds.
        "inks.jpg": (make((0, 99, 99, 0), "JPEG", "CMYK"), True),
        "sixteen.png": (_saved(Image.fromarray(np.full((SIDE, SIDE), 40_000, np.uint16)), "PNG"), True),
        "bits.png": (make((1,), mode="1"), True),
        "veil.png": (make((9, 99), mode="LA"), True),
        "alpha.webp": (make((9, 9, 9, 99), "WEBP", "RGBA", lossless=True), True),
        "turned.jpg": (make(kind="JPEG", exif=turned), True),
        "exif.jpg": (make(kind="JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), None),
        "profile.jpg": (make(kind="JPEG", icc_profile=b"\xff" * 5_000), True),
        "film.png": (_saved(frames[0], "PNG", save_all=True, append_images=frames[1:]), True),
        "film.webp": (_saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]), True),
        "film.gif.png": (_saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), False),
        "float.tif": (_saved(Image.new("F", (SIDE, SIDE), 0.5), "TIFF"), False),
    }
    return files


def image_cases(make: Maker, quick: bool = False) -> list[Case]:
    """A folder for each of the files, with a healthy image in it; then links, pipes and names."""
    cases = []
    for name, (data, opens) in image_files(quick).items():
        folder = make.folder(f"image-{name}")
        (folder / "good.png").write_bytes(make.picture())
        (folder / name).write_bytes(data)
        cases.append(Case(name, str(folder), 1, None if opens is None else 1 + opens, int(opens is False)))
    folder = make.folder("links")
    (folder / "good.png").write_bytes(make.picture())
    (folder / "out.png").symlink_to(make.secret)
    (folder / "out-by-dots.png").symlink_to(f"../{make.secret.parent.name}/secret.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "endless.png").symlink_to("/dev/zero")
    (folder / "broken.png").symlink_to(folder / "nowhere.png")
    (folder / "folder.png").mkdir()
    (folder / "inner").symlink_to(make.secret.parent)
    (folder / "again").symlink_to(folder)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
    cases.append(Case("links, pipes and folders", str(folder), 1, 1, 7))
    folder = make.folder("names")
    names = [
        b"good.png",
        b"<script>alert(1)<!--.png",
        b"=cmd()|.png",
        b"line\nbreak\r\x1b[2J\x07.png",
        b"\xff\xfe.png",
    ]
    names += [b"\xe2\x80\xae gnp.png", b"x" * 251 + b".png", b"'; DROP TABLE images; --.png", b"%n%s%x.png"]
    for text in map(os.fsdecode, names):
        (folder / text).write_bytes(make.picture())
    cases.append(Case("names", str(folder), len(names), len(names)))
    return cases


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _webp(width: int, height: int) -> bytes:
    """A lossless WebP that is a header alone."""
    bits = struct.pack("<I", (width - 1) | (height - 1) << 14)
    chunk = b"VP8L" + struct.pack("<I", 6) + b"\x2f" + bits + b"\0"
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def _bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def _tiff(*tags: tuple[int, int, int, int]) -> bytes:
    """A TIFF of one directory: (tag, type, count, value or place) each."""
    rows = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + struct.pack("<I", 0)


def _gray(width: int, height: int) -> tuple[tuple[int, int, int, int], ...]:
    """The tags of 8-bit gray in one strip that begins at the file's own beginning."""
    size = width * height % 2**32
    return tuple(
        (tag, 4, 1, v)
        for tag, v in (
            (256, width),
            (257, height),
            (258, 8),
            (259, 1),
            (262, 1),
            (273, 0),
            (277, 1),
            (278, height),
            (279, size),
        )
    )


def _patched_jpeg(photo: bytes, width: int, height: int) -> bytes:
    at = photo.index(b"\xff\xc0") + 5
    return photo[:at] + struct.pack(">HH", height, width) + photo[at + 4 :]


def _scans(count: int, side: int) -> bytes:
    """A progressive JPEG whose last scan stands there again and again; each goes over the whole image."""
    whole = _saved(Image.new("L", (side, side)), "JPEG", progressive=True, quality=10)
    return whole[:-2] + whole[whole.rindex(b"\xff\xda") : -2] * count + whole[-2:]
