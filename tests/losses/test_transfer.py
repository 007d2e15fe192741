"""Soft targets and factor transfer: the design's vectors D-s and D-f, and properties D5 and D6."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from standout.losses import factor_transfer, soft_targets

O_S = [[2, -1, 0.5], [0, 1, -0.5]]
O_T = [[1, 0, 0.5], [0.5, 2, -1]]
F_T = [[1, -0.5, 2, 0.25]]
F_S = [[0.5, 0.5, 1, -1]]
VECTOR = {"rel": 1e-9, "abs": 1e-12}


def exact(values, *, learns=False):
    return torch.tensor(values, dtype=torch.float64, requires_grad=learns)


def with_gradient(loss, student, teacher, **options):
    student = exact(student, learns=True)
    value = loss(student, exact(teacher), **options)
    value.backward()
    return value.item(), student.grad


def close(found, expected, relative=2e-9):
    torch.testing.assert_close(found, exact(expected), rtol=relative, atol=1e-11)


def test_d_s1_to_d_s3_soft_targets_of_the_batch_mean():
    value, gradient = with_gradient(soft_targets, O_S, O_T)

    assert value / 560 == pytest.approx(0.0006559270655, **VECTOR)
    assert value == pytest.approx(0.3673191567, **VECTOR)
    close(gradient, [[0.2369005794, -0.2291349383, -0.007765641107], [-0.03224738215, -0.157862458, 0.1901098401]])


def test_d_s4_to_d_s6_soft_targets_of_the_element_mean():
    value, gradient = with_gradient(soft_targets, O_S, O_T, reduction="mean")

    assert value / 560 == pytest.approx(0.0002186423552, **VECTOR)
    assert value == pytest.approx(0.1224397189, **VECTOR)
    close(
        gradient,
        [[0.07896685981, -0.07637831277, -0.002588547036], [-0.01074912738, -0.05262081932, 0.06336994671]],
    )


def test_d_s7_d_s8_soft_targets_at_high_temperature_match_centred_scores():
    value, gradient = with_gradient(soft_targets, O_S, O_T, temperature=1000)

    assert value == pytest.approx(0.3694444444, rel=1e-3)
    expected = [[0.2333333333, -0.2333333333, 0], [-0.03888888889, -0.1555555556, 0.1944444444]]
    torch.testing.assert_close(gradient, exact(expected), rtol=5e-3, atol=1e-3)


def test_d_s9_soft_targets_in_the_papers_direction():
    value, _ = with_gradient(soft_targets, O_S, O_T, direction="student_teacher")

    assert value == pytest.approx(0.3677574301, **VECTOR)


def test_d_s10_d_f7_d_f8_the_whole_of_equation_3():
    task = F.cross_entropy(exact(O_S), torch.tensor([0, 1])).item()
    assert task == pytest.approx(0.3528400404, **VECTOR)

    for reductions, expected in ((("sum", "batchmean"), 2.347137631), (("mean", "mean"), 0.8820243677)):
        factors = factor_transfer(exact(F_S), exact(F_T), reduction=reductions[0])
        soft = soft_targets(exact(O_S), exact(O_T), reduction=reductions[1])
        assert task + factors.item() + soft.item() == pytest.approx(expected, **VECTOR)


@pytest.mark.parametrize(
    ("reduction", "expected", "slope"), [("sum", 1.626978434, 0.632455532), ("mean", 0.4067446084, 0.158113883)]
)
def test_d_f1_to_d_f4_factor_transfer_and_its_gradient(reduction, expected, slope):
    value, gradient = with_gradient(factor_transfer, F_S, F_T, reduction=reduction)

    assert value == pytest.approx(expected, **VECTOR)
    close(gradient, [[-slope, slope, -slope, -slope]])


def test_d_f5_the_length_of_a_factor_does_not_count():
    assert factor_transfer(7.3 * exact(F_S), exact(F_T)).item() == pytest.approx(1.626978434, **VECTOR)


def test_d_f6_opposite_factors():
    assert factor_transfer(-exact(F_T), exact(F_T)).item() == pytest.approx(3.253956867, **VECTOR)


def drawn(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_d05_factor_transfer(seed, scale):
    student, teacher = drawn(3, 2, 4, 4, seed=seed), drawn(3, 2, 4, 4, seed=seed + 1)
    value = factor_transfer(student, teacher)

    assert factor_transfer(teacher, teacher).item() == 0
    torch.testing.assert_close(factor_transfer(scale * student, teacher), value)
    torch.testing.assert_close(factor_transfer(student, scale * teacher), value)
    torch.testing.assert_close(value, 32 * factor_transfer(student, teacher, reduction="mean"))
    unit = teacher.flatten(1) / teacher.flatten(1).norm(dim=1, keepdim=True)
    torch.testing.assert_close(factor_transfer(-teacher, teacher), 2 * unit.abs().sum(1).mean())
    assert 0 <= value <= 2 * math.sqrt(32)


@given(st.integers(0, 10_000))
def test_d05_the_gradient_is_orthogonal_to_the_students_factor(seed):
    student, teacher = drawn(3, 8, seed=seed).requires_grad_(), drawn(3, 8, seed=seed + 1).requires_grad_()
    factor_transfer(student, teacher).backward()

    assert teacher.grad is None
    torch.testing.assert_close((student.grad * student).sum(1), torch.zeros(3, dtype=torch.float64))


def test_d05_a_factor_of_nothing_gives_numbers():
    student = torch.zeros(2, 4, requires_grad=True)
    value = factor_transfer(student, torch.ones(2, 4))
    value.backward()

    assert value.item() == pytest.approx(2.0)
    assert student.grad.isfinite().all()


@given(st.integers(0, 10_000), st.floats(-50, 50))
def test_d06_soft_targets(seed, shift):
    student, teacher = drawn(4, 5, seed=seed).requires_grad_(), drawn(4, 5, seed=seed + 1).requires_grad_()
    value = soft_targets(student, teacher)
    value.backward()

    assert value.item() > 0
    assert teacher.grad is None
    torch.testing.assert_close(student.grad.sum(1), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(soft_targets(student + shift, teacher - 2 * shift), value, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(value, 5 * soft_targets(student, teacher, reduction="mean"))
    assert soft_targets(teacher + shift, teacher).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("direction", ["teacher_student", "student_teacher"])
def test_d06_the_limit_of_high_temperature(direction):
    student, teacher = drawn(4, 5, seed=1), drawn(4, 5, seed=2)
    difference = student - teacher
    difference = difference - difference.mean(1, keepdim=True)
    student.requires_grad_()
    value = soft_targets(student, teacher, temperature=1000, direction=direction)
    value.backward()

    assert value.item() == pytest.approx(0.7 * difference.square().sum().item() / 20, rel=5e-3)
    torch.testing.assert_close(student.grad, 1.4 * difference / 20, rtol=5e-3, atol=1e-3)


@pytest.mark.parametrize("direction", ["teacher_student", "student_teacher"])
@pytest.mark.parametrize("reduction", ["batchmean", "mean"])
def test_gradients_of_soft_targets_are_exact(direction, reduction):
    student, teacher = drawn(3, 4, seed=3).requires_grad_(), drawn(3, 4, seed=4)

    def loss(scores):
        return soft_targets(scores, teacher, temperature=2.0, direction=direction, reduction=reduction)

    assert torch.autograd.gradcheck(loss, (student,))


@pytest.mark.parametrize("loss", [soft_targets, factor_transfer])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32])
def test_low_precision_is_computed_in_float32(loss, kind):
    student, teacher = drawn(4, 6, seed=5).to(kind), drawn(4, 6, seed=6).to(kind)
    value = loss(student, teacher)

    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), loss(student.double(), teacher.double()), rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("loss", [soft_targets, factor_transfer])
def test_huge_inputs_give_finite_gradients(loss):
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss(student, torch.tensor([[-1e4, 1e4, 0.0]])).backward()

    assert student.grad.isfinite().all()


@pytest.mark.parametrize(
    ("loss", "student", "teacher", "options", "words"),
    [
        (soft_targets, O_S, O_T[:1], {}, "differ in shape"),
        (soft_targets, [1.0], [1.0], {}, r"\(N, K\)"),
        (soft_targets, O_S, O_T, {"temperature": 0}, "temperature"),
        (soft_targets, O_S, O_T, {"alpha": -1}, "alpha"),
        (soft_targets, O_S, O_T, {"reduction": "sum"}, "st_reduction"),
        (soft_targets, O_S, O_T, {"direction": "both"}, "st_direction"),
        (factor_transfer, F_S, O_T, {}, "differ in shape"),
        (factor_transfer, F_S, F_T, {"reduction": "batchmean"}, "ft_reduction"),
    ],
)
def test_what_does_not_fit_is_refused(loss, student, teacher, options, words):
    with pytest.raises(ValueError, match=words):
        loss(exact(student), exact(teacher), **options)
