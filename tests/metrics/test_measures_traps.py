"""The eighteen parity traps of pysodmetrics 1.6.2, one test each, named after its number."""

import itertools
import math

import numpy as np
import pytest
from measure_inputs import reference

from oracles import measures as oracle
from standout.metrics import SaliencyMeasures, mask_weights, score_picture
from standout.metrics.counts import centroid, count_picture
from standout.metrics.curves import EPSILON
from standout.metrics.protocols import PROTOCOLS
from standout.metrics.weighted import FAR, weighted_f

STRETCHED, RAW = PROTOCOLS["pysodmetrics-1.6.2"], PROTOCOLS["raw"]


def pair(height=7, width=11, seed=0):
    random = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    mask[1 : height // 2 + 1, 2 : width // 2 + 2] = True
    return random.integers(0, 256, (height, width)).astype(np.uint8), mask


def test_trap_01_a_map_is_divided_by_255_and_then_stretched_in_these_float_steps():
    wrong_in_integers = 0
    for low, high in [(1, 9), (0, 255), (0, 75), (25, 110)]:
        levels = np.arange(low, high + 1, dtype=np.uint8)[None]
        picture = count_picture(levels, levels > 9, STRETCHED)
        stored = levels[0] / 255
        expected = (stored - stored.min()) / (stored.max() - stored.min())
        assert np.array_equal(picture.values[levels[0]], expected)
        assert np.array_equal(picture.bins[levels[0]], (expected * 255).astype(np.uint8))
        in_integers = (levels[0].astype(int) - low) * 255 // (high - low)
        wrong_in_integers += np.count_nonzero(picture.bins[levels[0]] != in_integers)
    assert wrong_in_integers > 0  # the shortcut that this order guards against does differ


def test_trap_02_a_map_of_one_value_is_not_stretched():
    mask = np.array([[True, False, False, False]])
    score = score_picture(np.full((1, 4), 37, np.uint8), mask)
    assert score.mae == pytest.approx((1 - 37 / 255 + 3 * 37 / 255) / 4, abs=1e-15)
    assert score.constant_map


def test_trap_03_a_mask_is_foreground_strictly_above_128():
    stored = np.array([[0, 1, 127], [128, 129, 255]], np.uint8)
    map_, _ = pair(2, 3)
    expected = score_picture(map_, np.array([[False, False, False], [False, True, True]]))
    assert score_picture(map_, stored).mae == expected.mae
    assert score_picture(map_, stored).s == expected.s


def test_trap_04_curves_run_from_threshold_255_down_to_0_with_at_least():
    map_, mask = np.array([[0, 100, 200, 255]], np.uint8), np.array([[False, False, True, True]])
    score = score_picture(map_, mask)
    assert score.recall[0] == 0.5  # only the pixel of level 255
    assert score.recall[255 - 200] == 1
    assert score.recall[255 - 201] == 0.5
    assert score.precision[255] == 0.5  # threshold 0 is the whole picture
    assert score.f.shape == (256,)
    measures = SaliencyMeasures()
    measures.update(map_, mask)
    assert measures.compute()["f_mean"] == pytest.approx(score.f.mean(), abs=1e-15)


def test_trap_05_the_centroid_is_the_mean_rounded_half_to_even_plus_one():
    mask = np.zeros((8, 8), bool)
    mask[2:4, 3:5] = True  # means 2.5 and 3.5
    assert centroid(mask) == (3, 5)
    assert centroid(np.zeros((5, 7), bool)) == (3, 5)  # round(2.5) + 1, round(3.5) + 1
    random = np.random.default_rng(5)
    for _ in range(200):
        mask = random.random(random.integers(2, 40, 2)) < random.uniform(0.01, 0.9)
        if mask.any():
            row, column = np.argwhere(mask).mean(axis=0)
            assert centroid(mask) == (round(row) + 1, round(column) + 1)


def test_trap_06_a_quadrant_without_pixels_weighs_nothing():
    map_, mask = np.zeros((4, 5), np.uint8), np.zeros((4, 5), bool)
    map_[-1, -1], map_[0, 0] = 200, 100
    mask[-1, -1] = True  # the centroid plus one lies outside: one quadrant holds everything
    score = score_picture(map_, mask)
    assert score.s == pytest.approx(oracle.s(oracle.stretched(map_.tolist()), mask.tolist()), abs=1e-15)
    assert score.s == pytest.approx(0.8824545020399378, abs=1e-14)  # pysodmetrics says NaN
    own = [row for row in reference()["own"] if row[3].startswith("trap 6")]
    assert own
    numbers = [reference()[f"numbers {protocol}"][int(at)][3] for protocol, at, _, _ in own]
    assert np.isfinite(numbers).all()


@pytest.mark.parametrize("level", [1, 37, 100, 128, 201, 254])
def test_trap_07_a_constant_quadrant_is_told_by_its_counts_not_by_rounding(level):
    map_ = np.full((9, 13), level, np.uint8)
    mask = np.zeros((9, 13), bool)
    mask[0:3, 0:4] = True
    found = score_picture(map_, mask).s
    row, column = centroid(mask)
    quadrants = [mask[:row, :column], mask[:row, column:], mask[row:, :column], mask[row:, column:]]
    # a constant map scores 1 where the mask is constant too, else 0
    regions = sum(part.size for part in quadrants if part.all() or not part.any()) / mask.size
    assert 0 < regions < 1
    value, share = level / 255, mask.mean()
    objects = share * 2 * value / (value**2 + 1) + (1 - share) * 2 * (1 - value) / ((1 - value) ** 2 + 1)
    assert found == pytest.approx(0.5 * objects + 0.5 * regions, abs=1e-14)


def test_trap_08_among_equally_near_pixels_the_leftmost_column_then_the_topmost_row_wins():
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)
    weights = mask_weights(cross)
    assert weights.nearest[list(weights.ring).index(4)] == 3  # left of top, right and bottom
    corners = np.zeros((3, 3), bool)
    corners[0, 1] = corners[2, 1] = True
    weights = mask_weights(corners)
    assert weights.nearest[list(weights.ring).index(4)] == 1  # the upper one
    random = np.random.default_rng(8)
    for _ in range(60):
        mask = random.random(random.integers(2, 12, 2)) < 0.15
        if not mask.any():
            continue
        weights = mask_weights(mask)
        background = np.flatnonzero(~mask)
        near = {at: oracle.nearest(mask, *divmod(int(at), mask.shape[1])) for at in background}
        for at, nearest in zip(weights.ring, weights.nearest, strict=True):
            assert divmod(int(nearest), mask.shape[1]) == near[at][1:]
        expected = [2 - math.exp(math.log(0.5) / 5 * math.sqrt(near[at][0])) for at in background]
        np.testing.assert_allclose(weights.background, expected, rtol=0, atol=1e-15)


