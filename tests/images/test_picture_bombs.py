"""Small files that would become large: pixels, scans, tiles, bytes and memory are bounded before decoding."""

import os
import re
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import picture_files as files
import pytest
from picture_files import refusal
from PIL import Image

from standout.images import SERVER, Limits, body, read_image
from standout.images.body import walk_scans


def tiff(columns, rows):
    entries = [(256, 4, columns), (257, 4, rows), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 4)]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(4)


def jpeg(columns, rows, kind=0xC0):
    frame = struct.pack(">BHHB", 8, rows, columns, 3) + b"\1\x22\0\2\x11\1\3\x11\1"
    return b"\xff\xd8\xff" + bytes([kind]) + struct.pack(">H", 2 + len(frame)) + frame


def png_header(columns, rows):
    return b"\x89PNG\r\n\x1a\n" + files.chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0))


def webp(kind, content):
    body = kind + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def bombs():
    side = 2**31 - 1
    wide = struct.pack("<I", 16383 - 1)[:3]
    yield "png-huge", png_header(side, side)
    yield "png-line", png_header(100_000_001, 1)
    yield "png-inflating", files.png(np.zeros((1, 1), np.uint8), size=(40_000, 30_000))
    yield "jpeg", jpeg(65_000, 65_000)
    yield "jpeg-progressive", jpeg(20_000, 20_000, 0xC2)
    yield (
        "jpeg-late-size",
        jpeg(20_000, 20_000).replace(b"\xff\xd8", b"\xff\xd8" + (b"\xff\xe1\xff\xff" + bytes(65533)) * 9),
    )
    yield "webp-extended", webp(b"VP8X", bytes(4) + wide * 2)
    yield "webp-lossless", webp(b"VP8L", b"\x2f" + struct.pack("<I", 16383 | 16383 << 14) + bytes(8))
    yield "webp-lossy", webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383))
    yield "gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b","
    yield "tiff", tiff(side, side)
    yield "tiff-line", tiff(1, 100_000_001)
    yield "bmp", b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, side, -side, 1, 24, 0) + bytes(20)


@pytest.mark.parametrize(("name", "data"), [pytest.param(*bomb, id=bomb[0]) for bomb in bombs()])
def test_p08_too_many_pixels_are_refused_from_the_header(name, data, tmp_path):
    path = tmp_path / "IMG_2231.png"
    path.write_bytes(data)
    # However long the file is: this one has 300 MiB behind its header.
    with path.open("r+b") as file:
        file.truncate(300 * 2**20)

    start = time.process_time()
    error = refusal(path)
    spent = time.process_time() - start

    assert error.code == "picture-pixels"
    assert re.search(r"too many pixels: .*IMG_2231\.png is \d+ x \d+ \(\S+ Mpixel, limit 100\); ", str(error))
    assert spent < 0.5


MEMORY = """
import re, sys
from standout.errors import StandoutError
from standout.images import encode_image, read_image
import numpy as np

def mark(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

read_image(encode_image(np.zeros((4, 4, 3), np.uint8)))
for path in sys.argv[1:]:
    before = mark("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")
    try:
        pixels = read_image(path).pixels.size // 3
    except StandoutError:
        pixels = 0
    print(pixels, mark("VmHWM") - before)
"""


