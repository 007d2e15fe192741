"""Networks of other libraries, known by what they have and not by whose they are; none of these is imported.

Three kinds: an encoder with a decoder and a segmentation head (segmentation_models_pytorch), a segmentation model whose
output has `logits` and `hidden_states` (transformers), and a backbone that gives feature maps (timm's `features_only`,
transformers' backbones), on which standout's own fusion is put.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from standout.networks.adapters import AdaptedModule
from standout.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from standout.networks.fusion import FusionNet
from standout.networks.network import Network
from standout.shapes import Image, Logits, Maps

STRIDES = (4, 8, 16, 32)
PROBE = 64
"""Side of the picture of zeros that tells the strides and channels of what a module gives."""

Run = Callable[[nn.Module, Tensor], tuple[Tensor, Sequence[Any]]]


def adapt(
    module: nn.Module,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    width: int = 32,
    separable: bool = True,
) -> Network:
    """Return `module` with the face of a network, so that training, strategies and measures take it.

    Parameters
    ----------
    module : a segmentation model of segmentation_models_pytorch or of transformers with one class, a backbone of timm
        (`features_only=True`) or transformers, or any module that takes (N, 3, H, W) and returns logits (N, 1, h, w).
        It is used itself, not copied.
    mean, std : how to normalise RGB in 0..1 for it. By default as a timm model says of itself, ImageNet's for the other
        libraries' models, and for a plain module not at all.
    width, separable : of the fusion that is put on a backbone, see `build_network`.

    Raises
    ------
    TypeError : `module` is no torch module.
    ValueError : `mean` or `std` is not three numbers; or a backbone lacks the features at strides 4, 8, 16 and 32.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"adapt takes a torch module, not {type(module).__name__}")
    stated = getattr(module, "pretrained_cfg", None) or {}
    chosen = (
        mean or (stated.get("mean") if isinstance(stated, Mapping) else None) or IMAGENET_MEAN,
        std or (stated.get("std") if isinstance(stated, Mapping) else None) or IMAGENET_STD,
    )
    if all(isinstance(getattr(module, part, None), nn.Module) for part in ("encoder", "decoder", "segmentation_head")):
        return BridgedModule(module, *chosen, _encoder_decoder)
    if hasattr(module, "feature_info"):
        return FusionNet(FeatureBackbone(module, *chosen), width=width, separable=separable)
    if hasattr(module, "config"):
        if hasattr(module, "out_features") and not hasattr(module, "decode_head"):
            return FusionNet(FeatureBackbone(module, *chosen), width=width, separable=separable)
        return BridgedModule(module, *chosen, _with_hidden_states)
    return AdaptedModule(module, mean or (0.0, 0.0, 0.0), std or (1.0, 1.0, 1.0))


class BridgedModule(Network):
    """A segmentation model with the levels of its encoder, as far as it has them.

    Parameters
    ----------
    module : gives one map of logits.
    mean, std : three numbers each, for RGB in 0..1.
    run : calls it on a normalised image and returns logits and features.

    Raises
    ------
    ValueError : it does not give one map of logits.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, module: nn.Module, mean: Sequence[float], std: Sequence[float], run: Run) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f"mean and std must be three numbers each, std above 0, not {mean} and {std}")
        self.module = module
        self._run = run
        self.register_buffer("mean", torch.tensor(tuple(mean), dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(tuple(std), dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        logits, features = probed(module, lambda image: run(module, image))
        if logits.ndim != 4 or logits.shape[1] != 1:
            raise ValueError(f"{type(module).__name__} must give one map, (N, 1, h, w), not {tuple(logits.shape)}")
        # The last feature at a stride is the one that its stage ends with.
        self._places = {
            f"encoder{PROBE // feature.shape[-1]}": number
            for number, feature in enumerate(features)
            if isinstance(feature, Tensor) and feature.ndim == 4 and PROBE // feature.shape[-1] in STRIDES
        }
        self.channels = {level: int(features[number].shape[1]) for level, number in self._places.items()}

    def forward(self, image: Image, levels: Sequence[str] = ()) -> Maps:
        """Return logits (N, 1, H, W) at the image's size and the asked levels.

        Raises
        ------
        ValueError : a level that the module does not have.
        """
        unknown = [level for level in levels if level not in self.channels]
        if unknown:
            known = ", ".join(self.channels) or "none"
            raise ValueError(f"no level {', '.join(unknown)}; {type(self.module).__name__} has {known}")
        logits, features = self._run(self.module, (image - self.mean) / self.std)
        if logits.shape[-2:] != image.shape[-2:]:
            size = (image.shape[-2], image.shape[-1])
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return Maps(logits, {level: features[self._places[level]] for level in levels})

    def head(self, feature: Tensor, size: tuple[int, int]) -> Logits:  # noqa: ARG002 - the face of every network
        """Refuse: an adapted module has no decoder level that its head could be given.

        Raises
        ------
        ValueError : always.
        """
        raise ValueError(f"{type(self.module).__name__} has no decoder levels here, so its head is not used alone")


class FeatureBackbone(Backbone):
    """Another library's backbone, with the features at strides 4, 8, 16 and 32.

    Raises
    ------
    ValueError : it does not give these.
    """

    def __init__(self, module: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        features, larger = (
            probed(module, lambda image: _feature_maps(module, image), size) for size in (PROBE, 2 * PROBE)
        )
        found: dict[int, tuple[int, int, bool]] = {}
        for number, (feature, other) in enumerate(zip(features, larger, strict=True)):
            # Some transformers put the channels last: what does not grow with the picture is the channels.
            last = feature.shape[3] == other.shape[3]
            side, channels = (feature.shape[1], feature.shape[3]) if last else (feature.shape[3], feature.shape[1])
            found[PROBE // side] = (number, channels, last)
        missing = [str(stride) for stride in STRIDES if stride not in found]
        if missing:
            raise ValueError(f"{type(module).__name__} gives no features at stride {', '.join(missing)}")
        super().__init__([found[stride][1] for stride in STRIDES], mean, std)
        self.module = module
        self._places = [(found[stride][0], found[stride][2]) for stride in STRIDES]

    def features(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the four features of an image that is already normalised."""
        found = _feature_maps(self.module, feature)
        first, second, third, fourth = (
            found[number].permute(0, 3, 1, 2) if last else found[number] for number, last in self._places
        )
        return first, second, third, fourth


def probed(module: nn.Module, call: Callable[[Tensor], Any], size: int = PROBE) -> Any:
    """Return what a module makes of a picture of zeros; it and the random streams are left as they were."""
    modes = {one: one.training for one in module.modules()}
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    module.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return call(torch.zeros(1, 3, size, size, device=device))
    finally:
        for one, training in modes.items():
            one.training = training


def _encoder_decoder(module: Any, image: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    if hasattr(module, "check_input_shape"):
        module.check_input_shape(image)
    features = module.encoder(image)
    return module.segmentation_head(module.decoder(features)), features


def _with_hidden_states(module: Any, image: Tensor) -> tuple[Tensor, Sequence[Any]]:
    output = module(image, output_hidden_states=True)
    if not isinstance(getattr(output, "logits", None), Tensor):
        raise TypeError(
            f"{type(module).__name__} gives no logits; take a model for semantic segmentation or a backbone"
        )
    return output.logits, getattr(output, "hidden_states", None) or ()


def _feature_maps(module: Any, image: Tensor) -> Sequence[Tensor]:
    output = module(image)
    maps: Sequence[Tensor] = getattr(output, "feature_maps", output)
    return maps
