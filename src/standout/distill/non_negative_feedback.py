"""Distillation from a hand-made teacher of which only what helps reaches the student.

Reconstructed from the abstract; the published equation was not available to us (Chen et al., Non-negative feedback
self-distillation for salient object detection, PeerJ Computer Science 9:e1435, 2023).
"""

from __future__ import annotations

from torch import Tensor

from standout.distill.mixture import Mixture
from standout.losses.feedback import check_options, non_negative_feedback
from standout.losses.numerics import working
from standout.losses.teachers import softened, teacher_map
from standout.shapes import Batch, Logits, Map


class NonNegativeFeedback(Mixture):
    """Term `non_negative_feedback`: what the teacher says, wherever it does not oppose cross-entropy.

    With hard masks and `form="split"` at temperature 1 the gradient is `confidence` times cross-entropy's: such a
    run can do nothing but change the learning rate. See `VirtualTeacher` for the controls of other temperatures.

    Parameters
    ----------
    alpha, mix : weight of the term, see `standout.distill.mixture.Mixture`.
    confidence, temperature, soften, t_scale : the teacher, see `standout.losses.teachers.softened`. Above temperature
        4 lower alpha to 0.1, or take `t_scale="T"`: the term's gradient grows with the temperature.
    form : "split", "hinge" or "gate_grad".
    soft : "gate", "hard_only" or "binarise", for soft mask pixels.
    const : "kl" or "drop".
    balance : "joint" or "region"; all four as in `standout.losses.non_negative_feedback`.

    Raises
    ------
    ValueError : a number out of its range, or an unknown option.
    """

    term = "non_negative_feedback"

    def __init__(
        self,
        alpha: float = 0.5,
        mix: str = "convex",
        confidence: float = 0.99,
        temperature: float = 2.0,
        form: str = "split",
        soft: str = "gate",
        const: str = "kl",
        balance: str = "joint",
        soften: str = "logit",
        t_scale: str = "T2",
    ) -> None:
        super().__init__(alpha, mix)
        check_options(form=form, soft=soft, const=const, balance=balance)
        softened(confidence, temperature, soften=soften, t_scale=t_scale)
        self.confidence = confidence
        self.temperature = temperature
        self.form = form
        self.soft = soft
        self.const = const
        self.balance = balance
        self.soften = soften
        self.t_scale = t_scale

    def per_pixel(self, logits: Logits, batch: Batch) -> Tensor:
        """Return the unreduced and unweighted term, (N, 1, H, W)."""
        return non_negative_feedback(
            logits,
            batch.mask,
            confidence=self.confidence,
            temperature=self.temperature,
            form=self.form,
            soft=self.soft,
            const=self.const,
            balance=self.balance,
            soften=self.soften,
            t_scale=self.t_scale,
            reduction="none",
        )

    def teacher(self, batch: Batch) -> Map:
        """Return the teacher's foreground probability at temperature 1, (N, 1, H, W)."""
        return teacher_map(working(batch.mask), self.confidence)
