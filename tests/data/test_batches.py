import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from data_sets import encoded, make_set, scene, write
from PIL import Image

from standout.data.augment import Augmentation
from standout.data.batches import Batches
from standout.data.pairs import find_pairs
from standout.errors import StandoutError

EVERYTHING = Augmentation(
    crop_keep=0.8, scale=(0.9, 1.2), rotation=10, brightness=0.2, contrast=0.2, saturation=0.2, sizes=(24, 32, 40)
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return find_pairs(make_set(tmp_path_factory.mktemp("set"), [f"n{k:02}" for k in range(22)])).pairs


@pytest.fixture
def many(tmp_path):
    """A set so large that one lost picture does not stop a run: 400 names, 7 different pictures."""
    contents = [tuple(encoded(part) for part in scene(16, 20, seed)) for seed in range(7)]
    for folder, side in (("images", 0), ("masks", 1)):
        (tmp_path / folder).mkdir()
        for k in range(400):
            (tmp_path / folder / f"n{k:03}.png").write_bytes(contents[k % 7][side])
    return find_pairs(tmp_path).pairs


def same(one, other):
    assert torch.equal(one.image, other.image)
    assert torch.equal(one.mask, other.mask)
    assert torch.equal(one.index, other.index)
    assert torch.equal(one.affine, other.affine)
    assert one.views.keys() == other.views.keys()
    for name in one.views:
        same(one.views[name], other.views[name])
    return True


SETTINGS = {
    "plain": {"augmentation": None},
    "f3net": {"augmentation": Augmentation()},
    "f3net, many sizes": {"augmentation": Augmentation(sizes=(16, 24, 32))},
    "everything": {"augmentation": EVERYTHING},
    "two views": {"augmentation": EVERYTHING, "views": ("second",)},
    "seed 7, in order": {"augmentation": EVERYTHING, "seed": 7, "shuffle": False, "drop_last": False},
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_t10_the_same_bits_for_0_1_and_4_workers_and_twice_in_a_row(pairs, settings):
    def epoch(workers, ahead=True):
        return list(Batches(pairs, size=32, batch=4, workers=workers, ahead=ahead, **SETTINGS[settings]).epoch(3))

    first = epoch(0)

    assert len(first) == (6 if settings.startswith("seed 7") else 5)
    for workers in (0, 1, 4):
        for ahead in (True, False):
            assert all(same(one, other) for one, other in zip(first, epoch(workers, ahead), strict=True))


def test_t10_an_epoch_taken_up_in_its_midst_gives_the_same_bits(pairs):
    batches = Batches(pairs, size=32, batch=4, augmentation=EVERYTHING, workers=2)
    whole = list(batches.epoch(1))

    for start in range(6):
        rest = list(batches.epoch(1, start))
        assert len(rest) == 5 - start
        assert all(same(one, other) for one, other in zip(whole[start:], rest, strict=True))


def test_t10_a_sample_does_not_depend_on_the_batch_it_is_in(pairs):
    def by_index(size):
        batches = Batches(pairs, size=24, batch=size, augmentation=Augmentation(rotation=5), drop_last=False)
        return {
            int(index): (image, mask)
            for batch in batches.epoch(0)
            for index, image, mask in zip(batch.index, batch.image, batch.mask, strict=True)
        }

    small, large = by_index(3), by_index(22)

    assert small.keys() == large.keys() == set(range(22))
    for index in small:
        assert all(torch.equal(one, other) for one, other in zip(small[index], large[index], strict=True))


def test_every_epoch_and_seed_has_its_own_order_and_views(pairs):
    batches = Batches(pairs, size=24, batch=11, augmentation=Augmentation())
    other_seed = Batches(pairs, size=24, batch=11, augmentation=Augmentation(), seed=1)

    orders = [tuple(batches.order(epoch)) for epoch in range(3)] + [tuple(other_seed.order(0))]

    assert len(set(orders)) == 4
    assert all(sorted(order) == list(range(22)) for order in orders)
    first, second = next(batches.epoch(0)), next(batches.epoch(1))
    shared = set(first.index.tolist()) & set(second.index.tolist())
    assert shared
    for index in shared:
        one, other = (batch.affine[batch.index == index] for batch in (first, second))
        assert not torch.equal(one, other)


def test_the_index_is_the_place_in_the_set_and_follows_the_picture(pairs):
    batches = Batches(pairs, size=20, batch=5, drop_last=False)
    whole = Batches(pairs, size=20, batch=22, shuffle=False).epoch(0)
    everything = next(whole)

    for batch in batches.epoch(0):
        assert batch.index.dtype == torch.int64
        assert torch.equal(batch.image, everything.image[batch.index])
        assert torch.equal(batch.mask, everything.mask[batch.index])


def test_a_batch_has_the_shapes_and_ranges_of_the_contract(pairs):
    for channels_last in (True, False):
        batches = Batches(
            pairs, size=32, batch=6, augmentation=EVERYTHING, views=("second", "third"), channels_last=channels_last
        )
        for number, batch in enumerate(batches.epoch(0)):
            side = batches.size_of(0, number)
            for view in (batch, *batch.views.values()):
                assert view.image.shape == (6, 3, side, side)
                assert view.mask.shape == (6, 1, side, side)
                assert view.affine.shape == (6, 2, 3)
                assert view.image.dtype == view.mask.dtype == view.affine.dtype == torch.float32
                for values in (view.image, view.mask):
                    assert 0 <= float(values.min()) <= float(values.max()) <= 1
                layout = torch.channels_last if channels_last else torch.contiguous_format
                assert view.image.is_contiguous(memory_format=layout)
                assert torch.equal(view.index, batch.index)
            assert set(batch.views) == {"second", "third"}
            assert not torch.equal(batch.views["second"].affine, batch.affine)
            assert not torch.equal(batch.views["second"].affine, batch.views["third"].affine)


def test_further_views_leave_the_main_one_as_it_was(pairs):
    alone = Batches(pairs, size=24, batch=4, augmentation=EVERYTHING)
    together = Batches(pairs, size=24, batch=4, augmentation=EVERYTHING, views=("second",))

    for one, other in zip(alone.epoch(0), together.epoch(0), strict=True):
        assert same(one, other._replace(views={}))


def test_the_size_of_a_batch_is_drawn_for_the_whole_batch(pairs):
    batches = Batches(pairs, size=32, batch=1, augmentation=Augmentation(sizes=(16, 24, 32)))

    drawn = [batches.size_of(epoch, number) for epoch in range(100) for number in range(22)]

    assert [batch.image.shape[-1] for batch in batches.epoch(2)] == drawn[44:66]
    counts = np.unique(drawn, return_counts=True)
    assert counts[0].tolist() == [16, 24, 32]
    assert counts[1].min() > 600


def test_soft_masks_stay_soft(pairs):
    batch = next(Batches(pairs, size=40, batch=22, shuffle=False).epoch(0))

    assert len(torch.unique(batch.mask)) > 50


def test_whole_pictures_are_resized_in_order_for_validation(pairs):
    batches = Batches(pairs, size=20, batch=8, shuffle=False, drop_last=False)

    got = list(batches.epoch(0))

    assert [len(batch.image) for batch in got] == [8, 8, 6]
    assert len(batches) == 3
    assert torch.cat([batch.index for batch in got]).tolist() == list(range(22))
    expected = Image.open(pairs[0].image).resize((20, 20), Image.Resampling.BILINEAR)
    difference = np.abs(got[0].image[0].permute(1, 2, 0).numpy() * 255 - np.asarray(expected))
    # The library's own filter rounds finer weights, which moves a level now and then.
    assert difference.max() < 1.001
    assert difference.mean() < 0.01
    assert torch.equal(got[0].affine[0], torch.eye(2, 3))


def test_a_mask_drawn_before_the_turn_and_one_of_another_size_are_fitted_and_told(tmp_path):
    picture, mask = scene(40, 60)
    exif = Image.Exif()
    exif[274] = 6
    write(tmp_path / "images" / "raw.jpg", picture, "JPEG", quality=95, exif=exif)
    write(tmp_path / "masks" / "raw.png", mask)
    write(tmp_path / "images" / "small.png", picture)
    write(tmp_path / "masks" / "small.png", np.asarray(Image.fromarray(mask).resize((30, 20))))
    batches = Batches(find_pairs(tmp_path).pairs, size=20, batch=2, shuffle=False)

    batch = next(batches.epoch(0))

    assert batches.refitted == {"raw": "unturned", "small": "resized"}
    assert (batch.image[0] - batch.image[1]).abs().mean() < 0.02
    assert (batch.mask[0] - batch.mask[1]).abs().mean() < 0.02


def lose(path, how):
    if how == "deleted":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:-30])
    elif how == "replaced":
        path.write_bytes(b"no picture")
    else:
        path.unlink()
        os.mkfifo(path)


