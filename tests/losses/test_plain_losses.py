"""The plain losses: published vectors, slow definitions, limits, and what float32 must survive."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import grad, gradcheck

from oracles import plain_losses as oracle
from standout.losses import (
    TASKS,
    basnet_hybrid,
    bce_iou,
    binary_cross_entropy,
    dice,
    focal,
    intersection_over_union,
    lovasz_hinge,
    structural_similarity,
    structure,
)
from standout.losses.boundary import window_mean
from standout.losses.similarity import similarity_map
from standout.names import find


def maps(*values):
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 2, 2)


A = maps(2, -1, 0.5, -3), maps(1, 0, 1, 0)
B = maps(-1.5, 0.3, 2.2, -0.7), maps(1, 0, 0, 1)
AB = torch.cat([A[0], B[0]]), torch.cat([A[1], B[1]])

VECTORS = {
    "BCE": (binary_cross_entropy, {}, (0.2407135086, 1.491009473, 0.8658614907)),
    "focal": (focal, {}, (0.008604942241, 0.5050029422, 0.2568039422)),
    "focal, no alpha": (focal, {"alpha": None}, (0.02303609855, 0.9449734555, 0.484004777)),
    "Dice": (dice, {}, (0.1687083755, 0.5934046794, 0.3810565274)),
    "Dice s=0": (dice, {"smooth": 0.0}, (0.2128772226, 0.7421675587, 0.4775223906)),
    "IoU": (intersection_over_union, {}, (0.2451811917, 0.6615995599, 0.4533903758)),
    "IoU s=0": (intersection_over_union, {"smooth": 0.0}, (0.3510284778, 0.8520047971, 0.6015166374)),
    "structure": (structure, {}, (0.5310043794, 2.145926083, 1.338465231)),
    "structure released": (structure, {"weight_bce": False}, (0.4884757169, 2.20902649, 1.348751103)),
    "SSIM": (structural_similarity, {}, (0.08624120227, 0.7931900335, 0.4397156179)),
    "BASNet": (basnet_hybrid, {}, (0.6779831886, 3.136204303, 1.907093746)),
    "Lovasz": (lovasz_hinge, {}, (0.25, 2.466666667, 1.358333333)),
}
GRADIENTS = {
    "BCE": (-0.029800731, 0.067235355, -0.094385167, 0.011856468),
    "focal": (-0.00030443376, 0.0098589619, -0.0086210623, 5.9038471e-05),
    "structure": (-0.098285844, 0.030646907, -0.26736454, 0.0060047822),
    "BASNet": (-0.092487749, 0.1514253, -0.27473295, 0.024491341),
    "Lovasz": (0, 0, -0.5, 0),
}
ORACLES = {
    "BCE": (binary_cross_entropy, {}, oracle.binary_cross_entropy, {}),
    "focal": (focal, {"gamma": 1.5, "alpha": 0.3}, oracle.focal, {"gamma": 1.5, "alpha": 0.3}),
    "Dice": (dice, {"smooth": 0.5}, oracle.dice, {"smooth": 0.5, "squared": False}),
    "Dice squared": (dice, {"squared": True}, oracle.dice, {"smooth": 1.0, "squared": True}),
    "IoU": (intersection_over_union, {"smooth": 0.7}, oracle.intersection_over_union, {"smooth": 0.7}),
    "structure": (structure, {"window": 5}, oracle.structure, {"window": 5, "gain": 5, "weight_bce": True}),
    "released": (
        structure,
        {"window": 7, "gain": 3.0, "weight_bce": False},
        oracle.structure,
        {"window": 7, "gain": 3.0, "weight_bce": False},
    ),
    "BASNet": (basnet_hybrid, {}, oracle.basnet_hybrid, {}),
    "BASNet s=1": (basnet_hybrid, {"smooth": 1.0}, oracle.basnet_hybrid, {"smooth": 1.0}),
    "Lovasz": (lovasz_hinge, {}, oracle.lovasz_hinge, {}),
}


def sample(seed=0, count=3, size=(6, 7), soft=True):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, 1, *size, generator=generator, dtype=torch.float64)
    mask = torch.rand(count, 1, *size, generator=generator, dtype=torch.float64)
    return logits, mask if soft else (mask > 0.5).double()


def tasks():
    return [pytest.param(find(TASKS, name, "task"), id=name) for name in TASKS]


@pytest.mark.parametrize("name", VECTORS)
def test_losses_meet_the_published_vectors(name):
    loss, options, expected = VECTORS[name]

    for (logits, mask), value in zip((A, B, AB), expected, strict=True):
        assert float(loss(logits, mask, **options)) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_meet_the_published_vectors(name):
    loss, options, _ = VECTORS[name]
    logits = A[0].clone().requires_grad_()

    (found,) = grad(loss(logits, A[1], **options), logits)

    assert found.flatten().tolist() == pytest.approx(GRADIENTS[name], rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("name", ORACLES)
def test_losses_follow_their_definitions(name):
    loss, options, definition, its_options = ORACLES[name]
    for seed in range(3):
        logits, mask = sample(seed)

        found = float(loss(logits, mask, **options))

        expected = definition(logits.numpy(), mask.numpy(), **its_options)
        assert found == pytest.approx(expected, rel=1e-9)
        assert found > 0


@pytest.mark.parametrize("loss", [*tasks(), pytest.param(structural_similarity, id="structural_similarity")])
def test_losses_have_the_gradients_of_their_values(loss):
    logits, mask = sample(1, 2, (3, 4), soft=False)

    assert gradcheck(lambda z: loss(z, mask), logits.requires_grad_())


@pytest.mark.parametrize("loss", tasks())
def test_losses_do_not_depend_on_how_the_batch_is_cut(loss):
    logits, mask = sample(2, 4)

    parts = [float(loss(logits[i : i + 1], mask[i : i + 1])) for i in range(4)]

    assert float(loss(logits, mask)) == pytest.approx(np.mean(parts), rel=1e-12)


@pytest.mark.parametrize("loss", tasks())
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_losses_work_in_float32_whatever_comes_in(loss, dtype):
    logits, mask = sample(3, soft=False)
    rounded = logits.to(dtype)

    with torch.autocast("cpu", torch.bfloat16):
        found = loss(rounded, mask.to(dtype))

    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(loss(rounded.double(), mask)), rel=2e-5, abs=1e-6)


@pytest.mark.parametrize("loss", tasks())
@pytest.mark.parametrize("level", ["empty", "full", "half"])
@pytest.mark.parametrize("size", [1.0, 500.0, 1e4])
def test_losses_and_gradients_stay_finite(loss, level, size):
    mask = torch.zeros(2, 1, 8, 9)
    if level != "empty":
        mask[..., : 9 if level == "full" else 4] = 1
    for sign in (1, -1):
        logits = (sign * size * (2 * mask - 1)).requires_grad_()

        value = loss(logits, mask)
        (slope,) = grad(value, logits)

        assert torch.isfinite(value)
        assert torch.isfinite(slope).all()
        if sign == 1 and size > 1:  # right and sure
            assert value.item() == pytest.approx(0, abs=1e-6)
        if sign == -1:
            assert value.item() > 0.1


@pytest.mark.parametrize("loss", [dice, intersection_over_union, structure, basnet_hybrid, lovasz_hinge])
def test_sure_and_right_maps_cost_nothing(loss):
    mask = sample(4, soft=False)[1]

    assert float(loss(500 * (2 * mask - 1), mask)) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("loss", tasks())
def test_losses_refuse_shapes_that_differ(loss):
    with pytest.raises(ValueError, match=r"\(2, 1, 4, 4\).*\(2, 1, 4, 5\)"):
        loss(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 5))


def test_ignored_pixels_change_neither_cross_entropy_nor_gradient():
    logits, mask = sample(5)
    valid = (sample(6)[1] > 0.4).double()
    poisoned = torch.where(valid > 0, logits, torch.full_like(logits, torch.inf)).requires_grad_()

    for reduction in ("valid", "image", "none"):
        found = binary_cross_entropy(poisoned, mask, valid=valid, reduction=reduction)
        expected = binary_cross_entropy(logits, mask, valid=valid, reduction=reduction)
        (slope,) = grad(found.sum(), poisoned)

        assert torch.allclose(found, expected)
        assert (slope[valid == 0] == 0).all()
    each = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    assert float(binary_cross_entropy(logits, mask, valid=valid)) == pytest.approx(float(each[valid > 0].mean()))


def test_a_batch_without_valid_pixels_costs_exactly_nothing():
    logits, mask = sample(7)
    logits.requires_grad_()
    for reduction in ("valid", "image"):
        loss = binary_cross_entropy(logits, mask, valid=torch.zeros_like(mask), reduction=reduction)

        assert loss.item() == 0
        assert (grad(loss, logits)[0] == 0).all()


def test_cross_entropy_keeps_tiny_values_of_sure_pixels():
    logits = torch.tensor([[[[30.0]]]], dtype=torch.float64)

    assert float(binary_cross_entropy(logits, torch.ones_like(logits))) == pytest.approx(np.exp(-30.0), rel=1e-9)


def test_focal_without_focus_is_cross_entropy():
    logits, mask = sample(8, soft=False)

    plain = float(binary_cross_entropy(logits, mask))
    assert float(focal(logits, mask, gamma=0.0, alpha=None)) == pytest.approx(plain, rel=1e-12)
    assert float(focal(logits, mask, gamma=0.0, alpha=0.5)) == pytest.approx(plain / 2, rel=1e-12)


def test_focal_and_lovasz_cut_soft_masks_at_one_half():
    logits, mask = sample(9)

    for loss in (focal, lovasz_hinge):
        assert loss(logits, mask) == loss(logits, (mask > 0.5).double())


def test_overlap_follows_from_dice():
    logits, mask = sample(10, count=1)

    d = 1 - float(dice(logits, mask, smooth=0.0))
    assert 1 - float(intersection_over_union(logits, mask, smooth=0.0)) == pytest.approx(d / (2 - d), rel=1e-12)


def test_smoothing_lets_an_empty_mask_teach():
    logits = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.float64)

    (smooth,) = grad(intersection_over_union(logits, mask), logits)
    (rough,) = grad(intersection_over_union(logits, mask, smooth=0.0), logits)
    assert (smooth > 0).all()
    assert (rough == 0).all()


@pytest.mark.parametrize("options", [{"window": 1}, {"gain": 0.0}])
def test_structure_without_weights_is_cross_entropy_and_overlap(options):
    logits, mask = sample(11)

    assert float(structure(logits, mask, **options)) == pytest.approx(float(bce_iou(logits, mask)), rel=1e-12)


def test_bce_iou_is_the_sum_of_its_parts():
    logits, mask = sample(12)

    parts = float(binary_cross_entropy(logits, mask) + intersection_over_union(logits, mask))
    assert float(bce_iou(logits, mask)) == pytest.approx(parts, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_window_mean_equals_the_frameworks_pooling(dtype):
    mask = torch.rand(2, 1, 70, 45, generator=torch.Generator().manual_seed(0), dtype=dtype)
    for window in (1, 3, 31, 99):
        expected = F.avg_pool2d(mask.double(), window, 1, window // 2)

        assert window_mean(mask, window).dtype == dtype
        assert torch.allclose(window_mean(mask, window).double(), expected, rtol=0, atol=1e-6)


def test_counted_zeros_weigh_the_border_of_a_full_picture():
    weight = 1 + 5 * (window_mean(torch.ones(1, 1, 80, 80), 31) - 1).abs()

    assert float(weight[0, 0, 0, 0]) == pytest.approx(4.668, abs=5e-4)
    assert float(weight[0, 0, 0, 40]) == pytest.approx(3.419, abs=5e-4)
    assert float(weight[0, 0, 40, 40]) == pytest.approx(1, abs=1e-6)


def test_structural_similarity_is_symmetric_and_one_for_equal_maps():
    first, second = (sample(seed)[1] for seed in (13, 14))

    assert torch.allclose(similarity_map(first, first), torch.ones_like(first))
    assert torch.allclose(similarity_map(first, second), similarity_map(second, first))


def test_basnet_takes_cross_entropy_from_logits():
    logits = torch.full((1, 1, 4, 4), -120.0, requires_grad=True)

    loss = basnet_hybrid(logits, torch.ones(1, 1, 4, 4))

    assert loss.item() > 120
    assert (grad(loss, logits)[0] < 0).all()


def test_lovasz_limits():
    mask = sample(15, soft=False)[1]
    for error in (0.3, 1.0, 2.5):
        equal = (1 - error) * (2 * mask - 1)

        assert float(lovasz_hinge(equal, mask)) == pytest.approx(error, rel=1e-12)
    assert float(lovasz_hinge(1.0 * (2 * mask - 1), mask)) == 0
    logits = sample(16)[0][:1]
    empty = torch.zeros_like(logits)
    assert float(lovasz_hinge(logits, empty)) == pytest.approx(max(0.0, float(1 + logits.max())), rel=1e-12)


def test_lovasz_in_float32_keeps_its_digits_on_large_pictures():
    logits, mask = sample(17, count=1, size=(300, 300), soft=False)

    exact = float(lovasz_hinge(logits, mask))
    assert float(lovasz_hinge(logits.float(), mask.float())) == pytest.approx(exact, rel=2e-6)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        (focal, {"gamma": -1.0}),
        (focal, {"alpha": 1.5}),
        (dice, {"smooth": -1.0}),
        (intersection_over_union, {"smooth": -0.1}),
        (basnet_hybrid, {"smooth": -0.1}),
        (structure, {"window": 4}),
        (binary_cross_entropy, {"reduction": "sum"}),
    ],
)
def test_wrong_options_are_refused(loss, options):
    (value,) = options.values()
    with pytest.raises(ValueError, match=str(value)):
        loss(*A, **options)
