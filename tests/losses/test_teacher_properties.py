"""What the hand-made teacher and non-negative feedback promise, by the names of their properties."""

import itertools
import math

import pytest
import torch
from teacher_terms import FORMS, SOFT, TERMS, column, random_maps, slope
from torch.autograd import grad

from oracles import teachers as oracle
from standout.losses import (
    binary_cross_entropy,
    cross_entropy,
    gradient_ratio,
    non_negative_feedback,
    opposes_cross_entropy,
    softened,
    virtual_teacher,
)

Z = torch.tensor([2.0, -1.5, 6.0, 0.25, -4.0, 1.0, -6.0, 3.0], dtype=torch.float64).view(1, 1, 2, 4)
G = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0], dtype=torch.float64).view(1, 1, 2, 4)


def opposed(loss, z, g, **options):
    """Return the pixels whose pull has the other sign than cross-entropy's."""
    against = opposes_cross_entropy(lambda a, b: loss(a, b, reduction="none", **options), z, g)
    return against.flatten().nonzero().flatten().tolist()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", [1, 2, 4, 20])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99, 1])
def test_a01_feedback_never_opposes_cross_entropy_on_hard_masks(form, temperature, confidence):
    z, g = random_maps(1)

    pull = slope(non_negative_feedback, z, g, form=form, temperature=temperature, confidence=confidence)

    assert (pull * slope(binary_cross_entropy, z, g)).min() >= 0
    assert pull.abs().max() > 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("soft", SOFT)
@pytest.mark.parametrize("temperature", [1, 2, 4, 20])
def test_a02_feedback_never_opposes_cross_entropy_on_soft_masks(form, soft, temperature):
    z, g = random_maps(2, soft=True)
    g.view(-1)[:100] = 1

    pull = slope(non_negative_feedback, z, g, form=form, soft=soft, temperature=temperature)

    assert (pull * slope(binary_cross_entropy, z, g)).min() >= 0
    assert pull.abs().max() > 0


def test_a02_without_the_gate_split_opposes_at_two_soft_pixels():
    """The vector A-s5: what the definition without its gate would give."""
    z, g, temperature = column([1.2, -0.3, 0.5]), column([0.7, 0.3, 0.6]), 2
    a = softened(0.99, temperature).confidence
    leaf = z.clone().requires_grad_()
    u = leaf / temperature
    sides = g * -torch.nn.functional.logsigmoid(u) + (1 - g) * -torch.nn.functional.logsigmoid(-u)
    ungated = temperature**2 * a * (math.log(a) + sides).mean()
    (pull,) = grad(ungated, leaf)

    assert float(ungated.detach()) == pytest.approx(2.025836133, rel=1e-9)
    assert pull.flatten().tolist() == pytest.approx([-0.03292049495, 0.09848226324, -0.0229128391], rel=1e-9)
    assert (pull * slope(binary_cross_entropy, z, g) < 0).flatten().tolist() == [True, False, True]
    assert opposed(non_negative_feedback, z, g) == []


@pytest.mark.parametrize("temperature", [1, 2, 4])
def test_a03_the_virtual_teacher_opposes_where_the_student_is_surer(temperature):
    assert opposed(virtual_teacher, Z, G, temperature=temperature) == [2, 6]
    z, g = random_maps(3)
    margin = torch.where(g == 1, z, -z).flatten()

    found = opposed(virtual_teacher, z, g, temperature=temperature, confidence=0.99)

    assert found == (margin > math.log(0.99 / 0.01)).nonzero().flatten().tolist()


def test_a04_where_the_forms_of_the_literature_oppose():
    assert opposed(virtual_teacher, Z, G, soften="prob", temperature=20) == [0, 2, 3, 4, 6]
    assert opposed(virtual_teacher, Z, G, form="kl1") == [4, 5, 6, 7]


