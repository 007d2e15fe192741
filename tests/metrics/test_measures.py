"""The measures against plain definitions, their running sums, and what they refuse."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_inputs import pairs, stored_pairs

from oracles import measures as oracle
from standout.errors import StandoutError
from standout.metrics import MEASURES, PROTOCOLS, SaliencyMeasures, mask_weights, score_picture
from standout.metrics.sums import ExactSum

protocols = st.sampled_from(sorted(PROTOCOLS))
close = {"rel": 1e-12, "abs": 1e-12}


@given(pairs(), protocols)
@settings(max_examples=150)
def test_all_measures_agree_with_their_definitions(pair, protocol):
    map_, mask = pair
    if protocol == "sane" and not mask.any():
        mask = ~mask  # its answers for empty masks have a test of their own
    values = oracle.stretched(map_.tolist(), PROTOCOLS[protocol].stretch)
    score = score_picture(map_, mask, protocol=protocol)
    share = (mask.size - 1) / mask.size if protocol == "sane" else 1
    assert score.mae == pytest.approx(oracle.mae(values, mask), **close)
    assert score.s == pytest.approx(oracle.s(values, mask.tolist()), **close)
    assert score.iou == oracle.iou(values, mask)
    f_adaptive, e_adaptive = oracle.adaptive(values, mask)
    assert (score.f_adaptive, score.e_adaptive) == pytest.approx((f_adaptive, share * e_adaptive), **close)
    assert score.weighted_f == pytest.approx(oracle.weighted_f(values, mask), **close)
    for threshold in (0, 1, 60, 128, 254, 255):
        precision, recall = oracle.precision_recall(values, mask, threshold)
        at = 255 - threshold
        assert (score.precision[at], score.recall[at]) == pytest.approx((precision, recall), **close)
        assert score.f[at] == pytest.approx(oracle.f(precision, recall), **close)
        assert score.e[at] == pytest.approx(share * oracle.e(oracle.found_at(values, threshold), mask), **close)


@given(pairs(), st.booleans())
def test_sane_says_of_an_empty_mask_whether_the_map_agrees(pair, black):
    map_, mask = pair
    map_, empty = map_ * np.uint8(not black), np.zeros_like(mask)
    score = score_picture(map_, empty, protocol="sane")
    finds = np.array([(map_ >= threshold).any() for threshold in range(255, -1, -1)])
    assert np.array_equal(score.precision, ~finds)
    assert np.array_equal(score.f, ~finds)
    assert (score.recall == 1).all()
    assert score.e == pytest.approx([1 - (map_ >= threshold).mean() for threshold in range(255, -1, -1)], **close)
    assert score.weighted_f == pytest.approx(1 - map_.mean() / 255, **close)
    assert score.s == pytest.approx(1 - map_.mean() / 255, **close)
    assert score.iou == float(not (map_ >= 128).any())
    called = (map_ >= min(2 * int(map_.sum()) / map_.size, 255)) & map_.any()
    assert score.f_adaptive == float(not called.any())
    assert score.e_adaptive == pytest.approx(1 - called.mean(), **close)
    assert score_picture(map_, empty, protocol="sane", weighted=False).weighted_f is None


@given(pairs())
def test_sane_differs_from_raw_only_in_e_where_the_mask_is_not_empty(pair):
    map_, mask = pair
    mask[0, 0] = True
    raw, sane = (score_picture(map_, mask, protocol=protocol) for protocol in ("raw", "sane"))
    for name in ("mae", "s", "weighted_f", "iou", "f_adaptive"):
        assert getattr(raw, name) == getattr(sane, name)
    assert np.array_equal(raw.curves()[:3], sane.curves()[:3])
    assert sane.e.max() <= 1
    assert sane.e == pytest.approx(np.minimum(raw.e * (mask.size - 1) / mask.size, 1), **close)


def test_grey_masks_and_255_thresholds_follow_the_protocol():
    rules = PROTOCOLS["raw"]
    mask = np.array([[0, 100, 128, 129, 255]], np.uint8)
    map_ = np.array([[0, 1, 2, 200, 255]], np.uint8)
    for above, count in ((128, 2), (127, 3), (0, 4)):
        assert score_picture(map_, mask, protocol=rules._replace(mask_above=above)).foreground == count
    whole, fewer = SaliencyMeasures(rules), SaliencyMeasures(rules._replace(thresholds=255))
    for measures in (whole, fewer):
        measures.update(map_, mask)
    without = [at for at in range(256) if at != 254]  # level 1
    for name, curve in whole.curves().items():
        assert np.array_equal(fewer.curves()[name], curve[without])
    assert fewer.compute()["f_mean"] == pytest.approx(whole.curves()["f"][without].mean())


@given(pairs(), protocols)
def test_all_measures_lie_in_their_ranges(pair, protocol):
    map_, mask = pair
    score = score_picture(map_, mask, protocol=protocol)
    # Margolin's smoothing counts a few units in the last place; E divides by one pixel less.
    for name in ("mae", "f_adaptive", "weighted_f", "s", "iou"):
        assert -1e-12 <= getattr(score, name) <= 1 + 1e-12
    for curve in (score.precision, score.recall, score.f):
        assert 0 <= curve.min() <= curve.max() <= 1
    assert 0 <= score.e.min() <= score.e.max() <= map_.size / (map_.size - 1) + 1e-12


@given(pairs())
def test_a_perfect_map_scores_perfectly(pair):
    _, mask = pair
    if mask.any() and not mask.all():
        score = score_picture(np.where(mask, 255, 0).astype(np.uint8), mask)
        assert (score.mae, score.f.max(), score.iou) == (0, 1, 1)
        assert score.weighted_f == pytest.approx(1)
        assert score.f_adaptive == 1
        if min(mask.sum(), (~mask).sum()) > 0:
            assert score.s == pytest.approx(1)


@given(pairs())
def test_flipping_and_transposing_change_only_what_cuts_the_picture(pair):
    map_, mask = pair
    score = score_picture(map_, mask)
    for turned in (np.fliplr, np.flipud, np.transpose):
        other = score_picture(turned(map_), turned(mask))
        for name in ("precision", "recall", "f", "e"):
            assert np.array_equal(getattr(score, name), getattr(other, name))
        assert (score.mae, score.f_adaptive, score.e_adaptive, score.iou) == (
            other.mae,
            other.f_adaptive,
            other.e_adaptive,
            other.iou,
        )
    assert score.s == pytest.approx(score_picture(map_.T, mask.T).s, **close)


@given(pairs(), protocols, st.sampled_from([np.float16, np.float32, np.float64]))
def test_the_same_levels_score_the_same_in_every_type(pair, protocol, dtype):
    map_, mask = pair
    as_bytes = score_picture(map_, np.where(mask, 255, 0).astype(np.uint8), protocol=protocol)
    as_floats = score_picture((map_ / 255).astype(dtype), mask, protocol=protocol)
    for one, other in zip(as_bytes, as_floats, strict=True):
        assert np.array_equal(one, other)


@given(st.integers(0, 2**32 - 1), protocols)
@settings(max_examples=60)
def test_float_maps_are_scored_at_their_own_values(seed, protocol):
    random = np.random.default_rng(seed)
    map_, mask = random.random((6, 8)) * 0.8 + 0.1, random.random((6, 8)) > 0.6
    values = map_
    if PROTOCOLS[protocol].stretch:
        values = (map_ - map_.min()) / (map_.max() - map_.min())
    score = score_picture(map_, mask, protocol=protocol)
    assert score.mae == pytest.approx(np.abs(values - mask).mean(), **close)
    assert score.s == pytest.approx(oracle.s(values.tolist(), mask.tolist()), **close)
    assert score.weighted_f == pytest.approx(oracle.weighted_f(values, mask), **close)
    for threshold in (0, 77, 128, 255):
        precision, recall = oracle.precision_recall(values, mask, threshold)
        assert (score.precision[255 - threshold], score.recall[255 - threshold]) == pytest.approx(
            (precision, recall), **close
        )


def test_compute_has_the_keys_of_the_contract_in_order():
    measures = SaliencyMeasures()
    _, map_, mask = next(stored_pairs())
    measures.update(map_, mask)
    assert tuple(measures.compute()) == MEASURES
    assert MEASURES == (
        "mae", "f_max", "f_max_pr", "f_mean", "f_adaptive", "weighted_f", "s", "e_max", "e_mean", "e_adaptive", "iou",
    )  # fmt: skip
    quick = SaliencyMeasures(weighted=False)
    quick.update(map_, mask)
    expected = measures.compute()
    del expected["weighted_f"]
    assert quick.compute() == expected


@given(st.permutations(range(30)), st.integers(1, 29))
@settings(max_examples=30)
def test_order_and_split_change_no_digit(order, cut):
    stored = list(stored_pairs())[:30]
    scores = [score_picture(map_, mask, weighted=False) for _, map_, mask in stored]
    whole, first, second = (SaliencyMeasures(weighted=False) for _ in range(3))
    for score in scores:
        whole.add(score)
    for at in order[:cut]:
        first.add(scores[at])
    for at in order[cut:]:
        second.add(scores[at])
    second.merge(first)
    assert second.compute() == whole.compute()
    assert second.count == whole.count == 30
    for name, curve in whole.curves().items():
        assert np.array_equal(second.curves()[name], curve)
    assert second.empty_masks == whole.empty_masks > 0


@given(st.lists(st.floats(0, 4) | st.floats(0, 1e16), min_size=1, max_size=50))
def test_exact_sums_are_means_to_the_last_bit(values):
    total = ExactSum()
    for value in values:
        total.add(value)
    from fractions import Fraction

    exact = sum(Fraction(value) for value in values) / len(values)
    assert float(total.mean(len(values))) == pytest.approx(float(exact), rel=1e-15, abs=2.0**-63)


def test_many_maps_may_share_the_part_that_depends_on_the_mask():
    for _, map_, mask in list(stored_pairs())[:9]:
        if (mask > 128).any():
            weights = mask_weights(mask > 128)
            assert score_picture(map_, mask, weights=weights).weighted_f == score_picture(map_, mask).weighted_f


@pytest.mark.parametrize(
    ("map_", "mask", "kind", "words"),
    [
        (np.zeros((2, 2), np.int64), np.zeros((2, 2), bool), TypeError, "int64"),
        (np.zeros((2, 2), bool), np.zeros((2, 2), bool), TypeError, "an array of bool"),
        ([[0.5]], np.zeros((1, 1), bool), TypeError, "list"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32), TypeError, "float32"),
        (np.zeros((2, 2, 1), np.uint8), np.zeros((2, 2), bool), ValueError, r"\(2, 2, 1\)"),
        (np.zeros((0, 2), np.uint8), np.zeros((0, 2), bool), ValueError, r"\(0, 2\)"),
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), bool), ValueError, r"\(2, 3\).*\(3, 2\)"),
        (np.array([[0.5, np.nan]]), np.zeros((1, 2), bool), ValueError, "NaN"),
        (np.array([[0.5, np.inf]]), np.zeros((1, 2), bool), ValueError, "infinity"),
        (np.array([[-0.25, 0.5]]), np.zeros((1, 2), bool), ValueError, "-0.25"),
        (np.array([[0.5, 1.5]]), np.zeros((1, 2), bool), ValueError, "1.5"),
    ],
)
def test_anything_else_is_refused_by_name(map_, mask, kind, words):
    measures = SaliencyMeasures()
    with pytest.raises(kind, match=words):
        measures.update(map_, mask)
    assert measures.count == 0


def test_sums_of_other_settings_do_not_merge():
    with pytest.raises(ValueError, match="raw"):
        SaliencyMeasures().merge(SaliencyMeasures("raw"))
    with pytest.raises(ValueError, match="weighted=False"):
        SaliencyMeasures().merge(SaliencyMeasures(weighted=False))
    _, map_, mask = next(stored_pairs())
    with pytest.raises(ValueError, match="weighted F"):
        SaliencyMeasures().add(score_picture(map_, mask, weighted=False))


def test_no_picture_and_no_protocol_are_told():
    with pytest.raises(ValueError, match="no picture"):
        SaliencyMeasures().compute()
    with pytest.raises(StandoutError, match=r"did you mean pysodmetrics-1\.6\.2") as caught:
        SaliencyMeasures("pysodmetric")
    assert caught.value.exit_code == 2


def test_e08_corner_pairs_have_defined_numbers():
    random = np.random.default_rng(0)
    maps = [np.zeros((5, 6), np.uint8), np.full((5, 6), 93, np.uint8), np.full((5, 6), 255, np.uint8)]
    maps.append(random.integers(0, 256, (5, 6)).astype(np.uint8))
    one = np.zeros((5, 6), bool)
    one[4, 5] = True
    for protocol in PROTOCOLS:
        measures = SaliencyMeasures(protocol)
        for map_ in maps:
            for mask in (np.zeros((5, 6), bool), np.ones((5, 6), bool), one):
                measures.update(map_, mask)
        assert measures.count == 12
        assert all(np.isfinite(value) for value in measures.compute().values())


def test_the_measures_load_neither_torch_nor_pillow_nor_scipy():
    check = (
        "import sys, standout.metrics as m; m.SaliencyMeasures();"
        "print([n for n in ('torch', 'PIL', 'scipy', 'rich', 'click') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