@pytest.mark.parametrize("how", ["deleted", "truncated", "replaced", "made a pipe"])
@pytest.mark.parametrize("side", ["image", "mask"])
def test_d09_a_picture_lost_in_mid_epoch_has_a_deterministic_substitute(many, how, side):
    settings = {"size": 8, "batch": 50, "augmentation": Augmentation()}
    sound = list(Batches(many, **settings).epoch(0))
    batches = Batches(many, workers=2, **settings)
    lost = int(sound[5].index[7])
    epoch = batches.epoch(0)
    got = [next(epoch) for _ in range(2)]
    lose(getattr(many[lost], side), how)
    got += epoch

    assert list(batches.failures) == [many[lost].name]
    assert str(getattr(many[lost], side)) in batches.failures[many[lost].name]
    for number, (one, other) in enumerate(zip(sound, got, strict=True)):
        if number != 5:
            assert same(one, other)
    index = sound[5].index.clone()
    index[7] = (lost + 1) % 400
    assert torch.equal(got[5].index, index)
    again = list(Batches(many, **settings).epoch(0, start=5))
    assert same(again[0], got[5])


def test_d09_when_three_per_mille_are_lost_the_run_stops_and_names_them(many):
    names = [many[5].name, many[300].name]
    for lost in (5, 300):
        many[lost].image.unlink()
    batches = Batches(many, size=8, batch=50, shuffle=False)

    with pytest.raises(StandoutError) as caught:
        list(batches.epoch(0))

    # 1.2 of 400 are three per mille: one is borne, the second is one too many.
    assert list(batches.failures) == names
    assert caught.value.code == "pictures-lost"
    assert caught.value.exit_code == 1
    assert f"2 of 400 pictures cannot be read: {', '.join(names)};" in str(caught.value)
    assert str(many[300].image) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_d09_a_picture_that_changes_its_shape_is_a_failure_of_its_own(many):
    write(many[3].mask, np.zeros((50, 10), np.uint8))
    batches = Batches(many, size=8, batch=50, shuffle=False)

    first = next(batches.epoch(0))

    assert first.index[:5].tolist() == [0, 1, 2, 4, 4]
    assert "different shapes" in batches.failures["n003"]


