import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm_names import TIMM, digest, stated_image, stated_weights

from standout.networks import build_network
from standout.networks.blocks import SameConv2d, SqueezeExcite, eighths


def learned(backbone):
    return {name: tensor for name, tensor in backbone.state_dict().items() if not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize(("name", "padding"), TIMM)
def test_names_shapes_and_features_are_timms(name, padding):
    count, names, levels = TIMM[name, padding]
    backbone = build_network(f"fusion_{name}", padding=padding).backbone.eval()
    shapes = {key: tuple(tensor.shape) for key, tensor in learned(backbone).items()}

    assert (len(shapes), digest(shapes)) == (count, names)
    backbone.load_state_dict(stated_weights(shapes), strict=False)
    with torch.no_grad():
        features = backbone.features(stated_image())
    for feature, (channels, size, value) in zip(features, levels, strict=True):
        assert feature.shape[1] == channels
        assert float(feature.abs().mean()) == pytest.approx(size, rel=1e-4)
        assert float(feature[0, 3, 1, 1]) == pytest.approx(value, rel=1e-3, abs=1e-3)


@given(
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    kernel=st.sampled_from([3, 5]),
    stride=st.sampled_from([2, 3]),
)
@settings(max_examples=40, deadline=None)
def test_same_padding_follows_its_definition(height, width, kernel, stride):
    numbers = np.random.default_rng(height * 100 + width)
    image, weight = numbers.normal(size=(height, width)), numbers.normal(size=(kernel, kernel))
    rows, columns = -(-height // stride), -(-width // stride)
    top = max((rows - 1) * stride + kernel - height, 0) // 2
    left = max((columns - 1) * stride + kernel - width, 0) // 2
    expected = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            for i in range(kernel):
                for j in range(kernel):
                    y, x = row * stride + i - top, column * stride + j - left
                    if 0 <= y < height and 0 <= x < width:
                        expected[row, column] += image[y, x] * weight[i, j]

    layer = SameConv2d(1, 1, kernel, stride, bias=False, dtype=torch.float64)
    layer.weight.data[0, 0] = torch.from_numpy(weight)
    got = layer(torch.from_numpy(image)[None, None])[0, 0].detach().numpy()

    assert np.abs(got - expected).max() < 1e-12


def test_padding_changes_only_strided_convolutions():
    plain = build_network("fusion_mobilenetv2_100", padding="plain").backbone.eval()
    same = build_network("fusion_mobilenetv2_100", padding="same").backbone.eval()
    same.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 64, 64)

    assert sum(isinstance(part, SameConv2d) for part in same.modules()) == 5
    assert not any(isinstance(part, SameConv2d) for part in plain.modules())
    with torch.no_grad():
        assert not torch.allclose(plain(image)[0], same(image)[0])


def test_a_gate_follows_its_definition():
    torch.manual_seed(0)
    gate = SqueezeExcite(16)
    feature = torch.randn(2, 16, 5, 4)
    mean = feature.mean((2, 3))
    inner = torch.relu(mean @ gate.conv_reduce.weight[:, :, 0, 0].T + gate.conv_reduce.bias)
    outer = inner @ gate.conv_expand.weight[:, :, 0, 0].T + gate.conv_expand.bias
    expected = feature * torch.clamp((outer + 3) / 6, 0, 1)[:, :, None, None]

    assert torch.allclose(gate(feature), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "expected"), [(4, 8), (11.9, 16), (18, 24), (24, 24), (30, 32), (36, 40), (60, 64)]
)
def test_channels_are_rounded_as_in_mobilenet(channels, expected):
    assert eighths(channels) == expected


def test_a_backbone_normalises_first_and_stores_no_preparation():
    network = build_network("tiny", mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 2.0]).eval()
    image = torch.rand(1, 3, 32, 32)
    normalised = torch.stack(
        [(image[:, i] - m) / s for i, (m, s) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 2.0)])], 1
    )

    with torch.no_grad():
        for one, other in zip(network.backbone(image), network.backbone.features(normalised), strict=True):
            assert torch.allclose(one, other, atol=1e-5)
    assert not [key for key in network.state_dict() if key.endswith(("mean", "std")) and "running" not in key]


def test_every_batch_norm_has_the_stated_eps():
    for name in ("fusion_mobilenetv3_small_100", "fusion_resnet18", "pocket"):
        backbone = build_network(name, eps=0.002).backbone
        found = {part.eps for part in backbone.modules() if isinstance(part, torch.nn.BatchNorm2d)}
        assert found == {0.002}
