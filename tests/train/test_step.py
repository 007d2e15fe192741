import pytest
import torch

from standout.distill.strategy import Strategy
from standout.errors import StandoutError
from standout.losses import binary_cross_entropy
from standout.networks import build_network
from standout.shapes import Batch, Progress
from standout.train.step import TrainingStep

PROGRESS = Progress(step=0, steps=10, epoch=0, epochs=1)


def batch(count=2, size=32):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(count, 3, size, size, generator=generator)
    mask = (torch.rand(count, 1, size, size, generator=generator) > 0.5).float()
    return Batch(image, mask)


class Half(Strategy):
    """Halves the supervised term and adds one of its own."""

    task_weight = 0.5

    def forward(self, maps, batch, network, progress):
        return {"half": maps.logits.square().mean()}


class Flipped(Strategy):
    def target(self, batch, progress):
        return 1 - batch.mask

    def forward(self, maps, batch, network, progress):
        return {}


class Counting(Strategy):
    levels = ("decoder8",)

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, maps, batch, network, progress):
        return {"level": maps.features["decoder8"].square().mean()}

    def after_step(self, maps, batch, network, progress):
        assert not torch.is_grad_enabled()
        assert not maps.logits.requires_grad
        self.seen.append(progress.step)


def test_plain_training_is_an_empty_list_of_strategies():
    torch.manual_seed(0)
    step = TrainingStep(build_network("tiny")).eval()
    data = batch()

    terms = step(data, PROGRESS)

    assert list(terms) == ["task"]
    expected = binary_cross_entropy(step.network(data.image).logits, data.mask)
    assert torch.equal(terms["task"], expected)


def test_strategies_combine_by_listing():
    torch.manual_seed(0)
    network = build_network("tiny")
    step = TrainingStep(network, [Half(), Flipped(), Half2()]).eval()
    data = batch()

    terms = step(data, PROGRESS)

    logits = network(data.image).logits
    assert list(terms) == ["task", "half", "half2"]
    assert torch.allclose(terms["task"], 0.25 * binary_cross_entropy(logits, 1 - data.mask))


class Half2(Half):
    def forward(self, maps, batch, network, progress):
        return {"half2": maps.logits.mean()}


def test_a_task_of_weight_zero_is_not_evaluated():
    class Alone(Half):
        task_weight = 0.0

    def never(logits, mask):
        raise AssertionError("the supervised loss was evaluated")

    terms = TrainingStep(build_network("tiny"), [Alone()], task=never)(batch(), PROGRESS)

    assert list(terms) == ["half"]


def test_two_strategies_that_change_the_label_are_refused_at_construction():
    with pytest.raises(ValueError, match="only one strategy may change the label, not Flipped and Flipped"):
        TrainingStep(build_network("tiny"), [Flipped(), Flipped()])


def test_two_terms_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two strategies give a term named 'half'"):
        TrainingStep(build_network("tiny"), [Half(), Half()])(batch(), PROGRESS)


def test_a_level_that_the_network_lacks_is_refused_at_construction():
    class Deep(Strategy):
        levels = ("decoder64",)

    with pytest.raises(ValueError, match="has no level decoder64; it has encoder4"):
        TrainingStep(build_network("tiny"), [Deep()])


def test_a_view_that_the_loader_did_not_supply_is_named():
    class Twice(Strategy):
        views = ("second",)

    with pytest.raises(StandoutError, match="second"):
        TrainingStep(build_network("tiny"), [Twice()])(batch(), PROGRESS)


def test_a_forgotten_after_step_is_told_where_a_strategy_remembers():
    counting = Counting()
    step = TrainingStep(build_network("tiny"), [counting])
    step(batch(), PROGRESS)
    with pytest.raises(RuntimeError, match="after_step"):
        step(batch(), PROGRESS)

    step.after_step(PROGRESS)
    step(batch(), PROGRESS._replace(step=1))
    step.after_step(PROGRESS._replace(step=1))

    assert counting.seen == [0, 1]


def test_a_forgotten_after_step_does_no_harm_without_a_memory():
    step = TrainingStep(build_network("tiny"), [Half()])

    first, second = step(batch(), PROGRESS), step(batch(), PROGRESS)

    assert list(first) == list(second)


def test_evaluation_leaves_no_memory_behind():
    counting = Counting()
    step = TrainingStep(build_network("tiny"), [counting]).eval()
    step(batch(), PROGRESS)

    step.after_step(PROGRESS)

    assert counting.seen == []


def test_the_network_is_never_part_of_a_strategys_state():
    step = TrainingStep(build_network("tiny"), [Counting(), Half()])
    before = set(build_network("tiny").state_dict())

    assert set(step.network.state_dict()) == before
    assert not any("network" in key for key in step.strategies.state_dict())
    assert len(list(step.parameters())) == len(list(step.network.parameters()))


def test_progress_runs_from_zero_to_one():
    assert Progress(0, 10, 0, 1).fraction == 0
    assert Progress(9, 10, 0, 1).fraction == 1
    assert Progress(0, 1, 0, 1).fraction == 0
