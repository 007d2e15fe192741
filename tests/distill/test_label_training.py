"""Each label strategy trains a small network from nothing on generated shapes."""

import pytest
import torch

from standout.distill import DynamicDropout, LabelSmoothing, MeanSquared, NonNegativeFeedback, VirtualTeacher
from standout.metrics import SaliencyMeasures
from standout.networks import build_network
from standout.shapes import Batch, Progress
from standout.train.step import TrainingStep

STRATEGIES = {
    "virtual_teacher": lambda: VirtualTeacher(),
    "virtual_teacher, prob": lambda: VirtualTeacher(alpha=0.1, soften="prob", temperature=20),
    "non_negative_feedback": lambda: NonNegativeFeedback(),
    "non_negative_feedback, hinge": lambda: NonNegativeFeedback(form="hinge"),
    "mean_squared": lambda: MeanSquared(),
    "dynamic_dropout": lambda: DynamicDropout(VirtualTeacher()),
    "dynamic_dropout, quantile": lambda: DynamicDropout(NonNegativeFeedback(), rule="quantile"),
    "dynamic_dropout, bernoulli": lambda: DynamicDropout(VirtualTeacher(), rule="bernoulli"),
    "label_smoothing": lambda: LabelSmoothing(),
}


def discs(count, seed, size=64):
    """Return noise with a lighter disc in it, and the disc with a soft edge."""
    generator = torch.Generator().manual_seed(seed)
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    centre = torch.randint(16, 48, (count, 2, 1, 1), generator=generator)
    radius = torch.randint(8, 20, (count, 1, 1), generator=generator)
    distance = ((row - centre[:, 0]) ** 2 + (column - centre[:, 1]) ** 2).sqrt()
    mask = (radius - distance + 0.5).clamp(0, 1).unsqueeze(1)
    noise = torch.rand(count, 3, size, size, generator=generator)
    return Batch((0.6 * noise + 0.4 * mask).clamp(0, 1), mask, torch.arange(count))


def largest_f(network, batch):
    network.eval()
    measures = SaliencyMeasures()
    with torch.no_grad():
        maps = network(batch.image).logits.sigmoid()
    for one, mask in zip(maps, batch.mask, strict=True):
        measures.update(one[0].numpy(), mask[0].numpy() > 0.5)
    network.train()
    return measures.compute()["f_max"]


@pytest.mark.parametrize("name", STRATEGIES)
def test_training_works(name):
    torch.manual_seed(0)
    network = build_network("tiny")
    step = TrainingStep(network, [STRATEGIES[name]()])
    optimiser = torch.optim.AdamW(step.parameters(), lr=5e-3)
    train, held_out = discs(64, seed=1), discs(16, seed=2)
    untrained = largest_f(network, held_out)
    losses = []
    for number in range(60):
        progress = Progress(number, 60, number // 8, 8)
        rows = torch.arange(8) + number % 8 * 8
        part = Batch(train.image[rows], train.mask[rows], train.index[rows])
        loss = sum(step(part, progress).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step.after_step(progress)
        losses.append(float(loss.detach()))

    assert sum(losses[-5:]) / 5 < 0.7 * losses[0]
    assert largest_f(network, held_out) > untrained + 0.2
