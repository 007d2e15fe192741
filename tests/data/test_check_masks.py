"""What `standout data check` says of masks (promises M2 to M10)."""

import numpy as np
import pytest
from checked_sets import disc, faults, findings, masks_of, names, photos, smooth
from data_sets import write
from PIL import Image
from test_perceptual import photo


def test_m09_sizes_that_do_not_fit_are_told_and_those_that_are_mended_are_counted(tmp_path):
    photos(tmp_path, 0, 3)
    write(tmp_path / "masks" / "p0.png", disc(rows=60, columns=80))
    write(tmp_path / "masks" / "p1.png", disc(rows=120, columns=120))
    turned = Image.fromarray(photo(7)).getexif()
    turned[274] = 6
    (tmp_path / "images" / "p2.png").unlink()
    Image.fromarray(photo(7)).save(tmp_path / "images" / "p2.jpg", exif=turned)

    found = findings(tmp_path)

    assert {code: names(items) for code, items in found.items()} == {
        "mask-resized": ["p0"],
        "mask-size": ["p1"],
        "mask-unturned": ["p2"],
    }


def test_a_large_picture_decoded_in_part_fits_its_mask_and_not_a_small_one(tmp_path):
    large = np.asarray(Image.fromarray(photo(0)).resize((2400, 1800)))
    for name, size in (("a", (2400, 1800)), ("b", (1200, 900)), ("c", (512, 384))):
        write(tmp_path / "images" / f"{name}.jpg", large, "JPEG")
        write(tmp_path / "masks" / f"{name}.png", np.asarray(Image.fromarray(disc()).resize(size, 0)))

    assert names(findings(tmp_path)["mask-resized"]) == ["b", "c"]


def test_m02_masks_of_several_classes_are_told_unless_one_is_chosen(tmp_path):
    masks_of(tmp_path, disc())
    palette = Image.fromarray((disc() > 0).astype(np.uint8) + 2 * (np.arange(160) > 150).astype(np.uint8))
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    palette.save(tmp_path / "masks" / "0.png")

    assert faults(tmp_path) == {"mask-classes"}
    assert faults(tmp_path, mask_class=1) == set()


def test_m03_m10_third_values_empty_and_full_masks_are_notes(tmp_path):
    third = disc()
    third[:20] = 128
    masks_of(tmp_path, third, third, third, np.zeros_like(third), np.full_like(third, 255))

    found = findings(tmp_path)

    assert {code: names(items) for code, items in found.items()} == {
        "masks-third-value": ["0", "1", "2"],
        "masks-empty": ["3"],
        "masks-full": ["4"],
    }
    assert faults(tmp_path) == set()


def test_m05_grey_areas_are_told_apart_from_smooth_edges(tmp_path):
    grey = np.where(disc() > 0, np.linspace(60, 200, 160).astype(np.uint8), 0).astype(np.uint8)
    masks_of(tmp_path, disc(), smooth(), grey, (disc() > 0) * np.uint8(38))

    found = findings(tmp_path)

    assert {code: names(items) for code, items in found.items()} == {
        "masks-soft": ["1"],
        "masks-grey": ["2", "3"],
        "masks-faint": ["3"],
    }
    assert faults(tmp_path) == {"masks-faint"}


@pytest.mark.parametrize("quality", [95, 75, 50, 30])
def test_m06_jpeg_masks_are_reported_and_are_not_grey(tmp_path, quality):
    photos(tmp_path, 0, 2)
    for number in range(2):
        (tmp_path / "masks" / f"p{number}.png").unlink()
        write(tmp_path / "masks" / f"p{number}.jpg", disc(number), "JPEG", quality=quality)

    assert {code: names(items) for code, items in findings(tmp_path).items()} == {"masks-jpeg": ["p0", "p1"]}


def test_m07_inverted_masks_are_told_as_a_set_and_one_alone_as_a_question(tmp_path):
    masks_of(tmp_path / "all", *(255 - disc(k) for k in range(6)))
    masks_of(tmp_path / "one", *(disc(k) for k in range(5)), 255 - disc(9))

    found = findings(tmp_path / "one")

    assert names(findings(tmp_path / "all")["masks-inverted"]) == [str(k) for k in range(6)]
    assert faults(tmp_path / "all") == {"masks-inverted"}
    assert {code: names(items) for code, items in found.items()} == {"masks-framed": ["5"]}
