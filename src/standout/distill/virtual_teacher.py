"""Distillation from a hand-made teacher that is always right.

Reconstructed from the abstract; the published equation was not available to us (Chen et al., Non-negative feedback
self-distillation for salient object detection, PeerJ Computer Science 9:e1435, 2023).
"""

from __future__ import annotations

from torch import Tensor

from standout.distill.mixture import Mixture
from standout.losses.numerics import check_option, working
from standout.losses.teachers import FORMS, softened, teacher_map, virtual_teacher
from standout.shapes import Batch, Logits, Map


class VirtualTeacher(Mixture):
    """Term `virtual_teacher`: the divergence from a teacher made of the label.

    At a student temperature of 1 it is label smoothing with epsilon 2 alpha (1 - confidence), whatever the name.
    Controls: `confidence=1` is cross-entropy at that temperature; `mix="additive", confidence=1, alpha=r-1` at
    temperature 1 is cross-entropy times r, for what a larger learning rate alone does.

    Parameters
    ----------
    alpha, mix : weight of the term, see `standout.distill.mixture.Mixture`.
    confidence : the teacher's probability of the right side, in [0.5, 1].
    temperature : at least 1.
    form : "kl", or the baseline "kl1" (foreground half alone).
    soften : "logit", "prob" (Tf-KD's public code) or "none", see `standout.losses.teachers.softened`.
    t_scale : "T2", "T" or "none", factor of the term with "logit".
    multiplier : a further factor of the term.

    Raises
    ------
    ValueError : a number out of its range, or an unknown option.
    """

    term = "virtual_teacher"

    def __init__(
        self,
        alpha: float = 0.5,
        mix: str = "convex",
        confidence: float = 0.99,
        temperature: float = 1.0,
        form: str = "kl",
        soften: str = "logit",
        t_scale: str = "T2",
        multiplier: float = 1.0,
    ) -> None:
        super().__init__(alpha, mix)
        check_option("form", form, FORMS)
        softened(confidence, temperature, soften=soften, t_scale=t_scale)
        self.confidence = float(confidence)
        self.temperature = temperature
        self.form = form
        self.soften = soften
        self.t_scale = t_scale
        self.multiplier = float(multiplier)

    def per_pixel(self, logits: Logits, batch: Batch) -> Tensor:
        """Return the unreduced and unweighted term, (N, 1, H, W)."""
        return virtual_teacher(
            logits,
            batch.mask,
            confidence=self.confidence,
            temperature=self.temperature,
            form=self.form,
            soften=self.soften,
            t_scale=self.t_scale,
            multiplier=self.multiplier,
            reduction="none",
        )

    def teacher(self, batch: Batch) -> Map:
        """Return the teacher's foreground probability at temperature 1, (N, 1, H, W)."""
        return teacher_map(working(batch.mask), self.confidence)
