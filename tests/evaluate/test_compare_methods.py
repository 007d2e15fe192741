"""Many methods over many sets: paired by name, nothing averaged away, each map scored once."""

import csv
import io
import json
import random
import shutil
import signal
import statistics
import time
from pathlib import Path

import numpy as np
import pytest
from eval_sets import SIZES, make_methods, make_pictures, sources, standout_eval, write

from standout.errors import StandoutError
from standout.evaluate import FORMATS, Rules, compare, render_comparison, score_maps
from standout.metrics import MEASURES


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return make_methods(tmp_path_factory.mktemp("studio"), {"a": 0.1, "b": 0.3, "c": 0.6, "c2": 0.6})


def refusal(*arguments, **options):
    with pytest.raises(StandoutError) as caught:
        compare(*arguments, **options)
    return caught.value


def test_every_series_has_the_digits_of_its_folder_alone(studio):
    found = compare(*sources(studio))
    assert (found.methods, found.sets) == (("a", "b", "c"), tuple(SIZES))
    for series in found.series:
        alone = score_maps(studio / series.method / series.data, studio / "masks" / series.data)
        assert series.scored.measures == alone.measures
        assert series.scored.list_sha256 == alone.list_sha256
        for name, curve in alone.sums.curves().items():
            assert np.array_equal(series.curves()[name], curve)
        assert [picture.name for picture in series.pictures] == [f"p{at:04}" for at in range(SIZES[series.data])]


@pytest.mark.parametrize("layout", ["lower case", "{set}/method", "one set, no folder"])
def test_the_maps_of_a_set_are_found_where_the_field_puts_them(studio, tmp_path, layout):
    maps, masks = sources(studio, "a")
    expected = [series.scored.measures for series in compare(maps, masks).series]
    if layout == "lower case":
        for data in SIZES:
            shutil.copytree(studio / "a" / data, tmp_path / "a" / data.lower())
        maps = [("a", tmp_path / "a")]
    elif layout == "{set}/method":
        for data in SIZES:
            shutil.copytree(studio / "a" / data, tmp_path / data / "a")
        maps = [("a", tmp_path / "{set}" / "a")]
    else:
        maps, masks, expected = [("a", studio / "a" / "ECSSD")], masks[:1], expected[:1]
    assert [series.scored.measures for series in compare(maps, masks).series] == expected


def test_masks_of_a_comparison_may_be_data_sets(tmp_path):
    data = make_pictures(tmp_path / "data", 3)
    shutil.copytree(data / "masks", tmp_path / "perfect")
    found = compare([("perfect", tmp_path / "perfect")], [("mine", data)])
    assert found.series[0].scored.measures["mae"] == 0


@pytest.mark.parametrize(
    ("maps", "masks", "code"),
    [
        ([], ["ECSSD"], "usage"),
        (["a"], [], "usage"),
        (["a"], ["ECSSD", "ECSSD"], "name-twice"),
        (["a", "a"], ["ECSSD"], "name-twice"),
        (["nothing"], ["ECSSD"], "folder-missing"),
        (["a"], ["ECSSD", "nothing"], "folder-missing"),
    ],
)
def test_mistakes_in_the_folders_are_usage_errors(studio, maps, masks, code):
    error = refusal(*sources(studio, maps, masks))
    assert (error.code, error.exit_code) == (code, 2)


def test_a_folder_that_a_method_lacks_for_one_set_is_named(studio, tmp_path):
    shutil.copytree(studio / "a" / "ECSSD", tmp_path / "a" / "ECSSD")
    error = refusal([("a", tmp_path / "a")], sources(studio)[1])
    assert error.exit_code == 2
    assert str(tmp_path / "a" / "PASCAL-S") in str(error)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """A thousand masks; of method `a` a hundred maps are missing, corrupt, misnamed or mis-sized, `b` is whole."""
    folder = make_methods(tmp_path_factory.mktemp("thousand"), {"a": 0.1, "b": 0.2}, {"S": 1000}, size=(4, 6))
    names = random.Random(3).sample(sorted(path.stem for path in (folder / "a" / "S").iterdir()), 100)
    for at, name in enumerate(names):
        path = folder / "a" / "S" / f"{name}.png"
        if at < 30:
            path.unlink()
        elif at < 60:
            path.write_bytes(path.read_bytes()[:40])
        elif at < 80:
            path.rename(path.with_name(f"x{name}.png"))
        else:
            write(path, np.zeros((5, 6), np.uint8))
    return folder, names


