"""Use one loss alone, in a loop that knows nothing else of standout.

    python examples/one_loss_alone.py

The non-negative feedback keeps only the gradients of a hand-made teacher that agree with the label. It is a plain
function of logits and mask, so it goes wherever binary cross-entropy goes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from standout.losses import non_negative_feedback


def main(steps: int = 80) -> tuple[float, float]:
    """Train a small network on brighter squares; return the share of right pixels before and after."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.3, momentum=0.9)
    mask = torch.zeros(8, 1, 32, 32)
    mask[:, :, 8:24, 8:24] = 1
    image = torch.rand(8, 3, 32, 32) * 0.6 + 0.4 * mask

    def right() -> float:
        return ((network(image) > 0) == (mask > 0.5)).float().mean().item()

    before = right()
    for _ in range(steps):
        logits = network(image)
        loss = 0.5 * F.binary_cross_entropy_with_logits(logits, mask) + 0.5 * non_negative_feedback(
            logits, mask, confidence=0.99, temperature=2
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = right()
    print(f"right pixels: {before:.3f} -> {after:.3f}")
    return before, after


if __name__ == "__main__":
    main()
