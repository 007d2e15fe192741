"""A star is earned: tests against their definitions, intervals against plain resampling, no star for noise."""

import json

import numpy as np
import pytest
from eval_sets import shapes, standout_eval, write
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.statistics import holm_rejects, signed_rank_exact, signed_rank_normal
from standout.evaluate import compare, find_significance, render_comparison
from standout.evaluate.significance import LEVEL, Pair
from standout.evaluate.statistics import holm, interval, resampled_weights, signed_rank_test
from standout.metrics import MEASURES, SaliencyMeasures


@settings(max_examples=200)
@given(st.lists(st.integers(-4, 4) | st.floats(-1, 1), max_size=10))
def test_the_signed_rank_test_sums_all_signs(differences):
    assert signed_rank_test(differences) == pytest.approx(signed_rank_exact(differences), rel=1e-12)


@settings(max_examples=50)
@given(st.integers(51, 120), st.integers(0, 2**32 - 1), st.booleans())
def test_the_signed_rank_test_of_many_differences_is_the_textbooks_normal_one(count, seed, ties):
    random = np.random.default_rng(seed)
    differences = random.normal(0.2, 1, count)
    if ties:
        differences = np.where(np.rint(2 * differences) == 0, 0.5, np.rint(2 * differences))
    assert signed_rank_test(differences) == pytest.approx(signed_rank_normal(differences.tolist()), rel=1e-10)


def test_the_exact_and_the_normal_test_meet_where_one_takes_over():
    differences = np.random.default_rng(4).normal(0.3, 1, 50)
    assert signed_rank_test(differences) == pytest.approx(signed_rank_normal(differences.tolist()), rel=0.03)


def test_the_signed_rank_test_gives_the_published_example():
    # Hollander and Wolfe 1973, p. 29: nine patients before and after; V = 40, one-sided p = 0.01953.
    before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    assert signed_rank_test(before - after) == pytest.approx(2 * 0.01953125)


@settings(max_examples=200)
@given(st.lists(st.floats(0, 1), max_size=12), st.sampled_from([0.01, 0.05, 0.2]))
def test_holms_values_fall_below_a_level_where_his_procedure_rejects(values, level):
    # A value on the edge may round either way.
    if any(abs(value * count - level) < 1e-12 for value in values for count in range(1, 13)):
        return
    assert [value <= level for value in holm(values)] == holm_rejects(values, level)


def test_holms_values_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.02]) == pytest.approx([0.04, 0.06, 0.06, 0.06])


def test_resamples_draw_as_many_pictures_as_there_are_and_repeat():
    weights = np.concatenate(list(resampled_weights(9, 300, 5)))
    assert weights.shape == (300, 9)
    assert (weights.sum(axis=1) == 9).all()
    assert weights.mean() == 1
    assert weights.std() == pytest.approx((8 / 9) ** 0.5, abs=0.05)
    assert np.array_equal(weights, np.concatenate(list(resampled_weights(9, 300, 5))))
    assert not np.array_equal(weights, np.concatenate(list(resampled_weights(9, 300, 6))))


def make(folder, noises, count, seed=0, size=(24, 32)):
    for at in range(count):
        random = np.random.default_rng([seed, at])
        found, mask = shapes(random, *size)
        write(folder / "masks" / f"p{at:03}.png", mask)
        for method, noise in noises.items():
            own = np.random.default_rng([seed, at, *method.encode()]).integers(0, 256, size)
            write(folder / method / f"p{at:03}.png", ((1 - noise) * found + noise * own).astype(np.uint8))
    return [(method, folder / method) for method in noises], [("S", folder / "masks")]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """One method that is better than two others, which are alike."""
    return make(tmp_path_factory.mktemp("three"), {"good": 0.15, "one": 0.5, "other": 0.5}, 24)


def test_the_intervals_are_those_of_measures_over_resampled_pictures(three):
    found = compare(*three)
    tested = find_significance(found, MEASURES, resamples=150)
    weights = np.concatenate(list(resampled_weights(24, 150, 0))).astype(int)
    made = {}
    for method in ("good", "one"):
        scores = [picture.score for picture in found.of(method, "S")[0].pictures]
        values = []
        for counts in weights:
            measures = SaliencyMeasures()
            for score, count in zip(scores, counts, strict=True):
                for _ in range(count):
                    measures.add(score)
            values.append(measures.compute())
        made[method] = {key: np.array([row[key] for row in values]) for key in MEASURES}
        for key in MEASURES:
            assert tested.intervals["S", method, key] == pytest.approx(interval(made[method][key]), abs=1e-12)
    pairs = {(pair.first, pair.second, pair.measure): pair for pair in tested.pairs}
    assert len(pairs) == 3 * len(MEASURES)
    for key in MEASURES:
        pair = pairs["good", "one", key]
        apart = made["good"][key] - made["one"][key]
        assert (pair.low, pair.high) == pytest.approx(interval(apart), abs=1e-12)


