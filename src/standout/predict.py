"""A trained network and a picture to a map at the picture's own size; an ONNX model needs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from standout.errors import EXIT_USAGE, StandoutError
from standout.images import Picture, read_image, resize, resize_map
from standout.models.graph import INPUT, LOGITS, MAP, Graph, read_graph
from standout.models.lookup import find_model

if TYPE_CHECKING:
    from standout.images import Source

MOST_THREADS = 4
"""Light networks gain nothing from more; one picture's network is a tenth of its cut-out's time."""

Floats = NDArray[np.float32]


class _Network(Protocol):
    """What both kinds of model show: their metadata, their sha256, and a map of one prepared picture."""

    metadata: dict[str, Any]
    sha256: str

    def map(self, image: Floats, sharpness: float) -> Floats:
        """Return the map (H, W) of an image (1, 3, H, W), RGB in 0..1."""
        ...


class Segmenter:
    """A trained network, ready to turn pictures into maps. May be shared by threads and sent to other processes.

    Parameters
    ----------
    source : a run's folder, an .onnx or .safetensors model file, or the name of a shipped model; a path that exists
        wins over a name. None takes the shipped default.
    sharpness : factor on the logits before the sigmoid; by default the one stored with the model, 1 switches it off.
        An ONNX model gives its logits as a second output, so the factor is exact for it too.
    threads : of one picture's computation; by default the processors that are free to us, 4 at most. For a torch
        model it holds for the whole process and is left alone by default.
    size : the side that pictures are resized to before the network; by default the one it was trained at.

    Attributes
    ----------
    path : the model file that is used.
    metadata : what the model says of itself.
    sha256 : of the model file.
    size, sharpness : that are used.

    Raises
    ------
    StandoutError : no such model, a damaged or foreign one, a safetensors model where torch is not installed, or
        another sharpness asked of an ONNX model that holds no logits.
    ValueError : sharpness, threads or size is not above 0.
    """

    def __init__(
        self,
        source: str | Path | None = None,
        *,
        sharpness: float | None = None,
        threads: int | None = None,
        size: int | None = None,
    ) -> None:
        for name, value in (("sharpness", sharpness), ("threads", threads), ("size", size)):
            if value is not None and not 0 < value < 65537:
                raise ValueError(f"{name} must be above 0 and at most 65536, not {value}")
        self._given = (sharpness, threads, size)
        self.path = find_model(source)
        is_graph = self.path.suffix.lower() == ".onnx"
        self._network: _Network = _OnnxNetwork(self.path, threads) if is_graph else _TorchNetwork(self.path, threads)
        self.metadata = self._network.metadata
        self.sha256 = self._network.sha256
        self.size = int(size or self.metadata["input"]["size"])
        self.sharpness = float(sharpness or self.metadata["sharpness"])
        if isinstance(self._network, _OnnxNetwork) and self.sharpness != self.metadata["sharpness"]:
            self._network.check_logits()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_again, (self.path, *self._given))

    def predict(self, image: Source) -> Floats:
        """Return the map of a picture, (H, W) float32 in [0, 1], at its own upright size.

        Parameters
        ----------
        image : path, bytes of a picture file, image of Pillow, or uint8 (H, W, 3) RGB.

        Raises
        ------
        StandoutError : the file makes no whole picture that we read.
        ValueError, TypeError : an array or object of another kind.
        """
        return self.map_of(read_image(image))

    def predict_many(self, images: Iterable[Source]) -> Iterator[Floats]:
        """Yield the map of each picture in turn, as `predict`; only one is in memory at a time."""
        for image in images:
            yield self.predict(image)

    def map_of(self, picture: Picture) -> Floats:
        """Return the map of a picture that was read, (H, W) float32 in [0, 1].

        Raises
        ------
        StandoutError : the model cannot be run on it, or gives what is no number.
        """
        small = resize(picture.pixels, (self.size, self.size))
        image = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32)
        image /= 255
        map = self._network.map(image, self.sharpness)  # noqa: A001 - the project's word
        if map.shape != (self.size, self.size) or not np.isfinite(map).all():
            raise StandoutError(
                "map-nonfinite", "model gave no whole map", f"{self.path} for {picture.name}", "use another model"
            )
        # Resampling in float32 may leave the range by one unit in the last place.
        return np.clip(resize_map(map, picture.size), 0, 1)


def _again(path: Path, sharpness: float | None, threads: int | None, size: int | None) -> Segmenter:
    return Segmenter(path, sharpness=sharpness, threads=threads, size=size)


def free_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sigmoid(logits: Floats) -> Floats:
    """Return 1 / (1 + exp(-logits)), float32, without overflow."""
    # tanh saturates where exp would overflow
    return (0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64))).astype(np.float32)


class _OnnxNetwork:
    """An ONNX model under onnxruntime on the processor."""

    def __init__(self, path: Path, threads: int | None) -> None:
        graph = read_graph(path)
        self.path = path
        self.metadata = graph.metadata
        self.sha256 = graph.sha256
        self.outputs = graph.outputs
        self.session = open_session(graph, path, threads)

    def check_logits(self) -> None:
        if LOGITS not in self.outputs:
            raise StandoutError(
                "model-no-logits",
                "model file holds no logits, so its sharpness cannot be changed",
                self.path,
                "export it again",
                exit_code=EXIT_USAGE,
            )

    def map(self, image: Floats, sharpness: float) -> Floats:
        stored = sharpness == self.metadata["sharpness"]
        try:
            (found,) = self.session.run([MAP if stored else LOGITS], {INPUT: image})
        except Exception as error:  # onnxruntime's own kinds of error are no public names
            raise _no_run(self.path, error) from error
        values = np.asarray(found, np.float32).reshape(found.shape[-2:])
        return values if stored else sigmoid(values * np.float32(sharpness))


def open_session(graph: Graph, path: str | Path, threads: int | None = None) -> Any:
    """Return onnxruntime's session for the very bytes that were checked.

    Raises
    ------
    StandoutError : onnxruntime cannot load the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(free_processors(), MOST_THREADS)
    options.inter_op_num_threads = 1
    # Spinning threads on busy processors take two to three times as long (docs: performance).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong is raised, and then told in one line
    try:
        return onnxruntime.InferenceSession(graph.content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds of error are no public names
        raise _no_run(path, error) from error


def _no_run(path: str | Path, error: Exception) -> StandoutError:
    lines = str(error).splitlines() or [type(error).__name__]
    return StandoutError(
        "model-damaged", f"model cannot be run ({lines[0][:200]})", path, "take the file from its source again"
    )


class _TorchNetwork:
    """A safetensors model under torch on the processor."""

    def __init__(self, path: Path, threads: int | None) -> None:
        try:
            import torch
        except ImportError as error:
            raise StandoutError(
                "torch-missing",
                "this kind of model needs torch",
                path,
                "install standout[train], or export it once where torch is: standout export",
                exit_code=EXIT_USAGE,
            ) from error
        from standout.files import sha256_of
        from standout.weights import read_model

        if threads is not None:
            torch.set_num_threads(threads)
        self.network, self.metadata = read_model(path)
        self.sha256 = sha256_of(path)

    def map(self, image: Floats, sharpness: float) -> Floats:
        import torch

        with torch.inference_mode():
            logits = self.network(torch.from_numpy(image)).logits
            values: Floats = (logits * sharpness).sigmoid()[0, 0].numpy()
        return values
