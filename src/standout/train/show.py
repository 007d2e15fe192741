"""What a person sees of a running training: live lines on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SECONDS_BETWEEN_LINES = 30.0


class Shown(Protocol):
    """Where a training loop reports to."""

    def step(self, done: int, of: int, place: str, terms: Mapping[str, float], rate: float, speed: float) -> None:
        """Tell a finished step: steps done and in all, the place in words, every term by name, pictures a second."""

    def line(self, text: str) -> None:
        """Tell something that stays on the screen."""


class Silent:
    """Shows nothing."""

    def step(self, done: int, of: int, place: str, terms: Mapping[str, float], rate: float, speed: float) -> None:
        """Do nothing."""

    def line(self, text: str) -> None:
        """Do nothing."""


class Lines:
    """One plain line every half minute, and at once what stays."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._started: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def step(self, done: int, of: int, place: str, terms: Mapping[str, float], rate: float, speed: float) -> None:
        """Print a line where the last one is long enough ago."""
        now = time.monotonic()
        if self._started is None:
            self._started = (now, done)
        if now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        since, first = self._started
        left = f"{_duration((now - since) / (done - first) * (of - done))} left" if done > first else "…"
        self.line(f"step {done}/{of}  {place}  {_terms(terms)}  rate {rate:.2g}  {speed:.1f} pictures/s  {left}")

    def line(self, text: str) -> None:
        """Print a line."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class Live:
    """A progress line that is drawn anew, with the time that is left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress: Progress = Progress(
            TextColumn("[bold]{task.fields[place]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[terms]}"),
            TextColumn("[dim]{task.fields[speed]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, done: int, of: int, place: str, terms: Mapping[str, float], rate: float, speed: float) -> None:
        """Move the bar."""
        fields: dict[str, Any] = {
            "place": place,
            "terms": _terms(terms),
            "speed": f"rate {rate:.2g}  {speed:.1f} pictures/s",
        }
        if self._task is None:
            # What an earlier session did must not count into the time that is left.
            self._task = self._progress.add_task("", total=of, completed=done, **fields)
        self._progress.update(self._task, completed=done, **fields)

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


def chosen_display() -> Live | Lines:
    """Return the live display on a terminal that can move its cursor, plain lines elsewhere."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return Live()
    return Lines()


def _terms(terms: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in terms.items())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
