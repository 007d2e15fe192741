"""Trained models: finding one by path or shipped name, and opening an ONNX file without trusting it. No torch."""

from standout.names import late_names

_LATE = {
    "Graph": "standout.models.graph:Graph",
    "find_model": "standout.models.lookup:find_model",
    "inspect_model": "standout.models.inspect:inspect_model",
    "read_graph": "standout.models.graph:read_graph",
    "shipped": "standout.models.lookup:shipped",
}

__all__ = [*_LATE]  # noqa: PLE0604 - every name is a string of the table above

__getattr__, __dir__ = late_names(__name__, _LATE)
