import os
import socket

import pytest

from standout.cutout.plan import make_plan, result_name
from standout.errors import StandoutError


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def outputs(plan):
    return [str(item.output.relative_to(plan.folder)) for item in plan.items]


def test_one_picture_goes_to_a_file_or_into_a_folder(tmp_path):
    touch(tmp_path / "a.jpg")
    (tmp_path / "is_folder.png").mkdir()

    for output, expected in (
        ("out.png", "out.png"),
        ("out", "out/a.png"),
        ("out.png/", "out.png/a.png"),
        ("is_folder.png", "is_folder.png/a.png"),
    ):
        plan = make_plan([tmp_path / "a.jpg"], f"{tmp_path}/{output}")
        assert plan.items[0].output == tmp_path / expected
        assert (plan.folder is None) == (output == expected)


@pytest.mark.parametrize("name", ["out.bmp", "out.GIF", "out.heic"])
def test_a_kind_of_picture_that_is_not_written_is_refused_and_makes_no_folder_of_that_name(tmp_path, name):
    touch(tmp_path / "a.jpg")

    with pytest.raises(StandoutError, match=f"this kind of picture is not written: .*{name}; name it .png"):
        make_plan([tmp_path / "a.jpg"], tmp_path / name)

    assert make_plan([tmp_path / "a.jpg"], f"{tmp_path}/{name}/").folder == tmp_path / name


def test_an_input_that_is_named_twice_is_told_as_that(tmp_path):
    touch(tmp_path / "in/a.jpg")

    for inputs in ([tmp_path / "in"] * 2, [tmp_path / "in/a.jpg"] * 2):
        with pytest.raises(StandoutError, match=r"an input is named twice: .*a\.jpg; name it once"):
            make_plan(inputs, tmp_path / "out")


def test_a_folder_keeps_its_tree_and_several_inputs_their_names(tmp_path):
    touch(tmp_path / "in/b.jpg", tmp_path / "in/sub/deep/a.webp", tmp_path / "other/b.png", tmp_path / "c.jpg")

    one = make_plan([tmp_path / "in"], tmp_path / "out")
    several = make_plan([tmp_path / "in", tmp_path / "other", tmp_path / "c.jpg"], tmp_path / "out")

    assert outputs(one) == ["b.png", "sub/deep/a.png"]
    assert outputs(several) == ["in/b.png", "in/sub/deep/a.png", "other/b.png", "c.png"]


def test_what_is_no_picture_is_passed_over_and_counted(tmp_path):
    touch(*(tmp_path / "in" / name for name in ("a.jpg", "notes.txt", "Thumbs.db", ".hidden.png", "x.heic")))
    touch(tmp_path / "in/__MACOSX/a.jpg", tmp_path / "in/.standout-1-abc.tmp")

    plan = make_plan([tmp_path / "in"], tmp_path / "out")

    assert outputs(plan) == ["a.png", "x.png"]  # HEIC becomes a failure by name, not silence
    assert plan.passed_over == {"hidden or left by a system": 4, "not pictures by their names": 1}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.jpg", "a.png"),
        ("A.jpg", "a.png"),
        ("caf\u00e9.jpg", "cafe\u0301.jpg"),
        ("a.jpeg", "a.jpg"),
        ("STRASSE.jpg", "straße.jpg"),
    ],
)
def test_b04_two_inputs_that_would_write_one_file_are_refused_naming_both(tmp_path, first, second):
    touch(tmp_path / "in" / first, tmp_path / "in" / second)

    with pytest.raises(StandoutError, match="two inputs would write one file") as caught:
        make_plan([tmp_path / "in"], tmp_path / "out")

    assert caught.value.exit_code == 2
    assert first in str(caught.value)
    assert second in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_b04_the_extension_can_be_kept(tmp_path):
    touch(tmp_path / "in/a.jpg", tmp_path / "in/a.png")

    assert outputs(make_plan([tmp_path / "in"], tmp_path / "out", keep_extension=True)) == ["a.jpg.png", "a.png.png"]


def test_b04_two_inputs_of_one_name_collide_across_folders_and_with_folders(tmp_path):
    touch(tmp_path / "x/a.jpg", tmp_path / "y/a.jpg", tmp_path / "in/b.jpg", tmp_path / "in/b.png/c.jpg")

    with pytest.raises(StandoutError, match="two inputs"):
        make_plan([tmp_path / "x/a.jpg", tmp_path / "y/a.jpg"], tmp_path / "out")
    with pytest.raises(StandoutError, match="two inputs"):
        make_plan([tmp_path / "in"], tmp_path / "out")


