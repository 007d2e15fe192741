"""When a checkpoint is written, and what happens where the disk refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

from standout.errors import StandoutError
from standout.train.run import Run

FAILURES_LIMIT = 3
CHECKPOINTS_OF_SPACE = 3


class Savable(Protocol):
    """What a checkpoint can be made of; `standout.train.state.TrainingState` says what each part is."""

    steps_done: int
    best: dict[str, Any] | None

    def finite(self) -> bool: ...  # noqa: D102

    def bytes(self) -> int: ...  # noqa: D102

    def network_tensors(self) -> dict[str, Tensor]: ...  # noqa: D102

    def training_state(self) -> dict[str, Any]: ...  # noqa: D102


class Saver:
    """Writes a run's checkpoints.

    Parameters
    ----------
    settled : goes into each checkpoint beside the training's state: the recipe and the fingerprints.
    steps, minutes : a checkpoint is due after so many of them since the last; 0 is never.
    warn : takes a line where the disk refused and training goes on.
    """

    def __init__(
        self,
        run: Run,
        state: Savable,
        settled: Mapping[str, Any],
        *,
        steps: int,
        minutes: float,
        warn: Callable[[str], object],
    ) -> None:
        self.run, self.state, self.settled, self.warn = run, state, settled, warn
        self.steps, self.minutes = steps, minutes
        self.failures = 0
        self._saved_at_step = state.steps_done
        self._saved_at = time.monotonic()

    def due(self) -> bool:
        """Whether enough steps or minutes have passed."""
        made = self.state.steps_done - self._saved_at_step
        passed = (time.monotonic() - self._saved_at) / 60
        return made > 0 and ((self.steps > 0 and made >= self.steps) or (self.minutes > 0 and passed >= self.minutes))

    def unsaved(self) -> bool:
        """Whether a step was made since the last checkpoint."""
        return self.state.steps_done != self._saved_at_step

    def check_space_at_start(self) -> None:
        """Refuse to begin where the disk has no room for three checkpoints.

        Raises
        ------
        StandoutError : names what is free and what is needed.
        """
        self.run.check_space(CHECKPOINTS_OF_SPACE * self.state.bytes(), f"{CHECKPOINTS_OF_SPACE} checkpoints")

    def save_what_is_new(self) -> None:
        """Commit a checkpoint of the steps since the last one, where there are any; as `save`."""
        if self.unsaved():
            self.save()

    def save(self, *, last: bool = False) -> bool:
        """Commit a checkpoint; where the disk refuses, say so and go on, and the next save tries again.

        Parameters
        ----------
        last : no next save will come.

        Raises
        ------
        StandoutError : the third refusal in a row, or of the last; or the weights are not finite, so that no
            checkpoint may hold them.
        """
        if not self.state.finite():
            raise StandoutError(
                "nonfinite", "weights stopped being numbers", f"step {self.state.steps_done}",
                "lower optimiser.rate or set optimiser.clip; the last good checkpoint stays",
            )  # fmt: skip
        self._saved_at_step, self._saved_at = self.state.steps_done, time.monotonic()
        try:
            self.run.check_space(self.state.bytes(), "a checkpoint")
            self.run.save(
                self.state.steps_done,
                self.state.network_tensors(),
                {**self.settled, "state": self.state.training_state()},
                [name for name in (self.state.best or {}).get("checkpoints", []) if name],
            )
        except StandoutError as error:
            self.failures += 1
            if last or self.failures >= FAILURES_LIMIT:
                raise
            self.warn(f"checkpoint not written, training goes on: {error}")
            return False
        self.failures = 0
        return True
