"""What a run needs before its first step: pairs, backbone options, the network with its strategies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from standout.data.overlap import refuse_overlap
from standout.data.pairs import Pair, find_pairs, shown, split_validation
from standout.distill.strategy import Strategy
from standout.errors import EXIT_USAGE, StandoutError
from standout.files import sha256_of
from standout.images import mask_facts, mask_findings, read_mask
from standout.networks import build_network
from standout.shapes import Batch
from standout.train.optimise import make_average, make_optimiser, parameter_groups
from standout.train.recipe import DataTable, Recipe
from standout.train.state import TrainingState
from standout.train.step import Task, TrainingStep
from standout.weights import backbone_options, load_backbone

MASKS_LOOKED_AT = 200
"""Masks that are read before the first step; what a folder's masks have in common shows in so many."""


def find_data(
    data: DataTable, *, split: str | float, batch: int, tell: Callable[[str], object], workers: int = 0
) -> tuple[Sequence[Pair], Sequence[Pair]]:
    """Return the pairs to train on and those held out.

    Parameters
    ----------
    split : "auto", a file of names, or a fraction.
    tell : takes a line for each thing that was left out or allowed, or that the masks show.
    workers : threads that read, where pictures are compared by their look.

    Raises
    ------
    StandoutError : exit code 2, no folder is named, it holds no data set, fewer pairs than a batch, or an
        overlap with the held-out or test pictures, or masks of a third value that are to be refused; or no mask can
        be read.
    """
    folder = data.train
    if not folder:
        raise StandoutError("usage", "no data named", "", "write standout train DATA", exit_code=EXIT_USAGE)
    found = find_pairs(folder, part="train", skip_unpaired=data.skip_unpaired)
    for note in found.notes:
        tell(note)
    validation = None if split == "auto" else Path(split) if isinstance(split, str) else split
    training, held_out = split_validation(found.pairs, validation, folder)
    if len(training) < batch:
        raise StandoutError(
            "batch-too-large", f"{len(training)} pictures to train on make no batch of {batch}", folder,
            "take a smaller --batch", exit_code=EXIT_USAGE,
        )  # fmt: skip
    test = find_pairs(data.test, part="test", skip_unpaired=data.skip_unpaired).pairs if data.test else ()
    tested = [*held_out, *test]
    for note in refuse_overlap(training, tested, allow=data.allow_overlap, how=data.overlap, workers=workers):
        tell(note)
    if data.unknown == "refuse":
        refuse_third_values([*training, *held_out], class_of(data))
    for note in look_at_masks(training, class_of(data), data.unknown):
        tell(note)
    return training, held_out


def class_of(data: DataTable) -> int | None:
    """Return the value that is the object in masks of several classes; None where masks hold one."""
    return None if data.mask_class < 0 else data.mask_class


def refuse_third_values(pairs: Sequence[Pair], mask_class: int | None) -> None:
    """Look at every mask; one that cannot be read is not counted.

    Raises
    ------
    StandoutError : exit code 2, masks of exactly three values whose middle one covers an area, by name.
    """
    names = []
    for pair in pairs:
        try:
            read_mask(pair.mask, class_index=mask_class, unknown="refuse")
        except StandoutError as error:
            names += [pair.name] * (error.code == "mask-unknown")
    if names:
        what = f"{len(names)} masks have a third value over an area"
        raise StandoutError(
            "mask-unknown", what, shown(names), "mend them, or say --unknown soft or ignore", exit_code=EXIT_USAGE
        )


def look_at_masks(pairs: Sequence[Pair], mask_class: int | None, unknown: str = "soft") -> list[str]:
    """Return what a sample of the masks, evenly spread over the names, shows; a mask that is damaged is not counted.

    Raises
    ------
    StandoutError : the first mask's fault, where none can be read.
    """
    facts, faults = [], []
    for pair in pairs[:: -(-len(pairs) // MASKS_LOOKED_AT)]:
        try:
            facts.append(mask_facts(read_mask(pair.mask, class_index=mask_class))._replace(name=pair.name))
        except StandoutError as error:
            faults.append(error)
    if not facts:
        raise faults[0]
    return [f"{finding.message}: {shown(finding.names)}" for finding in mask_findings(facts, unknown)]


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


def new_state(
    recipe: Recipe,
    strategies: Sequence[Strategy],
    task: Task,
    *,
    samples: int,
    backbone: str,
    device: torch.device,
    processes: int = 1,
) -> TrainingState:
    """Return everything that will learn, before its first step; its random start follows from the seed alone.

    Parameters
    ----------
    samples : size of the training set.
    backbone : file of the backbone's weights; "" leaves the random ones.
    processes : that learn together; where each has a graphics card, their batch norms take common statistics.

    Raises
    ------
    StandoutError : unknown network or option, a backbone file that does not fit, or a strategy that the network
        cannot serve (exit code 2).
    """
    settings = recipe.optimiser
    step = build_step(
        recipe.network.name,
        recipe.network.options,
        strategies,
        task,
        samples=samples,
        seed=recipe.seed,
        backbone=backbone,
        channels_last=recipe.training.channels_last,
    )
    if processes > 1 and device.type == "cuda":
        step = torch.nn.SyncBatchNorm.convert_sync_batchnorm(step)  # type: ignore[no-untyped-call]
    step = step.to(device)
    step.parts = recipe.training.accumulation
    groups = parameter_groups(
        step,
        rate=settings.rate,
        backbone_factor=settings.backbone_factor,
        weight_decay=settings.weight_decay,
        decay_norms=settings.decay_norms,
    )
    optimiser = make_optimiser(
        groups,
        settings.name,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        betas=settings.betas,
        epsilon=settings.epsilon,
    )
    return TrainingState(step, optimiser, make_average(step.network, recipe.training.ema))


def build_step(
    network: str,
    options: Mapping[str, Any],
    strategies: Sequence[Strategy],
    task: Task,
    *,
    samples: int,
    seed: int,
    backbone: str,
    channels_last: bool,
) -> TrainingStep:
    """Return network and strategies, bound, on the CPU; parameters as `new_state`.

    Raises
    ------
    StandoutError : as `new_state`.
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
    return step.to(memory_format=torch.channels_last) if channels_last else step  # type: ignore[call-overload]


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
        None if batch.known is None else batch.known.to(device),
    )
