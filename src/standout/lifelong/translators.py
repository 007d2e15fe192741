"""Paraphraser and translator of factor transfer: they exist only while a recogniser learns.

The paraphraser is an autoencoder of the teacher's map, learnt without labels; its encoder's output is the teacher's
factor. The translator has the encoder's layers and weights of its own, and gives the student's factor.
"""

from __future__ import annotations

from torch import Tensor, nn

SLOPE = 0.1


def planes(channels: int, rate: float) -> int:
    """Return how many planes a factor has: `rate` times the channels, rounded.

    Raises
    ------
    ValueError : that is none, as for one channel at a rate of a half.
    """
    count = round(channels * rate)
    if count < 1:
        raise ValueError(f"a rate of {rate} leaves no plane of {channels} channels; state the planes instead")
    return count


class Translator(nn.Sequential):
    """Three 3x3 convolutions to `planes` planes, a leaky relu after each.

    Raises
    ------
    ValueError : channels or planes below 1.
    """

    def __init__(self, channels: int, planes: int) -> None:
        if channels < 1 or planes < 1:
            raise ValueError(f"a factor needs channels and planes of at least 1, not {channels} and {planes}")
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, planes, 3, padding=1), nn.LeakyReLU(SLOPE),
            nn.Conv2d(planes, planes, 3, padding=1), nn.LeakyReLU(SLOPE),
        )  # fmt: skip


class Paraphraser(nn.Module):
    """The autoencoder: a translator's layers, then their mirror of transposed convolutions."""

    def __init__(self, channels: int, planes: int) -> None:
        super().__init__()
        self.encoder = Translator(channels, planes)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(planes, planes, 3, padding=1), nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(planes, channels, 3, padding=1), nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(channels, channels, 3, padding=1), nn.LeakyReLU(SLOPE),
        )  # fmt: skip

    def forward(self, signal: Tensor) -> Tensor:
        """Return the factor (N, planes, H, W) of a signal (N, channels, H, W)."""
        factor: Tensor = self.encoder(signal)
        return factor

    def reconstruction(self, signal: Tensor) -> Tensor:
        """Return the mean absolute difference of the signal and what its factor gives back."""
        difference: Tensor = self.decoder(self.encoder(signal)) - signal
        return difference.abs().mean()
