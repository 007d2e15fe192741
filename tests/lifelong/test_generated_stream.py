"""The generated stream: twelve experiences whose factor is what it says it is."""

import numpy as np
import pytest

from standout.errors import StandoutError
from standout.images import read_image, write_image
from standout.lifelong.generated import (
    CONDITIONS,
    FRAME,
    Condition,
    compose,
    generated_object,
    hiding,
    write_generated_stream,
)
from standout.lifelong.layouts import FACTORS, open_stream


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def views():
    return [generated_object(0, 3, view) for view in range(3)]


def test_a_written_stream_is_read_as_twelve_experiences(tmp_path):
    names = write_generated_stream(tmp_path / "s", objects=3, training=2, test=1, side=40)
    stream = open_stream(tmp_path / "s")

    assert [e.name for e in stream.experiences] == [
        f"{place:02} {factor} {level}"
        for place, (factor, level) in enumerate(((f, level) for f in FACTORS for level in (1, 2, 3)), 1)
    ]
    for experience in stream.experiences:
        assert experience.classes() == names == ["object 01", "object 02", "object 03"]
        assert (len(experience.training), len(experience.test)) == (6, 3)
    pictures = [e.path.read_bytes() for x in stream.experiences for e in (*x.training, *x.test)]
    assert len(set(pictures)) == 12 * 9
    write_generated_stream(tmp_path / "again", objects=3, training=2, test=1, side=40)
    again = open_stream(tmp_path / "again")
    assert pictures == [e.path.read_bytes() for x in again.experiences for e in (*x.training, *x.test)]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_folder_that_holds_a_stream_already_says_what_can_be_done(dry_run, tmp_path):
    folder = tmp_path / "gen"
    write_image(folder / "01 illumination 1" / "train" / "object 01" / "0000.jpg", np.zeros((32, 32, 3), np.uint8))

    with pytest.raises(StandoutError, match="file exists already") as refused:
        write_generated_stream(folder, objects=2, training=1, test=1, side=32, dry_run=dry_run)
    assert refused.value.how == f"name another folder, or remove {folder} first"


def test_an_object_has_one_form_and_coat_in_every_view(views):
    other = generated_object(0, 4, 0)

    colours = [view[view[..., 3] > 128][:, :3].mean(0) for view in views]
    assert max(np.abs(a - b).max() for a in colours for b in colours) < 40
    sizes = [(view[..., 3] > 128).sum() for view in views]
    assert max(sizes) < 1.1 * min(sizes)
    assert other.shape != views[0].shape
    assert not np.array_equal(views[0], views[1][: len(views[0]), : views[0].shape[1]])


def test_every_factor_has_three_levels_and_changes_nothing_else():
    plain = Condition()
    for factor, levels in CONDITIONS.items():
        assert len(levels) == 3
        changed = {name for level in levels for name in plain._fields if getattr(level, name) != getattr(plain, name)}
        own = {"illumination": {"light", "noise"}, "occlusion": {"covered"}, "pixel": {"size"}, "clutter": {"clutter"}}
        assert changed == own[factor]
    assert [level.covered for level in CONDITIONS["occlusion"]] == [0, 0.25, 0.5]
    large, middle, small = (level.size for level in CONDITIONS["pixel"])
    assert large[0] > 200 >= middle[1] > middle[0] >= 30 > small[1]


def test_light_makes_pictures_brighter_and_darker(views):
    means = [compose(rng(1), views, [], level, 64).mean() for level in CONDITIONS["illumination"]]

    assert means[0] > 1.2 * means[1] > 3 * means[2]


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("angle", [0.0, 1.0, 4.0])
def test_a_board_hides_the_share_that_it_says(views, share, angle):
    alpha = np.zeros((256, 256), np.float32)
    sprite = views[0][..., 3].astype(np.float32) / 255
    alpha[20 : 20 + sprite.shape[0], 30 : 30 + sprite.shape[1]] = sprite
    board = hiding(alpha, share, angle)

    assert (board * alpha).sum() / alpha.sum() == pytest.approx(share, abs=0.02)
    assert board.sum() > (board * alpha).sum()  # it stands beyond the object


@pytest.mark.parametrize("level", [0, 1, 2])
def test_an_object_is_as_large_as_its_level_says(level):
    """A red square on every ground: its longer side is measured in the picture."""
    square = np.zeros((50, 50, 4), np.uint8)
    square[...] = (255, 0, 255, 255)
    low, high = CONDITIONS["pixel"][level].size
    for seed in range(4):
        pixels = compose(rng(seed), [square], [], CONDITIONS["pixel"][level], FRAME).astype(int)
        found = (pixels[..., 0] - pixels[..., 1] > 90) & (pixels[..., 2] - pixels[..., 1] > 90)
        columns = np.nonzero(found.any(0))[0]
        assert low - 3 <= columns.max() - columns.min() + 1 <= high + 3


def test_clutter_is_more_things_behind_the_object(views):
    things = [generated_object(0, 10_000 + number, 0) for number in range(4)]
    plain = compose(rng(5), views, things, CONDITIONS["clutter"][0], 96).astype(int)
    edges = []
    for level in CONDITIONS["clutter"]:
        pictures = [compose(rng(seed), views, things, level, 96).astype(int) for seed in range(6)]
        edges.append(np.mean([np.abs(np.diff(p, axis=0)).mean() for p in pictures]))
    assert edges[0] < edges[1] < edges[2]
    assert plain.shape == (96, 96, 3)


def test_cut_outs_of_ones_own_become_the_objects(tmp_path):
    for label, colour in (("cup", (250, 20, 20)), ("shoe", (20, 20, 250))):
        for number in range(2):
            cutout = np.zeros((30, 40, 4), np.uint8)
            cutout[5:25, 8:30] = (*colour, 255)
            (tmp_path / "cut" / label).mkdir(parents=True, exist_ok=True)
            write_image(tmp_path / "cut" / label / f"{number}.png", cutout)
    names = write_generated_stream(tmp_path / "s", training=1, test=1, side=48, cutouts=tmp_path / "cut")

    assert names == ["cup", "shoe"]
    pixels = read_image(tmp_path / "s" / "02 illumination 2" / "train" / "cup" / "0000.jpg").pixels.astype(int)
    assert (pixels[..., 0] - pixels[..., 2] > 120).sum() > 50
    alone = tmp_path / "alone"
    alone.mkdir()
    for label in ("cup", "shoe"):
        (alone / f"{label}.png").write_bytes((tmp_path / "cut" / label / "0.png").read_bytes())
    assert write_generated_stream(tmp_path / "t", training=1, test=1, side=32, cutouts=alone) == ["cup", "shoe"]


def test_what_is_no_cut_out_is_refused_by_name(tmp_path):
    for label in ("cup", "shoe"):
        (tmp_path / label).mkdir()
        write_image(tmp_path / label / "photo.png", np.full((20, 20, 3), 99, np.uint8))
    with pytest.raises(StandoutError, match=r"no transparency, or nothing else: .*cup/photo\.png"):
        write_generated_stream(tmp_path / "s", cutouts=tmp_path, training=1, test=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StandoutError, match="cut-outs of 0 classes"):
        write_generated_stream(tmp_path / "s", cutouts=tmp_path / "empty")
    with pytest.raises(ValueError, match="objects must be at least 2"):
        write_generated_stream(tmp_path / "s", objects=1)
