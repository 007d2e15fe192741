"""What a training step computes once although several losses ask for it: counted, because time is too noisy to test."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from direct import Direct, batch_of, progress_at
from standout.distill import DynamicDropout, NonNegativeFeedback, Pyramid, VirtualTeacher
from standout.networks import build_network
from standout.train.step import TrainingStep


class Counted(TorchDispatchMode):
    """Counts the framework's operations on the way there and back."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def calls_of(step, batch):
    with Counted() as counted:
        sum(step(batch, progress_at()).values()).backward()
    return counted.calls


@pytest.mark.parametrize(
    ("strategies", "times"),
    [
        ([], 1),
        ([VirtualTeacher()], 1),
        ([DynamicDropout(VirtualTeacher())], 1),
        ([VirtualTeacher(alpha=0.2), DynamicDropout(VirtualTeacher(alpha=0.2))], 1),
        ([NonNegativeFeedback(temperature=2)], 2),  # another temperature is another map
    ],
    ids=["plain", "virtual teacher", "dynamic dropout", "both", "feedback"],
)
def test_losses_of_one_map_take_its_logarithms_once(strategies, times):
    mask = (torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    step = TrainingStep(Direct(torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))), strategies)

    assert calls_of(step, batch_of(mask))["log1p_"] == times


def test_pyramid_takes_the_logarithms_of_each_of_its_eight_maps_once():
    torch.manual_seed(0)
    step = TrainingStep(build_network("tiny"), [Pyramid(supervision="bce")])
    mask = (torch.rand(2, 1, 32, 32) > 0.5).float()

    calls = calls_of(step, batch_of(mask))

    assert calls["log1p_"] == 8
    # The network's own three in the decoder and one of its map; the branches and side maps go back by matrices.
    assert calls["upsample_bilinear2d_backward"] == 4
