"""Pooling, spreading, resizing and extremes as the branches compute them, beside the framework's own."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import grad, gradcheck, gradgradcheck

from standout.distill.linear_maps import averages, cells_spread, resized
from standout.distill.pyramid_branches import BINS, Branch, max_and_mean

SIZES = [(9, 13), (6, 6), (1, 2), (14, 7)]


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def spread_by_framework(grids, weights, size):
    """Return the sum as its definition reads: spread every grid over the map, then convolve it there."""
    wide = [F.interpolate(grid, size=size, mode="bilinear", align_corners=True) for grid in grids]
    return sum(F.conv2d(one, weight, padding=1) for one, weight in zip(wide, weights, strict=True))


def plain_branch(branch, feature):
    """Return a branch's logits as its definition reads, by the framework's own operations."""
    feature = branch.squeeze(feature)
    size = feature.shape[-2:]
    pooled = [
        F.interpolate(squeeze(F.adaptive_avg_pool2d(feature, cells)), size=size, mode="bilinear", align_corners=True)
        for squeeze, cells in zip(branch.pooling.bins, BINS, strict=True)
    ]
    feature = branch.project(torch.cat([feature, *pooled], 1))
    attention = branch.attention
    gate = torch.sigmoid(attention.channel(feature.mean((2, 3))) + attention.channel(feature.amax((2, 3))))
    feature = feature * gate[:, :, None, None]
    seen = torch.cat([feature.amax(1, keepdim=True), feature.mean(1, keepdim=True)], 1)
    return branch.score(feature * torch.sigmoid(attention.place(seen)))


def assert_same(found, expected, inputs):
    """Compare two results and their slopes with respect to every input."""
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)
    weight = random(*found.shape, seed=9).detach()
    slopes = (grad((one * weight).sum(), inputs, retain_graph=True) for one in (found, expected))
    for own, other in zip(*slopes, strict=True):
        assert torch.allclose(own, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_averages_are_those_of_the_framework(size, memory):
    feature = random(2, 5, *size)
    stored = feature.contiguous(memory_format=memory)

    found = averages(stored, BINS)

    for grid, cells in zip(found, BINS, strict=True):
        assert_same(grid, F.adaptive_avg_pool2d(feature, cells), [feature])


@pytest.mark.parametrize("size", SIZES)
def test_grids_are_spread_and_convolved_as_by_the_framework(size):
    grids = [random(2, 3, cells, cells, seed=cells) for cells in BINS]
    weights = [random(4, 3, 3, 3, seed=10 + cells) for cells in BINS]

    found = cells_spread(grids, weights, size)

    assert_same(found, spread_by_framework(grids, weights, size), [*grids, *weights])


@pytest.mark.parametrize(
    ("before", "after"), [((7, 5), (28, 20)), ((7, 5), (23, 31)), ((9, 9), (4, 3)), ((1, 2), (5, 5))]
)
def test_maps_are_resized_as_by_the_framework(before, after):
    logits = random(2, 1, *before)

    found = resized(logits, after)

    expected = F.interpolate(logits, size=after, mode="bilinear", align_corners=False)
    assert torch.equal(found, expected)
    assert_same(found, expected, [logits])
    assert gradgradcheck(lambda x: resized(x, after).square(), logits)


@pytest.mark.parametrize("over", [(1,), (2, 3)])
def test_extremes_and_means_have_the_slopes_of_the_framework_also_where_maxima_tie(over):
    feature = random(2, 3, 4, 5)
    with torch.no_grad():
        feature[:, :, 0] = feature[:, :1, 0, :1] = 3.0

    found = torch.cat(max_and_mean(feature, over))

    assert_same(found, torch.cat([feature.amax(over, keepdim=True), feature.mean(over, keepdim=True)]), [feature])


@pytest.mark.parametrize("over", [(1,), (2, 3)])
def test_extremes_and_means_can_be_differentiated_again(over):
    feature = random(2, 3, 4, 5)

    assert gradcheck(lambda x: max_and_mean(x, over), feature)
    assert gradgradcheck(lambda x: torch.cat(max_and_mean(x.square(), over)), feature)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("channels", "width"), [(8, 8), (20, 12)])
@pytest.mark.parametrize("training", [True, False])
def test_a_branch_is_what_its_blocks_make(size, channels, width, training):
    torch.manual_seed(0)
    branch = Branch(channels, width).double().train(training)
    feature = random(2, channels, *size)

    assert_same(branch(feature), plain_branch(branch, feature), [feature, *branch.parameters()])


def test_a_branch_keeps_the_names_of_its_parameters():
    """Checkpoints hold them."""
    names = {name.removesuffix(".weight").removesuffix(".bias") for name, _ in Branch(8, 4).named_parameters()}

    grids = {f"pooling.bins.{number}.{part}" for number in range(4) for part in (1, 2)}
    rest = {"squeeze.0", "squeeze.1", "project.0", "project.1", "score"}
    assert names == grids | rest | {f"attention.{part}" for part in ("channel.0", "channel.2", "place.0", "place.1")}
