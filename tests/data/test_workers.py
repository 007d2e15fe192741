import threading
import time

import pytest

from standout.data.workers import in_order
from standout.errors import StandoutError


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("standout-loader")]


def all_gone(seconds=10):
    end = time.monotonic() + seconds
    while readers() and time.monotonic() < end:
        time.sleep(0.01)
    return not readers()


def run(work, tasks, workers=3, ahead=5, patience=60.0):
    return in_order(work, tasks, workers=workers, ahead=ahead, patience=patience, name=str)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_results_come_in_the_order_of_the_tasks(workers):
    def slow_first(task):
        time.sleep(0.02 if task % 5 == 0 else 0)
        return task * task

    assert list(run(slow_first, range(40), workers)) == [task * task for task in range(40)]
    assert all_gone()


def test_no_more_is_begun_than_was_allowed():
    begun = []
    results = run(lambda task: begun.append(task), range(100), ahead=5)

    next(results)
    time.sleep(0.1)

    assert len(begun) <= 5
    results.close()
    assert all_gone()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_comes_out_where_its_result_would_have(workers):
    def work(task):
        if task == 3:
            raise StandoutError("broken", "three is broken")
        return task

    results = run(work, range(10), workers)

    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StandoutError, match="three is broken"):
        next(results)
    assert all_gone()


def test_t09_a_reader_that_hangs_is_named_and_does_not_hold_the_program():
    release = threading.Event()

    def work(task):
        if task == 2:
            release.wait(30)
        return task

    results = run(work, range(10), workers=1, patience=0.3)

    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(StandoutError, match=r"longer than 0.3 s: 2;") as caught:
        next(results)
    assert caught.value.code == "loader-hangs"
    assert all(thread.daemon for thread in readers())
    release.set()
    assert all_gone()


def test_leaving_early_ends_the_readers():
    results = run(lambda task: task, range(10**6), ahead=50)
    next(results)

    results.close()

    assert all_gone()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_together_nothing_is_begun_while_the_caller_has_what_it_asked_for(workers):
    begun, announced = [], []

    def work(task):
        begun.append(task)
        return task

    results = in_order(
        work, range(11), workers=workers, ahead=8, patience=60.0, name=str, together=4, announce=announced.append
    )

    for first in range(0, 11, 4):
        wanted = range(first, min(first + 4, 11))
        assert [next(results) for _ in wanted] == list(wanted)
        time.sleep(0.05)
        assert sorted(begun) == list(range(wanted.stop))
        # What comes next is told before, by the workers alone.
        assert sorted(announced) == (list(range(4, min(wanted.stop + 4, 11))) if workers else [])
    assert list(results) == []
    assert all_gone()
