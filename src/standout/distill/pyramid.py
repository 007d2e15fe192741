"""Pyramid self-distillation: branches that see more context teach the network's maps, and are thrown away.

Reconstructed from the abstract; the published equation was not available to us (Zheng et al., Self-distillation
object segmentation via pyramid knowledge representation and transfer, Multimedia Systems 29, 2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from standout.distill.linear_maps import resized
from standout.distill.pyramid_branches import Branch, head
from standout.distill.pyramid_paths import (
    CONSISTENCY,
    TOPDOWN,
    check_transfer,
    consistency,
    level_weight,
    topdown,
)
from standout.distill.strategy import Strategy
from standout.errors import StandoutError
from standout.losses.boundary import structure
from standout.losses.numerics import check_option, working
from standout.losses.region import bce_iou, binary_cross_entropy
from standout.networks.network import LEVELS, Network
from standout.shapes import Batch, Logits, Maps, Progress

SUPERVISIONS = {"bce_iou": bce_iou, "structure": structure, "bce": binary_cross_entropy}
PLACES = ("full", "native")

# An encoder's deepest level may have 2,048 channels; a branch of that width would outweigh the network.
_WIDEST_ENCODER_BRANCH = 64


class Pyramid(Strategy):
    """Terms `pyramid.side`, `pyramid.branch`, `pyramid.topdown` and `pyramid.consistency`.

    Every decoder level gets a branch (pyramid pooling and attention) with a map of its own, and every level below the
    main map gets a plain score head. All of them learn from the mask; the branches also teach the network's maps.
    The supervision of the main map is the term `task`: give `TrainingStep` the task `bce_iou` for the published
    method's default reading.

    Parameters
    ----------
    supervision : "bce_iou", "structure" or "bce", of the side maps and the branches.
    distance : "kl", "mse", "ssim" or "bce", between student and teacher.
    temperature : above 0, of "kl" and "bce".
    topdown : "to_student", "branch_chain", "deepest" or "none"; see `standout.distill.pyramid_paths.topdown`.
    consistency : "same_level", "to_main", "dense" or "none"; see `standout.distill.pyramid_paths.consistency`.
    topdown_weight, consistency_weight : factors on the two paths, not negative.
    teacher_weighting : "level" (1, 1/2, 1/4, 1/8 from shallow to deep), "uniform" or "entropy" (per pixel, by how
        decided the teacher is).
    kd_at : "full" compares maps at the mask's size, "native" at the teacher's own, which is cheaper.
    warmup_epochs : epochs at the start in which the two paths weigh 0.
    ramp_epochs : epochs over which the two paths grow from 0 to their weight, counted from epoch 0; 0 is at once.

    Raises
    ------
    ValueError : a number out of its range, or an unknown option.
    """

    def __init__(
        self,
        supervision: str = "bce_iou",
        distance: str = "kl",
        temperature: float = 1.0,
        topdown: str = "to_student",
        consistency: str = "same_level",
        topdown_weight: float = 1.0,
        consistency_weight: float = 1.0,
        teacher_weighting: str = "level",
        kd_at: str = "full",
        warmup_epochs: int = 0,
        ramp_epochs: int = 0,
    ) -> None:
        super().__init__()
        check_option("supervision", supervision, SUPERVISIONS)
        check_option("topdown", topdown, TOPDOWN)
        check_option("consistency", consistency, CONSISTENCY)
        check_option("kd_at", kd_at, PLACES)
        check_transfer(distance, temperature, teacher_weighting)
        numbers = {
            "topdown_weight": topdown_weight,
            "consistency_weight": consistency_weight,
            "warmup_epochs": warmup_epochs,
            "ramp_epochs": ramp_epochs,
        }
        for name, number in numbers.items():
            if not (0 <= number < math.inf):
                raise ValueError(f"{name} must not be negative, got {number}")
        self.supervision = supervision
        self.distance = distance
        self.temperature = temperature
        self.topdown = topdown
        self.consistency = consistency
        self.topdown_weight = topdown_weight
        self.consistency_weight = consistency_weight
        self.teacher_weighting = teacher_weighting
        self.kd_at = kd_at
        self.warmup_epochs = warmup_epochs
        self.ramp_epochs = ramp_epochs

    def bind(self, network: Network, samples: int) -> None:
        """Build a branch on every decoder level, or encoder level where there is no decoder, and the side heads.

        Raises
        ------
        StandoutError : the network has no level of either kind.
        """
        self.levels = pyramid_levels(network)
        channels = [network.channels[level] for level in self.levels]
        is_encoder = self.levels[0].startswith("encoder")
        self.branches = nn.ModuleList(
            Branch(width, min(width, _WIDEST_ENCODER_BRANCH) if is_encoder else width) for width in channels
        )
        self.sides = nn.ModuleList(head(width) for width in channels[1:])

    def forward(self, maps: Maps, batch: Batch, network: Network, progress: Progress) -> dict[str, Tensor]:
        """Return the supervision of side maps and branches and the two paths, each with its weight.

        A path switched to "none" has no term; a path whose weight is 0 at this epoch has a term of exactly 0.
        """
        features = [maps.features[level] for level in self.levels]
        sides = [side(feature) for side, feature in zip(self.sides, features[1:], strict=True)]
        branches = [branch(feature) for branch, feature in zip(self.branches, features, strict=True)]
        size = (batch.mask.shape[-2], batch.mask.shape[-1])
        full_sides = [_resized(side, size) for side in sides]
        full_branches = [_resized(branch, size) for branch in branches]

        learn = SUPERVISIONS[self.supervision]
        terms = {}
        if sides:
            learnt = [level_weight(i) * learn(side, batch.mask) for i, side in enumerate(full_sides, 1)]
            terms["pyramid.side"] = sum(learnt[1:], learnt[0])
        learnt = [level_weight(i) * learn(branch, batch.mask) for i, branch in enumerate(full_branches)]
        terms["pyramid.branch"] = sum(learnt[1:], learnt[0])

        full = self.kd_at == "full"
        students = [maps.logits, *(full_sides if full else sides)]
        teachers = full_branches if full else branches
        ramp = self.strength(progress)
        paths = {
            "pyramid.topdown": (topdown, self.topdown, self.topdown_weight),
            "pyramid.consistency": (consistency, self.consistency, self.consistency_weight),
        }
        for name, (path, form, weight) in paths.items():
            if form == "none":
                continue
            if weight * ramp == 0:
                terms[name] = terms["pyramid.branch"].new_zeros(())
                continue
            terms[name] = (weight * ramp) * path(
                students,
                teachers,
                form=form,
                distance=self.distance,
                temperature=self.temperature,
                weighting=self.teacher_weighting,
            )
        return terms

    def strength(self, progress: Progress) -> float:
        """Return the factor in [0, 1] that the two paths have at this epoch."""
        if progress.epoch < self.warmup_epochs:
            return 0.0
        return min(1.0, progress.epoch / self.ramp_epochs) if self.ramp_epochs else 1.0


def pyramid_levels(network: Network) -> Sequence[str]:
    """Return the network's decoder levels, or its encoder levels where it has no decoder, shallowest first.

    Raises
    ------
    StandoutError : it has neither.
    """
    for kind in ("decoder", "encoder"):
        levels = [level for level in LEVELS if level.startswith(kind) and level in network.channels]
        if levels:
            return tuple(sorted(levels, key=lambda level: int(level.removeprefix(kind))))
    raise StandoutError(
        "levels-missing",
        "pyramid needs a network with decoder or encoder levels",
        type(network).__name__,
        "give it levels through an adapter, or take a strategy that needs labels only, such as virtual_teacher",
        exit_code=2,
    )


def _resized(logits: Logits, size: tuple[int, int]) -> Logits:
    # Under autocast a head gives half precision; the blend between its pixels should not be rounded to it too.
    return resized(working(logits), size)
