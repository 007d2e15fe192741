"""What dynamic dropout promises of difficulty, capability and terms, by the names of its properties (C7 to C12)."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from dropout_samples import INNERS, at_threshold, data, flat_difficulty, kept_pixels, run
from torch.autograd import grad

from direct import Direct, batch_of, progress_at
from oracles import dropout as oracle
from oracles import teachers as naive
from standout.counter_hash import uniform
from standout.distill import (
    DynamicDropout,
    LabelSmoothing,
    NonNegativeFeedback,
    PixelStrategy,
    VirtualTeacher,
)
from standout.distill.difficulty import difficulty
from standout.losses import binary_cross_entropy
from standout.losses.teachers import teacher_map
from standout.networks import build_network
from standout.shapes import Maps
from standout.train.step import TrainingStep


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99, 1.0])
def test_c07_difficulty(confidence):
    logits, mask = data(seed=7, soft=True, deviation=8)
    mask[0] = mask[0].round()
    q = teacher_map(mask, confidence)
    d = difficulty(logits, q)

    assert d.min() >= 0
    assert d.max() <= confidence
    assert torch.allclose(d, difficulty(-logits, teacher_map(1 - mask, confidence)), atol=1e-15)
    assert difficulty(torch.logit(q.clamp(0.01, 0.99)), q.clamp(0.01, 0.99)).max() < 1e-15
    two, both = torch.cat([torch.zeros_like(logits), logits], 1), torch.cat([1 - q, q], 1)
    assert torch.allclose(difficulty(two, both), d.squeeze(1), atol=1e-15)
    labels = (mask >= 0.5).long().squeeze(1)
    assert torch.allclose(difficulty(two, both, labels), d.squeeze(1), atol=1e-15)


def test_c07_difficulty_of_classes_follows_its_definition():
    z = torch.tensor([[2.0, 0, -1]], dtype=torch.float64)
    q = torch.tensor([[0.9, 0.05, 0.05]], dtype=torch.float64)
    p = naive.softmax([2.0, 0, -1], 1)
    expected = sum(abs(a - b) for a, b in zip(q[0].tolist(), p, strict=True)) / 2

    assert float(difficulty(z, q)) == pytest.approx(expected, rel=1e-12)
    assert float(difficulty(z, q, torch.tensor([0]))) == pytest.approx(abs(0.9 - p[0]), rel=1e-12)


def test_c08_the_first_step_uses_its_own_measure_and_later_ones_what_came_before():
    dropout = DynamicDropout(VirtualTeacher(), beta=0.9)
    mask = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    used = []
    for mean in (0.5, 0.4, 0.25):
        logits = flat_difficulty(mean)
        d = difficulty(logits, dropout.inner.teacher(batch_of(mask)))
        used.append(float(dropout.capability_at(d, progress_at())))
        step = TrainingStep(Direct(logits), [dropout])
        step(batch_of(mask), progress_at())
        step.after_step(progress_at())

    assert used == pytest.approx([0.5, 0.5, 0.5526315789], rel=1e-6)


def train_on(dropout, batches):
    for logits, mask in batches:
        step = TrainingStep(Direct(logits), [dropout])
        step(batch_of(mask), progress_at())
        step.after_step(progress_at())


def test_c08_evaluation_does_not_move_the_capability():
    dropout = DynamicDropout(VirtualTeacher())
    train_on(dropout, [data(seed=1)])
    before = dropout.state_dict()["average"].clone()
    step = TrainingStep(Direct(data(seed=2)[0]), [dropout]).eval()

    step(batch_of(data(seed=2)[1]), progress_at())
    dropout.after_step(None, None, None, progress_at())

    assert torch.equal(dropout.average, before)
    assert int(dropout.count) == 1


def test_c08_a_restored_checkpoint_continues_to_the_bit():
    batches = [data(seed=s) for s in range(6)]
    whole = DynamicDropout(VirtualTeacher(), beta=0.8)
    first, second = DynamicDropout(VirtualTeacher(), beta=0.8), DynamicDropout(VirtualTeacher(), beta=0.8)

    train_on(whole, batches)
    train_on(first, batches[:3])
    second.load_state_dict(first.state_dict())
    train_on(second, batches[3:])
    forgetful = DynamicDropout(VirtualTeacher(), beta=0.8)
    train_on(forgetful, batches[3:])

    assert torch.equal(second.average, whole.average)
    assert torch.equal(second.count, whole.count)
    assert not torch.equal(forgetful.average, whole.average)


def test_c08_a_step_that_is_not_finite_leaves_the_capability_alone():
    dropout = DynamicDropout(VirtualTeacher())
    logits, mask = data()
    train_on(dropout, [(logits, mask)])
    before = dropout.average.clone()

    train_on(dropout, [(torch.full_like(logits, math.nan), mask)])

    assert torch.equal(dropout.average, before)
    assert int(dropout.count) == 1


def test_c08_two_processes_with_half_a_batch_each_measure_the_whole(tmp_path):
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": str(here.parent), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, str(here / "two_processes.py")]
    processes = [subprocess.Popen([*command, str(rank), str(tmp_path)], env=environment) for rank in range(2)]
    try:
        assert [process.wait(60) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 5, 5, generator=generator)
    mask = (torch.rand(4, 1, 5, 5, generator=generator) > 0.5).float()
    dropout = DynamicDropout(VirtualTeacher())
    found = [[line.split() for line in (tmp_path / f"{rank}.txt").read_text().splitlines()] for rank in range(2)]
    for step in range(3):
        terms, _ = run(dropout, logits, mask)
        dropout.after_step(None, None, None, progress_at())
        halves = [float(found[rank][step][2]) for rank in range(2)]
        for rank in range(2):
            assert float(found[rank][step][0]) == pytest.approx(float(dropout.average), rel=1e-6)
            assert int(found[rank][step][1]) == step + 1
        assert found[0][step][0] == found[1][step][0]
        assert sum(halves) / 2 == pytest.approx(float(terms["dynamic_dropout"].detach()), rel=1e-5)


def test_c09_the_two_norms_differ_by_the_share_of_kept_pixels():
    logits, mask = data(seed=9)
    strategies = [at_threshold(NonNegativeFeedback(), 0.4, norm=norm) for norm in ("valid", "kept")]
    keep = kept_pixels(strategies[0], logits, mask)

    valid, kept = (float(run(s, logits, mask)[0]["dynamic_dropout"].detach()) for s in strategies)

    assert kept == pytest.approx(valid * keep.numel() / int(keep.sum()), rel=1e-12)
    nothing, pull = run(at_threshold(VirtualTeacher(), 0.0, norm="kept"), logits, mask)
    assert float(nothing["dynamic_dropout"].detach()) == 0
    assert torch.equal(pull, torch.zeros_like(pull))


def test_c10_cross_entropy_sees_the_dropped_pixels():
    logits, mask = data(seed=10)
    dropout = at_threshold(VirtualTeacher(), 0.3)
    keep = kept_pixels(dropout, logits, mask)
    step = TrainingStep(Direct(logits), [dropout])

    (pull,) = grad(sum(step(batch_of(mask), progress_at()).values()), step.network.logits)

    expected = 0.5 * (logits.sigmoid() - mask) / logits.numel()
    assert int((~keep).sum()) > 0
    assert torch.allclose(pull[~keep], expected[~keep], rtol=1e-12)


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("rule", ["threshold", "quantile", "bernoulli", "none"])
@pytest.mark.parametrize("norm", ["valid", "kept"])
def test_c11_dropout_follows_its_definition(inner, rule, norm):
    logits, mask = data(seed=11, soft=True)
    mask[0] = mask[0].round()
    index = torch.tensor([3, 1, 2])
    options = {"rule": rule, "norm": norm, "capability": "constant", "constant": 0.3, "delta": 0.25}
    z, g = logits.flatten().tolist(), mask.flatten().tolist()
    d = oracle.difficulties(z, g, 0.99)
    draws = uniform(5, 0, index.numpy()[:, None], 0, np.arange(48)[None, :]).flatten()
    keep = {
        "threshold": lambda: oracle.keep_threshold(d, 0.3, 0.5, 1.0),
        "quantile": lambda: oracle.keep_quantile(d, 0.3, 0.5, 0.25),
        "bernoulli": lambda: oracle.keep_bernoulli(d, 0.3, 0.5, 0.25, draws),
        "none": lambda: [True] * len(d),
    }[rule]()
    per = {
        "kl": lambda a, b: naive.virtual_teacher(a, b, 0.99, 1),
        "nnf": lambda a, b: naive.non_negative_feedback(a, b, 0.99, 2),
        "mse": lambda a, b: (naive.sigmoid(a) - (0.01 + 0.98 * b)) ** 2,
    }[inner]

    terms, _ = run(DynamicDropout(INNERS[inner](alpha=0.4), seed=5, **options), logits, mask, index)

    expected = 0.4 * oracle.distilled([per(a, b) for a, b in zip(z, g, strict=True)], keep, norm)
    assert float(terms["dynamic_dropout"].detach()) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_c11_short_floats_are_taken_at_their_rounded_value(dtype):
    logits, mask = data(seed=12, shape=(2, 1, 20, 20))
    near = (difficulty(logits.to(dtype).double(), teacher_map(mask, 0.99)) - 0.6).abs() < 1e-3
    # A pixel on the threshold may go either way: it is given another logit.
    short = torch.where(near, torch.zeros_like(logits), logits).to(dtype)
    d = difficulty(short.double(), teacher_map(mask, 0.99))
    strategy = at_threshold(VirtualTeacher(), 0.6)

    kept = kept_pixels(strategy, short, mask.float())
    terms, pull = run(strategy, short, mask.float())
    exact, _ = run(strategy, short.double(), mask)

    assert torch.equal(kept, d <= 0.6)
    assert 0 < int(kept.sum()) < kept.numel()
    assert terms["dynamic_dropout"].dtype == torch.float32
    assert float(terms["dynamic_dropout"].detach()) == pytest.approx(float(exact["dynamic_dropout"].detach()), rel=2e-5)
    assert torch.isfinite(pull).all()


def test_c12_dropout_has_two_numbers_and_no_parameter():
    torch.manual_seed(0)
    network = build_network("tiny").eval()
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    before, keys = network(image).logits, list(network.state_dict())
    dropout = DynamicDropout(VirtualTeacher())

    step = TrainingStep(network, [dropout]).eval()
    step(batch_of(torch.zeros(2, 1, 32, 32))._replace(image=image), progress_at())

    assert torch.equal(network(image).logits, before)
    assert list(network.state_dict()) == keys
    assert list(dropout.parameters()) == []
    assert {name: tuple(b.shape) for name, b in dropout.named_buffers()} == {"average": (), "count": ()}


def test_validation_scores_are_the_capability():
    dropout = DynamicDropout(VirtualTeacher(), capability="validation", score="iou")
    d = torch.zeros(1, 1, 1, 1)
    seen = [float(dropout.capability_at(d, progress_at()))]
    for scores in ({"iou": 0.6, "f_max": 0.9}, {}, {"iou": 0.7}):
        dropout.after_epoch(None, progress_at(), scores)
        seen.append(float(dropout.capability_at(d, progress_at())))

    assert seen == pytest.approx([0, 0.6, 0.6, 0.7])
    with pytest.raises(ValueError, match="no validation score 'iou'; there are f_max, mae"):
        dropout.after_epoch(None, progress_at(), {"mae": 0.1, "f_max": 0.9})


def test_progress_rises_with_its_power():
    dropout = DynamicDropout(VirtualTeacher(), capability="progress", gamma=2)
    d = torch.zeros(1, 1, 1, 1, dtype=torch.float64)

    assert float(dropout.capability_at(d, progress_at(3, steps=10))) == pytest.approx(1 / 9)
    assert float(dropout.capability_at(d, progress_at(40, steps=10))) == 1


def test_image_scope_reaches_the_ranking():
    logits, mask = data(seed=13)
    logits[0] *= 0.1
    strategies = [
        DynamicDropout(VirtualTeacher(), rule="quantile", scope=scope, delta=0.0, capability="constant", constant=0)
        for scope in ("batch", "image")
    ]
    whole, each = (kept_pixels(s, logits, mask) for s in strategies)

    assert [int((~k).sum()) for k in each] == [24, 24, 24]
    assert int((~whole).sum()) == 72
    assert not torch.equal(whole, each)


def test_the_share_of_kept_pixels_is_told_per_epoch():
    logits, mask = data(seed=14)
    dropout = at_threshold(VirtualTeacher(), 0.5)
    share = float(kept_pixels(dropout, logits, mask).double().mean())

    assert dropout.diagnostics() == {}
    train_on(dropout, [(logits, mask), (logits, mask)])
    assert dropout.diagnostics() == {"kept": pytest.approx(share)}
    run(dropout, logits, 1 - mask, progress=progress_at(epoch=1, epochs=2))
    assert dropout.diagnostics() == {
        "kept": pytest.approx(float(kept_pixels(dropout, logits, 1 - mask).double().mean()))
    }


def test_weight_and_needs_are_the_inner_strategys():
    class Needy(PixelStrategy):
        levels, views, alpha, task_weight = ("decoder8",), ("second",), 2.0, 0.25
        told = ()

        def bind(self, network, samples):
            self.told = ("bind", samples)

        def per_pixel(self, logits, batch):
            return logits.square()

        def teacher(self, batch):
            return batch.mask

        def after_epoch(self, network, progress, scores):
            self.told = ("epoch", dict(scores))

    inner = Needy()
    dropout = DynamicDropout(inner, rule="none")
    dropout.bind(None, 7)
    logits, mask = data()
    terms = dropout(Maps(logits), batch_of(mask), None, progress_at())

    assert (dropout.levels, dropout.views, dropout.task_weight) == (("decoder8",), ("second",), 0.25)
    assert inner.told == ("bind", 7)
    assert float(terms["dynamic_dropout"].detach()) == pytest.approx(2 * float(logits.square().mean()))
    dropout.after_epoch(None, progress_at(), {"mae": 1.0})
    assert inner.told == ("epoch", {"mae": 1.0})


def test_an_inner_weight_of_zero_is_plain_training():
    logits, mask = data()

    terms, _ = run(DynamicDropout(VirtualTeacher(alpha=0)), logits, mask)

    assert list(terms) == ["task"]
    assert torch.equal(terms["task"], binary_cross_entropy(logits, mask))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rule": "treshold"}, "unknown rule 'treshold'; did you mean threshold?"),
        ({"capability": "measure"}, "unknown capability 'measure'; did you mean measured?"),
        ({"norm": "keep"}, "unknown norm 'keep'; did you mean kept?"),
        ({"scope": "images"}, "unknown scope 'images'; did you mean image?"),
        ({"tau_min": 0.9, "tau_max": 0.8}, "tau_min must not exceed tau_max, got 0.9 and 0.8"),
        ({"delta": -0.1}, r"delta must lie in \[0, 1\], got -0.1"),
        ({"r_max": 2}, "r_max must lie"),
        ({"rho_max": math.nan}, "rho_max must lie"),
        ({"constant": 1.2}, "constant must lie"),
        ({"beta": 1.0}, r"beta must lie in \[0, 1\), got 1.0"),
        ({"gamma": 0}, "gamma must be above 0, got 0"),
    ],
)
def test_a_wrong_option_is_refused_before_training(options, words):
    with pytest.raises(ValueError, match=words):
        DynamicDropout(VirtualTeacher(), **options)


def test_only_strategies_with_a_term_per_pixel_can_be_wrapped():
    with pytest.raises(TypeError, match="not LabelSmoothing"):
        DynamicDropout(LabelSmoothing())

    class Both(VirtualTeacher):
        def target(self, batch, progress):
            return batch.mask

    with pytest.raises(ValueError, match="changes the label"):
        DynamicDropout(Both())
    with pytest.raises(ValueError, match="float masks"):
        DynamicDropout(VirtualTeacher())(
            Maps(torch.zeros(1, 3, 2, 2)), batch_of(torch.zeros(1, 2, 2, dtype=torch.long)), None, progress_at()
        )
