"""`standout data check` tells everything at once (promises D1 to D10, M1 to M10)."""

import json
import os
import shutil

import numpy as np
import pytest
from checked_sets import disc, faults, findings, masks_of, names, photos
from data_sets import make_set, scene, touch, write
from PIL import Image
from test_perceptual import photo

from standout.data import check_data, find_pairs
from standout.data.looks import look_at
from standout.errors import StandoutError


def test_a_sound_set_has_no_faults_and_is_not_touched(tmp_path):
    make_set(tmp_path, ["a", "b", "c"])
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()}

    report = check_data([tmp_path])

    assert report.faults == ()
    assert [(part.part, len(part.pairs)) for part in report.parts] == [("", 3)]
    assert {one.code for one in report.findings} == {"masks-soft"}
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


def test_d01_all_unpaired_files_of_all_sets_are_told_at_once(tmp_path):
    for folder in ("one", "two"):
        make_set(tmp_path / folder, ["a", "b"])
        write(tmp_path / folder / "images" / "lonely.png", scene()[0])
        write(tmp_path / folder / "masks" / "left.png", scene()[1])

    report = check_data([tmp_path / "one", tmp_path / "two"])

    told = {(one.code, one.sets, one.items[0].name) for one in report.faults if one.code.startswith("unpaired")}
    assert told == {
        (code, (folder,), file)
        for folder in ("one", "two")
        for code, file in (("unpaired-picture", "lonely.png"), ("unpaired-mask", "left.png"))
    }


def test_d02_d03_all_names_that_come_twice_are_told(tmp_path):
    make_set(tmp_path, ["a", "b", "café"])
    for file in ("images/A.jpg", "images/b.jpg", "masks/cafe\u0301.png"):
        shutil.copy(tmp_path / "images" / "a.png", tmp_path / file)

    items = findings(tmp_path)["name-twice"]

    assert sorted(item.name for item in items) == sorted(["a.png", "b.png", "café.png"])
    assert all(item.other and item.file != item.other for item in items)


def test_d04_odd_names_are_escaped_in_the_table_and_whole_in_the_document(tmp_path):
    name = os.fsdecode(b"new\nline\x1b[31m\xff")
    make_set(tmp_path, [name, "b"])
    (tmp_path / "masks" / f"{name}.png").unlink()

    report = check_data([tmp_path])
    again = json.loads(json.dumps(report.document()))

    line = next(one for one in report.faults if one.code == "unpaired-picture").line()
    assert line.isprintable()
    file = next(one for one in again["findings"] if one["code"] == "unpaired-picture")["items"][0]["file"]
    assert os.fsencode(file) == os.fsencode(tmp_path / "images" / f"{name}.png")


def test_d05_what_is_left_out_is_counted(tmp_path):
    make_set(tmp_path, ["a"])
    touch(tmp_path, "images/Thumbs.db", "images/notes.txt", "masks/more/b.png")

    assert findings(tmp_path)["left-out"] == [
        "1 hidden or system files left out: images",
        "1 files that are no pictures left out: images",
        "1 nested folders left out: masks",
    ]