def test_trap_09_the_window_has_zeros_beyond_the_border():
    map_, mask = np.zeros((9, 9)), np.ones((9, 9), bool)
    # All errors are 1; away from the border the window keeps them, at the border it darkens them.
    taps = np.exp(-(np.arange(-3, 4) ** 2) / 50)
    taps /= taps.sum()
    seen = np.convolve(np.ones(9), taps, mode="same")
    missed = np.outer(seen, seen).sum()
    recall = 1 - missed / 81
    precision = (81 - missed) / (81 - missed + EPSILON)
    assert weighted_f(map_, mask) == pytest.approx(2 * recall * precision / (recall + precision), abs=1e-12)


def test_trap_10_smoothing_only_lowers_errors_on_the_object_and_far_background_weighs_two():
    mask = np.zeros((1, 2 * FAR + 60), bool)
    mask[0, 0] = True
    weights = mask_weights(mask).background
    exact = 2 - np.exp(math.log(0.5) / 5 * np.arange(1, mask.size, dtype=float))
    assert np.array_equal(weights, exact)
    assert weights[FAR] == 2
    map_, mask = pair()
    values = map_ / 255
    worse = values.copy()
    worse[~mask] = 0
    assert weighted_f(worse, mask) > weighted_f(values, mask)
    assert weighted_f(values, mask) == pytest.approx(oracle.weighted_f(values, mask), abs=1e-14)


def test_trap_11_e_is_divided_by_one_pixel_less_so_a_perfect_map_scores_above_one():
    _, mask = pair(30, 40)
    perfect = score_picture(np.where(mask, 255, 0).astype(np.uint8), mask)
    assert perfect.e.max() == pytest.approx(1200 / 1199, abs=1e-12)
    single = score_picture(np.array([[255]], np.uint8), np.array([[True]]))
    assert single.e_adaptive == pytest.approx(1 / EPSILON)
    assert np.spacing(1) == EPSILON


def test_trap_12_an_object_of_one_pixel_has_no_deviation():
    map_, mask = np.array([[10, 250, 20], [30, 40, 0]], np.uint8), np.zeros((2, 3), bool)
    mask[0, 1] = True
    score = score_picture(map_, mask)
    assert np.isfinite(score.s)
    assert score.s == pytest.approx(oracle.s(oracle.stretched(map_.tolist()), mask.tolist()), abs=1e-14)


