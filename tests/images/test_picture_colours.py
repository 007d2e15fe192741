"""What pixels a readable picture gives: orientation, depth, mode, transparency, ink, colour profile, frames."""

import struct

import numpy as np
import picture_files as files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from standout.errors import StandoutError
from standout.images import read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


RAMP = np.tile(np.arange(256, dtype=np.uint16), (4, 1))


@pytest.mark.parametrize("form", ["png", "tiff", "tiff-big"])
@pytest.mark.parametrize("top", [65535, 1023, 4095])
def test_p02_sixteen_bits_are_scaled_by_value(form, top):
    values = (RAMP.astype(np.uint32) * top // 255).astype(np.uint16)
    if form == "png":
        data = files.png(values, depth=16)
    elif form == "tiff":
        data = files.encoded(Image.fromarray(values), "TIFF")
    else:
        data = files.encoded(Image.frombytes("I;16B", (256, 4), values.astype(">u2").tobytes()), "TIFF")

    pixels = read_image(data).pixels

    assert np.array_equal(pixels[..., 0], np.rint(values / 257).astype(np.uint8))
    assert np.array_equal(pixels[..., 0], pixels[..., 2])
    assert len(np.unique(pixels)) == (256 if top == 65535 else round(top / 257) + 1)


def grey_levels(depth):
    return np.tile(np.arange(2**depth, dtype=np.uint16), (3, 1))


COLOURS = np.array([[RED, GREEN], [BLUE, (10, 200, 90)]], np.uint8)
OVER_WHITE_HALF = np.rint(COLOURS * (128 / 255) + 255 * (127 / 255)).astype(np.uint8)


def patch(colours, factor=16):
    """Areas large enough that a lossy file keeps the colour in their middle."""
    return colours.repeat(factor, 0).repeat(factor, 1)


def with_alpha(level):
    return np.dstack([COLOURS, np.full((2, 2), level, np.uint8)])


def grey(levels):
    return np.repeat(np.asarray(levels, np.uint8)[..., None], 3, axis=2)


def twelve_bits(values):
    """A TIFF of one row with twelve bits a sample, two samples in three bytes."""
    pairs = zip(values[::2], values[1::2], strict=True)
    packed = b"".join(((a << 12) | b).to_bytes(3, "big") for a, b in pairs)
    tags = [
        (256, len(values)),
        (257, 1),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 1),
        (279, len(packed)),
    ]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    at = 8 + len(packed)
    return b"II*\0" + struct.pack("<I", at) + packed + struct.pack("<H", len(tags)) + table + bytes(4)


