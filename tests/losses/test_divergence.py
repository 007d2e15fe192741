"""Divergences from a teacher, and labels that are distributions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import grad, gradcheck

from oracles import teachers as oracle
from standout.losses import (
    bernoulli_kl,
    binary_cross_entropy,
    categorical_kl,
    cross_entropy,
    soft_target_bce,
    virtual_teacher,
)
from standout.losses.numerics import reduce

Z = torch.tensor([[[[2.0, -1], [0.5, -3]]], [[[-1.5, 0.3], [2.2, -0.7]]]], dtype=torch.float64)
G = torch.tensor([[[[1.0, 0], [1, 0]]], [[[1.0, 0], [0, 1]]]], dtype=torch.float64)
T = torch.tensor([[[[3.0, -2], [1, -1]]], [[[1.0, -0.5], [-0.4, 2.5]]]], dtype=torch.float64)


def symmetric(z, t, temperature):
    return bernoulli_kl(z, t, temperature=temperature) + bernoulli_kl(t, z, temperature=temperature)


def tf_kd(alpha):
    return lambda z, g, t: (
        (1 - alpha) * binary_cross_entropy(z, g) + alpha * virtual_teacher(z, g, soften="prob", temperature=20)
    )


ROWS = {
    "label smoothing": (lambda z, g, t: soft_target_bce(z, 0.9 * g + 0.05), 0.3219635086, 1.432259473, 0.8771114907),
    "Tf-KD, alpha 0.1": (tf_kd(0.1), 0.2506885672, 1.364413845, 0.8075512063),
    "Tf-KD, alpha 0.95": (tf_kd(0.95), 0.3354765656, 0.2883510117, 0.3119137886),
    "Tf-KD, literal target": (
        lambda z, g, t: 0.9 * binary_cross_entropy(z, g) + 0.1 * virtual_teacher(z, g, soften="none"),
        0.2367383551, 1.484234319, 0.8604863372,
    ),
    "KL": (lambda z, g, t: bernoulli_kl(z, t), 0.09939965838, 0.5810624711, 0.3402310647),
    "KL, reversed": (lambda z, g, t: bernoulli_kl(t, z), 0.08031190869, 0.5993863926, 0.3398491507),
    "KL at 4": (lambda z, g, t: bernoulli_kl(z, t, temperature=4), 0.1850117408, 0.7308922995, 0.4579520201),
    "KD at 4": (
        lambda z, g, t: 0.1 * binary_cross_entropy(z, g) + 0.9 * bernoulli_kl(z, t, temperature=4),
        0.1905819176, 0.8069040168, 0.4987429672,
    ),
    "symmetric": (lambda z, g, t: symmetric(z, t, 1), 0.1797115671, 1.180448864, 0.6800802154),
    "symmetric at 3": (lambda z, g, t: symmetric(z, t, 3), 0.3494737336, 1.443870426, 0.8966720796),
    "earlier predictions": (
        lambda z, g, t: soft_target_bce(z, 0.6 * g + 0.4 * t.sigmoid()), 0.3562484729, 1.345743252, 0.8509958625,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_vector(name):
    loss, first, second, both = ROWS[name]

    assert float(loss(Z[:1], G[:1], T[:1])) == pytest.approx(first, rel=1e-9)
    assert float(loss(Z[1:], G[1:], T[1:])) == pytest.approx(second, rel=1e-9)
    assert float(loss(Z, G, T)) == pytest.approx(both, rel=1e-9)


def test_vector_of_the_gradient():
    z = Z[:1].clone().requires_grad_()

    (pull,) = grad(bernoulli_kl(z, T[:1], temperature=4), z)

    expected = [-0.056719368, 0.06028283, -0.030967128, -0.1170022]
    assert pull.flatten().tolist() == pytest.approx(expected, rel=1e-7)


logits = st.lists(st.floats(-20, 20), min_size=1, max_size=12)


@given(logits, logits, st.floats(0.5, 8))
def test_kl_follows_its_definition(student, teacher, temperature):
    size = min(len(student), len(teacher))
    student, teacher = student[:size], teacher[:size]
    expected = [oracle.bernoulli_kl(z, t, temperature) for z, t in zip(student, teacher, strict=True)]
    maps = [torch.tensor(m, dtype=torch.float64).view(1, 1, 1, -1) for m in (student, teacher)]

    found = bernoulli_kl(*maps, temperature=temperature)
    rounded = bernoulli_kl(*(m.float() for m in maps), temperature=temperature)

    assert float(found) == pytest.approx(oracle.mean(expected), rel=1e-9, abs=1e-12)
    assert float(rounded) == pytest.approx(oracle.mean(expected), rel=2e-5, abs=2e-6 * max(1, temperature**2))


@pytest.mark.parametrize("temperature", [1, 2, 4, 20])
def test_one_channel_equals_two_classes(temperature):
    two = [torch.cat([torch.zeros_like(m), m], 1) for m in (Z, T)]

    found = categorical_kl(*two, temperature=temperature)

    assert float(found) == pytest.approx(float(bernoulli_kl(Z, T, temperature=temperature)), rel=1e-12)


def test_kl_is_zero_on_itself_and_positive_elsewhere():
    leaf = Z.clone().requires_grad_()

    same = bernoulli_kl(leaf, Z)
    (pull,) = grad(same, leaf)

    assert float(same.detach()) == pytest.approx(0, abs=1e-15)
    assert pull.abs().max() < 1e-15
    assert (bernoulli_kl(Z, T, reduction="none") > 0).all()
    assert float(bernoulli_kl(-Z, -T)) == pytest.approx(float(bernoulli_kl(Z, T)), rel=1e-12)


def test_hot_kl_compares_logits():
    expected = float((Z - T).square().mean() / 8)

    assert float(bernoulli_kl(Z, T, temperature=1e4)) == pytest.approx(expected, rel=1e-6)


def test_kl_is_finite_where_the_naive_form_is_not():
    far = torch.tensor([60.0, -60.0, 1e4, -1e4]).view(1, 1, 1, 4).requires_grad_()
    other = -far.detach()

    value = bernoulli_kl(far, other, reduction="none")
    (pull,) = grad(value.sum(), far)

    assert value[0, 0, 0, :2].tolist() == pytest.approx([60, 60])
    assert torch.isfinite(value).all()
    assert torch.isfinite(pull).all()


def test_no_gradient_reaches_a_teacher_or_a_target():
    for loss, teacher in [(bernoulli_kl, T), (categorical_kl, torch.cat([T, Z], 1)), (soft_target_bce, G)]:
        student = torch.cat([Z, T], 1) if loss is categorical_kl else Z
        student, teacher = student.clone().requires_grad_(), teacher.clone().requires_grad_()

        assert grad(loss(student, teacher), teacher, allow_unused=True, retain_graph=True) == (None,)
        assert grad(loss(student, teacher), student)[0].abs().max() > 0


def test_a_mixture_with_a_teacher_is_one_soft_target():
    alpha, q = 0.3, T.sigmoid()
    mixed, single = Z.clone().requires_grad_(), Z.clone().requires_grad_()

    total = (1 - alpha) * binary_cross_entropy(mixed, G) + alpha * bernoulli_kl(mixed, T)
    kernel = soft_target_bce(single, (1 - alpha) * G + alpha * q)

    entropy = binary_cross_entropy(T, q)
    assert torch.allclose(grad(total, mixed)[0], grad(kernel, single)[0], rtol=0, atol=1e-15)
    assert float(total.detach()) == pytest.approx(float(kernel.detach() - alpha * entropy), rel=1e-12)


def test_gradients_agree_with_differences():
    two = torch.cat([Z, T], 1).requires_grad_()
    z = Z.clone().requires_grad_()
    labels = torch.tensor([[[0, 1], [255, 1]], [[1, 1], [0, 0]]])

    assert gradcheck(lambda a: bernoulli_kl(a, T, temperature=3), z)
    assert gradcheck(lambda a: categorical_kl(a, torch.cat([T, Z], 1), temperature=3), two)
    assert gradcheck(lambda a: cross_entropy(a, labels), two)
    assert gradcheck(lambda a: soft_target_bce(a, T.sigmoid()), z)


def test_cross_entropy_over_classes_follows_its_definition():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64) * 4
    labels = torch.randint(0, 5, (2, 3, 4), generator=generator)
    labels[0, 0] = 255
    expected = [
        -math.log(oracle.softmax(z[n, :, i, j].tolist(), 1)[labels[n, i, j]])
        for n in range(2) for i in range(3) for j in range(4) if labels[n, i, j] != 255
    ]  # fmt: skip

    assert float(cross_entropy(z, labels)) == pytest.approx(oracle.mean(expected), rel=1e-12)


def test_ignored_pixels_reach_no_gradient_whatever_they_hold():
    valid = torch.tensor([1, 0, 1, 1]).view(1, 1, 2, 2).expand(2, 1, 2, 2)
    broken = torch.where(valid == 0, torch.tensor(math.nan, dtype=torch.float64), Z)
    for loss, other in [(bernoulli_kl, torch.where(valid == 0, math.inf, T)), (soft_target_bce, G)]:
        leaf, plain = broken.clone().requires_grad_(), Z.clone().requires_grad_()

        value, same = loss(leaf, other, valid=valid), loss(plain, T if loss is bernoulli_kl else G, valid=valid)

        assert torch.equal(value, same)
        assert torch.equal(grad(value, leaf)[0], grad(same, plain)[0])
    two, taught = torch.cat([broken, broken], 1).requires_grad_(), torch.cat([broken, T], 1)
    value = categorical_kl(two, taught, valid=valid[:, 0])
    assert torch.isfinite(value)
    assert (grad(value, two)[0] * (1 - valid) == 0).all()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        bernoulli_kl(Z, T[:1])
    with pytest.raises(ValueError, match="temperature must be a number above 0, got 0"):
        bernoulli_kl(Z, T, temperature=0)
    with pytest.raises(ValueError, match="a softmax over one channel is constant"):
        categorical_kl(Z, T)
    with pytest.raises(ValueError, match="did you mean image"):
        bernoulli_kl(Z, T, reduction="images")
    with pytest.raises(ValueError, match="does not fit"):
        categorical_kl(torch.cat([Z, T], 1), torch.cat([Z, T], 1), valid=torch.ones(2, 3, 2))
    with pytest.raises(ValueError, match="whole-number classes"):
        cross_entropy(torch.cat([Z, T], 1), G[:, 0])


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 1, 3, 2)])
def test_reductions_of_a_map(shape):
    per = torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)
    everything = torch.ones(shape)

    assert torch.equal(reduce(per, None, "valid"), per.mean())
    assert torch.allclose(reduce(per, everything, "image"), reduce(per, None, "image"))
    assert torch.allclose(reduce(per, None, "image"), per.mean())
    assert torch.equal(reduce(per, None, "none"), per)
    first = torch.zeros(shape)
    first[0] = 1
    assert torch.equal(reduce(per, first, "image"), per[0].mean())
    assert torch.equal(reduce(per, first, "none"), per * first)
