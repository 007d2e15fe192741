"""Paraphraser and translator: the design's counts, D9, and what leaves no plane."""

import pytest
import torch

from standout.lifelong.translators import Paraphraser, Translator, planes


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("channels", "width", "encoder", "autoencoder"), [(1, 16, 2_490, 4_965), (96, 48, 145_344, 290_736)]
)
def test_the_designs_parameter_counts(channels, width, encoder, autoencoder):
    assert count(Translator(channels, width)) == encoder
    assert count(Paraphraser(channels, width)) == autoencoder


def test_a_factor_has_the_signals_place():
    signal = torch.rand(2, 1, 14, 14)
    paraphraser = Paraphraser(1, 16)

    assert paraphraser(signal).shape == (2, 16, 14, 14)
    assert paraphraser.decoder(paraphraser(signal)).shape == signal.shape


def test_d09_learning_the_paraphraser_lowers_its_reconstruction_loss():
    torch.manual_seed(0)
    at = torch.linspace(-1, 1, 14)
    places = torch.rand(8, 2, 1, 1) - 0.5
    signal = (-4 * ((at[:, None] - places[:, 0]) ** 2 + (at - places[:, 1]) ** 2)).exp()[:, None]  # soft discs
    paraphraser = Paraphraser(1, 16)
    optimiser = torch.optim.SGD(paraphraser.parameters(), lr=0.05, momentum=0.9)
    first = paraphraser.reconstruction(signal).item()
    for _ in range(60):
        optimiser.zero_grad()
        paraphraser.reconstruction(signal).backward()
        optimiser.step()

    assert paraphraser.reconstruction(signal).item() < 0.7 * first


def test_d09_no_planes_are_refused():
    with pytest.raises(ValueError, match="leaves no plane"):
        planes(1, 0.5)
    with pytest.raises(ValueError, match="at least 1"):
        Translator(1, 0)
    assert planes(96, 0.5) == 48
