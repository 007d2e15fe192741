import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from standout.errors import StandoutError
from standout.shapes import Progress
from standout.train.schedule import SHAPES, rate_factor


def factors(name, steps=10, **options):
    return [rate_factor(Progress(step, steps, 0, 1), name, **options) for step in range(steps)]


def test_triangular_is_f3nets_formula_per_epoch():
    epochs = 32
    for epoch in range(epochs):
        published = 1 - abs((epoch + 1) / (epochs + 1) * 2 - 1)
        for step in (epoch * 7, epoch * 7 + 6):
            found = rate_factor(Progress(step, epochs * 7, epoch, epochs), "triangular", per="epoch")
            assert found == pytest.approx(published, abs=1e-15)


def test_triangular_rises_evenly_and_falls_evenly():
    found = factors("triangular", 9)
    assert found == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_warmup_rises_from_zero_and_the_shape_fills_the_rest():
    found = factors("linear", 9, warmup=0.5)
    assert found == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_cosine_and_poly_follow_their_formulas():
    assert factors("cosine", 3) == pytest.approx([(1 + math.cos(math.pi * k / 4)) / 2 for k in (1, 2, 3)])
    assert factors("poly", 3, power=0.9) == pytest.approx([(1 - k / 4) ** 0.9 for k in (1, 2, 3)])


def test_floor_holds_after_the_warmup_only():
    found = factors("cosine", 20, warmup=0.3, floor=0.2)
    assert min(found[7:]) == 0.2
    assert found[0] < 0.2


@given(
    some.sampled_from(sorted(SHAPES)),
    some.integers(1, 1000),
    some.floats(0, 0.99),
    some.floats(0, 3),
    some.sampled_from(["step", "epoch"]),
    some.data(),
)
def test_every_step_has_a_rate_above_zero_and_at_most_one(name, steps, warmup, power, per, data):
    step = data.draw(some.integers(0, steps - 1))
    factor = rate_factor(Progress(step, steps, step, steps), name, warmup=warmup, power=power, per=per)
    assert 0 < factor <= 1 + 1e-12


def test_an_unknown_shape_is_refused_with_the_nearest():
    with pytest.raises(StandoutError, match="did you mean cosine"):
        rate_factor(Progress(0, 1, 0, 1), "cosin")
