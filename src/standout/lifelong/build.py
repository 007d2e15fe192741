"""Recognisers by name, and what they start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from standout.errors import EXIT_USAGE, StandoutError
from standout.files import sha256_of
from standout.lifelong.network import HEADS, REFINEMENTS, PlainRecogniser, Recogniser, SaliencyRecogniser
from standout.lifelong.saliency import SAL_INITS
from standout.lifelong.vgg import SIXTEEN, VGGRecogniser, our_name
from standout.metadata import is_whole
from standout.names import unknown
from standout.networks import build_network
from standout.networks.backbone import IMAGENET_MEAN, IMAGENET_STD
from standout.networks.build import checked_option
from standout.networks.mobile import MOBILENETV2_100
from standout.networks.pocket import TINY_OF_SEVEN
from standout.networks.torchvision import timm_name
from standout.weights import load_backbone, load_weights

_PREPARATION = {"padding": "plain", "eps": 1e-5, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
_SALIENCY = {
    "refine": "conv", "head": "fc", "sal_init": "imagenet", "ha_kernel": 31, "ha_trainable": True, "size": 224,
    **_PREPARATION,
}  # fmt: skip
_BACKBONE = "fusion_mobilenetv2_100"

# name -> (what it is, what it is made of, its options and their defaults)
RECOGNISERS: Mapping[str, tuple[type[Recogniser], Mapping[str, Any], Mapping[str, Any]]] = {
    "mobilenetv2_100": (PlainRecogniser, {"table": MOBILENETV2_100, "head_width": 1280}, _PREPARATION),
    "sdkd_mobilenetv2_100": (
        SaliencyRecogniser,
        {"table": MOBILENETV2_100, "head_width": 1280, "width": 32},
        _SALIENCY,
    ),
    "sdkd_tiny": (
        SaliencyRecogniser,
        {"table": TINY_OF_SEVEN, "head_width": 32, "width": 8},
        {**_SALIENCY, "ha_kernel": 3},
    ),
    "tiny": (PlainRecogniser, {"table": TINY_OF_SEVEN, "head_width": 32}, _PREPARATION),
    "vgg16": (VGGRecogniser, {"stages": SIXTEEN, "hidden": 4096}, {key: _PREPARATION[key] for key in ("mean", "std")}),
}


def build_recogniser(name: str, classes: Sequence[str], **options: Any) -> Recogniser:
    """Return a new recogniser with random weights; `name` and the full `options` stay with it.

    Parameters
    ----------
    name : a key of `RECOGNISERS`.
    classes : names of the classes, at least one; each becomes a row of the classifier.
    refine : "conv", "sigmoid" or "minmax": how the saliency map becomes the gate.
    head : "fc", "deep" or "flatten": what classifies the gated feature.
    sal_init : what the maps start from, "imagenet" or "sod"; the second is a word about weights that
        `standout.lifelong.load_saliency` brings, and builds nothing else.
    ha_kernel : side of the holistic attention's kernel, odd, at most 101.
    ha_trainable : whether that kernel learns.
    size : side of the pictures, which the head "flatten" is made for.
    padding, eps, mean, std : of the backbone, as `standout.build_network` takes them.

    Raises
    ------
    StandoutError : exit code 2, an unknown name or option (with the nearest known one) or a value out of range.
    ValueError : no class, or one given twice.
    """
    full = whole_options(name, options)
    if not classes or len(set(classes)) < len(classes):
        raise ValueError("a recogniser needs at least one class, each named once")
    make, parts, _ = RECOGNISERS[name]
    recogniser = make(classes=classes, **parts, **full)
    recogniser.name, recogniser.options = name, full
    return recogniser


def whole_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recogniser's options with its defaults filled in.

    Raises
    ------
    StandoutError : exit code 2, an unknown name or option (with the nearest known one) or a value out of range.
    """
    if name not in RECOGNISERS:
        raise unknown("recogniser", name, RECOGNISERS)
    defaults = RECOGNISERS[name][2]
    for option in options:
        if option not in defaults:
            raise unknown(f"option of {name}", option, defaults)
    return {option: _checked(option, value) for option, value in {**defaults, **options}.items()}


