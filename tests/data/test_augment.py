import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from data_sets import scene
from hypothesis import given
from hypothesis import strategies as st

from standout.data.augment import WHOLE, Augmentation, affine, draw, place
from standout.data.views import coloured, cut, stack

EVERYTHING = Augmentation(
    flip=0.5, crop_keep=0.8, scale=(0.8, 1.3), rotation=15, brightness=0.3, contrast=0.3, saturation=0.3
)
GEOMETRY = Augmentation(flip=0.5, crop_keep=0.8, scale=(0.8, 1.3), rotation=15)


def warped(picture, theta, size):
    """Return the view that the contract of `Batch.affine` promises, (C, size, size) in 0..1, in float64."""
    canonical = torch.from_numpy(picture).double().reshape(*picture.shape[:2], -1).permute(2, 0, 1)[None] / 255
    grid = F.affine_grid(theta.double()[None], [1, canonical.shape[1], size, size], align_corners=False)
    return F.grid_sample(canonical, grid, padding_mode="reflection", align_corners=False)[0]


def view(picture, mask, drawn, size):
    batch = stack([cut(picture, mask, drawn, size)], size)
    return batch.image[0], batch.mask[0], batch.affine[0]


@given(index=st.integers(0, 10**6), rows=st.integers(60, 140), columns=st.integers(60, 140))
@pytest.mark.parametrize("size", [48, 96])
@pytest.mark.parametrize("option", [GEOMETRY, Augmentation()])
def test_the_view_shows_the_place_that_its_affine_says(option, size, index, rows, columns):
    # Brightness says the place: red from left to right, green from top to bottom. Averaging over an area keeps a
    # ramp as it is, so the place that each pixel of the view shows can be read off it.
    across = np.broadcast_to((np.arange(columns) + 0.5) / columns * 255, (rows, columns))
    down = np.broadcast_to(((np.arange(rows) + 0.5) / rows * 255)[:, None], (rows, columns))
    picture = np.rint(np.stack([across, down, across], axis=2)).astype(np.uint8)

    image, label, theta = view(picture, picture[..., 1].copy(), draw(option, 1, 2, index), size)
    place = F.affine_grid(theta.double()[None], [1, 1, size, size], align_corners=False)[0]

    inner = (place.abs() < 1 - 8 / min(rows, columns, size)).all(dim=-1)
    off = torch.stack([image[0], image[1], label[0]]).double() * 2 - 1 - place.permute(2, 0, 1)[[0, 1, 1]]
    in_pixels = off[:, inner] * torch.tensor([[columns], [rows], [rows]]) / 2
    # Rounding to 256 levels of brightness moves a place by up to a quarter of a pixel.
    assert in_pixels.mean(dim=1).abs().max() < 0.25
    assert in_pixels.abs().max() < 1


@given(index=st.integers(0, 10**6), rows=st.integers(1, 140), columns=st.integers(1, 140))
@pytest.mark.parametrize("scale", [(1.0, 1.0), (1.0, 3.0), (0.4, 1.2)])
def test_a_view_that_is_not_turned_is_whole_pixels_next_to_where_it_was_drawn(scale, index, rows, columns):
    drawn = draw(Augmentation(crop_keep=0.5, scale=scale), 1, 2, index)

    at = place(drawn, (rows, columns), 32)

    top, left, bottom, right = at.box
    # The corners of the view, by its affine and as they were drawn, in pixels.
    corners = np.array([[-1, 1], [-1, 1], [1, 1]])
    in_pixels = np.array([[columns], [rows]]) / 2
    own, meant = ((theta @ corners + 1) * in_pixels for theta in (at.affine, affine(drawn, (rows, columns))))
    expected = [[right, left], [top, bottom]] if drawn.flip else [[left, right], [top, bottom]]
    assert np.allclose(own, expected)
    # A view of less than a pixel takes a whole one.
    assert np.abs(own - meant).max() <= (0.5 if min(rows, columns) > 6 else 1) + 1e-9
    assert bottom > top
    assert right > left
    if scale[0] >= 1:
        assert min(top, left) >= 0
        assert bottom <= rows
        assert right <= columns


