"""Everything that changes while a network learns, in one object that a checkpoint can hold."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from standout import checkpoint
from standout.networks.network import Network
from standout.train.optimise import WeightAverage
from standout.train.step import TrainingStep

_STRATEGIES, _OPTIMISER, _EPOCH, _BEST = "the strategies", "the optimiser's memory", "the epoch", "the best epoch"
_ANEW = {
    _STRATEGIES: ("strategies",),
    # It counts parameters, and the strategies' own are among them.
    _OPTIMISER: ("strategies", "optimiser.name", "optimiser.decay_norms"),
    _EPOCH: ("data", "seed", "training.batch", "validation.split"),
    _BEST: ("data", "validation"),
}
"""What cannot go on where a setting differs, or one of the table that is named."""


def _touches(field: str, settings: Collection[str]) -> bool:
    return any(field == setting or field.startswith(f"{setting}.") for setting in settings)


class TrainingState:
    """The learning network with all that belongs to its place in the run.

    Attributes
    ----------
    step : network and strategies.
    optimiser : over `step.parameters()`.
    average : the weights' running average, or None.
    steps_done : optimiser steps made or skipped; the sampler's place follows from it.
    epochs_done : epochs whose end (validation, `after_epoch`) is past.
    epoch_began : steps done when the present epoch began.
    skipped : steps left out because something was not finite; `skipped_in_a_row` of these without a good one since.
    best : `score`, `epoch` (from 1) and `checkpoints` of the best epoch: its own and the one that was best before,
        which stays until then, so that no damage to the newest can leave a run without; or None.
    training_seconds, validation_seconds : spent so far, over all sessions.
    """

    def __init__(self, step: TrainingStep, optimiser: torch.optim.Optimizer, average: WeightAverage | None) -> None:
        self.step = step
        self.optimiser = optimiser
        self.average = average
        self.steps_done = 0
        self.epochs_done = 0
        self.epoch_began = 0
        self.skipped = 0
        self.skipped_in_a_row = 0
        self.best: dict[str, Any] | None = None
        self.training_seconds = 0.0
        self.validation_seconds = 0.0

    _COUNTERS = (
        "steps_done", "epochs_done", "epoch_began", "skipped", "skipped_in_a_row", "best",
        "training_seconds", "validation_seconds",
    )  # fmt: skip

    def step_made(self) -> None:
        """Take notice of an optimiser's step: the average moves, and the row of skipped steps ends."""
        self.skipped_in_a_row = 0
        if self.average:
            self.average.update(self.step.network)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[Network]:
        """While entered, the network has its averaged weights, where an average is kept."""
        network = self.step.network
        if self.average is None:
            yield network
            return
        own = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.average.weights)
        try:
            yield network
        finally:
            network.load_state_dict(own)

    def network_tensors(self) -> dict[str, Tensor]:
        """Return the network's weights and buffers."""
        return dict(self.step.network.state_dict())

    def training_state(self) -> dict[str, Any]:
        """Return everything else, nested as `checkpoint.flatten` takes it."""
        return {
            "strategies": dict(self.step.strategies.state_dict()),
            # The groups' settings come from the recipe; the rates from the schedule.
            "optimiser": self.optimiser.state_dict()["state"],
            "average": self.average.state() if self.average else None,
            "streams": random_streams(),
            "counters": {name: getattr(self, name) for name in self._COUNTERS},
        }

    def load(
        self, network: Mapping[str, Tensor], training: Mapping[str, Any], changed: Collection[str] = ()
    ) -> list[str]:
        """Take back what `network_tensors` and `training_state` gave; return what begins anew instead, in words.

        Parameters
        ----------
        changed : settings that differ from those under which it was given. What does not fit them is not taken.

        Raises
        ------
        StandoutError : the network's tensors do not fit.
        """
        anew = [place for place, settings in _ANEW.items() if any(_touches(field, settings) for field in changed)]
        checkpoint.load_tensors(self.step.network, network, "checkpoint")
        if _STRATEGIES not in anew:
            self.step.strategies.load_state_dict(training["strategies"])
        if _OPTIMISER not in anew:
            self._load_optimiser(training["optimiser"])
        if self.average:
            if training["average"]:
                self.average.load(training["average"])
            else:
                self.average = WeightAverage(self.step.network, self.average.decay)
        restore_streams(training["streams"])
        # Checkpoints of earlier builds do not say where their epoch began.
        counters = {"epoch_began": -1, **training["counters"]}
        for name in self._COUNTERS:
            setattr(self, name, counters[name])
        if _BEST in anew:
            self.best = None
        if _EPOCH in anew or self.epoch_began < 0:
            self.epoch_began = self.steps_done
        return anew

    def _load_optimiser(self, slots_of: Mapping[int, Any]) -> None:
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": slots_of, "param_groups": groups})
        for parameter, slots in self.optimiser.state.items():
            for name, value in slots.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    # In the parameter's own memory order, as the optimiser had made it: sums then run alike.
                    slots[name] = torch.empty_like(parameter).copy_(value)

    def bytes(self) -> int:
        """Return about how many bytes a checkpoint of it takes."""
        tensors = checkpoint.flatten(self.training_state())[0]
        each = [*self.network_tensors().values(), *tensors.values()]
        # Before the first step the optimiser has no slots yet: two more copies of what learns are the most it makes.
        slots = 0 if self.optimiser.state else 2 * sum(p.numel() * p.element_size() for p in self.step.parameters())
        return sum(t.numel() * t.element_size() for t in each) + slots

    def finite(self) -> bool:
        """Whether every weight and buffer of network, strategies and average is a finite number."""
        tensors = [*self.step.parameters(), *self.step.network.buffers()]
        if self.average:
            tensors += list(self.average.weights.values())
        return all(bool(t.isfinite().all()) for t in tensors if t.is_floating_point())


def seed_streams(seed: int, step: int, process: int = 0) -> None:
    """Make every random stream of this process a pure function of (seed, step, number of the process).

    So no worker count, no validation and no interruption can shift what a step draws.
    """
    entropy = [seed, step, *([process] if process else [])]
    mixed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
    torch.manual_seed(mixed)
    random.seed(mixed)
    np.random.seed(mixed % 2**32)  # noqa: NPY002 - the old global stream is the one that foreign code may draw from


def random_streams() -> dict[str, Any]:
    """Return the places of Python's, NumPy's and torch's random streams.

    Raises
    ------
    TypeError : NumPy gives its stream's place in another form.
    """
    version, words, gauss = random.getstate()
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    if not isinstance(state, dict):
        raise TypeError("NumPy gave its random state in another form")
    return {
        "python": [version, list(words), gauss],
        "numpy": [
            state["bit_generator"], torch.from_numpy(state["state"]["key"].astype(np.int64)),
            int(state["state"]["pos"]), int(state["has_gauss"]), float(state["gauss"]),
        ],
        "torch": torch.get_rng_state(),
        "cuda": list(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else [],
    }  # fmt: skip


def restore_streams(streams: Mapping[str, Any]) -> None:
    """Put the random streams back to the places that `random_streams` gave."""
    version, words, gauss = streams["python"]
    random.setstate((version, tuple(words), gauss))
    kind, key, position, has_gauss, cached = streams["numpy"]
    np.random.set_state((kind, key.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(streams["torch"])
    if torch.cuda.is_available() and len(streams["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(streams["cuda"])
