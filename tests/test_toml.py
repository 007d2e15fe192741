import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from standout.toml import format_toml

some_scalars = (
    some.booleans()
    | some.integers(-(2**62), 2**62)
    | some.floats(allow_nan=False)
    | some.text(some.characters(exclude_categories=["Cs"]), max_size=12)
)
some_keys = some.text(some.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
some_tables = some.recursive(
    some.dictionaries(some_keys, some_scalars | some.lists(some_scalars, max_size=3), max_size=4),
    lambda inner: some.dictionaries(some_keys, inner | some.lists(inner, min_size=1, max_size=3), max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(some_tables)
def test_what_is_written_as_toml_reads_back_the_same(tables):
    assert tomllib.loads(format_toml(tables)) == tables


def test_toml_refuses_what_it_cannot_hold():
    with pytest.raises(TypeError, match="None"):
        format_toml({"a": {"b": None}})
