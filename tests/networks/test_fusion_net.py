import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from standout.networks import LEVELS, NETWORKS, build_network

ENCODERS = tuple(level for level in LEVELS if level.startswith("encoder"))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_count_of_methods_b3():
    network = build_network("fusion_resnet50")

    assert count(network.backbone) == 23_508_032
    assert count(network.squeeze) == 246_272
    assert count(network.fuse) == 110_976
    assert count(network.score) == 577
    assert count(network) == 23_865_857


@pytest.mark.parametrize(
    ("name", "parameters"),
    # The backbone alone as published, without classifier and head; fusion of width 32: squeeze, three times
    # (depthwise 288 + pointwise 1024 + batch norm 64), head 289.
    [
        ("mobilenetv2_100", 1_811_712 + (24 + 32 + 96 + 320 + 8) * 32 + 3 * 1376 + 289),
        ("tf_efficientnet_lite0", 2_958_848 + (24 + 40 + 112 + 320 + 8) * 32 + 3 * 1376 + 289),
        ("mobilenetv3_small_100", 927_008 + (16 + 24 + 48 + 576 + 8) * 32 + 3 * 1376 + 289),
        ("resnet18", 11_176_512 + (64 + 128 + 256 + 512 + 8) * 32 + 3 * 1376 + 289),
    ],
)
def test_light_networks_have_a_separable_fusion_of_width_32(name, parameters):
    assert count(build_network(f"fusion_{name}")) == parameters


def test_topdown_fusion_follows_its_definition():
    torch.manual_seed(1)
    network = build_network("tiny", separable=False, width=6).eval()
    image = torch.rand(2, 3, 70, 44)
    with torch.no_grad():
        maps = network(image, LEVELS)

        p = [
            torch.relu(norm(convolution(maps.features[level])))
            for level, (convolution, norm, _) in zip(ENCODERS, network.squeeze, strict=True)
        ]
        d = {5: p[3]}
        for level in (4, 3, 2):
            size = p[level - 2].shape[-2:]
            up = F.interpolate(d[level + 1], size=size, mode="bilinear", align_corners=False)
            convolution, norm, _ = network.fuse[level - 2]
            d[level] = torch.relu(norm(F.conv2d(p[level - 2] + up, convolution.weight, padding=1)))
        score = F.conv2d(d[2], network.score.weight, network.score.bias, padding=1)
        expected = F.interpolate(score, size=(70, 44), mode="bilinear", align_corners=False)

    for level in (2, 3, 4, 5):
        assert torch.allclose(maps.features[f"decoder{2**level}"], d[level], atol=1e-5)
    assert torch.allclose(maps.logits, expected, atol=1e-5)
    assert torch.equal(maps.logits, network.head(maps.features["decoder4"], (70, 44)))


def test_concat_fusion_has_one_decoder_level_and_one_convolution():
    torch.manual_seed(1)
    network = build_network("tiny", fusion="concat", separable=False, width=6).eval()
    with torch.no_grad():
        maps = network(torch.rand(1, 3, 48, 40), (*ENCODERS, "decoder4"))
        p = [squeeze(maps.features[level]) for level, squeeze in zip(ENCODERS, network.squeeze, strict=True)]
        resized = [F.interpolate(x, size=(12, 10), mode="bilinear", align_corners=False) for x in p]
        convolution, norm, _ = network.fuse[0]
        expected = torch.relu(norm(F.conv2d(torch.cat(resized, 1), convolution.weight, padding=1)))

    assert len(network.fuse) == 1
    assert [level for level in network.channels if level.startswith("decoder")] == ["decoder4"]
    assert torch.allclose(maps.features["decoder4"], expected, atol=1e-5)


FUSED = [name for name in NETWORKS if not name.startswith("cascade_")]