def test_t09_what_goes_wrong_in_a_reader_is_one_line_that_names_the_file(pairs):
    # A pair whose mask is no path: a mistake of the caller, which must not come out as a bare TypeError of a thread.
    wrong = [pairs[0], pairs[1]._replace(mask=3), *pairs[2:]]

    for workers in (0, 2):
        with pytest.raises(StandoutError) as caught:
            list(Batches(wrong, size=8, batch=2, workers=workers).epoch(0))
        assert caught.value.code == "loader-failed"
        assert str(pairs[1].image) in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"batch": 23}, "22 pairs make no full batch of 23"),
        ({"batch": 0}, "batch is at least 1, not 0"),
        ({"size": 0}, "size is at least 1, not 0"),
        ({"workers": -1}, "workers is at least 0, not -1"),
        ({"views": ("",)}, "a further view needs a name"),
    ],
)
def test_settings_that_make_no_batches_are_refused(pairs, wrong, says):
    with pytest.raises(ValueError, match=says):
        Batches(pairs, **({"size": 8, "batch": 2} | wrong))
    with pytest.raises(ValueError, match="no pairs"):
        Batches([], size=8, batch=2)


THREADS = """
import os, sys, torch
from standout.data.augment import Augmentation
from standout.data.batches import Batches
from standout.data.pairs import find_pairs
torch.set_num_threads(3)
torch.rand(10**6).add_(1).sum()  # computing threads are started by the first work that they are used for
before = len(os.listdir("/proc/self/task"))
changes = {"brightness": 0.2, "contrast": 0.2, "scale": (0.8, 1.2)}
for augmentation in (Augmentation(**changes), Augmentation(**changes, rotation=10)):
    epoch = Batches(find_pairs(sys.argv[1]).pairs, size=256, batch=4, workers=2, augmentation=augmentation).epoch(0)
    next(epoch)
    print(len(os.listdir("/proc/self/task")) - before)
    epoch.close()
    while len(os.listdir("/proc/self/task")) > before:
        pass
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_readers_start_no_computing_threads_of_their_own(tmp_path):
    # Each of them would, as the first thread does, where it worked on enough numbers at once; these wait busily.
    folder = make_set(tmp_path, [f"n{k}" for k in range(8)], rows=300, columns=400)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}

    said = subprocess.run(
        [sys.executable, "-c", THREADS, str(folder)], env=environment, check=True, stdout=subprocess.PIPE, text=True,
        timeout=120,
    ).stdout  # fmt: skip

    assert said.split() == ["2", "2"]
