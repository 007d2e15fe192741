"""Cross-entropy with a weight for either side of every pixel: what the losses of single pixels are made of.

Cross-entropy, soft targets, divergences and feedback differ in the weights alone. So the logarithms and exponentials,
which are what such a loss costs on a processor, are of the map alone, and several losses of one map can share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from standout.shapes import Logits, Map, Mask

_Made = TypeVar("_Made")


class Sides:
    """What the losses need of a map z, without gradient; each part is made when it is first asked for."""

    def __init__(self, logits: Logits) -> None:
        self.logits = logits.detach()

    @cached_property
    def costs(self) -> tuple[Tensor, Tensor]:
        """Softplus(-z) and softplus(z): what the pixel costs as object and as background."""
        return _costs(self.logits, *self.shares)

    @cached_property
    def shares(self) -> tuple[Map, Map]:
        """Sigmoid(z) and sigmoid(-z): the probability of object and of background."""
        return self.logits.sigmoid(), (-self.logits).sigmoid_()

    @cached_property
    def entropy(self) -> Tensor:
        """Each pixel's entropy in nats."""
        return _weighted(*self.shares, *self.costs)

    def let_go(self) -> None:
        """Give back the memory of what the way back does not need."""
        for part in ("costs", "entropy"):
            vars(self).pop(part, None)


# By the identity of a map or a label: itself, kept so that no other can come to bear that identity, and what was made.
_Known = dict[int, tuple[Tensor, dict[Any, Any]]]
_KNOWN: ContextVar[_Known | None] = ContextVar("known", default=None)


@contextmanager
def shared_sides() -> Iterator[None]:
    """Let all losses within share what they need of a map or a label; nobody may change one in place meanwhile."""
    known: _Known = {}
    token = _KNOWN.set(known)
    try:
        yield
    finally:
        _KNOWN.reset(token)
        for _, made in known.values():
            for one in made.values():
                if isinstance(one, Sides):
                    one.let_go()


def shared(source: Tensor, what: Any, make: Callable[[], _Made]) -> _Made:
    """Return what is made of a map or a label: within `shared_sides` that which was made of it before as `what`.

    Whoever gets it must not change it in place.
    """
    known = _KNOWN.get()
    if known is None:
        return make()
    made = known.setdefault(id(source), (source, {}))[1]
    if what not in made:
        made[what] = make()
    found: _Made = made[what]
    return found


def sides(logits: Logits) -> Sides:
    """Return the sides of a map: within `shared_sides` those that were made of it before."""
    return shared(logits, "sides", lambda: Sides(logits))


def opposite(mask: Mask) -> Mask:
    """Return 1 - mask, of its shape and type; shared, and not to be changed in place, where no gradient goes to it."""
    return 1 - mask if mask.requires_grad else shared(mask, "opposite", lambda: 1 - mask)


def two_sided(logits: Logits, foreground: Tensor, background: Tensor) -> Tensor:
    """Return foreground * softplus(-z) + background * softplus(z). It can be differentiated again.

    Parameters
    ----------
    logits, foreground, background : of one shape and one type, float32 or float64; the weights may be any.
    """
    shared = None if _KNOWN.get() is None else sides(logits)
    value: Tensor = _TwoSided.apply(logits, foreground, background, shared)  # type: ignore[no-untyped-call]
    return value


class _TwoSided(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, foreground: Tensor, background: Tensor, shared: Sides | None) -> Tensor:
        return _weighted(foreground, background, *(Sides(z) if shared is None else shared).costs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004 - called so
        *maps, ctx.shared = inputs
        ctx.save_for_backward(*maps)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        z, foreground, background = ctx.saved_tensors
        of_map, of_foreground, of_background, _ = ctx.needs_input_grad
        pull = None
        if of_map:
            if ctx.shared is None or torch.is_grad_enabled():  # to be differentiated again: the sides have no graph
                inside, outside = z.sigmoid(), (-z).sigmoid_()
            else:
                inside, outside = ctx.shared.shares
            # Both of them: a difference of sigmoid and label would round a sure pixel's small slope away.
            pull = (background * inside).addcmul_(outside, foreground, value=-1).mul_(slope)
        return (
            pull,
            slope * -F.logsigmoid(z) if of_foreground else None,
            slope * -F.logsigmoid(-z) if of_background else None,
            None,
        )


def _costs(z: Logits, inside: Map, outside: Map) -> tuple[Tensor, Tensor]:
    # softplus(z) = max(z, 0) + softplus(-|z|), and the same for -z; and softplus(-|z|) = -log(1 - sigmoid(-|z|)), of
    # which the smaller probability is exact to its last digits: one logarithm serves both, and no further exponential.
    small = torch.minimum(inside, outside).neg_().log1p_()
    background = z.clamp_min(0).sub_(small)
    return small.add_(z.clamp_max(0)).neg_(), background


def _weighted(foreground: Tensor, background: Tensor, of_foreground: Tensor, of_background: Tensor) -> Tensor:
    return (foreground * of_foreground).addcmul_(background, of_background)
