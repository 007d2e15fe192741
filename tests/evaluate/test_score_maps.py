"""Promises E1 to E8: maps against masks, by name, in any order, with nothing averaged away."""

import json
import shutil
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from eval_sets import make_pictures, make_set, shapes, write
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from standout.errors import StandoutError
from standout.evaluate import FORMATS, Rules, document, render, score_maps
from standout.evaluate.score import in_order
from standout.images import resize
from standout.metrics import PROTOCOLS, SaliencyMeasures


@pytest.fixture
def folders(tmp_path):
    return make_set(tmp_path, 12)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """A thousand masks, of which three have no map."""
    maps, masks = make_set(tmp_path_factory.mktemp("thousand"), 1000, size=(2, 3))
    for name in ("p0001.png", "p0500.png", "p0999.png"):
        (maps / name).unlink()
    return maps, masks


def refusal(*arguments, **options):
    with pytest.raises(StandoutError) as caught:
        score_maps(*arguments, **options)
    return caught.value


def write_float(path, values):
    Image.fromarray(np.asarray(values, np.float32)).save(path)


def test_maps_are_paired_by_name_and_scored_by_the_measures(folders):
    maps, masks = folders
    scored = score_maps(maps, masks)
    expected = SaliencyMeasures()
    for path in sorted(maps.iterdir()):
        expected.update(np.asarray(Image.open(path)), np.asarray(Image.open(masks / path.name)))
    assert scored.measures == expected.compute()
    assert (scored.expected, scored.sums.count, scored.partial, scored.problems) == (12, 12, None, ())


def test_names_pair_without_regard_to_suffix_case_and_composition(tmp_path):
    maps, masks = make_set(tmp_path, 3)
    expected = score_maps(maps, masks).measures
    for at, (map_name, mask_name) in enumerate(
        [("CAFÉ.PNG", unicodedata.normalize("NFD", "café.png")), ("b.v2.png", "b.v2.png"), ("c c.png", "C C.png")]
    ):
        (maps / f"p{at:04}.png").rename(maps / map_name)
        (masks / f"p{at:04}.png").rename(masks / mask_name)
    scored = score_maps(maps, masks)
    assert scored.measures == expected


def test_e01_missing_maps_are_named_and_no_table_is_made(thousand):
    error = refusal(*thousand)
    assert error.exit_code == 1
    assert "3 problems with 1000 pictures: 3 missing: p0001, p0500, p0999" in str(error)
    assert "--allow-missing" in str(error)


def test_e01_missing_surplus_and_unreadable_maps_are_all_named(folders):
    maps, masks = folders
    (maps / "p0001.png").unlink()
    (maps / "p0003.png").rename(maps / "q0003.png")
    (maps / "p0005.png").write_bytes(b"no picture at all")
    (maps / "p0006.png").write_bytes((maps / "p0007.png").read_bytes()[:-20])
    (masks / "p0009.png").write_bytes(b"")
    message = str(refusal(maps, masks))
    for told in ("2 missing: p0001, p0003", "1 surplus: q0003.png", "3 unreadable: p0005", "p0006", "p0009"):
        assert told in message


def test_e01_an_unreadable_map_alone_stops_the_table_too(folders):
    maps, masks = folders
    (maps / "p0005.png").write_bytes(b"")
    error = refusal(maps, masks)
    assert (error.code, error.exit_code) == ("maps-incomplete", 1)
    assert "1 unreadable: p0005" in str(error)


def test_e01_more_than_ten_are_counted(tmp_path):
    maps, masks = make_set(tmp_path, 15, size=(4, 5))
    for at in range(13):
        (maps / f"p{at:04}.png").unlink()
    assert "13 missing: p0000, p0001, p0002, p0003, p0004, p0005, p0006, p0007, p0008, p0009 and 3 more" in str(
        refusal(maps, masks)
    )


def test_e02_a_partial_table_says_so_first(thousand):
    scored = score_maps(*thousand, rules=Rules(weighted=False), allow_missing=True)
    for name in FORMATS:
        text = render([scored], name)
        if name == "json":
            assert json.loads(text)["partial"] == "PARTIAL 997 of 1000"
            assert [found["name"] for found in json.loads(text)["rows"][0]["problems"]] == ["p0001", "p0500", "p0999"]
        else:
            assert "PARTIAL 997 of 1000" in text.splitlines()[0], name


