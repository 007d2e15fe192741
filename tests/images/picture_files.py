"""Picture files for the tests: made by hand where the image library cannot write them, and damaged on purpose."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from standout.errors import StandoutError
from standout.images import read_image

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
LINE = re.compile(r"[^\n]+")


def refusal(source, **options):
    """The one line of a refusal; any other exception fails the test."""
    with pytest.raises(StandoutError) as caught:
        read_image(source, **options)
    assert LINE.fullmatch(str(caught.value))
    return caught.value


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(samples, *, depth=8, colour=None, before=(), size=None):
    """A PNG of any depth and colour type from samples (H, W) or (H, W, C); `before` are chunks ahead of the data."""
    samples = np.asarray(samples)
    rows, columns = samples.shape[:2]
    if colour is None:
        colour = GREY if samples.ndim == 2 else {2: GREY_ALPHA, 3: RGB, 4: RGBA}[samples.shape[2]]
    flat = samples.reshape(rows, -1)
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in flat]
    else:
        bits = (flat[..., None] >> np.arange(depth)[::-1]) & 1
        lines = [np.packbits(row.astype(np.uint8)).tobytes() for row in bits.reshape(rows, -1)]
    data = zlib.compress(b"".join(b"\0" + line for line in lines))
    columns, rows = size or (columns, rows)
    header = struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def palette(colours):
    return chunk(b"PLTE", bytes(np.asarray(colours, np.uint8).ravel()))


def transparency(content):
    return chunk(b"tRNS", content)


def encoded(image, kind, **options):
    """The file of an array or an image of Pillow."""
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation):
    block = Image.Exif()
    block[274] = orientation
    return block.tobytes()


def scene(rows=40, columns=56, seed=0):
    """A smooth colour picture with some texture, as photos have."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    waves = np.stack([np.sin(x / 7 + c) + np.cos(y / 5 - c) for c in range(3)], -1) * 50 + 128
    return (waves + rng.normal(0, 6, waves.shape)).clip(0, 255).astype(np.uint8)


def with_scans(data, scans):
    """A progressive JPEG whose last scan is repeated until it has that many."""
    last = data.rfind(b"\xff\xda")
    body = data[last:-2]
    return data[:-2] + body * (scans - data.count(b"\xff\xda")) + b"\xff\xd9"


def rgb_profile(primaries, gamma):
    """A matrix colour profile from the D50 XYZ columns (3, 3) of its primaries and one gamma."""

    def fixed(values):
        return b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"wtpt": b"XYZ \0\0\0\0" + fixed((0.9642, 1.0, 0.8249)),
    }
    for name, column in zip((b"r", b"g", b"b"), np.asarray(primaries).T, strict=True):
        tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(column)
        tags[name + b"TRC"] = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    return _profile(b"RGB ", b"XYZ ", tags)


def grey_profile(gamma=2.2):
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(78),
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061),
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0",
    }
    return _profile(b"GRAY", b"XYZ ", tags)


def _profile(space, connection, tags):
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", offset + len(body), b"\0\0\0\0", 0x02400000, b"mntr", space, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def seed_encodings():
    """Sixteen ways to store one small picture, by name."""
    picture = scene()
    image = Image.fromarray(picture)
    alpha = np.dstack([picture, np.tile(np.linspace(0, 255, 56).astype(np.uint8), (40, 1))])
    frames = {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)], "duration": 50}
    return {
        "jpeg": encoded(picture, "JPEG", quality=90),
        "jpeg-progressive": encoded(picture, "JPEG", progressive=True, exif=exif(6)),
        "jpeg-grey": encoded(image.convert("L"), "JPEG"),
        "jpeg-cmyk": encoded(image.convert("CMYK"), "JPEG"),
        "png-rgb": encoded(picture, "PNG", exif=exif(3)),
        "png-rgba": encoded(alpha, "PNG"),
        "png-16": png(picture[..., 0].astype(np.uint16) * 257, depth=16),
        "png-palette": encoded(image.quantize(16), "PNG", transparency=3),
        "webp": encoded(picture, "WEBP", quality=80),
        "webp-lossless": encoded(alpha, "WEBP", lossless=True),
        "webp-frames": encoded(picture, "WEBP", **frames),
        "gif": encoded(image.quantize(32), "GIF"),
        "gif-frames": encoded(image.quantize(32), "GIF", **frames),
        "bmp": encoded(picture, "BMP"),
        "tiff": encoded(picture, "TIFF"),
        "tiff-lzw": encoded(image, "TIFF", compression="tiff_lzw", tiffinfo={274: 8}),
    }


def mutated(data, rng):
    """One damaged copy: flipped bits, overwritten, removed, repeated or swapped bytes, or a cut."""
    data = bytearray(data)
    # Headers are where a parser goes wrong, so half of the damage falls there.
    reach = len(data) if rng.random() < 0.5 else min(len(data), 96)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(0, max(1, min(reach, len(data)))))
        span = int(rng.integers(1, 17))
        way = int(rng.integers(0, 7))
        if not data:
            break
        if way == 0:
            data[at % len(data)] ^= 1 << int(rng.integers(0, 8))
        elif way == 1:
            data[at : at + span] = rng.bytes(span)
        elif way == 2:
            del data[at : at + span]
        elif way == 3:
            data[at:at] = data[at : at + span] * int(rng.integers(1, 5))
        elif way == 4:
            data[at : at + 4] = struct.pack(">I", int(rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF])))
        elif way == 5:
            data[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF])))
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)
