"""A recogniser as it is used: one module with the outputs of its ONNX file, and the answers for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from standout.errors import EXIT_USAGE, StandoutError
from standout.images import Picture, read_image, resize, resize_map
from standout.models.graph import INPUT, MAP, SCORES, Graph, read_graph
from standout.predict import open_session

if TYPE_CHECKING:
    from torch import Tensor, nn

    from standout.images import Source
    from standout.lifelong.network import Recogniser

Floats = NDArray[np.float32]


class Answer(NamedTuple):
    """What is in a picture.

    label, confidence : the likeliest class and its probability.
    probabilities : of every class, the likeliest first; they sum to 1.
    map : where the recogniser looked, (H, W) float32 in [0, 1] at the picture's size; None where it does not say.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    map: Floats | None


class _Network(Protocol):
    metadata: dict[str, Any]
    looks: bool

    def outputs(self, image: Floats) -> tuple[Floats, Floats | None]:
        """Return scores (N, K) and maps (N, 1, H, W) or none of images (N, 3, H, W), RGB in 0..1."""
        ...


class ObjectRecogniser:
    """A learnt recogniser, ready for pictures.

    Parameters
    ----------
    source : a run of `standout lifelong`, its .safetensors file, or an .onnx file that was exported from it, which
        needs no torch.

    Attributes
    ----------
    classes : that it knows.
    size : the side that pictures are resized to.
    looks : whether it says where it looked.

    Raises
    ------
    StandoutError : no such file, a damaged one, or one that is no recogniser.
    """

    def __init__(self, source: str | Path) -> None:
        is_graph = Path(source).suffix.lower() == ".onnx"
        self._network: _Network = _OnnxRecogniser(Path(source)) if is_graph else _TorchRecogniser(Path(source))
        self.metadata = self._network.metadata
        self.classes = tuple(classes_of(self.metadata, source))
        self.size = int(self.metadata["input"]["size"])
        self.looks = self._network.looks

    def recognise(self, image: Source) -> Answer:
        """Return what is in a picture: a path, bytes of a picture file, or uint8 (H, W, 3) RGB.

        Raises
        ------
        StandoutError : the file makes no whole picture that we read, or the model gives no number for it.
        """
        return self.answer_for(read_image(image))

    def answer_for(self, picture: Picture) -> Answer:
        """Return what is in a picture that was read."""
        small = resize(picture.pixels, (self.size, self.size))
        image = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        scores, maps = self._network.outputs(image)
        if not np.isfinite(scores).all() or (maps is not None and not np.isfinite(maps).all()):
            raise StandoutError("scores-nonfinite", "model gave no number for the picture", picture.name)
        chances = probabilities(scores)[0]
        order = np.argsort(-chances, kind="stable")
        known = {self.classes[row]: float(chances[row]) for row in order}
        label = self.classes[order[0]]
        where = None if maps is None else np.clip(resize_map(maps[0, 0], picture.size), 0, 1)
        return Answer(label, known[label], known, where)


def probabilities(scores: Floats) -> NDArray[np.float64]:
    """Return the softmax over the last axis."""
    raised = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    shares: NDArray[np.float64] = raised / raised.sum(-1, keepdims=True)
    return shares


def classes_of(metadata: Mapping[str, Any], where: str | Path) -> list[str]:
    """Return the classes that a recogniser's metadata names.

    Raises
    ------
    StandoutError : it names none, so the file is no recogniser.
    """
    classes = metadata.get("classes")
    if (
        not isinstance(classes, list)
        or not classes
        or not all(isinstance(name, str) for name in classes)
        or len(set(classes)) < len(classes)
    ):
        raise StandoutError("model-kind", "model file is no recogniser", where, "give one of standout lifelong")
    return classes


def deployed(network: Recogniser) -> nn.Module:
    """Return a module that takes images and gives scores, and the map at the images' size where there is one."""
    import torch.nn.functional as F
    from torch import nn

    class Deployed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            found = self.network(image)
            if found.map is None:
                return (found.scores,)
            return found.scores, F.interpolate(found.map, size=image.shape[-2:], mode="bilinear", align_corners=False)

    return Deployed().eval()


class _TorchRecogniser:
    def __init__(self, path: Path) -> None:
        try:
            import torch  # noqa: F401
        except ImportError as error:
            raise StandoutError(
                "torch-missing", "this kind of model needs torch", path,
                "install standout[train], or export it once where torch is: standout lifelong export",
                exit_code=EXIT_USAGE,
            ) from error  # fmt: skip
        from standout.lifelong.model import read_recogniser

        network, self.metadata = read_recogniser(path)
        self.module, self.looks = deployed(network), network.has_map

    def outputs(self, image: Floats) -> tuple[Floats, Floats | None]:
        import torch

        with torch.inference_mode():
            scores, *maps = self.module(torch.from_numpy(image))
        return scores.numpy(), maps[0].numpy() if maps else None


class _OnnxRecogniser:
    def __init__(self, path: Path) -> None:
        graph = read_graph(path, output=SCORES)
        self.metadata = graph.metadata
        self.session = open_session(graph, path)
        self.names = outputs_of(graph)
        self.looks = MAP in self.names

    def outputs(self, image: Floats) -> tuple[Floats, Floats | None]:
        scores, *maps = self.session.run(self.names, {INPUT: image})
        return scores, maps[0] if maps else None


def outputs_of(graph: Graph) -> list[str]:
    """Return the names of a recogniser's outputs: the scores, and the map where there is one."""
    return [SCORES, *([MAP] if MAP in graph.outputs else [])]
