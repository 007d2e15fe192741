"""The accuracy matrix: both conventions against loops written out, the example by hand, identities, and holes."""

import csv
import io
import json
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oracles.lifelong import further, gem, openloris
from standout.lifelong import CONVENTIONS, AccuracyMatrix, render
from standout.peak import forget_peak_memory, peak_memory

R = [[0.90, 0.30, 0.20], [0.70, 0.85, 0.40], [0.60, 0.75, 0.95]]
UNTRAINED = [0.10, 0.12, 0.08]
# By hand from the nine numbers above, as fractions where they do not end.
BY_HAND = {
    "accuracy_openloris": 4.75 / 6,
    "backward_openloris": 2.05 / 3,
    "forward_openloris": 0.3,
    "overall": 5.65 / 9,
    "accuracy_gem": 2.30 / 3,
    "backward_gem": -0.2,
    "forward_gem": 0.25,
    "forgetting": 0.2,
    "backward_gem_code": -0.4 / 3,
    "forward_gem_code": 0.5 / 3,
    "backward_diaz": -0.2,
    "learning": 0.9,
    "average_incremental": (0.9 + 0.775 + 2.30 / 3) / 3,
}
squares = st.integers(2, 12).flatmap(lambda n: arrays(np.float64, (n, n), elements=st.floats(0, 1)))


def random_matrix(count, seed):
    random = np.random.default_rng(seed)
    return random.random((count, count)), random.random(count)


def test_d12_the_measures_of_the_example_by_hand():
    found = AccuracyMatrix(R, untrained=UNTRAINED).summary()

    assert found == pytest.approx(BY_HAND, rel=1e-9)


def test_the_curves_of_the_example_by_hand():
    matrix = AccuracyMatrix(R)

    assert matrix.forgetting() == pytest.approx([0.3, 0.1])
    assert matrix.average_so_far() == pytest.approx([0.9, 0.775, 2.3 / 3])


@pytest.mark.parametrize("seed", range(5))
def test_ten_tasks_of_random_values_against_both_conventions_written_out(seed):
    values, untrained = random_matrix(10, seed)
    expected = {**openloris(values.tolist()), **gem(values.tolist(), untrained.tolist()), **further(values.tolist())}

    assert AccuracyMatrix(values, untrained=untrained).summary() == pytest.approx(expected, rel=1e-12, abs=1e-14)


@given(squares)
def test_d12_identities_between_the_measures(values):
    n, found = len(values), AccuracyMatrix(values).summary()
    lower, upper = n * (n + 1) / 2, n * (n - 1) / 2

    assert n * n * found["overall"] == pytest.approx(
        lower * found["accuracy_openloris"] + upper * found["forward_openloris"]
    )
    assert lower * found["accuracy_openloris"] == pytest.approx(upper * found["backward_openloris"] + np.trace(values))


def test_d12_one_experience_has_no_backward_and_no_forward():
    found = AccuracyMatrix([[0.5]], untrained=[0.1]).summary()

    assert {key for key, value in found.items() if value is None} == {
        "backward_openloris", "forward_openloris", "backward_gem", "forward_gem", "forgetting", "backward_gem_code",
        "forward_gem_code", "backward_diaz",
    }  # fmt: skip
    assert found["accuracy_openloris"] == found["overall"] == found["accuracy_gem"] == found["learning"] == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_d13_each_measure_reads_only_its_own_cells(seed):
    values, untrained = random_matrix(5, seed)
    before = AccuracyMatrix(values, untrained=untrained).summary()
    random = np.random.default_rng(seed + 100)
    for i in range(5):
        for j in range(5):
            changed = values.copy()
            changed[i, j] = random.random()
            after = AccuracyMatrix(changed, untrained=untrained).summary()
            moved = {key for key in before if after[key] != before[key]}
            backward = {"accuracy_openloris", "backward_openloris", "backward_gem", "accuracy_gem"}
            if i < j:
                assert not moved & backward
                assert ("forward_gem" in moved) == (i == j - 1)
                assert "forward_openloris" in moved
            if i > j:
                assert not moved & {"forward_openloris", "forward_gem"}
                assert "backward_openloris" in moved
            assert ("accuracy_gem" in moved) == (i == 4)


def test_l04_a_hole_is_named_and_never_counts_as_nothing():
    matrix = AccuracyMatrix([[0.9, None], [0.7, 0.8]], untrained=[0.1, 0.1], names=["photo", "sketch"])
    found = matrix.summary()

    assert matrix.holes() == ["sketch after photo"]
    assert found["forward_openloris"] is found["overall"] is found["forward_gem"] is None
    assert found["accuracy_openloris"] == pytest.approx(0.8)
    assert found["accuracy_gem"] == pytest.approx(0.75)


def test_forward_transfer_of_gem_needs_the_untrained_accuracies():
    found = AccuracyMatrix(R).summary()

    assert found["forward_gem"] is found["forward_gem_code"] is None
    assert found["backward_gem"] == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        ([], {}, "square"),
        ([[0.1, 0.2]], {}, "square"),
        ([[1.2]], {}, "from 0 to 1"),
        ([[-0.1]], {}, "from 0 to 1"),
        ([[0.5]], {"untrained": [0.1, 0.2]}, "must hold 1"),
        ([[0.5]], {"names": ["a", "b"]}, "1 experiences and 2 names"),
        ([[{}]], {}, "numbers or None"),
    ],
)
def test_what_is_no_matrix_of_accuracies_is_refused(values, options, words):
    with pytest.raises(ValueError, match=words):
        AccuracyMatrix(values, **options)


