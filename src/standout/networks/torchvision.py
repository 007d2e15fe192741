"""torchvision's parameter names for the mobile backbones, as timm's names; resnets agree in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# (torchvision's part, timm's part) of one block's names, by the kind of block.
_V2_DEPTHWISE = (("conv.0.0", "conv_dw"), ("conv.0.1", "bn1"), ("conv.1", "conv_pw"), ("conv.2", "bn2"))
_V2_INVERTED = (
    ("conv.0.0", "conv_pw"), ("conv.0.1", "bn1"), ("conv.1.0", "conv_dw"), ("conv.1.1", "bn2"),
    ("conv.2", "conv_pwl"), ("conv.3", "bn3"),
)  # fmt: skip
_V3_DEPTHWISE = (
    ("block.0.0", "conv_dw"), ("block.0.1", "bn1"), ("block.1.fc1", "se.conv_reduce"),
    ("block.1.fc2", "se.conv_expand"),
    ("block.2.0", "conv_pw"), ("block.2.1", "bn2"),
)  # fmt: skip
_V3_INVERTED = (
    ("block.0.0", "conv_pw"), ("block.0.1", "bn1"), ("block.1.0", "conv_dw"), ("block.1.1", "bn2"),
    ("block.2.0", "conv_pwl"), ("block.2.1", "bn3"),
)  # fmt: skip
_V3_GATED = (
    ("block.0.0", "conv_pw"), ("block.0.1", "bn1"), ("block.1.0", "conv_dw"), ("block.1.1", "bn2"),
    ("block.2.fc1", "se.conv_reduce"), ("block.2.fc2", "se.conv_expand"), ("block.3.0", "conv_pwl"),
    ("block.3.1", "bn3"),
)  # fmt: skip
_V3_LAST = (("0", "conv"), ("1", "bn1"))

_Stages = Sequence[Sequence[Sequence[tuple[str, str]]]]


def _names(stages: _Stages) -> dict[str, str]:
    """Return torchvision's module name to timm's; torchvision counts blocks through, after the stem at 0."""
    names = {"features.0.0": "conv_stem", "features.0.1": "bn1"}
    place = 1
    for stage, blocks in enumerate(stages):
        for block, parts in enumerate(blocks):
            names |= {f"features.{place}.{theirs}": f"blocks.{stage}.{block}.{timms}" for theirs, timms in parts}
            place += 1
    return names


_MOBILENETV2 = {
    **_names([[_V2_DEPTHWISE], *([_V2_INVERTED] * count for count in (2, 3, 4, 3, 3, 1))]),
    "features.18.0": "conv_head",
    "features.18.1": "bn2",
}

TORCHVISION: Mapping[str, Mapping[str, str]] = {
    "cascade_mobilenetv2_100": _MOBILENETV2,
    "fusion_mobilenetv2_100": _MOBILENETV2,
    "fusion_mobilenetv3_small_100": _names(
        [[_V3_DEPTHWISE], [_V3_INVERTED] * 2, [_V3_GATED] * 3, [_V3_GATED] * 2, [_V3_GATED] * 3, [_V3_LAST]]
    ),
}


def timm_name(network: str, name: str) -> str:
    """Return timm's name of a tensor in a torchvision weight file; any other name comes back unchanged."""
    module, _, leaf = name.rpartition(".")
    return f"{TORCHVISION[network][module]}.{leaf}" if module in TORCHVISION.get(network, {}) else name
