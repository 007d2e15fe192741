"""Attributes are what their definitions say, and scores by attribute are those of the pictures alone."""

import json
import math
import shutil
from collections import deque

import numpy as np
import pytest
from eval_sets import make_methods, make_pictures, sources, standout_eval, write
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from standout.evaluate import Shard, compare, merge_shards, render_comparison, score_maps, score_shard
from standout.evaluate.attributes import Attributes, colour_contrast, groups_of, picture_attributes

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def component_sizes(mask):
    """The sizes of the 8-connected components, found by walking from pixel to pixel."""
    left, sizes = set(zip(*map(list, np.nonzero(mask)), strict=True)), []
    while left:
        queue, size = deque([left.pop()]), 0
        while queue:
            row, column = queue.popleft()
            size += 1
            for near in [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    queue.append(near)
        sizes.append(size)
    return sorted(sizes)


def disc(size, radius):
    rows, columns = np.mgrid[0:size, 0:size] - (size - 1) / 2
    return rows**2 + columns**2 <= radius**2


@settings(max_examples=300)
@given(masks)
def test_parts_are_the_components_that_touch_corners_included(mask):
    # Below a hundred pixels every component holds its percent.
    assert picture_attributes(mask).parts == len(component_sizes(mask))


def test_specks_are_no_parts():
    mask = np.zeros((60, 60), bool)
    mask[5:25, 5:25] = mask[40:44, 40:41] = True  # 400 pixels and 4
    mask[50, 50] = True
    assert picture_attributes(mask).parts == 1
    mask[40:44, 40:44] = True
    assert picture_attributes(mask).parts == 2


@settings(max_examples=200)
@given(masks)
def test_attributes_lie_in_their_ranges_and_do_not_change_when_the_picture_is_turned(mask):
    own = picture_attributes(mask)
    assert own.size == mask.mean()
    assert 0 <= own.border <= 1
    if mask.any():
        assert 0 <= own.concavity < 1
        assert own.complexity >= 0
    else:
        assert own == Attributes(0.0, 0, 0.0, None, None, None)
    for turned in (mask.T, mask[::-1], mask[:, ::-1]):
        other = picture_attributes(turned)
        assert other[:3] == own[:3]
        assert other.complexity == own.complexity
        if len(set(component_sizes(mask))) == len(component_sizes(mask)):  # the largest is the same one
            assert other.concavity == pytest.approx(own.concavity or 0, abs=1e-12) or own.concavity is None


def test_known_shapes_have_known_outlines():
    round_ = picture_attributes(disc(301, 120))
    assert round_.complexity == pytest.approx(1, abs=0.03)
    assert round_.concavity == pytest.approx(0, abs=0.02)
    square = np.zeros((90, 90), bool)
    square[20:60, 20:60] = True
    assert picture_attributes(square).complexity == pytest.approx(math.pi / 4)
    assert picture_attributes(square).concavity == 0
    corner = square.copy()
    corner[40:60, 40:60] = False  # three of four squares of 20: the hull cuts the fourth in half
    assert picture_attributes(corner).concavity == pytest.approx(1 - 3 / 3.5)
    comb = square.copy()
    comb[22:60, 21:60:2] = False
    assert picture_attributes(comb).complexity > 20


def test_the_border_is_contact_with_the_edge_of_the_picture():
    mask = np.zeros((10, 20), bool)
    mask[1:9, 1:19] = True
    assert picture_attributes(mask).border == 0
    mask[0, 5:10] = True
    assert picture_attributes(mask).border == pytest.approx(5 / 56)
    full = picture_attributes(np.ones((10, 20), bool))
    assert (full.border, full.complexity, full.contrast) == (1, 0, None)


def test_contrast_is_none_for_like_colours_and_full_for_unlike_ones():
    mask = np.zeros((40, 40), bool)
    mask[:20] = True
    random = np.random.default_rng(0)
    half = random.integers(0, 256, (20, 40, 3)).astype(np.uint8)
    assert colour_contrast(mask, np.concatenate([half, half])) == 0
    assert colour_contrast(mask, np.where(mask[..., None], 200, 20).astype(np.uint8).repeat(3, axis=2)) == 1
    some = np.concatenate([half, half])
    some[:10] = 255
    assert 0.1 < colour_contrast(mask, some) < 0.6


@given(st.dictionaries(st.text("abcdef", min_size=1), masks, min_size=1, max_size=12))
@settings(max_examples=50)
def test_every_picture_with_an_object_lies_in_one_group_of_each_attribute(given_masks):
    attributes = {name: picture_attributes(mask) for name, mask in given_masks.items()}
    groups = groups_of(attributes)
    holding = {name for name, own in attributes.items() if own.size > 0}
    for attribute in ("size", "parts", "border", "complexity", "concavity"):
        names = [name for group in groups if group.attribute == attribute for name in group.names]
        assert sorted(names) == sorted(holding)
    assert not [group for group in groups if group.attribute == "contrast"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Two methods over eight masks, small and large, whole and in two parts."""
    folder = make_methods(tmp_path_factory.mktemp("mixed"), {"a": 0.1, "b": 0.4}, {"S": 8})
    for at in range(8):
        mask = np.zeros((24, 32), np.uint8)
        mask[2 : 4 + 2 * at, 2 : 6 + 2 * at] = 255
        if at % 2:
            mask[22:, 25:] = 255
        write(folder / "masks" / "S" / f"p{at:04}.png", mask)
    return folder


def test_scores_by_attribute_are_those_of_the_groups_pictures_alone(mixed, tmp_path):
    found = compare(*sources(mixed, "ab", ["S"]), attributes=True)
    rows = json.loads(render_comparison(found, "json"))["attributes"]
    groups = {(row["attribute"], row["group"]) for row in rows}
    assert {("size", "small"), ("size", "large"), ("parts", "one part"), ("border", "cut off")} <= groups
    two = next(row for row in rows if (row["group"], row["method"]) == ("two parts", "b"))
    assert two["pictures"] == 4
    for at in (1, 3, 5, 7):
        for part in ("masks", "b"):
            (tmp_path / part).mkdir(exist_ok=True)
            shutil.copy(mixed / part / "S" / f"p{at:04}.png", tmp_path / part)
    alone = score_maps(tmp_path / "b", tmp_path / "masks").measures
    assert {key: two[key] for key in alone} == alone
    for format_ in ("table", "markdown", "latex"):
        text = render_comparison(found, format_)
        assert "S by size" in text
        assert "two parts (4)" in text
        assert f"{alone['s']:.4f}" in text
    records = [json.loads(line) for line in found.records_text().splitlines()]
    assert records[1]["attributes"]["parts"] == 2
    assert records[1]["attributes"]["contrast"] is None


def test_shards_carry_the_attributes(mixed, tmp_path):
    whole = compare(*sources(mixed, "ab", ["S"]), attributes=True)
    files = []
    for part in (3, 1, 2):
        files.append(tmp_path / f"{part}.jsonl")
        files[-1].write_text(score_shard(*sources(mixed, "ab", ["S"]), Shard(part, 3), attributes=True))
    merged = merge_shards(files)
    assert render_comparison(merged, "json") == render_comparison(whole, "json")
    assert merged.records_text() == whole.records_text()


def test_the_command_measures_contrast_where_there_are_pictures(tmp_path):
    data = make_pictures(tmp_path / "data", 6)
    shutil.copytree(data / "masks", tmp_path / "maps")
    done = standout_eval("--maps", f"m={tmp_path / 'maps'}", "--masks", f"D={data}", "--attributes", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["attributes"]
    assert {row["attribute"] for row in rows} == set(Attributes._fields)
    contrast = [row for row in rows if row["attribute"] == "contrast"]
    assert sum(row["pictures"] for row in contrast) == 6
    assert "attributes" not in json.loads(
        standout_eval("--maps", f"m={tmp_path / 'maps'}", "--masks", f"D={data}", "--json").stdout
    )
