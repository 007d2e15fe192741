"""What a model file says of itself and holds, from its bytes alone: no network is built and no weight is used."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from standout.errors import printable
from standout.headers import read_safetensors
from standout.metadata import parse_metadata
from standout.models.graph import MAP, SCORES, read_graph
from standout.models.lookup import find_model
from standout.toml import format_toml


class Inspected(NamedTuple):
    """A model file that was looked at.

    path : of the file.
    kind : "ONNX, opset 18", or "safetensors".
    bytes, sha256 : of the file.
    numbers : stored as weights and as running statistics of batch norms, which an ONNX file no longer has.
    metadata : what the file says of itself (`standout.metadata`).
    """

    path: Path
    kind: str
    bytes: int
    sha256: str
    numbers: int
    metadata: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "schema": 1, "path": printable(self.path), "kind": self.kind, "bytes": self.bytes, "sha256": self.sha256,
            "numbers": self.numbers, "metadata": dict(self.metadata),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return it as words, a line each and the recipe as TOML; all that stands in the file is escaped."""
        said = self.metadata
        size = said["input"]["size"]
        training = dict(said["training"])
        recipe = training.pop("recipe", {})
        words = {
            "file": f"{self.path}: {self.kind}, {self.bytes / 2**20:.2f} MiB, {self.numbers:,} numbers",
            "sha256": self.sha256,
            "format": f"{said['format']}, written by standout {said['release']}",
            "network": f"{said['network']} ({_words(said['options'])})",
            "input": f"{size} x {size}, {_words({k: v for k, v in said['input'].items() if k != 'size'})}",
            "sharpness": f"{said['sharpness']:g}",
            "classes": _text(said.get("classes", "")),
            "licence": said["licence"] or "none stated",
            "source": said["source_sha256"] or "no file stated",
        }
        rounded = {
            name: round(value, 4) if isinstance(value, float) else value for name, value in said["measures"].items()
        }
        blocks = {
            "measures": _toml(rounded) or "none stated",
            "training": _toml(training) or ("" if recipe else "nothing stated"),
            "recipe": _toml(recipe),
        }
        lines = [f"{name:<10}{printable(text)}" for name, text in words.items() if text]
        for name, text in blocks.items():
            # Inside TOML and JSON a text's own line breaks are escaped already.
            for number, line in enumerate(text.split("\n") if text else ()):
                lines.append(f"{'' if number else name:<10}{printable(line)}".rstrip())
        return lines


def inspect_model(source: str | Path) -> Inspected:
    """Return what a run's model, a model file or a shipped model says of itself and holds.

    Raises
    ------
    StandoutError : no such model, no file of ours, a newer format, a file that may carry code, or a damaged one.
    """
    path = find_model(source)
    if path.suffix.lower() == ".onnx":
        graph = read_graph(path, output=(MAP, SCORES))
        kind = f"ONNX, opset {graph.opset}"
        return Inspected(path, kind, len(graph.content), graph.sha256, graph.parameters, graph.metadata)
    content, header = read_safetensors(path)
    numbers = sum(math.prod(shape) for _, shape in header.tensors.values())
    metadata = parse_metadata(header.strings, path)
    return Inspected(path, "safetensors", len(content), hashlib.sha256(content).hexdigest(), numbers, metadata)


def _words(entries: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in entries.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _toml(tables: Any) -> str:
    """Return it as lines of TOML; what that cannot hold is JSON."""
    try:
        return format_toml(tables).strip()
    except (AttributeError, TypeError):  # no table, or a null inside
        return _text(tables)