def test_b05_an_output_that_is_the_input_is_refused(tmp_path, monkeypatch):
    touch(tmp_path / "in/a.png", tmp_path / "in/sub/b.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    monkeypatch.chdir(tmp_path)

    for inputs, output in (
        (["in"], "in"),
        (["in"], "in/sub/.."),
        (["in"], "link"),
        (["in/a.png"], "in/a.png"),
        (["in/a.png"], "link/a.png"),
        (["in/a.png", "in/sub/b.png"], "in"),
        (["in/sub"], "in/sub"),
    ):
        with pytest.raises(StandoutError) as caught:
            make_plan(inputs, output)
        assert caught.value.code == "output-is-input", (inputs, output)
        assert caught.value.exit_code == 2


def test_b05_an_output_folder_inside_the_input_is_not_read_again(tmp_path):
    touch(tmp_path / "in/a.jpg", tmp_path / "in/out/a.png", tmp_path / "in/out/deep/b.png")

    assert outputs(make_plan([tmp_path / "in"], tmp_path / "in/out")) == ["a.png"]


def test_p14_linked_files_are_read_and_linked_folders_only_on_demand_and_once(tmp_path):
    touch(tmp_path / "in/a.jpg", tmp_path / "else/b.jpg", tmp_path / "else/sub/c.jpg")
    (tmp_path / "in/d.jpg").symlink_to(tmp_path / "else/b.jpg")
    (tmp_path / "in/dangling.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "else/sub/back").symlink_to(tmp_path / "in")
    (tmp_path / "in/left").symlink_to(tmp_path / "else")
    (tmp_path / "in/right").symlink_to(tmp_path / "else")

    plain = make_plan([tmp_path / "in"], tmp_path / "out")
    followed = make_plan([tmp_path / "in"], tmp_path / "out", follow_links=True)

    assert outputs(plain) == ["a.png", "d.png", "dangling.png"]
    assert plain.passed_over == {"linked folders (--follow-links walks them)": 3}
    assert outputs(followed) == ["a.png", "d.png", "dangling.png", "left/b.png", "left/sub/c.png"]


def test_p13_a_fifo_or_socket_is_an_item_that_fails_later_and_is_not_opened(tmp_path):
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in/x.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "in/s.png"))
        assert outputs(make_plan([tmp_path / "in"], tmp_path / "out")) == ["s.png", "x.png"]


@pytest.mark.parametrize("kind", ["empty", "missing", "only_text", "nul"])
def test_d06_nothing_to_read_is_one_line_and_exit_2(tmp_path, kind):
    given = {"empty": tmp_path / "e", "missing": tmp_path / "m", "only_text": tmp_path / "t", "nul": "a\0b"}[kind]
    (tmp_path / "e").mkdir()
    touch(tmp_path / "t/a.txt")

    with pytest.raises(StandoutError) as caught:
        make_plan([given], tmp_path / "out")

    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_many_pictures_need_a_folder(tmp_path):
    touch(tmp_path / "in/a.jpg", tmp_path / "out.png")

    with pytest.raises(StandoutError, match="output is a file"):
        make_plan([tmp_path / "in"], tmp_path / "out.png")


@pytest.mark.parametrize("length", range(240, 256))
@pytest.mark.parametrize("letter", ["a", "é", "図"])
def test_b11_long_names_are_shortened_and_stay_apart(tmp_path, length, letter):
    width = len(letter.encode())
    stem = letter * ((length - 4) // width)

    for keep_extension in (False, True):
        names = {result_name(stem[:-1] + last + ".jpg", keep_extension) for last in "xyz"}
        assert len(names) == 3
        for name in names:
            assert len(os.fsencode(name)) <= 255
            assert name.endswith(".png")


def test_b11_names_that_are_no_utf8_are_shortened_too():
    name = os.fsdecode(b"\xff" * 251 + b".jpg")

    assert len(os.fsencode(result_name(name, True))) <= 255


def test_the_order_is_that_of_the_names(tmp_path):
    names = [f"{n:02d}.jpg" for n in range(20)]
    touch(*(tmp_path / "in" / name for name in reversed(names)))

    assert [item.source.name for item in make_plan([tmp_path / "in"], tmp_path / "out").items] == names
