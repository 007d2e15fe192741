"""Strategies: what exists only while a network learns. A name finds its class in one literal table."""

from standout.names import late_names

STRATEGIES = {
    "attention_map": "standout.distill.attention_map:AttentionMap",
    "dynamic_dropout": "standout.distill.dynamic_dropout:DynamicDropout",
    "label_smoothing": "standout.distill.label_smoothing:LabelSmoothing",
    "mean_squared": "standout.distill.mean_squared:MeanSquared",
    "non_negative_feedback": "standout.distill.non_negative_feedback:NonNegativeFeedback",
    "pyramid": "standout.distill.pyramid:Pyramid",
    "virtual_teacher": "standout.distill.virtual_teacher:VirtualTeacher",
}

_LATE = {
    "PixelStrategy": "standout.distill.strategy:PixelStrategy",
    "Strategy": "standout.distill.strategy:Strategy",
    **{target.partition(":")[2]: target for target in STRATEGIES.values()},
}

__all__ = ["STRATEGIES", *_LATE]  # noqa: PLE0604 - every name is a string of the table above

__getattr__, __dir__ = late_names(__name__, _LATE)
