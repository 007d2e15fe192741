"""Damaged files: whatever the bytes are, a refusal in one line or a picture, and quickly."""

import concurrent.futures
import os
import sys
import time
import warnings
import zlib

import numpy as np
import picture_files as files
import pytest

from standout.errors import StandoutError
from standout.images import encode_image, read_image, read_map, read_mask
from standout.images.body import walk_scans
from standout.images.tiff import exif_orientation

LIMIT = 2.0
"""Processor seconds for files of up to a megapixel: those do not depend on what else the machine does."""


def attempt(read, data):
    """Read once; only our own refusal may come out, and no warning."""
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(data)
    except StandoutError as error:
        told = error
    else:
        told = None
    assert time.process_time() - start < LIMIT
    assert told is None or "\n" not in str(told)
    return "read" if told is None else told.code


def cut_out(data):
    picture = read_image(data)
    alpha = np.full(picture.size, 255, np.uint8) if picture.alpha is None else picture.alpha
    return encode_image(np.dstack([picture.pixels, alpha]))


@pytest.mark.parametrize("name", files.seed_encodings())
def test_p17_mutated_pictures_are_read_or_refused(name):
    """Nineteen mutations of each of sixteen encodings; `benchmarks/mutate_pictures.py` makes more."""
    data = files.seed_encodings()[name]
    rng = np.random.default_rng(len(name) * 1000 + len(data))

    codes = {attempt(cut_out, files.mutated(data, rng)) for _ in range(19)}

    assert codes - {"read"}, "no mutation was refused: the mutations reach nothing"


@pytest.mark.parametrize("read", [read_mask, read_map])
def test_p17_mutated_masks_and_maps_are_read_or_refused(read):
    """Eight mutations of each of twelve ways to store a label; `benchmarks/mutate_pictures.py` makes more."""
    rng = np.random.default_rng(7)

    codes = [attempt(read, files.mutated(seed, rng)) for seed in files.mask_encodings().values() for _ in range(8)]

    assert "read" in codes
    assert len(set(codes)) > 2


def test_unhurt_masks_of_each_encoding_give_one_label_or_ask_for_a_class():
    label = read_mask(files.mask_encodings()["png"]).foreground
    for name, data in files.mask_encodings().items():
        if name == "png-palette":
            with pytest.raises(StandoutError, match="3 colours"):
                read_mask(data)
        elif name != "png-three-levels":  # its edge lies on both sides of the label's
            assert np.mean(read_mask(data).foreground != label) < 0.01, name


def test_p17_random_bytes_behind_each_magic_are_refused():
    rng = np.random.default_rng(3)

    for data in files.seed_encodings().values():
        for length in (0, 1, 20, 400):
            assert attempt(read_image, data[:12] + rng.bytes(length)) != "read"


def test_p17_a_png_whose_data_inflates_for_ever_stops_early():
    bomb = files.png(np.zeros((4, 4), np.uint8))
    at = bomb.index(b"IDAT") - 4
    bomb = bomb[:at] + files.chunk(b"IDAT", zlib.compress(bytes(2**26))) + bomb[-12:]

    assert attempt(read_image, bomb) in ("read", "picture-damaged", "picture-truncated")


def test_p17_texts_over_a_megabyte_do_not_refuse_the_picture():
    picture = files.scene()
    text = files.chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 * 2**20)))

    read = read_image(files.png(picture, before=[text]))

    assert np.array_equal(read.pixels, picture)
    assert read.notes == ()


def test_p17_decoders_print_nothing(capfd):
    """The TIFF decoder writes its own lines past Python to the process's error stream."""
    data = files.seed_encodings()["tiff-lzw"]
    broken = data[:30] + bytes(200) + data[230:]
    rng = np.random.default_rng(0)

    codes = {attempt(read_image, files.mutated(d, rng)) for d in (data, broken) for _ in range(100)}

    assert "picture-damaged" in codes
    sys.stderr.write("still here\n")
    assert capfd.readouterr() == ("", "still here\n")


def test_threads_share_the_silence_and_give_it_back():
    seeds = list(files.seed_encodings().values())
    before, stream = list(warnings.filters), os.fstat(2)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sizes = set(pool.map(lambda data: read_image(data).pixels.size, seeds * 10))

    assert sizes == {40 * 56 * 3}
    assert warnings.filters == before
    assert (os.fstat(2).st_dev, os.fstat(2).st_ino) == (stream.st_dev, stream.st_ino)


def test_p17_a_thousand_damaged_orientation_blocks_and_scan_walks():
    rng = np.random.default_rng(5)
    block = files.exif(6)
    jpeg = files.with_scans(files.seed_encodings()["jpeg-progressive"], 30)
    start = time.process_time()

    found = {exif_orientation(files.mutated(block, rng)) for _ in range(1000)}
    scans = {walk_scans(files.mutated(jpeg, rng))[0] for _ in range(1000)}

    assert found <= {None, *range(1, 9)}
    assert {None, 1, 6} <= found
    assert 30 in scans
    assert max(scans) <= 10_000
    assert time.process_time() - start < 10
