"""The twin of pysodmetrics' classes: its results, its ways to call it, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_classes import flattened, step_classes
from measure_inputs import pairs, stored_pairs

from standout.metrics import pysodmetrics

MODES = {"with_dynamic": True, "with_adaptive": True, "with_binary": True}
HANDLERS = [name for name in pysodmetrics.__all__ if name.endswith("Handler")]


def test_every_class_gives_the_frozen_figures_of_the_original():
    with np.load(Path(__file__).with_name("reference_classes.npz")) as archive:
        expected = dict(archive)
    taken = expected.pop("pairs").tolist()
    assert len(taken) >= 40
    measures = step_classes(pysodmetrics)
    stored = list(stored_pairs())
    for at in taken:
        _, map_, mask = stored[at]
        for measure in measures.values():
            measure.step(pred=map_, gt=mask)
    found = {
        f"{name}: {key}": value
        for name, measure in measures.items()
        for key, value in flattened(measure.get_results()).items()
    }
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.shape == expected[name].shape
        assert value == pytest.approx(expected[name], rel=1e-12, abs=1e-12), name


def plain(handler, right, wrong, left, missed):
    """Each measure from its textbook definition, in plain numbers."""

    def share(part, whole):
        return part / whole if whole else 0.0

    recall, specificity = share(right, right + missed), share(left, left + wrong)
    total = right + wrong + left + missed
    chance = ((right + wrong) * (right + missed) + (left + missed) * (left + wrong)) / total**2
    return {
        "IOUHandler": share(right, right + wrong + missed),
        "DICEHandler": share(2 * right, 2 * right + wrong + missed),
        "PrecisionHandler": share(right, right + wrong),
        "RecallHandler": recall,
        "TPRHandler": recall,
        "SensitivityHandler": recall,
        "SpecificityHandler": specificity,
        "TNRHandler": specificity,
        "FPRHandler": share(wrong, left + wrong),
        "OverallAccuracyHandler": (right + left) / total,
        "BERHandler": 1 - (recall + specificity) / 2,
        "KappaHandler": 0.0 if chance == 1 else ((right + left) / total - chance) / (1 - chance),
        "FmeasureHandler": share(
            1.3 * share(right, right + wrong) * recall, 0.3 * share(right, right + wrong) + recall
        ),
    }[handler]


@given(st.lists(pairs(), min_size=1, max_size=3), st.booleans())
@settings(max_examples=60)
def test_every_handler_agrees_with_its_definition(given_pairs, by_sample):
    handlers = {name: getattr(pysodmetrics, name)(**MODES, sample_based=by_sample) for name in HANDLERS}
    measure = pysodmetrics.FmeasureV2(handlers)
    counted = []
    for map_, mask in given_pairs:
        measure.step(map_ / 255, mask, normalize=False)
        found = map_ > 127.5
        counted.append([
            int((found & mask).sum()), int((found & ~mask).sum()), int((~found & ~mask).sum()),
            int((~found & mask).sum()),
        ])  # fmt: skip
    results = measure.get_results()
    for name in HANDLERS:
        each = [plain(name, *of) for of in counted]
        expected = np.mean(each) if by_sample else plain(name, *np.sum(counted, axis=0).tolist())
        assert results[name]["binary"] == pytest.approx(expected, abs=1e-12)
        at_half = results[name]["dynamic"][255 - 128]
        assert at_half == pytest.approx(np.mean(each), abs=1e-12)


@given(pairs())
@settings(max_examples=40)
def test_maps_and_masks_may_come_in_every_usual_form(pair):
    map_, mask = pair
    forms = [map_, map_.astype(np.int64), map_ / 255]
    if map_.max() > 1:  # floats up to 1 are taken as shares
        forms.append(map_.astype(np.float32))
    found = []
    for form in forms:
        for label in (mask, mask * np.uint8(255)):
            measure = pysodmetrics.Fmeasure()
            measure.step(form, label)
            found.append(flattened(measure.get_results()))
    for other in found[1:]:
        assert all(np.array_equal(other[key], value) for key, value in found[0].items())


def test_without_normalising_a_map_is_taken_as_it_is():
    map_ = np.array([[0.2, 0.6], [0.4, 0.5]])
    mask = np.array([[False, True], [False, True]])
    for normalize, expected in ((True, (0 + 0 + 0.5 + 0.25) / 4), (False, (0.2 + 0.4 + 0.4 + 0.5) / 4)):
        measure = pysodmetrics.MAE()
        measure.step(map_, mask, normalize=normalize)
        assert measure.get_results()["mae"] == pytest.approx(expected)


def test_results_before_the_first_picture_are_refused():
    for name, measure in step_classes(pysodmetrics).items():
        with pytest.raises(ValueError, match="no picture"):
            measure.get_results()
        assert name
    with pytest.raises(ValueError, match="no handler"):
        pysodmetrics.FmeasureV2().step(np.zeros((2, 2), np.uint8), np.zeros((2, 2), bool))


@pytest.mark.parametrize(
    ("map_", "mask", "kind", "words"),
    [
        (np.array([[0.5, np.nan]]), np.zeros((1, 2), bool), ValueError, "NaN"),
        (np.array([[0.5, 300.0]]), np.zeros((1, 2), bool), ValueError, "0..1"),
        (np.array([[-3, 5]]), np.zeros((1, 2), bool), ValueError, "0..1"),
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), bool), ValueError, "one size"),
        ([[1, 2]], np.zeros((1, 2), bool), TypeError, "list"),
        (np.zeros((1, 2), np.uint8), np.zeros((1, 2)), TypeError, "float64"),
    ],
)
def test_what_is_no_map_or_mask_is_refused_by_name(map_, mask, kind, words):
    for measure in step_classes(pysodmetrics).values():
        with pytest.raises(kind, match=words):
            measure.step(map_, mask)


def test_a_handler_may_be_added_by_name():
    measure = pysodmetrics.FmeasureV2()
    measure.add_handler("overlap", pysodmetrics.IOUHandler(with_dynamic=False, with_adaptive=True))
    mask = np.array([[True, False]])
    measure.step(mask * np.uint8(200), mask)
    assert measure.get_results() == {"overlap": {"adaptive": 1.0}}