def peaks(paths):
    """Pixels and bytes at the highest point while reading each file, in a process of its own."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this system cannot reset its high-water mark")
    run = subprocess.run([sys.executable, "-c", MEMORY, *map(str, paths)], capture_output=True, text=True, check=True)
    return [tuple(map(int, line.split())) for line in run.stdout.splitlines()]


def test_p08_a_refused_picture_takes_no_memory(tmp_path):
    paths = []
    for name, data in bombs():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data)
        os.truncate(paths[-1], 300 * 2**20)

    found = peaks(paths)

    assert [pixels for pixels, _ in found] == [0] * len(paths)
    assert max(peak for _, peak in found) < 20 * 2**20


def test_p08_our_cap_is_ours_alone():
    before = Image.MAX_IMAGE_PIXELS
    picture = files.encoded(files.scene(), "PNG")

    assert refusal(picture, limits=Limits(pixels=2239)).code == "picture-pixels"
    assert read_image(picture, limits=Limits(pixels=2240)).size == (40, 56)
    assert before == Image.MAX_IMAGE_PIXELS


def test_p08_a_file_over_the_byte_cap_is_refused_unread(tmp_path):
    path = tmp_path / "long.png"
    path.write_bytes(files.encoded(files.scene(), "PNG"))
    os.truncate(path, 21 * 2**20)

    assert "has 21 MiB (limit 20 MiB)" in str(refusal(path, limits=SERVER))


@pytest.fixture(scope="module")
def progressive():
    """Progressive JPEGs of 1 and 16 Mpixel."""
    return {
        side: files.encoded(Image.new("RGB", (side, side), "teal"), "JPEG", progressive=True) for side in (1000, 4000)
    }


@pytest.mark.parametrize("side", [1000, 4000])
@pytest.mark.parametrize("scans", [10, 64, 65, 1000])
def test_p09_scans_are_counted_before_decoding(progressive, side, scans):
    data = files.with_scans(progressive[side], scans)
    assert walk_scans(data) == (scans, True)

    start = time.process_time()
    if scans > 64:
        error = refusal(data)
        assert str(error).startswith(
            f"picture has too many scans: picture has {scans} (limit 64 at {side**2 / 1e6:g} Mpixel)"
        )
        assert time.process_time() - start < 0.5
    elif scans == 10 or side == 1000:
        assert read_image(data).size == (side, side)
    assert (refusal(data, limits=Limits(scan_megapixels=9 * side**2 / 1e6))).code == "picture-scans"


def test_p09_scans_in_a_thumbnail_or_second_picture_do_not_count():
    thumbnail = files.with_scans(files.encoded(files.scene(), "JPEG", progressive=True), 90)
    data = files.encoded(files.scene(), "JPEG", exif=b"Exif\0\0" + thumbnail) + thumbnail

    assert walk_scans(data) == (1, True)
    assert read_image(data).size == (40, 56)


def test_p09_endless_segments_are_refused():
    data = files.encoded(files.scene(), "JPEG")
    before = b"\xff\xd8" + b"\xff\xfe\x00\x02" * 1_000_000 + data[2:]
    within = data[:-2] + b"\xff\xfe\x00\x02" * 1_000_000 + b"\xff\xd9"

    start = time.process_time()
    codes = refusal(before).code, refusal(within).code

    assert codes == ("picture-damaged", "picture-scans")
    assert time.process_time() - start < 2


def test_p09_endless_blocks_of_a_gif_are_refused(monkeypatch):
    monkeypatch.setattr(body, "_MOST_BLOCKS", 100)
    data = files.encoded(Image.new("P", (8, 8)), "GIF")
    at = data.index(b"\x2c\0\0\0\0")

    assert read_image(data[:at] + b"\x21\xfe\x01a\0" * 50 + data[at:]).size == (8, 8)
    assert refusal(data[:at] + b"\x21\xfe\x01a\0" * 200 + data[at:]).code == "picture-damaged"


def test_p08_a_tile_far_larger_than_its_picture_is_refused():
    data = tiff(8, 8)
    at = data.index(struct.pack("<HH", 273, 4))
    tile = struct.pack("<HHIIHHII", 322, 4, 1, 60_000, 323, 4, 1, 60_000)

    assert refusal(data[:at] + tile + data[at + 24 :] + bytes(5000)).code == "picture-damaged"


def test_p16_decoding_takes_at_most_18_bytes_a_pixel(tmp_path):
    """Fifty megapixels in each of six formats."""
    rows, columns = 5000, 10_000
    picture = np.empty((rows, columns, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 255, columns).astype(np.uint8)
    picture[..., 1] = np.linspace(0, 255, rows).astype(np.uint8)[:, None]
    picture[..., 2] = 90
    image = Image.fromarray(picture)
    paths = []
    for kind, source, options in (
        ("JPEG", image, {}),
        ("PNG", image, {"compress_level": 1, "compress_type": zlib.Z_RLE}),
        ("WEBP", image, {"quality": 20, "method": 0}),
        ("GIF", image.getchannel(0), {}),
        ("BMP", image, {}),
        ("TIFF", image, {"compression": "tiff_lzw"}),
    ):
        paths.append(tmp_path / kind)
        source.save(paths[-1], kind, **options)

    for (pixels, peak), path in zip(peaks(paths), paths, strict=True):
        assert pixels == rows * columns, path.name
        assert peak <= 18 * pixels + 64 * 2**20, path.name