def test_e02_nothing_to_score_is_no_table_even_when_partial_is_allowed(folders):
    maps, masks = folders
    for path in maps.iterdir():
        path.write_bytes(b"")
    assert refusal(maps, masks, allow_missing=True).exit_code == 1


def test_e03_mis_sized_maps_are_resized_and_counted_or_refused_by_name(tmp_path):
    maps, masks = make_set(tmp_path, 4)
    found, _ = shapes(np.random.default_rng(9), 48, 64)
    write(maps / "p0002.png", found)
    scored = score_maps(maps, masks)
    assert scored.resized == 1
    assert "1 maps resized (bilinear to the mask's size" in render([scored])
    expected = SaliencyMeasures()
    for path in sorted(maps.iterdir()):
        label = np.asarray(Image.open(masks / path.name))
        expected.update(resize(np.asarray(Image.open(path)), label.shape), label)  # before it is stretched
    assert scored.measures == expected.compute()
    error = refusal(maps, masks, rules=Rules(strict_size=True))
    assert "1 mis-sized: p0002" in str(error)
    assert "64 x 48" in str(error)
    assert "32 x 24" in str(error)
    partial = score_maps(maps, masks, rules=Rules(strict_size=True), allow_missing=True)
    assert partial.partial == "PARTIAL 3 of 4"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.5, 1.5])
def test_e04_float_maps_out_of_range_are_refused_by_name(folders, bad):
    maps, masks = folders
    values = np.full((24, 32), 0.5)
    values[3, 4] = bad
    (maps / "p0004.png").unlink()
    write_float(maps / "p0004.tif", values)
    error = refusal(maps, masks)
    assert "1 unreadable: p0004" in str(error)
    assert "outside 0 to 1" in str(error)


def test_e04_arrays_in_files_are_refused_by_name(folders):
    maps, masks = folders
    (maps / "p0004.png").unlink()
    np.save(maps / "p0004.npy", np.zeros((24, 32)))
    assert "1 unreadable: p0004 (p0004.npy is no picture)" in str(refusal(maps, masks))


def test_e04_maps_of_zero_and_one_are_refused_with_the_remedy(tmp_path):
    maps, masks = make_set(tmp_path, 3)
    for path in sorted(maps.iterdir()):
        label = np.asarray(Image.open(masks / path.name))
        Image.fromarray((label > 0).astype(np.uint8)).save(path)
    error = refusal(maps, masks)
    assert "pass --map-scale 1" in str(error)
    scored = score_maps(maps, masks, rules=Rules("raw", map_scale=1))
    assert (scored.measures["mae"], scored.measures["f_max"]) == (0, 1)


def test_e04_sixteen_bit_and_float_maps_score_as_their_levels(tmp_path):
    maps, masks = make_set(tmp_path, 6)
    expected = score_maps(maps, masks)
    for path in sorted(maps.iterdir())[:3]:
        levels = np.asarray(Image.open(path))
        Image.fromarray(levels.astype(np.uint16) * np.uint16(257)).save(path)
    for path in sorted(maps.iterdir())[3:]:
        levels = np.asarray(Image.open(path))
        path.unlink()
        write_float(path.with_suffix(".tif"), levels / 255)
    assert score_maps(maps, masks).measures == expected.measures


def test_e05_the_table_says_how_maps_were_scored(folders):
    maps, masks = folders
    scored = score_maps(maps, masks)
    text = render([scored])
    for told in ("pysodmetrics-1.6.2", "stretched to its own minimum and maximum", "255 down to 0", "above 128"):
        assert told in text
    assert scored.list_sha256[:12] in text
    assert "standout 0." in text
    stored = document([scored], "standout eval maps masks")
    assert stored["schema"] == 1
    assert stored["command"] == "standout eval maps masks"
    assert stored["protocol"] == "pysodmetrics-1.6.2"
    assert "bilinear" in stored["resize"]
    assert "mean curve" in stored["maxima"]
    assert "twice the map's mean" in stored["adaptive_threshold"]
    assert set(stored["versions"]) == {"standout", "numpy", "pillow"}
    assert "maps as stored" in render([score_maps(maps, masks, rules=Rules("raw"))])
    sane = document([score_maps(maps, masks, rules=Rules("sane"))])
    assert (stored["empty_masks"], stored["e_divided_by"]) == ("F, weighted F and IoU are 0", "pixels less one")
    assert sane["empty_masks"].startswith("1 where nothing is found")
    assert sane["e_divided_by"] == "pixels"


