"""Streams on generated trees: the split by hash, the field's layouts, what is refused."""

import shutil

import pytest
from stream_trees import domains, fill

from standout.errors import StandoutError
from standout.lifelong.layouts import FACTORS, core50_stream, kind_of, open_stream, openloris_stream
from standout.lifelong.streams import class_stream, contents_of, domain_stream, natural, refuse_leaks


def names(examples):
    return [f"{example.label}/{example.path.stem}" for example in examples]


def touch(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or str(path).encode())


@pytest.fixture
def tree(tmp_path):
    """Ten empty files a class: which pictures are where does not depend on their content."""
    for experience in ("part_10", "part_2", "part_1"):
        for label in ("cup", "shoe"):
            for number in range(10):
                touch(tmp_path / "tree" / experience / label / f"{number}.jpg")
    return tmp_path / "tree"


def test_any_folders_are_a_stream_in_natural_order(tree):
    stream = domain_stream(tree)

    assert [experience.name for experience in stream.experiences] == ["part_1", "part_2", "part_10"]
    for experience in stream.experiences:
        assert len(experience.training) == 16
        assert len(experience.test) == 4
        assert sorted({e.label for e in experience.test}) == experience.classes() == ["cup", "shoe"]
        assert not set(experience.training) & set(experience.test)
    assert stream.notes == ()


def test_the_split_depends_on_names_alone(tree, tmp_path):
    moved = tmp_path / "elsewhere" / "other"
    shutil.copytree(tree, moved)
    first, second = domain_stream(tree), domain_stream(moved)

    for a, b in zip(first.experiences, second.experiences, strict=True):
        assert names(a.test) == names(b.test)
    assert len({tuple(names(e.test)) for e in first.experiences}) == 3  # not the same numbers everywhere


@pytest.mark.parametrize(("count", "share", "tested"), [(2, 0.2, 1), (10, 0.2, 2), (3, 0.9, 2), (10, 0.0, 0)])
def test_each_class_is_learnt_and_tested(tmp_path, count, share, tested):
    for number in range(count):
        touch(tmp_path / "one" / "cup" / f"{number}.jpg")
        touch(tmp_path / "one" / "shoe" / f"{number}.jpg")
    (experience,) = domain_stream(tmp_path, test_share=share).experiences

    assert len(experience.test) == 2 * tested
    assert len(experience.training) == 2 * (count - tested)


def test_a_class_with_one_sample_is_learnt_and_said(tree):
    touch(tree / "part_1" / "spoon" / "only.png")
    stream = domain_stream(tree)

    assert "spoon/only" in names(stream.experiences[0].training)
    assert "spoon/only" not in names(stream.experiences[0].test)
    assert stream.notes == ("part_1/spoon has one picture, which is learnt from and not tested on",)


def test_a_split_that_is_there_is_kept(tmp_path):
    for part, count in (("train", 3), ("test", 2)):
        for number in range(count):
            touch(tmp_path / "one" / part / "cup" / f"{part}{number}.jpg")
    (experience,) = domain_stream(tmp_path).experiences

    assert names(experience.training) == ["cup/train0", "cup/train1", "cup/train2"]
    assert names(experience.test) == ["cup/test0", "cup/test1"]


def test_what_systems_leave_behind_is_no_class_and_no_picture(tree):
    before = domain_stream(tree)
    for place in ("__MACOSX/cup/1.jpg", "part_1/.hidden/1.jpg", "part_1/cup/Thumbs.db", "part_1/cup/notes.txt"):
        touch(tree / place)
    (tree / "readme.txt").write_text("words")

    assert domain_stream(tree) == before


def test_l01_an_empty_experience_is_refused_by_name(tree):
    (tree / "part_3" / "cup").mkdir(parents=True)
    with pytest.raises(StandoutError, match="experience is empty: part_3") as caught:
        domain_stream(tree)
    assert caught.value.exit_code == 2
    touch(tree / "part_3" / "cup" / "1.jpg")
    with pytest.raises(StandoutError, match="one picture to learn from: part_3"):
        domain_stream(tree)


