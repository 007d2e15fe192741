"""Ledgers give back what was appended, whatever a kill or a power cut left at their end."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standout.errors import StandoutError
from standout.files import Ledger


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_ledger_gives_back_what_was_appended(tmp_path):
    ledger = Ledger(tmp_path / "l" / "ledger.jsonl")
    ledger.append({"name": "é\ud800\n", "size": 3})
    ledger.append({"name": "b"})

    assert [entry["name"] for entry in ledger.read()] == ["é\ud800\n", "b"]
    assert all(entry["schema"] == 1 for entry in ledger.read())


@given(cut=st.integers(min_value=0, max_value=60))
def test_a_torn_last_line_is_dropped_and_the_next_entry_stands_alone(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    ledger = Ledger(path)
    for number in range(3):
        ledger.append({"number": number})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - min(cut, len(whole))])
    kept = path.read_bytes().count(b"\n")

    ledger.repair()
    ledger.append({"number": 99})

    assert [entry["number"] for entry in ledger.read()] == [*range(kept), 99]


LOST = st.integers(min_value=0, max_value=5000).map(bytes)


@given(
    cut=st.integers(min_value=0, max_value=60),
    before=LOST,
    text=st.sampled_from([b"", b'r": 7}', b'{"sch']),
    after=LOST,
)
def test_what_a_power_cut_leaves_after_the_last_whole_line_is_dropped(tmp_path_factory, cut, before, text, after):
    """Blocks that were not written yet read as zeros, where a file's length was."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    ledger = Ledger(path)
    for number in range(4):
        ledger.append({"number": number})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut] + before + text + after)
    kept = whole[: len(whole) - cut].count(b"\n")
    told = list(ledger.read())

    ledger.repair()
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:kept])
    ledger.append({"number": 99})

    assert [entry["number"] for entry in told] == [*range(kept)]
    assert [entry["number"] for entry in ledger.read()] == [*range(kept), 99]


@given(place=st.integers(min_value=0, max_value=45), tail=st.sampled_from([b"", b"\x00" * 300, b'{"schema": 1, "nu']))
def test_zeros_in_the_middle_of_a_ledger_are_damage_whatever_its_end_is(tmp_path_factory, place, tail):
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    ledger = Ledger(path)
    for number in range(3):
        ledger.append({"number": number})
    content = bytearray(path.read_bytes())
    content[place : place + 8] = bytes(8)
    path.write_bytes(content + tail)

    with pytest.raises(StandoutError, match=r"ledger line is damaged: .* line [12];"):  # noqa: PT012
        ledger.repair()
        list(ledger.read())


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff a photo", b"name,score\na,1", b'{\n "schema": 1\n}', b'{"rows": []}', b"\x00",
        b"name,score\na,1\n" + bytes(500), b'{"rows": []}\n' + bytes(9), bytes(512),
    ],
)  # fmt: skip
def test_a_file_that_is_no_ledger_is_refused_and_not_one_byte_of_it_is_lost(tmp_path, content):
    (tmp_path / "mine").write_bytes(content)

    with pytest.raises(StandoutError, match="choose another file, or delete that line"):
        Ledger(tmp_path / "mine").repair()

    assert (tmp_path / "mine").read_bytes() == content


def test_a_line_for_which_the_disk_has_half_the_room_leaves_no_half(tmp_path):
    # A limit on the size of files is what a full disk looks like to the writer: part of the bytes, then an error.
    resource = pytest.importorskip("resource")
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append({"number": 1})
    before, limits = ledger.path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 9, limits[1]))
        with pytest.raises(StandoutError, match="no space left"):
            ledger.append({"number": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ledger.path.read_bytes() == before
    ledger.append({"number": 3})
    assert [entry["number"] for entry in ledger.read()] == [1, 3]


def test_a_ledger_that_is_a_folder_is_told_as_every_disk_error(tmp_path):
    with pytest.raises(StandoutError, match="is a directory"):
        Ledger(tmp_path).repair()


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"a": 1}\nnot json\n{"b": 2}\n')

    with pytest.raises(StandoutError, match="line 2"):
        list(Ledger(path).read())


def test_a_ledger_refuses_numbers_that_json_does_not_have(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        Ledger(tmp_path / "l").append({"loss": float("nan")})

    assert names(tmp_path) == []


def test_ledger_lines_are_json(tmp_path):
    Ledger(tmp_path / "l").append({"a": [1, 2]})

    assert json.loads((tmp_path / "l").read_text()) == {"schema": 1, "a": [1, 2]}
