"""Every strategy on real networks of timm and segmentation_models_pytorch; `make interop` installs these."""

import pytest
import torch
from every_strategy import EVERY, learns_by_every_strategy
from other_library import other_library

from standout.networks import FusionNet, adapt


@pytest.fixture(scope="module")
def timm():
    return other_library("timm")


@pytest.fixture(scope="module")
def smp():
    return other_library("segmentation_models_pytorch")


TIMM = {
    "mobilenetv3_small_050": {},
    "resnet18": {},
    "convnext_atto": {},
    "swin_tiny_patch4_window7_224": {"img_size": 64, "strict_img_size": False},
}


def timm_network(timm, name):
    return adapt(timm.create_model(name, features_only=True, pretrained=False, **TIMM[name]))


@pytest.mark.parametrize("name", TIMM)
def test_timm_backbones_get_the_fusion(timm, name):
    network = timm_network(timm, name).eval()
    assert isinstance(network, FusionNet)
    maps = network(torch.rand(1, 3, 96, 96), tuple(network.channels))
    for level, feature in maps.features.items():
        assert feature.shape[1:] == (network.channels[level], 96 // int(level[7:]), 96 // int(level[7:]))


def test_every_strategy_teaches_a_timm_network(timm):
    assert learns_by_every_strategy(lambda: timm_network(timm, "mobilenetv3_small_050")) == EVERY


@pytest.mark.parametrize("name", ["Unet", "UnetPlusPlus", "FPN", "MAnet", "Segformer", "DeepLabV3Plus"])
def test_smp_models_keep_their_logits_and_give_encoder_levels(smp, name):
    torch.manual_seed(0)
    module = getattr(smp, name)("resnet18", encoder_weights=None, classes=1).eval()
    network = adapt(module).eval()
    image = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        own = module((image - network.mean) / network.std)
        assert torch.equal(network(image).logits, own)
    assert {"encoder4", "encoder8", "encoder16"} <= set(network.channels)


def test_every_strategy_teaches_an_smp_network(smp):
    def make():
        return adapt(smp.Unet("resnet18", encoder_weights=None, classes=1))

    assert learns_by_every_strategy(make) == EVERY
