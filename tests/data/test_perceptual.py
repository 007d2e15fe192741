import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from standout.data.perceptual import MOST_BITS, Print, look_alikes, take_print
from standout.images import read_image


def photo(seed, rows=120, columns=160):
    """A picture with structure at all scales, as photos have."""
    random = np.random.default_rng(seed)
    total = np.zeros((rows, columns, 3))
    for cells in (3, 6, 12, 24):
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((columns, rows), Image.Resampling.BICUBIC), float) / cells
    total -= total.min()
    return np.rint(total * (255 / total.max())).astype(np.uint8)


def encoded(pixels, kind="JPEG", quality=50, scale=1.0, mirrored=False):
    picture = Image.fromarray(pixels[:, ::-1] if mirrored else pixels)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=quality)
    return read_image(buffer.getvalue()).pixels


def print_by_definition(grey):
    """The 64 signs, by the double sum that defines the transform, for a grey picture (32, 32)."""
    bits = 0
    for v in range(1, 9):
        for u in range(1, 9):
            total = sum(
                grey[y, x] * np.cos(np.pi * (2 * y + 1) * v / 64) * np.cos(np.pi * (2 * x + 1) * u / 64)
                for y in range(32)
                for x in range(32)
            )
            bits = bits << 1 | int(total > 0)
    return bits


def test_the_hash_is_the_sign_of_the_transforms_coefficients():
    grey = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)

    taken = take_print(np.repeat(grey[..., None], 3, axis=2))

    assert taken.bits == print_by_definition(grey.astype(float))
    blocks = grey.reshape(16, 2, 16, 2).mean(axis=(1, 3))
    assert np.abs(np.frombuffer(taken.thumbnail, np.uint8).reshape(16, 16) - blocks).max() <= 0.5


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("kind", "quality", "scale"), [("JPEG", 75, 1), ("JPEG", 40, 0.5), ("WEBP", 50, 0.7)])
def test_a_copy_is_found_after_encoding_resizing_and_mirroring(kind, quality, scale, mirrored):
    pictures = [photo(seed) for seed in range(40)]
    copies = [encoded(picture, kind, quality, scale, mirrored) for picture in pictures]

    found = list(look_alikes([take_print(picture) for picture in (*pictures, *copies)]))

    assert {(one.first, one.second) for one in found} == {(k, k + 40) for k in range(40)}
    assert {one.mirrored for one in found} == {mirrored}
    assert all(one.bits <= MOST_BITS and one.correlation > 0.98 for one in found)


def test_different_pictures_are_no_copies():
    prints = [take_print(photo(seed)) for seed in range(300)]

    assert list(look_alikes(prints)) == []
    # 44,850 pairs of 64 independent bits lie 32 apart, give or take 4.
    bits = np.array([[taken.bits >> k & 1 for k in range(64)] for taken in prints])
    distances = (bits[:, None] != bits[None]).sum(axis=2)[np.triu_indices(300, 1)]
    assert 31 < distances.mean() < 33
    assert distances.min() > MOST_BITS


def test_a_flat_picture_has_no_print():
    assert take_print(np.full((50, 40, 3), 77, np.uint8)) is None
    assert take_print(np.full((1, 1, 3), 7, np.uint8)) is None


WORDS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=24)


@settings(max_examples=60)
@given(words=WORDS, flips=st.lists(st.integers(0, 63), max_size=12), most=st.integers(0, 20))
def test_the_search_finds_every_pair_within_the_distance_and_no_other(words, flips, most):
    near = words[0]
    for place in flips:
        near ^= 1 << place
    # Odd frequencies along a row are the first, third, ... bit of each byte, from its most significant one.
    turned = words[-1] ^ 0xAAAAAAAAAAAAAAAA
    words = [*words, near, turned]
    thumbnail = bytes(range(256))
    even = bytes(np.tile(np.concatenate([np.arange(8), np.arange(8)[::-1]]), 16).astype(np.uint8))

    direct = {
        (one.first, one.second): one.bits
        for one in look_alikes([Print(word, thumbnail) for word in words], most_bits=most, least_correlation=-1)
        if not one.mirrored
    }
    mirrored = {
        (one.first, one.second): one.bits
        for one in look_alikes([Print(word, even) for word in words], most_bits=most)
        if one.mirrored
    }

    pairs = [(i, k) for k in range(len(words)) for i in range(k)]
    apart = {(i, k): (words[i] ^ words[k]).bit_count() for i, k in pairs}
    apart_turned = {(i, k): (words[i] ^ words[k] ^ 0xAAAAAAAAAAAAAAAA).bit_count() for i, k in pairs}
    assert direct == {pair: bits for pair, bits in apart.items() if bits <= most}
    assert mirrored == {pair: bits for pair, bits in apart_turned.items() if bits <= most}


def test_blocks_change_nothing(monkeypatch):
    prints = [take_print(photo(seed)) for seed in range(20)]
    prints += [take_print(encoded(photo(seed), mirrored=seed % 2)) for seed in range(20)]
    whole = sorted(look_alikes(prints))

    monkeypatch.setattr("standout.data.perceptual.BLOCK", 7)

    assert len(whole) == 20
    assert sorted(look_alikes(prints)) == whole


def test_thumbnails_decide_where_the_hash_is_not_enough():
    one = take_print(photo(1))
    other = Print(one.bits, take_print(photo(2)).thumbnail)

    assert list(look_alikes([one, other])) == []
    assert len(list(look_alikes([one, other], least_correlation=-1))) == 1
    assert list(look_alikes([])) == []
