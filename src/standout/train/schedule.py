"""Learning-rate schedules: pure functions of how far a run has come, so a resumed run has no state to restore."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from standout.names import unknown
from standout.shapes import Progress


def constant(done: float, power: float = 1.0) -> float:  # noqa: ARG001 - one signature for all
    """Return 1."""
    return 1.0


def triangular(done: float, power: float = 1.0) -> float:  # noqa: ARG001
    """Rise to 1 in the middle and fall again: `1 - |2 done - 1|`, the schedule of F3Net's released code."""
    return 1.0 - abs(2.0 * done - 1.0)


def linear(done: float, power: float = 1.0) -> float:  # noqa: ARG001
    """Fall evenly from 1 to 0."""
    return 1.0 - done


def cosine(done: float, power: float = 1.0) -> float:  # noqa: ARG001
    """Fall from 1 to 0 along half a cosine."""
    return 0.5 * (1.0 + math.cos(math.pi * done))


def poly(done: float, power: float = 0.9) -> float:
    """Fall from 1 to 0 as `(1 - done) ** power`."""
    return float((1.0 - done) ** power)


SHAPES: dict[str, Callable[[float, float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "poly": poly,
    "triangular": triangular,
}


def rate_factor(
    progress: Progress,
    name: str,
    *,
    warmup: float = 0.0,
    power: float = 0.9,
    floor: float = 0.0,
    per: Literal["step", "epoch"] = "step",
) -> float:
    """Return the factor in [floor, 1] on the base rate for the step that `progress` is about to make.

    Parameters
    ----------
    name : a key of `SHAPES`.
    warmup : share of the run, 0..1, over which the factor first rises evenly from 0; the shape fills the rest.
    power : of `poly`.
    floor : the factor never falls below it after the warm-up.
    per : "epoch" holds the factor during an epoch, as F3Net's released code does.

    The count starts at 1 and ends before 1 + its length, so neither the first nor the last step has rate 0.

    Raises
    ------
    StandoutError : exit code 2, an unknown shape.
    """
    if name not in SHAPES:
        raise unknown("schedule", name, SHAPES)
    at, length = (progress.step, progress.steps) if per == "step" else (progress.epoch, progress.epochs)
    done = (at + 1) / (length + 1)
    if done < warmup:
        return done / warmup
    rest = (done - warmup) / (1.0 - warmup) if warmup < 1.0 else 0.0
    return max(floor, SHAPES[name](rest, power))
