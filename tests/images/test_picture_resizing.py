"""Other sizes, words and grids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standout.images import fitting, grid, label_image, paste, resize, resize_classes, resize_map


def box_average(values, rows, columns):
    """The mean over equal blocks: what an antialiased triangle filter must come close to on smooth input."""
    return values.reshape(rows, values.shape[0] // rows, columns, -1).mean(axis=(1, 3))


def bilinear(values, rows, columns):
    """Enlarging by its definition: pixel centres, weights by distance, edges repeated."""

    def axis(old, new):
        at = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, old - 1), at - low

    (t, b, v), (l, r, h) = axis(values.shape[0], rows), axis(values.shape[1], columns)  # noqa: E741
    top = values[t][:, l] * (1 - h) + values[t][:, r] * h
    bottom = values[b][:, l] * (1 - h) + values[b][:, r] * h
    return top * (1 - v)[:, None] + bottom * v[:, None]


def test_enlarging_follows_its_definition():
    values = np.random.default_rng(0).random((5, 7)).astype(np.float32)

    assert np.allclose(resize_map(values, (13, 23)), bilinear(values.astype(float), 13, 23), atol=1e-6)


def test_shrinking_averages_over_the_whole_area():
    checker = (np.indices((64, 64)).sum(axis=0) % 2).astype(np.float32)

    assert np.abs(resize_map(checker, (8, 8)) - 0.5).max() < 0.02
    assert np.abs(resize((checker * 255).astype(np.uint8), (8, 8)).astype(int) - 128).max() <= 4


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
def test_maps_stay_in_their_range(rows, columns, new_rows, new_columns, seed):
    values = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)

    resized = resize_map(values, (new_rows, new_columns))

    assert resized.shape == (new_rows, new_columns)
    assert resized.dtype == np.float32
    assert values.min() - 1e-6 <= resized.min() <= resized.max() <= values.max() + 1e-6


@settings(max_examples=500)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 24), st.integers(1, 24), st.integers(0, 2**32 - 1))
def test_m08_no_class_is_invented(rows, columns, new_rows, new_columns, seed):
    rng = np.random.default_rng(seed)
    classes = rng.choice(rng.integers(0, 256, 5, np.uint8), (rows, columns))

    resized = resize_classes(classes, (new_rows, new_columns))

    assert resized.shape == (new_rows, new_columns)
    assert set(np.unique(resized)) <= set(np.unique(classes))


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 3), (9, 8, 4)])
def test_pictures_keep_shape_and_type(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    same, other = resize(pixels, (9, 8)), resize(pixels, (4, 20))

    assert np.array_equal(same, pixels)
    assert same is not pixels
    assert other.shape == (4, 20, *shape[2:])
    assert other.dtype == np.uint8
    assert other.flags.writeable


def test_a_box_takes_a_part():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)

    assert np.array_equal(resize(pixels, (5, 10), box=(2, 4, 7, 14)), pixels[2:7, 4:14])


def test_colours_under_alpha_zero_do_not_bleed():
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4] = (200, 100, 50, 255)
    pixels[:, 4:] = (0, 255, 0, 0)

    small = resize(pixels, (8, 3))

    assert np.abs(small[small[..., 3] > 0][:, :3].astype(int) - (200, 100, 50)).max() <= 3


@pytest.mark.parametrize(
    "call",
    [
        lambda p: resize(p.astype(np.float32), (2, 2)),
        lambda p: resize(p, (0, 2)),
        lambda p: resize(p, (2, 2), filter="box"),
        lambda p: resize(p[..., :2], (2, 2)),
        lambda p: resize_map(p[..., 0], (2, 2)),
        lambda p: resize_classes(p, (2, 2)),
        lambda p: paste(p, p, 1, 0),
    ],
)
def test_wrong_arguments_are_a_callers_mistake(call):
    with pytest.raises(ValueError, match=r"must|does not fit"):
        call(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((300, 400), (96, 128)), ((100, 50), (100, 50)), ((1, 20000), (1, 128)), ((128, 1), (128, 1))],
)
def test_the_longest_side_bounds_the_size(size, expected):
    assert fitting(size, 128) == expected


def test_labels_and_grids_hold_their_pictures():
    pixels = np.full((20, 60, 3), 77, np.uint8)

    labelled = label_image(pixels, "map")
    sheet = grid([[labelled, pixels[..., 0]], [pixels]], gap=3)

    assert labelled.shape == (38, 60, 3)
    assert np.array_equal(labelled[18:], pixels)
    assert labelled[:18].min() < 100 < labelled[:18].max()
    assert not np.array_equal(labelled, label_image(pixels, "mask"))
    assert sheet.shape == (38 + 20 + 9, 60 + 60 + 9, 3)
    assert np.array_equal(sheet[3:41, 3:63], labelled)
    assert np.array_equal(sheet[3:23, 66:126, 0], pixels[..., 0])
    assert (sheet[44:64, 66:126] == 255).all()