def _checked(option: str, value: Any) -> Any:
    """Return the option's value as JSON would hold it."""
    choices = {"refine": REFINEMENTS, "head": HEADS, "sal_init": SAL_INITS}
    if option in choices:
        wanted, fits = " or ".join(choices[option]), value in choices[option]
    elif option == "size":
        wanted, fits = "a whole number from 32 to 4096", is_whole(value) and 32 <= value <= 4096
    else:
        return checked_option(option, value)
    if not fits:
        raise StandoutError("option-value", f"{option} must be {wanted}", f"{option}={value!r}", exit_code=2)
    return value


def load_pretrained(recogniser: Recogniser, path: str | Path) -> str:
    """Start a recogniser from a file with the names of timm or torchvision; return the file's sha256.

    MobileNetV2's every copy of blocks 6 and 7 starts from the file's own. VGG-16 takes torchvision's names.

    Raises
    ------
    StandoutError : a tensor is missing or of another shape, or a known file needs other options; exit code 2, the
        recogniser is neither MobileNetV2 nor VGG.
    """
    check_takes_weights(recogniser.name, path)
    if isinstance(recogniser, VGGRecogniser):
        return _load_vgg(recogniser, path)
    # The reader of backbone files checks names, shapes, sha256 and preparation; it fills a network's backbone.
    carrier = build_network(_BACKBONE, **{key: recogniser.options[key] for key in _PREPARATION})
    digest = load_backbone(carrier, path)
    stored = {timm_name(_BACKBONE, name): tensor for name, tensor in load_weights(path)[0].items()}
    head = {name: tensor for name, tensor in stored.items() if name.startswith(("conv_head.", "bn2."))}
    missing = [f"{name} is missing" for name in _HEAD if name not in head]
    if missing:
        raise StandoutError("weights-do-not-fit", f"head tensors do not fit ({missing[0]})", path, "nothing was loaded")
    counter = {"bn2.num_batches_tracked": stored.get("bn2.num_batches_tracked", _zero())}
    backbone = carrier.get_submodule("backbone").state_dict()
    recogniser.take_pretrained(backbone, {**head, **counter})
    return digest


def check_takes_weights(name: str, path: str | Path) -> None:
    """Refuse a file of pretrained weights for a recogniser that is neither MobileNetV2 nor VGG-16.

    Raises
    ------
    StandoutError : exit code 2; names recogniser and file.
    """
    if name != "vgg16" and not is_mobile(name):
        taking = ", ".join(name for name in RECOGNISERS if name == "vgg16" or is_mobile(name))
        raise StandoutError(
            "weights-unused", f"{name} starts from random weights alone", path,
            f"leave --pretrained out, or take one of {taking}", exit_code=EXIT_USAGE,
        )  # fmt: skip


def is_mobile(name: str) -> bool:
    """Whether a recogniser is made of MobileNetV2, so that timm's and torchvision's files fit."""
    return name.endswith("mobilenetv2_100")


def _load_vgg(recogniser: VGGRecogniser, path: str | Path) -> str:
    """Take everything but the classifier from a file of torchvision's names."""
    stored = {our_name(name): tensor for name, tensor in load_weights(path)[0].items()}
    own = {name: tensor for name, tensor in recogniser.state_dict().items() if not name.startswith("classifier.")}
    wrong = [name for name, tensor in own.items() if name not in stored or stored[name].shape != tensor.shape]
    if wrong:
        raise StandoutError(
            "weights-do-not-fit", "tensors do not fit", f"{path} has no fitting {wrong[0]}",
            "give VGG-16 with torchvision's names", exit_code=EXIT_USAGE,
        )  # fmt: skip
    recogniser.load_state_dict({name: stored[name] for name in own}, strict=False)
    return sha256_of(Path(path))


_HEAD = ("conv_head.weight", "bn2.weight", "bn2.bias", "bn2.running_mean", "bn2.running_var")


def _zero() -> Any:
    return nn.BatchNorm2d(1).state_dict()["num_batches_tracked"]
