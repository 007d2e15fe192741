"""A trained network as one ONNX file, proven equal to the network before the file gets its name."""

from standout.names import late_names

_LATE = {
    "Proof": "standout.export.proof:Proof",
    "export_network": "standout.export.onnx:export_network",
    "export_onnx": "standout.export.onnx:export_onnx",
    "onnx_bytes": "standout.export.onnx:onnx_bytes",
    "prove": "standout.export.proof:prove",
}

__all__ = [*_LATE]  # noqa: PLE0604 - every name is a string of the table above

__getattr__, __dir__ = late_names(__name__, _LATE)
