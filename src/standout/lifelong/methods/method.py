"""What a method is: what it keeps of the past, and the terms that it adds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from standout.lifelong.build import build_recogniser
from standout.lifelong.network import Recognised, Recogniser
from standout.lifelong.pictures import Labelled


class Meeting(NamedTuple):
    """An experience as a method sees it.

    number : of the experience, from 0.
    pictures : gives the training pictures as they are, batch by batch, in one fixed order that mixes the classes.
    seed : a number of this experience's own.
    """

    number: int
    pictures: Callable[[], Iterator[Labelled]]
    seed: int


class Method:
    """Goes on learning without forgetting; this one does nothing for it.

    The network is passed and never stored; a frozen copy of it is stored on purpose.

    Attributes
    ----------
    memory : what each step holds of the past: nothing, remembered "pictures", or "latents", which are what `payload`
        gave of them.
    cumulative : whether all experiences so far are learnt from, the upper bound.
    needs_map : whether the recogniser must say where the object is.
    """

    memory: Literal["", "pictures", "latents"] = ""
    cumulative = False
    needs_map = False

    def begin(self, network: Recogniser, meeting: Meeting) -> None:
        """Prepare for an experience; the network is as it was left, its new classes not yet added."""

    def freeze(self, network: Recogniser, number: int) -> None:
        """Say what of the network does not learn in experience `number`; called in train mode, on resume too."""

    def look(self, network: Recogniser, batch: Labelled) -> Recognised:
        """Return what the network gives for a batch, in the order of its labels."""
        seen: Recognised = network(batch.image)
        return seen

    def task(self, seen: Recognised, batch: Labelled) -> Tensor:
        """Return the task's own term."""
        return F.cross_entropy(seen.scores.float(), batch.label)

    def learning(self) -> list[nn.Parameter]:
        """Return what learns beside the network in this experience."""
        return []

    def terms(self, network: Recogniser, seen: Recognised, batch: Labelled) -> dict[str, Tensor]:
        """Return weighted terms beside the task's, by name; `seen` is what the network gives for the batch."""
        return {}

    def after_step(self, network: Recogniser) -> None:
        """Take notice of the optimiser's step; the gradients are still there."""

    def end(self, network: Recogniser, meeting: Meeting) -> None:
        """Look back on an experience that is learnt; the network is in eval mode."""

    def item_bytes(self, network: Recogniser, side: int) -> int:
        """Return what one remembered picture counts: its pixels as the network sees it, and its payload."""
        return 3 * side * side

    def payload(self, network: Recogniser, batch: Labelled) -> Tensor | None:
        """Return what is remembered beside, or instead of, each picture of a batch: one row each, or nothing."""
        return None

    def state(self) -> dict[str, Any]:
        """Return everything that must survive a kill, nested as `checkpoint.flatten` takes it."""
        return {}

    def load(self, state: Mapping[str, Any], network: Recogniser) -> None:
        """Take back what `state` gave; `network` says what kind of recogniser it was for."""


class Teacher:
    """A frozen copy of the network as it was before this experience, in eval mode.

    Attributes
    ----------
    network : the copy; its classes are those it knew.
    """

    def __init__(self, network: Recogniser) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Recognised:
        """Return what the teacher gives for an image."""
        found: Recognised = self.network(image)
        return found

    def state(self) -> dict[str, Any]:
        """Return classes and weights."""
        return {"classes": list(self.network.classes), "weights": dict(self.network.state_dict())}

    @classmethod
    def of(cls, state: Mapping[str, Any], like: Recogniser) -> Teacher:
        """Return the teacher of a stored state, a recogniser of the same kind as `like`."""
        with torch.random.fork_rng(devices=[]):
            network = build_recogniser(like.name, state["classes"], **like.options)
        network.load_state_dict(state["weights"])
        first = next(like.parameters())
        if first.ndim == 4 and first.is_contiguous(memory_format=torch.channels_last):
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network.to(first.device))