@pytest.mark.parametrize(
    ("map_", "mask", "f_adaptive", "e_adaptive"),
    [
        # Levels lie on the adaptive threshold exactly; numpy's mean rounds above it and pysodmetrics loses them.
        (
            [[0, 43], [0, 43], [43, 129], [0, 86], [0, 0], [86, 86]],
            [[0, 1], [1, 0], [1, 0], [0, 0], [0, 0], [1, 1]],
            0.4727272727272727,
            0.6255112833439629,
        ),
        ([[30, 30], [30, 30], [60, 30], [60, 90]], [[0, 1], [1, 1], [1, 0], [0, 0]], 13 / 42, 0.41400798844225356),
        (
            [[50, 0], [0, 50], [50, 50], [0, 100], [150, 50]],
            [[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]],
            0.37142857142857144,
            0.42835976766139655,
        ),
    ],
)
def test_trap_13_a_value_on_the_adaptive_threshold_is_found(map_, mask, f_adaptive, e_adaptive):
    map_, mask = np.array(map_, np.uint8), np.array(mask, bool)
    score = score_picture(map_, mask)
    assert score.f_adaptive == pytest.approx(f_adaptive, abs=1e-14)
    assert score.e_adaptive == pytest.approx(e_adaptive, abs=1e-14)
    white = score_picture(np.full((3, 3), 255, np.uint8), np.eye(3, dtype=bool))
    assert white.f_adaptive == pytest.approx(1.3 * (1 / 3) / (0.3 / 3 + 1))  # threshold 1, nothing is lost


def test_trap_14_empty_and_full_masks_have_answers():
    map_, _ = pair()
    for mask, black in itertools.product((np.zeros((7, 11), bool), np.ones((7, 11), bool)), (True, False)):
        used = np.zeros_like(map_) if black else map_
        score = score_picture(used, mask)
        values = np.array(oracle.stretched(used.tolist()))
        assert score.s == pytest.approx(values.mean() if mask.any() else 1 - values.mean(), abs=1e-14)
        called = np.array([np.count_nonzero((values * 255).astype(int) >= level) for level in range(255, -1, -1)])
        share = called if mask.any() else 77 - called
        np.testing.assert_allclose(score.e, share / 76, rtol=0, atol=1e-14)
        if not mask.any():
            assert score.weighted_f == 0
            assert not score.f.any()
    measures = SaliencyMeasures()
    measures.update(map_, np.zeros((7, 11), bool))
    measures.update(map_, np.ones((7, 11), bool))
    measures.update(np.zeros_like(map_), pair()[1])
    assert (measures.empty_masks, measures.full_masks, measures.constant_maps) == (1, 1, 1)


def test_trap_15_f_weighs_precision_by_0_3_and_weighted_f_evenly():
    map_, mask = np.array([[255, 255, 0, 0]], np.uint8), np.array([[True, False, False, False]])
    score = score_picture(map_, mask)
    assert score.f[0] == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1))
    assert score_picture(map_ // 255, mask, protocol="raw").precision[0] == 0  # nothing found
    error_weight = 2 - 0.5 ** (1 / 5)
    assert score.weighted_f == pytest.approx(2 / (1 + error_weight) / (1 / (1 + error_weight) + 1))


def test_trap_16_max_f_is_the_maximum_of_the_mean_curve():
    mask = np.array([[True, True, False, False]])
    first, second = np.array([[255, 255, 90, 0]], np.uint8), np.array([[80, 80, 0, 200]], np.uint8)
    measures = SaliencyMeasures("raw")
    curves = []
    for map_ in (first, second):
        measures.update(map_, mask)
        curves.append(score_picture(map_, mask, protocol="raw").f)
    assert measures.compute()["f_max"] == pytest.approx(np.mean(curves, axis=0).max(), abs=1e-15)
    assert measures.compute()["f_max"] < np.mean([curve.max() for curve in curves]) - 0.05


def test_trap_17_the_peer_is_pinned_and_its_figures_are_files():
    assert SaliencyMeasures().protocol.name == "pysodmetrics-1.6.2"
    assert len(reference()["kinds"]) >= 60


def test_trap_18_a_map_of_another_size_is_refused():
    map_, mask = pair()
    with pytest.raises(ValueError, match=r"\(7, 10\).*\(7, 11\)"):
        score_picture(map_[:, :-1], mask)
