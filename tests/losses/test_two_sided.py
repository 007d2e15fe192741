"""The one kernel of the losses of single pixels: its value, its slopes and how it is differentiated again."""

import contextlib
import math

import pytest
import torch
from torch.autograd import grad, gradcheck, gradgradcheck

from oracles import teachers as oracle
from standout.losses import bernoulli_kl, binary_cross_entropy, mean_squared, non_negative_feedback, virtual_teacher
from standout.losses.sides import shared_sides, sides, two_sided


def maps(seed=0, shape=(2, 1, 3, 4), dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(shape, generator=generator, dtype=dtype) * 4
    return z, torch.rand(shape, generator=generator, dtype=dtype), torch.rand(shape, generator=generator, dtype=dtype)


def test_the_kernel_equals_its_definition():
    z, foreground, background = maps()

    found = two_sided(z, foreground, background).flatten().tolist()

    expected = [
        -a * math.log(oracle.sigmoid(x)) - b * math.log(oracle.sigmoid(-x))
        for x, a, b in zip(*(part.flatten().tolist() for part in (z, foreground, background)), strict=True)
    ]
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_kernel_has_the_slopes_of_its_value_and_theirs():
    inputs = [part.requires_grad_() for part in maps(1)]

    assert gradcheck(two_sided, inputs)
    assert gradgradcheck(two_sided, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_slope_of_a_sure_pixel_is_not_rounded_away(dtype):
    """A difference of sigmoid and label would be 0 from a margin of 17 on in float32."""
    z = torch.tensor([30.0, -30.0], dtype=dtype, requires_grad=True)
    label = torch.tensor([1.0, 0.0], dtype=dtype)
    value = two_sided(z, label, 1 - label)

    (pull,) = grad(value.sum(), z)

    assert value.tolist() == pytest.approx([math.exp(-30), math.exp(-30)], rel=1e-5)
    assert pull.tolist() == pytest.approx([-math.exp(-30), math.exp(-30)], rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernel_is_finite_at_any_margin(dtype):
    z = torch.tensor([1e4, -1e4, 1e4, -1e4], dtype=dtype, requires_grad=True)
    label = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=dtype)
    value = two_sided(z, label, 1 - label)

    (pull,) = grad(value.sum(), z)

    assert value.tolist() == [0, 1e4, 1e4, 0]
    assert pull.tolist() == [0, -1, 1, 0]


def test_function_transforms_see_through_the_kernel():
    z, foreground, background = maps(2)

    found = torch.func.grad(lambda x: two_sided(x, foreground, background).sum())(z)

    leaf = z.clone().requires_grad_()
    assert torch.equal(found, grad(two_sided(leaf, foreground, background).sum(), leaf)[0])


def test_losses_that_share_a_map_give_the_same_bits():
    z, mask, _ = maps(3)
    found = []
    for shared in (False, True):
        leaf, teacher = z.clone().requires_grad_(), z.neg().requires_grad_()
        with shared_sides() if shared else contextlib.nullcontext():
            total = binary_cross_entropy(leaf, mask) + bernoulli_kl(leaf, teacher) + bernoulli_kl(teacher, leaf)
        found.append((total.detach(), *grad(total, [leaf, teacher])))

    assert all(torch.equal(*both) for both in zip(*found, strict=True))


def test_losses_that_share_a_label_give_the_same_bits_and_leave_it_as_it_was():
    z, mask, _ = maps(6)
    before = mask.clone()

    def total(leaf):
        terms = [binary_cross_entropy(leaf, mask), mean_squared(leaf, mask)]
        for confidence in (0.9, 0.99):
            terms += [virtual_teacher(leaf, mask, confidence=confidence)]
            terms += [
                non_negative_feedback(leaf, mask, confidence=confidence, soft=soft) for soft in ("gate", "binarise")
            ]
        return torch.stack(terms)

    leaf = z.clone().requires_grad_()
    alone = total(leaf)
    with shared_sides():
        shared, again = total(leaf), total(leaf)

    assert torch.equal(shared, alone)
    assert torch.equal(again, alone)
    assert torch.equal(grad(shared.sum(), leaf)[0], grad(alone.sum(), leaf)[0])
    assert torch.equal(mask, before)


def test_a_label_that_learns_has_its_gradient_within_the_block_too():
    z, mask, _ = maps(7)

    def slope(block):
        leaf = mask.clone().requires_grad_()
        with block:
            binary_cross_entropy(z, leaf.detach())
            virtual_teacher(z, leaf)  # gives it none
            return grad(binary_cross_entropy(z, leaf), leaf)[0]

    assert torch.equal(slope(shared_sides()), slope(contextlib.nullcontext()))


def test_what_is_shared_can_be_differentiated_again():
    z, foreground, background = (part.requires_grad_() for part in maps(4))

    def shared(*inputs):
        with shared_sides():
            return two_sided(*inputs)

    assert gradcheck(shared, (z, foreground, background))
    assert gradgradcheck(shared, (z, foreground, background))


def test_sides_are_shared_within_the_block_alone_and_by_one_map_alone():
    z, other, _ = maps(5)
    with shared_sides():
        first = sides(z)
        assert sides(z) is first
        assert sides(other) is not first
        with shared_sides():
            assert sides(z) is not first
        assert sides(z) is first

    assert sides(z) is not first
    assert torch.equal(sides(z).shares[0], first.shares[0])


def test_maps_that_come_and_go_within_the_block_never_meet_anothers_sides():
    with shared_sides():
        for number in range(50):
            z = torch.full((3,), float(number))
            assert two_sided(z, torch.zeros(3), torch.ones(3)).tolist() == pytest.approx(
                [math.log1p(math.exp(number))] * 3
            )
