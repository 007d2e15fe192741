"""Logits, masks and dropouts that the tests of dynamic dropout share."""

# ruff: noqa: E501 - a vector is a line

import math

import torch
from torch.autograd import grad

from direct import Direct, batch_of, progress_at
from standout.distill import (
    DynamicDropout,
    MeanSquared,
    NonNegativeFeedback,
    VirtualTeacher,
)
from standout.distill.difficulty import difficulty
from standout.train.step import TrainingStep

Z = torch.tensor([2.0, -1.5, 6.0, 0.25, -4.0, 1.0, -6.0, 3.0], dtype=torch.float64).view(1, 1, 2, 4)
G = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0], dtype=torch.float64).view(1, 1, 2, 4)
D = [0.109202922, 0.8075744762, 0.007527376843, 0.4278234991, 0.007986209962, 0.7210585786, 0.007527376843, 0.9425741268]  # fmt: skip
INNERS = {"kl": VirtualTeacher, "nnf": NonNegativeFeedback, "mse": MeanSquared}


def data(seed=0, shape=(3, 1, 6, 8), soft=False, deviation=4.0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64) * deviation
    mask = torch.rand(shape, generator=generator, dtype=torch.float64)
    return logits, mask if soft else mask.round()


def at_threshold(inner, tau, **options):
    """Return dropout whose threshold is `tau` whatever happens."""
    return DynamicDropout(inner, capability="constant", tau_min=tau, tau_max=tau, **options)


def run(dropout, logits, mask, index=None, progress=None):
    """Return the terms and the gradient of the dropout's own term (None where there is none)."""
    step = TrainingStep(Direct(logits), [dropout])
    terms = step(batch_of(mask, index), progress or progress_at())
    term = terms.get("dynamic_dropout")
    pull = None if term is None else grad(term, step.network.logits, retain_graph=True)[0]
    return terms, pull


def kept_pixels(dropout, logits, mask, index=None, progress=None):
    d = difficulty(logits, dropout.inner.teacher(batch_of(mask)))
    capability = dropout.capability_at(d, progress or progress_at())
    return dropout.keep(d, capability, batch_of(mask, index), progress or progress_at()).bool()


def bits(keep):
    return "".join(str(int(k)) for k in keep.flatten())


def flat_difficulty(mean):
    """Return logits of a background whose every pixel has this difficulty."""
    return torch.full((1, 1, 2, 2), math.log((mean + 0.01) / (1 - mean - 0.01)), dtype=torch.float64)
