"""Decoded pictures on the disk: the bits of the files, whatever happens to the cache."""

import mmap
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from data_sets import make_set, scene, write
from test_batches import EVERYTHING, same

from standout.data.batches import Batches
from standout.data.cache import DecodedCache
from standout.data.decoded import Reading
from standout.data.pairs import find_pairs
from standout.errors import StandoutError

READING = Reading(longest=400)


@pytest.fixture
def pairs(tmp_path):
    return find_pairs(make_set(tmp_path / "set", [f"n{k:02}" for k in range(9)])).pairs


def files_of(folder):
    return sorted(folder.glob("*/*.levels"))


def epoch(pairs, cache, workers=0, **settings):
    settings = {"size": 32, "batch": 3, "augmentation": EVERYTHING, **settings}
    return list(Batches(pairs, workers=workers, cache=cache, **settings).epoch(2))


def test_t10_no_bit_depends_on_the_cache_or_on_the_workers_that_use_it(pairs, tmp_path):
    without = epoch(pairs, None)

    for workers in (0, 1, 4):
        cold, warm = DecodedCache(tmp_path / f"c{workers}", 2**30), DecodedCache(tmp_path / f"c{workers}", 2**30)
        for cache in (cold, cold, warm):
            for ahead in (True, False):
                assert all(same(*both) for both in zip(without, epoch(pairs, cache, workers, ahead=ahead), strict=True))
        assert len(files_of(tmp_path / f"c{workers}")) == 9


def test_what_is_stored_is_what_the_files_decode_to_with_what_the_label_leaves_open(tmp_path):
    folder = make_set(tmp_path / "set", ["a", "b"])
    mask = np.zeros((80, 112), np.uint8)
    mask[10:30, 10:30], mask[40:60, 30:90] = 255, 128
    write(folder / "masks" / "a.png", mask)
    pair = find_pairs(folder).pairs[0]

    for unknown in ("soft", "ignore"):
        reading = Reading(longest=30, unknown=unknown)
        fresh = reading.decode(pair)
        for _ in range(2):
            found = DecodedCache(tmp_path / "cache", 2**30).read(pair, reading)
            assert found.how == fresh.how == "resized"
            assert np.array_equal(found.image, fresh.image)
            assert np.array_equal(found.mask, fresh.mask)
            assert (found.known is None) == (unknown == "soft")
            assert found.known is None or np.array_equal(found.known, fresh.known)
    assert len(files_of(tmp_path / "cache")) == 2


def test_stored_levels_are_mapped_into_memory_and_no_file_is_opened_for_them(pairs, tmp_path):
    cache = DecodedCache(tmp_path / "cache", 2**30)
    fresh = cache.read(pairs[0], READING)
    for path in (pairs[0].image, pairs[0].mask):
        path.unlink()

    found = cache.read(pairs[0], READING)

    base = found.image
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj, mmap.mmap)
    assert np.array_equal(found.image, fresh.image)


def test_other_contents_and_other_ways_of_reading_have_other_files_and_names_have_none(pairs, tmp_path):
    cache = DecodedCache(tmp_path / "cache", 2**30)
    cache.read(pairs[0], READING)
    renamed = make_set(tmp_path / "renamed", ["another"])
    cache.read(find_pairs(renamed).pairs[0], READING)
    assert len(files_of(tmp_path / "cache")) == 1  # the first pictures of both sets are the same

    cache.read(pairs[0], READING._replace(longest=20))
    cache.read(pairs[0], READING._replace(mask_class=255))
    write(pairs[0].mask, 255 - scene(40, 56)[1])
    DecodedCache(tmp_path / "cache", 2**30).read(pairs[0], READING)

    assert len(files_of(tmp_path / "cache")) == 4


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "header", "longer"])
def test_a_damaged_file_is_not_used_and_made_anew(pairs, tmp_path, damage):
    fresh = DecodedCache(tmp_path / "cache", 2**30).read(pairs[0], READING)
    path = files_of(tmp_path / "cache")[0]
    content = bytearray(path.read_bytes())
    if damage in ("flip", "header"):
        content[1000 if damage == "flip" else 9] ^= 4
    path.write_bytes({"cut": content[:-1], "empty": b"", "longer": content + b"\0"}.get(damage, bytes(content)))

    found = DecodedCache(tmp_path / "cache", 2**30).read(pairs[0], READING)

    assert np.array_equal(found.image, fresh.image)
    assert np.array_equal(found.mask, fresh.mask)
    again = DecodedCache(tmp_path / "cache", 2**30)
    pairs[0].image.rename(tmp_path / "moved")
    (tmp_path / "moved").rename(pairs[0].image)
    assert np.array_equal(again.read(pairs[0], READING).image, fresh.image)
    assert path.stat().st_size == 28 + fresh.image.size + fresh.mask.size


