"""What moves the weights: parameter groups, optimisers, the gradient's norm, and the running average of weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn


def parameter_groups(
    step: nn.Module, *, rate: float, backbone_factor: float, weight_decay: float, decay_norms: bool
) -> list[dict[str, Any]]:
    """Split everything that learns in `step` into groups with one rate and one weight decay each.

    Parameters
    ----------
    step : a `TrainingStep`; parameters under `network.backbone` are the backbone's.
    rate : base rate, kept in each group as `base_rate` (times `backbone_factor` for the backbone).
    weight_decay : L2 factor.
    decay_norms : whether batch norms and biases decay too; F3Net's code does that, most others do not.
    """
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in step.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith("network.backbone."), decay_norms or parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": rate * (backbone_factor if backbone else 1.0),
            "base_rate": rate * (backbone_factor if backbone else 1.0),
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (backbone, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def make_optimiser(
    groups: Sequence[dict[str, Any]],
    name: Literal["sgd", "adamw"],
    *,
    momentum: float,
    nesterov: bool,
    betas: tuple[float, float],
    epsilon: float,
) -> torch.optim.Optimizer:
    """Return SGD with momentum, or AdamW, over the groups of `parameter_groups`.

    AdamW moves a tensor in one pass over it: a network has hundreds of small ones, and a pass for each of its many
    operations takes several times as long. SGD has few, and stays as it is.
    """
    if name == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=nesterov)
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=epsilon, fused=True)


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> float:
    """Set each group's rate to its base rate times `factor`; return the highest."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_rate"] * factor
    return max(float(group["lr"]) for group in optimiser.param_groups)


def clip_gradients(parameters: Iterable[Tensor], limit: float) -> Tensor:
    """Return the gradients' total norm; where `limit` is above 0, scale them so that it is not exceeded."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if limit > 0:
        scale = (limit / (norm + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, scale)
    return norm


def training_mode(step: nn.Module, *, freeze_batch_norm: bool) -> None:
    """Put everything into training mode; frozen batch norms keep to the statistics that they have."""
    step.train()
    if freeze_batch_norm:
        for module in step.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def running_statistics(step: nn.Module) -> list[Tensor]:
    """Return the running means and variances of all batch norms."""
    norms = (module for module in step.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    return [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if isinstance(buffer, Tensor)]


class WeightAverage:
    """An exponential moving average (EMA) of a network's weights and buffers.

    Early on the average follows faster, `min(decay, (1 + n) / (10 + n))` after n updates, so that the random
    start is forgotten. Whole numbers (counters) are copied.

    Parameters
    ----------
    network : where the average starts.
    decay : in [0, 1); the share of the old average that stays at each update.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        # clone() keeps the memory format, so a step's sums run in the same order before and after a resume
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the network's present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        floats: list[Tensor] = []
        present: list[Tensor] = []
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                floats.append(self.weights[name])
                present.append(value)
            else:
                self.weights[name].copy_(value)
        torch._foreach_lerp_(floats, present, 1.0 - decay)

    def state(self) -> dict[str, Any]:
        """Return everything that changes, for a checkpoint."""
        return {"updates": self.updates, "weights": self.weights}

    def load(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.updates = state["updates"]
        for name, value in self.weights.items():
            value.copy_(state["weights"][name])


def make_average(network: nn.Module, decay: float) -> WeightAverage | None:
    """Return a running average of the network's weights; None where `decay` is 0."""
    return WeightAverage(network, decay) if decay > 0 else None


class BufferGuard:
    """Keeps the buffers (batch-norm statistics, memories) as they were before a forward pass.

    A picture that is not a number reaches the running statistics in the forward pass, before any loss is seen;
    skipping the optimiser's step alone would leave them poisoned for ever.

    Parameters
    ----------
    module : whose buffers are kept.
    """

    def __init__(self, module: nn.Module) -> None:
        self._buffers = list(module.buffers())
        self._kept = [buffer.detach().clone() for buffer in self._buffers]

    @torch.no_grad()
    def keep(self) -> None:
        """Remember the buffers as they are now."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the buffers back as they were."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            buffer.copy_(kept)
