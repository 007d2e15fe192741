"""The only reader and writer of model files: safetensors with one metadata string, nothing that can run code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import standout
from standout.errors import StandoutError
from standout.files import atomic_write
from standout.headers import read_safetensors
from standout.metadata import FORMAT, KEY, metadata_text, parse_metadata
from standout.names import unknown
from standout.networks.build import NETWORKS, build_network
from standout.networks.network import Network
from standout.networks.torchvision import timm_name

_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

# sha256 of a backbone file -> how its pictures were prepared when it was trained.
BACKBONE_FILES: Mapping[str, Mapping[str, Any]] = {
    # mobilenetv2_100_tf
    "f2d1f2f7499f8177d101faaade3a2d4243ad9b0f812682bb08bddd020a667548": {
        "padding": "same", "eps": 1e-5, "mean": [0.5] * 3, "std": [0.5] * 3,
    },
    # mobilenetv2_100_tv
    "0ce5b8d678fd962588bf821794e8cc2145fa59a3ec69c4f96f9b0655c7dcaed4": {"padding": "plain", "eps": 1e-5, **_IMAGENET},
    # tf_efficientnet_lite0
    "dae1083db1be09cceeaac877446ead7f32b2937b7060e3b12dddf42ef731a486": {
        "padding": "same", "eps": 1e-3, "mean": [127 / 255] * 3, "std": [128 / 255] * 3,
    },
}  # fmt: skip
_PREPARATION = ("padding", "eps", "mean", "std")
_LEFT_OVER = re.compile(r"(conv_head|bn2|classifier|fc)\..*|(.*\.)?num_batches_tracked")


def load_weights(path: str | Path, *, allow_nonfinite: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a safetensors file's tensors by name, as stored, and its metadata strings.

    Raises
    ------
    StandoutError : as `headers.read_safetensors`; or NaN or infinity in a tensor, unless `allow_nonfinite`.
    """
    tensors, strings, _ = _load(path, allow_nonfinite)
    return tensors, strings


def _load(path: str | Path, allow_nonfinite: bool) -> tuple[dict[str, Tensor], dict[str, str], str]:
    """Return tensors, metadata strings and the sha256 of the very bytes that they came from."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    content, header = read_safetensors(path)
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise StandoutError(
            "weights-damaged", f"weight file cannot be read ({error})", path, "take the file from its source again"
        ) from error
    if not allow_nonfinite:
        bad = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
        if bad:
            raise StandoutError(
                "weights-nonfinite",
                f"NaN or infinity in {_first(bad)}",
                path,
                "take the file from its source again",
            )
    return tensors, dict(header.strings), hashlib.sha256(content).hexdigest()


def safetensors_bytes(tensors: Mapping[str, Tensor], strings: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of a safetensors file; equal tensors and at most one string give equal bytes.

    Raises
    ------
    ValueError : more than one metadata string; the library would write them in an order of chance.
    """
    from safetensors.torch import save

    if strings is not None and len(strings) > 1:
        raise ValueError(f"one metadata string only, not {', '.join(strings)}")
    # A clone, since two names may share one memory, which the format cannot say.
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(tensors.items())}
    return save(whole, dict(strings) if strings else None)


def model_metadata(
    network: Network,
    *,
    size: int,
    sharpness: float = 1.0,
    training: Mapping[str, Any] | None = None,
    licence: str = "",
    measures: Mapping[str, Any] | None = None,
    source_sha256: str = "",
) -> dict[str, Any]:
    """Return what a model file says of itself; the same for safetensors and ONNX.

    Parameters
    ----------
    network : made by `build_network`.
    size : the side, in pixels, that pictures are resized to before the network.
    sharpness : factor on the logits before the sigmoid, above 0; 1 leaves the maps as they are.
    training : data, strategies and length of training, as JSON can hold it.
    licence, measures : of the weights; measure names to numbers.
    source_sha256 : of the file that the weights came from, such as the backbone's.

    Raises
    ------
    ValueError : the network was not made by `build_network`, so no name says how to build it again.
    """
    if network.name not in NETWORKS:
        raise ValueError(f"{type(network).__name__} was not made by build_network, so a file cannot name it")
    return {
        "format": FORMAT,
        "release": standout.__version__,
        "network": network.name,
        "options": dict(network.options),
        "input": {"size": size, **{key: network.options[key] for key in ("mean", "std", "padding")}},
        "sharpness": sharpness,
        "training": dict(training or {}),
        "licence": licence,
        "measures": dict(measures or {}),
        "source_sha256": source_sha256,
    }


def write_model(
    path: str | Path,
    network: Network,
    *,
    size: int,
    sharpness: float = 1.0,
    training: Mapping[str, Any] | None = None,
    licence: str = "",
    measures: Mapping[str, Any] | None = None,
    source_sha256: str = "",
    overwrite: bool = True,
) -> Path:
    """Write the network as one safetensors file and return its path; equal input gives equal bytes.

    Parameters are those of `model_metadata`.

    Raises
    ------
    ValueError : the network was not made by `build_network`.
    StandoutError : a weight is not finite, a value does not fit the format, or the file cannot be written.
    """
    path = Path(path)
    metadata = model_metadata(
        network,
        size=size,
        sharpness=sharpness,
        training=training,
        licence=licence,
        measures=measures,
        source_sha256=source_sha256,
    )
    tensors = network.state_dict()
    bad = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise StandoutError("weights-nonfinite", f"NaN or infinity in {_first(bad)}", path, "nothing was written")
    return atomic_write(path, safetensors_bytes(tensors, {KEY: metadata_text(metadata, path)}), overwrite=overwrite)


