"""Keeps what is not a number out of the weights: such a step is left out, and too many in a row stop the run."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from standout.errors import StandoutError
from standout.files import atomic_write
from standout.train.optimise import BufferGuard
from standout.train.processes import Processes

REPORT = "nonfinite.json"
REMEMBERED = 100


class Guarded(Protocol):
    """What is guarded, with its counters, as `standout.train.state.TrainingState` has them."""

    steps_done: int
    skipped: int
    skipped_in_a_row: int

    @property
    def step(self) -> Any: ...  # noqa: D102


class NonFiniteGuard:
    """Decides after each backward pass whether the step may touch the weights.

    Parameters
    ----------
    state : whose network, strategies and counters are guarded.
    folder : of the run; the report of what was left out is written there.
    limit : steps in a row without a finite loss and gradient before the run stops.
    processes : that make each step together, of the same loss and gradient norm, so that all decide alike; the first
        writes the report. None where one process trains.
    """

    def __init__(self, state: Guarded, folder: Path, limit: int, processes: Processes | None = None) -> None:
        self.state, self.folder, self.limit, self.processes = state, folder, limit, processes
        self._buffers = BufferGuard(state.step)
        self._left_out: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    def before(self) -> None:
        """Remember what a forward pass changes: running statistics and memories."""
        self._buffers.keep()

    def passes(self, total: float, norm: float) -> bool:
        """Whether loss and gradient norm are finite numbers."""
        return math.isfinite(total) and math.isfinite(norm)

    def leave_out(self, terms: Mapping[str, float], norm: float, files: Sequence[str]) -> None:
        """Undo what the forward pass changed and count the step as skipped.

        Raises
        ------
        StandoutError : `limit` steps in a row were skipped; names the step and the files of its batch, those of all
            processes; or a process is lost.
        """
        state = self.state
        if self.processes is not None:
            files = self.processes.joined(files)
        self._buffers.restore()
        state.step.skip()
        state.skipped += 1
        state.skipped_in_a_row += 1
        numbers = {**terms, "gradient norm": norm}
        self._left_out.append(
            {
                "step": state.steps_done + 1,
                "not finite": sorted(name for name, value in numbers.items() if not math.isfinite(value)),
                "files": list(files),
            }
        )
        if state.skipped_in_a_row >= self.limit:
            raise self._stopped(state.steps_done + 1, files)

    def check_end(self, steps: int) -> None:
        """Refuse to end where the last steps were left out: such weights are no result. One bad batch may be last.

        Parameters
        ----------
        steps : all that were to be made.

        Raises
        ------
        StandoutError : as `leave_out`.
        """
        if self.state.skipped_in_a_row >= min(2, steps):
            raise self._stopped(self.state.steps_done, self._left_out[-1]["files"] if self._left_out else [])

    def _stopped(self, step: int, files: Sequence[str]) -> StandoutError:
        report = self.folder / REPORT
        if self.processes is None or self.processes.first:
            atomic_write(report, json.dumps({"schema": 1, "steps": list(self._left_out)}, indent=1).encode() + b"\n")
        count = self.state.skipped_in_a_row
        steps = f"{count} steps in a row up to step {step}" if count > 1 else f"step {step}"
        return StandoutError(
            "nonfinite",
            f"loss stopped being a number: {steps}",
            f"last batch {', '.join(files[:3])}{', …' if len(files) > 3 else ''}; all files are listed in {report}"
            if files else report,
            "lower optimiser.rate or check those files; the last good checkpoint stays",
        )  # fmt: skip
