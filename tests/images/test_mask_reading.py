"""How files become labels, and how labels meet their pictures."""

import numpy as np
import picture_files as files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from standout.errors import StandoutError
from standout.images import mask_facts, mask_findings, read_mask, write_map

LABEL = np.zeros((24, 32), bool)
LABEL[6:18, 9:25] = True
LABEL[3, 3] = True
LEVELS = LABEL.astype(np.uint8) * np.uint8(255)


def two_valued():
    ones = LABEL.astype(np.uint8)
    wide = LABEL.astype(np.uint16)
    yield "uint8-255", files.encoded(LEVELS, "PNG")
    yield "uint8-1", files.encoded(ones, "PNG")
    yield "bool", files.encoded(LABEL, "PNG")
    for depth in (1, 2, 4):
        yield f"png-{depth}-bit-1", files.png(wide, depth=depth)
        yield f"png-{depth}-bit-full", files.png(wide * (2**depth - 1), depth=depth)
    for top in (1, 257, 65535):
        yield f"png-16-{top}", files.png(wide * top, depth=16)
        yield f"tiff-16-{top}", files.encoded(Image.fromarray(wide * np.uint16(top)), "TIFF")
    yield "tiff-32-1", files.encoded(Image.fromarray(LABEL.astype(np.int32)), "TIFF")
    yield "tiff-32-255", files.encoded(Image.fromarray(LABEL.astype(np.int32) * 255), "TIFF")
    yield "tiff-float", files.encoded(LABEL.astype(np.float32), "TIFF")
    yield "bmp-1", files.encoded(ones, "BMP")
    yield "rgb", files.encoded(np.repeat(LEVELS[..., None], 3, 2), "PNG")
    yield "rgb-1", files.encoded(np.repeat(ones[..., None], 3, 2), "PNG")
    yield "webp", files.encoded(LEVELS, "WEBP", lossless=True)
    yield "gif", files.encoded(LEVELS, "GIF")


@pytest.mark.parametrize(("name", "data"), [pytest.param(*c, id=c[0]) for c in two_valued()])
def test_m01_zero_and_one_is_zero_and_white(name, data):
    mask = read_mask(data)

    assert np.array_equal(mask.values, LEVELS)
    assert np.array_equal(mask.foreground, LABEL)
    assert mask.values.flags.writeable
    assert mask.values.flags.c_contiguous


@pytest.mark.parametrize("kind", [bool, np.uint8, np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_m01_arrays_of_zero_and_one_too(kind):
    assert np.array_equal(read_mask(LABEL.astype(kind)).values, LEVELS)


@pytest.mark.parametrize("level", [0, 1, 255])
def test_m01_constant_masks_are_empty_or_full(level):
    values = np.full((4, 5), level, np.uint8)

    assert np.array_equal(read_mask(files.encoded(values, "PNG")).foreground, values > 0)


VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128)]
VOC += [(i, 255 - i, 40) for i in range(248)]


def indexed(indices, colours, depth=8):
    return files.png(np.asarray(indices, np.uint16), depth=depth, colour=files.PALETTE, before=[files.palette(colours)])


@pytest.mark.parametrize("entry", [1, 2, 7, 200])
def test_m02_a_palette_is_read_by_index(entry):
    """Entry 7 of VOC is a grey, entry 1 a dark red whose brightness is 38: neither may be read as brightness."""
    mask = read_mask(indexed(LABEL * entry, VOC))

    assert np.array_equal(mask.values, LEVELS)
    assert mask.classes


def test_m02_a_small_palette_is_read_by_index_too():
    assert np.array_equal(read_mask(indexed(LABEL * 1, VOC[:2], depth=1)).values, LEVELS)
    assert np.array_equal(read_mask(indexed(LABEL * 1, VOC[:3], depth=2)).values, LEVELS)


def test_m02_a_grey_ramp_is_read_as_grey():
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    ramp = [(i, i, i) for i in range(256)]

    mask = read_mask(indexed(values, ramp))

    assert np.array_equal(mask.values, values)
    assert not mask.classes
    assert np.array_equal(read_mask(indexed(255 - values, ramp[::-1])).values, values)
    assert np.array_equal(read_mask(indexed(LABEL * 1, [(0, 0, 0), (255, 255, 255)], depth=1)).values, LEVELS)


def test_m02_zero_and_one_of_a_ramp_is_still_a_label():
    assert np.array_equal(read_mask(indexed(LABEL * 1, [(i, i, i) for i in range(256)])).values, LEVELS)


THREE = LABEL * 5 + np.pad(np.full((4, 4), 15), ((20, 0), (28, 0)))


