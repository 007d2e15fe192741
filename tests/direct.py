"""A network whose logits are its parameter: every pixel's logit and gradient is in the test's hands."""

import torch
from torch import nn

from standout.networks.network import Network
from standout.shapes import Batch, Maps, Progress


class Direct(Network):
    def __init__(self, logits):
        super().__init__()
        self.channels = {}
        self.logits = nn.Parameter(logits.clone())

    def forward(self, image, levels=()):
        return Maps(self.logits, {})


def batch_of(mask, index=None):
    return Batch(torch.zeros(mask.shape[0], 3, *mask.shape[-2:]), mask, index)


def progress_at(step=0, steps=10, epoch=0, epochs=1):
    return Progress(step, steps, epoch, epochs)
