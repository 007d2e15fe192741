"""Which file is meant: a run, a model file, or the name of a model that came with the package."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from standout.errors import EXIT_USAGE, StandoutError, printable
from standout.files import sha256_of
from standout.names import nearest

DEFAULT = "standout"
"""The shipped model that is taken where none is named."""

SUFFIXES = (".onnx", ".safetensors")
_SHIPPED = Path(__file__).parent
GET_ONE = "make one with `standout quickstart` or `standout train`, then pass --model RUN or --model FILE.onnx"


def shipped() -> Mapping[str, Path]:
    """Return the models that came with the package: name to ONNX file. Empty where none did."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.onnx"))}


def find_model(source: str | Path | None = None) -> Path:
    """Return the model file that is meant; a path that exists wins over a shipped name.

    A run gives its `model.onnx` if that was exported from the run's own `model.safetensors`, as it is now; else
    `model.safetensors`.

    Parameters
    ----------
    source : a run's folder, a model file, a shipped name, or None for the shipped default.

    Raises
    ------
    StandoutError : exit code 2; there is no such file or name, or the run has no model yet.
    """
    names = shipped()
    if source is None:
        if DEFAULT not in names:
            raise StandoutError("model-missing", "no model came with this package", "", GET_ONE, exit_code=EXIT_USAGE)
        return names[DEFAULT]
    path = Path(source)
    with contextlib.suppress(OSError, ValueError):  # a NUL in the name, a folder that may not be entered
        if path.is_dir():
            return _of_run(path)
        if path.exists():
            if path.suffix.lower() not in SUFFIXES:
                raise StandoutError(
                    "model-kind", "no kind of model that we read", path, "give a run, an .onnx or a .safetensors file",
                    exit_code=EXIT_USAGE,
                )  # fmt: skip
            return path
    if str(source) in names:
        return names[str(source)]
    near = nearest(str(source), names) if names and len(path.parts) == 1 and not path.suffix else GET_ONE
    raise StandoutError("model-missing", "there is no such model", printable(source), near, exit_code=EXIT_USAGE)


def _of_run(folder: Path) -> Path:
    weights, graph = folder / "model.safetensors", folder / "model.onnx"
    if not weights.exists():
        if graph.exists():
            return graph
        is_run = (folder / "recipe.toml").exists()
        raise StandoutError(
            "model-missing",
            "run has no model yet" if is_run else "folder is no run: it holds no model.safetensors",
            folder,
            "finish it with `standout train --resume`" if is_run else GET_ONE,
            exit_code=EXIT_USAGE,
        )
    if graph.exists() and _source_of(graph) == sha256_of(weights):
        return graph
    return weights


def _source_of(graph: Path) -> str:
    """Return the sha256 of the model file that an ONNX file was exported from; empty where it does not say so."""
    from standout.models.graph import read_graph

    with contextlib.suppress(StandoutError):
        facts = read_graph(graph).metadata.get("graph")
        return str(facts.get("model_sha256", "")) if isinstance(facts, Mapping) else ""
    return ""
