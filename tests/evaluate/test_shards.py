"""Shards: whatever the split, together they give the bits of the whole, and nothing gets lost between them."""

import json
import shutil
from pathlib import Path

import pytest
from eval_sets import SIZES, make_methods, sources, standout_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from standout.errors import StandoutError
from standout.evaluate import (
    Rules,
    Shard,
    compare,
    find_significance,
    merge_shards,
    render_comparison,
    score_shard,
)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return make_methods(tmp_path_factory.mktemp("studio"), {"a": 0.1, "b": 0.3}, size=(12, 16))


@pytest.fixture(scope="module")
def whole(studio):
    return compare(*sources(studio, "ab"))


def write_shards(studio, folder, count, **options):
    files = []
    for part in range(1, count + 1):
        files.append(folder / f"{part}-of-{count}.jsonl")
        files[-1].write_text(score_shard(*sources(studio, "ab"), Shard(part, count), **options))
    return files


def refusal(paths):
    with pytest.raises(StandoutError) as caught:
        merge_shards(paths)
    return caught.value


def everything(comparison):
    tested = find_significance(comparison, resamples=50)
    tables = [render_comparison(comparison, name, significance=tested) for name in ("json", "csv", "latex", "table")]
    return tables, comparison.records_text()


@settings(max_examples=8)
@given(st.integers(1, 13), st.randoms(use_true_random=False))
def test_e06_any_split_in_any_order_gives_the_bits_of_the_whole(studio, whole, tmp_path_factory, count, random):
    files = write_shards(studio, tmp_path_factory.mktemp("shards"), count)
    random.shuffle(files)
    assert everything(merge_shards(files)) == everything(whole)


