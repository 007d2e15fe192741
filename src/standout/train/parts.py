"""A batch that does not fit into memory at once: its gradients are added up over equal parts of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from standout.shapes import Batch, Progress
from standout.train.step import TrainingStep


def learn(
    step: TrainingStep,
    batch: Batch,
    progress: Progress,
    *,
    parts: int,
    precision: Callable[[], AbstractContextManager[Any]],
) -> tuple[dict[str, Tensor], Tensor]:
    """Add the gradients of a batch to its parameters' and return its terms and their sum, means over the parts.

    Parameters
    ----------
    parts : how many equal ones the batch is taken in; a batch norm that is not frozen normalises each on its own.
    precision : gives the context in which the forward pass runs.
    """
    means: dict[str, Tensor] = {}
    for part in parts_of(batch, parts):
        with precision():
            terms = step(part, progress)
        total = torch.stack(list(terms.values())).sum()
        (total / parts if parts > 1 else total).backward()  # type: ignore[no-untyped-call]
        for name, term in terms.items():
            means[name] = term.detach() / parts + means[name] if name in means else term.detach() / parts
    return means, torch.stack(list(means.values())).sum()


def parts_of(batch: Batch, parts: int) -> Iterator[Batch]:
    """Yield so many equal parts of a batch, in order.

    Raises
    ------
    ValueError : it has none.
    """
    if parts == 1:
        yield batch
        return
    each, left = divmod(len(batch.image), parts)
    if left or not each:
        raise ValueError(f"a batch of {len(batch.image)} has no {parts} equal parts")
    for start in range(0, len(batch.image), each):
        yield _cut(batch, slice(start, start + each))


def _cut(batch: Batch, place: slice) -> Batch:
    fields = {name: value[place] for name, value in batch._asdict().items() if isinstance(value, Tensor)}
    return batch._replace(**fields, views={name: _cut(view, place) for name, view in batch.views.items()})
