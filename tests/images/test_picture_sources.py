"""What may be read: first frames, thin pictures, arrays, reduced files."""

import io
import time

import numpy as np
import picture_files as files
import pytest
from PIL import Image

from standout.errors import StandoutError
from standout.images import Limits, encode_image, read_image


def several_frames(kind):
    first = Image.fromarray(files.scene(seed=1)).quantize(32).convert("RGB")
    rest = [Image.fromarray(files.scene(seed=s)) for s in (2, 3)]
    if kind == "GIF":
        first = first.quantize(32)
    options = {"WEBP": {"lossless": True}, "GIF": {"optimize": False}}.get(kind, {})
    return files.encoded(first, kind, save_all=True, append_images=rest, **options), np.asarray(first.convert("RGB"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_p11_only_the_first_frame_is_read_and_said_so(kind):
    data, first = several_frames(kind)

    picture = read_image(data)

    assert picture.notes == ("first frame only",)
    if kind == "MPO":
        assert np.abs(picture.pixels.astype(int) - first).mean() < 10
    else:
        assert np.array_equal(picture.pixels, first)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "JPEG"])
def test_p11_a_single_frame_needs_no_note(kind):
    image = Image.fromarray(files.scene())

    assert read_image(files.encoded(image.quantize(8) if kind == "GIF" else image, kind)).notes == ()


def test_p11_two_hundred_thousand_frames_cost_nothing():
    data = files.encoded(Image.new("P", (8, 8)), "GIF")
    frame = data[data.index(b"\x2c\0\0\0\0\x08\0\x08\0") : -1]
    data = data[:-1] + frame * 200_000 + b";"
    read_image(data)

    start = time.process_time()
    picture = read_image(data)

    assert time.process_time() - start < 0.1
    assert picture.notes == ("first frame only",)


SIZES = [(1, 1), (1, 2), (2, 1), (1, 20_000), (20_000, 1), (3, 20_000), (7, 5), (1, 255), (2_000, 2)]


@pytest.mark.parametrize("size", SIZES)
def test_p19_thin_pictures_keep_their_size(size):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*size, 3), np.uint8)

    picture = read_image(encode_image(pixels))
    shrunk = read_image(encode_image(pixels), longest=512)

    assert np.array_equal(picture.pixels, pixels)
    assert max(shrunk.size) == min(512, max(size))
    assert min(shrunk.size) >= 1


@pytest.mark.parametrize("value", [1, 6])
def test_a_reduced_jpeg_looks_like_the_shrunk_one(value):
    data = files.encoded(Image.fromarray(files.scene(800, 1200)), "JPEG", quality=95, exif=files.exif(value))

    small = read_image(data, longest=150)
    full = read_image(data)

    expected = Image.fromarray(full.pixels).resize(small.size[::-1], Image.Resampling.BOX)
    assert small.size == ((150, 100) if value == 6 else (100, 150))
    assert small.full_size == full.size
    assert np.abs(small.pixels.astype(int) - np.asarray(expected)).mean() < 4


def test_arrays_and_images_are_sources_too():
    pixels = files.scene()
    half = np.dstack([pixels, np.full(pixels.shape[:2], 128, np.uint8)])

    assert np.array_equal(read_image(pixels).pixels, pixels)
    assert np.array_equal(read_image(Image.fromarray(pixels)).pixels, pixels)
    assert np.array_equal(read_image(pixels[..., 0]).pixels[..., 2], pixels[..., 0])
    assert read_image(np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])).alpha is None
    assert np.array_equal(read_image(half).pixels, read_image(files.png(half)).pixels)
    assert np.array_equal(read_image(Image.fromarray(half)).alpha, half[..., 3])
    assert read_image(Image.open(io.BytesIO(files.encoded(files.scene(), "JPEG", exif=files.exif(6))))).size == (56, 40)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (np.zeros((4, 4, 3), np.float32), ValueError),
        (np.zeros((4, 4, 2), np.uint8), ValueError),
        (np.zeros((0, 4, 3), np.uint8), ValueError),
        (17, TypeError),
    ],
)
def test_other_sources_are_a_callers_mistake(source, error):
    with pytest.raises(error):
        read_image(source)


def test_a_length_below_one_is_a_callers_mistake():
    with pytest.raises(ValueError, match="at least 1"):
        read_image(files.scene(), longest=0)


def test_avif_is_read_only_by_option():
    data = files.encoded(files.scene(), "AVIF", quality=100)

    with pytest.raises(StandoutError, match="AVIF") as caught:
        read_image(data)
    picture = read_image(data, limits=Limits(formats=("AVIF",)))

    assert caught.value.code == "picture-format"
    assert np.abs(picture.pixels.astype(int) - files.scene()).mean() < 6


@pytest.mark.parametrize("name", files.seed_encodings())
def test_pixels_lie_in_a_row_and_may_be_written(name):
    """Torch warns of arrays that are not writable, and copies those that are not contiguous."""
    picture = read_image(files.seed_encodings()[name])

    for array in (picture.pixels, picture.alpha):
        assert array is None or (array.flags.c_contiguous and array.flags.writeable)
