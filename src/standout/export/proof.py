"""The proof that an exported graph computes what the network does, on seeded pictures of three sizes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.errors import StandoutError
from standout.images import resize_map
from standout.models.graph import INPUT, LOGITS, MAP, check_graph
from standout.predict import open_session, sigmoid

if TYPE_CHECKING:
    from standout.networks.network import Network

PICTURES = 16
MOST_DIFFERENCE = 1e-4
LEAST_IOU = 0.999
_BATCHES = ((0, 1), (1, 3), (3, 8), (8, 16))  # of several sizes, since the batch is dynamic too


class Proof(NamedTuple):
    """What was compared and how near it came.

    pictures, sizes : how many pictures, each at all these (rows, columns).
    difference : the largest absolute difference of two maps, at any pixel.
    iou : the smallest intersection over union of the foregrounds at 0.5, over the pictures of one size together.
    picture, size : where the largest difference is.
    """

    pictures: int
    sizes: tuple[tuple[int, int], ...]
    difference: float
    iou: float
    picture: int
    size: tuple[int, int]


def prove(network: Network, content: bytes, path: str | Path) -> Proof:
    """Return the proof that the ONNX file's bytes compute what the network does.

    Raises
    ------
    StandoutError : a map differs by more than 1e-4 anywhere, or the foregrounds of one size overlap by less than
        0.999; names the worst picture. Also whatever `standout.models.graph.check_graph` refuses.
    """
    import torch

    graph = check_graph(content, path)
    session = open_session(graph, path)
    sharpness = float(graph.metadata["sharpness"])
    sizes = proof_sizes(int(graph.metadata["input"]["size"]))
    worst = (-1.0, 0, sizes[0])
    iou = 1.0
    was_training = network.training
    network.eval()
    try:
        for size in sizes:
            images = np.stack([seeded_picture(number, size) for number in range(PICTURES)])
            intersection = union = 0
            for first, last in _BATCHES:
                batch = images[first:last]
                with torch.inference_mode():
                    expected = (network(torch.from_numpy(batch)).logits * sharpness).sigmoid().numpy()
                maps, logits = session.run([MAP, LOGITS], {INPUT: batch})
                for offset in range(len(batch)):
                    gap = max(
                        _gap(maps[offset], expected[offset]),
                        _gap(sigmoid(logits[offset] * np.float32(sharpness)), expected[offset]),
                    )
                    worst = max(worst, (gap, first + offset, size))
                found, wanted = maps >= 0.5, expected >= 0.5
                intersection += int((found & wanted).sum())
                union += int((found | wanted).sum())
            iou = min(iou, intersection / union if union else 1.0)
    finally:
        network.train(was_training)
    proof = Proof(PICTURES, sizes, difference=worst[0], iou=iou, picture=worst[1], size=worst[2])
    if not (proof.difference <= MOST_DIFFERENCE and proof.iou >= LEAST_IOU):
        rows, columns = proof.size
        raise StandoutError(
            "export-differs",
            "exported graph differs from the network",
            f"{path}, worst at picture {proof.picture} of {columns} x {rows} by {proof.difference:.2g} "
            f"(limit {MOST_DIFFERENCE:g}), overlap {proof.iou:.4f} (limit {LEAST_IOU})",
            "no file was written; report the network",
        )
    return proof


def _gap(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    gap = float(np.abs(found.astype(np.float64) - expected).max())
    return gap if np.isfinite(gap) else np.inf


def proof_sizes(size: int) -> tuple[tuple[int, int], ...]:
    """Return the three sizes of a proof: the trained square, a flat and a tall one whose sides no stride divides."""
    shorter, longer = max(32, 3 * size // 4) | 1, (size + size // 5) | 1
    return (size, size), (shorter, longer), (longer + 6, shorter + 2)


def seeded_picture(number: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return picture `number` of a proof, (3, H, W) in 0..1: black, white, noise, then soft textures with an object."""
    rows, columns = size
    if number in (0, 1):
        return np.full((3, rows, columns), number, np.float32)
    random = np.random.default_rng([20, number])
    if number == 2:
        return random.random((3, rows, columns), np.float32)
    picture = np.zeros((3, rows, columns), np.float32)
    for cells, weight in ((3, 0.5), (9, 0.3), (40, 0.15)):
        coarse = random.random((3, cells, cells), np.float32)
        picture += np.float32(weight) * np.stack([resize_map(channel, size) for channel in coarse])
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    centre, radius = random.uniform(0.25, 0.75, 2), random.uniform(0.1, 0.35)
    inside = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2).astype(np.float32)
    colour = random.random((3, 1, 1), np.float32)
    picture += inside * (0.7 * (colour - picture))
    return np.clip(picture + 0.02 * random.standard_normal(picture.shape, np.float32), 0, 1)
