import pytest
import torch
import torch.nn.functional as F
from torch import nn

from standout.networks import Network, adapt, build_network


def module():
    torch.manual_seed(0)
    return nn.Conv2d(3, 1, 3, padding=1)


def test_an_adapted_module_gives_its_own_logits():
    plain = module()
    network = adapt(plain)
    image = torch.rand(2, 3, 9, 7)

    maps = network(image)

    assert isinstance(network, Network)
    assert network.channels == {}
    assert torch.equal(maps.logits, plain(image))
    assert maps.features == {}
    assert [id(p) for p in network.parameters()] == [id(p) for p in plain.parameters()]


def test_the_stated_normalisation_comes_first():
    plain = module()
    network = adapt(plain, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    image = torch.rand(1, 3, 8, 8)
    normalised = (image - torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)) / torch.tensor([0.2, 0.3, 0.4]).view(
        1, 3, 1, 1
    )

    assert torch.allclose(network(image).logits, plain(normalised), atol=1e-6)
    assert sorted(network.state_dict()) == ["module.bias", "module.weight"]


def test_smaller_logits_are_resized_to_the_image():
    strided = nn.Conv2d(3, 1, 3, stride=2, padding=1)
    image = torch.rand(1, 3, 11, 14)

    logits = adapt(strided)(image).logits

    assert torch.equal(logits, F.interpolate(strided(image), size=(11, 14), mode="bilinear", align_corners=False))


def test_levels_are_refused_by_name():
    network = adapt(module())

    with pytest.raises(ValueError, match=r"no level decoder8; Conv2d"):
        network(torch.rand(1, 3, 8, 8), ("decoder8",))
    with pytest.raises(ValueError, match="Conv2d"):
        network.head(torch.rand(1, 1, 8, 8), (8, 8))


def test_what_is_no_map_of_logits_is_refused_with_its_shape():
    with pytest.raises(ValueError, match=r"\(1, 3, 8, 8\), not \(1, 2, 8, 8\)"):
        adapt(nn.Conv2d(3, 2, 1))(torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"not \(1, 192\)"):
        adapt(nn.Flatten())(torch.rand(1, 3, 8, 8))
    with pytest.raises(TypeError, match="Maps"):
        adapt(build_network("tiny").eval())(torch.rand(1, 3, 8, 8))


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="function"):
        adapt(lambda image: image)
    with pytest.raises(ValueError, match="three numbers"):
        adapt(module(), mean=(0.5,))
    with pytest.raises(ValueError, match="above 0"):
        adapt(module(), std=(1.0, 0.0, 1.0))
