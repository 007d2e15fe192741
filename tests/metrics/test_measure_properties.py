"""Twenty properties that hold for any map and mask, on both paths.

Here each is tried on 100 examples; `make reliability` tries 500 (`HYPOTHESIS_PROFILE=deep`).
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from measure_inputs import pairs

from standout.metrics import MEASURES, PROTOCOLS, SaliencyMeasures, mask_weights, score_picture

protocols = st.sampled_from(sorted(PROTOCOLS))
close = {"rel": 1e-12, "abs": 1e-12}
NUMBERS = ("mae", "f_adaptive", "weighted_f", "s", "e_adaptive", "iou")
CURVES = ("precision", "recall", "f", "e")


def same(one, other, names=(*NUMBERS, *CURVES)):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def summed(given_pairs, protocol="raw"):
    measures = SaliencyMeasures(protocol)
    for map_, mask in given_pairs:
        measures.update(map_, mask)
    return measures


@given(pairs(), protocols)
def test_1_all_measures_lie_in_their_ranges(pair, protocol):
    map_, mask = pair
    score = score_picture(map_, mask, protocol=protocol)
    # Margolin's smoothing counts a few units in the last place; E divides by one pixel less.
    for name in ("mae", "f_adaptive", "weighted_f", "s", "iou"):
        assert -1e-12 <= getattr(score, name) <= 1 + 1e-12
    for curve in (score.precision, score.recall, score.f):
        assert 0 <= curve.min() <= curve.max() <= 1
    assert 0 <= score.e.min() <= score.e.max() <= map_.size / (map_.size - 1) + 1e-12


@given(pairs(), protocols)
def test_2_a_perfect_map_scores_perfectly(pair, protocol):
    _, mask = pair
    assume(mask.any() and not mask.all())
    score = score_picture(mask * np.uint8(255), mask, protocol=protocol)
    assert (score.mae, score.f.max(), score.f_adaptive, score.iou) == (0, 1, 1, 1)
    assert score.weighted_f == pytest.approx(1)
    assert score.s == pytest.approx(1)
    assert score.e.max() == pytest.approx(1 if protocol == "sane" else mask.size / (mask.size - 1))


@given(pairs(), protocols)
def test_3_flips_change_only_what_cuts_the_picture(pair, protocol):
    score = score_picture(*pair, protocol=protocol)
    for flip in (np.fliplr, np.flipud):
        other = score_picture(*map(flip, pair), protocol=protocol)
        assert same(score, other, ("mae", "f_adaptive", "e_adaptive", "iou", *CURVES))


@given(pairs(), protocols)
def test_4_transposing_changes_nothing_but_which_nearest_pixel_wins(pair, protocol):
    score, other = (score_picture(*turned, protocol=protocol) for turned in (pair, [part.T for part in pair]))
    assert same(score, other, ("mae", "f_adaptive", "e_adaptive", "iou", *CURVES))
    assert score.s == pytest.approx(other.s, **close)


@given(pairs(), protocols, st.sampled_from([np.float16, np.float32, np.float64]))
def test_5_the_same_levels_score_the_same_in_every_type(pair, protocol, dtype):
    map_, mask = pair
    as_bytes = score_picture(map_, mask * np.uint8(255), protocol=protocol)
    assert same(as_bytes, score_picture((map_ / 255).astype(dtype), mask, protocol=protocol))


@given(st.lists(pairs(), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_6_the_order_of_the_pictures_changes_no_digit(given_pairs, random):
    shuffled = given_pairs.copy()
    random.shuffle(shuffled)
    one, other = summed(given_pairs), summed(shuffled)
    assert one.compute() == other.compute()
    assert all(np.array_equal(curve, other.curves()[name]) for name, curve in one.curves().items())


@given(st.lists(pairs(), min_size=2, max_size=6), st.data())
def test_7_any_split_of_the_pictures_merges_to_the_same_digits(given_pairs, data):
    cut = data.draw(st.integers(0, len(given_pairs)))
    first, second, whole = summed(given_pairs[:cut]), summed(given_pairs[cut:]), summed(given_pairs)
    first.merge(second)
    assert first.compute() == whole.compute()
    assert all(np.array_equal(curve, whole.curves()[name]) for name, curve in first.curves().items())
    assert (first.count, first.empty_masks, first.full_masks) == (whole.count, whole.empty_masks, whole.full_masks)


@given(pairs(), st.integers(2, 9), protocols)
def test_8_a_picture_counted_often_has_its_own_measures(pair, times, protocol):
    once, often = summed([pair], protocol).compute(), summed([pair] * times, protocol).compute()
    assert often == once


@given(pairs())
def test_9_on_an_empty_mask_less_is_better(pair):
    map_, mask = pair
    score = score_picture(map_, np.zeros_like(mask), protocol="raw")
    assert (score.weighted_f, score.f.max(), score.f_adaptive, score.iou) == (0, 0, 0, 0)
    assert score.s == pytest.approx(1 - map_.mean() / 255, **close)
    left = [(map_ < threshold).sum() / (map_.size - 1) for threshold in range(255, -1, -1)]
    assert score.e == pytest.approx(left, **close)


@given(pairs())
def test_10_on_a_full_mask_more_is_better(pair):
    map_, mask = pair
    score = score_picture(map_, np.ones_like(mask), protocol="raw")
    assert score.s == pytest.approx(map_.mean() / 255, **close)
    assert score.mae == pytest.approx(1 - map_.mean() / 255, **close)
    found = [(map_ >= threshold).sum() for threshold in range(255, -1, -1)]
    assert score.e == pytest.approx(np.divide(found, map_.size - 1), **close)
    assert np.array_equal(score.precision, np.sign(found))


@given(pairs(), st.data(), st.sampled_from([np.nan, np.inf, -np.inf]), st.sampled_from([np.float32, np.float64]))
def test_11_what_is_no_number_is_refused_by_name_wherever_it_lies(pair, data, value, dtype):
    map_, mask = (pair[0] / 255).astype(dtype), pair[1]
    map_[data.draw(st.integers(0, map_.shape[0] - 1)), data.draw(st.integers(0, map_.shape[1] - 1))] = value
    measures = SaliencyMeasures()
    with pytest.raises(ValueError, match="NaN or infinity"):
        measures.update(map_, mask)
    assert measures.count == 0


@given(pairs(), st.data(), st.floats(1.0001, 1e30) | st.floats(-1e30, -0.0001))
def test_12_numbers_beyond_the_range_are_refused_by_name(pair, data, value):
    map_, mask = pair[0] / 255, pair[1]
    map_[data.draw(st.integers(0, map_.shape[0] - 1)), data.draw(st.integers(0, map_.shape[1] - 1))] = value
    with pytest.raises(ValueError, match=r"0\.\.1"):
        score_picture(map_, mask)


@given(pairs(), protocols)
def test_13_a_lower_threshold_never_finds_less(pair, protocol):
    score = score_picture(*pair, protocol=protocol)
    assert (np.diff(score.right) >= 0).all()
    assert (np.diff(score.wrong) >= 0).all()
    assert score.right[-1] + score.wrong[-1] == score.pixels
    assert (np.diff(score.recall) >= 0).all()


@given(pairs(), protocols)
def test_14_f_lies_between_precision_and_recall(pair, protocol):
    score = score_picture(*pair, protocol=protocol)
    assert (score.f >= np.minimum(score.precision, score.recall) - 1e-12).all()
    assert (score.f <= np.maximum(score.precision, score.recall) + 1e-12).all()
    at = 255 - 128
    assert score.iou <= min(score.precision[at], score.recall[at]) + 1e-12


@given(pairs())
def test_15_the_opposite_map_makes_the_opposite_error(pair):
    map_, mask = pair
    score = score_picture(map_, mask, protocol="raw")
    assert score.mae + score_picture(255 - map_, mask, protocol="raw").mae == pytest.approx(1, **close)
    assert score_picture(255 - map_, ~mask, protocol="raw").mae == pytest.approx(score.mae, **close)


@given(pairs())
def test_16_a_map_that_spans_everything_is_the_same_stretched(pair):
    map_, mask = pair
    map_.flat[0], map_.flat[-1] = 0, 255
    raw, stretched = (score_picture(map_, mask, protocol=name) for name in ("raw", "pysodmetrics-1.6.2"))
    assert same(raw, stretched)


@given(pairs(), st.floats(0.05, 0.9), st.floats(0, 0.09))
def test_17_under_stretching_brightness_and_contrast_play_no_part(pair, factor, offset):
    map_, mask = pair[0] / 255, pair[1]
    assume(np.ptp(map_) > 0.1)
    one, other = score_picture(map_, mask), score_picture(factor * map_ + offset, mask)
    assert other.mae == pytest.approx(one.mae, abs=1e-9)
    assert other.s == pytest.approx(one.s, abs=1e-6)
    assert other.weighted_f == pytest.approx(one.weighted_f, abs=1e-9)


@given(pairs(), protocols)
def test_18_twice_the_size_changes_no_share(pair, protocol):
    large = [part.repeat(2, axis=0).repeat(2, axis=1) for part in pair]
    one, other = score_picture(*pair, protocol=protocol), score_picture(*large, protocol=protocol)
    assert same(one, other, ("precision", "recall", "f", "iou", "f_adaptive"))
    assert other.mae == pytest.approx(one.mae, **close)


@given(pairs(), protocols, st.sampled_from(["steps", "columns first", "read only"]))
def test_19_how_the_pixels_lie_in_memory_plays_no_part(pair, protocol, kind):
    map_, mask = pair
    if kind == "steps":
        given_pair = [part.repeat(2, axis=0).repeat(3, axis=1)[::2, ::3] for part in pair]
    elif kind == "columns first":
        given_pair = [np.asfortranarray(part) for part in pair]
    else:
        given_pair = [part.copy() for part in pair]
        for part in given_pair:
            part.setflags(write=False)
    before = [part.copy() for part in given_pair]
    assert same(score_picture(*given_pair, protocol=protocol), score_picture(map_, mask, protocol=protocol))
    assert all(np.array_equal(part, copy) for part, copy in zip(given_pair, before, strict=True))


@given(st.lists(pairs(st.just((6, 7))), min_size=1, max_size=4), protocols)
def test_20_maps_may_share_the_part_of_their_mask_and_leave_weighted_f_out(given_pairs, protocol):
    mask = given_pairs[0][1]
    assume(mask.any())
    weights = mask_weights(mask)
    for map_, _ in given_pairs:
        alone = score_picture(map_, mask, protocol=protocol)
        assert same(alone, score_picture(map_, mask, protocol=protocol, weights=weights))
        quick = score_picture(map_, mask, protocol=protocol, weighted=False)
        assert quick.weighted_f is None
        assert same(alone, quick, (*(name for name in NUMBERS if name != "weighted_f"), *CURVES))
    assert tuple(summed([(given_pairs[0][0], mask)]).compute()) == MEASURES
