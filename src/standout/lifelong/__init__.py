"""Lifelong recognition: a recogniser meets one experience after another and keeps what it knew.

The measures and the streams load without torch.
"""

from standout.names import late_names

_LATE = {
    "AccuracyMatrix": "standout.lifelong.measures:AccuracyMatrix",
    "CONVENTIONS": "standout.lifelong.measures:CONVENTIONS",
    "KINDS": "standout.lifelong.layouts:KINDS",
    "METHODS": "standout.lifelong.methods:METHODS",
    "RECOGNISERS": "standout.lifelong.build:RECOGNISERS",
    "ObjectRecogniser": "standout.lifelong.deployed:ObjectRecogniser",
    "build_recogniser": "standout.lifelong.build:build_recogniser",
    "class_stream": "standout.lifelong.streams:class_stream",
    "core50_stream": "standout.lifelong.layouts:core50_stream",
    "domain_stream": "standout.lifelong.streams:domain_stream",
    "export_recogniser": "standout.lifelong.export:export_recogniser",
    "learn": "standout.lifelong.learner:learn",
    "learn_more": "standout.lifelong.learner:learn_more",
    "load_pretrained": "standout.lifelong.build:load_pretrained",
    "load_saliency": "standout.lifelong.saliency:load_saliency",
    "open_stream": "standout.lifelong.layouts:open_stream",
    "openloris_stream": "standout.lifelong.layouts:openloris_stream",
    "read_recogniser": "standout.lifelong.model:read_recogniser",
    "read_saliency": "standout.lifelong.saliency:read_saliency",
    "read_results": "standout.lifelong.results:read_results",
    "render": "standout.lifelong.table:render",
    "score_sheet": "standout.lifelong.sheet:score_sheet",
    "write_generated_stream": "standout.lifelong.generated:write_generated_stream",
}

__all__ = [*_LATE]  # noqa: PLE0604 - every name is a string of the table above

__getattr__, __dir__ = late_names(__name__, _LATE)
