"""Networks of other libraries; here transformers, and modules of the other libraries' kinds. See tests/interop."""

import itertools
import types

import pytest
import torch
from every_strategy import EVERY, learns_by_every_strategy
from other_library import other_library
from torch import nn

from standout.distill import Pyramid
from standout.errors import StandoutError
from standout.networks import FusionNet, adapt, cost
from standout.networks.backbone import IMAGENET_MEAN, IMAGENET_STD


class Encoder(nn.Module):
    """Features at strides 1 to 32, as segmentation_models_pytorch gives them."""

    def __init__(self):
        super().__init__()
        widths = (3, 4, 6, 8, 10, 12)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in itertools.pairwise(widths)
        )

    def forward(self, image):
        features = [image]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


class Decoder(nn.Module):
    def forward(self, features):
        return features[2]


class EncoderDecoder(nn.Module):
    def __init__(self, classes=1):
        super().__init__()
        self.encoder, self.decoder, self.segmentation_head = Encoder(), Decoder(), nn.Conv2d(6, classes, 1)

    def forward(self, image):
        return self.segmentation_head(self.decoder(self.encoder(image)))


class FeatureList(Encoder):
    """As a timm model with `features_only`."""

    feature_info = ()
    pretrained_cfg = types.MappingProxyType({"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)})
    channels_last = False

    def forward(self, image):
        features = super().forward(image)[1:]
        return [feature.permute(0, 2, 3, 1) for feature in features] if self.channels_last else features


def test_an_encoder_with_decoder_and_head_keeps_its_logits_and_gives_its_encoder_levels():
    torch.manual_seed(0)
    module = EncoderDecoder().eval()
    network = adapt(module, mean=(0, 0, 0), std=(1, 1, 1)).eval()
    image = torch.rand(2, 3, 64, 96)

    maps = network(image, ("encoder8", "encoder32"))

    assert network.channels == {"encoder4": 6, "encoder8": 8, "encoder16": 10, "encoder32": 12}
    expected = nn.functional.interpolate(module(image), size=(64, 96), mode="bilinear", align_corners=False)
    assert torch.equal(maps.logits, expected)
    assert [tuple(f.shape) for f in maps.features.values()] == [(2, 8, 8, 12), (2, 12, 2, 3)]
    assert torch.equal(maps.features["encoder8"], module.encoder(image)[3])
    assert adapt(module).mean.flatten().tolist() == pytest.approx(IMAGENET_MEAN)
    assert adapt(module).std.flatten().tolist() == pytest.approx(IMAGENET_STD)


def test_looking_at_a_module_leaves_it_and_the_random_streams_as_they_were():
    module = EncoderDecoder().train()
    module.encoder.stages[0].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)

    adapt(module)

    assert torch.equal(torch.rand(1), expected)
    assert module.encoder.training
    assert not module.encoder.stages[0][1].training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_backbone_gets_the_fusion_and_its_own_normalisation(channels_last):
    torch.manual_seed(0)
    module = FeatureList()
    module.channels_last = channels_last
    network = adapt(module, width=16).eval()

    maps = network(torch.rand(2, 3, 64, 96), tuple(network.channels))

    assert isinstance(network, FusionNet)
    assert network.backbone.mean.flatten().tolist() == pytest.approx((0.5, 0.4, 0.3))
    assert {level: feature.shape[1] for level, feature in maps.features.items()} == network.channels
    assert [network.channels[f"encoder{stride}"] for stride in (4, 8, 16, 32)] == [6, 8, 10, 12]
    assert all(feature.shape[-1] == 96 // int(level[7:]) for level, feature in maps.features.items())


def test_what_a_module_lacks_is_refused_by_name():
    with pytest.raises(ValueError, match=r"EncoderDecoder must give one map, \(N, 1, h, w\), not \(1, 3, 16, 16\)"):
        adapt(EncoderDecoder(classes=3))
    shallow = FeatureList()
    shallow.stages = shallow.stages[:3]
    with pytest.raises(ValueError, match="FeatureList gives no features at stride 16, 32"):
        adapt(shallow)
    network = adapt(EncoderDecoder())
    with pytest.raises(ValueError, match="no level decoder8; EncoderDecoder has encoder4, encoder8"):
        network(torch.rand(1, 3, 64, 64), ("decoder8",))
    with pytest.raises(ValueError, match="head is not used alone"):
        network.head(torch.rand(1, 1, 8, 8), (8, 8))
    with pytest.raises(ValueError, match="three numbers"):
        adapt(EncoderDecoder(), mean=(0.5,))


@pytest.mark.parametrize("make", [EncoderDecoder, FeatureList])
def test_every_strategy_teaches_them_and_adds_nothing_that_stays(make):
    assert learns_by_every_strategy(lambda: adapt(make())) == EVERY
    network = adapt(make())
    before = cost(network, 64)
    Pyramid().bind(network, 2)
    assert cost(network, 64) == before


def test_a_plain_module_takes_all_strategies_but_the_pyramid():
    learnt = learns_by_every_strategy(lambda: adapt(nn.Conv2d(3, 1, 3, padding=1)), without=("pyramid",))

    assert len(learnt) == len(EVERY) - 1
    with pytest.raises(StandoutError, match="pyramid needs a network with decoder or encoder levels"):
        Pyramid().bind(adapt(nn.Conv2d(3, 1, 3, padding=1)), 2)


@pytest.fixture(scope="module")
def transformers():
    return other_library("transformers")


def segformer(transformers):
    settings = transformers.SegformerConfig(
        num_labels=1, hidden_sizes=[8, 16, 24, 32], depths=[1] * 4, num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=16,
    )  # fmt: skip
    return transformers.SegformerForSemanticSegmentation(settings)


def resnet(transformers):
    settings = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1] * 4, layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    return transformers.ResNetBackbone(settings), settings


def test_a_segmentation_model_of_transformers_learns_by_every_strategy(transformers):
    torch.manual_seed(0)
    module = segformer(transformers).eval()
    network = adapt(module).eval()
    image = torch.rand(1, 3, 64, 96)

    assert network.channels == {"encoder4": 8, "encoder8": 16, "encoder16": 24, "encoder32": 32}
    with torch.no_grad():
        own = module((image - network.mean) / network.std).logits
        expected = nn.functional.interpolate(own, size=(64, 96), mode="bilinear", align_corners=False)
        assert torch.equal(network(image).logits, expected)
    assert learns_by_every_strategy(lambda: adapt(segformer(transformers))) == EVERY


def test_a_backbone_of_transformers_gets_the_fusion_and_a_model_without_logits_is_refused(transformers):
    backbone, settings = resnet(transformers)
    network = adapt(backbone)

    assert isinstance(network, FusionNet)
    assert [network.channels[f"encoder{stride}"] for stride in (4, 8, 16, 32)] == [8, 16, 24, 32]
    assert learns_by_every_strategy(lambda: adapt(resnet(transformers)[0])) == EVERY
    with pytest.raises(TypeError, match="ResNetModel gives no logits; take a model for semantic segmentation"):
        adapt(transformers.ResNetModel(settings))