def test_shards_share_the_masks_and_every_map_of_a_mask_stays_with_it(studio):
    texts = [score_shard(*sources(studio, "ab"), Shard(part, 3)) for part in (1, 2, 3)]
    lines = [[json.loads(line) for line in text.splitlines() if line.startswith('{"series"')] for text in texts]
    held = [{(line["series"] // 2, line["name"]) for line in of_part} for of_part in lines]
    assert sorted(map(len, held)) == [3, 3, 4]
    assert len(set.union(*held)) == sum(SIZES.values())
    assert all(len(of_part) == 2 * len(masks) for of_part, masks in zip(lines, held, strict=True))


def test_what_is_missing_is_refused_in_every_shard_or_carried_to_the_table(studio, tmp_path):
    folder = Path(shutil.copytree(studio, tmp_path / "studio"))
    (folder / "b" / "ECSSD" / "p0001.png").unlink()
    (folder / "a" / "ECSSD" / "p0002.png").write_bytes(b"")
    for part in (1, 2):
        with pytest.raises(StandoutError, match="1 missing: p0001"):
            score_shard(*sources(folder, "ab"), Shard(part, 2))
    files = write_shards(folder, tmp_path, 3, allow_missing=True)
    partial = compare(*sources(folder, "ab"), allow_missing=True)
    assert everything(merge_shards(files)) == everything(partial)
    assert render_comparison(merge_shards(files)).startswith("PARTIAL 5 of 6")


def test_a_method_without_any_score_is_refused_when_shards_are_merged(studio, tmp_path):
    folder = Path(shutil.copytree(studio, tmp_path / "studio"))
    for path in (folder / "a" / "PASCAL-S").iterdir():
        path.write_bytes(b"")
    error = refusal(write_shards(folder, tmp_path, 2, allow_missing=True))
    assert error.exit_code == 1
    assert "a on PASCAL-S: 4 unreadable" in str(error)


def test_shards_that_do_not_make_one_comparison_are_refused_by_name(studio, tmp_path):
    files = write_shards(studio, tmp_path, 3)
    (tmp_path / "other").mkdir()
    others = write_shards(studio, tmp_path / "other", 3, rules=Rules("raw"))
    (tmp_path / "halves").mkdir()
    halves = write_shards(studio, tmp_path / "halves", 2)
    for paths, code, told in (
        ([], "usage", "no shards"),
        (files[:2], "shard-missing", "3; score them with --shard 3/3"),
        (files[:1], "shard-missing", "2, 3"),
        ([*files, files[0]], "shard-twice", "shard 1"),
        ([*files[:2], others[2]], "shards-differ", "other"),
        ([*files[:2], halves[1]], "shards-differ", "halves"),
        ([*files[:2], tmp_path / "nothing.jsonl"], "disk", "nothing.jsonl"),
    ):
        error = refusal(paths)
        assert error.code == code
        assert told in str(error)


def test_damaged_shards_are_refused(studio, tmp_path):
    files = write_shards(studio, tmp_path, 2)
    good = files[0].read_text()
    lines = good.splitlines(keepends=True)
    release = json.loads(lines[0]) | {"version": "0.0.1"}
    for text in ("", "no json\n", '{"kind": "other"}\n', "[]\n", "null\n", lines[0], lines[0] + "{}\n"):
        files[0].write_text(text)
        assert refusal(files).code == "shard-damaged"
    for text in ("".join([lines[0], *lines[2:]]), good + lines[1], good[:-30], good[:-1], "".join(lines[:-1])):
        files[0].write_text(text)
        assert refusal(files).code == "shard-damaged"
    files[0].write_text(json.dumps(release) + "\n" + "".join(lines[1:]))
    assert refusal(files).code == "shard-version"
    for found, value in (('"mae": 0', '"mae": 1'), ('"shard": [1, 2]', '"shard": [1, 9]'), ('"run": 1', '"run": "x"')):
        assert found in good
        files[0].write_text(good.replace(found, value, 1))
        error = refusal(files)
        assert (error.code, error.what) == ("shard-damaged", "shard is cut off or damaged")


def test_shards_use_the_cache(studio, tmp_path):
    cache = tmp_path / "cache.jsonl"
    compare(*sources(studio, "a"), cache=cache)
    before = cache.read_bytes().count(b"\n")
    files = write_shards(studio, tmp_path, 2, cache=cache)
    assert cache.read_bytes().count(b"\n") == 2 * before
    assert merge_shards(files).records_text() == compare(*sources(studio, "ab")).records_text()


def test_the_commands_split_and_merge(studio, whole, tmp_path):
    given = [word for name in "ab" for word in ("--maps", f"{name}={studio / name}")]
    given += [word for name in SIZES for word in ("--masks", f"{name}={studio / 'masks' / name}")]
    files = [tmp_path / f"{part}.jsonl" for part in (1, 2)]
    for part, path in enumerate(files, 1):
        done = standout_eval(*given, "--shard", f"{part}/2", "--output", path, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["shard"] == [part, 2]
    again = standout_eval(*given, "--shard", "1/2", "--output", files[0])
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    records = tmp_path / "records.jsonl"
    told = standout_eval("merge", *files, "--records", records, "--dry-run")
    assert told.stdout.splitlines() == [f"2 shards, 2 methods on {len(SIZES)} sets, to merge", f"would write {records}"]
    assert not records.exists()
    done = standout_eval("merge", *files, "--json", "--records", records)
    assert done.returncode == 0, done.stderr
    expected = json.loads(render_comparison(whole, "json"))
    assert json.loads(done.stdout) | {"command": ""} == expected
    assert records.read_text() == whole.records_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--shard", "0/2", "--output", "s.jsonl"], "write --shard 2/8"),
        (["--shard", "3/2", "--output", "s.jsonl"], "write --shard 2/8"),
        (["--shard", "1", "--output", "s.jsonl"], "write --shard 2/8"),
        (["--shard", "1/2"], "name it --output FILE.jsonl"),
        (["--shard", "1/2", "--output", "s.csv"], "name it --output FILE.jsonl"),
        (["--shard", "1/2", "--output", "s.jsonl", "--significance"], "has no meaning beside --shard"),
    ],
)
def test_mistakes_in_shards_are_usage_errors(studio, options, told):
    done = standout_eval("--maps", f"a={studio / 'a'}", "--masks", f"S={studio / 'masks' / 'ECSSD'}", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_options_without_meaning_for_merging_are_refused(studio, tmp_path):
    files = write_shards(studio, tmp_path, 1)
    for option in (["--no-weighted"], ["--protocol", "raw"], ["--jobs", "2"], ["--maps", "a=b"]):
        done = standout_eval("merge", *files, *option)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"has no meaning to merge: {option[0]}" in done.stderr.replace("--weighted", "--no-weighted")


def test_a_folder_of_maps_called_merge_is_still_scored(studio, tmp_path, monkeypatch):
    shutil.copytree(studio / "a" / "ECSSD", tmp_path / "merge")
    monkeypatch.chdir(tmp_path)
    done = standout_eval("merge", studio / "masks" / "ECSSD", "--no-weighted")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("merge ")
