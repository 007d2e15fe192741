"""The sheet of pictures beside their masks and maps."""

import numpy as np
import pytest

from standout.evaluate import picture_grid

COLUMNS = ("picture", "mask", "map")


def row(height=30, width=40):
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    mask = np.zeros((height, width), bool)
    mask[5:20, 10:30] = True
    return [picture, mask, mask * np.float32(0.5)]


def test_cells_stand_in_rows_under_their_words():
    sheet = picture_grid([row(), row(60, 40)], COLUMNS, width=100)
    assert sheet.dtype == np.uint8
    gap, band = 6, 18
    assert sheet.shape == (3 * gap + band + 75 + 100, 4 * gap + 300, 3)
    middle = gap + band + 75 // 2
    assert sheet[middle, 2 * gap + 100 + 50].tolist() == [255] * 3  # the mask's object
    assert sheet[middle, 3 * gap + 200 + 50].tolist() == [128] * 3  # the map's
    words = sheet[gap : gap + band, gap : gap + 100]
    assert words.min() < 60


def test_upright_pictures_stand_in_the_middle_on_white():
    sheet = picture_grid([row(80, 40)], COLUMNS, width=100)
    cell = sheet[6 + 18 + 50, 6 : 6 + 100]
    assert (cell[:24] == 255).all()
    assert (cell[76:] == 255).all()
    assert not (cell[30:70] == 255).all()


@pytest.mark.parametrize(
    ("rows", "columns", "told"),
    [
        ([], COLUMNS, "rows of 3 cells"),
        ([row()[:2]], COLUMNS, r"\[2\]"),
        ([[np.zeros((4, 4), np.int64)]], ["a"], "int64"),
    ],
)
def test_other_cells_are_refused(rows, columns, told):
    with pytest.raises(ValueError, match=told):
        picture_grid(rows, columns)
