"""Our measures are pysodmetrics' 1.6.2, figure by figure, on stored pairs of all kinds."""

import numpy as np
import pytest
from measure_inputs import PEER_PROTOCOLS, reference, stored_pairs

from standout.metrics import SaliencyMeasures, score_picture


@pytest.mark.parametrize("protocol", PEER_PROTOCOLS)
def test_every_figure_and_every_point_of_every_curve_is_the_peers(protocol):
    data = reference()
    curves, numbers = data[f"curves {protocol}"], data[f"numbers {protocol}"]
    assert len(curves) >= 60
    for at, (kind, map_, mask) in enumerate(stored_pairs()):
        score = score_picture(map_, mask, protocol=protocol)
        for name, expected in zip(data["curve_names"], curves[at], strict=True):
            np.testing.assert_allclose(
                getattr(score, name), expected, rtol=0, atol=1e-12, err_msg=f"{at} {kind} {name}"
            )
        for name, expected in zip(data["number_names"], numbers[at], strict=True):
            # rtol for the 1 x 1 picture alone, whose E is divided by 2.2e-16
            assert getattr(score, name) == pytest.approx(expected, rel=1e-12, abs=1e-12), f"{at} {kind} {name}"


def test_figures_of_our_own_are_few_and_each_names_its_trap():
    own = reference()["own"]
    assert {row[3][:7] for row in own} <= {"trap 6:", "trap 7:", "trap 13"}
    assert {row[2] for row in own} <= {"s", "f_adaptive", "e_adaptive"}


@pytest.mark.parametrize("protocol", PEER_PROTOCOLS)
def test_a_data_set_is_the_mean_over_its_pictures(protocol):
    data = reference()
    measures = SaliencyMeasures(protocol)
    for _, map_, mask in stored_pairs():
        measures.update(map_, mask)
    mean = dict(zip(data["curve_names"], data[f"curves {protocol}"].mean(axis=0), strict=True))
    numbers = dict(zip(data["number_names"], data[f"numbers {protocol}"].mean(axis=0), strict=True))
    found = measures.compute()
    below = 0.3 * mean["precision"] + mean["recall"]
    expected = numbers | {
        "f_max": mean["f"].max(),
        "f_mean": mean["f"].mean(),
        "e_max": mean["e"].max(),
        "e_mean": mean["e"].mean(),
        "f_max_pr": (1.3 * mean["precision"] * mean["recall"] / np.where(below == 0, 1, below)).max(),
    }
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)
    for name, curve in measures.curves().items():
        np.testing.assert_allclose(curve, mean[name], rtol=1e-12, atol=1e-12)