def test_the_limit_holds_and_what_was_used_longest_ago_makes_room(pairs, tmp_path):
    folder = tmp_path / "cache"
    one = 28 + 4 * 40 * 60
    old = DecodedCache(folder, 20 * one)
    for pair in pairs[:5]:
        old.read(pair, READING)
    long_ago = time.time() - 1000
    for number, path in enumerate(files_of(folder)):
        os.utime(path, (long_ago + number, long_ago + number))
    kept = files_of(folder)[-1]

    new = DecodedCache(folder, 5 * one)
    for pair in pairs[5:]:
        new.read(pair, READING)
    assert sum(path.stat().st_size for path in files_of(folder)) <= 5 * one
    assert kept.exists()
    for pair in pairs:
        new.read(pair, READING)
    # What this run uses is never thrown out for what it uses next: that would decode everything once an epoch.
    assert sum(path.stat().st_size for path in files_of(folder)) == new.size() <= 5 * one
    before = files_of(folder)
    for pair in pairs:
        new.read(pair, READING)
    assert files_of(folder) == before


def test_a_disk_that_refuses_is_said_once_and_training_goes_on(pairs, tmp_path, monkeypatch):
    said = []
    cache = DecodedCache(tmp_path / "cache", 2**30, said.append)

    def full(path, content, **options):
        raise StandoutError("disk", "no space left on device", path, "free some space")

    monkeypatch.setattr("standout.data.cache.atomic_write", full)
    assert len(epoch(pairs, cache)) == 3
    assert said == [f"decoded pictures are no longer stored: {said[0].split('stored: ')[1]}"]
    assert "no space left" in said[0]


def test_an_unreadable_picture_is_named_as_without_the_cache(pairs, tmp_path):
    pairs[3].image.write_bytes(pairs[3].image.read_bytes()[:200])
    cache = DecodedCache(tmp_path / "cache", 2**30)

    with pytest.raises(StandoutError) as caught:
        cache.read(pairs[3], READING)
    with pytest.raises(StandoutError) as expected:
        READING.decode(pairs[3])
    assert str(caught.value) == str(expected.value)
    assert pairs[3].image.name in str(caught.value)


def test_old_leftovers_are_cleared_and_young_ones_belong_to_somebody(tmp_path):
    (tmp_path / "cache" / "ab").mkdir(parents=True)
    old, young = (tmp_path / "cache" / "ab" / f".standout-{n}-x.tmp" for n in (1, 2))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)

    DecodedCache(tmp_path / "cache", 2**30)

    assert not old.exists()
    assert young.exists()


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StandoutError, match="file"):
        DecodedCache(tmp_path / "file" / "cache", 2**30)


def test_a_file_as_cache_is_a_usage_error_that_says_that_a_folder_is_needed(tmp_path):
    (tmp_path / "mk.py").write_bytes(b"mine")

    with pytest.raises(
        StandoutError, match=r"^the cache must be a folder, this is a file: .*mk.py; .*--cache"
    ) as caught:
        DecodedCache(tmp_path / "mk.py", 2**30)

    assert caught.value.exit_code == 2
    assert (tmp_path / "mk.py").read_bytes() == b"mine"


FILLER = """
import sys
from standout.data.cache import DecodedCache
from standout.data.decoded import Reading
from standout.data.pairs import find_pairs
cache = DecodedCache(sys.argv[2], 2**30)
for pair in find_pairs(sys.argv[1]).pairs * 5:
    cache.read(pair, Reading(longest=400))
"""


def test_two_runs_fill_one_folder_at_once(pairs, tmp_path):
    command = [sys.executable, "-c", FILLER, str(tmp_path / "set"), str(tmp_path / "cache")]
    running = [subprocess.Popen(command) for _ in range(2)]
    assert [one.wait(60) for one in running] == [0, 0]

    assert len(files_of(tmp_path / "cache")) == 9
    cache = DecodedCache(tmp_path / "cache", 2**30)
    for one, other in zip(epoch(pairs, None), epoch(pairs, cache), strict=True):
        assert torch.equal(one.image, other.image)
