"""Copies are found across parts, whatever is there twice within one."""

import shutil

import numpy as np
import pytest
from checked_sets import disc, photos
from data_sets import write
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_perceptual import photo

from standout.data import check_data, find_pairs
from standout.data.copies import ENCODED, EXACT, Copy, Seen, find_copies
from standout.data.overlap import refuse_overlap
from standout.data.perceptual import Print, look_alikes
from standout.errors import StandoutError


def test_every_byte_equal_copy_of_a_re_encoded_picture_is_told_as_training_refuses_it(tmp_path):
    train, test = photos(tmp_path / "set" / "train", 0, 4), photos(tmp_path / "set" / "test", 20, 3)
    turned = np.asarray(Image.fromarray(photo(1)).resize((112, 84)))[:, ::-1]
    write(test / "images" / "dupa.jpg", turned, "JPEG", quality=60)
    for name in ("dupb", "dupc"):
        shutil.copy(test / "images" / "dupa.jpg", test / "images" / f"{name}.jpg")
    for name in ("dupa", "dupb", "dupc"):
        write(test / "masks" / f"{name}.png", np.asarray(Image.fromarray(disc()).resize((112, 84)))[:, ::-1])

    report = check_data([tmp_path / "set"])

    found = {one.code: [item.detail for item in one.items] for one in report.findings}
    assert found["overlap"] == [f"{name} (as p1, mirrored)" for name in ("dupa", "dupb", "dupc")]
    assert found["duplicate-picture"] == ["dupb (as dupa)", "dupc (as dupa)"]
    with pytest.raises(StandoutError, match="3 pictures to test on are also trained on"):
        refuse_overlap(find_pairs(train).pairs, find_pairs(test).pairs, how="perceptual")


PICTURES = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), max_size=7)


@given(parts=st.lists(PICTURES, min_size=1, max_size=4))
def test_the_copies_are_those_that_comparing_every_picture_with_all_before_it_finds(parts):
    # Six looks, each a few bits from the next, in three files each.
    look = {number: Print((1 << 2 * number) - 1, bytes(range(256))) for number in range(6)}
    seen = [Seen(group, f"{name}{number}", look[number]) for group, part in enumerate(parts) for number, name in part]
    best = {}
    for one in look_alikes([picture.print for picture in seen]):
        exact = seen[one.first].digest == seen[one.second].digest
        rank = not exact, one.bits, one.first
        key = one.second, seen[one.first].group
        best[key] = min(best.get(key, (rank, one)), (rank, one))

    expected = [
        Copy(one.first, one.second, EXACT if not rank[0] else ENCODED, one.bits, one.correlation)
        for rank, one in (best[key] for key in sorted(best))
    ]

    assert [copy[:4] for copy in find_copies(seen)] == [copy[:4] for copy in expected]
