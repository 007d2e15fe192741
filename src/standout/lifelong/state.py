"""Everything that changes while a recogniser meets a stream, in one object that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from standout import checkpoint
from standout.lifelong.memory import Memory
from standout.lifelong.methods.method import Method
from standout.lifelong.network import Recogniser
from standout.lifelong.pictures import Labelled
from standout.lifelong.recipe import LearningTable
from standout.train.optimise import make_optimiser
from standout.train.state import random_streams, restore_streams


class Lesson(nn.Module):
    """Gives the named terms of one batch: the task's, and what the method adds."""

    def __init__(self, network: Recogniser, method: Method) -> None:
        super().__init__()
        self.network = network
        self.method = method

    def forward(self, batch: Labelled) -> dict[str, Tensor]:
        """Return the weighted terms by name; minimise their sum."""
        seen = self.method.look(self.network, batch)
        return {"task": self.method.task(seen, batch), **self.method.terms(self.network, seen, batch)}

    def skip(self) -> None:
        """Do nothing: a batch that was left out is not remembered."""


class LearnerState:
    """A recogniser with all that belongs to its place in the stream.

    Attributes
    ----------
    step : network and method.
    memory : what is kept of past experiences.
    optimiser : of the experience that is being learnt; None between two.
    experience : number of the experience that is next, or being learnt.
    steps_here : steps made in it. `begun` : whether it is being learnt.
    steps_done : all steps made or skipped, and one for each experience's end.
    skipped, skipped_in_a_row : steps left out because something was not finite.
    untrained : accuracy on each experience before anything was learnt.
    rows : one entry for each experience learnt: `accuracies`, and what it cost.
    best : None; there is no best checkpoint of a stream.
    seconds : spent on learning the experience so far, over all sessions.
    """

    _COUNTERS = (
        "experience", "steps_here", "begun", "steps_done", "skipped", "skipped_in_a_row", "untrained", "rows",
        "seconds",
    )  # fmt: skip

    def __init__(self, network: Recogniser, method: Method, memory: Memory) -> None:
        self.step = Lesson(network, method)
        self.memory = memory
        self.optimiser: torch.optim.Optimizer | None = None
        self.experience = 0
        self.steps_here = 0
        self.begun = False
        self.steps_done = 0
        self.skipped = 0
        self.skipped_in_a_row = 0
        self.untrained: list[float | None] = []
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.seconds = 0.0

    @property
    def network(self) -> Recogniser:
        """The recogniser that learns."""
        return self.step.network

    def parameters(self) -> list[nn.Parameter]:
        """Return everything that learns in this experience."""
        return [*self.network.parameters(), *self.step.method.learning()]

    def make_optimiser(self, settings: LearningTable) -> None:
        """Start a new optimiser over everything that learns."""
        rate = settings.rate
        self.optimiser = make_optimiser(
            [{"params": self.parameters(), "lr": rate, "base_rate": rate, "weight_decay": settings.weight_decay}],
            settings.name, momentum=settings.momentum, nesterov=settings.nesterov, betas=(0.9, 0.999), epsilon=1e-8,
        )  # fmt: skip

    def network_tensors(self) -> dict[str, Tensor]:
        """Return the network's weights and buffers."""
        return dict(self.network.state_dict())

    def training_state(self) -> dict[str, Any]:
        """Return everything else, nested as `checkpoint.flatten` takes it."""
        return {
            "classes": list(self.network.classes),
            "method": self.step.method.state(),
            "memory": self.memory.state(),
            "optimiser": self.optimiser.state_dict()["state"] if self.optimiser else None,
            "streams": random_streams(),
            "counters": {name: getattr(self, name) for name in self._COUNTERS},
        }

    def load(self, network: Mapping[str, Tensor], training: Mapping[str, Any], settings: LearningTable) -> None:
        """Take back what `network_tensors` and `training_state` gave; `settings` are the optimiser's.

        Raises
        ------
        StandoutError : the tensors do not fit the network.
        """
        self.network.grow(training["classes"][len(self.network.classes) :], seed=0)
        checkpoint.load_tensors(self.network, network, "checkpoint")
        self.step.method.load(training["method"], self.network)
        self.memory.load(training["memory"])
        for name in self._COUNTERS:
            setattr(self, name, training["counters"][name])
        if training["optimiser"] is not None:
            self.make_optimiser(settings)
            self._load_optimiser(training["optimiser"])
        restore_streams(training["streams"])

    def _load_optimiser(self, slots: Mapping[int, Any]) -> None:
        if self.optimiser is None:
            return
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": slots, "param_groups": groups})
        for parameter, own in self.optimiser.state.items():
            for name, value in own.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    # In the parameter's own memory order, as the optimiser had made it: sums then run alike.
                    own[name] = torch.empty_like(parameter).copy_(value)

    def bytes(self) -> int:
        """Return about how many bytes a checkpoint of it takes."""
        tensors = checkpoint.flatten(self.training_state())[0]
        each = [*self.network_tensors().values(), *tensors.values()]
        # Before the first step there are no slots and no teacher: three copies of what learns are the most they make.
        slots = 3 * sum(p.numel() * p.element_size() for p in self.parameters()) if self.steps_done == 0 else 0
        return sum(t.numel() * t.element_size() for t in each) + slots

    def finite(self) -> bool:
        """Whether every weight and buffer is a finite number."""
        tensors = [*self.parameters(), *self.network.buffers()]
        return all(bool(t.isfinite().all()) for t in tensors if t.is_floating_point())
