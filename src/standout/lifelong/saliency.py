"""A start that knows where objects are: a cascade that `standout train` made, as a recogniser's saliency part.

What the maps start from is reconstructed: the paper says nothing of it, and its figure shows a clean cut-out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from standout.errors import EXIT_USAGE, StandoutError
from standout.files import sha256_of
from standout.lifelong.network import Recogniser, SaliencyRecogniser
from standout.networks.cascade import CascadeNet
from standout.weights import read_model

SAL_INITS = ("imagenet", "sod")
MODEL = "model.safetensors"
_HOW = "make one: standout train DATA --recipe wu2019_cascade; then pass --saliency RUN"


class Saliency(NamedTuple):
    """A saliency network, the file that it came from, and the file's sha256."""

    network: CascadeNet
    path: Path
    sha256: str


def saliency_file(path: str | Path) -> Path:
    """Return the model file of a training run's folder, or the file itself.

    Raises
    ------
    StandoutError : exit code 2, no such file.
    """
    file = Path(path) / MODEL if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise StandoutError("weights-missing", "there is no such saliency network", file, _HOW, exit_code=EXIT_USAGE)
    return file


def read_saliency(path: str | Path) -> Saliency:
    """Return the saliency network of a training run's folder or of its model file.

    Raises
    ------
    StandoutError : exit code 2; no such file, no model of ours, or one that is no cascade.
    """
    file = saliency_file(path)
    network, _ = read_model(file)
    if not isinstance(network, CascadeNet):
        raise StandoutError(
            "weights-do-not-fit", f"{network.name} is no cascade, so no recogniser has its parts", file, _HOW,
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    return Saliency(network, file, sha256_of(file))


def saliency_options(saliency: Saliency, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the saliency network's options that are a recogniser's too; `known` holds the recogniser's."""
    return {option: value for option, value in saliency.network.options.items() if option in known}


def load_saliency(recogniser: Recogniser, saliency: Saliency) -> None:
    """Start trunk, both branches, both decoders and the attention from the saliency network's.

    Raises
    ------
    StandoutError : exit code 2; a parameter differs in shape (the first one is named), or pictures were prepared in
        another way. Then the recogniser is unchanged.
    ValueError : the recogniser has no saliency part.
    """
    if not isinstance(recogniser, SaliencyRecogniser):
        raise ValueError(f"{recogniser.name} has no saliency part to start")
    stored, own = saliency.network.state_dict(), recogniser.cascade.state_dict()
    wrong = [
        f"parameter {name} is {_shape(stored.get(name))}, not {_shape(own.get(name))}"
        for name in dict.fromkeys([*own, *stored])
        if _shape(stored.get(name)) != _shape(own.get(name))
    ]
    wrong += [
        f"it was trained with {option} {value}, not {recogniser.options[option]}"
        for option, value in saliency_options(saliency, recogniser.options).items()
        if option != "ha_trainable" and value != recogniser.options[option]
    ]
    if wrong:
        raise StandoutError(
            "weights-do-not-fit", f"saliency network does not fit {recogniser.name}: {wrong[0]}", saliency.path,
            "take the cascade of the recogniser's backbone and leave out network.options that differ",
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    recogniser.cascade.load_state_dict(stored)


def _shape(tensor: Any) -> str:
    return "missing" if tensor is None else " x ".join(map(str, tensor.shape)) or "a number"
