"""Distillation without the pixels that the student cannot learn yet, fewer of them as it grows.

Reconstructed from the abstract; the published equation was not available to us (Chen et al., Dynamic dropout
self-distillation for object segmentation, Complex & Intelligent Systems, 2024). The abstract says that pixels
of hard knowledge are discarded by a dropout that follows the variation of the student's capability, and that the
teacher is virtual and segments perfectly. Rules, schedule and constants are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from standout.distill.device_hash import pixel_draws
from standout.distill.difficulty import SCOPES, difficulty, not_above, not_drawn, not_hardest
from standout.distill.strategy import PixelStrategy, Strategy, changes_target
from standout.losses.numerics import check_option, shared_count
from standout.networks.network import Network
from standout.shapes import Batch, Maps, Progress

RULES = ("threshold", "quantile", "bernoulli", "none")
CAPABILITIES = ("measured", "progress", "validation", "constant")
NORMS = ("valid", "kept")


class DynamicDropout(Strategy):
    """Term `dynamic_dropout`: the inner strategy's term without its hard pixels, at the inner one's weight.

    A pixel's difficulty d is the difference of the student's and the teacher's probability. How much may be learnt
    follows the student's capability in [0, 1]. The supervised term sees every pixel.

    Parameters
    ----------
    inner : the distance and its weight alpha: `VirtualTeacher`, `NonNegativeFeedback`, `MeanSquared` or any other
        pixel strategy, on one-channel masks.
    rule : "threshold" keeps d <= tau, with tau from `tau_min` at capability 0 to `tau_max` at 1; "quantile" drops the
        hardest `r_max` (1 - capability) of the pixels, but none of d <= `delta`; "bernoulli" drops each pixel of
        d > `delta` with probability `rho_max` (1 - capability), by a hash of (seed, epoch, index, pixel); "none" keeps
        all.
    capability : "measured", 1 less the mean difficulty of the training batches, averaged over steps with factor
        `beta` and corrected for its start; "progress", the share of the training that is done to the power `gamma`;
        "validation", the last validation's `score`, 0 before the first; "constant", the number `constant`.
    norm : "valid" divides by all pixels, so that dropping lowers the term's weight; "kept" by the kept ones, those of
        all processes.
    scope : "batch" or "image": over what "quantile" ranks; of several processes each ranks its own part of a batch.
    score : name of the measure in [0, 1], the higher the better, for "validation".
    seed : for "bernoulli".

    Attributes
    ----------
    average, count : buffers, the running mean of the measured capability (or the last score) and how many it holds.

    Raises
    ------
    ValueError : an unknown option, a number out of its range, or an inner strategy that changes the label.
    TypeError : `inner` has no term per pixel.
    """

    average: Tensor
    count: Tensor

    def __init__(
        self,
        inner: PixelStrategy,
        rule: str = "threshold",
        capability: str = "measured",
        tau_min: float = 0.5,
        tau_max: float = 1.0,
        delta: float = 0.5,
        r_max: float = 0.5,
        rho_max: float = 0.5,
        beta: float = 0.99,
        gamma: float = 1.0,
        norm: str = "valid",
        scope: str = "batch",
        constant: float = 1.0,
        score: str = "f_max",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(inner, PixelStrategy):
            raise TypeError(f"dynamic dropout needs a strategy with a term per pixel, not {type(inner).__name__}")
        if changes_target(inner):
            raise ValueError(f"dynamic dropout cannot wrap {type(inner).__name__}, which changes the label")
        check_option("rule", rule, RULES)
        check_option("capability", capability, CAPABILITIES)
        check_option("norm", norm, NORMS)
        check_option("scope", scope, SCOPES)
        shares = {"tau_min": tau_min, "tau_max": tau_max, "delta": delta, "r_max": r_max, "rho_max": rho_max}
        for name, value in (shares | {"constant": constant}).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {value}")
        if tau_min > tau_max:
            raise ValueError(f"tau_min must not exceed tau_max, got {tau_min} and {tau_max}")
        if not 0 <= beta < 1:
            raise ValueError(f"beta must lie in [0, 1), got {beta}")
        if not (gamma > 0 and math.isfinite(gamma)):
            raise ValueError(f"gamma must be above 0, got {gamma}")
        self.inner = inner
        self.levels, self.views, self.task_weight = inner.levels, inner.views, inner.task_weight
        self.rule = rule
        self.capability = capability
        self.tau_min = tau_min
        self.tau_max = tau_max
        self.delta = delta
        self.r_max = r_max
        self.rho_max = rho_max
        self.beta = beta
        self.gamma = gamma
        self.norm = norm
        self.scope = scope
        self.constant = constant
        self.score = score
        self.seed = seed
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self._measured: Tensor | None = None
        self._step = -1
        self._epoch = -1
        self._kept: Tensor | int = 0
        self._seen = 0

    def bind(self, network: Network, samples: int) -> None:
        """Bind the inner strategy."""
        self.inner.bind(network, samples)

    def forward(self, maps: Maps, batch: Batch, network: Network, progress: Progress) -> dict[str, Tensor]:
        """Return the inner strategy's weighted mean over the pixels that the student may learn from.

        Raises
        ------
        ValueError : "bernoulli" without `batch.index`, or a batch of class labels.
        """
        if self.inner.alpha == 0:
            return {}
        if not batch.mask.is_floating_point():
            raise ValueError(f"dynamic dropout works on float masks (N, 1, H, W), not on {batch.mask.dtype} labels")
        d = difficulty(maps.logits, self.inner.teacher(batch))
        keep = self.keep(d, self.capability_at(d, progress), batch, progress)
        per_pixel = self.inner.per_pixel(maps.logits, batch)
        kept = per_pixel * keep
        pixels = shared_count(keep.count_nonzero()) if self.norm == "kept" else max(kept.numel(), 1)
        self._note(keep, progress)
        return {"dynamic_dropout": self.inner.alpha * (kept.sum() / pixels)}

    @torch.no_grad()
    def capability_at(self, d: Tensor, progress: Progress) -> Tensor:
        """Return the student's capability in [0, 1] as a scalar; before the first update it is measured on `d`.

        In training mode the measure of this batch, taken over all processes, is laid by for `after_step`.
        """
        if self.capability == "constant":
            return d.new_tensor(self.constant)
        if self.capability == "progress":
            return d.new_tensor(min(1.0, progress.fraction) ** self.gamma)
        if self.capability == "validation":
            return self.average.to(d.dtype)
        total = torch.stack([d.sum(), d.new_tensor(d.numel())])
        if self.training:
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(total)
            # The parts of one step are measured together; the first step of all goes by each part's own.
            first = 1 - total[0] / total[1].clamp(min=1)
            if self._measured is not None and progress.step == self._step:
                total = total + self._measured
            self._measured, self._step = total, progress.step
        else:
            first = 1 - total[0] / total[1].clamp(min=1)
        # The average starts at 0: divided by what its weights add up to, 1 - beta**count, it is a mean.
        weights = -torch.expm1(self.count.clamp(min=1) * math.log(self.beta)) if self.beta else 1.0
        return torch.where(self.count == 0, first, (self.average / weights).clamp(0, 1).to(d.dtype))

    def keep(self, d: Tensor, capability: Tensor, batch: Batch, progress: Progress) -> Tensor:
        """Return 1 for each pixel that is learnt from, else 0, of the shape and type of the difficulties `d`.

        Raises
        ------
        ValueError : "bernoulli" without `batch.index`.
        """
        if self.rule == "threshold":
            # Both ends exact, so that at capability 1 and tau_max 1 no pixel is lost to rounding.
            return not_above(d, self.tau_min * (1 - capability) + self.tau_max * capability)
        if self.rule == "quantile":
            return not_hardest(d, self.r_max * (1 - capability), self.delta, scope=self.scope).to(d.dtype)
        if self.rule == "bernoulli":
            if batch.index is None:
                raise ValueError("DynamicDropout(rule='bernoulli') needs batch.index: its draws are a sample's own")
            draws = pixel_draws(self.seed, progress.epoch, batch.index.to(d.device), d[0].numel())
            return not_drawn(d, draws, self.rho_max * (1 - capability), self.delta).to(d.dtype)
        return torch.ones_like(d)

    @torch.no_grad()
    def after_step(self, maps: Maps, batch: Batch, network: Network, progress: Progress) -> None:
        """Take the batch's measure into the running mean, in training mode and where it is finite."""
        self.inner.after_step(maps, batch, network, progress)
        measured, self._measured = self._measured, None
        if not self.training or measured is None:
            return
        found = 1 - measured[0] / measured[1].clamp(min=1)
        good = torch.isfinite(found)
        moved = self.beta * self.average + (1 - self.beta) * found.to(self.average.dtype)
        self.average.copy_(torch.where(good, moved, self.average))
        self.count.add_(good)

    @torch.no_grad()
    def after_epoch(self, network: Network, progress: Progress, scores: Mapping[str, float]) -> None:
        """Take the last validation's score where the capability is that.

        Raises
        ------
        ValueError : there are scores and the one asked for is not among them.
        """
        self.inner.after_epoch(network, progress, scores)
        if self.capability != "validation" or not scores:
            return
        if self.score not in scores:
            raise ValueError(f"no validation score {self.score!r}; there are {', '.join(sorted(scores))}")
        self.average.fill_(min(1.0, max(0.0, scores[self.score])))
        self.count.add_(1)

    def diagnostics(self) -> dict[str, float]:
        """Return the share of pixels kept in this epoch's training steps so far, as `kept`; empty before the first.

        The counts are no part of the state: an epoch that is resumed in its midst counts the steps since then.
        """
        own = {"kept": float(self._kept) / self._seen} if self._seen else {}
        return {**self.inner.diagnostics(), **own}

    def _note(self, keep: Tensor, progress: Progress) -> None:
        if not self.training:
            return
        if progress.epoch != self._epoch:
            self._epoch, self._kept, self._seen = progress.epoch, 0, 0
        self._kept = self._kept + keep.sum().long()
        self._seen += keep.numel()
