"""Keeps what decoders say about odd files off the terminal; what matters becomes a note or a refusal of ours."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import warnings
from abc import ABC, abstractmethod
from types import TracebackType


class _Shared(ABC):
    """A change to the whole process that threads share: the first one in makes it, the last one out takes it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._undo = contextlib.ExitStack()

    @abstractmethod
    def change(self, undo: contextlib.ExitStack) -> None:
        """Make the change and tell `undo` how to take it back."""

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self.change(self._undo)
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._undo.close()


class _Messages(_Shared):
    """No warnings and log lines of the image library's modules, nor joblib's of work dropped by a stop; others go on.

    Both stand in one change, for the filters of warnings belong to the whole process: who leaves a second change of
    them while a thread is in this one takes its filters away.
    """

    def change(self, undo: contextlib.ExitStack) -> None:
        undo.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.filterwarnings("ignore", category=UserWarning, module=r"joblib\.parallel")
        logger = logging.getLogger("PIL")
        undo.callback(setattr, logger, "propagate", logger.propagate)
        logger.propagate = False
        undo.callback(logger.removeHandler, _DROP)
        # Without any handler the logging module would print errors by itself.
        logger.addHandler(_DROP)


_DROP = logging.NullHandler()


class _ErrorStream(_Shared):
    """No lines of the TIFF decoder, which writes them straight to the process's error stream.

    It has no switch that Python could reach, so the stream itself leads nowhere for the milliseconds of one decode;
    what another thread prints to it just then is lost.
    """

    def change(self, undo: contextlib.ExitStack) -> None:
        try:
            kept = os.dup(2)
        except OSError:
            # There is no error stream that could be disturbed.
            return
        undo.callback(os.close, kept)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        undo.callback(os.dup2, kept, 2)


quiet = _Messages()
hushed = _ErrorStream()
