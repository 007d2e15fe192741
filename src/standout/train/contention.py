"""Computing threads that wait for processors which other work has: noticed by what processor time they get."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SETTLING = 3
"""First steps that are not counted: they also choose kernels and take memory."""
STEPS = 20
LEAST_SHARE = 0.7
"""Threads wait for each other busily: those that have their processors to themselves use nearly all of them."""


class Contention:
    """Says once, early in a run, that the threads do not get the processors that they need.

    Parameters
    ----------
    threads : that compute; one never waits for another.
    warn : takes the line.
    clock, used : seconds that pass, and of processor time that this process takes.
    """

    def __init__(
        self,
        threads: int,
        warn: Callable[[str], object],
        *,
        clock: Callable[[], float] = time.perf_counter,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self.threads, self.warn, self.clock, self.used = threads, warn, clock, used
        # Passive threads sleep while they wait, and cost little beside other work.
        passive = os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE"
        self._left = 0 if threads < 2 or passive else SETTLING + STEPS
        self._passed = self._taken = 0.0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Count what is computed in the block."""
        if not self._left:
            yield
            return
        began, before = self.clock(), self.used()
        yield
        self._left -= 1
        if self._left < STEPS:
            self._passed += self.clock() - began
            self._taken += self.used() - before
        if not self._left and self._taken < LEAST_SHARE * self.threads * self._passed:
            got = self._taken / max(self._passed, 1e-9)
            self.warn(
                f"other work takes the processors: {self.threads} threads got {got:.1f} of them, and wait for each "
                "other; --threads 1 or OMP_WAIT_POLICY=PASSIVE is faster then"
            )