def test_a_star_is_earned_by_the_better_method_alone(three):
    found = compare(*three)
    tested = find_significance(found)
    assert tested.star("S", "good", "mae")
    assert not any(tested.star("S", method, key) for method in ("one", "other") for key in ("mae", "s", "weighted_f"))
    for format_, mark in (("table", "¹*"), ("latex", "$^{*}$"), ("markdown", r"**\*")):
        assert mark in render_comparison(found, format_, significance=tested)
        assert mark not in render_comparison(found, format_)
    row = json.loads(render_comparison(found, "json", significance=tested))
    assert row["summary"][0]["mae"]["star"]
    low, high = row["summary"][0]["mae"]["interval"]
    assert low < row["summary"][0]["mae"]["value"] < high
    assert len(row["tests"]) == 18
    assert "Holm's correction over 18 tests" in row["significance"]


@pytest.mark.parametrize("seed", range(5))
def test_methods_that_differ_by_chance_earn_no_star(tmp_path, seed):
    found = compare(*make(tmp_path, {"one": 0.5, "other": 0.5}, 30, seed))
    tested = find_significance(found)
    assert not any(tested.star("S", method, key) for method in ("one", "other") for key in ("mae", "s", "iou"))


def test_too_few_pictures_earn_no_star_however_good(tmp_path):
    found = compare(*make(tmp_path, {"good": 0.0, "poor": 0.9}, 4))
    assert "¹*" not in render_comparison(found, significance=find_significance(found))


def test_a_method_must_beat_every_other_and_both_tests_must_agree():
    def better(low, high, p, measure="s"):
        return Pair("S", measure, "a", "b", low, high, p, p).better()

    assert better(0.1, 0.2, 0.01) == "a"
    assert better(-0.2, -0.1, 0.01) == "b"
    assert better(-0.2, -0.1, 0.01, "mae") == "a"
    assert better(0.1, 0.2, 0.01, "mae") == "b"
    assert better(-0.1, 0.2, 0.01) is None
    assert better(0.0, 0.0, 0.01) is None
    assert better(0.1, 0.2, LEVEL) is None


def test_equal_maps_differ_in_nothing(three, tmp_path):
    maps, masks = three
    found = compare([*maps[:1], ("twin", maps[0][1])], masks)
    tested = find_significance(found, MEASURES)
    assert {(pair.low, pair.high, pair.p) for pair in tested.pairs} == {(0.0, 0.0, 1.0)}


def test_runs_are_averaged_picture_by_picture(three):
    maps, masks = three
    found = compare([maps[0], maps[1], ("one", maps[2][1])], masks)
    tested = find_significance(found, ("mae",))
    values = {
        method: np.mean([[p.score.mae for p in run.pictures] for run in found.of(method, "S")], axis=0)
        for method in ("good", "one")
    }
    (pair,) = tested.pairs
    assert pair.p == signed_rank_test(values["good"] - values["one"])
    low, high = tested.intervals["S", "one", "mae"]
    assert low < values["one"].mean() < high


def test_rows_over_different_pictures_are_not_tested(three, tmp_path):
    import shutil

    maps, masks = three
    shutil.copytree(maps[1][1], tmp_path / "one")
    (tmp_path / "one" / "p003.png").unlink()
    found = compare([maps[0], ("one", tmp_path / "one")], masks, allow_missing=True)
    tested = find_significance(found)
    assert tested.pairs == ()
    assert len(tested.intervals) == 12
    assert "*" not in render_comparison(found, significance=tested)


def test_the_command_prints_the_star_and_what_it_means(three):
    maps, masks = three
    words = [word for name, path in maps for word in ("--maps", f"{name}={path}")]
    done = standout_eval(*words, "--masks", f"S={masks[0][1]}", "--significance", "--measures", "mae,s")
    assert done.returncode == 0, done.stderr
    assert "¹*" in done.stdout
    assert "Holm's correction over 6 tests" in done.stdout
