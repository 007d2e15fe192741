"""Recognisers: SDKD's, which gates what it classifies by where the object is, and plain MobileNetV2."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from standout.networks.blocks import convolution, initialise
from standout.networks.cascade import BLOCK5, BLOCK6, BLOCK7, CascadeNet, smallest_to_largest, trunk
from standout.networks.mobile import MobileBackbone, Table
from standout.shapes import Image, Logits, Map

REFINEMENTS = ("conv", "sigmoid", "minmax")
HEADS = ("fc", "deep", "flatten")


class Recognised(NamedTuple):
    """What one forward pass of a recogniser gives; the last four are None where it has no saliency branch.

    scores : (N, K), before the softmax.
    map : (N, 1, H/16, W/16) in [0, 1], the refined map that gates the feature.
    map_logits : of the second decoder; `attention_logits` of the first one.
    map_feature : (N, C, H/16, W/16), what `map_logits` is read from.
    """

    scores: Tensor
    map: Map | None = None
    map_logits: Logits | None = None
    attention_logits: Logits | None = None
    map_feature: Tensor | None = None


class Recogniser(nn.Module):
    """Turns an image into class scores; takes RGB in 0..1 and does its own preprocessing first.

    Attributes
    ----------
    name, options : what `build_recogniser(name, classes, **options)` needs to build it again, besides the classes.
    classes : the classes' names, one a row of `classifier`.
    classifier : the last layer.
    has_map : whether it says where the object is.
    """

    name: str = ""
    options: Mapping[str, Any] = {}
    has_map = False
    classifier: nn.Linear

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = tuple(classes)

    def forward(self, image: Image) -> Recognised:
        """Return the scores of an image (N, 3, H, W)."""
        return self.upper(self.lower(image))

    def lower(self, image: Image) -> Tensor:
        """Return the feature of block 5, (N, C, H/16, W/16), of an image (N, 3, H, W)."""
        return trunk(self.shared(), image)[BLOCK5]

    def upper(self, block5: Tensor) -> Recognised:
        """Return what is recognised in a feature of block 5."""
        raise NotImplementedError  # abstract

    def shared(self) -> MobileBackbone:
        """Return the backbone, whose stem and first five blocks are the lower half."""
        raise NotImplementedError  # abstract

    def lower_parts(self) -> list[nn.Module]:
        """Return the modules of the lower half."""
        backbone = self.shared()
        return [backbone.conv_stem, backbone.bn1, *backbone.blocks[:BLOCK6]]

    def take_pretrained(self, backbone: Mapping[str, Tensor], head: Mapping[str, Tensor]) -> None:
        """Start from a backbone's weights and those of its `conv_head` and `bn2`, under timm's names."""
        raise NotImplementedError  # abstract

    def grow(self, classes: Sequence[str], *, seed: int) -> None:
        """Add classes: old rows of the classifier stay as they are, new rows are drawn from `seed` alone.

        Raises
        ------
        ValueError : a class that is there already, or is given twice.
        """
        every = (*self.classes, *classes)
        if len(set(every)) < len(every):
            raise ValueError(f"a class is there already: {', '.join(sorted({c for c in every if every.count(c) > 1}))}")
        if not classes:
            return
        old = self.classifier
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            new = nn.Linear(old.in_features, len(every)).to(old.weight.dtype)
        with torch.no_grad():
            new.weight[: len(self.classes)] = old.weight.cpu()
            new.bias[: len(self.classes)] = old.bias.cpu()
        self.classifier = new.to(old.weight.device)
        self.classes = every


class PlainRecogniser(Recogniser):
    """MobileNetV2 as published: backbone, 1280 head convolution, mean over the picture, one linear layer."""

    def __init__(
        self, table: Table, classes: Sequence[str], *, head_width: int, padding: str, eps: float, mean: Any, std: Any
    ) -> None:
        super().__init__(classes)
        self.backbone = MobileBackbone(table, padding=padding, eps=eps, mean=mean, std=std)
        self.head = HeadConvolution(table.stages[-1][-1].outputs, head_width, eps)
        self.classifier = nn.Linear(head_width, len(self.classes))

    def shared(self) -> MobileBackbone:
        """Return the backbone."""
        return self.backbone

    def upper(self, block5: Tensor) -> Recognised:
        """Return the scores of a feature of block 5."""
        last = self.backbone.blocks[BLOCK7](self.backbone.blocks[BLOCK6](block5))
        return Recognised(self.classifier(self.head(last).mean((2, 3))))

    def take_pretrained(self, backbone: Mapping[str, Tensor], head: Mapping[str, Tensor]) -> None:
        """Start the backbone and the head convolution from these weights."""
        self.backbone.load_state_dict(backbone)
        self.head.load_state_dict(head)


class SaliencyRecogniser(Recogniser):
    """SDKD's network (Yang 2019): the cascade's refined map multiplies block 5's feature, which is then classified.

    Parameters
    ----------
    refine : what makes the gate of the second map's logits: two learnt convolutions ("conv"), "sigmoid", or the
        sigmoid stretched to 0..1 ("minmax").
    sal_init : what the cascade starts from; it changes no shape.
    head : "fc", the mean over the gated feature and one linear layer; "deep", further copies of blocks 6 and 7 and
        the head convolution first; "flatten", one linear layer over all places, for pictures of `size` only.
    """

    has_map = True

    def __init__(
        self,
        table: Table,
        classes: Sequence[str],
        *,
        refine: str,
        head: str,
        sal_init: str,
        size: int,
        head_width: int,
        eps: float,
        **cascade: Any,
    ) -> None:
        super().__init__(classes)
        self.cascade = CascadeNet(table, eps=eps, **cascade)
        self.refine, self.sal_init = refine, sal_init
        if refine == "conv":
            self.refined = nn.Sequential(
                convolution(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Conv2d(16, 1, 3, padding=1)
            )
            initialise(self.refined)
        channels = table.stages[BLOCK5][-1].outputs
        self.head = head
        if head == "deep":
            self.deep = nn.Sequential(*copy.deepcopy(self.cascade.backbone.blocks[BLOCK6:]))
            self.deep_head = HeadConvolution(table.stages[-1][-1].outputs, head_width, eps)
            channels = head_width
        elif head == "flatten":
            channels *= (-(-size // 16)) ** 2
        self.classifier = nn.Linear(channels, len(self.classes))

    def shared(self) -> MobileBackbone:
        """Return the cascade's backbone."""
        return self.cascade.backbone

    def upper(self, block5: Tensor) -> Recognised:
        """Return the scores and maps of a feature of block 5."""
        found = self.cascade.detect(block5)
        gate = self.gate(found.second)
        scores = self.classify(found.block5 * gate)
        return Recognised(scores, gate, found.second, found.first, found.feature)

    def gate(self, logits: Logits) -> Map:
        """Return the refined map of the second decoder's logits."""
        if self.refine == "conv":
            refined: Tensor = self.refined(logits)
            return refined.sigmoid()
        map = logits.sigmoid()  # noqa: A001 - the project's word
        return map if self.refine == "sigmoid" else smallest_to_largest(map)

    def classify(self, feature: Tensor) -> Tensor:
        """Return the scores (N, K) of a gated feature of block 5."""
        if self.head == "flatten":
            flat: Tensor = self.classifier(feature.flatten(1))
            return flat
        if self.head == "deep":
            feature = self.deep_head(self.deep(feature))
        scores: Tensor = self.classifier(feature.mean((2, 3)))
        return scores

    def take_pretrained(self, backbone: Mapping[str, Tensor], head: Mapping[str, Tensor]) -> None:
        """Start the backbone and every copy of its blocks 6 and 7 from these weights."""
        self.cascade.backbone.load_state_dict(backbone)
        self.cascade.take_backbone()
        if self.head == "deep":
            for part, block in zip(self.deep, self.cascade.backbone.blocks[BLOCK6:], strict=True):
                part.load_state_dict(block.state_dict())
            self.deep_head.load_state_dict(head)


class HeadConvolution(nn.Module):
    """MobileNetV2's last convolution, batch norm and relu6, under timm's names."""

    def __init__(self, inputs: int, outputs: int, eps: float) -> None:
        super().__init__()
        self.conv_head = convolution(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs, eps)
        initialise(self)

    def forward(self, feature: Tensor) -> Tensor:
        """Return (N, outputs, H, W)."""
        return nn.functional.relu6(self.bn2(self.conv_head(feature)))
