"""Losses: pure functions of logits and masks, or of student and teacher.

All take logits, never probabilities, work in float32 (or float64) outside autocast, and stay finite for |z| up to 1e4.
`TASKS` lists the supervised losses that `TrainingStep` and a recipe's `task` accept by name.
"""

from standout.names import late_names

TASKS = {
    "basnet_hybrid": "standout.losses.similarity:basnet_hybrid",
    "bce_iou": "standout.losses.region:bce_iou",
    "binary_cross_entropy": "standout.losses.region:binary_cross_entropy",
    "dice": "standout.losses.region:dice",
    "focal": "standout.losses.region:focal",
    "intersection_over_union": "standout.losses.region:intersection_over_union",
    "lovasz_hinge": "standout.losses.lovasz:lovasz_hinge",
    "structure": "standout.losses.boundary:structure",
}

_LATE = {
    **TASKS,
    "bernoulli_kl": "standout.losses.divergence:bernoulli_kl",
    "categorical_kl": "standout.losses.divergence:categorical_kl",
    "cross_entropy": "standout.losses.divergence:cross_entropy",
    "factor_transfer": "standout.losses.transfer:factor_transfer",
    "gradient_ratio": "standout.losses.direction:gradient_ratio",
    "mean_squared": "standout.losses.teachers:mean_squared",
    "non_negative_feedback": "standout.losses.feedback:non_negative_feedback",
    "opposes_cross_entropy": "standout.losses.direction:opposes_cross_entropy",
    "soft_targets": "standout.losses.transfer:soft_targets",
    "soft_target_bce": "standout.losses.divergence:soft_target_bce",
    "softened": "standout.losses.teachers:softened",
    "structural_similarity": "standout.losses.similarity:structural_similarity",
    "virtual_teacher": "standout.losses.teachers:virtual_teacher",
}

__all__ = ["TASKS", *_LATE]  # noqa: PLE0604 - every name is a string of the table above

__getattr__, __dir__ = late_names(__name__, _LATE)
