"""Trains a network by every strategy for a step, and looks at what comes of it."""

import torch

from standout.distill import STRATEGIES
from standout.shapes import Batch, Progress
from standout.train.build import build_strategy
from standout.train.step import TrainingStep

EVERY = [name for name in STRATEGIES if name != "attention_map"]
"""Strategies that any network with levels can learn by; a cascade has one of its own."""
PROGRESS = Progress(step=1, steps=4, epoch=1, epochs=2)


def entry_of(name):
    return {"name": name, "inner": {"name": "virtual_teacher"}} if name == "dynamic_dropout" else {"name": name}


def learns_by_every_strategy(make, size=64, without=(), strategies=EVERY):
    """Make a fresh network for each strategy and assert that a step by it reaches the weights; return their names."""
    torch.manual_seed(0)
    batch = Batch(torch.rand(2, 3, size, size), (torch.rand(2, 1, size, size) > 0.5).float(), torch.arange(2))
    for name in [name for name in strategies if name not in without]:
        network = make()
        keys = list(network.state_dict())
        step = TrainingStep(network, [build_strategy(entry_of(name))], samples=2)
        step.train()
        optimiser = torch.optim.SGD(step.parameters(), lr=0.1)
        before = {key: value.clone() for key, value in network.named_parameters()}

        terms = step(batch, PROGRESS)
        sum(terms.values()).backward()
        optimiser.step()
        step.after_step(PROGRESS)

        assert all(term.isfinite() for term in terms.values()), name
        assert any(not torch.equal(value, before[key]) for key, value in network.named_parameters()), name
        # Training leaves nothing behind in the network.
        assert list(network.state_dict()) == keys
        with torch.no_grad():
            assert network.eval()(batch.image).logits.shape == (2, 1, size, size)
    return [name for name in strategies if name not in without]
