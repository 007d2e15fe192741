import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from standout import Segmenter
from standout.cutout.compose import FORMS, TINT, cutout, grey, outline, overlay, without_white
from standout.cutout.jobs import make
from standout.images import Picture, read_image
from tiny_model import onnx_model


def random_picture(rows=23, columns=31, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def random_map(rows=23, columns=31, seed=1):
    values = np.random.default_rng(seed).random((rows, columns), np.float32)
    values[:5], values[-5:] = 0, 1
    return values


def test_a_cut_out_has_the_map_as_alpha_and_the_pictures_colours():
    pixels, found = random_picture(), random_map()

    result = cutout(Picture(pixels), found)

    assert result.shape == (23, 31, 4)
    assert np.array_equal(result[..., 3], np.rint(found * 255))
    seen = result[..., 3] > 0
    assert np.array_equal(result[seen, :3], pixels[seen])


def test_what_was_cut_away_cannot_be_brought_back():
    result = cutout(Picture(random_picture()), random_map())

    assert (result[..., 3] == 0).any()
    assert not result[result[..., 3] == 0].any()


@given(st.integers(0, 255), st.integers(0, 255))
def test_p04_alpha_is_model_alpha_times_source_alpha(model, source):
    picture = Picture(random_picture(2, 2), np.full((2, 2), source, np.uint8))

    result = cutout(picture, np.full((2, 2), model / 255, np.float32))

    assert result[..., 3].tolist() == [[round(model * source / 255)] * 2] * 2


def test_p04_hidden_colours_change_no_byte_of_the_result(tmp_path):
    segmenter = Segmenter(onnx_model())
    random = np.random.default_rng(5)
    pixels = random.integers(0, 256, (20, 24, 4), dtype=np.uint8)
    pixels[..., 3] = random.choice([0, 0, 90, 255], (20, 24))

    def results(array):
        path = tmp_path / "a.png"
        Image.fromarray(array).save(path)
        return [make(segmenter, path, form) for form in FORMS]

    expected = results(pixels)
    for _ in range(70):
        changed = pixels.copy()
        hidden = changed[..., 3] == 0
        changed[hidden, :3] = random.integers(0, 256, (int(hidden.sum()), 3))
        assert results(changed) == expected


def test_colours_under_soft_source_alpha_are_the_sources_own(tmp_path):
    pixels = np.empty((16, 16, 4), np.uint8)
    pixels[..., :3] = (200, 30, 90)
    pixels[..., 3] = np.arange(256).reshape(16, 16)
    Image.fromarray(pixels).save(tmp_path / "a.png")

    result = cutout(read_image(tmp_path / "a.png"), np.ones((16, 16), np.float32))

    assert np.array_equal(result[..., 3], pixels[..., 3])
    clear = pixels[..., 3] >= 64
    assert np.abs(result[clear, :3].astype(int) - pixels[clear, :3]).max() <= 3  # 8 bits over white keep no more
    assert np.array_equal(result[15, 15], (200, 30, 90, 255))


@given(st.integers(0, 255), st.integers(1, 255))
def test_colours_without_white_give_the_same_pixel_over_white_again(level, alpha):
    flat = round(level * alpha / 255 + 255 - alpha)
    found = without_white(np.full((1, 1, 3), flat, np.uint8), np.full((1, 1), alpha, np.uint8))

    assert abs(float(found[0, 0, 0]) * alpha / 255 + 255 - alpha - flat) <= 1


def test_an_overlay_dims_what_is_around_and_outlines_the_object():
    pixels = np.full((60, 60, 3), 200, np.uint8)
    found = np.zeros((60, 60), np.float32)
    found[20:40, 20:40] = 1

    result = overlay(Picture(pixels), found)

    assert result.shape == (60, 60, 3)
    assert result[5, 5].tolist() == [110, 110, 110]
    assert result[19, 30].tolist() == list(TINT)  # outside of the object, beside it
    assert (result[30, 30] != 200).all()
    assert result[30, 30, 0] > result[30, 30, 1]


def test_an_overlay_does_not_depend_on_the_bands_it_is_made_in(monkeypatch):
    from standout.cutout import compose

    pixels, found = random_picture(40, 50), random_map(40, 50)
    whole = overlay(Picture(pixels), found)

    monkeypatch.setattr(compose, "_BAND", 120)

    assert np.array_equal(overlay(Picture(pixels), found), whole)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 40])
def test_an_outline_is_the_pixels_within_its_width(width):
    inside = np.zeros((25, 30), bool)
    inside[10:12, 9:14] = True
    inside[20, 29] = True

    found = outline(inside, width)

    points = np.argwhere(inside)
    expected = np.array(
        [[np.abs(points - (y, x)).max(1).min() <= width and not inside[y, x] for x in range(30)] for y in range(25)]
    )
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("rows_columns", [(1, 1), (1, 7), (7, 1)])
def test_the_smallest_pictures_have_every_form(rows_columns):
    picture = Picture(random_picture(*rows_columns))

    for form in FORMS.values():
        assert form(picture, np.full(rows_columns, 0.7, np.float32)).shape[:2] == rows_columns


def test_a_map_of_another_size_or_range_is_refused():
    picture = Picture(random_picture())

    for form in FORMS.values():
        with pytest.raises(ValueError, match=r"\(5, 5\)"):
            form(picture, np.zeros((5, 5), np.float32))
        with pytest.raises(ValueError, match=r"0\.\.1"):
            form(picture, np.full((23, 31), np.nan, np.float32))


def test_a_grey_map_is_rounded_not_cut():
    assert grey(Picture(random_picture(1, 2)), np.array([[0.999, 0.5]], np.float32)).tolist() == [[255, 128]]