def test_l01_no_experience_at_all_is_refused(tmp_path):
    with pytest.raises(StandoutError, match="holds no experience"):
        domain_stream(tmp_path)
    with pytest.raises(StandoutError, match="no such folder"):
        domain_stream(tmp_path / "nowhere")


def test_classes_arrive_one_group_after_the_other(tmp_path):
    for domain in ("photo", "sketch"):
        for label in ("ant", "bee", "cat", "dog", "eel"):
            for number in range(5):
                touch(tmp_path / domain / label / f"{number}.jpg")
    stream = class_stream(tmp_path, 2)

    assert [e.name for e in stream.experiences] == ["ant to cat", "dog to eel"]
    assert stream.experiences[0].classes() == ["ant", "bee", "cat"]
    assert len(stream.experiences[1].training) == 2 * 2 * 4
    assert len(stream.experiences[1].test) == 2 * 2 * 1
    single = class_stream(tmp_path, 5)
    assert [e.name for e in single.experiences] == ["ant", "bee", "cat", "dog", "eel"]
    for wrong in (0, 6):
        with pytest.raises(StandoutError, match="5 classes do not make"):
            class_stream(tmp_path, wrong)


def openloris(root, parts=("train", "test")):
    for part in parts:
        for factor in FACTORS:
            for segment in range(1, 10):
                for label in ("bottle_01", "cup_02"):
                    for number in range(2):
                        touch(root / part / factor / f"segment{segment}" / label / f"{number}.jpg")
    return root


def test_openloris_sequence_of_twelve(tmp_path):
    root = openloris(tmp_path / "OpenLORIS-Object")
    stream = open_stream(root)

    assert kind_of(root) == "openloris"
    assert [e.name for e in stream.experiences] == [f"{f} {level}" for f in FACTORS for level in (1, 2, 3)]
    for experience in stream.experiences:
        assert len(experience.training) == len(experience.test) == 3 * 2 * 2
        assert all("train" in e.path.parts for e in experience.training)
        assert all("test" in e.path.parts for e in experience.test)
    second = {e.path.parts[-3] for e in stream.experiences[1].training}
    assert second == {"segment4", "segment5", "segment6"}


def test_openloris_single_factor_of_nine(tmp_path):
    stream = open_stream(openloris(tmp_path), "openloris-clutter")

    assert [e.name for e in stream.experiences] == [f"clutter {number}" for number in range(1, 10)]
    assert {e.path.parts[-4] for x in stream.experiences for e in x.training} == {"clutter"}


def test_openloris_without_a_test_part_is_split_and_said(tmp_path):
    stream = openloris_stream(openloris(tmp_path, parts=("train",)))

    assert all(len(e.training) == len(e.test) == 6 for e in stream.experiences)
    assert "neighbouring frames" in stream.notes[0]


@pytest.mark.parametrize(
    ("parts", "tested", "notes"),
    [
        (("train", "validation"), "validation", ("folder validation is tested on",)),
        (("train", "val"), "val", ("folder val is tested on",)),
        (("train", "test", "validation"), "test", ("folder test is tested on, validation left out",)),
    ],
)
def test_openloris_is_tested_on_its_validation_part_where_there_is_no_test(parts, tested, notes, tmp_path):
    stream = openloris_stream(openloris(tmp_path, parts=parts))

    assert stream.notes == notes
    for experience in stream.experiences:
        assert len(experience.training) == len(experience.test) == 3 * 2 * 2
        assert all("train" in e.path.parts for e in experience.training)
        assert all(tested in e.path.parts for e in experience.test)


def test_openloris_names_the_segment_that_is_missing(tmp_path):
    root = openloris(tmp_path)
    shutil.rmtree(root / "test" / "pixel" / "segment7")
    with pytest.raises(StandoutError, match="pixel/segment7"):
        openloris_stream(root)
    with pytest.raises(StandoutError, match="did you mean clutter"):
        openloris_stream(root, factor="cluter")


