"""Signals that ask a run to stop: the first lets the step finish and be saved, the second leaves at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class StoppedError(Exception):
    """A signal came in the midst of something that is done again on resume."""


class StopOnSignal:
    """While entered, remembers the first SIGINT, SIGTERM or SIGHUP instead of dying of it.

    One that this process was started to ignore, as `nohup` does, stays ignored.

    Parameters
    ----------
    echo : seconds after the first in which further ones are taken for the same: where a launcher passes on what its
        processes have been sent already.

    Attributes
    ----------
    number : of the signal that came, or None.
    """

    def __init__(self, echo: float = 0.0) -> None:
        self.echo = echo
        self._when = 0.0
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may take signals; elsewhere they are the program's own
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Leave what is being done where a signal has come.

        Raises
        ------
        StoppedError : it has.
        """
        if self.number is not None:
            raise StoppedError

    def _came(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None:
            if time.monotonic() - self._when < self.echo:
                return
            # The last checkpoint is whole at every instant, so there is nothing to tidy.
            os._exit(128 + number)
        self.number, self._when = number, time.monotonic()