@pytest.mark.parametrize("name", [name for name in FUSED if name != "fusion_resnet50"])
def test_levels_have_the_stated_channels_and_strides(name):
    network = build_network(name).eval()
    with torch.no_grad():
        features = network(torch.rand(1, 3, 64, 96), LEVELS).features

    assert tuple(network.channels) == LEVELS
    assert list(features) == list(LEVELS)
    for level, feature in features.items():
        stride = int(level.removeprefix("encoder").removeprefix("decoder"))
        assert feature.shape == (1, network.channels[level], 64 // stride, 96 // stride)


def test_only_asked_levels_are_returned():
    network = build_network("tiny").eval()

    assert network(torch.rand(1, 3, 32, 32)).features == {}
    assert list(network(torch.rand(1, 3, 32, 32), ("decoder8",)).features) == ["decoder8"]


def test_an_unknown_level_is_refused_by_name():
    with pytest.raises(ValueError, match=r"decoder64.*encoder4"):
        build_network("tiny")(torch.rand(1, 3, 32, 32), ("decoder64",))


@given(
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    padding=st.sampled_from(["plain", "same"]),
    fusion=st.sampled_from(["topdown", "concat"]),
)
@settings(max_examples=30, deadline=None)
def test_any_size_gives_logits_of_that_size(height, width, padding, fusion):
    network = build_network("tiny", padding=padding, fusion=fusion).eval()
    with torch.no_grad():
        logits = network(torch.rand(2, 3, height, width)).logits

    assert logits.shape == (2, 1, height, width)
    assert logits.isfinite().all()


def test_b07_maps_have_the_images_size():
    network = build_network("pocket").eval()
    for side in (224, 225, 256):
        with torch.no_grad():
            assert network(torch.rand(1, 3, side, side)).logits.shape == (1, 1, side, side)


def test_start_is_kaiming_with_unit_batch_norms():
    torch.manual_seed(0)
    for name in ("fusion_resnet18", "fusion_mobilenetv2_100"):
        for part in build_network(name).modules():
            if isinstance(part, nn.Conv2d) and part.weight.numel() > 20_000:
                fan_in = part.weight[0].numel()
                assert float(part.weight.detach().std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
            if isinstance(part, nn.BatchNorm2d):
                assert torch.equal(part.weight, torch.ones_like(part.weight))
                assert torch.equal(part.bias, torch.zeros_like(part.bias))


def test_pictures_of_a_batch_do_not_mix_when_it_runs():
    network = build_network("tiny").eval()
    images = torch.rand(3, 3, 40, 40)
    with torch.no_grad():
        whole = network(images).logits
        alone = torch.cat([network(image[None]).logits for image in images])

    assert torch.allclose(whole, alone, atol=1e-5)


def test_tiny_learns_a_bright_square():
    torch.manual_seed(0)
    network = build_network("tiny")
    numbers = torch.Generator().manual_seed(0)
    images = torch.rand(8, 3, 32, 32, generator=numbers) * 0.4
    masks = torch.zeros(8, 1, 32, 32)
    for index in range(8):
        top, left = torch.randint(0, 16, (2,), generator=numbers).tolist()
        masks[index, :, top : top + 16, left : left + 16] = 1
    images = images + 0.6 * masks
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = F.binary_cross_entropy_with_logits(network(images).logits, masks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.5 * losses[0]
    network.eval()
    with torch.no_grad():
        overlap = ((network(images).logits > 0) == (masks > 0.5)).float().mean()
    assert overlap > 0.9


def test_every_parameter_learns():
    for name in ("tiny", "pocket"):
        network = build_network(name)
        network(torch.rand(2, 3, 64, 64)).logits.square().mean().backward()
        assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("options", [{"padding": "same"}, {"padding": "plain", "fusion": "concat"}])
def test_an_exported_graph_takes_any_batch_and_size(options):
    torch.manual_seed(0)

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = build_network("tiny", **options)

        def forward(self, image):
            return self.network(image).logits

    module = Logits().eval()
    sizes = [torch.export.Dim("batch"), None, torch.export.Dim("height", min=33), torch.export.Dim("width", min=33)]
    shapes = {"image": {axis: size for axis, size in enumerate(sizes) if size is not None}}
    graph = torch.export.export(module, (torch.rand(2, 3, 64, 96),), dynamic_shapes=shapes).module()

    for shape in ((1, 3, 65, 99), (3, 3, 33, 40), (2, 3, 128, 64)):
        image = torch.rand(shape)
        with torch.no_grad():
            assert torch.allclose(graph(image), module(image), atol=1e-5)
