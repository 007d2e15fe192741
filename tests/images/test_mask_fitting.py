"""How labels meet pictures of other sizes and orientations."""

import numpy as np
import picture_files as files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from standout.errors import StandoutError
from standout.images import fit_mask, read_image, read_mask, resize_mask, write_map


@settings(max_examples=100)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_m08_classes_are_never_mixed_and_soft_masks_stay_in_range(rows, columns, new_rows, new_columns, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (rows, columns), np.uint8)
    size = (new_rows, new_columns)
    soft = read_mask(np.where(values > 200, 255, values))
    chosen = read_mask(files.encoded(values, "PNG"), class_index=int(values[0, 0]))

    assert set(np.unique(resize_mask(chosen, size).values)) <= {0, 255}
    assert set(np.unique(resize_mask(soft, size, hard=True).values)) <= set(np.unique(soft.values))
    resized = resize_mask(soft, size)
    assert soft.values.min() <= resized.values.min() <= resized.values.max() <= soft.values.max()
    assert resized.size == size


def photo(orientation, rows=40, columns=56):
    return read_image(files.encoded(Image.fromarray(files.scene(rows, columns)), "JPEG", exif=files.exif(orientation)))


def disc(rows, columns):
    y, x = np.mgrid[:rows, :columns]
    return ((y / rows - 0.3) ** 2 + (x / columns - 0.4) ** 2 < 0.05).astype(np.uint8) * np.uint8(255)


FITS = [
    (1, (40, 56), "equal"),
    (3, (40, 56), "equal"),
    (6, (56, 40), "equal"),
    (6, (40, 56), "unturned"),
    (5, (40, 56), "unturned"),
    (8, (40, 56), "unturned"),
    (1, (80, 112), "resized"),
    (1, (20, 28), "resized"),
    (6, (112, 80), "resized"),
    (6, (80, 112), "unturned"),
    (1, (400, 563), "resized"),
]


@pytest.mark.parametrize(("orientation", "size", "how"), FITS)
def test_m09_masks_of_other_sizes_are_fitted(orientation, size, how):
    picture, mask = photo(orientation), read_mask(disc(*size))

    fitted = fit_mask(mask, picture)

    assert fitted.how == how
    assert fitted.mask.size == fitted.picture.size
    assert fitted.picture.size == ((40, 56) if how == "unturned" or orientation < 5 else (56, 40))
    if how == "unturned":
        assert np.array_equal(fitted.picture.pixels, photo(1).pixels)
        assert fitted.picture.orientation == 1
    middle = disc(*fitted.picture.size)
    assert np.count_nonzero((fitted.mask.values > 127) != (middle > 127)) <= 0.02 * middle.size


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (56, 40)), (1, (40, 40)), (6, (48, 48)), (1, (40, 58)), (3, (56, 40))]
)
def test_m09_other_shapes_are_refused_by_name(orientation, size, tmp_path):
    path = write_map(tmp_path / "cat_4.png", disc(*size))

    with pytest.raises(
        StandoutError, match=r"different shapes: .*cat_4\.png is \d+ x \d+, picture is \d+ x \d+; "
    ) as caught:
        fit_mask(read_mask(path), photo(orientation))
    assert caught.value.code == "mask-size"


@pytest.mark.parametrize(("size", "how"), [((400, 560), "equal"), ((560, 400), "unturned"), ((40, 56), "resized")])
def test_m09_a_shrunk_picture_is_compared_at_its_full_size(size, how):
    image = Image.fromarray(files.scene(560, 400))
    picture = read_image(files.encoded(image, "JPEG", exif=files.exif(6)), longest=100)
    assert picture.size == (71, 100)

    fitted = fit_mask(read_mask(disc(*size)), picture)

    assert fitted.how == how
    assert fitted.mask.size == fitted.picture.size == ((100, 71) if how == "unturned" else (71, 100))


def test_m09_classes_are_fitted_without_new_values():
    mask = read_mask(files.encoded(disc(97, 136), "PNG"), class_index=255)

    assert set(np.unique(fit_mask(mask, photo(1)).mask.values)) == {0, 255}
