"""From which experience on batch norms keep their statistics: `training.freeze_batch_norm`."""

import pytest
import torch
from stream_trees import settings_for

from standout.lifelong import learn
from standout.lifelong.session import Session
from standout.train.optimise import running_statistics


def differing(first, second):
    return sum(not torch.equal(one, other) for one, other in zip(first, second, strict=True))


def scales(network):
    return [p for name, p in network.named_parameters() if name.endswith(("bn1.weight", "bn2.weight"))]


def copies(tensors):
    return [tensor.detach().clone() for tensor in tensors]


@pytest.fixture
def moved(monkeypatch):
    """How many running statistics, and how many scales, each experience changed."""
    found, before = [], {}
    begin, end = Session._begin, Session._end

    def begun(self, experience):
        begin(self, experience)
        network = self.state.network
        before["statistics"], before["scales"] = copies(running_statistics(network)), copies(scales(network))

    def ended(self, experience):
        network = self.state.network
        statistics = differing(before["statistics"], running_statistics(network))
        found.append((statistics, differing(before["scales"], scales(network))))
        end(self, experience)

    monkeypatch.setattr(Session, "_begin", begun)
    monkeypatch.setattr(Session, "_end", ended)
    return found


@pytest.mark.parametrize(
    ("chosen", "move"),
    [("never", [True, True, True]), ("after_first", [True, False, False]), ("always", [False, False, False])],
)
@pytest.mark.parametrize("method", ["sdkd", "latent_replay"])
def test_batch_norms_keep_their_statistics_from_the_stated_experience_on(chosen, move, method, three, tmp_path, moved):
    learn(three, method, tmp_path / "run",
          settings=settings_for(method, training={"epochs": 1, "freeze_batch_norm": chosen}))  # fmt: skip

    assert [statistics > 0 for statistics, _ in moved] == move
    assert all(learnt > 0 for _, learnt in moved)  # their scales learn on
