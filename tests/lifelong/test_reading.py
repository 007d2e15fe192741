"""Reading classified pictures: what stays in memory, and that it changes no bit."""

import pytest
import torch
from stream_trees import COLOURS, fill

from standout.data.augment import Augmentation
from standout.lifelong.pictures import Reader
from standout.lifelong.prepare import named
from standout.lifelong.streams import Example

ROWS = {"cup": 0}
SIDE, STORED = 32, 90
VIEW_BYTES, STORED_BYTES = 3 * SIDE * SIDE, 3 * STORED * STORED


@pytest.fixture
def wanted(tmp_path):
    fill(tmp_path / "cup", COLOURS["cup"], 3, side=STORED)
    return named([Example(path, "cup") for path in sorted((tmp_path / "cup").iterdir())])


@pytest.mark.parametrize("augmentation", [None, Augmentation(crop_keep=0.7, flip=0.5)])
def test_pictures_in_memory_are_those_read_anew(wanted, augmentation):
    def reader(cache_bytes):
        return Reader(size=SIDE, augmentation=augmentation, seed=1, workers=0, cache_bytes=cache_bytes)

    kept, fresh = reader(1 << 20), reader(0)
    again = [w._replace(epoch=1) for w in wanted]
    for group in (wanted, again, wanted):
        (one,), (other,) = kept.groups([group], ROWS), fresh.groups([group], ROWS)
        assert torch.equal(one.image, other.image)
    assert kept.held_bytes == 3 * (VIEW_BYTES if augmentation is None else STORED_BYTES)
    assert fresh.held_bytes == 0
    kept.forget()
    assert kept.held_bytes == 0


def test_pictures_that_are_read_whole_take_the_memory_of_their_views(wanted):
    """So that all test pictures of a stream fit, which are read after every experience."""
    reader = Reader(size=SIDE, augmentation=None, seed=1, workers=0, cache_bytes=2 * VIEW_BYTES)
    list(reader.groups([wanted], ROWS))
    assert reader.held_bytes == 2 * VIEW_BYTES
