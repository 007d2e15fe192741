"""Masks that are kept on disk, decoded and with their distances: the same bits, never trusted blindly."""

import os
import zlib

import numpy as np
import pytest
from eval_sets import make_methods, make_set, sources, standout_eval, write
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from standout.errors import StandoutError
from standout.evaluate import Rules, compare, render_comparison, score_maps
from standout.evaluate.kept_masks import _packed, _unpacked, read_label
from standout.metrics import mask_weights


def alike(one, other):
    if not np.array_equal(one.values, other.values) or (one.weights is None) != (other.weights is None):
        return False
    if one.weights is None:
        return True
    return all(np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 21), st.integers(1, 21)), elements=st.sampled_from([0, 255])))
@settings(max_examples=60)
def test_a_kept_mask_is_the_mask_with_its_part_of_weighted_f(tmp_path_factory, labels):
    folder = tmp_path_factory.mktemp("kept")
    write(folder / "m.png", labels)
    first, second = (read_label(folder / "m.png", None, 128, folder / "cache") for _ in range(2))
    assert len([path for path in (folder / "cache").rglob("*") if path.is_file()]) == 1
    assert alike(first, second)
    assert np.array_equal(second.values, labels > 128)
    if labels.any():
        for kept, made in zip(second.weights, mask_weights(labels > 128), strict=True):
            assert np.array_equal(kept, made)
            assert isinstance(kept, tuple) or kept.dtype == made.dtype
    else:
        assert second.weights is None


def kept_files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("jobs", [1, 2])
def test_comparisons_with_kept_masks_have_the_same_bits(tmp_path, jobs):
    make_methods(tmp_path, {"a": 0.1, "b": 0.4, "c": 0.3})
    plain = render_comparison(compare(*sources(tmp_path)), "json")
    for _ in range(2):
        made = compare(*sources(tmp_path), mask_cache=tmp_path / "kept", jobs=jobs)
        assert render_comparison(made, "json") == plain
    # Pictures with one content are kept once.
    masks = {path.read_bytes() for path in (tmp_path / "masks").rglob("*.png")}
    assert len(kept_files(tmp_path / "kept")) == len(masks)


def test_a_folder_of_maps_uses_what_is_kept(tmp_path):
    maps, masks = make_set(tmp_path, 3)
    plain = score_maps(maps, masks).measures
    assert score_maps(maps, masks, mask_cache=tmp_path / "kept").measures == plain
    for path in kept_files(tmp_path / "kept"):
        label = _unpacked(path.read_bytes())
        path.write_bytes(_packed(label._replace(values=~label.values)))
    # Valid, but other masks: they are taken, so the pictures' own masks were not read.
    assert score_maps(maps, masks, mask_cache=tmp_path / "kept").measures["mae"] > plain["mae"] + 0.2


def test_damaged_kept_masks_are_made_anew(tmp_path):
    maps, masks = make_set(tmp_path, 1)
    plain = score_maps(maps, masks, mask_cache=tmp_path / "kept").measures
    (path,) = kept_files(tmp_path / "kept")
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    places = random.integers(0, len(whole), 40)
    broken = [whole[:at] + bytes([whole[at] ^ 1 << int(random.integers(8))]) + whole[at + 1 :] for at in places]
    broken += [b"", whole[:50], whole[:-1], whole + b"\0", bytes(len(whole))]
    # A wrong size with a right check sum.
    head = bytearray(whole[:-4])
    head[16] += 1
    broken.append(bytes(head) + zlib.crc32(bytes(head)).to_bytes(4, "little"))
    for content in broken:
        path.write_bytes(content)
        assert score_maps(maps, masks, mask_cache=tmp_path / "kept").measures == plain
        assert path.read_bytes() == whole


def test_other_rules_for_the_pixels_are_kept_apart(tmp_path):
    labels = np.array([[0, 1, 2, 2], [1, 1, 0, 2]], np.uint8) * 60
    write(tmp_path / "m.png", labels)
    cases = {(128, None): labels > 128, (90, None): labels > 90, (128, 60): labels == 60}
    for _ in range(2):
        for (above, mask_class), expected in cases.items():
            found = read_label(tmp_path / "m.png", mask_class, above, tmp_path / "kept")
            assert np.array_equal(found.values > 0, expected)
    assert len(kept_files(tmp_path / "kept")) == 3


def test_where_nothing_can_be_kept_the_scores_are_the_same(tmp_path):
    maps, masks = make_set(tmp_path, 2)
    plain = score_maps(maps, masks).measures
    for number in range(256):
        write_nothing = tmp_path / "kept" / f"{number:02x}"
        write_nothing.parent.mkdir(exist_ok=True)
        write_nothing.touch()
    assert score_maps(maps, masks, mask_cache=tmp_path / "kept").measures == plain
    with pytest.raises(StandoutError, match="kept"):
        score_maps(maps, masks, mask_cache=tmp_path / "kept" / "00")
    assert score_maps(maps, masks, rules=Rules(weighted=False), mask_cache=tmp_path / "new").measures["s"] == plain["s"]


def test_unreadable_masks_are_told_as_without(tmp_path):
    maps, masks = make_set(tmp_path, 3)
    (masks / "p0001.png").write_bytes(b"no picture")
    told = []
    for cache in (None, tmp_path / "kept"):
        with pytest.raises(StandoutError) as caught:
            score_maps(maps, masks, mask_cache=cache)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert "p0001" in told[0]


def test_p13_a_fifo_among_masks_and_maps_is_told_and_never_waited_for(tmp_path):
    maps, masks = make_set(tmp_path, 4)
    for path in (masks / "p0001.png", maps / "p0002.png"):
        path.unlink()
        os.mkfifo(path)

    running = standout_eval(
        "--maps", f"A={maps}", "--masks", f"S={masks}", "--allow-missing", "--cache", tmp_path / "scores.jsonl",
        "--mask-cache", tmp_path / "kept", "--output", tmp_path / "table.txt", wait=False,
    )  # fmt: skip
    try:
        assert running.wait(60) == 0
    finally:
        running.kill()

    table = (tmp_path / "table.txt").read_text()
    assert "PARTIAL 2 of 4" in table
    assert "2 unreadable: p0001, p0002" in table


def test_the_command_keeps_masks_for_maps_and_refuses_it_for_a_model(tmp_path):
    maps, masks = make_set(tmp_path, 2)
    done = [standout_eval(maps, masks, *more) for more in ((), ("--mask-cache", tmp_path / "kept"))]
    assert [one.returncode for one in done] == [0, 0]
    assert done[0].stdout == done[1].stdout
    assert kept_files(tmp_path / "kept")
    refused = standout_eval("model.onnx", masks, "--mask-cache", tmp_path / "kept")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--mask-cache" in refused.stderr
