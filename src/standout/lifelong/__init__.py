"""Lifelong recognition: a recogniser meets one experience after another and keeps what it knew.

The measures load without torch.
"""

from standout.names import late_names

_LATE = {
    "AccuracyMatrix": "standout.lifelong.measures:AccuracyMatrix",
    "CONVENTIONS": "standout.lifelong.measures:CONVENTIONS",
    "RECOGNISERS": "standout.lifelong.build:RECOGNISERS",
    "build_recogniser": "standout.lifelong.build:build_recogniser",
    "load_pretrained": "standout.lifelong.build:load_pretrained",
    "render": "standout.lifelong.table:render",
}

__all__ = [*_LATE]  # noqa: PLE0604 - every name is a string of the table above

__getattr__, __dir__ = late_names(__name__, _LATE)