def test_the_matrix_cannot_be_changed_behind_its_back():
    values = np.array(R)
    matrix = AccuracyMatrix(values)
    values[0, 0] = 0.0

    assert matrix.values[0, 0] == 0.9
    with pytest.raises(ValueError, match="read-only"):
        matrix.values[0, 0] = 0.0


def rows():
    second = np.array(R) - 0.1
    return {
        "naive": [AccuracyMatrix(R, untrained=UNTRAINED)],
        "sd_kd|é": [AccuracyMatrix(R, untrained=UNTRAINED), AccuracyMatrix(second, untrained=UNTRAINED)],
    }


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_table_holds_one_convention_only(convention):
    other = next(name for name in CONVENTIONS if name != convention)
    for form in ("json", "csv"):
        text = render(rows(), convention, form)
        assert all(key in text for key in CONVENTIONS[convention])
        assert not [key for key in CONVENTIONS[other] if key in text]


def test_json_and_csv_hold_every_digit_and_mean_with_deviation_over_runs():
    document = json.loads(render(rows(), "gem", "json"))
    lines = list(csv.DictReader(io.StringIO(render(rows(), "gem", "csv"))))

    assert document["schema"] == 1
    for entry, line in zip(document["rows"], lines, strict=True):
        for key in CONVENTIONS["gem"]:
            assert float(line[key]) == entry[key]
    assert document["rows"][0]["deviation"]["accuracy_gem"] is None
    assert document["rows"][1]["accuracy_gem"] == pytest.approx(2.3 / 3 - 0.05)
    assert document["rows"][1]["deviation"]["accuracy_gem"] == pytest.approx(0.1 / 2**0.5)
    assert document["rows"][0]["runs"][0]["matrix"] == R


def test_markdown_of_the_example():
    assert render({"naive": rows()["naive"]}, "openloris") == (
        "OpenLORIS convention: means over triangles of the accuracy matrix\n\n"
        "|  | accuracy | BWT | FWT | over-all | runs |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| naive | 0.7917 | 0.6833 | 0.3000 | 0.6278 | 1 |\n"
    )


def test_latex_escapes_labels_and_writes_deviations():
    text = render(rows(), "gem", "latex")

    assert r"sd\_kd|é & 0.7167 $\pm$ 0.0707" in text
    assert text.count(r"\\") == 3


def test_l04_a_table_of_a_matrix_with_holes_says_which():
    matrices = [AccuracyMatrix(R), AccuracyMatrix([[0.9, 0.3, None], [0.7, 0.8, 0.4], [0.6, 0.7, 0.9]])]
    text = render({"naive": matrices}, "openloris")

    assert "| naive | 0.7792 ± 0.0177 | 0.6750 ± 0.0118 | - | - | 2 |" in text
    assert text.endswith("naive: not measured: 3 after 1\n")


@pytest.mark.parametrize("form", ["markdown", "csv", "json", "latex"])
def test_l02_every_table_says_where_classes_not_learnt_yet_were_counted_as_wrong(form):
    unlearnt = [[0, 4, 6], [0, 0, 6], [0, 0, 1]]
    matrices = [AccuracyMatrix(R, unlearnt=unlearnt), AccuracyMatrix(R, unlearnt=unlearnt)]
    text = render({"naive": matrices, "other": [AccuracyMatrix(R)]}, "openloris", form)

    note = "pictures of classes not learnt yet, counted as wrong: 4 of 2 after 1; 6 of 3 after 1, 2; 1 of 3 after 3"
    assert text.count(note) == 1  # once for the label, not for each of its runs
    assert "other: pictures" not in text


@pytest.mark.parametrize(
    ("table", "convention", "form", "words"),
    [
        ({}, "gem", "csv", "at least one row"),
        ({"a": []}, "gem", "csv", "at least one row"),
        ({"a": [AccuracyMatrix(R)]}, "both", "csv", "convention must be"),
        ({"a": [AccuracyMatrix(R)]}, "gem", "xml", "format must be"),
    ],
)
def test_what_makes_no_table_is_refused(table, convention, form, words):
    with pytest.raises(ValueError, match=words):
        render(table, convention, form)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak")
def test_the_peak_memory_is_an_experiences_own():
    side = 64 << 20
    with mmap.mmap(-1, side) as held:  # given back when closed, whatever the allocator keeps
        held[::4096] = b"x" * (side // 4096)
        forget_peak_memory()
        with_it = peak_memory()
    assert peak_memory() == pytest.approx(with_it, abs=2**20)  # Linux adds pages up in batches
    forget_peak_memory()
    assert peak_memory() < with_it - side // 2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="elsewhere the system's own account is taken")
def test_the_peak_memory_is_not_that_of_the_process_which_started_this_one():
    side = 192 << 20
    with mmap.mmap(-1, side) as held:
        held[::4096] = b"x" * (side // 4096)
        words = [sys.executable, "-c", "from standout.peak import peak_memory; print(peak_memory())"]
        told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert 2**20 < int(told) < side // 2