def test_a06_a_sure_teacher_at_temperature_one_is_cross_entropy():
    z, g = random_maps(6)
    for loss in (virtual_teacher, *(lambda *a, f=f, **o: non_negative_feedback(*a, form=f, **o) for f in FORMS)):
        value = loss(z, g, confidence=1, temperature=1)

        assert float(value) == pytest.approx(float(binary_cross_entropy(z, g)), rel=1e-12)
        pulls = slope(loss, z, g, confidence=1, temperature=1), slope(binary_cross_entropy, z, g)
        assert torch.allclose(*pulls, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("temperature", [1, 3])
def test_a06_an_undecided_teacher_pulls_to_one_half(temperature):
    z, g = random_maps(6, deviation=2)

    pull = slope(virtual_teacher, z, g, confidence=0.5, temperature=temperature, reduction="none")

    assert torch.allclose(pull, temperature * ((z / temperature).sigmoid() - 0.5), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_a07_split_at_temperature_one_is_only_a_learning_rate(confidence):
    z, g = random_maps(7)
    own = slope(binary_cross_entropy, z, g)

    pull = slope(non_negative_feedback, z, g, temperature=1, confidence=confidence)

    assert torch.allclose(pull, confidence * own, rtol=1e-12, atol=0)
    ratio = gradient_ratio(lambda a, b: non_negative_feedback(a, b, temperature=1, confidence=confidence), z, g)
    assert ratio == pytest.approx(confidence, rel=1e-12)


def test_a07_the_virtual_teacher_adds_a_constant_pull_to_cross_entropy():
    z, g = random_maps(7)

    extra = slope(virtual_teacher, z, g) - slope(binary_cross_entropy, z, g)

    expected = (2 * g - 1) * 0.01 / z.numel()
    assert torch.allclose(extra, expected, rtol=1e-9, atol=1e-18)


def test_a08_hot_teachers_compare_logits():
    z, g = random_maps(8)
    z = z.clamp(-5, 5)

    value = virtual_teacher(z, g, temperature=1000)

    aim = math.log(0.99 / 0.01) * (2 * g - 1)
    assert float(value) == pytest.approx(float(((z - aim).square() / 8).mean()), rel=1e-4)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("soft", [False, True])
def test_a09_foreground_and_background_are_mirror_images(name, soft):
    z, g = random_maps(9, soft=soft, pixels=5_000)

    value, mirrored = (TERMS[name](*maps, reduction="none") for maps in ((z, g), (-z, 1 - g)))

    assert torch.allclose(value, mirrored, rtol=1e-9, atol=1e-11)


def test_a09_the_one_sided_baseline_breaks_the_symmetry():
    one_sided = virtual_teacher(Z, G, form="kl1", reduction="none")

    assert not torch.allclose(one_sided, virtual_teacher(-Z, 1 - G, form="kl1", reduction="none"), atol=0.1)


@pytest.mark.parametrize("temperature", [1, 2, 4])
def test_a10_how_the_terms_run_along_the_logit(temperature):
    z = torch.linspace(-12, 12, 4801, dtype=torch.float64).view(1, 1, 1, -1)
    g = torch.ones_like(z)
    top = math.log(0.99 / 0.01)

    split = non_negative_feedback(z, g, temperature=temperature, reduction="none").flatten()
    hinge = non_negative_feedback(z, g, temperature=temperature, form="hinge", reduction="none").flatten()
    full = virtual_teacher(z, g, temperature=temperature, reduction="none").flatten()

    assert (split.diff() < 0).all()
    assert (hinge.diff() <= 0).all()
    assert (hinge[z.flatten() >= top] == 0).all()
    assert (hinge[z.flatten() < top] > 0).all()
    assert z.flatten()[full.argmin()] == pytest.approx(top, abs=0.003)
    assert full.min() >= -1e-15
    assert float(virtual_teacher(column([top]), column([1]), temperature=temperature)) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("name", TERMS)
def test_a11_pixels_may_be_shuffled_split_and_ignored(name):
    loss = TERMS[name]
    z, g = random_maps(11, soft=True, pixels=600)
    order = torch.randperm(600, generator=torch.Generator().manual_seed(0))
    whole = float(loss(z, g))

    parts = [float(loss(z[..., a:b], g[..., a:b])) * (b - a) for a, b in ((0, 150), (150, 600))]
    wide = torch.cat([z, column([math.inf, -math.inf, math.nan, 3.0])], -1).requires_grad_()
    label = torch.cat([g, column([1, 0, 0.4, 1])], -1)
    valid = torch.cat([torch.ones_like(g), torch.zeros(1, 1, 1, 4, dtype=g.dtype)], -1)
    some = loss(wide, label, valid=valid)
    (pull,) = grad(some, wide)

    assert float(loss(z[..., order], g[..., order])) == pytest.approx(whole, rel=1e-12)
    assert sum(parts) / 600 == pytest.approx(whole, rel=1e-12)
    assert float(some.detach()) == pytest.approx(whole, rel=1e-12)
    assert torch.equal(pull[..., 600:], torch.zeros_like(pull[..., 600:]))
    assert torch.allclose(pull[..., :600], slope(loss, z, g), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("reduction", ["valid", "image"])
def test_a12_masks_of_nothing_of_everything_and_without_valid_pixels(name, reduction):
    z, _ = random_maps(12, pixels=64)
    for g in (torch.zeros_like(z), torch.ones_like(z)):
        value = TERMS[name](z, g, reduction=reduction)

        assert torch.isfinite(value)

        leaf = z.clone().requires_grad_()
        nothing = TERMS[name](leaf, g, valid=torch.zeros_like(g), reduction=reduction)
        (pull,) = grad(nothing, leaf)

        assert float(nothing.detach()) == 0
        assert torch.equal(pull, torch.zeros_like(pull))


@pytest.mark.parametrize("reduction", ["valid", "image", "none"])
@pytest.mark.parametrize("empty", [0.0, 1.0])
def test_a12_region_balance_with_one_region_only(reduction, empty):
    z, _ = random_maps(12, pixels=64)
    g = torch.full_like(z, empty)

    balanced = non_negative_feedback(z, g, balance="region", reduction=reduction)

    assert torch.allclose(balanced, non_negative_feedback(z, g, reduction=reduction), rtol=1e-12)


def test_region_balance_adds_the_mean_of_each_region():
    z, g = random_maps(13, soft=True, pixels=400)
    z, g = z.view(2, 1, 20, 10), g.view(2, 1, 20, 10)
    valid = (torch.arange(400).view(2, 1, 20, 10) % 7 != 0).double()
    per = non_negative_feedback(z, g, reduction="none")

    def regions(per, g, valid):
        inside, outside = valid * (g >= 0.5), valid * (g < 0.5)
        return (per * inside).sum() / inside.sum() + (per * outside).sum() / outside.sum()

    batch = non_negative_feedback(z, g, balance="region", valid=valid)
    images = non_negative_feedback(z, g, balance="region", valid=valid, reduction="image")
    weighted = non_negative_feedback(z, g, balance="region", valid=valid, reduction="none")

    assert float(batch) == pytest.approx(float(regions(per, g, valid)), rel=1e-12)
    each = [float(regions(per[i], g[i], valid[i])) for i in range(2)]
    assert float(images) == pytest.approx(sum(each) / 2, rel=1e-12)
    assert float(weighted.sum() / valid.sum()) == pytest.approx(float(batch), rel=1e-12)


def test_a13_two_classes_equal_one_channel():
    z, g = random_maps(13, pixels=2_000)
    two = torch.cat([torch.zeros_like(z), z], 1)
    label = g.squeeze(1).long()
    pairs = [(binary_cross_entropy(z, g), cross_entropy(two, label))]
    for temperature, confidence in itertools.product([1, 2, 20], [0.5, 0.9, 0.99, 1]):
        options = {"temperature": temperature, "confidence": confidence}
        for soften, t_scale in [("logit", "T2"), ("logit", "T"), ("logit", "none"), ("prob", "T2"), ("none", "T2")]:
            more = options | {"soften": soften, "t_scale": t_scale}
            pairs.append((virtual_teacher(z, g, **more), virtual_teacher(two, label, **more)))
            pairs.append((non_negative_feedback(z, g, **more), non_negative_feedback(two, label, **more)))

    for one_channel, two_classes in pairs:
        assert float(two_classes) == pytest.approx(float(one_channel), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("temperature", [1, 2, 5, 20])
def test_a13_class_feedback_opposes_no_logit(temperature):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(20_000, 5, generator=generator, dtype=torch.float64) * 5
    labels = torch.randint(0, 5, (20_000,), generator=generator)
    own = slope(cross_entropy, z, labels)

    assert (slope(non_negative_feedback, z, labels, temperature=temperature) * own).min() >= 0
    assert (slope(virtual_teacher, z, labels, temperature=temperature) * own).min() < 0


def test_a13_the_class_teacher_of_the_literature_opposes_in_every_logit():
    z = torch.tensor([[2.0, 0, -1]], dtype=torch.float64)
    label = torch.tensor([0])

    product = slope(virtual_teacher, z, label, soften="prob", temperature=20) * slope(cross_entropy, z, label)

    assert (product < 0).all()


@pytest.mark.parametrize(
    ("options", "alpha", "expected"),
    [
        ({"soften": "logit", "temperature": 1}, 0.5, 0.995),
        ({"soften": "prob", "temperature": 20}, 0.1, 0.951224755),
        ({"soften": "prob", "temperature": 10}, 0.95, 0.5482563901),
        ({"soften": "prob", "temperature": 40}, 0.95, 0.5308184589),
    ],
)
def test_a17_where_the_pull_of_the_total_vanishes(options, alpha, expected):
    def pull(z):
        point = column([z])
        return float(
            (1 - alpha) * slope(binary_cross_entropy, point, torch.ones_like(point))
            + alpha * slope(virtual_teacher, point, torch.ones_like(point), **options)
        )

    low, high = -20.0, 20.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if pull(middle) < 0 else (low, middle)

    assert oracle.sigmoid(low) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("temperature", [1, 2, 4])
def test_a_sure_teacher_is_the_control_cross_entropy_at_a_temperature(temperature):
    z, g = random_maps(18)

    value = virtual_teacher(z, g, confidence=1, temperature=temperature)

    assert float(value) == pytest.approx(temperature**2 * float(binary_cross_entropy(z / temperature, g)), rel=1e-12)
    feedback = slope(non_negative_feedback, z, g, confidence=0.9, temperature=temperature)
    share = softened(0.9, temperature).confidence
    assert torch.allclose(feedback, share * slope(virtual_teacher, z, g, confidence=1, temperature=temperature))


def test_multiplier_scales_the_term():
    value = virtual_teacher(Z, G, soften="prob", temperature=20)

    assert float(virtual_teacher(Z, G, soften="prob", temperature=20, multiplier=50)) == pytest.approx(
        50 * float(value)
    )
