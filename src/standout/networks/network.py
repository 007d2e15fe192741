"""The face that every network shows to strategies, training and prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from standout.shapes import Image, Logits, Maps

LEVELS = ("encoder4", "encoder8", "encoder16", "encoder32", "decoder32", "decoder16", "decoder8", "decoder4")


class Network(nn.Module):
    """Turns an image into a map's logits; takes RGB in 0..1 and does its own preprocessing first.

    Attributes
    ----------
    channels : level name to its number of channels; the number in a level's name is its stride.
    name, options : what `build_network(name, **options)` needs to build this network again; set by it, and empty
        where a network was made by hand. `options` holds only what JSON can.
    """

    channels: Mapping[str, int] = {}
    name: str = ""
    options: Mapping[str, Any] = {}

    def forward(self, image: Image, levels: Sequence[str] = ()) -> Maps:
        """Return logits (N, 1, H, W) at the image's size and the features of the asked levels."""
        raise NotImplementedError  # abstract

    def check_levels(self, levels: Sequence[str]) -> None:
        """Refuse levels that this network does not have.

        Raises
        ------
        ValueError : names them.
        """
        unknown = [level for level in levels if level not in self.channels]
        if unknown:
            raise ValueError(f"no level {', '.join(unknown)}; this network has {', '.join(self.channels)}")

    def take_backbone(self) -> None:
        """Take notice that a file's weights are in the backbone, where other parts start from them too."""

    def head(self, feature: Tensor, size: tuple[int, int]) -> Logits:
        """Return the logits (N, 1, *size) that the network's own head reads from its last decoder level."""
        raise NotImplementedError  # abstract