def mode_cases():
    """File, expected pixels, distance between the pixels to compare."""
    image = Image.fromarray(COLOURS)
    index = np.array([[0, 1], [2, 1]], np.uint16)
    table = files.palette([RED, GREEN, BLUE])
    sixteen = COLOURS.astype(np.uint16) * 257
    half = np.dstack([sixteen, np.full((2, 2), 128 * 257, np.uint16)])
    two_greys = np.array([[0, 200]], np.uint16)
    yield "grey-1", files.png(grey_levels(1), depth=1), grey(np.tile([0, 255], (3, 1))), 1
    yield "grey-2", files.png(grey_levels(2), depth=2), grey(np.tile([0, 85, 170, 255], (3, 1))), 1
    yield "grey-4", files.png(grey_levels(4), depth=4), grey(np.tile(np.arange(16) * 17, (3, 1))), 1
    yield "grey-8", files.png(np.arange(256).reshape(16, 16)), grey(np.arange(256).reshape(16, 16)), 1
    indexed = np.array([[RED, GREEN], [BLUE, GREEN]], np.uint8)
    yield "palette", files.png(index, depth=8, colour=files.PALETTE, before=[table]), indexed, 1
    yield "palette-2", files.png(index, depth=2, colour=files.PALETTE, before=[table]), indexed, 1
    clear = [table, files.transparency(b"\xff\0\xff")]
    expected = np.array([[RED, WHITE], [BLUE, WHITE]], np.uint8)
    yield "palette-trns", files.png(index, depth=8, colour=files.PALETTE, before=clear), expected, 1
    key = [files.transparency(b"\0\xc8")]
    yield "grey-trns", files.png(two_greys, before=key), grey([[0, 255]]), 1
    key = [files.transparency(b"\0\x03")]
    yield "grey-4-trns", files.png(np.array([[3, 5]], np.uint16), depth=4, before=key), grey([[255, 85]]), 1
    key = [files.transparency(b"\xc8\xc8")]
    wide = two_greys * 257
    yield "grey-16-trns", files.png(wide, depth=16, before=key), grey([[0, 255]]), 1
    key = [files.transparency(bytes([0, 255, 0, 0, 0, 0]))]
    key_1 = [files.transparency(b"\0\1")]
    yield "grey-1-trns", files.png(grey_levels(1), depth=1, before=key_1), grey(np.tile([0, 255], (3, 1))), 1
    key_0 = [files.transparency(b"\0\0")]
    yield "grey-1-trns-0", files.png(grey_levels(1), depth=1, before=key_0), grey(np.tile([255, 255], (3, 1))), 1
    cleared = COLOURS.copy()
    cleared[0, 0] = WHITE
    yield "rgb-trns", files.png(COLOURS, before=key), cleared, 1
    key_16 = [files.transparency(np.array(GREEN, ">u2").tobytes().replace(b"\0\xff", b"\xff\xff"))]
    cleared_16 = COLOURS.copy()
    cleared_16[0, 1] = WHITE
    yield "rgb-16-trns", files.png(sixteen, depth=16, before=key_16), cleared_16, 1
    yield "grey-alpha", files.png(np.dstack([two_greys, [[128, 128]]])), grey([[127, 227]]), 1
    yield "rgba", files.png(with_alpha(128)), OVER_WHITE_HALF, 1
    yield "rgb-16", files.png(sixteen, depth=16), COLOURS, 1
    yield "rgba-16", files.png(half, depth=16), OVER_WHITE_HALF, 1
    yield "tiff-1", files.encoded(Image.fromarray(np.array([[True, False]])), "TIFF"), grey([[255, 0]]), 1
    yield "tiff-rgba", files.encoded(with_alpha(128), "TIFF"), OVER_WHITE_HALF, 1
    yield "tiff-palette", files.encoded(image.quantize(4), "TIFF"), COLOURS, 1
    ink = Image.frombytes("CMYK", (2, 1), bytes([0, 255, 255, 0, 0, 0, 0, 128]))
    yield "tiff-cmyk", files.encoded(ink, "TIFF"), np.array([[RED, (127, 127, 127)]], np.uint8), 1
    levels = np.array([[0.0, 0.5, 1.0]], np.float32)
    yield "tiff-float", files.encoded(levels, "TIFF"), grey([[0, 128, 255]]), 1
    yield "gif", files.encoded(image.quantize(4), "GIF"), COLOURS, 1
    yield "bmp", files.encoded(COLOURS, "BMP"), COLOURS, 1
    yield "webp-rgba", files.encoded(with_alpha(128), "WEBP", lossless=True), OVER_WHITE_HALF, 1
    yield "tiff-12", twelve_bits([0, 1365, 2730, 4095]), grey([[0, 85, 170, 255]]), 1
    soft = np.array([[(200, 60, 60), (60, 180, 60)]], np.uint8)
    yield "jpeg-ycc", files.encoded(patch(soft), "JPEG", quality=100, subsampling=0), soft, 16


