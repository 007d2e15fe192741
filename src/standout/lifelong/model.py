"""A recogniser as one file: weights, classes, and how to prepare a picture for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import standout
from standout.checkpoint import load_tensors
from standout.errors import StandoutError
from standout.files import atomic_write
from standout.lifelong.build import build_recogniser
from standout.lifelong.deployed import classes_of
from standout.lifelong.network import Recogniser
from standout.metadata import FORMAT, KEY, metadata_text, parse_metadata
from standout.weights import load_weights, safetensors_bytes


def recogniser_metadata(
    network: Recogniser,
    *,
    size: int,
    training: Mapping[str, Any] | None = None,
    licence: str = "",
    measures: Mapping[str, Any] | None = None,
    source_sha256: str = "",
) -> dict[str, Any]:
    """Return what a recogniser's file says of itself: as any model of ours, and its `classes`."""
    return {
        "format": FORMAT,
        "release": standout.__version__,
        "network": network.name,
        "options": dict(network.options),
        "classes": list(network.classes),
        "input": {
            "size": size,
            **{key: network.options[key] for key in ("mean", "std")},
            "padding": network.options.get("padding", "plain"),
        },
        "sharpness": 1.0,
        "training": dict(training or {}),
        "licence": licence,
        "measures": dict(measures or {}),
        "source_sha256": source_sha256,
    }


def write_recogniser(path: str | Path, network: Recogniser, *, overwrite: bool = True, **said: Any) -> Path:
    """Write a recogniser as one safetensors file; equal input gives equal bytes.

    Parameters
    ----------
    said : the keywords of `recogniser_metadata`.

    Raises
    ------
    StandoutError : a value does not fit the format, or the file cannot be written.
    """
    text = metadata_text(recogniser_metadata(network, **said), path)
    return atomic_write(path, safetensors_bytes(network.state_dict(), {KEY: text}), overwrite=overwrite)


def read_recogniser(path: str | Path) -> tuple[Recogniser, dict[str, Any]]:
    """Return the recogniser of a file or of a run's folder, in eval mode, and its metadata.

    Raises
    ------
    StandoutError : no recogniser of ours, a newer format, an unknown network or option, or tensors that do not fit.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.exists():
        raise StandoutError(
            "model-missing", "there is no such recogniser", path,
            "give a run of standout lifelong that has learnt an experience", exit_code=2,
        )  # fmt: skip
    tensors, strings = load_weights(path)
    metadata = parse_metadata(strings, path)
    classes = classes_of(metadata, path)
    with torch.random.fork_rng(devices=[]):
        network = build_recogniser(metadata["network"], classes, **metadata["options"])
    load_tensors(network, tensors, "model")
    return network.eval(), metadata
