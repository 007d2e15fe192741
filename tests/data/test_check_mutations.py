"""Data trees that were damaged at random: a check tells what is wrong, or refuses in one line; nothing else happens."""

import os
import random
import shutil

import numpy as np
import pytest
from data_sets import make_set, write

from standout.data import check_data
from standout.errors import StandoutError

NAMES = ["a", "b", "c", "d", "e", "f"]
ODD = [
    "caf\u00e9.png",
    "cafe\u0301.png",
    "a.JPG",
    "new\nline.png",
    os.fsdecode(b"\xff.png"),
    ".hidden.png",
    "x" * 251 + ".png",
]


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def remove(folder, chance):
    chance.choice(files_of(folder)).unlink()


def truncate(folder, chance):
    path = chance.choice(files_of(folder))
    os.truncate(path, chance.randrange(path.stat().st_size + 1))


def flip(folder, chance):
    path = chance.choice(files_of(folder))
    data = bytearray(path.read_bytes() or b"\0")
    for _ in range(chance.randint(1, 20)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)


def rename(folder, chance):
    path = chance.choice(files_of(folder))
    path.rename(path.with_name(chance.choice(ODD)))


def copy(folder, chance):
    one, other = chance.choice(files_of(folder)), chance.choice(files_of(folder))
    shutil.copy(one, other.with_name(chance.choice([other.name, f"copy of {one.name}", *ODD])))


def exchange(folder, chance):
    one, other = chance.choice(files_of(folder)), chance.choice(files_of(folder))
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


def special(folder, chance):
    path = chance.choice(files_of(folder))
    path.unlink()
    kind = chance.choice(["fifo", "folder", "loop", "dangling", "outside"])
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"loop": path.name, "dangling": "nowhere.png", "outside": "/proc/self/mem"}[kind])


def pixels(folder, chance):
    path = chance.choice(files_of(folder))
    shape = chance.choice([(1, 1), (3, 200), (40, 56), (40, 56, 3), (40, 56, 4), (2, 2, 3)])
    write(
        path, np.random.default_rng(chance.randrange(99)).integers(0, chance.choice([2, 3, 256]), shape, dtype=np.uint8)
    )


def listed(folder, chance):
    lines = [f"images/{name}.png masks/{name}.png" for name in NAMES]
    lines[chance.randrange(6)] = chance.choice(
        ["", "a.png", "images/a.png", f"{'y' * 300}.png m.png", "\udcff", "a\0b"]
    )
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    (folder / chance.choice(["names_val.txt", "train.txt"])).write_bytes(text)


def folders(folder, chance):
    name = chance.choice(["images", "masks"])
    if (folder / name).is_dir():
        (folder / name).rename(folder / chance.choice(["train", "GT", "Imgs", "IMAGES", "else"]))


DAMAGES = [remove, truncate, flip, rename, copy, exchange, special, pixels, listed, folders]


@pytest.mark.parametrize("seed", range(60))
def test_d10_damaged_trees_are_told_or_refused_and_nothing_else(tmp_path, seed):
    chance = random.Random(seed)
    trees = [make_set(tmp_path / name, NAMES) for name in ("one", "two")]
    for _ in range(chance.randint(1, 6)):
        damage, tree = chance.choice(DAMAGES), chance.choice(trees)
        if files_of(tree):
            damage(tree, chance)

    where = [*trees, *([trees[0] / "train.txt"] if (trees[0] / "train.txt").exists() else [])]

    told = outcome(where)

    if isinstance(told, StandoutError):
        assert told.exit_code == 2
        assert str(told).isprintable()
    else:
        assert all(one.line().isprintable() for one in told.findings)
        # Whatever is there and is a pair was looked at.
        assert sum(len(part.pairs) for part in told.parts) >= 1


def outcome(where):
    try:
        return check_data(where)
    except StandoutError as error:
        return error


def test_the_damages_lead_to_reports_and_to_refusals(tmp_path):
    ways = []
    for seed in range(20):
        tree = make_set(tmp_path / str(seed), NAMES)
        folders(tree, random.Random(seed))
        ways.append(type(outcome([tree])).__name__)
    remove(make_set(tmp_path / "other", NAMES), random.Random(0))

    assert set(ways) == {"Report", "StandoutError"}
    assert len(outcome([tmp_path / "other"]).faults) == 1


def test_a_link_to_itself_and_a_name_that_is_too_long_are_told_like_other_faults(tmp_path):
    make_set(tmp_path, NAMES)
    (tmp_path / "images" / "a.png").unlink()
    (tmp_path / "images" / "a.png").symlink_to("a.png")
    (tmp_path / "pairs.txt").write_text(f"images/b.png {'y' * 300}.png\nimages/c.png masks/c.png\n")

    loop, long = outcome([tmp_path]), outcome([tmp_path / "pairs.txt"])

    assert [(one.code, one.items[0].name) for one in loop.faults] == [("picture-unreadable", "a")]
    assert [(one.code, one.items[0].name) for one in long.faults] == [("list-missing", "y" * 300 + ".png")]