def test_d06_nothing_to_check_is_a_usage_error_and_broken_files_are_faults(tmp_path):
    for folder in ("empty", "hollow/images", "hollow/masks"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("empty", "hollow", "gone"):
        with pytest.raises(StandoutError) as caught:
            check_data([tmp_path / folder])
        assert caught.value.exit_code == 2
    touch(tmp_path / "broken", "images/a.png", "masks/a.png", "images/b.png", "masks/b.png")

    assert names(findings(tmp_path / "broken")["picture-empty"]) == ["a", "b", "a", "b"]
    assert faults(tmp_path / "broken") == {"picture-empty"}


def test_every_unreadable_file_is_told_by_kind_and_the_others_are_still_looked_at(tmp_path):
    make_set(tmp_path, [*"abcdef"])
    image = (tmp_path / "images" / "a.png").read_bytes()
    (tmp_path / "images" / "a.png").write_bytes(image[: len(image) // 2])
    (tmp_path / "images" / "b.png").write_bytes(b"no picture at all")
    (tmp_path / "masks" / "c.png").unlink()
    os.mkfifo(tmp_path / "masks" / "c.png")
    write(tmp_path / "masks" / "d.png", np.zeros((40, 59), np.uint8))
    write(tmp_path / "masks" / "e.png", np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))

    found = findings(tmp_path)

    assert {code: names(items) for code, items in found.items()} == {
        "picture-truncated": ["a"],
        "picture-unknown": ["b"],
        "picture-special": ["c"],
        "mask-colours": ["e"],
        "masks-empty": ["d"],
        "masks-soft": ["a", "b", "f"],
    }


def test_d07_overlap_is_found_by_content_and_by_look(tmp_path):
    photos(tmp_path / "set" / "train", 0, 12)
    photos(tmp_path / "set" / "test", 20, 6)
    train, test = tmp_path / "set" / "train", tmp_path / "set" / "test"
    shutil.copy(train / "images" / "p0.png", test / "images" / "exact.png")
    small = Image.fromarray(photo(1)).resize((112, 84))
    write(test / "images" / "encoded.jpg", np.asarray(small), "JPEG", quality=60)
    write(test / "images" / "mirrored.webp", np.asarray(small)[:, ::-1], "WEBP", quality=60)
    for name in ("exact", "encoded", "mirrored"):
        write(test / "masks" / f"{name}.png", np.asarray(Image.fromarray(disc()).resize(small.size)))
    write(test / "masks" / "exact.png", disc())

    report = check_data([tmp_path / "set"])

    overlap = next(one for one in report.faults if one.code == "overlap")
    assert overlap.sets == ("set train", "set test")
    assert overlap.message == "3 pictures of set test are in set train too"
    assert [(item.detail, dict(item.facts)["how"]) for item in overlap.items] == [
        ("encoded (as p1)", "re-encoded"),
        ("exact (as p0)", "exact"),
        ("mirrored (as p1, mirrored)", "mirrored"),
    ]
    assert all(item.other.endswith(("p0.png", "p1.png")) for item in overlap.items)
    duplicate = next(one for one in report.findings if one.code == "duplicate-picture")
    assert [item.detail for item in duplicate.items] == ["mirrored (as encoded, mirrored)"]
    # The masks are those of disc() and disc(1), a pixel apart.
    assert all(dict(item.facts)["masks_iou"] > 0.9 for item in (*overlap.items, *duplicate.items))
    assert {one.code for one in report.faults} == {"overlap"}


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_picture_that_is_there_twice_with_two_masks_is_told(tmp_path, mirrored):
    photos(tmp_path, 0, 5)
    left = np.zeros((120, 160), np.uint8)
    left[20:90, 10:60] = 255
    write(tmp_path / "masks" / "p0.png", left)
    for name, mask in (("agreeing", left), ("disagreeing", left[:, ::-1])):
        write(tmp_path / "images" / f"{name}.png", photo(0)[:, ::-1] if mirrored else photo(0))
        write(tmp_path / "masks" / f"{name}.png", mask[:, ::-1] if mirrored else mask)

    found = findings(tmp_path)

    assert names(found["duplicate-picture"]) == ["disagreeing", "p0"]
    assert {item.name: dict(item.facts)["masks_iou"] for item in found["duplicate-picture"]} == {
        "disagreeing": 0.0,
        "p0": 1.0,
    }
    assert names(found["masks-disagree"]) == ["disagreeing"]


@pytest.mark.parametrize(("one", "other", "code"), [("train", "train", "shared"), ("train", "test", "overlap")])
def test_two_sets_to_train_on_may_share_pictures(tmp_path, one, other, code):
    photos(tmp_path / "a" / one, 0, 4)
    photos(tmp_path / "b" / other, 3, 4)

    assert names(findings(tmp_path / "a", tmp_path / "b")[code]) == ["p3"]


def test_sets_without_parts_may_be_for_anything(tmp_path):
    photos(tmp_path / "a", 0, 4)
    photos(tmp_path / "b", 3, 4)

    assert names(findings(tmp_path / "a", tmp_path / "b")["overlap"]) == ["p3"]


def test_the_held_out_names_are_a_part_of_their_own(tmp_path):
    photos(tmp_path / "set", 0, 6)
    shutil.copy(tmp_path / "set" / "images" / "p0.png", tmp_path / "set" / "images" / "p5.png")
    (tmp_path / "set" / "names_val.txt").write_text("p5\np4\n")

    report = check_data([tmp_path / "set"])

    assert [(part.label, len(part.pairs)) for part in report.parts] == [("set train", 4), ("set validation", 2)]
    assert [(one.code, one.sets, one.items[0].detail) for one in report.faults] == [
        ("overlap", ("set train", "set validation"), "p5 (as p0)")
    ]


@pytest.mark.parametrize("side", ["image", "mask"])
def test_d09_a_file_that_vanishes_during_the_check_is_a_fault_of_its_own(tmp_path, side):
    photos(tmp_path, 0, 2)
    gone = find_pairs(tmp_path).pairs[0]
    getattr(gone, side).unlink()

    look = look_at(gone)

    assert [fault.code for fault in look.faults] == ["picture-missing"]
    assert look.faults[0].file == str(getattr(gone, side))


def test_one_picture_many_times_makes_one_line_for_each_copy(tmp_path):
    photos(tmp_path / "set", 0, 3)
    for number in range(40):
        shutil.copy(tmp_path / "set" / "images" / "p0.png", tmp_path / "set" / "images" / f"q{number}.png")
        write(tmp_path / "set" / "masks" / f"q{number}.png", disc())

    items = findings(tmp_path / "set")["duplicate-picture"]

    assert len(items) == 40
    assert {item.other.rsplit("/")[-1] for item in items} == {"p0.png"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pictures_and_masks_that_are_exchanged_are_told(tmp_path, kind):
    for number in range(6):
        write(tmp_path / "images" / f"{number}.png", disc(number), kind)
        write(tmp_path / "masks" / f"{number}.png", photo(number), kind)

    found = findings(tmp_path)

    assert names(found.pop("swapped")) == [str(k) for k in range(6)]
    assert found == {}


def test_one_grey_picture_that_is_exchanged_is_told_and_its_neighbours_are_not(tmp_path):
    photos(tmp_path, 0, 4)
    write(tmp_path / "images" / "p1.png", disc())
    write(tmp_path / "masks" / "p1.png", photo(1)[..., 0])
    shutil.copy(tmp_path / "masks" / "p2.png", tmp_path / "images" / "p2.png")

    found = findings(tmp_path)

    assert names(found["swapped"]) == ["p1"]
    assert names(found["mask-is-picture"]) == ["p2"]
    assert set(found) == {"swapped", "mask-is-picture"}


def test_a_drawing_is_not_exchanged_with_a_mask_that_is_cut_off_or_of_classes(tmp_path):
    """Pictures may be black and white: what is wrong with their masks is told, and nothing else."""
    photos(tmp_path, 0, 5)
    for number in range(4):
        write(tmp_path / "images" / f"p{number}.png", disc(number))
    cut, empty, classes, sound = (tmp_path / "masks" / f"p{number}.png" for number in range(4))
    cut.write_bytes(cut.read_bytes()[:-100])
    empty.write_bytes(b"")
    write(classes, np.where(disc()[..., None] > 0, np.uint8([200, 0, 0]), np.uint8([0, 90, 0])))
    half = disc(3)
    half[half == 0] = 128
    write(sound, half)

    found = findings(tmp_path)

    assert {code: names(found[code]) for code in found if code.startswith(("picture", "mask-", "swapped"))} == {
        "picture-truncated": ["p0"],
        "picture-empty": ["p1"],
        "mask-colours": ["p2"],
    }


def test_an_exchanged_pair_whose_shapes_differ_is_told_with_both_faults(tmp_path):
    photos(tmp_path, 0, 2)
    write(tmp_path / "images" / "p1.png", disc())
    write(tmp_path / "masks" / "p1.png", photo(1)[:, :100, 0])

    assert faults(tmp_path) == {"swapped", "mask-size"}


def test_flat_pictures_are_told_and_are_no_copies_of_each_other(tmp_path):
    masks_of(tmp_path, disc(), disc(1))
    for number in range(2):
        write(tmp_path / "images" / f"{number}.png", np.full((120, 160, 3), 90 + number, np.uint8))

    assert {code: names(items) for code, items in findings(tmp_path).items()} == {"picture-flat": ["0", "1"]}


def test_lists_are_checked_with_all_that_they_name(tmp_path):
    photos(tmp_path, 0, 4)
    (tmp_path / "pairs.txt").write_text("images/p0.png masks/p0.png\nimages/p1.png masks/gone.png\n")
    (tmp_path / "names.txt").write_text("p2\np3.png\nnobody\n")
    (tmp_path / "empty.txt").write_text("# nothing\n")

    pairs = check_data([tmp_path / "pairs.txt"])
    listed = check_data([tmp_path / "names.txt"])

    assert [pair.name for pair in pairs.parts[0].pairs] == ["p0"]
    assert [(one.code, names(one.items)) for one in pairs.findings] == [("list-missing", ["gone.png"])]
    assert [pair.name for pair in listed.parts[0].pairs] == ["p2", "p3"]
    assert [(one.code, names(one.items)) for one in listed.findings] == [("list-missing", ["nobody"])]
    with pytest.raises(StandoutError, match="names nothing"):
        check_data([tmp_path / "empty.txt"])


def test_known_defects_of_published_sets_are_told(tmp_path):
    duts, ecssd = tmp_path / "DUTS-TE", tmp_path / "ECSSD"
    make_set(duts, ["ILSVRC2012_test_00036002", "x"], images="DUTS-TE-Image", masks="DUTS-TE-Mask")
    write(duts / "DUTS-TE-Mask" / "ILSVRC2012_test_00036002.jpg", scene()[1], "JPEG")
    for number in (73, 74):
        write(ecssd / "images" / f"00{number}.png", photo(number))
        write(ecssd / "masks" / f"00{number}.png", disc())

    report = check_data([duts, ecssd])
    known = {one.sets: one for one in report.findings if one.code == "known-defect"}

    assert known["DUTS-TE test",].items[0].name == "ILSVRC2012_test_00036002.jpg"
    assert "first release" in known["DUTS-TE test",].message
    assert known["ECSSD",].items[0].name == "0073"
    counts = [one.message.split(":")[0] for one in report.findings if one.code == "known-count"]
    assert sorted(counts) == ["2 pairs, 1000 as published", "2 pairs, 5019 as published"]
    assert {one.code for one in report.faults} == {"name-twice"}


def test_processes_change_nothing(tmp_path):
    names = [f"{k:03}" for k in range(300)]
    make_set(tmp_path, names)
    (tmp_path / "images" / "100.png").write_bytes(b"")
    shutil.copy(tmp_path / "images" / "007.png", tmp_path / "images" / "200.png")

    one, two = (check_data([tmp_path], jobs=jobs).document() for jobs in (1, 2))

    assert one == two
    assert one["faults"] == 2
