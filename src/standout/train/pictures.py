"""Where a run's pictures come from: the files, the cache on the disk, or the device itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import torch

from standout.data.augment import Augmentation
from standout.data.batches import Batches
from standout.data.cache import DecodedCache
from standout.data.pairs import Pair
from standout.data.resident import ResidentBatches
from standout.errors import StandoutError
from standout.predict import free_processors
from standout.train.held_out import HeldOutPictures
from standout.train.prepare import class_of
from standout.train.recipe import Recipe

SHARE = 0.5
"""Of the device's free memory, what decoded pictures may take; the rest is for the step."""
LOOKED_AT = 32
"""Pictures that are decoded to estimate what the whole set takes."""


def training_batches(
    recipe: Recipe,
    pairs: Sequence[Pair],
    *,
    views: Sequence[str],
    device: torch.device,
    warn: Callable[[str], object],
    part: tuple[int, int] = (0, 1),
    between: Callable[[], object] = lambda: None,
) -> Batches:
    """Return the batches to train on, as the recipe's `data.cache` and `data.resident` say; no bit depends on these.

    Parameters
    ----------
    views : names of further views that the strategies ask for.
    part : (number, parts), of each batch the part of one process of several.
    between : called while a read is waited for.

    Raises
    ------
    StandoutError : the cache's folder cannot be made; or the pictures shall lie on the device and do not fit.
    """
    data, training = recipe.data, recipe.training
    augmentation: dict[str, Any] = msgspec.structs.asdict(recipe.augmentation)
    settings: dict[str, Any] = {
        "size": training.size,
        "batch": training.batch,
        "augmentation": Augmentation(**augmentation),
        "seed": recipe.seed,
        **readers(training.workers, device, processes=part[1], decoded=bool(data.cache)),
        "views": views,
        "channels_last": training.channels_last,
        "mask_class": class_of(data),
        "unknown": data.unknown,
        "cache": DecodedCache(data.cache, int(data.cache_gigabytes * 2**30), warn) if data.cache else None,
        "part": part,
        "between": between,
    }
    ordinary = Batches(pairs, **settings)
    if data.resident == "no" or (data.resident == "auto" and device.type != "cuda"):
        return ordinary
    limit = SHARE * free_memory(device)
    resident = ResidentBatches(pairs, device=device, limit=limit, **settings)
    if data.resident == "auto" and estimated_bytes(ordinary) > limit:
        return ordinary
    try:
        resident.load()
    except StandoutError as error:
        if data.resident == "yes" or error.code != "device-full":
            raise
        return ordinary
    return resident


def readers(workers: int, device: torch.device, *, processes: int = 1, decoded: bool = False) -> dict[str, Any]:
    """Return how many threads read, and whether ahead: the settings `workers` and `ahead` of `Batches`.

    Where the steps of all processes leave no processor idle, threads that decode beside them only hold them up: then
    files are read between steps, by as many threads as compute. What lies decoded in a cache takes so little that
    reading it beside the steps costs less than waiting for it (`benchmarks/training_cost.py` times both ways).
    """
    threads = torch.get_num_threads()
    if decoded or device.type != "cpu" or threads * processes < free_processors():
        return {"workers": workers, "ahead": True}
    return {"workers": max(workers, threads) if workers else 0, "ahead": False}


def estimated_bytes(batches: Batches) -> float:
    """Return about what the set takes decoded, from some of its pictures; those that cannot be read take nothing."""
    some = batches.pairs[:: -(-len(batches.pairs) // LOOKED_AT)]
    found = [one for one in map(batches.decoded, some) if not isinstance(one, StandoutError)]
    return len(batches.pairs) * sum(one.image.size + one.mask.size for one in found) / len(some)


def free_memory(device: torch.device) -> float:
    """Return the bytes that are free on a device; infinity where it does not tell."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu" and hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return float("inf")


def held_out_pictures(
    recipe: Recipe,
    pairs: Sequence[Pair],
    *,
    device: torch.device,
    warn: Callable[[str], object],
    between: Callable[[], object],
) -> HeldOutPictures:
    """Return the pictures that are never trained on."""
    return HeldOutPictures(
        pairs,
        size=recipe.validation.size or recipe.training.size,
        batch=recipe.training.batch,
        device=device,
        workers=recipe.training.workers,
        warn=warn,
        between=between,
        mask_class=class_of(recipe.data),
        unknown=recipe.data.unknown,
    )
