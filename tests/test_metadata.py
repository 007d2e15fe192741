import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standout.errors import StandoutError
from standout.metadata import JSON_BYTES, check_metadata, metadata_text, parse_json, parse_metadata

WHOLE = {
    "format": 1,
    "release": "0.1.0",
    "network": "tiny",
    "options": {"width": 8},
    "input": {"size": 64, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "padding": "plain"},
    "sharpness": 1.5,
    "training": {"data": "DUTS-TR"},
    "licence": "MIT",
    "measures": {"mae": 0.05},
    "source_sha256": "",
}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


def refused(content):
    with pytest.raises(StandoutError) as caught:
        parse_json(content, "some.json")
    assert caught.value.code == "json-refused"
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(JSON)
@settings(max_examples=300)
def test_c08_ordinary_json_is_read_as_written(value):
    assert parse_json(json.dumps(value).encode(), "some.json") == value


@given(st.binary(max_size=60) | st.text('[]{}",:0123456789.eE-truefalsn\\u ', max_size=60).map(str.encode))
@settings(max_examples=1000)
def test_c08_any_bytes_are_read_or_refused(content):
    try:
        value = parse_json(content, "some.json")
    except StandoutError:
        refused(content)
    else:
        assert json.loads(json.dumps(value, allow_nan=False)) == value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"NaN", "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b"[1e999]", "64-bit floats"),
        (b"18446744073709551616", "64 bits"),
        (b"-9223372036854775809", "64 bits"),
        (b"9" * 5000, "64 bits"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "given twice: 'c'"),
        (b"[" * 65 + b"]" * 65, "deeper than 64"),
        (b"[" * 100_000, "deeper than 64"),
        (b'{"a":' * 100_000, "deeper than 64"),
        (b"\xff\xfe", "cannot be read"),
        (b'"' + b"\\", "cannot be read"),
        (b"", "cannot be read"),
        (b"[1] 2", "cannot be read"),
        (b" " * (JSON_BYTES + 1), "over 16 MiB"),
    ],
)
def test_c08_json_that_could_hurt_is_refused(content, words):
    assert words in refused(content)


def test_c08_limits_themselves_are_allowed():
    assert parse_json(b"[18446744073709551615, -9223372036854775808]", "x") == [2**64 - 1, -(2**63)]
    assert parse_json(b"[" * 64 + b"]" * 64, "x") != []
    assert parse_json(json.dumps(["[" * 1000, '\\"[[' * 500]), "x") == ["[" * 1000, '\\"[[' * 500]


def test_c08_a_hostile_string_is_looked_at_once():
    # Quotes that never close: a scan that began again at each of them would take hours.
    assert "cannot be read" in refused(b'"' + b'\\"' * 2_000_000)


def test_metadata_text_is_the_same_for_equal_metadata():
    turned = dict(reversed(list(WHOLE.items())))

    assert metadata_text(WHOLE) == metadata_text(turned)
    assert parse_metadata({"standout": metadata_text(WHOLE)}, "m") == WHOLE


@pytest.mark.parametrize(("value", "words"), [(2, "format 2"), (99, "format 99")])
def test_c03_a_newer_format_is_refused_saying_which_release_reads_it(value, words):
    with pytest.raises(StandoutError) as caught:
        check_metadata({"format": value, "release": "3.4.0"}, "m.safetensors")

    assert caught.value.code == "format-newer"
    assert words in str(caught.value)
    assert "this release reads up to 1" in str(caught.value)
    assert "standout 3.4.0" in str(caught.value)


@pytest.mark.parametrize("value", [None, "1", 1.0, True, 0, -1, [1]])
def test_c03_a_format_is_a_number(value):
    with pytest.raises(StandoutError, match="format number"):
        check_metadata({**WHOLE, "format": value}, "m")


@pytest.mark.parametrize("key", [key for key in WHOLE if key != "format"])
def test_every_key_is_needed_and_has_its_kind(key):
    for broken in ({k: v for k, v in WHOLE.items() if k != key}, {**WHOLE, key: None}, {**WHOLE, key: [1]}):
        with pytest.raises(StandoutError) as caught:
            check_metadata(broken, "m")
        assert caught.value.code == "metadata-damaged"
        assert key in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"sharpness": 0},
        {"sharpness": -1.0},
        {"sharpness": math.inf},
        {"sharpness": True},
        {"source_sha256": "abc"},
        {"source_sha256": "G" * 64},
        {"input": {**WHOLE["input"], "size": 0}},
        {"input": {**WHOLE["input"], "size": 2**40}},
        {"input": {**WHOLE["input"], "size": 64.0}},
        {"input": {**WHOLE["input"], "mean": [0.5, 0.5]}},
        {"input": {**WHOLE["input"], "mean": [0.5, 0.5, "0.5"]}},
        {"input": {**WHOLE["input"], "std": [0.5, 0, 0.5]}},
        {"input": {**WHOLE["input"], "padding": ["same"]}},
    ],
)
def test_values_out_of_range_are_refused(change):
    with pytest.raises(StandoutError) as caught:
        check_metadata({**WHOLE, **change}, "m")

    assert caught.value.code == "metadata-damaged"


def test_a_file_without_our_metadata_is_no_model():
    with pytest.raises(StandoutError, match="no standout metadata") as caught:
        parse_metadata({"format": "pt"}, "backbone.safetensors")

    assert caught.value.code == "not-a-model"


def test_metadata_that_is_no_object_is_refused():
    with pytest.raises(StandoutError, match="no object"):
        parse_metadata({"standout": "[1]"}, "m")