@given(index=st.integers(0, 10**6))
def test_warping_the_picture_by_its_affine_gives_the_view(index):
    picture, mask = scene(100, 80, seed=3)

    image, label, theta = view(picture, mask, draw(GEOMETRY, 1, 2, index), 96)

    # The view averages where it shrinks and the plain warp does not, so the mask's edge differs a little.
    assert (image.double() - warped(picture, theta, 96)).abs().mean() < 0.003
    assert (label.double() - warped(mask, theta, 96)).abs().mean() < 0.003


def test_the_affine_is_exact_where_pixels_fall_on_pixels():
    picture, mask = scene(64, 64)
    half = WHOLE._replace(height=0.5, width=0.5, top=0.25, left=0.125)

    image, label, theta = view(picture, mask, half._replace(flip=True), 32)

    assert theta.tolist() == [[-0.5, 0, -0.25], [0, 0.5, 0]]
    expected = picture[16:48, 8:40][:, ::-1].astype(np.float64) / 255
    assert np.abs(image.permute(1, 2, 0).numpy() - expected).max() < 1e-6
    assert np.abs(label[0].numpy() - mask[16:48, 8:40][:, ::-1] / 255).max() < 1e-6


@given(index=st.integers(0, 10**6), epoch=st.integers(0, 100))
@pytest.mark.parametrize(
    "option", [GEOMETRY, Augmentation(), Augmentation(rotation=180), Augmentation(scale=(0.3, 0.5))]
)
def test_image_and_mask_are_cut_by_exactly_the_same_numbers(option, index, epoch):
    mask = scene(50, 70, seed=5)[1]
    drawn_as_picture = np.repeat(mask[..., None], 3, axis=2)

    image, label, _ = view(drawn_as_picture, mask, draw(option, 0, epoch, index), 40)

    for channel in image:
        assert torch.equal(channel, label[0])


@given(index=st.integers(0, 10**6))
def test_masks_stay_within_the_range_of_their_own_values(index):
    mask = np.full((50, 70), 40, np.uint8)
    mask[10:30, 20:50] = 200

    _, label, _ = view(scene(50, 70)[0], mask, draw(EVERYTHING, 0, 0, index), 33)

    assert float(label.min()) >= 40 / 255 - 1e-6
    assert float(label.max()) <= 200 / 255 + 1e-6


def test_a_whole_turn_by_quarters_moves_the_corners_clockwise():
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:20, :20, 0] = 255  # red at the top left
    turned = WHOLE._replace(angle=math.pi / 2)

    image, _, theta = view(picture, picture[..., 0].copy(), turned, 40)

    assert np.allclose(theta.numpy(), [[0, -1, 0], [1, 0, 0]], atol=1e-6)
    # The view's axes are turned clockwise in the picture, so what it shows turns the other way.
    assert image[0, 30, 5] > 0.99
    assert image[0, 5, 5] < 0.01


def test_a_turn_keeps_shapes_in_a_picture_that_is_not_square():
    y, x = np.mgrid[:60, :120]
    disc = ((np.hypot(y - 29.5, x - 59.5) < 20) * 255).astype(np.uint8)
    picture = np.repeat(disc[..., None], 3, axis=2)

    straight, _, _ = view(picture, disc, WHOLE, 60)
    turned, _, _ = view(picture, disc, WHOLE._replace(angle=0.6), 60)

    assert (straight - turned).abs().mean() < 0.01


def test_strong_shrinking_averages_instead_of_picking_pixels():
    checks = ((np.indices((512, 512)).sum(axis=0) % 2) * 255).astype(np.uint8)
    picture = np.repeat(checks[..., None], 3, axis=2)

    for drawn in (WHOLE, WHOLE._replace(angle=0.2, scale=1.1)):
        image, label, _ = view(picture, checks, drawn, 32)
        assert (image[:, 4:-4, 4:-4] - 0.5).abs().max() < 0.03
        assert (label[:, 4:-4, 4:-4] - 0.5).abs().max() < 0.03


