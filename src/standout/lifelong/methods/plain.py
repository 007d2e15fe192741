"""Methods without a term of their own: naive fine-tuning, its upper bound, and replay."""

from __future__ import annotations

from standout.lifelong.methods.method import Method


class Naive(Method):
    """Goes on learning each experience as it comes: the lower bound."""


class Cumulative(Method):
    """Learns from the pictures of all experiences so far, in as many steps as naive fine-tuning: the upper bound.

    An epoch takes as many pictures as the newest experience has, drawn from all.
    """

    cumulative = True


class Replay(Method):
    """Adds pictures from memory to each step (A. Chaudhry et al., "On Tiny Episodic Memories", 2019)."""

    memory = "pictures"
