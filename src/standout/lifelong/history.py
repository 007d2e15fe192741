"""Going on with a learner: what is past is history, what is being learnt must be as it was, the rest is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from standout import checkpoint as checkpoints
from standout.errors import StandoutError


class Past(NamedTuple):
    """Where a learner is in its stream, by a checkpoint; all is empty where nothing is stored.

    own : names of the stream's own experiences.
    more : names of the experiences that were added and are learnt or begun; others may be left out again.
    learnt : how many experiences are past.
    begun : whether the next one is being learnt.
    prints : "experience N" -> fingerprint, of `own` and `more`.
    """

    own: Sequence[str] = ()
    more: Sequence[str] = ()
    learnt: int = 0
    begun: bool = False
    prints: Mapping[str, str] = {}

    @property
    def names(self) -> list[str]:
        """Of `own` and `more`."""
        return [*self.own, *self.more]


def past_of(stored: Mapping[str, Any]) -> Past:
    """Return what the `training` of a checkpoint says of the past."""
    names = stored["experiences"]
    counters = stored["state"]["counters"]
    own = len(names) - len(stored["recipe"]["stream"]["more"])
    met = max(own, counters["experience"] + counters["begun"])
    prints = {f"experience {n + 1}": stored["fingerprints"].get(f"experience {n + 1}", "") for n in range(met)}
    return Past(names[:own], names[own:met], counters["experience"], counters["begun"], prints)


def past_in(run: Path) -> Past:
    """Return the past of a run's newest whole checkpoint, without touching the run."""
    for path in reversed(checkpoints.listed(run / "checkpoints")):
        try:
            return past_of(checkpoints.load(path).training)
        except StandoutError as error:
            if error.code != "checkpoint-damaged":
                raise
    return Past()


def folders_to_meet(stored: Sequence[str], asked: Sequence[str], past: Past, *, finished: bool) -> list[str]:
    """Return the folders that are added to a run's stream, when it is asked to learn from some.

    What was added and never begun is left out again, unless it is asked for: a call that failed can be abandoned.

    Parameters
    ----------
    stored : those of the run's recipe.
    asked : those that are asked for, in full.
    finished : whether the last call came to its end. Where it did not, the same call goes on.
    """
    asked = list(asked)
    kept = list(stored[: len(past.more)])
    if not finished and asked == list(stored[-len(asked) :]):
        return list(stored)
    if finished:
        return kept + asked
    fresh = [folder for folder in asked if folder not in kept]
    nothing_left = not past.begun and past.learnt == len(past.names)
    return kept + (fresh or (asked if nothing_left else []))


def split_prints(prints: Mapping[str, str], past: Past, *, cumulative: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fingerprints of experiences that are past and have changed, and those that must be as they were.

    Parameters
    ----------
    prints : as they are now; "" where the pictures are gone.
    cumulative : the method learns from all experiences so far, so that none is past while one is being learnt.
    """
    learnt = 0 if cumulative and past.begun else past.learnt
    history = [f"experience {number + 1}" for number in range(learnt)]
    changed = {name: prints[name] for name in history if prints.get(name) and prints[name] != past.prints[name]}
    return changed, {name: prints.get(name, "") for name in past.prints if name not in history}
