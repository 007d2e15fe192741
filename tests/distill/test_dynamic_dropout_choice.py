"""Which pixels dynamic dropout keeps, by the names of its properties (C1 to C6)."""

import itertools
import math

import numpy as np
import pytest
import torch
from dropout_samples import at_threshold, bits, data, kept_pixels, run
from torch.autograd import grad, gradcheck

from direct import Direct, batch_of, progress_at
from oracles import dropout as oracle
from standout.counter_hash import uniform
from standout.distill import (
    DynamicDropout,
    MeanSquared,
    NonNegativeFeedback,
    VirtualTeacher,
)
from standout.distill.difficulty import difficulty, not_above, not_drawn, not_hardest
from standout.losses import binary_cross_entropy
from standout.losses.teachers import teacher_map
from standout.shapes import Maps
from standout.train.step import TrainingStep


def test_c01_full_capability_gives_the_inner_total_to_the_bit():
    logits, mask = data(soft=True)
    for inner in (VirtualTeacher(), NonNegativeFeedback(), MeanSquared(), VirtualTeacher(confidence=1)):
        for rule in ("threshold", "quantile", "bernoulli", "none"):
            full = DynamicDropout(inner, rule=rule, capability="constant", constant=1)
            terms, pull = run(full, logits, mask, torch.arange(3))

            step = TrainingStep(Direct(logits), [inner])
            plain = step(batch_of(mask), progress_at())
            (expected,) = grad(plain[inner.term], step.network.logits, retain_graph=True)

            assert torch.equal(sum(terms.values()), sum(plain.values()))
            assert torch.equal(pull, expected)


def test_c01_no_capability_and_no_tolerance_drops_everything():
    logits, mask = data()
    dropout = DynamicDropout(VirtualTeacher(), capability="constant", constant=0, tau_min=0)
    terms, pull = run(dropout, logits, mask)

    assert float(terms["dynamic_dropout"].detach()) == 0
    assert torch.equal(pull, torch.zeros_like(pull))
    assert torch.equal(sum(terms.values()), 0.5 * binary_cross_entropy(logits, mask))


def test_c02_what_is_kept_grows_with_the_threshold_and_the_capability():
    logits, mask = data(seed=2, shape=(2, 1, 30, 30), soft=True)
    d = difficulty(logits, teacher_map(mask, 0.99))
    kept = [not_above(d, tau).bool() for tau in torch.linspace(0, 1, 21)]

    assert all(bool((~a | b).all()) for a, b in itertools.pairwise(kept))
    for rule in ("threshold", "quantile"):
        shares = []
        for capability in torch.linspace(0, 1, 21):
            dropout = DynamicDropout(VirtualTeacher(), rule=rule, capability="constant", constant=float(capability))
            shares.append(float(kept_pixels(dropout, logits, mask).double().mean()))
        assert shares == sorted(shares)
        assert shares[0] < shares[-1] == 1


@pytest.mark.parametrize("norm", ["valid", "kept"])
@pytest.mark.parametrize("rule", ["threshold", "quantile", "bernoulli"])
def test_c03_dropped_pixels_pull_nothing_and_kept_ones_as_ever(rule, norm):
    logits, mask = data(seed=3)
    dropout = DynamicDropout(VirtualTeacher(), rule=rule, norm=norm, capability="constant", constant=0.2, r_max=0.9)
    keep = kept_pixels(dropout, logits, mask, torch.arange(3))
    leaf = logits.clone().requires_grad_()
    (alone,) = grad(VirtualTeacher().per_pixel(leaf, batch_of(mask)).sum(), leaf)

    _, pull = run(dropout, logits, mask, torch.arange(3))

    assert 0 < int(keep.sum()) < keep.numel()
    size = keep.numel() if norm == "valid" else int(keep.sum())
    assert torch.equal(pull[~keep], torch.zeros_like(pull[~keep]))
    assert torch.allclose(pull[keep], 0.5 * alone[keep] / size, rtol=1e-12)


def test_c04_no_gradient_goes_through_difficulty_capability_or_choice():
    logits, mask = data(seed=4, soft=True)
    leaf = logits.clone().requires_grad_()
    dropout = DynamicDropout(VirtualTeacher())
    d = difficulty(leaf, dropout.inner.teacher(batch_of(mask)))
    capability = dropout.capability_at(d, progress_at())
    keep = dropout.keep(d, capability, batch_of(mask), progress_at())

    assert not any(x.requires_grad for x in (d, capability, keep))
    strategy = at_threshold(VirtualTeacher(), 0.6)
    near = (d - 0.6).abs() < 1e-4
    clear = torch.where(near, torch.zeros_like(logits), logits).requires_grad_()

    def term(z):
        return strategy(Maps(z), batch_of(mask), None, progress_at())["dynamic_dropout"]

    assert gradcheck(term, clear)


