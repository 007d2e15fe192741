"""An ONNX file, checked from its bytes before onnxruntime sees it.

Refused: weights that lie in another file (by whatever path or link), operators outside the standard domain, functions
defined in the file, and files without standout's metadata. Needs neither onnx nor onnxruntime.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from standout.errors import StandoutError
from standout.headers import open_regular
from standout.metadata import parse_metadata
from standout.models.protobuf import BYTES, VARINT, Field, Reader, WireError

GRAPH_BYTES = 2**31 - 1
"""The format's own limit for one file."""

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
INPUT, MAP, LOGITS, SCORES = "image", "map", "logits", "scores"

# message -> field number -> message of the field; only the ways that lead to a tensor, a node or a name.
_MODEL = {7: "graph", 8: "opset", 14: "property", 20: "training", 25: "function"}
_NESTED: Mapping[str, Mapping[int, str]] = {
    "model": _MODEL,
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 11: "input", 12: "output", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external"},
}


_WEIGHTS = frozenset({1, 2, 3, 10, 11, 16})
"""The data types of weights: floats of 16, 32 and 64 bits, and 8-bit integers where the model was quantised."""


class Graph(NamedTuple):
    """A checked ONNX file.

    content : the very bytes that were checked.
    metadata : what the model says of itself (`standout.metadata`).
    sha256 : of the bytes.
    opset : of the standard domain.
    parameters : how many weights are stored; batch norms are part of their convolutions by then.
    inputs, outputs : their names, in order.
    """

    content: bytes
    metadata: dict[str, Any]
    sha256: str
    opset: int
    parameters: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(path: str | Path, *, output: str | tuple[str, ...] = MAP) -> Graph:
    """Return an ONNX file of ours, read once and checked.

    Parameters
    ----------
    output : that it must have, or of which it must have one; a recogniser has `scores`.

    Raises
    ------
    StandoutError : no regular file, no ONNX, weights outside the file, an operator that is not standard, no
        standout metadata, a newer format, or another input than `image`, or no such output.
    """
    path = Path(path)
    with open_regular(path) as file:
        content = file.read(GRAPH_BYTES + 1)
    if len(content) > GRAPH_BYTES:
        raise _damaged(path, "is over 2 GiB")
    return check_graph(content, path, output=output)


def check_graph(content: bytes, path: str | Path, *, output: str | tuple[str, ...] = MAP) -> Graph:
    """Return the checked graph of an ONNX file's bytes; `path` is what messages call it.

    Raises
    ------
    StandoutError : as `read_graph`.
    """
    try:
        facts = _Facts(Reader(content), path)
    except WireError as error:
        raise _damaged(path, f"is no ONNX file, or a damaged one ({error})") from error
    if not facts.has_graph:
        raise _damaged(path, "is no ONNX file")
    metadata = parse_metadata(facts.properties, path)
    wanted = (output,) if isinstance(output, str) else output
    if facts.inputs != [INPUT] or not set(wanted) & set(facts.outputs):
        raise _damaged(path, f"does not turn one input {INPUT} into an output {' or '.join(wanted)}")
    digest = hashlib.sha256(content).hexdigest()
    return Graph(content, metadata, digest, facts.opset, facts.parameters, tuple(facts.inputs), tuple(facts.outputs))


class _Facts:
    """What one walk over all messages finds; refuses on the way."""

    def __init__(self, reader: Reader, path: str | Path) -> None:
        self.reader = reader
        self.path = path
        self.properties: dict[str, str] = {}
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.opset = 0
        self.parameters = 0
        self.has_graph = False
        # (message, start, end, whether no subgraph lies between); a list, so that depth costs no stack
        todo = [("model", 0, len(reader.content), True)]
        while todo:
            message, start, end, outermost = todo.pop()
            inner = _NESTED.get(message, {})
            fields = list(reader.fields(start, end))
            self._look(message, fields, outermost)
            todo.extend(
                (inner[field.number], field.start, field.end, outermost and message in ("model", "graph"))
                for field in reversed(fields)
                if field.kind == BYTES and field.number in inner
            )

    def _look(self, message: str, fields: list[Field], outermost: bool) -> None:
        if message == "node":
            self._check_node(fields)
        elif message == "external" or (
            message == "tensor" and any(field.number == 14 and field.kind == VARINT and field.value for field in fields)
        ):
            raise StandoutError(
                "model-external", "model refers to weights in another file", self.path, "export it again as one file"
            )
        elif message == "function":
            raise self._foreign("a function defined in the file")
        elif message == "opset":
            domain = self._text(fields, 1)
            if domain not in STANDARD_DOMAINS:
                raise self._foreign(f"operators of the domain {domain[:80]!r}")
            self.opset = max((field.value for field in fields if field.number == 2), default=0)
        elif message == "property":
            key = self._text(fields, 1)
            if key in self.properties:
                raise _damaged(self.path, f"has its metadata {key[:80]!r} twice")
            self.properties[key] = self._text(fields, 2)
        elif message in ("input", "output") and outermost:
            (self.inputs if message == "input" else self.outputs).append(self._text(fields, 1))
        elif message == "graph":
            self.has_graph = True
        elif message == "tensor" and outermost:
            kind = next((field.value for field in fields if field.number == 2), 0)
            dimensions = self.reader.numbers(field for field in fields if field.number == 1)
            # One of a single value has no dimensions, and is a constant of the arithmetic.
            self.parameters += math.prod(dimensions) if kind in _WEIGHTS and dimensions else 0

    def _check_node(self, fields: list[Field]) -> None:
        domain = self._text(fields, 7)
        if domain not in STANDARD_DOMAINS:
            raise self._foreign(f"the operator {domain[:80]!r} {self._text(fields, 4)[:80]!r}")

    def _text(self, fields: list[Field], number: int) -> str:
        """Return the last text of this number (a repeated one wins in protobuf too); empty where there is none."""
        found = [field for field in fields if field.number == number and field.kind == BYTES]
        return self.reader.text(found[-1]) if found else ""

    def _foreign(self, what: str) -> StandoutError:
        return StandoutError(
            "model-operator", f"model uses {what}", self.path, "give a model of standard operators only"
        )


def _damaged(path: str | Path, why: str) -> StandoutError:
    return StandoutError("model-damaged", f"model file {why}", path, "take the file from its source again")