def core50(root):
    for session in range(1, 12):
        for thing in (1, 2, 6):
            for number in range(5):
                touch(root / f"s{session}" / f"o{thing}" / f"C_{session:02}_{thing:02}_{number:03}.png")
    return root


def test_core50_sessions(tmp_path):
    root = core50(tmp_path)
    stream = open_stream(root)

    assert kind_of(root) == "core50"
    assert [e.name for e in stream.experiences] == ["s1", "s2", "s4", "s5", "s6", "s8", "s9", "s11"]
    assert stream.experiences[0].classes() == ["o1", "o2", "o6"]
    assert {e.path.parts[-3] for e in stream.held_out} == {"s3", "s7", "s10"}
    assert len(stream.held_out) == 45
    assert open_stream(root, "core50-categories").experiences[0].classes() == ["category 1", "category 2"]


def test_core50_refuses_other_folders(tmp_path):
    root = core50(tmp_path)
    touch(root / "s1" / "other" / "1.png")
    with pytest.raises(StandoutError, match="o1 to o50"):
        core50_stream(root)
    assert kind_of(root) == "domains"


def test_l06_another_order_is_asked_for_by_name(tree):
    stream = domain_stream(tree)

    assert [e.name for e in stream.reordered(["part_10", "part_1"]).experiences] == ["part_10", "part_1"]
    for wrong in (["part_3"], ["part_1", "part_1"], []):
        with pytest.raises(StandoutError, match="order names"):
            stream.reordered(wrong)


def test_the_fingerprint_knows_content_class_and_order_but_not_the_place(tree, tmp_path):
    first = contents_of(domain_stream(tree)).fingerprint
    shutil.move(tree, tmp_path / "moved")
    moved = domain_stream(tmp_path / "moved")

    assert contents_of(moved).fingerprint == first
    assert contents_of(moved.reordered(["part_2", "part_1", "part_10"])).fingerprint != first
    touch(tmp_path / "moved" / "part_1" / "cup" / "3.jpg", b"other")
    assert contents_of(domain_stream(tmp_path / "moved")).fingerprint != first


def test_d07_a_picture_that_is_tested_and_learnt_is_refused(tmp_path):
    domains(tmp_path, names=("home", "office"), count=5)
    stream = domain_stream(tmp_path)
    refuse_leaks(stream, contents_of(stream).digests)
    tested = stream.experiences[0].test[0].path
    shutil.copy(tested, stream.experiences[1].training[0].path)
    with pytest.raises(StandoutError, match="1 pictures are tested on and learnt from") as caught:
        refuse_leaks(stream, contents_of(stream).digests)
    assert str(tested) in str(caught.value)


def test_unknown_kinds_and_shares_are_refused(tree):
    with pytest.raises(StandoutError, match="did you mean openloris"):
        open_stream(tree, "openlori")
    with pytest.raises(ValueError, match="test_share"):
        open_stream(tree, test_share=1)
    with pytest.raises(StandoutError, match="needs a number of experiences"):
        open_stream(tree, "classes")
    with pytest.raises(StandoutError, match="kind domains has its own number of experiences: experiences=2"):
        open_stream(tree, experiences=2)
    assert len(open_stream(tree, "classes", experiences=2).experiences) == 2
    with pytest.raises(StandoutError, match="has no train"):
        open_stream(tree, "openloris")
    with pytest.raises(StandoutError, match="has no s1"):
        open_stream(tree, "core50")


def test_names_sort_naturally():
    assert sorted(["b10", "b9", "a", "b", "10", "9"], key=natural) == ["a", "b", "b9", "b10", "9", "10"]


def test_a_class_may_have_folders_of_its_own(tmp_path):
    for place in ("morning", "evening"):
        fill(tmp_path / "one" / "cup" / place, (200, 40, 40), 3)
    (experience,) = domain_stream(tmp_path).experiences

    assert {e.label for e in experience.training} == {"cup"}
    assert len(experience.training) + len(experience.test) == 6
