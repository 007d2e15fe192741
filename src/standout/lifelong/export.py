"""A learnt recogniser as one ONNX file, with the proof that it says the same of the same pictures."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from standout.errors import StandoutError
from standout.export.onnx import check_output, graph_bytes
from standout.export.proof import MOST_DIFFERENCE, PICTURES, proof_sizes, seeded_picture
from standout.files import atomic_write, sha256_of
from standout.lifelong.deployed import Floats, deployed, outputs_of, probabilities
from standout.lifelong.model import read_recogniser
from standout.models.graph import INPUT, MAP, SCORES, check_graph
from standout.predict import open_session

MOST_MAP_DIFFERENCE = 1e-3
"""A quarter of one of 255 levels. The decoders multiply features before they are normalised, so that a map has fewer
exact digits in float32 than scores have."""
MOST_ROUNDINGS = 8.0
"""A recogniser that learnt from a handful of pictures can answer less exactly than that itself: a graph may then differ
by so many times what float32 makes its own answers differ from float64."""


class SameAnswers(NamedTuple):
    """What was compared and how near it came.

    pictures, sizes : how many pictures, each at all these (rows, columns).
    probability, map : the largest absolute difference of a class's probability, and of a map at any pixel; None
        where there is no map.
    """

    pictures: int
    sizes: tuple[tuple[int, int], ...]
    probability: float
    map: float | None


class ExportedRecogniser(NamedTuple):
    """Where the file is, how many bytes it has, its sha256, and its proof."""

    path: Path
    bytes: int
    sha256: str
    proof: SameAnswers


def export_recogniser(source: str | Path, output: str | Path, *, overwrite: bool = False) -> ExportedRecogniser:
    """Write a recogniser as one ONNX file, after proving that it says what the recogniser does.

    The graph takes `image` (N, 3, H, W), RGB in 0..1, of any N, H and W (of one size, for the head "flatten"), and
    gives `scores` (N, K), before the softmax, and where there is one `map` (N, 1, H, W) in 0..1. No teacher and no
    translator is in it. Equal input gives equal bytes.

    Parameters
    ----------
    source : a run's folder or its .safetensors file.
    output : the file; its name ends in .onnx.

    Raises
    ------
    StandoutError : no such recogniser, onnx is not installed, the output exists while `overwrite` is false, or the
        graph differs from the recogniser; then no file is left.
    """
    output = Path(output)
    check_output(output, overwrite)
    network, metadata = read_recogniser(source)
    weights = Path(source) / "model.safetensors" if Path(source).is_dir() else Path(source)
    side = int(metadata["input"]["size"])
    fixed = side if metadata["options"].get("head") == "flatten" else None
    module = deployed(network)
    outputs = [SCORES, *([MAP] if network.has_map else [])]
    content = graph_bytes(module, outputs, metadata, name=network.name, model_sha256=sha256_of(weights), side=fixed)
    proof = same_answers(module, content, output, [(fixed, fixed)] if fixed else proof_sizes(side))
    atomic_write(output, content, overwrite=overwrite)
    return ExportedRecogniser(output, len(content), hashlib.sha256(content).hexdigest(), proof)


def same_answers(
    module: nn.Module, content: bytes, path: str | Path, sizes: tuple[tuple[int, int], ...] | list[tuple[int, int]]
) -> SameAnswers:
    """Return the proof that the ONNX file's bytes say what the module does, on seeded pictures of some sizes.

    Raises
    ------
    StandoutError : a probability differs by more than 1e-4 or a map by more than 1e-3, and by more than rounding
        explains.
    """
    graph = check_graph(content, path, output=SCORES)
    session = open_session(graph, path)
    names = outputs_of(graph)
    worst = dict.fromkeys(names, 0.0)
    for size in sizes:
        images = np.stack([seeded_picture(number, size) for number in range(PICTURES)])
        for first, last in ((0, 1), (1, PICTURES)):  # of two sizes, since the batch is dynamic too
            batch = images[first:last]
            with torch.inference_mode():
                expected = [tensor.numpy() for tensor in module(torch.from_numpy(batch))]
            found = session.run(names, {INPUT: batch})
            for name, one, other in zip(names, found, expected, strict=True):
                worst[name] = max(worst[name], _gap(name, one, other))
    limits = {SCORES: MOST_DIFFERENCE, MAP: MOST_MAP_DIFFERENCE}
    if any(worst[name] > limits[name] for name in names):
        for name, own in _rounding(module, names, sizes).items():
            limits[name] = max(limits[name], MOST_ROUNDINGS * own)
    for name, limit in limits.items():
        if not worst.get(name, 0.0) <= limit:
            raise StandoutError(
                "export-differs", "exported graph differs from the recogniser",
                f"{path}, {name} by {worst[name]:.2g} (limit {limit:g})", "no file was written; report the network",
            )  # fmt: skip
    return SameAnswers(PICTURES, tuple(sizes), worst[SCORES], worst.get(MAP))


def _rounding(module: nn.Module, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Return by how much the module's own answers to the proof's pictures differ between float32 and float64."""
    exact = copy.deepcopy(module).double()
    worst = dict.fromkeys(names, 0.0)
    for size in sizes:
        batch = torch.from_numpy(np.stack([seeded_picture(number, size) for number in range(PICTURES)]))
        with torch.inference_mode():
            for name, one, other in zip(names, module(batch), exact(batch.double()), strict=True):
                worst[name] = max(worst[name], _gap(name, one.numpy(), other.numpy()))
    return {name: own if np.isfinite(own) else 0.0 for name, own in worst.items()}


def _gap(name: str, one: Floats, other: Floats) -> float:
    alike = probabilities if name == SCORES else np.float64
    gap = float(np.abs(alike(one) - alike(other)).max())
    return gap if np.isfinite(gap) else np.inf
