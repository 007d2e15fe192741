"""Train a network of your own with two strategies, in your own loop.

    python examples/train_your_own_network.py

A `TrainingStep` holds the network and what exists only in training. It gives named terms; you minimise their sum.
"""

from __future__ import annotations

import torch
from torch import nn

from standout import Batch, Progress, TrainingStep
from standout.distill import DynamicDropout, NonNegativeFeedback
from standout.networks import adapt


def discs(count: int, size: int, generator: torch.Generator) -> Batch:
    """Return pictures (count, 3, size, size) of bright discs on noise, and their masks."""
    place = torch.linspace(-1, 1, size)
    centre = torch.rand(count, 2, 1, 1, generator=generator) - 0.5
    distance = (place.view(1, 1, -1) - centre[:, 0]) ** 2 + (place.view(1, -1, 1) - centre[:, 1]) ** 2
    mask = (distance < 0.15).float().unsqueeze(1)
    image = 0.5 * torch.rand(count, 3, size, size, generator=generator) + 0.3 * mask
    return Batch(image=image, mask=mask)


def main(steps: int = 60) -> tuple[float, float]:
    """Train for some steps; return the first and the last loss."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    yours = nn.Sequential(nn.Conv2d(3, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 1, 5, padding=2))
    step = TrainingStep(adapt(yours), [DynamicDropout(NonNegativeFeedback())])
    optimiser = torch.optim.AdamW(step.parameters(), lr=1e-2)
    losses = []
    for number in range(steps):
        progress = Progress(step=number, steps=steps, epoch=0, epochs=1)
        terms = step(discs(8, 48, generator), progress)
        loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step.after_step(progress)
        losses.append(loss.item())
    # What is left is your network, with your parameters and nothing of the strategies.
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}; keys: {', '.join(yours.state_dict())}")
    return losses[0], losses[-1]


if __name__ == "__main__":
    main()
