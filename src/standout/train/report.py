"""What a run tells of itself while it learns: lines on the screen, the log, the curves, the manifest's account."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from standout.data.batches import Batches
from standout.errors import StandoutError
from standout.files import atomic_write
from standout.shapes import Progress
from standout.train.plot import plot_curves
from standout.train.recipe import Recipe
from standout.train.run import CURVES, Run
from standout.train.show import Shown
from standout.train.state import TrainingState

SECONDS_BETWEEN_CURVES = 60.0
SHOWN_MEASURES = ("mae", "f_max", "s")


class Made(NamedTuple):
    """One step's numbers: every term by name, their sum, the gradient's norm before clipping, the rate."""

    terms: dict[str, float]
    total: float
    norm: float
    rate: float


class Report:
    """Tells of one session of a run.

    Parameters
    ----------
    run, recipe, state, batches : what is told of.
    shown : where progress goes.
    warn : takes a line where the disk refuses the log or the curves: training goes on without them.
    """

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        state: TrainingState,
        batches: Batches,
        shown: Shown,
        warn: Callable[[str], object],
    ) -> None:
        self.run, self.recipe, self.state, self.batches = run, recipe, state, batches
        self.shown, self.warn = shown, warn
        self._drawn = -math.inf

    def step(self, progress: Progress, made: Made, began: float) -> float:
        """Show and log a step; return the moment to which its time is accounted."""
        now = time.monotonic()
        self.state.training_seconds += now - began
        speed = self.recipe.training.batch / (now - began)
        done = progress.step + 1
        self.shown.step(
            done, progress.steps, f"epoch {progress.epoch + 1}/{progress.epochs}", made.terms, made.rate, speed
        )
        if done % self.recipe.training.log_steps == 0 or _finite(made.total) is None or _finite(made.norm) is None:
            self._log(
                "step",
                step=done,
                epoch=progress.epoch + 1,
                total=_finite(made.total),
                terms={name: _finite(value) for name, value in made.terms.items()},
                norm=_finite(made.norm),
                rate=made.rate,
                skipped=self.state.skipped,
                pictures_per_second=round(speed, 2),
            )
        return now

    def epoch(self, epochs: int, scores: Mapping[str, float], told: Mapping[str, float], seconds: float) -> None:
        """Show and log an epoch's measures, and what the strategies tell of themselves."""
        state, measure = self.state, self.recipe.validation.score
        if scores or told:
            values = {**scores, **({"strategies": told} if told else {})}
            self._log("epoch", step=state.steps_done, epoch=state.epochs_done, seconds=round(seconds, 2), **values)
        if scores:
            words = "  ".join(f"{name} {scores[name]:.4f}" for name in dict.fromkeys((*SHOWN_MEASURES, measure)))
            self.shown.line(f"epoch {state.epochs_done}/{epochs}  held out: {words}")

    def draw(self, *, now: bool = True) -> None:
        """Draw the curves; with `now` false only where the last drawing is long enough ago."""
        if not self.run.writes or (not now and time.monotonic() - self._drawn <= SECONDS_BETWEEN_CURVES):
            return
        self._drawn = time.monotonic()
        names = [self.recipe.network.name, *(entry["name"] for entry in self.recipe.strategies)]
        try:
            picture = plot_curves(self.run.metrics.read(), title=" + ".join(names), score=self.recipe.validation.score)
            atomic_write(self.run.folder / CURVES, picture)
        except StandoutError as error:
            self.warn(f"curves not drawn, training goes on: {error}")

    def _log(self, kind: str, **values: Any) -> None:
        try:
            self.run.log(kind, **values)
            self._refused = False
        except StandoutError as error:
            if not self._refused:  # a full disk refuses each of thousands
                self.warn(f"metrics not written, training goes on: {error}")
            self._refused = True

    _refused = False
    """Whether the disk took no line of the log when the last one was tried."""

    def account(self) -> dict[str, Any]:
        """Return what the manifest says of the work done so far."""
        state = self.state
        # From the log and not from the strategies: a run that is resumed when it is done has made no step.
        lines = self.run.metrics.read() if self.run.metrics.path.exists() else []
        told = [line["strategies"] for line in lines if line["kind"] == "epoch" and "strategies" in line]
        seconds = {"training": round(state.training_seconds, 1), "validation": round(state.validation_seconds, 1)}
        pictures = state.steps_done * self.recipe.training.batch
        return {
            "steps": state.steps_done,
            "skipped_steps": state.skipped,
            "best": state.best,
            "seconds": seconds,
            "pictures_per_second": round(pictures / state.training_seconds, 2) if state.training_seconds else None,
            "strategies": told[-1] if told else {},
            "unreadable": self.batches.failures,
            "masks_of_another_size": len(self.batches.refitted),
        }


def _finite(value: float) -> float | None:
    # JSON has no word for what is not a number.
    return value if math.isfinite(value) else None
