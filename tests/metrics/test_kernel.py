"""The compiled path against NumPy's, bit by bit, and what the compiled functions refuse."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_inputs import pairs, stored_pairs

from oracles import measures as oracle
from standout.metrics import PROTOCOLS, SaliencyMeasures, distances, kernel, mask_weights, score_picture
from standout.metrics.counts import centroid
from standout.metrics.distances import FAR
from standout.metrics.sums import ExactSum
from standout.metrics.weighted import distance_classes, window_taps

LARGE = st.tuples(st.integers(1, 40), st.integers(1, 40))
BUILT = kernel.compiled


@pytest.fixture(autouse=True)
def compiled(path):
    if path == "numpy":
        pytest.skip("these tests run both paths by themselves")


def on_both(call):
    """What a call gives on the compiled path and on NumPy's."""
    results = []
    for path in (BUILT, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernel, "compiled", path)
            results.append(call())
    return results


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@given(pairs(LARGE), st.sampled_from(sorted(PROTOCOLS)))
@settings(max_examples=300)
def test_both_paths_give_the_same_bits(pair, protocol):
    map_, mask = pair
    assert same(*on_both(lambda: score_picture(map_, mask, protocol=protocol)))
    assert np.array_equal(*on_both(lambda: score_picture(map_, mask, protocol=protocol, weighted=False).curves()))
    assert len(set(on_both(lambda: centroid(mask)))) == 1
    if mask.any():
        assert same(*on_both(lambda: mask_weights(mask)))


def test_both_paths_give_the_same_bits_on_the_stored_pairs_and_their_sums():
    def run():
        measures = SaliencyMeasures()
        for _, map_, mask in stored_pairs():
            measures.update(map_, mask)
        return measures.compute(), [curve.tobytes() for curve in measures.curves().values()]

    one, other = on_both(run)
    assert one == other


@pytest.mark.parametrize("kind", ["outline", "scattered", "far columns", "far rows", "one pixel", "comb"])
def test_distances_and_nearest_pixels_follow_their_definition(kind):
    random = np.random.default_rng(4)
    mask = np.zeros((47, 61), bool)
    if kind == "outline":
        rows, columns = np.mgrid[:47, :61]
        mask = (rows - 20) ** 2 + 0.6 * (columns - 25) ** 2 < 150 + 30 * random.random(mask.shape)
    elif kind == "scattered":
        mask = random.random(mask.shape) < 0.01
    elif kind == "far columns":
        mask = np.zeros((3, 2 * FAR + 9), bool)
        mask[1, 4] = mask[2, -1] = True
    elif kind == "far rows":
        mask = np.zeros((2 * FAR + 9, 3), bool)
        mask[4, 1] = mask[-1, 2] = True
    elif kind == "one pixel":
        mask[46, 0] = True
    elif kind == "comb":
        mask[::7, ::5] = True
    weights = mask_weights(mask)
    inside = np.argwhere(mask)
    at = np.argwhere(np.ones_like(mask))
    squared = np.full(mask.size, FAR * FAR)
    for pixel in inside:
        np.minimum(squared, ((at - pixel) ** 2).sum(axis=1), out=squared)
    assert np.array_equal(weights.classes.ravel(), distance_classes().of_squared[squared])
    assert np.array_equal(weights.ring, np.flatnonzero((squared > 0) & (squared <= 18)))
    for one, nearest in zip(weights.ring[::3], weights.nearest[::3], strict=True):
        assert divmod(int(nearest), mask.shape[1]) == oracle.nearest(mask, *divmod(int(one), mask.shape[1]))[1:]


@pytest.mark.parametrize("seed", range(12))
def test_wide_and_tall_masks_have_the_same_distances_on_both_paths(seed):
    """Far beyond `FAR` and beyond what NumPy's path takes at once, with few, many and lumped pixels."""
    random = np.random.default_rng(seed)
    height, width = random.permutation([int(random.integers(1, 60)), int(random.integers(280, 900))])
    mask = random.random((height, width)) < random.choice([2e-4, 0.01, 0.4])
    top, left = random.integers(height), random.integers(width)
    mask[top : top + random.integers(1, 40), left : left + random.integers(1, 200)] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "PIXELS_AT_ONCE", int(random.choice([1, 5000, distances.PIXELS_AT_ONCE])))
        assert same(*on_both(lambda: mask_weights(mask)))


def test_pictures_in_any_memory_order_score_the_same():
    _, map_, mask = next(stored_pairs())
    wide, tall = np.repeat(map_, 2, axis=1), np.repeat(mask, 2, axis=1)
    expected = score_picture(map_, mask)
    assert same(score_picture(wide[:, ::2], tall[:, ::2]), expected)
    assert same(score_picture(np.asfortranarray(map_), np.asfortranarray(mask > 128)), expected)
    odd_bools = np.where(mask > 128, 7, 0).astype(np.uint8).view(bool)
    assert score_picture(map_, odd_bools).mae == expected.mae


def test_the_part_of_one_mask_is_refused_for_a_mask_of_another_size():
    _, map_, mask = next(stored_pairs())
    other = mask_weights(np.ones((mask.shape[0] + 1, mask.shape[1]), bool))

    def refused():
        with pytest.raises(ValueError, match="weights"):
            score_picture(map_, mask, weights=other)

    on_both(refused)
    with pytest.raises(ValueError, match="empty"):
        mask_weights(np.zeros((3, 3), bool))


