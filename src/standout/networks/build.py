"""Networks by name: one literal table, and everything that a name and its options decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from standout.errors import StandoutError
from standout.names import unknown
from standout.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from standout.networks.blocks import PADDINGS
from standout.networks.fusion import FUSIONS, FusionNet
from standout.networks.mobile import EFFICIENTNET_LITE0, MOBILENETV2_100, MOBILENETV3_SMALL_100, MobileBackbone, Table
from standout.networks.network import Network
from standout.networks.pocket import POCKET, TINY
from standout.networks.resnet import Basic, Bottleneck, ResNetBackbone

_IMAGENET = {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
_LIGHT = {"width": 32, "separable": True, "fusion": "topdown", "padding": "plain", "eps": 1e-5, **_IMAGENET}


def _mobile(table: Table) -> Callable[..., Backbone]:
    return partial(MobileBackbone, table)


def _residual(block: type[Basic] | type[Bottleneck], *depths: int) -> Callable[..., Backbone]:
    def make(padding: str, **options: Any) -> Backbone:
        if padding != "plain":
            raise StandoutError(
                "option-value",
                "a residual network knows plain padding only",
                f"padding={padding}",
                "leave padding out, or set padding=plain",
                exit_code=2,
            )
        return ResNetBackbone(block, depths, **options)

    return make


# name -> (what makes its backbone from padding, eps, mean and std; its options and their defaults)
NETWORKS: Mapping[str, tuple[Callable[..., Backbone], Mapping[str, Any]]] = {
    "fusion_mobilenetv2_100": (_mobile(MOBILENETV2_100), _LIGHT),
    "fusion_mobilenetv3_small_100": (_mobile(MOBILENETV3_SMALL_100), _LIGHT),
    "fusion_resnet18": (_residual(Basic, 2, 2, 2, 2), _LIGHT),
    "fusion_resnet50": (_residual(Bottleneck, 3, 4, 6, 3), {**_LIGHT, "width": 64, "separable": False}),
    "fusion_tf_efficientnet_lite0": (
        _mobile(EFFICIENTNET_LITE0),
        {**_LIGHT, "padding": "same", "eps": 1e-3, "mean": [127 / 255] * 3, "std": [128 / 255] * 3},
    ),
    "pocket": (_mobile(POCKET), _LIGHT),
    "tiny": (_mobile(TINY), {**_LIGHT, "width": 8}),
}


def build_network(name: str, **options: Any) -> Network:
    """Return a new network with random weights; `name` and the full `options` stay with it.

    Parameters
    ----------
    name : a key of `NETWORKS`.
    width : channels of the fusion, 1..4096.
    separable : depthwise-separable fusion instead of full 3x3 convolutions.
    fusion : "topdown" or "concat".
    padding : "plain" or "same" (TensorFlow's) for the backbone's strided convolutions.
    eps : of the backbone's batch norms, above 0.
    mean, std : three numbers each, for RGB in 0..1; the network normalises by itself.

    Raises
    ------
    StandoutError : exit code 2, an unknown name or option (with the nearest known one) or a value out of range.
    """
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    make_backbone, defaults = NETWORKS[name]
    for option in options:
        if option not in defaults:
            raise unknown(f"option of {name}", option, defaults)
    full = {option: _checked(option, value) for option, value in {**defaults, **options}.items()}
    backbone = make_backbone(**{option: full[option] for option in ("padding", "eps", "mean", "std")})
    network = FusionNet(backbone, width=full["width"], separable=full["separable"], fusion=full["fusion"])
    network.name, network.options = name, full
    return network


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _checked(option: str, value: Any) -> Any:
    """Return the option's value as JSON would hold it."""
    if option in ("mean", "std"):
        whole = isinstance(value, (list, tuple)) and len(value) == 3 and all(_is_number(v) for v in value)
        if whole and (option == "mean" or min(value) > 0):
            return [float(v) for v in value]
        wanted = "three numbers" if option == "mean" else "three numbers above 0"
    elif option == "eps":
        if _is_number(value) and value > 0:
            return float(value)
        wanted = "a number above 0"
    elif option == "width":
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4096:
            return value
        wanted = "a whole number from 1 to 4096"
    elif option == "separable":
        if isinstance(value, bool):
            return value
        wanted = "true or false"
    else:
        known = FUSIONS if option == "fusion" else PADDINGS
        if value in known:
            return value
        wanted = " or ".join(known)
    raise StandoutError(
        "option-value", f"{option} must be {wanted}", f"{option}={value!r}", "leave it out for its default", exit_code=2
    )
