"""What written files hold, and what they never carry along."""

import io

import numpy as np
import picture_files as files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, PngImagePlugin

from standout.errors import StandoutError
from standout.images import as_levels, encode_image, read_image, read_map, write_image, write_map

MARK = b"marker-of-the-owner"


def opened(path):
    return Image.open(io.BytesIO(path.read_bytes()))


def marked_input(kind):
    """A picture whose EXIF, comment, XMP and profile hold a marker."""
    block = Image.Exif()
    block[0x010E] = MARK.decode()
    block.get_ifd(0x8825)[0x1D] = MARK.decode()
    profile = files.rgb_profile(np.eye(3) * 0.5, 2.2) + MARK
    options = {"exif": block, "icc_profile": profile}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", MARK.decode())
        options["pnginfo"] = text
    elif kind == "JPEG":
        options["comment"] = MARK
        options["xmp"] = MARK
    elif kind == "WEBP":
        options["xmp"] = MARK
    return files.encoded(files.scene(), kind, **options), profile


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("output", ["a.png", "a.jpg", "a.webp", "a.tif", "map.png"])
def test_p15_nothing_of_the_input_but_pixels_is_written(kind, output, tmp_path):
    data, _ = marked_input(kind)
    assert MARK in data or kind == "PNG"
    picture = read_image(data)

    if output == "map.png":
        path = write_map(tmp_path / output, picture.pixels[..., 0])
    else:
        path = write_image(tmp_path / output, picture.pixels)

    written = opened(path)
    assert MARK not in path.read_bytes()
    assert not dict(written.getexif()).keys() & {0x010E, 0x8825, 274}
    assert not {"icc_profile", "comment", "xmp", "exif", "Comment"} & set(written.info)


@pytest.mark.parametrize("output", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_p15_the_profile_is_kept_only_by_option(output, tmp_path):
    data, profile = marked_input("PNG")

    picture = read_image(data, keep_profile=True)
    path = write_image(tmp_path / output, picture.pixels, profile=picture.profile)

    assert picture.profile == profile
    assert opened(path).info["icc_profile"] == profile


@given(
    arrays.arrays(
        np.uint8,
        st.one_of(st.tuples(*[st.integers(1, 40)] * 2), st.tuples(*[st.integers(1, 40)] * 2, st.sampled_from([3, 4]))),
    )
)
def test_own_png_gives_back_every_pixel(pixels):
    image = Image.open(io.BytesIO(encode_image(pixels)))

    assert np.array_equal(np.asarray(image), pixels)
    assert image.mode == {2: "L", 3: "RGB" if pixels.shape[-1] == 3 else "RGBA"}[pixels.ndim]


def test_own_png_is_written_in_bands_too():
    pixels = np.random.default_rng(0).integers(0, 256, (2100, 700, 4), np.uint8)

    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_image(pixels)))), pixels)


def test_own_png_of_a_photo_is_no_larger_than_the_librarys():
    picture = files.scene(300, 400)

    assert len(encode_image(picture)) <= 1.1 * len(files.encoded(picture, "PNG"))


@pytest.mark.parametrize(("name", "channels"), [("a.webp", 4), ("a.tiff", 4), ("a.webp", 3), ("a.tif", 1)])
def test_lossless_formats_give_back_every_pixel(name, channels, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (9, 11, channels), np.uint8)
    pixels = pixels[..., 0] if channels == 1 else pixels

    path = write_image(tmp_path / name, pixels)

    expected = np.repeat(pixels[..., None], 3, axis=2) if channels == 1 and name.endswith("webp") else pixels
    assert np.array_equal(np.asarray(opened(path)), expected)


@given(arrays.arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32)))
def test_maps_are_rounded_and_never_truncated(map_):
    stored = np.asarray(Image.open(io.BytesIO(encode_image(as_levels(map_)))))

    assert np.abs(stored / 255.0 - map_).max() <= 0.5 / 255 + 1e-6


