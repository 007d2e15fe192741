"""Networks by name: one literal table, and everything that a name and its options decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from standout.errors import StandoutError
from standout.metadata import is_number, is_whole
from standout.names import unknown
from standout.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from standout.networks.blocks import PADDINGS
from standout.networks.cascade import CascadeNet
from standout.networks.fusion import FUSIONS, FusionNet
from standout.networks.mobile import EFFICIENTNET_LITE0, MOBILENETV2_100, MOBILENETV3_SMALL_100, MobileBackbone, Table
from standout.networks.network import Network
from standout.networks.pocket import POCKET, TINY, TINY_OF_SEVEN
from standout.networks.resnet import Basic, Bottleneck, ResNetBackbone

_PREPARATION = {"padding": "plain", "eps": 1e-5, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
_LIGHT = {"width": 32, "separable": True, "fusion": "topdown", **_PREPARATION}
_CASCADE = {"width": 32, "ha_kernel": 31, "ha_trainable": True, **_PREPARATION}


def _fused(make_backbone: Callable[..., Backbone]) -> Callable[..., Network]:
    def make(width: int, separable: bool, fusion: str, **preparation: Any) -> Network:
        return FusionNet(make_backbone(**preparation), width=width, separable=separable, fusion=fusion)

    return make


def _mobile(table: Table) -> Callable[..., Network]:
    return _fused(partial(MobileBackbone, table))


def _residual(block: type[Basic] | type[Bottleneck], *depths: int) -> Callable[..., Network]:
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

    return _fused(make)


# name -> (what makes it from its options; these options and their defaults)
NETWORKS: Mapping[str, tuple[Callable[..., Network], Mapping[str, Any]]] = {
    "cascade_mobilenetv2_100": (partial(CascadeNet, MOBILENETV2_100), _CASCADE),
    "cascade_tiny": (partial(CascadeNet, TINY_OF_SEVEN), {**_CASCADE, "width": 8, "ha_kernel": 3}),
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


def build_network(name: str, /, **options: Any) -> Network:
    """Return a new network with random weights; `name` and the full `options` stay with it.

    Parameters
    ----------
    name : a key of `NETWORKS`.
    width : channels of the fusion, or of the cascade's decoders, 1..4096.
    separable : depthwise-separable fusion instead of full 3x3 convolutions.
    fusion : "topdown" or "concat".
    ha_kernel : side of the cascade's holistic attention, odd, at most 101.
    ha_trainable : whether that kernel learns.
    padding : "plain" or "same" (TensorFlow's) for the backbone's strided convolutions.
    eps : of the backbone's batch norms, above 0.
    mean, std : three numbers each, for RGB in 0..1; the network normalises by itself.

    Raises
    ------
    StandoutError : exit code 2, an unknown name or option (with the nearest known one) or a value out of range.
    """
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    make, defaults = NETWORKS[name]
    for option in options:
        if option not in defaults:
            raise unknown(f"option of {name}", option, defaults)
    full = {option: checked_option(option, value) for option, value in {**defaults, **options}.items()}
    network = make(**full)
    network.name, network.options = name, full
    return network


def checked_option(option: str, value: Any) -> Any:
    """Return a network option's value as JSON would hold it.

    Raises
    ------
    StandoutError : exit code 2, a value out of range.
    """
    choices = {"fusion": FUSIONS, "padding": PADDINGS}
    if option in choices:
        wanted, fits = " or ".join(choices[option]), value in choices[option]
    elif option in ("mean", "std"):
        whole = isinstance(value, list | tuple) and len(value) == 3 and all(map(is_number, value))
        wanted, fits = "three numbers", whole
        if option == "std":
            wanted, fits = "three numbers above 0", whole and min(value) > 0
        value = [float(v) for v in value] if fits else value
    elif option == "eps":
        wanted, fits = "a number above 0", is_number(value) and value > 0
        value = float(value) if fits else value
    elif option == "width":
        wanted, fits = "a whole number from 1 to 4096", is_whole(value) and 1 <= value <= 4096
    elif option == "ha_kernel":
        wanted, fits = "an odd whole number from 1 to 101", is_whole(value) and value % 2 == 1 and 1 <= value <= 101
    else:
        wanted, fits = "true or false", isinstance(value, bool)
    if not fits:
        raise StandoutError(
            "option-value", f"{option} must be {wanted}", f"{option}={value!r}", "leave it out for its default",
            exit_code=2,
        )  # fmt: skip
    return value