@pytest.mark.parametrize("scope", ["batch", "image"])
@pytest.mark.parametrize("share", [0, 0.1, 0.37, 0.75, 1])
@pytest.mark.parametrize("delta", [0.0, 0.3, 0.6])
def test_c05_quantile_drops_as_many_as_it_says(scope, share, delta):
    generator = torch.Generator().manual_seed(5)
    d = torch.rand(3, 1, 7, 9, generator=generator, dtype=torch.float64)
    rows = d.view(1, -1) if scope == "batch" else d.view(3, -1)

    dropped = ~not_hardest(d, share, delta, scope=scope).view(rows.shape)

    for row, gone in zip(rows, dropped, strict=True):
        number = min(math.floor(share * len(row)), int((row > delta).sum()))
        assert int(gone.sum()) == number
        if 0 < number < len(row):
            assert row[gone].min() >= row[~gone].max()


def test_c05_quantile_breaks_ties_by_the_lower_index():
    d = torch.tensor([0.5, 0.9, 0.9, 0.9, 0.9, 0.2], dtype=torch.float64).view(1, 1, 2, 3)
    many = torch.full((1, 1, 64, 64), 0.7)

    assert bits(not_hardest(d, 0.5, 0.0)) == "100011"
    assert bits(not_hardest(many, 0.25, 0.0)) == "0" * 1024 + "1" * 3072


def test_c05_quantile_counts_valid_pixels_only():
    d = torch.tensor([0.9, 0.8, 0.7, 0.6], dtype=torch.float64).view(1, 1, 2, 2)
    valid = torch.tensor([0, 1, 1, 1]).view(1, 1, 2, 2)

    assert bits(not_hardest(d, 0.67, 0.0, valid=valid)) == "1001"


def test_c06_bernoulli_at_its_limits():
    logits, mask = data(seed=6)
    index = torch.tensor([4, 0, 9])
    d = difficulty(logits, teacher_map(mask, 0.99))
    gentle = DynamicDropout(VirtualTeacher(), rule="bernoulli", rho_max=0, capability="constant", constant=0)
    strict = DynamicDropout(VirtualTeacher(), rule="bernoulli", rho_max=1, capability="constant", constant=0)

    assert kept_pixels(gentle, logits, mask, index).all()
    assert torch.equal(kept_pixels(strict, logits, mask, index), not_above(d, 0.5).bool())


def test_c06_bernoulli_draws_are_the_hash_of_seed_epoch_index_and_pixel():
    logits, mask = data(seed=6)
    index = torch.tensor([4, 0, 9])
    d = difficulty(logits, teacher_map(mask, 0.99))
    for seed, epoch in [(0, 0), (0, 1), (7, 0), (7, 12)]:
        dropout = DynamicDropout(
            VirtualTeacher(), rule="bernoulli", rho_max=0.6, capability="constant", constant=0, seed=seed
        )
        draws = uniform(seed, epoch, index.numpy()[:, None], 0, np.arange(48)[None, :])

        kept = kept_pixels(dropout, logits, mask, index, progress_at(epoch=epoch, epochs=20))

        expected = oracle.keep_bernoulli(d.flatten().tolist(), 0, 0.6, 0.5, draws.flatten())
        assert kept.flatten().tolist() == expected


def test_c06_bernoulli_does_not_mind_the_order_of_a_batch():
    logits, mask = data(seed=6)
    index, order = torch.tensor([4, 0, 9]), torch.tensor([2, 0, 1])
    dropout = DynamicDropout(VirtualTeacher(), rule="bernoulli", capability="constant", constant=0)

    kept = kept_pixels(dropout, logits, mask, index)

    assert torch.equal(kept[order], kept_pixels(dropout, logits[order], mask[order], index[order]))
    assert torch.equal(kept[1:2], kept_pixels(dropout, logits[1:2], mask[1:2], index[1:2]))


def test_c06_bernoulli_keeps_the_share_it_says_over_ten_thousand_seeds():
    d = torch.full((1, 1, 1, 1), 0.9)
    draws = uniform(np.arange(10_000), 3, 5, 0, 7)
    whole = torch.from_numpy((draws * 2.0**53).astype(np.int64))

    kept = torch.stack([not_drawn(d, w, 0.3, 0.5) for w in whole]).double().mean()

    assert abs(float(kept) - 0.7) < 3 * math.sqrt(0.3 * 0.7 / 10_000)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
def test_c06_bernoulli_is_the_same_on_the_graphics_card():
    logits, mask = (x.float() for x in data(seed=6))
    dropout = DynamicDropout(VirtualTeacher(), rule="bernoulli", capability="constant", constant=0).cuda()

    there = kept_pixels(dropout, logits.cuda(), mask.cuda(), torch.arange(3).cuda())

    assert torch.equal(there.cpu(), kept_pixels(dropout.cpu(), logits, mask, torch.arange(3)))


def test_c06_bernoulli_without_an_index_is_refused_by_name():
    logits, mask = data()
    with pytest.raises(ValueError, match=r"needs batch\.index"):
        run(DynamicDropout(VirtualTeacher(), rule="bernoulli"), logits, mask)
