"""Which way up a picture is: the tag of its writer is applied once and then gone."""

import io

import numpy as np
import picture_files as files
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from standout.images import encode_image, read_image

RED, GREEN = (255, 0, 0), (0, 255, 0)

# Where EXIF says that the stored picture's first pixel, and the last of its first row, are seen: rows then columns,
# 0 for top or left, -1 for bottom or right.
SEEN = {
    1: ((0, 0), (0, -1)),
    2: ((0, -1), (0, 0)),
    3: ((-1, -1), (-1, 0)),
    4: ((-1, 0), (-1, -1)),
    5: ((0, 0), (-1, 0)),
    6: ((0, -1), (-1, -1)),
    7: ((-1, -1), (0, -1)),
    8: ((-1, 0), (0, 0)),
}


def marked():
    """A grey picture of 32 rows and 48 columns; first pixel's corner red, the first row's other end green."""
    picture = np.full((32, 48, 3), 128, np.uint8)
    picture[:16, :16] = RED
    picture[:16, -16:] = GREEN
    return picture


def oriented(kind, value):
    if kind == "TIFF":
        return files.encoded(marked(), kind, tiffinfo={274: value})
    return files.encoded(marked(), kind, exif=files.exif(value))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("value", range(10))
def test_p01_orientation_is_applied_once(kind, value):
    data = oriented(kind, value)

    picture = read_image(data)

    meant = value if 1 <= value <= 8 else 1
    assert picture.size == ((48, 32) if meant >= 5 else (32, 48))
    assert picture.raw_size == (32, 48)
    first, end = SEEN[meant]
    assert np.abs(picture.pixels[first].astype(int) - RED).max() < 30
    assert np.abs(picture.pixels[end].astype(int) - GREEN).max() < 30
    assert picture.orientation == meant
    assert bool(picture.notes) == (meant != 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "block", [b"", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_p01_garbage_and_missing_tags_mean_upright(kind, block):
    options = {"exif": block} if block else {}
    picture = read_image(files.encoded(marked(), kind, **options))

    assert picture.orientation == 1
    assert np.abs(picture.pixels[0, 0].astype(int) - RED).max() < 30


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("value", [3, 5, 6, 7])
def test_p01_turning_agrees_with_the_library_and_leaves_no_tag(kind, value, tmp_path):
    data = oriented(kind, value)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))

    pixels = read_image(data).pixels
    written = encode_image(pixels, kind)

    assert np.array_equal(pixels, expected)
    assert 274 not in Image.open(io.BytesIO(written)).getexif() or kind == "TIFF"
    assert read_image(written).orientation == 1


def test_p01_exif_as_hexadecimal_text_of_a_png_counts():
    block = b"Exif\0\0" + files.exif(6).removeprefix(b"Exif\0\0")
    for content, meant in ((block.hex(), 6), ("no hexadecimal", 1)):
        text = PngImagePlugin.PngInfo()
        text.add_text("Raw profile type exif", f"\nexif\n{len(block):8d}\n{content}\n", zip=True)

        assert read_image(files.encoded(marked(), "PNG", pnginfo=text)).orientation == meant


def test_p01_orientation_in_xmp_counts_where_exif_has_none():
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'

    assert read_image(files.encoded(marked(), "JPEG", xmp=packet)).orientation == 6