def test_m02_several_classes_are_refused_without_a_choice(tmp_path):
    path = tmp_path / "dog.png"
    path.write_bytes(indexed(THREE, VOC))

    with pytest.raises(StandoutError) as caught:
        read_mask(path)
    assert caught.value.code == "mask-classes"
    message = f"mask has 3 colours: {path} uses palette entries 0, 5, 15; choose one with --class 15"
    assert str(caught.value) == message
    assert np.array_equal(read_mask(path, class_index=5).foreground, THREE == 5)
    assert np.array_equal(read_mask(path, class_index=15).foreground, THREE == 15)
    assert not read_mask(path, class_index=4).foreground.any()


def test_m02_a_class_of_a_grey_mask_can_be_chosen_too():
    data = files.encoded(THREE.astype(np.uint8), "PNG")

    mask = read_mask(data, class_index=15)

    assert mask.classes
    assert np.array_equal(mask.foreground, THREE == 15)


def test_m02_a_class_of_a_float_mask_can_be_chosen_too():
    assert np.array_equal(read_mask(THREE.astype(np.float32), class_index=5).foreground, THREE == 5)


def trimap():
    values = LEVELS.copy()
    values[10:14, 4:30] = 128
    return values


def test_m03_a_third_value_is_soft_ignored_or_refused():
    data = files.encoded(trimap(), "PNG")

    soft, ignored = read_mask(data), read_mask(data, unknown="ignore")

    assert np.array_equal(soft.values, trimap())
    assert soft.known is None
    assert np.array_equal(ignored.known, trimap() != 128)
    with pytest.raises(StandoutError, match="third value") as caught:
        read_mask(data, unknown="refuse")
    assert caught.value.code == "mask-unknown"
    with pytest.raises(ValueError, match="soft, ignore, refuse"):
        read_mask(data, unknown="drop")


def test_m03_edges_are_no_third_value():
    one_edge = np.zeros((40, 40), np.uint8)
    one_edge[:, 20:] = 255
    one_edge[:8, 20] = 128

    assert read_mask(one_edge, unknown="refuse").known is None


