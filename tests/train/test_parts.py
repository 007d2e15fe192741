"""Batches taken in parts: with batch norms frozen they learn what whole batches teach."""

import pytest
import torch
from test_processes import EQUAL, STRATEGIES
from test_run import EVERY_STRATEGY, bit_equal, last_state, stop_after

from conftest import merged
from standout.distill.strategy import Strategy
from standout.errors import StandoutError
from standout.networks import build_network
from standout.shapes import Batch, Progress
from standout.train.parts import learn, parts_of
from standout.train.step import TrainingStep


def made(size=4, views=("other",)):
    return Batch(
        torch.rand(size, 3, 32, 32), torch.rand(size, 1, 32, 32), torch.arange(size), torch.rand(size, 2, 3),
        {name: made(size, ()) for name in views}, torch.rand(size, 1, 32, 32) > 0.5,
    )  # fmt: skip


def test_parts_hold_the_whole_batch_in_order_with_its_views():
    batch = made(6)
    first, second, third = parts_of(batch, 3)

    assert next(parts_of(batch, 1)) is batch
    for name in ("image", "mask", "index", "affine", "known"):
        parts = [getattr(one, name) for one in (first, second, third)]
        assert torch.equal(torch.cat(parts), getattr(batch, name))
        views = [getattr(one.views["other"], name) for one in (first, second, third)]
        assert torch.equal(torch.cat(views), getattr(batch.views["other"], name))
    with pytest.raises(ValueError, match="a batch of 6 has no 4 equal parts"):
        next(parts_of(batch, 4))


class Remember(Strategy):
    """Keeps what it is shown after each step."""

    levels = ("decoder8",)

    def forward(self, maps, batch, network, progress):
        return {}

    def after_step(self, maps, batch, network, progress):
        self.seen = (maps, batch)


def test_strategies_are_shown_the_parts_of_a_step_as_one():
    torch.manual_seed(0)
    step = TrainingStep(build_network("tiny"), [Remember()])
    step.parts = 2
    batch, progress = made(4), Progress(0, 4, 0, 1)

    for _ in range(2):
        terms, total = learn(step, batch, progress, parts=2, precision=torch.enable_grad)
        step.after_step(progress)
        maps, seen = step.strategies[0].seen
        assert torch.equal(seen.image, batch.image)
        assert torch.equal(seen.views["other"].index, batch.views["other"].index)
        assert maps.logits.shape == (4, 1, 32, 32)
        assert maps.features["decoder8"].shape[0] == 4
        assert total.item() == pytest.approx(sum(term.item() for term in terms.values()))
    for part in parts_of(batch, 2):
        step(part, progress)
    with pytest.raises(RuntimeError, match="call after_step"):
        step(batch, progress)


MEASURED = STRATEGIES["dynamic_dropout"]
BY_PROGRESS = [{**MEASURED[0], "capability": "progress"}]


@pytest.mark.parametrize("strategies", [[], STRATEGIES["non_negative_feedback"], BY_PROGRESS, MEASURED])
def test_batches_in_parts_teach_what_whole_ones_teach(strategies, small, warnings_of, tmp_path):
    for parts in (1, 2):
        training = {"accumulation": parts, "epochs": 1}
        warnings_of(small(**merged(EQUAL, {"strategies": strategies, "training": training})), tmp_path / str(parts))
    one, two = last_state(tmp_path / "1"), last_state(tmp_path / "2")
    assert one.keys() == two.keys()
    if strategies is MEASURED:  # its first step goes by each part's own measure, so that later ones differ a little
        assert int(two["training strategies/0.count"]) == int(one["training strategies/0.count"]) == 5
        difference = one["training strategies/0.average"] - two["training strategies/0.average"]
        assert abs(float(difference)) < 1e-3
        return
    for tensor in one:
        if "streams" not in tensor and one[tensor].is_floating_point():
            assert torch.allclose(one[tensor], two[tensor], rtol=0, atol=1e-5), tensor


def test_t01_a_run_in_parts_resumes_bit_equal(small, warnings_of, tmp_path, monkeypatch):
    recipe = small(strategies=EVERY_STRATEGY["bernoulli dropout"], training={"accumulation": 2})
    warnings_of(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        warnings_of(recipe, tmp_path / "stopped")
    warnings_of(recipe, tmp_path / "stopped", resume=True)
    assert bit_equal(tmp_path / "whole", tmp_path / "stopped")


def test_batches_without_such_parts_are_refused(small, warnings_of, tmp_path):
    with pytest.raises(StandoutError, match="a batch of 4 has no 3 equal parts"):
        warnings_of(small(training={"accumulation": 3}), tmp_path / "run")
