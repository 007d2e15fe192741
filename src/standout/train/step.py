"""One network plus a list of strategies: the one seam between training and ideas."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from standout.distill.strategy import Strategy, changes_target
from standout.errors import StandoutError
from standout.losses import binary_cross_entropy
from standout.losses.sides import shared_sides
from standout.networks.network import Network
from standout.shapes import Batch, Logits, Maps, Mask, Progress

Task = Callable[[Logits, Mask], Tensor]


class TrainingStep(nn.Module):
    """Gives named terms to minimise for one batch; their sum is the loss.

    Parameters
    ----------
    network : what is trained; shows the face of `standout.networks.network.Network`.
    strategies : what exists only in training; they are bound here, before any optimiser is made.
    task : the supervised loss, of logits (N, 1, H, W) and mask (N, 1, H, W) in [0, 1].
    samples : size of the training set, for strategies that remember something of each sample.

    Attributes
    ----------
    parts : batches that make one step together; `after_step` then gives the strategies all of them as one.

    Raises
    ------
    ValueError : two strategies change the label, or a strategy asks for a level that the network lacks.
    """

    def __init__(
        self,
        network: Network,
        strategies: Sequence[Strategy] = (),
        *,
        task: Task = binary_cross_entropy,
        samples: int = 0,
    ) -> None:
        super().__init__()
        changers = [type(s).__name__ for s in strategies if changes_target(s)]
        if len(changers) > 1:
            raise ValueError(f"only one strategy may change the label, not {' and '.join(changers)}")
        self.network = network
        self.strategies = nn.ModuleList(strategies)
        self.task = task
        for strategy in strategies:
            strategy.bind(network, samples)
        # dict.fromkeys keeps the order and drops what two strategies both ask for
        self.levels = tuple(dict.fromkeys(level for s in strategies for level in s.levels))
        self.views = tuple(dict.fromkeys(view for s in strategies for view in s.views))
        missing = [level for level in self.levels if level not in network.channels]
        if missing:
            known = ", ".join(network.channels) or "none"
            raise ValueError(f"{type(network).__name__} has no level {', '.join(missing)}; it has {known}")
        self.parts = 1
        self._last: list[tuple[Maps, Batch]] = []

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """Return the weighted terms of this batch by name; minimise their sum.

        Raises
        ------
        StandoutError : a strategy needs a view, an index or an affine that the batch does not carry.
        RuntimeError : the step before had a strategy with a memory and `after_step` was forgotten.
        """
        if self.training and len(self._last) >= self.parts:
            if any(_remembers(s) for s in self._each()):
                raise RuntimeError("call after_step(progress) after the optimiser's step: a strategy keeps a memory")
            self._last = []
        missing = [view for view in self.views if view not in batch.views]
        if missing:
            raise StandoutError(
                "view-missing",
                "a strategy needs a view that the loader did not supply",
                ", ".join(missing),
                "give the loader TrainingStep.views, or fill Batch.views",
            )
        maps = self.network(batch.image, self.levels)
        if batch.known is not None:
            maps, batch = _without_unknown(maps, batch, batch.known)
        with shared_sides():
            terms = self._terms(maps, batch, progress)
        if self.training:
            kept = Maps(maps.logits.detach(), {k: v.detach() for k, v in maps.features.items()})
            self._last.append((kept, batch))
        return terms

    def _terms(self, maps: Maps, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        mask, weight = batch.mask, 1.0
        for strategy in self._each():
            weight *= strategy.task_weight
            if changes_target(strategy):
                mask = strategy.target(batch, progress)
        terms = {"task": weight * self.task(maps.logits, mask)} if weight != 0 else {}
        for strategy in self._each():
            for name, term in strategy(maps, batch, self.network, progress).items():
                if name in terms:
                    raise ValueError(f"two strategies give a term named {name!r}; list each strategy once")
                terms[name] = term
        return terms

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        """Let the strategies update what they remember; call it after the optimiser's step."""
        if not self._last:
            return
        maps, batch = _joined(self._last)
        self._last = []
        for strategy in self._each():
            strategy.after_step(maps, batch, self.network, progress)

    def skip(self) -> None:
        """Forget the last batch without letting the strategies remember it; for a step that was not made."""
        self._last = []

    @torch.no_grad()
    def after_epoch(self, progress: Progress, scores: Mapping[str, float] | None = None) -> None:
        """Tell the strategies the validation scores, by measure name."""
        for strategy in self._each():
            strategy.after_epoch(self.network, progress, scores or {})

    def diagnostics(self) -> dict[str, float]:
        """Return what the strategies tell of the epoch so far, as `strategy.name`, such as `dynamic_dropout.kept`."""
        return {
            f"{_snake(type(strategy).__name__)}.{name}": value
            for strategy in self._each()
            for name, value in strategy.diagnostics().items()
        }

    def _each(self) -> list[Strategy]:
        return [s for s in self.strategies if isinstance(s, Strategy)]


def _without_unknown(maps: Maps, batch: Batch, known: Tensor) -> tuple[Maps, Batch]:
    """Return map and label that agree where the label says nothing, and let no gradient of the map through there.

    Whatever the losses are, of single pixels or of whole regions, they then ask nothing of the map at those pixels.
    """
    still = maps.logits.detach()
    own = torch.sigmoid(still.to(batch.mask.dtype))
    return (
        maps._replace(logits=torch.where(known, maps.logits, still)),
        batch._replace(mask=torch.where(known, batch.mask, own)),
    )


def _joined(parts: Sequence[tuple[Maps, Batch]]) -> tuple[Maps, Batch]:
    """Return the parts of a step as one."""
    if len(parts) == 1:
        return parts[0]
    maps = [one for one, _ in parts]
    features = {level: torch.cat([one.features[level] for one in maps]) for level in maps[0].features}
    return Maps(torch.cat([one.logits for one in maps]), features), _joined_batches([batch for _, batch in parts])


def _joined_batches(batches: Sequence[Batch]) -> Batch:
    fields = {
        name: torch.cat([getattr(batch, name) for batch in batches])
        for name, value in batches[0]._asdict().items()
        if isinstance(value, Tensor)
    }
    views = {name: _joined_batches([batch.views[name] for batch in batches]) for name in batches[0].views}
    return batches[0]._replace(**fields, views=views)


def _snake(name: str) -> str:
    """Return `DynamicDropout` as `dynamic_dropout`, as recipes write it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _remembers(strategy: Strategy) -> bool:
    return type(strategy).after_step is not Strategy.after_step
