"""Dynamic dropout's test vectors."""

# ruff: noqa: E501 - a vector is a line

import pytest
import torch
from dropout_samples import D, G, Z, at_threshold, bits, flat_difficulty, kept_pixels, run

from direct import Direct, batch_of, progress_at
from oracles import dropout as oracle
from standout.distill import (
    DynamicDropout,
    NonNegativeFeedback,
    VirtualTeacher,
)
from standout.distill.difficulty import difficulty, not_hardest
from standout.losses.teachers import teacher_map
from standout.train.step import TrainingStep


def test_vector_of_the_difficulties():
    d = difficulty(Z, teacher_map(G, 0.99))
    sure = difficulty(Z, teacher_map(G, 1.0))

    assert d.flatten().tolist() == pytest.approx(D, rel=1e-9)
    assert float(d.mean()) == pytest.approx(0.3789093208, rel=1e-9)
    assert float(sure.mean()) == pytest.approx(0.3851456324, rel=1e-9)
    expected = [0.119202922, 0.8175744762, 0.002472623157, 0.4378234991, 0.01798620996, 0.7310585786, 0.002472623157, 0.9525741268]  # fmt: skip
    assert sure.flatten().tolist() == pytest.approx(expected, rel=1e-9)


def test_vector_of_the_order_from_hardest():
    d = difficulty(Z, teacher_map(G, 0.99))
    order = []
    for number in range(1, 9):
        dropped = (~not_hardest(d, number / 8, delta=0.0)).flatten().nonzero().flatten().tolist()
        order += [pixel for pixel in dropped if pixel not in order]

    assert order == [7, 1, 5, 3, 0, 4, 2, 6]


VECTORS = {
    "c-t1": (0.5, "10111010", 0.07855763217, 0.1256922115, 0.2376699414, 0.3140030765),
    "c-t2": (0.75, "10111110", 0.2344651513, 0.3126202018, 0.5490804765, 0.713051649),
    "c-t3": (0.9, "11111110", 0.4382666193, 0.5008761363, 0.9304723664, 1.18606363),
    "c-t4": (1.0, "11111111", 0.8085898464, 0.8085898464, 1.559888424, 1.915568266),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vector_of_the_threshold(name):
    tau, kept, *values = VECTORS[name]
    strategies = [
        at_threshold(VirtualTeacher(alpha=1), tau),
        at_threshold(VirtualTeacher(alpha=1), tau, norm="kept"),
        at_threshold(VirtualTeacher(alpha=1, temperature=2), tau),
        at_threshold(NonNegativeFeedback(alpha=1, temperature=2), tau),
    ]

    assert bits(kept_pixels(strategies[0], Z, G)) == kept
    for strategy, expected in zip(strategies, values, strict=True):
        terms, _ = run(strategy, Z, G)
        assert float(terms["dynamic_dropout"].detach()) == pytest.approx(expected, rel=1e-9)


def test_vector_of_the_gradient_and_the_total():
    terms, pull = run(at_threshold(VirtualTeacher(alpha=0.5), 0.75), Z, G)

    expected = [-0.01365036525, 0, 0.0009409221054, -0.05347793739, 0.0009982762453, 0.09013232233, -0.0009409221054, 0]
    assert (2 * pull).flatten().tolist() == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert float(sum(terms.values()).detach()) == pytest.approx(0.541559516, rel=1e-9)


@pytest.mark.parametrize(("share", "expected"), [(0.25, 0.2344651513), (0.5, 0.07855763217), (1, 0.07855763217)])
def test_vector_of_the_quantile(share, expected):
    dropout = DynamicDropout(VirtualTeacher(alpha=1), rule="quantile", r_max=share, capability="constant", constant=0)

    terms, _ = run(dropout, Z, G)

    assert float(terms["dynamic_dropout"].detach()) == pytest.approx(expected, rel=1e-9)


def test_vector_of_the_measured_capability():
    dropout = DynamicDropout(VirtualTeacher(), beta=0.9)
    mask = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    expected = [0.5, 0.5526315789, 0.6254612546, 0.7052922361]
    thresholds = [0.75, 0.7763157895, 0.8127306273, 0.8526461181]
    for mean, capability, tau in zip([0.5, 0.4, 0.25, 0.1], expected, thresholds, strict=True):
        logits = flat_difficulty(mean)
        step = TrainingStep(Direct(logits), [dropout])
        step(batch_of(mask), progress_at())
        step.after_step(progress_at())

        d = torch.tensor([[[[tau - 1e-5, tau + 1e-5]]]], dtype=torch.float64)
        now = dropout.eval().capability_at(d, progress_at())
        assert float(now) == pytest.approx(capability, rel=1e-6)
        assert bits(dropout.keep(d, now, batch_of(mask), progress_at())) == "10"
        dropout.train()
    assert oracle.capabilities([0.5, 0.6, 0.75, 0.9], 0.9) == pytest.approx(expected, rel=1e-9)


def test_vector_of_the_progress():
    dropout = DynamicDropout(VirtualTeacher(), capability="progress")
    thresholds = [0.5 + number / 18 for number in range(10)]
    for number, tau in enumerate(thresholds):
        d = torch.tensor([[[[tau - 1e-9, tau + 1e-9]]]], dtype=torch.float64)
        capability = dropout.capability_at(d, progress_at(number))

        assert bits(dropout.keep(d, capability, batch_of(G), progress_at(number))) == "10"
