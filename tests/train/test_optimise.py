import pytest
import torch
from torch import nn

from standout.networks import build_network
from standout.train.optimise import (
    BufferGuard,
    WeightAverage,
    clip_gradients,
    make_optimiser,
    parameter_groups,
    set_rates,
)
from standout.train.step import TrainingStep

OPTIONS = {"rate": 0.1, "backbone_factor": 0.1, "weight_decay": 0.01}


def test_every_parameter_is_in_one_group_with_its_rate_and_decay():
    step = TrainingStep(build_network("tiny"))
    names = {id(parameter): name for name, parameter in step.named_parameters()}
    groups = parameter_groups(step, **OPTIONS, decay_norms=False)
    found = [names[id(parameter)] for group in groups for parameter in group["params"]]
    assert sorted(found) == sorted(names.values())
    for group in groups:
        for parameter in group["params"]:
            backbone = names[id(parameter)].startswith("network.backbone.")
            assert group["base_rate"] == pytest.approx(0.01 if backbone else 0.1)
            assert group["weight_decay"] == (0.01 if parameter.ndim > 1 else 0.0)
    together = parameter_groups(step, **OPTIONS, decay_norms=True)
    assert {group["weight_decay"] for group in together} == {0.01}


def test_rates_are_the_base_rates_times_the_factor():
    groups = parameter_groups(TrainingStep(build_network("tiny")), **OPTIONS, decay_norms=True)
    optimiser = make_optimiser(groups, "sgd", momentum=0.9, nesterov=True, betas=(0.9, 0.999), epsilon=1e-8)
    assert set_rates(optimiser, 0.5) == pytest.approx(0.05)
    assert sorted(group["lr"] for group in optimiser.param_groups) == pytest.approx([0.005, 0.05])


def test_clipping_bounds_the_norm_and_keeps_the_direction():
    parameters = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(1))]
    first, second = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([[0.0, 4.0], [0.0, 0.0]])
    for limit, expected in ((0.0, 5.0), (10.0, 5.0), (1.0, 1.0)):
        parameters[0].grad, parameters[1].grad = first.clone(), second.clone()
        assert float(clip_gradients(parameters, limit)) == pytest.approx(5.0)
        assert float(torch.cat([p.grad.flatten() for p in parameters[:2]]).norm()) == pytest.approx(expected, rel=1e-5)
        assert parameters[0].grad[0] / parameters[1].grad[0, 1] == pytest.approx(0.75)
    parameters[0].grad[0] = torch.nan
    assert torch.isnan(clip_gradients(parameters, 1.0))


def test_the_average_follows_its_formula_with_buffers_and_comes_back_from_its_state():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to(memory_format=torch.channels_last)
    average = WeightAverage(network, 0.95)
    expected = {name: value.double().clone() for name, value in network.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    for n in range(30):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator))
            network(torch.rand(2, 1, 8, 8, generator=generator))
        average.update(network)
        decay = min(0.95, (1 + n) / (10 + n))
        for name, value in network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
    assert average.weights["1.num_batches_tracked"] == 30
    for name in ("0.weight", "0.bias", "1.running_mean", "1.running_var"):
        torch.testing.assert_close(average.weights[name].double(), expected[name], rtol=1e-5, atol=1e-6)
    other = WeightAverage(network, 0.95)
    other.load(average.state())
    assert other.updates == 30
    for name, value in average.weights.items():
        assert torch.equal(other.weights[name], value)
        assert other.weights[name].stride() == value.stride()


def test_the_buffer_guard_undoes_what_a_poisoned_forward_pass_did():
    module = nn.BatchNorm2d(2)
    module(torch.rand(3, 2, 4, 4))
    guard = BufferGuard(module)
    module(torch.rand(3, 2, 4, 4))
    guard.keep()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module(torch.full((3, 2, 4, 4), torch.nan))
    assert module.running_mean.isnan().all()
    guard.restore()
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
