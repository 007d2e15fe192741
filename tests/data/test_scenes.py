"""Generated scenes: a function of their seed, with true masks, harder where asked."""

import numpy as np
import pytest

from standout.data.layouts import LAYOUTS
from standout.data.outlines import OUTLINES, outline
from standout.data.scenes import KINDS, generate_scene, write_scenes
from standout.data.textures import GROUNDS, Texture, field, paint, palette
from standout.errors import StandoutError
from standout.images import read_image, read_mask


def contrast(index, kind, difficulty):
    """Distance of the object's mean colour from that of its surroundings, 0..1 per channel."""
    picture, mask = generate_scene(5, index, size=(64, 64), kind=kind, difficulty=difficulty)
    inside = mask > 128
    return float(np.abs(picture[inside].mean(0) - picture[~inside].mean(0)).mean() / 255)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_is_a_function_of_seed_and_index(kind):
    first, mask = generate_scene(3, 4, size=(64, 80), kind=kind)
    generate_scene(9, 9, size=(64, 80), kind=kind)
    again, same_mask = generate_scene(3, 4, size=(64, 80), kind=kind)

    assert np.array_equal(first, again)
    assert np.array_equal(mask, same_mask)
    for seed, index in ((3, 5), (4, 4)):
        assert not np.array_equal(first, generate_scene(seed, index, size=(64, 80), kind=kind)[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(32, 32), (65, 113), (160, 97)])
def test_pictures_and_masks_have_the_asked_size(kind, size):
    picture, mask = generate_scene(0, 1, size=size, kind=kind)

    assert picture.shape == (*size, 3)
    assert picture.dtype == np.uint8
    assert mask.shape == size
    assert mask.dtype == np.uint8


@pytest.mark.parametrize("kind", KINDS)
def test_every_mask_has_an_object_a_background_and_soft_edges(kind):
    for index in range(24):
        _, mask = generate_scene(1, index, size=(96, 96), kind=kind, difficulty=(index % 5) / 4)
        part = float((mask > 128).mean())

        assert 0.005 < part < 0.9
        # Edges are blended over a pixel or two: some levels lie between, few against the whole.
        between = float(((mask > 0) & (mask < 255)).mean())
        assert 0 < between < 0.35


def test_objects_are_where_the_mask_says():
    # At difficulty 0 the object's colours differ, so the mask must explain far more variance than a shifted one.
    right, wrong = [], []
    for index in range(20):
        picture, mask = generate_scene(2, index, size=(96, 96), difficulty=0.0)
        for found, inside in ((right, mask > 128), (wrong, np.roll(mask, (31, 43), (0, 1)) > 128)):
            found.append(np.abs(picture[inside].mean(0) - picture[~inside].mean(0)).sum())

    assert np.mean(right) > 1.8 * np.mean(wrong)


def test_difficulty_lowers_the_contrast_of_salient_objects():
    means = [np.mean([contrast(index, "salient", d) for index in range(24)]) for d in (0.0, 0.5, 1.0)]

    assert means[0] > 1.15 * means[1]
    assert means[1] > 1.15 * means[2]


def test_difficulty_lowers_the_contrast_of_camouflaged_objects():
    easy, hard = (np.mean([contrast(index, "camouflaged", d) for index in range(24)]) for d in (0.0, 1.0))

    assert easy > 1.2 * hard


def test_camouflaged_objects_differ_less_than_salient_ones():
    hidden, shown = (np.mean([contrast(index, kind, 0.5) for index in range(24)]) for kind in KINDS[::-1])

    assert hidden < 0.6 * shown


def test_pictures_are_not_flat():
    for kind in KINDS:
        picture, mask = generate_scene(6, 0, size=(128, 128), kind=kind)
        for inside in (mask > 250, mask < 5):
            assert len(np.unique(picture[inside], axis=0)) > 200


@pytest.mark.parametrize("name", sorted(OUTLINES))
def test_outlines_are_drawn_anew_and_fit_their_box(name):
    rng = np.random.default_rng(0)
    shapes = [outline(name, rng, 64) > 0 for _ in range(6)]

    for shape in shapes:
        assert 0.02 < shape.mean() < 0.8
        assert np.concatenate([shape[0], shape[-1], shape[:, 0], shape[:, -1]]).mean() < 0.1
    assert not np.array_equal(shapes[0], shapes[1])


def test_a_ring_and_a_handle_leave_holes():
    distance = outline("ring", np.random.default_rng(0), 64, turn=0.0)

    assert distance[32, 33] < 0
    assert (distance[32] > 0).any()


def test_a_field_has_its_grain_and_its_spectrum():
    rng = np.random.default_rng(0)
    grained = field(rng, (128, 128), 128, 2.0, 4, stretch=6, angle=0.0)
    rough, smooth = (field(rng, (128, 128), 128, slope, 4) for slope in (1.2, 2.8))

    assert grained.std() == pytest.approx(1, abs=1e-3)
    # Along the grain, to the right at angle 0, neighbours are more alike than across it.
    assert np.abs(np.diff(grained, axis=1)).mean() < 0.5 * np.abs(np.diff(grained, axis=0)).mean()
    assert np.abs(np.diff(smooth)).mean() < 0.5 * np.abs(np.diff(rough)).mean()


def test_blur_takes_the_detail_of_a_surface():
    texture = Texture(palette(GROUNDS["grass"], np.random.default_rng(0)), relief=0.0)
    sharp, soft = (paint(texture, np.random.default_rng(1), (96, 96), 96, blur=blur) for blur in (0.0, 3.0))

    assert np.abs(np.diff(soft, axis=1)).mean() < 0.5 * np.abs(np.diff(sharp, axis=1)).mean()


def test_written_scenes_are_an_image_mask_set(tmp_path):
    names = write_scenes(tmp_path, 10, seed=1, size=(48, 64), camouflaged=0.3)

    assert "Image/Mask" in LAYOUTS
    assert len(set(names)) == 10
    assert sum(name.startswith("camouflaged") for name in names) == 3
    for name in names:
        assert read_image(tmp_path / "Image" / f"{name}.jpg").pixels.shape == (48, 64, 3)
        assert (tmp_path / "Mask" / f"{name}.png").is_file()
    _, mask = generate_scene(1, 0, size=(48, 64), kind=names[0].split("-")[0])
    assert np.array_equal(read_mask(tmp_path / "Mask" / f"{names[0]}.png").values, mask)


def test_existing_scenes_are_not_overwritten(tmp_path):
    write_scenes(tmp_path, 1, seed=1, size=(32, 32))

    with pytest.raises(StandoutError):
        write_scenes(tmp_path, 1, seed=2, size=(32, 32))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "hidden"}, "'hidden'"),
        ({"size": (16, 64)}, "(16, 64)"),
        ({"difficulty": 1.5}, "1.5"),
        ({"seed": -1}, "-1"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match="must") as caught:
        generate_scene(**{"seed": 0, "index": 0, **arguments})

    assert words in str(caught.value)


def test_write_scenes_refuses_numbers_out_of_range(tmp_path):
    with pytest.raises(ValueError, match="camouflaged"):
        write_scenes(tmp_path, 1, seed=0, camouflaged=1.2)
    with pytest.raises(ValueError, match="count"):
        write_scenes(tmp_path, 0, seed=0)
