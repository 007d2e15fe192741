"""Work done ahead by threads and given back in order.

Threads and not processes: decoding and filtering leave Python's lock, nothing has to be copied between processes,
and no orphan can outlive a run.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
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
) -> Generator[Result, None, None]:
    """Yield `work(task)` for each task in the tasks' order.

    Parameters
    ----------
    workers : threads; 0 does the work in the caller's own thread.
    ahead : most tasks that are begun before their result is asked for.
    patience : seconds to wait for one result.
    name : what a task is about, for the message when it takes longer.

    Raises
    ------
    StandoutError : "loader-hangs", a task took longer than `patience`.
    """
    if workers == 0:
        yield from map(work, tasks)
        return
    waiting: queue.SimpleQueue[tuple[Task, Future[Result]] | None] = queue.SimpleQueue()
    stopped = threading.Event()

    def serve() -> None:
        while (job := waiting.get()) is not None:
            task, future = job
            if stopped.is_set():
                continue
            try:
                future.set_result(work(task))
            except BaseException as error:  # it is raised again where the result is asked for
                future.set_exception(error)

    # A daemon that hangs in a read cannot keep the program from ending.
    for number in range(workers):
        threading.Thread(target=serve, name=f"standout-loader-{number}", daemon=True).start()
    begun: deque[tuple[Task, Future[Result]]] = deque()
    remaining = iter(tasks)
    try:
        while True:
            for task in itertools.islice(remaining, max(1, ahead) - len(begun)):
                begun.append((task, Future()))
                waiting.put(begun[-1])
            if not begun:
                return
            task, future = begun.popleft()
            try:
                future.exception(patience)
            except NotReady:
                raise StandoutError(
                    "loader-hangs",
                    f"reading a picture took longer than {patience:g} s",
                    name(task),
                    "check the disk or network it lies on, then resume the run",
                ) from None
            yield future.result()
    finally:
        stopped.set()
        for _ in range(workers):
            waiting.put(None)
