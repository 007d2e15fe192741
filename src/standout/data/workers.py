"""Work done ahead by threads and given back in order.

Threads and not processes: decoding and filtering leave Python's lock, nothing has to be copied between processes,
and no orphan can outlive a run.
"""

from __future__ import annotations

import functools
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotReady
from typing import TypeVar

from standout.errors import StandoutError

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    ahead: int,
    patience: float,
    name: Callable[[Task], object],
    together: int = 0,
    announce: Callable[[Task], object] = lambda _task: None,
    between: Callable[[], object] = lambda: None,
) -> Generator[Result, None, None]:
    """Yield `work(task)` for each task in the tasks' order.

    Parameters
    ----------
    workers : threads; 0 does the work in the caller's own thread.
    ahead : most tasks that are begun before their result is asked for.
    patience : seconds to wait for one result.
    name : what a task is about, for the message when it takes longer.
    together : begin so many at once, and no other before the results of all of them have been taken: while the caller
        works on these, no worker works. 0 begins `ahead` of them, always.
    announce : with `together`, called by the workers for each task, one such number before it is begun, so that a disk
        can fetch what it needs meanwhile; it raises nothing.
    between : called every second in which a result is waited for; what it raises ends the waiting.

    Raises
    ------
    StandoutError : "loader-hangs", a task took longer than `patience`.
    """
    if workers == 0:
        yield from map(work, tasks)
        return
    waiting: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
    stopped = threading.Event()

    def serve() -> None:
        while (job := waiting.get()) is not None:
            if not stopped.is_set():
                job()

    def fulfil(task: Task, future: Future[Result]) -> None:
        try:
            future.set_result(work(task))
        except BaseException as error:  # it is raised again where the result is asked for
            future.set_exception(error)

    # A daemon that hangs in a read cannot keep the program from ending.
    for number in range(workers):
        threading.Thread(target=serve, name=f"standout-loader-{number}", daemon=True).start()
    begun: deque[tuple[Task, Future[Result]]] = deque()
    remaining: Iterator[Task] = iter(tasks)
    coming: Iterator[Task] = iter(())
    if together:
        remaining, other = itertools.tee(remaining)
        coming = itertools.islice(other, together, None)
    try:
        while True:
            room = max(1, ahead) - len(begun) if not together else together * (not begun)
            for task in itertools.islice(remaining, room):
                begun.append((task, Future()))
                waiting.put(functools.partial(fulfil, *begun[-1]))
            for task in itertools.islice(coming, room):
                waiting.put(functools.partial(announce, task))
            if not begun:
                return
            task, future = begun.popleft()
            if not _is_ready(future, patience, between):
                raise StandoutError(
                    "loader-hangs",
                    f"reading a picture took longer than {patience:g} s",
                    name(task),
                    "check the disk or network it lies on, then resume the run",
                )
            yield future.result()
    finally:
        stopped.set()
        for _ in range(workers):
            waiting.put(None)


def _is_ready(future: Future[Result], patience: float, between: Callable[[], object]) -> bool:
    """Wait up to `patience` seconds, looking up every second."""
    end = time.monotonic() + patience
    while True:
        try:
            future.exception(max(0.0, min(1.0, end - time.monotonic())))
        except NotReady:
            between()
            if time.monotonic() >= end:
                return False
        else:
            return True