def test_e05_the_list_hash_tells_other_pictures(folders):
    maps, masks = folders
    whole = score_maps(maps, masks).list_sha256
    copied = Path(shutil.copytree(maps, maps.parent / "other"))
    assert score_maps(copied, masks).list_sha256 == whole
    (masks / "p0003.png").unlink()
    (maps / "p0003.png").unlink()
    assert score_maps(maps, masks).list_sha256 != whole


@pytest.mark.parametrize("jobs", [2, 3])
def test_e06_the_number_of_processes_changes_no_digit(folders, jobs):
    maps, masks = folders
    one, several = score_maps(maps, masks), score_maps(maps, masks, jobs=jobs)
    assert several.measures == one.measures
    assert several.list_sha256 == one.list_sha256


@pytest.mark.parametrize("count", [2, 15, 300])
def test_e06_work_in_processes_comes_back_in_order_each_once(count):
    assert list(in_order(str, range(count), 2)) == [str(number) for number in range(count)]


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_e06_the_order_of_creation_changes_no_digit(tmp_path_factory, random):
    folder = tmp_path_factory.mktemp("order")
    maps, masks = make_set(folder / "first", 7)
    names = [path.name for path in maps.iterdir()]
    random.shuffle(names)
    for name in names:
        for source in (maps, masks):
            target = folder / "second" / source.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)
    one = score_maps(maps, masks)
    other = score_maps(folder / "second" / "maps", folder / "second" / "masks")
    assert render([one]) == render([other])
    assert one.measures == other.measures


def test_e07_the_printed_table_and_the_json_agree_to_the_last_digit(folders):
    maps, masks = folders
    scored = score_maps(maps, masks, label="maps")
    row = json.loads(render([scored], "json"))["rows"][0]
    printed = next(line for line in render([scored]).splitlines() if line.startswith("maps")).split()[1:]
    assert printed == [f"{row[key]:.4f}" for key in scored.measures]
    markdown = next(line for line in render([scored], "markdown").splitlines() if line.startswith("| maps"))
    assert markdown.split(" | ")[1:] == [*printed[:-1], printed[-1] + " |"]
    assert {key: row[key] for key in scored.measures} == scored.measures


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_e08_constant_maps_and_empty_and_full_masks_are_counted_and_give_numbers(tmp_path, protocol):
    rectangle = np.zeros((6, 8), np.uint8)
    rectangle[2:4, 3:6] = 255
    ramp = np.arange(48, dtype=np.uint8).reshape(6, 8)
    for i, map_ in enumerate((np.zeros((6, 8), np.uint8), np.full((6, 8), 90, np.uint8), ramp)):
        for j, mask in enumerate((np.zeros((6, 8), np.uint8), np.full((6, 8), 255, np.uint8), rectangle)):
            write(tmp_path / "maps" / f"{i}{j}.png", map_)
            write(tmp_path / "masks" / f"{i}{j}.png", mask)
    scored = score_maps(tmp_path / "maps", tmp_path / "masks", rules=Rules(protocol))
    assert all(np.isfinite(value) for value in scored.measures.values())
    text = render([scored])
    for told in ("3 empty masks", "3 full masks", "6 constant maps"):
        assert told in text


def test_masks_may_be_given_as_a_data_set_or_a_list(tmp_path):
    maps, _ = make_set(tmp_path / "a", 5, size=(30, 40))
    data = make_pictures(tmp_path / "data", 5)
    direct = score_maps(maps, data / "masks")
    assert score_maps(maps, data).measures == direct.measures
    (data / "some.txt").write_text("p0001\np0003\n")
    error = refusal(maps, data / "some.txt")
    assert "3 surplus" in str(error)
    assert score_maps(maps, data / "some.txt", allow_missing=True).sums.count == 2