@pytest.mark.parametrize(("name", "data", "expected", "step"), [pytest.param(*c, id=c[0]) for c in mode_cases()])
def test_p03_every_mode_gives_its_colours(name, data, expected, step):
    pixels = read_image(data).pixels[step // 2 :: step, step // 2 :: step]

    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("values", [[[0.0, 1.5]], [[-0.1, 1.0]], [[np.nan, 1.0]], [[np.inf, 1.0]]])
def test_p03_floats_outside_their_range_are_refused_by_name(values, tmp_path):
    path = tmp_path / "depth.tif"
    path.write_bytes(files.encoded(np.array(values, np.float32), "TIFF"))

    with pytest.raises(StandoutError, match=r"outside 0 to 1: .*depth\.tif") as caught:
        read_image(path)

    assert caught.value.code == "picture-values"


@pytest.mark.parametrize("mode", ["I", "LAB"])
def test_p03_modes_without_an_8_bit_form_are_refused_by_name(mode):
    with pytest.raises(StandoutError) as caught:
        read_image(files.encoded(Image.new(mode, (4, 4)), "TIFF"))

    assert caught.value.code == "picture-mode"


def hidden_forms(colours, alpha, other):
    """Two files of one picture whose colours differ only where nothing is seen."""
    hidden = (alpha == 0)[..., None]
    changed = np.where(hidden, other, colours).astype(np.uint8)
    for encode in (
        files.png,
        lambda a: files.encoded(a, "WEBP", lossless=True, exact=True),
        lambda a: files.encoded(a, "TIFF"),
        lambda a: files.png(a[..., [0, 3]]),
    ):
        yield encode(np.dstack([colours, alpha])), encode(np.dstack([changed, alpha]))


@settings(max_examples=50)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_p04_hidden_colours_change_no_byte(rows, columns, seed):
    """Fifty pictures in four encodings each."""
    rng = np.random.default_rng(seed)
    colours, other = rng.integers(0, 256, (2, rows, columns, 3), np.uint8)
    alpha = rng.choice(np.array([0, 0, 1, 100, 255], np.uint8), (rows, columns))

    for one, two in hidden_forms(colours, alpha, other):
        first, second = read_image(one), read_image(two)

        assert np.array_equal(first.pixels, second.pixels)
        assert (first.pixels[alpha == 0] == 255).all()
        if (alpha < 255).any():
            assert np.array_equal(first.alpha, alpha)
            assert np.array_equal(second.alpha, alpha)


def test_p04_shrinking_sees_no_hidden_colour_either():
    colours = np.full((64, 64, 3), 200, np.uint8)
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[:, 32:] = 0
    changed = colours.copy()
    changed[:, 32:] = RED

    one = read_image(files.png(np.dstack([colours, alpha])), longest=16)
    two = read_image(files.png(np.dstack([changed, alpha])), longest=16)

    assert one.size == (16, 16) == one.alpha.shape
    assert np.array_equal(one.pixels, two.pixels)


def test_an_opaque_alpha_is_none():
    assert read_image(files.png(with_alpha(255))).alpha is None


def ink_jpeg(colours, *, transform, mark):
    """A CMYK or YCCK JPEG, inverted as Adobe writes them, that shows these colours (1, n, 3)."""
    wide = patch(np.asarray(colours, np.uint8))
    planes = 255 - wide
    if transform == 2:
        # The library stores what it is given, inverted: brightness and colour of the inverted ink go in as ink.
        planes = 255 - np.asarray(Image.fromarray(planes).convert("YCbCr"))
    ink = np.dstack([planes, np.zeros(wide.shape[:2], np.uint8)])
    data = files.encoded(_cmyk(ink), "JPEG", quality=100)
    at = data.index(b"\xff\xee\x00\x0eAdobe")
    assert data[at + 15] == 0
    if not mark:
        return data[:at] + data[at + 16 :]
    return data[: at + 15] + bytes([transform]) + data[at + 16 :]


def _cmyk(ink):
    return Image.frombytes("CMYK", (ink.shape[1], ink.shape[0]), ink.tobytes())


@pytest.mark.parametrize("colours", [[[(200, 40, 40), (250, 250, 250)]], [[(30, 90, 160), (5, 5, 5)]]])
@pytest.mark.parametrize(("transform", "mark"), [(0, True), (2, True), (0, False)])
def test_p05_ink_comes_out_in_its_colour(colours, transform, mark):
    picture = read_image(ink_jpeg(colours, transform=transform, mark=mark))

    assert np.abs(picture.pixels[8::16, 8::16].astype(int) - colours).max() <= 3
    assert [note for note in picture.notes if "Adobe" in note] == (
        [] if mark else ["CMYK without Adobe's mark read as inverted"]
    )


# D50 columns of Adobe RGB (1998)'s primaries, and of sRGB's.
WIDE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
NARROW = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


def to_srgb(colours, primaries, gamma):
    linear = (colours / 255.0) ** gamma @ primaries.T @ np.linalg.inv(NARROW).T
    linear = linear.clip(0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(curved * 255)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_p06_wide_gamut_becomes_srgb(kind):
    colours = np.array([[(200, 120, 100), (90, 140, 180), (128, 128, 128)]], np.uint8)
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    data = files.encoded(patch(colours), kind, icc_profile=files.rgb_profile(WIDE, 2.2), **options)

    picture = read_image(data)
    kept = read_image(data, keep_profile=True)

    assert np.abs(picture.pixels[8::16, 8::16] - to_srgb(colours, WIDE, 2.2)).max() <= 3
    assert picture.profile is None
    assert np.abs(kept.pixels[8::16, 8::16].astype(int) - colours).max() <= 2
    assert kept.profile == files.rgb_profile(WIDE, 2.2)


def test_p06_srgb_and_no_profile_leave_pixels_untouched():
    picture = files.scene()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert np.array_equal(read_image(files.encoded(picture, "PNG", icc_profile=srgb)).pixels, picture)
    assert np.array_equal(read_image(files.encoded(picture, "PNG")).pixels, picture)
    assert read_image(files.encoded(picture, "PNG", icc_profile=srgb)).notes == ()


LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@pytest.mark.parametrize(
    ("profile", "image"),
    [
        (LAB, files.scene()),
        (b"garbage" * 40, files.scene()),
        (files.rgb_profile(WIDE, 2.2)[:200], files.scene()),
        (files.grey_profile(), files.scene()),
        (files.rgb_profile(WIDE, 2.2), files.scene()[..., 0]),
        (files.rgb_profile(WIDE, 2.2) + bytes(5 * 2**20), files.scene()),
    ],
    ids=["lab", "garbage", "cut", "grey-on-rgb", "rgb-on-grey", "5-megabytes"],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_p06_profiles_that_do_not_fit_are_left_out_with_one_note(profile, image, kind):
    plain = read_image(files.encoded(image, kind))

    picture = read_image(files.encoded(image, kind, icc_profile=profile))

    assert np.array_equal(picture.pixels, plain.pixels)
    assert picture.notes == ("colour profile does not fit and was left out",)