def read_model(path: str | Path, *, allow_nonfinite: bool = False) -> tuple[Network, dict[str, Any]]:
    """Return the network of a model file, in eval mode, and its metadata.

    Raises
    ------
    StandoutError : no model of ours, a newer format, an unknown network or option, or a tensor that is missing,
        surplus or of another shape (the first five are named); nothing is loaded in part.
    """
    tensors, strings = load_weights(path, allow_nonfinite=allow_nonfinite)
    metadata = parse_metadata(strings, path)
    name, options = metadata["network"], metadata["options"]
    if name not in NETWORKS:
        raise _other_network(path, str(unknown("network", name, NETWORKS)))
    try:
        # First on no device: a file that claims a huge width costs nothing before its shapes are compared.
        with torch.device("meta"):
            expected = build_network(name, **options).state_dict()
    except StandoutError as error:
        raise _other_network(path, str(error)) from error
    _compare(tensors, expected, path, "model")
    with torch.random.fork_rng(devices=[]):  # the start that is overwritten must not move the caller's random stream
        network = build_network(name, **options)
    if any(metadata["input"][key] != network.options[key] for key in ("mean", "std", "padding")):
        raise _other_network(path, "input and options disagree")
    network.load_state_dict(tensors)  # casts half precision to float32
    return network.eval(), metadata


def _other_network(path: str | Path, why: str) -> StandoutError:
    return StandoutError(
        "network-unknown",
        f"model file names a network that cannot be built ({why})",
        path,
        "a newer standout may have written it: update, or export the model again from its run",
    )


def backbone_options(path: str | Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the network options `padding`, `eps`, `mean` and `std` that fit a backbone file.

    Known files find theirs by sha256; what `given` holds of them wins.

    Raises
    ------
    StandoutError : exit code 2, an unknown file, and `given` does not hold all four.
    """
    stated = {key: value for key, value in (given or {}).items() if key in _PREPARATION}
    content, _ = read_safetensors(path)
    known = BACKBONE_FILES.get(hashlib.sha256(content).hexdigest(), {})
    missing = [key for key in _PREPARATION if key not in stated and key not in known]
    if missing:
        raise StandoutError(
            "backbone-unknown",
            "backbone file of unknown preparation",
            path,
            f"state {', '.join(missing)}, such as --set network.options.{missing[0]}=…",
            exit_code=2,
        )
    return {key: stated.get(key, known.get(key)) for key in _PREPARATION}


def load_backbone(
    network: Network, path: str | Path, *, allow_mismatch: bool = False, allow_nonfinite: bool = False
) -> str:
    """Load a timm or torchvision weight file into the network's backbone and return the file's sha256.

    Parameters
    ----------
    allow_mismatch : load a known file although the network was built with another padding, eps, mean or std.

    Raises
    ------
    StandoutError : a backbone tensor is missing or of another shape, something is left over that is neither
        classifier nor head, or a known file needs other options; the network is unchanged.
    ValueError : the network has no backbone.
    """
    backbone = getattr(network, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise ValueError(f"{network.name or type(network).__name__} has no backbone to load weights into")
    stored, _, digest = _load(path, allow_nonfinite)
    fitting = BACKBONE_FILES.get(digest, {})
    wrong = [f"{key} {value}" for key, value in fitting.items() if network.options.get(key) != value]
    if wrong and not allow_mismatch:
        raise StandoutError(
            "backbone-mismatch",
            f"backbone file was trained with {', '.join(wrong)}",
            path,
            "build the network with these options",
        )
    tensors = {timm_name(network.name, key): tensor for key, tensor in stored.items()}
    expected = {key: tensor for key, tensor in backbone.state_dict().items() if not key.endswith("num_batches_tracked")}
    kept = {key: tensor for key, tensor in tensors.items() if key in expected or not _LEFT_OVER.fullmatch(key)}
    _compare(kept, expected, path, "backbone")
    backbone.load_state_dict(kept, strict=False)  # only num_batches_tracked is not in it
    network.take_backbone()
    return digest


def _compare(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: str | Path, kind: str) -> None:
    """Refuse missing, surplus and mis-shaped tensors, naming the first five of each."""
    missing = [name for name in expected if name not in tensors]
    surplus = sorted(name for name in tensors if name not in expected)
    shapes = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    kinds = [
        name for name, tensor in expected.items()
        if name in tensors and tensors[name].is_floating_point() != tensor.is_floating_point()
    ]  # fmt: skip
    lists = (("missing", missing), ("surplus", surplus), ("mis-shaped", shapes), ("of another kind", kinds))
    told = "; ".join(f"{len(names)} {word}: {_first(names)}" for word, names in lists if names)
    if told:
        raise StandoutError("weights-do-not-fit", f"{kind} tensors do not fit ({told})", path, "nothing was loaded")


def _first(names: Iterable[str]) -> str:
    from standout.errors import printable

    names = [printable(name[:120]) for name in names]
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