def test_the_test_part_is_scored_and_a_set_of_one_part_is_taken_whole_with_a_note(tmp_path):
    maps, _ = make_set(tmp_path / "a", 5, size=(30, 40))
    make_pictures(tmp_path / "set" / "test", 5)
    make_pictures(tmp_path / "set" / "train", 3)
    scored = score_maps(maps, tmp_path / "set")
    assert (scored.expected, scored.notes) == (5, ())
    assert "surplus" in str(refusal(maps, tmp_path / "set", part="train"))
    shutil.rmtree(tmp_path / "set" / "test")
    whole = score_maps(maps, tmp_path / "set", allow_missing=True)
    assert whole.expected == 3
    assert "no test part" in render([whole])


def test_m01_masks_of_zero_and_one_score_as_zero_and_255(folders):
    maps, masks = folders
    expected = score_maps(maps, masks).measures
    for path in masks.iterdir():
        label = np.asarray(Image.open(path))
        Image.fromarray((label > 0).astype(np.uint8)).save(path)
    assert score_maps(maps, masks).measures == expected


def test_mistakes_about_folders_are_told(folders, tmp_path):
    maps, masks = folders
    (tmp_path / "empty").mkdir()
    for arguments, code in (
        ((tmp_path / "nowhere", masks), "folder-missing"),
        ((maps, tmp_path / "nowhere"), "folder-missing"),
        ((tmp_path / "empty", masks), "folder-empty"),
        ((masks, masks), "one-folder"),
    ):
        error = refusal(*arguments)
        assert (error.code, error.exit_code) == (code, 2)
    shutil.copy(maps / "p0001.png", maps / "P0001.bmp")
    error = refusal(maps, masks)
    assert (error.code, error.exit_code) == ("name-twice", 2)
    assert "p0001.png" in str(error)
    assert "P0001.bmp" in str(error)


def test_hidden_files_and_notes_among_the_maps_are_left_alone(folders):
    maps, masks = folders
    (maps / ".DS_Store").write_bytes(b"x")
    (maps / "README.txt").write_text("made by a model")
    (maps / "more").mkdir()
    assert score_maps(maps, masks).partial is None


def test_k05_names_with_terminal_escapes_are_printed_escaped(tmp_path):
    maps, masks = make_set(tmp_path, 2)
    (masks / "p0001.png").rename(masks / "evil\x1b[31m\nname.png")
    message = str(refusal(maps, masks))
    assert "\x1b" not in message
    assert "\n" not in message
    table = render([score_maps(maps, masks, allow_missing=True)])
    assert "\x1b" not in table


def test_a_table_is_of_one_protocol(folders):
    maps, masks = folders
    rows = [score_maps(maps, masks), score_maps(maps, masks, rules=Rules("raw"))]
    with pytest.raises(ValueError, match="one protocol"):
        render(rows)
    with pytest.raises(ValueError, match="format"):
        render(rows[:1], "html")


def test_latex_and_markdown_escape_names(folders):
    maps, masks = folders
    scored = score_maps(maps, masks, label="my_model & 50%|*<")
    latex = render([scored], "latex")
    assert r"my\_model \& 50\%\textbar{}*$<$" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1
    assert r"my\_model & 50%\|\*&lt;" in render([scored], "markdown")


def test_csv_holds_all_digits(folders):
    import csv
    import io

    maps, masks = folders
    scored = score_maps(maps, masks)
    row = next(csv.DictReader(io.StringIO(render([scored], "csv"))))
    assert {key: float(row[key]) for key in scored.measures} == scored.measures
    assert row["protocol"] == "pysodmetrics-1.6.2"


def test_a_png_with_a_lying_header_is_one_unreadable_map(folders):
    maps, masks = folders
    content = bytearray((maps / "p0002.png").read_bytes())
    content[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    (maps / "p0002.png").write_bytes(content)
    assert "1 unreadable: p0002" in str(refusal(maps, masks))