def test_a_level_just_below_one_is_white():
    assert as_levels(np.full((2, 2), 0.999, np.float32)).max() == 255


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.01, 1.01])
def test_maps_that_are_no_maps_are_refused(bad, tmp_path):
    broken = np.zeros((3, 3), np.float32)
    broken[1, 1] = bad

    with pytest.raises(ValueError, match=r"0\.\.1"):
        write_map(tmp_path / "m.png", broken)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(3, 3, 1), (3,), (3, 3, 3)])
def test_maps_of_other_shapes_are_a_callers_mistake(shape, tmp_path):
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        write_map(tmp_path / "m.png", np.zeros(shape, np.float32))


def test_nothing_is_overwritten_unasked(tmp_path):
    path = write_map(tmp_path / "m.png", np.zeros((2, 2), np.float32))

    with pytest.raises(StandoutError) as caught:
        write_map(path, np.ones((2, 2), np.float32))
    assert caught.value.code == "file-exists"
    assert read_map(path).max() == 0
    write_map(path, np.ones((2, 2), np.float32), overwrite=True)
    assert read_map(path).min() == 255


def test_a_jpeg_refuses_transparency_by_name(tmp_path):
    with pytest.raises(StandoutError, match=r"no transparency: .*a\.jpg"):
        write_image(tmp_path / "a.jpg", np.zeros((2, 2, 4), np.uint8))


def test_an_unknown_suffix_is_a_usage_error(tmp_path):
    with pytest.raises(StandoutError, match=r"not a picture format we write: .*a\.xyz") as caught:
        write_image(tmp_path / "a.xyz", np.zeros((2, 2, 3), np.uint8))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("values", "options", "code"),
    [
        (np.array([[0, 1]], np.uint8), {}, "map-scale"),
        (np.array([[0, 2]], np.uint8), {"scale": 1}, "map-values"),
        (np.array([[0.0, 1.2]], np.float32), {}, "map-values"),
        (np.array([[-0.1, 1.0]], np.float32), {}, "map-values"),
        (np.array([[np.nan, 1.0]], np.float32), {}, "map-values"),
        (np.array([[np.inf, 1.0]], np.float32), {}, "map-values"),
    ],
)
def test_stored_maps_out_of_range_are_refused_by_name(values, options, code, tmp_path):
    path = tmp_path / "bird.tif"
    path.write_bytes(files.encoded(values, "TIFF"))

    with pytest.raises(StandoutError, match=r"bird\.tif") as caught:
        read_map(path, **options)
    assert caught.value.code == code


def test_stored_maps_keep_their_levels():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    wide = levels.astype(np.uint16) * 257 + (levels < 255)
    parts = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)

    assert np.array_equal(read_map(files.encoded(levels, "PNG")), levels)
    assert np.array_equal(read_map(files.encoded(np.minimum(levels, 1), "PNG"), scale=1), np.minimum(levels, 1) * 255)
    assert np.allclose(read_map(files.png(wide, depth=16)), wide / 65535, atol=1e-7)
    assert np.array_equal(read_map(files.encoded(parts, "TIFF")), parts)
    assert np.array_equal(read_map(files.encoded(levels > 9, "PNG")), np.where(levels > 9, 255, 0))


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (np.zeros((2, 2, 3), np.float32), {}),
        (np.zeros((2, 2, 2), np.uint8), {}),
        (np.zeros((0, 2, 3), np.uint8), {}),
        (np.zeros((2, 2, 4), np.uint8), {"format": "JPEG"}),
        (np.zeros((2, 2, 3), np.uint8), {"format": "BMP"}),
    ],
)
def test_pixels_that_no_file_holds_are_a_callers_mistake(pixels, options):
    with pytest.raises(ValueError, match=r"must be|no pixels|no transparency"):
        encode_image(pixels, **options)


def test_levels_of_other_types():
    assert np.array_equal(as_levels(np.array([[True, False]])), [[255, 0]])
    with pytest.raises(ValueError, match="int64"):
        as_levels(np.array([[1, 0]]))
