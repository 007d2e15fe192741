"""The command `standout data check`: what it prints, takes and refuses (promise D10)."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checked_sets import disc, photos, smooth
from data_sets import write
from test_perceptual import photo

from standout.data import check_data
from standout.errors import StandoutError


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "standout", "data", "check", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_d10_the_command_exits_0_or_1_and_its_document_lists_every_finding(tmp_path):
    photos(tmp_path / "good", 0, 2)
    write(tmp_path / "good" / "masks" / "p0.png", smooth())
    photos(tmp_path / "bad", 2, 3)
    write(tmp_path / "bad" / "masks" / "p4.png", np.zeros_like(disc()))
    write(tmp_path / "bad" / "images" / "lonely.png", photo(9))

    good, bad = command(tmp_path / "good"), command(tmp_path / "good", tmp_path / "bad", "--json")

    assert good.returncode == 0
    assert good.stderr == ""
    assert good.stdout.splitlines() == [
        "good  images/masks  2 pairs",
        "",
        "note  masks-soft  good  1 mask has smooth edges, 3.5% of their pixels in between: p0",
        "",
        "2 pairs: no faults, 1 note",
    ]
    assert bad.returncode == 1
    folder = str(tmp_path / "bad")
    document = json.loads(bad.stdout)
    assert document["schema"] == 1
    assert (document["faults"], document["notes"]) == (1, 2)
    assert document["sets"][1] == {"set": "bad", "folder": folder, "layout": "images/masks", "part": "", "pairs": 3}
    assert document["findings"][0] == {
        "code": "unpaired-picture",
        "severity": "fault",
        "sets": ["bad"],
        "message": "1 picture has no mask",
        "count": 1,
        "items": [{"name": "lonely.png", "file": f"{folder}/images/lonely.png"}],
    }
    assert [one["code"] for one in document["findings"]] == ["unpaired-picture", "masks-soft", "masks-empty"]


def test_the_kind_and_the_file_of_what_cannot_be_read_stand_in_the_table_and_in_the_document(tmp_path):
    photos(tmp_path / "set", 0, 4)
    images, masks = tmp_path / "set" / "images", tmp_path / "set" / "masks"
    for path in (images / "p0.png", masks / "p1.png"):
        path.write_bytes(b"")
    (masks / "p2.png").write_bytes(b"some text")
    write(masks / "p3.png", disc(rows=120, columns=120))

    table, document = command(tmp_path / "set"), json.loads(command(tmp_path / "set", "--json").stdout)

    assert [line.split("set  ", 1)[1] for line in table.stdout.splitlines() if line.startswith("FAULT")] == [
        "mask and picture have different shapes, 1 file: masks/p3.png",
        "picture file is empty, 1 file: images/p0.png",
        "mask file is empty, 1 file: masks/p1.png",
        "mask is not a picture, 1 file: masks/p2.png",
    ]
    told = [one["items"][0] for one in document["findings"] if one["severity"] == "fault"]
    assert [(one["kind"], one["file"]) for one in told] == [
        ("mask", str(masks / "p3.png")),
        ("picture", str(images / "p0.png")),
        ("mask", str(masks / "p1.png")),
        ("mask", str(masks / "p2.png")),
    ]
    assert told[2]["message"] == f"mask file is empty: {masks / 'p1.png'}; copy the file again"


def test_a_set_that_is_given_twice_is_refused_under_every_spelling(tmp_path):
    photos(tmp_path / "sets" / "q", 0, 2)
    (tmp_path / "link").symlink_to(tmp_path / "sets" / "q")
    (tmp_path / "sets" / "q" / "names.txt").write_text("p0\n")
    q = tmp_path / "sets" / "q"

    for one, other in (
        (q, q),
        (q, f"{tmp_path}/sets/../sets/q/"),
        (tmp_path / "link", q),
        (q, tmp_path / "sets"),  # which is looked into
        (q / "names.txt", tmp_path / "link" / "names.txt"),
    ):
        result = command(one, other)
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr == f"standout: error: a set is given twice: {one} and {Path(other)}; give it once\n"


def test_a_part_given_beside_its_whole_set_is_given_twice_and_two_parts_are_not(tmp_path):
    photos(tmp_path / "set" / "train", 0, 2)
    photos(tmp_path / "set" / "test", 2, 2)
    for name, pair in (("a.txt", "images/p2.png masks/p2.png"), ("b.txt", "images/p3.png masks/p3.png")):
        (tmp_path / "set" / "test" / name).write_text(pair)

    with pytest.raises(StandoutError, match="given twice"):
        check_data([tmp_path / "set", tmp_path / "set" / "test"])
    with pytest.raises(StandoutError, match="given twice"):
        check_data([tmp_path / "set"] * 2)
    assert check_data([tmp_path / "set" / "train", tmp_path / "set" / "test"]).faults == ()
    assert check_data([tmp_path / "set" / "test" / name for name in ("a.txt", "b.txt")]).faults == ()


def test_the_command_without_anything_to_check_exits_2(tmp_path):
    for arguments in ((), (tmp_path / "gone",), (tmp_path,)):
        result = command(*arguments)
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.startswith("standout: error: ")
        assert result.stderr.count("\n") == 1