def smooth(seed):
    """An anti-aliased disc, as drawing programs make them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:60, :60]
    distance = np.hypot(y - rng.uniform(20, 40), x - rng.uniform(20, 40)) - rng.uniform(8, 18)
    return np.rint((0.5 - distance).clip(0, 1) * 255).astype(np.uint8)


def of_three(seed):
    values = np.where(smooth(seed) > 127, 255, 0).astype(np.uint8)
    values[25:30, 25:30] = 128
    return values


def findings(masks):
    return {f.code: f for f in mask_findings(mask_facts(read_mask(m)) for m in masks)}


@pytest.mark.parametrize("folder", range(10))
def test_m03_a_folder_of_trimaps_is_reported_once(folder):
    """Ten folders of trimaps, each with some masks that are none."""
    masks = [of_three(folder * 20 + i) for i in range(8)] + [smooth(i) for i in range(4)]

    found = findings(masks)["masks-third-value"]

    assert len(found.names) == 8
    assert found.message.startswith("8 of 12 masks")


@pytest.mark.parametrize("folder", range(10))
def test_m03_anti_aliased_folders_are_not_reported(folder):
    masks = [smooth(folder * 20 + i) for i in range(8)] + [of_three(i) for i in range(4)]

    assert "masks-third-value" not in findings(masks)


def rgba(colours, alpha):
    full = np.empty((*LABEL.shape, 4), np.uint8)
    full[..., :3] = colours
    full[..., 3] = alpha
    return files.encoded(full, "PNG")


@pytest.mark.parametrize(
    ("colours", "alpha"),
    [
        (0, LEVELS),
        (200, LEVELS),
        (LEVELS[..., None], 255),
        (LEVELS[..., None], 90),
        (LEVELS[..., None], LEVELS),
    ],
    ids=["black", "grey", "opaque", "half", "both-alike"],
)
def test_m04_the_plane_that_is_not_constant_is_the_mask(colours, alpha):
    assert np.array_equal(read_mask(rgba(colours, alpha)).values, LEVELS)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_m04_colours_and_transparency_that_differ_are_refused(mode):
    full = np.dstack([LEVELS, LEVELS, LEVELS, LEVELS[::-1]])
    data = files.png(full if mode == "RGBA" else full[..., [0, 3]])

    with pytest.raises(StandoutError) as caught:
        read_mask(data)
    assert caught.value.code == "mask-transparent"


def test_m04_colours_are_refused_unless_one_is_black():
    colours = np.zeros((*LABEL.shape, 3), np.uint8)
    colours[LABEL] = (200, 30, 30)
    assert np.array_equal(read_mask(files.encoded(colours, "PNG")).values, LEVELS)
    colours[0, 0] = (0, 0, 200)

    with pytest.raises(StandoutError, match="mask has several colours") as caught:
        read_mask(files.encoded(colours, "PNG"))
    assert caught.value.code == "mask-colours"


@pytest.mark.parametrize("bad", [[[0.0, 2.0]], [[-1.0, 1.0]], [[np.nan, 1.0]]])
def test_m05_values_out_of_range_are_refused_by_name(bad, tmp_path):
    path = tmp_path / "soft.tif"
    path.write_bytes(files.encoded(np.array(bad, np.float32), "TIFF"))

    with pytest.raises(StandoutError, match=r"soft\.tif") as caught:
        read_mask(path)
    assert caught.value.code == "mask-values"


@settings(max_examples=60)
@given(arrays.arrays(np.float32, (6, 7), elements=st.floats(0, 1, width=32)))
def test_m05_soft_masks_stay_soft(tmp_path_factory, values):
    values[0, 0] = 1  # a mask whose largest level is 1 is one of zeros and ones, as M1 says
    path = tmp_path_factory.getbasetemp() / "soft.png"

    mask = read_mask(write_map(path, values, overwrite=True))

    assert np.abs(mask.values / 255.0 - values).max() <= 0.5 / 255 + 1e-6
    assert np.array_equal(read_mask(files.encoded(values, "TIFF")).values, mask.values)
    sixteen = files.png(np.rint(values * 65535).astype(np.uint16), depth=16)
    assert np.abs(read_mask(sixteen).values / 255.0 - values).max() <= 1 / 255


@pytest.mark.parametrize(
    "form", [lambda v: files.encoded(v, "PNG"), lambda v: files.png(v.astype(np.uint16) * 257, depth=16)]
)
def test_m05_every_level_survives(form):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)

    assert np.array_equal(read_mask(form(levels)).values, levels)


@pytest.mark.parametrize("quality", [95, 75, 50, 30])
def test_m06_jpeg_masks_keep_their_labels_and_are_reported(quality):
    label = np.zeros((240, 300), bool)
    y, x = np.mgrid[:240, :300]
    label[np.hypot(y - 110, x - 140) < 70] = True
    label[180:220, 30:260] = True
    data = files.encoded(label.astype(np.uint8) * np.uint8(255), "JPEG", quality=quality)

    mask = read_mask(data)

    assert np.count_nonzero(mask.foreground != label) <= 1e-4 * label.size
    between = np.count_nonzero((mask.values > 0) & (mask.values < 255)) / label.size
    assert 0 < between < 0.2
    assert mask.notes == (f"JPEG mask, {between:.1%} of the pixels in between",)
    found = {f.code: f for f in mask_findings([mask_facts(mask)])}["masks-jpeg"]
    assert f"{between:.1%}" in found.message


def test_m06_a_colour_jpeg_of_a_grey_mask_is_grey():
    data = files.encoded(np.repeat(LEVELS[..., None], 3, 2), "JPEG", quality=75)

    assert np.array_equal(read_mask(data).foreground, LABEL)


def large(seed):
    """An object that fills most of the picture but not its borders."""
    values = np.zeros((50, 60), np.uint8)
    values[2:-2, 1 + seed % 3 : -2] = 255
    return values


def test_m07_inverted_folders_are_suspected_and_nothing_is_flipped():
    masks = [255 - smooth(i) for i in range(9)] + [smooth(50)]

    found = findings(masks)

    assert len(found["masks-inverted"].names) == 9
    assert "9 of 10" in found["masks-inverted"].message
    assert np.array_equal(read_mask(masks[0]).values, masks[0])


def test_m07_normal_folders_and_large_objects_are_not():
    assert "masks-inverted" not in findings([smooth(i) for i in range(10)])
    assert "masks-inverted" not in findings([large(i) for i in range(10)])
    assert "masks-inverted" not in findings([255 - smooth(i) for i in range(7)] + [smooth(i) for i in range(3)])


def test_m09_a_masks_own_orientation_is_applied():
    data = files.encoded(LEVELS, "PNG", exif=files.exif(6))

    mask = read_mask(data)

    assert np.array_equal(mask.values, np.rot90(LEVELS, -1))
    assert mask.notes == ("turned upright (orientation 6)",)


def test_m10_empty_full_and_tiny_masks_are_legal_and_counted():
    one = np.zeros((9, 9), np.uint8)
    one[4, 4] = 255
    masks = [np.zeros((9, 9), np.uint8), np.full((9, 9), 255, np.uint8), one, np.zeros((1, 1), np.uint8)]

    found = findings(masks)

    assert [read_mask(m).foreground.sum() for m in masks] == [0, 81, 1, 0]
    assert len(found["masks-empty"].names) == 2
    assert len(found["masks-full"].names) == 1
    assert mask_findings([]) == []


@pytest.mark.parametrize("shape", [(3, 3, 3), (3,), (0, 3)])
def test_mask_arrays_of_other_shapes_are_a_callers_mistake(shape):
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        read_mask(np.zeros(shape, np.uint8))