def test_e01_a_hundred_bad_maps_of_a_thousand_are_accounted_for_and_no_table_is_made(thousand):
    folder, _ = thousand
    arguments = ["--maps", f"a={folder / 'a'}", "--maps", f"b={folder / 'b'}", "--masks", f"S={folder / 'masks' / 'S'}"]
    done = standout_eval(*arguments, "--strict-size", "--output", folder / "t.csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    # Misnamed maps are missing under their own name and surplus under the wrong one.
    assert "120 problems in 1 of 2 folders of maps" in done.stderr
    for told in ("50 missing: ", "20 surplus: xp", "30 unreadable: ", "20 mis-sized: "):
        assert told in done.stderr
    assert "b on S" not in done.stderr
    assert not (folder / "t.csv").exists()


def test_e02_the_partial_comparison_says_so_first_names_all_and_ranks_nothing(thousand):
    folder, names = thousand
    found = compare(*sources(folder, "ab", ["S"]), rules=Rules(weighted=False, strict_size=True), allow_missing=True)
    partial, whole = (series.scored for series in found.series)
    assert (partial.sums.count, whole.sums.count) == (900, 1000)
    told = [problem.name for problem in partial.problems if problem.kind != "surplus"]
    assert sorted(told) == sorted(names)
    for name in FORMATS:
        text = render_comparison(found, name, keys=("mae",))
        if name == "json":
            assert json.loads(text)["partial"] == "PARTIAL 900 of 1000"
            assert len(json.loads(text)["rows"][0]["problems"]) == 120
            assert {row["mae"]["rank"] for row in json.loads(text)["summary"]} == {None}
        else:
            assert "PARTIAL 900 of 1000" in text.splitlines()[0], name
    assert "Not ranked, since its rows were scored on different pictures: S" in render_comparison(found, keys=("mae",))
    # Kept apart, never averaged away: the row is that of the 900 alone.
    records = [json.loads(line) for line in found.records_text().splitlines()]
    of_a = [record["mae"] for record in records if record["method"] == "a" and "mae" in record]
    assert len(of_a) == 900
    assert statistics.fmean(of_a) == pytest.approx(partial.measures["mae"], abs=1e-15)
    assert sum("problem" in record for record in records) == 120


def test_e03_mis_sized_maps_are_resized_and_counted(thousand):
    folder, _ = thousand
    found = compare(*sources(folder, "a", ["S"]), rules=Rules(weighted=False), allow_missing=True)
    assert found.series[0].scored.resized == 20
    assert "20 maps resized" in render_comparison(found, keys=("mae",))


def test_e04_maps_with_impossible_values_are_named(studio, tmp_path):
    folder = Path(shutil.copytree(studio, tmp_path / "s"))
    map_ = folder / "b" / "ECSSD" / "p0002.png"
    levels = np.zeros((24, 32), np.uint8)
    levels[3, 4] = 1
    write(map_, levels)
    error = refusal(*sources(folder))
    assert "b on ECSSD: 1 unreadable: p0002" in str(error)
    assert "--map-scale 1" in str(error)


def test_an_unreadable_mask_is_told_for_every_method(studio, tmp_path):
    folder = Path(shutil.copytree(studio, tmp_path / "s"))
    (folder / "masks" / "ECSSD" / "p0001.png").write_bytes(b"")
    error = str(refusal(*sources(folder, "ab")))
    assert error.count("1 unreadable: p0001") == 2


@pytest.mark.parametrize("jobs", [2, 3])
def test_e06_the_number_of_processes_changes_no_digit_of_a_comparison(studio, jobs):
    one, several = compare(*sources(studio)), compare(*sources(studio), jobs=jobs)
    assert render_comparison(several, "json") == render_comparison(one, "json")
    assert several.records_text() == one.records_text()


def lines_of(path):
    return path.read_bytes().count(b"\n")


def test_the_cache_makes_a_new_method_score_only_itself(studio, tmp_path):
    cache = tmp_path / "scores.jsonl"
    pictures = sum(SIZES.values())
    compare(*sources(studio, "ab"), cache=cache)
    assert lines_of(cache) == 2 * pictures
    first = cache.read_bytes()
    with_new = compare(*sources(studio, "abc"), cache=cache)
    assert lines_of(cache) == 3 * pictures
    assert cache.read_bytes().startswith(first)
    whole = compare(*sources(studio, "abc"))
    assert render_comparison(with_new, "json") == render_comparison(whole, "json")
    assert with_new.records_text() == whole.records_text()


def test_the_cache_knows_content_and_neither_names_nor_places(studio, tmp_path):
    cache = tmp_path / "scores.jsonl"
    compare(*sources(studio, "a"), cache=cache)
    count = lines_of(cache)
    moved = Path(shutil.copytree(studio, tmp_path / "moved"))
    (moved / "a").rename(moved / "other")
    for folder in (moved / "other" / "ECSSD", moved / "masks" / "ECSSD"):
        (folder / "p0001.png").rename(folder / "renamed.png")
    compare(*sources(moved, ["other"]), cache=cache)
    assert lines_of(cache) == count
    write(moved / "other" / "ECSSD" / "p0002.png", np.full((24, 32), 9, np.uint8))
    changed = compare(*sources(moved, ["other"]), cache=cache)
    assert lines_of(cache) == count + 1
    assert changed.series[0].scored.measures == compare(*sources(moved, ["other"])).series[0].scored.measures
    write(moved / "masks" / "ECSSD" / "p0003.png", np.full((24, 32), 255, np.uint8))
    compare(*sources(moved, ["other"]), cache=cache)
    assert lines_of(cache) == count + 2
    compare(*sources(moved, ["other"]), cache=cache, rules=Rules("raw"))
    assert lines_of(cache) == 2 * count + 2


def test_e07_a_cache_cut_anywhere_leads_to_the_same_table(studio, tmp_path):
    cache = tmp_path / "scores.jsonl"
    whole = render_comparison(compare(*sources(studio, "ab"), cache=cache), "json")
    content = cache.read_bytes()
    for cut in range(0, len(content), len(content) // 7):
        cache.write_bytes(content[:cut])
        assert render_comparison(compare(*sources(studio, "ab"), cache=cache), "json") == whole
        assert lines_of(cache) == 2 * sum(SIZES.values())


def test_e07_a_killed_comparison_goes_on_from_its_cache(tmp_path):
    folder = make_methods(tmp_path, {"a": 0.2}, {"S": 40}, size=(90, 120))
    cache, moments, kills = tmp_path / "scores.jsonl", random.Random(5), 0
    arguments = ["--maps", f"a={folder / 'a'}", "--masks", f"S={folder / 'masks' / 'S'}", "--cache", cache, "--json"]
    for _ in range(5):
        before = lines_of(cache) if cache.exists() else 0
        running, until = standout_eval(*arguments, wait=False), before + moments.randint(0, 5)
        while running.poll() is None and (not cache.exists() or lines_of(cache) <= until):
            time.sleep(0.001)
        if running.poll() is None:
            running.send_signal(signal.SIGKILL)
            kills += 1
        running.wait()
    assert kills >= 2
    done = standout_eval(*arguments)
    assert done.returncode == 0, done.stderr
    expected = render_comparison(compare(*sources(folder, "a", ["S"])), "json")
    assert json.loads(done.stdout)["rows"] == json.loads(expected)["rows"]
    assert lines_of(cache) == 40


def test_a_cache_of_something_else_and_one_in_use_are_refused(studio, tmp_path):
    from standout.evaluate.cache import ScoreCache

    foreign = tmp_path / "foreign.jsonl"
    foreign.write_text('{"schema": 1, "item": "a.jpg"}\n')
    error = refusal(*sources(studio, "a"), cache=foreign)
    assert (error.code, error.exit_code) == ("cache-foreign", 2)
    cache = tmp_path / "scores.jsonl"
    arguments = ["--maps", f"a={studio / 'a'}", "--masks", f"ECSSD={studio / 'masks' / 'ECSSD'}", "--cache", cache]
    with ScoreCache(cache, {}):
        done = standout_eval(*arguments)
        assert done.returncode == 1
        assert "in use" in done.stderr
    assert standout_eval(*arguments).returncode == 0
    mine = tmp_path / "mine.csv"
    mine.write_text("name,score\na,1")  # without a line break at its end
    for _ in range(2):  # the second time, nothing holds the file
        assert refusal(*sources(studio, "a"), cache=mine).code == "ledger-damaged"
    assert mine.read_text() == "name,score\na,1"


def test_runs_of_one_method_become_mean_and_sample_deviation(studio):
    maps, masks = sources(studio, ["a", "c"])
    found = compare([*maps, ("c", studio / "c2")], masks)
    row = next(row for row in json.loads(render_comparison(found, "json"))["summary"] if row["method"] == "c")
    runs = [series.scored.measures for series in found.of("c", "ECSSD")]
    assert (row["runs"], len(runs)) == (2, 2)
    for key in MEASURES:
        one, other = (run[key] for run in runs)
        assert row[key]["value"] == pytest.approx((one + other) / 2, abs=1e-15)
        assert row[key]["deviation"] == pytest.approx(abs(one - other) / 2**0.5, abs=1e-15)
    assert f"{row['mae']['value']:.4f} ± {row['mae']['deviation']:.4f}" in render_comparison(found)
    rows = list(csv.DictReader(io.StringIO(render_comparison(found, "csv"))))
    of_c = {line["run"]: line for line in rows if line["method"] == "c" and line["set"] == "ECSSD"}
    assert list(of_c) == ["1", "2", "mean", "deviation"]
    assert float(of_c["deviation"]["s"]) == row["s"]["deviation"]


def test_the_best_three_of_each_column_are_marked_in_every_format(studio):
    found = compare(*sources(studio, ["c", "b", "a", "c2"]))
    rows = json.loads(render_comparison(found, "json"))["summary"][:4]
    for key in ("mae", "s"):
        ordered = sorted(rows, key=lambda row: row[key]["value"], reverse=key != "mae")
        assert [row[key]["rank"] for row in ordered] == [1, 2, 3, None]
    best = f"{rows[2]['mae']['value']:.4f}"
    assert rows[2]["mae"]["rank"] == 1
    plain, markdown, latex = (render_comparison(found, name) for name in ("table", "markdown", "latex"))
    assert f"{best}¹" in plain
    assert f"**{best}**" in markdown
    assert rf"\textbf{{{best}}}" in latex
    assert latex.count("{") == latex.count("}")
    body = [line for line in latex.splitlines() if line.endswith(r"\\") and line[0] in "abc"]
    assert [line.count("&") for line in body] == [12] * 4


def test_values_that_print_alike_share_their_rank(studio, tmp_path):
    shutil.copytree(studio / "a", tmp_path / "same")
    maps, masks = sources(studio, "ab")
    found = compare([*maps, ("same", tmp_path / "same")], masks)
    rows = json.loads(render_comparison(found, "json"))["summary"][:3]
    assert [row["mae"]["rank"] for row in rows] == [1, 3, 1]


def test_records_hold_every_pictures_measures(studio, tmp_path):
    out = tmp_path / "records.jsonl"
    maps, masks = (
        [word for name, path in given for word in (option, f"{name}={path}")]
        for option, given in zip(("--maps", "--masks"), sources(studio), strict=True)
    )
    done = standout_eval(*maps, *masks, "--records", out, "--measures", "mae,f_max_pr", "--format", "csv")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(records) == 3 * sum(SIZES.values())
    rows = {(row["set"], row["method"]): row for row in csv.DictReader(io.StringIO(done.stdout))}
    for (data, method), row in rows.items():
        own = [record for record in records if (record["set"], record["method"]) == (data, method)]
        assert len(own) == SIZES[data]
        for key in ("mae", "s", "weighted_f", "iou", "f_mean", "e_mean", "f_adaptive"):
            assert statistics.fmean(record[key] for record in own) == pytest.approx(float(row[key]), abs=1e-14)
        # The maximum of the mean curve is at most the mean of the pictures' maxima.
        assert float(row["f_max"]) <= statistics.fmean(record["f_max"] for record in own) + 1e-15


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--maps", "a"], "write --maps NAME=DIR"),
        (["--maps", "=x"], "write --maps NAME=DIR"),
        (["--measures", "mae,f_mx"], "did you mean f_max"),
        (["--measures", "weighted_f", "--no-weighted"], "leave weighted_f out"),
        (["--label", "x"], "leave it out"),
        (["somewhere"], "leave it out"),
    ],
)
def test_mistakes_in_the_options_of_a_comparison_are_usage_errors(studio, options, told):
    done = standout_eval("--maps", f"a={studio / 'a'}", "--masks", f"ECSSD={studio / 'masks' / 'ECSSD'}", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_options_of_comparisons_are_refused_elsewhere_and_two_paths_are_needed(studio):
    maps, masks = studio / "a" / "ECSSD", studio / "masks" / "ECSSD"
    for arguments, told in (
        ([maps, masks, "--measures", "mae"], "--measures"),
        ([maps, masks, "--records", "r.jsonl"], "--records"),
        ([maps], "two paths are needed, not 1"),
        ([], "two paths are needed, not 0"),
    ):
        done = standout_eval(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert told in done.stderr