def test_beyond_the_edge_both_are_mirrored():
    picture, mask = scene(40, 40)

    image, label, theta = view(picture, mask, WHOLE._replace(scale=0.5), 80)

    for got, source in ((image.permute(1, 2, 0).numpy(), picture), (label[0].numpy(), mask)):
        pad = ((20, 20), (20, 20), (0, 0))[: source.ndim]
        assert np.abs(got - np.pad(source, pad, mode="symmetric") / 255).max() < 1e-5
    assert theta.tolist() == [[2, 0, 0], [0, 2, 0]]


def test_a_picture_of_one_pixel_gives_a_view():
    picture, mask = np.full((1, 1, 3), 7, np.uint8), np.full((1, 1), 255, np.uint8)

    for index in range(20):
        image, label, _ = view(picture, mask, draw(GEOMETRY, 0, 0, index), 8)
        assert torch.allclose(image, torch.tensor(7 / 255), atol=1e-6)
        assert torch.allclose(label, torch.ones(()))


def test_colours_change_the_image_alone_and_stay_in_range():
    picture, mask = scene()
    drawn = WHOLE._replace(brightness=1.3, contrast=0.7, saturation=1.3)

    image, label, _ = view(picture, mask, drawn, 40)
    plain, plain_label, _ = view(picture, mask, WHOLE, 40)

    assert torch.equal(label, plain_label)
    assert (image - plain).abs().mean() > 0.02
    assert float(image.min()) >= 0
    assert float(image.max()) <= 1


def test_colours_follow_their_definition():
    image = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.5 + 0.1
    drawn = [WHOLE._replace(brightness=1.2), WHOLE._replace(brightness=0.9, contrast=1.2, saturation=0.5)]

    got = coloured(image.clone(), drawn)

    assert torch.allclose(got[0], image[0] * 1.2)
    bright = image[1] * 0.9
    grey = 0.299 * bright[0] + 0.587 * bright[1] + 0.114 * bright[2]
    vivid = torch.stack([grey + 0.5 * (channel - grey) for channel in bright])
    assert torch.allclose(got[1], grey.mean() + 1.2 * (vivid - grey.mean()))


def test_a_draw_is_a_pure_function_and_every_counter_matters():
    one = draw(EVERYTHING, 1, 2, 3, "")

    assert one == draw(EVERYTHING, 1, 2, 3, "")
    others = [
        draw(EVERYTHING, *counters) for counters in ((0, 2, 3, ""), (1, 0, 3, ""), (1, 2, 0, ""), (1, 2, 3, "second"))
    ]
    assert len({one, *others}) == 5
    # Switching an option on leaves what the others draw as it was.
    assert draw(Augmentation(crop_keep=0.8), 1, 2, 3)[:5] == one[:5]


def test_draws_fill_the_ranges_that_were_asked_for():
    drawn = [draw(EVERYTHING, 0, 0, index) for index in range(4000)]

    def spans(values, low, high):
        values = np.array(values)
        return low <= values.min() < low + (high - low) / 50 and high - (high - low) / 50 < values.max() <= high

    assert spans([d.height for d in drawn], 0.8, 1)
    assert spans([d.width for d in drawn], 0.8, 1)
    assert spans([d.scale for d in drawn], 0.8, 1.3)
    assert spans([math.degrees(d.angle) for d in drawn], -15, 15)
    for name in ("brightness", "contrast", "saturation"):
        assert spans([getattr(d, name) for d in drawn], 0.7, 1.3)
    assert 0.47 < np.mean([d.flip for d in drawn]) < 0.53
    assert all(d.top + d.height <= 1 + 1e-12 and d.left + d.width <= 1 + 1e-12 for d in drawn)
    assert abs(np.corrcoef([d.top for d in drawn], [d.left for d in drawn])[0, 1]) < 0.05


def test_the_whole_picture_has_the_identity_for_its_affine():
    assert affine(WHOLE, (30, 50)).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"flip": 1.1},
        {"crop_keep": 0},
        {"scale": (0, 1)},
        {"scale": (1.2, 1.0)},
        {"rotation": -1},
        {"contrast": 1.0},
        {"brightness": float("nan")},
        {"sizes": (0,)},
    ],
)
def test_options_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(40, 56\) and \(40, 55\)"):
        cut(scene()[0], scene()[1][:, 1:], WHOLE, 8)
