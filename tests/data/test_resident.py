"""Views made in batches where the whole set lies decoded; the ordinary path is the oracle."""

import numpy as np
import pytest
import torch
from data_sets import encoded, make_set, write
from test_batches import EVERYTHING, SETTINGS

from standout.data.augment import Augmentation
from standout.data.batches import Batches
from standout.data.pairs import find_pairs
from standout.data.resample import resampled, resampled_batch
from standout.data.resident import ResidentBatches
from standout.errors import StandoutError
from standout.images import resize

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return find_pairs(make_set(tmp_path_factory.mktemp("set"), [f"n{k:02}" for k in range(12)])).pairs


def resident(pairs, **settings):
    return ResidentBatches(pairs, device=CPU, limit=2**30, **settings)


def alike(one, other):
    """Return the largest difference of two batches' pictures and masks; everything else must be equal."""
    assert torch.equal(one.index, other.index)
    assert torch.equal(one.affine, other.affine)
    assert one.views.keys() == other.views.keys()
    assert (one.known is None) == (other.known is None)
    assert one.known is None or torch.equal(one.known, other.known)
    assert one.image.stride() == other.image.stride()
    own = max(float((a - b).abs().max()) for a, b in ((one.image, other.image), (one.mask, other.mask)))
    return max([own, *(alike(one.views[name], other.views[name]) for name in one.views)])


@pytest.mark.parametrize("settings", [name for name in SETTINGS if name not in ("everything", "two views")])
def test_straight_views_are_those_of_the_ordinary_path_bit_for_bit(pairs, settings):
    options = {"size": 32, "batch": 4, **SETTINGS[settings]}
    if options["augmentation"] is EVERYTHING:
        options["augmentation"] = Augmentation(brightness=0.2, contrast=0.2, saturation=0.2)

    for ordinary, own in zip(Batches(pairs, **options).epoch(3), resident(pairs, **options).epoch(3), strict=True):
        assert alike(ordinary, own) == 0


@pytest.mark.parametrize("settings", ["everything", "two views"])
def test_turned_and_mirrored_views_are_those_of_the_ordinary_path(pairs, settings):
    options = {"size": 32, "batch": 4, **SETTINGS[settings]}

    for ordinary, own in zip(Batches(pairs, **options).epoch(1), resident(pairs, **options).epoch(1), strict=True):
        assert alike(ordinary, own) <= 1e-6


def test_an_epoch_is_taken_up_in_its_midst_and_parts_make_the_whole(pairs):
    options = {"size": 24, "batch": 4, "augmentation": Augmentation()}
    whole = list(resident(pairs, **options).epoch(1))

    assert alike(next(resident(pairs, **options).epoch(1, 2)), whole[2]) == 0
    parts = [list(resident(pairs, **options, part=(number, 2)).epoch(1)) for number in range(2)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat([first.index, second.index]), batch.index)
        assert torch.equal(torch.cat([first.image, second.image]), batch.image)


@pytest.mark.parametrize("unknown", ["soft", "ignore"])
def test_labels_that_say_nothing_are_told(tmp_path, unknown):
    folder = make_set(tmp_path, ["a", "b", "c"])
    mask = np.zeros((40, 56), np.uint8)
    mask[10:30, 10:30], mask[15:25, 30:50] = 255, 128
    write(folder / "masks" / "a.png", mask)
    options = {"size": 24, "batch": 3, "augmentation": Augmentation(), "unknown": unknown}

    ordinary, own = next(Batches(find_pairs(folder).pairs, **options).epoch(0)), None
    own = next(resident(find_pairs(folder).pairs, **options).epoch(0))

    assert (own.known is None) == (unknown == "soft")
    assert alike(ordinary, own) == 0


def test_what_cannot_be_read_is_replaced_alike_and_fitted_masks_are_counted(tmp_path):
    folder = make_set(tmp_path, [f"n{k:03}" for k in range(400)], rows=8, columns=9)
    (folder / "images" / "n007.png").write_bytes(b"no picture")
    picture = np.zeros((20, 30, 3), np.uint8)
    write(folder / "images" / "n011.png", picture)
    write(folder / "masks" / "n011.png", np.zeros((10, 15), np.uint8))
    pairs = find_pairs(folder).pairs
    ordinary, own = Batches(pairs, size=8, batch=400), resident(pairs, size=8, batch=400)

    assert alike(next(ordinary.epoch(0)), next(own.epoch(0))) == 0
    assert own.failures == ordinary.failures != {}
    assert own.refitted == ordinary.refitted == {"n011": "resized"}


def test_a_set_that_does_not_fit_is_refused_with_both_numbers(pairs):
    batches = ResidentBatches(pairs, device=CPU, limit=4 * 40 * 60 * 5, size=16, batch=4)

    with pytest.raises(StandoutError, match=r"do not fit on the device: 6 of 12 take") as caught:
        batches.load()
    assert caught.value.exit_code == 2


def test_filtering_a_batch_gives_the_levels_of_filtering_one_picture():
    random = np.random.default_rng(0)
    for _ in range(80):
        shapes = [random.integers(1, 90, 2) for _ in range(random.integers(1, 4))]
        rows, columns = (max(shape[axis] for shape in shapes) for axis in (0, 1))
        size = tuple(random.integers(1, 70, 2).tolist())
        planes = torch.full((len(shapes), 4, rows, columns), 77, dtype=torch.uint8)
        boxes, expected, flips = [], [], random.random(len(shapes)) < 0.5
        for number, shape in enumerate(shapes):
            picture = random.integers(0, 256, (*shape, 4), dtype=np.uint8)
            planes[number, :, : shape[0], : shape[1]] = torch.from_numpy(picture).permute(2, 0, 1)
            top, left = (random.random(2) * shape).astype(int)
            bottom, right = np.array([top, left]) + 1 + (random.random(2) * (shape - [top, left])).astype(int)
            one = resampled(picture[top:bottom, left:right].copy(), size)
            expected.append(one.flip(2) if flips[number] else one)
            boxes.append([top, left, bottom, right])

        got = resampled_batch(planes, torch.tensor(np.array(boxes)), size, torch.tensor(flips))

        assert torch.equal(got, torch.stack(expected).double())


@pytest.mark.parametrize("shape", [(300, 400), (90, 70), (224, 500), (40, 224)])
def test_filtering_is_within_a_level_of_the_image_library(shape):
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)

    got = resampled(picture, (224, 224)).permute(1, 2, 0).numpy()

    difference = np.abs(got.astype(int) - resize(picture, (224, 224)).astype(int))
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_a_jpeg_and_a_palette_mask_lie_there_as_they_are_read(tmp_path):
    folder = make_set(tmp_path, ["a", "b"])
    (folder / "images" / "a.png").unlink()
    (folder / "images" / "a.jpg").write_bytes(encoded(np.full((40, 56, 3), 90, np.uint8), "JPEG", quality=80))

    assert alike(
        next(Batches(find_pairs(folder).pairs, size=16, batch=2).epoch(0)),
        next(resident(find_pairs(folder).pairs, size=16, batch=2).epoch(0)),
    ) == 0  # fmt: skip
