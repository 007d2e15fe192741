import os

import pytest
from data_sets import touch

from standout.data import check_data
from standout.data.lists import read_list
from standout.data.pairs import Pair, find_pairs, fingerprint
from standout.errors import StandoutError


def test_a_list_of_pairs_is_read_in_all_its_forms(tmp_path):
    touch(tmp_path, "p/a.jpg", "m/a.png", "p/my picture, 2.jpg", "m/x 2.png", "e/a.png")
    forms = {
        "spaces.lst": "p/a.jpg m/a.png e/a.png\n",
        "commas.csv": "# picture, mask\np/a.jpg, m/a.png\n\n",
        "tabs.txt": "p/my picture, 2.jpg\tm/x 2.png\np/a.jpg\tm/a.png\r\n",
    }
    for name, text in forms.items():
        (tmp_path / name).write_bytes(text.encode())

    found = {name: find_pairs(tmp_path / name) for name in forms}

    assert [pair.name for pair in found["tabs.txt"].pairs] == ["a", "my picture, 2"]
    for pairs in found.values():
        assert pairs.layout == "list file"
        assert pairs.pairs[0] == ("a", tmp_path / "p" / "a.jpg", tmp_path / "m" / "a.png")


def test_a_folder_with_a_list_for_each_part_is_recognised(tmp_path):
    touch(tmp_path, "x/a.jpg", "y/a.png", "x/b.jpg", "y/b.png")
    (tmp_path / "train_pair.lst").write_text("x/a.jpg y/a.png\n")
    (tmp_path / "test.txt").write_text("x/b.jpg y/b.png\n")

    assert [pair.name for pair in find_pairs(tmp_path, part="train").pairs] == ["a"]
    assert [pair.name for pair in find_pairs(tmp_path, part="test").pairs] == ["b"]
    (tmp_path / "train.txt").write_text("x/b.jpg y/b.png\n")
    with pytest.raises(StandoutError, match=r"several lists fit \(train.txt, train_pair.lst\)"):
        find_pairs(tmp_path, part="train")


def test_a_list_of_names_takes_a_part_of_the_set_beside_it(tmp_path):
    touch(tmp_path, *(f"{folder}/n.{k}.png" for folder in ("images", "masks") for k in range(4)))
    (tmp_path / "some.txt").write_text("n.2\nn.0.png\n")

    assert [pair.name for pair in find_pairs(tmp_path / "some.txt").pairs] == ["n.0", "n.2"]


def test_what_a_list_names_and_is_not_there_is_told(tmp_path):
    touch(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    (tmp_path / "pairs.txt").write_text("images/a.png masks/a.png\nimages/b.png masks/b.png\n")

    with pytest.raises(StandoutError, match=r"2 listed names are not in the set \(b, c\)") as caught:
        find_pairs(tmp_path / "names.txt")
    assert caught.value.exit_code == 2
    with pytest.raises(StandoutError, match="2 listed files are not there") as caught:
        find_pairs(tmp_path / "pairs.txt")
    assert caught.value.exit_code == 2
    kept = find_pairs(tmp_path / "pairs.txt", skip_unpaired=True)
    assert ([pair.name for pair in kept.pairs], len(kept.notes)) == (["a"], 1)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "list-empty"),
        (b"# only a word\n", "list-empty"),
        (b"\x89PNG\0\0", "list-expected"),
        (b"a.jpg a.png\nb\n", "list-mixed"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, content, code):
    path = tmp_path / "list.txt"
    path.write_bytes(content)

    with pytest.raises(StandoutError) as caught:
        read_list(path)

    assert (caught.value.code, caught.value.exit_code) == (code, 2)


def test_names_that_are_no_utf8_pass_through_a_list(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    touch(tmp_path, f"images/{name}.png", f"masks/{name}.png")
    (tmp_path / "names.txt").write_bytes(b"caf\xe9\n")

    assert find_pairs(tmp_path / "names.txt").pairs[0].image == tmp_path / "images" / f"{name}.png"


def test_a_list_of_names_in_a_set_of_parts_is_one_of_the_part_asked_for(tmp_path):
    touch(tmp_path, *(f"{part}/{folder}/a.png" for part in ("train", "test") for folder in ("images", "masks")))
    (tmp_path / "some.txt").write_text("a\n")

    assert find_pairs(tmp_path / "some.txt", part="test").pairs[0].image.parent == tmp_path / "test" / "images"
    with pytest.raises(StandoutError, match="several parts"):
        find_pairs(tmp_path / "some.txt")


def test_a_text_file_without_a_set_beside_it_is_told_by_its_name(tmp_path):
    (tmp_path / "notes.md").write_text("no list\nat all\n")

    for look in (find_pairs, lambda path: check_data([path])):
        with pytest.raises(StandoutError, match=r"names alone, and no set lies beside it: .*notes\.md") as caught:
            look(tmp_path / "notes.md")
        assert caught.value.exit_code == 2


def test_a_fifo_in_a_set_has_no_fingerprint_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.png")

    with pytest.raises(StandoutError, match="Not a regular file"):
        fingerprint([Pair("x", tmp_path / "x.png", tmp_path / "x.png")])