def test_a_score_survives_another_process():
    _, map_, mask = next(stored_pairs())
    score = score_picture(map_, mask)
    assert same(pickle.loads(pickle.dumps(score)), score)


@given(st.lists(st.floats(0, 4) | st.floats(-(2.0**62), 2.0**62), min_size=1, max_size=20))
def test_sums_are_the_same_integers_on_both_paths(values):
    def run():
        total = ExactSum((len(values),))
        for _ in range(3):
            total.add(np.array(values))
        return total.parts

    assert np.array_equal(*on_both(run))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**63])
def test_sums_refuse_what_no_integer_holds(value):
    def refused():
        total = ExactSum((2,))
        with pytest.raises(ValueError, match="finite"):
            total.add(np.array([1.0, value]))
        with pytest.raises(ValueError, match="shape"):
            total.add(np.ones(3))
        assert not total.parts.any()

    on_both(refused)


def arguments():
    """For each compiled function a call that it takes."""
    map_, mask = np.arange(30, dtype=np.uint8).reshape(5, 6), np.zeros((5, 6), bool)
    mask[2, 2:4] = True
    counts = np.zeros((4, 2, 256), np.int64)
    counts[0, 0, 3] = 5
    found = np.zeros(256, np.int64)
    weights = mask_weights(mask)
    table = distance_classes()
    return {
        "centroid": (mask,),
        "count": (map_, mask, 3, 3, counts.copy()),
        "numbers": (counts, True, np.empty(256), found.copy(), found.copy()),
        "curves": (found, found, 2, 30, np.empty((4, 256))),
        "distances": (mask, table.of_squared, np.empty((5, 6), np.uint16)),
        "weigh": (map_, mask, np.arange(256) / 255, table.weights, window_taps(), *weights),
        "add": (np.ones(3), np.zeros((4, 3), np.int64)),
    }


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


WRITTEN = {"count": {4}, "numbers": {2, 3, 4}, "curves": {4}, "distances": {2}, "add": {1}}


@pytest.mark.parametrize("name", sorted(arguments()) if BUILT else [])
def test_every_wrong_buffer_is_refused(name):
    function, good = getattr(BUILT, name), arguments()[name]
    function(*good)
    for at, value in enumerate(good):
        wrong = [None, 1.5, b"bytes", "text"]
        if isinstance(value, np.ndarray):
            wrong += [
                value.astype(np.complex64),
                value.astype(value.dtype.newbyteorder(">")) if value.itemsize > 1 else [],
                value[..., None],
                value.ravel()[:0],
                value.astype(object),
            ]
            wrong += [np.repeat(value, 2, axis=-1)[..., ::2]] if value.size > 1 else []
            unaligned = np.zeros(value.nbytes + 1, np.uint8)[1:].view(value.dtype).reshape(value.shape)
            wrong += [unaligned] if value.itemsize > 1 else []
            wrong += [read_only(value)] if at in WRITTEN.get(name, ()) else []
            if name not in ("centroid", "add") and value.ndim > 1:
                wrong += [np.concatenate([value, value])]
        for one in wrong:
            if name == "numbers" and at == 1:
                continue  # any object has a truth value
            with pytest.raises((TypeError, ValueError, BufferError)):
                function(*good[:at], one, *good[at + 1 :])
    with pytest.raises(TypeError):
        function(*good[:-1])


def test_forged_numbers_are_refused_before_they_are_used():
    good = arguments()
    map_, mask, values, weights, taps, classes, ring, nearest, box = good["weigh"]
    forged = [
        (ring[::-1].copy(), nearest, box),
        (ring - 100, nearest, box),
        (ring, nearest + 1000, box),
        (ring, nearest - 1000, box),
        (ring[:-1], nearest, box),
        *((ring, nearest, wrong) for wrong in [(0, 6, 0, 1), (-1, 2, 0, 1), (2, 2, 0, 1), (0, 1, 3, 7), (3, 2, 0, 1)]),
    ]
    for parts in forged:
        with pytest.raises(ValueError, match=r"ring|nearest|box"):
            BUILT.weigh(map_, mask, values, weights, taps, classes, *parts)
    BUILT.weigh(map_, mask, values, weights, taps, np.full_like(classes, 65535), ring, nearest, box)
    counts = good["numbers"][0]
    for wrong in (counts * 0, -counts, counts * 2**60):
        with pytest.raises(ValueError, match="counts"):
            BUILT.numbers(wrong, *good["numbers"][1:])
    found = good["curves"][0]
    for right, foreground, pixels in [(found + 3, 2, 30), (found - 1, 2, 30), (found, 31, 30), (found, -1, 30)]:
        with pytest.raises(ValueError, match="more pixels"):
            BUILT.curves(right, found, foreground, pixels, good["curves"][4])
    with pytest.raises(ValueError, match="negative"):
        BUILT.count(map_, mask, -1, 2, good["count"][4])
    BUILT.count(map_, mask, 10**9, 10**9, good["count"][4])
    assert good["count"][4][0].sum() == map_.size


def test_the_environment_can_choose_numpy():
    check = "from standout.metrics import KERNEL; print(KERNEL)"
    for chosen, expected in (("numpy", "numpy"), ("", "compiled")):
        environment = os.environ | {"STANDOUT_KERNEL": chosen}
        done = subprocess.run(
            [sys.executable, "-c", check], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout.strip() == expected


def test_the_compiled_part_is_small():
    from pathlib import Path

    assert Path(BUILT.__file__).stat().st_size < 100_000
