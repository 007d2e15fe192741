"""Promise B9 on a small folder; `benchmarks/folder_memory.py` measures large ones."""

from folder_memory import measure


def test_b09_memory_does_not_grow_with_the_number_of_files():
    found = measure(400)

    assert (found["exit"], found["made"], found["failed"]) == (0, 400, [])
    assert [row["percent"] for row in found["rows"]][-1] >= 90
    assert found["growth"] <= 0.05
