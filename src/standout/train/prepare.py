"""What a run needs before its first step: pairs, backbone options, the network with its strategies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from standout.data.overlap import refuse_overlap
from standout.data.pairs import Pair, find_pairs, split_validation
from standout.distill.strategy import Strategy
from standout.errors import EXIT_USAGE, StandoutError
from standout.files import sha256_of
from standout.networks import build_network
from standout.shapes import Batch
from standout.train.step import Task, TrainingStep
from standout.weights import backbone_options, load_backbone


def find_data(
    folder: str,
    *,
    skip_unpaired: bool,
    allow_overlap: bool,
    split: str | float,
    batch: int,
    tell: Callable[[str], object],
) -> tuple[Sequence[Pair], Sequence[Pair]]:
    """Return the pairs to train on and those held out.

    Parameters
    ----------
    split : "auto", a file of names, or a fraction.
    allow_overlap : say it, instead of refusing, where a held-out picture has the same bytes as a training one.
    tell : takes a line for each thing that was left out or allowed.

    Raises
    ------
    StandoutError : exit code 2, no folder is named, it holds no data set, fewer pairs than a batch, or an
        overlap of the two parts.
    """
    if not folder:
        raise StandoutError("usage", "no data named", "", "write standout train DATA", exit_code=EXIT_USAGE)
    found = find_pairs(folder, part="train", skip_unpaired=skip_unpaired)
    for note in found.notes:
        tell(note)
    validation = None if split == "auto" else Path(split) if isinstance(split, str) else split
    training, held_out = split_validation(found.pairs, validation, folder)
    if len(training) < batch:
        raise StandoutError(
            "batch-too-large", f"{len(training)} pictures to train on make no batch of {batch}", folder,
            "take a smaller --batch", exit_code=EXIT_USAGE,
        )  # fmt: skip
    for note in refuse_overlap(training, held_out, allow=allow_overlap):
        tell(note)
    return training, held_out


def resolve_backbone(options: Mapping[str, Any], path: str, *, resume: bool = False) -> tuple[dict[str, Any], str]:
    """Return the network's options with what the backbone file asks for, and the file's sha256.

    A resumed run takes its weights from the checkpoint: the file may be gone, and then "" is returned for it.

    Raises
    ------
    StandoutError : the file is missing, or of unknown preparation.
    """
    if not path or (resume and not Path(path).exists()):
        return dict(options), ""
    if not Path(path).is_file():
        raise StandoutError("file-missing", "no such backbone file", path, "check the path", exit_code=EXIT_USAGE)
    return {**options, **backbone_options(path, options)}, sha256_of(Path(path))


def check_network(name: str, options: Mapping[str, Any]) -> None:
    """Refuse an unknown network or option before anything is written; no memory is taken for the weights.

    Raises
    ------
    StandoutError : exit code 2, as `build_network`.
    """
    with torch.device("meta"):
        build_network(name, **options)


def build_step(
    network: str,
    options: Mapping[str, Any],
    strategies: Sequence[Strategy],
    task: Task,
    *,
    samples: int,
    seed: int,
    backbone: str,
    device: torch.device,
    channels_last: bool,
) -> TrainingStep:
    """Return network and strategies, bound and on the device; their random start follows from `seed` alone.

    Parameters
    ----------
    backbone : file of the backbone's weights; "" leaves the random ones.

    Raises
    ------
    StandoutError : unknown network or option, a backbone file that does not fit, or a strategy that the network
        cannot serve (exit code 2).
    """
    torch.manual_seed(seed)
    built = build_network(network, **options)
    if backbone:
        # The options are resolved already, and what the recipe states of them wins over what the file asks for.
        load_backbone(built, backbone, allow_mismatch=True)
    try:
        step = TrainingStep(built, strategies, task=task, samples=samples)
    except ValueError as error:
        raise StandoutError(
            "strategies", "these strategies do not go together with this network", error, "change --strategy",
            exit_code=EXIT_USAGE,
        ) from error  # fmt: skip
    if channels_last:
        step = step.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return step.to(device)


def on_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch with its tensors on the device."""
    if device.type == "cpu":
        return batch
    return Batch(
        batch.image.to(device, non_blocking=True),
        batch.mask.to(device, non_blocking=True),
        None if batch.index is None else batch.index.to(device),
        None if batch.affine is None else batch.affine.to(device),
        {name: on_device(view, device) for name, view in batch.views.items()},
    )
