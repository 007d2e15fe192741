import pytest
import torch
from torch import nn

from standout.networks import Cost, build_network, cost


def test_multiply_adds_follow_their_definition():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 8 x 5 x 8 values of 3 x 9 products
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),  # 8 x 5 x 8 values of 9 products
        nn.ConvTranspose2d(8, 4, 2, stride=2),  # 8 x 5 x 8 values into 4 x 4 places
        nn.Flatten(),
        nn.Linear(4 * 10 * 16, 7),
    )

    got = cost(network, (10, 16))

    assert got.multiply_adds == 320 * 27 + 320 * 9 + 320 * 16 + 640 * 7
    assert got.parameters == (8 * 27 + 8) + 16 + (8 * 9 + 8) + (8 * 4 * 4 + 4) + (640 * 7 + 7)


@pytest.mark.parametrize(
    ("name", "side", "low", "high"),
    [
        # performance.md 3.1 measured these with one more fusion unit, at stride 32
        ("fusion_mobilenetv2_100", 320, 0.585e9, 0.595e9),
        ("fusion_mobilenetv3_small_100", 320, 0.128e9, 0.133e9),
        ("fusion_tf_efficientnet_lite0", 320, 0.758e9, 0.768e9),
        ("pocket", 320, 0.14e9, 0.16e9),
    ],
)
def test_known_networks_cost_what_was_measured(name, side, low, high):
    assert low < cost(build_network(name), side).multiply_adds < high


def test_counting_leaves_the_network_alone():
    network = build_network("tiny").train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state = torch.get_rng_state()

    first = cost(network, 64)

    assert cost(network, (64, 64)) == first
    assert isinstance(first, Cost)
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert all(not part._forward_hooks for part in network.modules())


def test_cost_grows_with_the_picture():
    network = build_network("tiny")

    assert cost(network, 128).multiply_adds == 4 * cost(network, 64).multiply_adds
    assert cost(network, 128).parameters == cost(network, 64).parameters


def test_an_empty_picture_is_refused():
    with pytest.raises(ValueError, match="0 x 32"):
        cost(build_network("tiny"), (0, 32))
