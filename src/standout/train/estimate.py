"""What a run will take in time, memory and disk: a few of its steps are made, and nothing is written."""

from __future__ import annotations

import functools
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from standout.shapes import Progress
from standout.train.build import build_strategy, build_task, check_precision, choose_device
from standout.train.optimise import training_mode
from standout.train.parts import learn
from standout.train.pictures import estimated_bytes, held_out_pictures, training_batches
from standout.train.prepare import check_network, find_data, new_state, on_device, resolve_backbone
from standout.train.processes import check_parts
from standout.train.recipe import Recipe
from standout.train.validate import score

STEPS = 5
SETTLING = 2
"""Of these steps, the first that are not timed."""


class Estimate(NamedTuple):
    """What a run will take.

    pictures, held_out, steps : of the whole run.
    seconds_a_step, training_seconds, validation_seconds : measured on a few steps and one batch held out.
    memory_bytes : the most that the process, or the graphics card, had in use.
    checkpoint_bytes, disk_bytes, free_bytes : of one checkpoint, of the whole run's folder, and what its disk has.
    decoded_bytes : about what the decoded set takes in the cache, or on the device.
    parameters, while_training : of the network, and of all that learns.
    """

    pictures: int
    held_out: int
    steps: int
    seconds_a_step: float
    training_seconds: float
    validation_seconds: float
    memory_bytes: int
    checkpoint_bytes: int
    disk_bytes: int
    free_bytes: int
    decoded_bytes: int
    parameters: int
    while_training: int

    def lines(self, batch: int) -> list[str]:
        """Return the estimate in words."""
        return [
            f"{self.pictures} pictures to train on, {self.held_out} held out; {self.steps} steps of {batch}",
            f"time: {_duration(self.training_seconds)} ({1000 * self.seconds_a_step:.0f} ms a step, "
            f"{batch / self.seconds_a_step:.1f} pictures/s) and {_duration(self.validation_seconds)} of validation",
            f"memory: {_size(self.memory_bytes)}; {self.parameters} parameters, {self.while_training} while training",
            f"disk: {_size(self.disk_bytes)}, where {_size(self.free_bytes)} are free; "
            f"{_size(self.checkpoint_bytes)} a checkpoint; {_size(self.decoded_bytes)} more with --cache",
            "nothing was written",
        ]


def estimate(recipe: Recipe, output: str | Path, *, tell: Callable[[str], object]) -> Estimate:
    """Make a few steps of a run, and return what the whole of it will take; nothing is written.

    Parameters
    ----------
    output : the folder that the run would have; it need not exist.
    tell : takes what the data show, and warnings.

    Raises
    ------
    StandoutError : what would stop the run before its first step.
    """
    training = recipe.training
    if training.threads:
        torch.set_num_threads(training.threads)
    device = choose_device(training.device)
    check_precision(training.precision, device)
    check_parts(training.batch, training.accumulation)
    strategies = [build_strategy(entry, recipe.seed) for entry in recipe.strategies]
    task = build_task(recipe.task)
    options, _ = resolve_backbone(recipe.network.options, recipe.network.backbone_weights)
    check_network(recipe.network.name, options)
    # Without the cache, which would be written to.
    recipe = msgspec.structs.replace(
        recipe,
        network=msgspec.structs.replace(recipe.network, options=options),
        data=msgspec.structs.replace(recipe.data, cache="", resident="no"),
    )
    pairs, held_out = find_data(
        recipe.data, split=recipe.validation.split, batch=training.batch, tell=tell, workers=training.workers
    )
    state = new_state(
        recipe, strategies, task, samples=len(pairs), backbone=recipe.network.backbone_weights, device=device
    )
    batches = training_batches(recipe, pairs, views=state.step.views, device=device, warn=tell)
    training_mode(state.step, freeze_batch_norm=training.freeze_batch_norm)
    precision = functools.partial(torch.autocast, device.type, torch.bfloat16, enabled=training.precision == "bfloat16")
    seconds = []
    steps = len(batches) * training.epochs
    began = time.perf_counter()
    for number, batch in zip(range(STEPS), batches.epoch(0), strict=False):
        progress = Progress(number, steps, 0, training.epochs)
        learn(state.step, on_device(batch, device), progress, parts=training.accumulation, precision=precision)
        state.optimiser.step()
        state.step.after_step(progress)
        state.step_made()
        state.optimiser.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = time.perf_counter()
        seconds.append(now - began)
        began = now
    a_step = statistics.median(seconds[SETTLING:] or seconds)
    checkpoint = state.bytes()
    model = sum(tensor.numel() * tensor.element_size() for tensor in state.network_tensors().values())
    place = Path(output)
    while not place.exists():
        place = place.parent
    return Estimate(
        pictures=len(pairs),
        held_out=len(held_out),
        steps=steps,
        seconds_a_step=a_step,
        training_seconds=a_step * steps,
        validation_seconds=_validation_seconds(recipe, held_out, state, device, tell),
        memory_bytes=_peak_memory(device),
        checkpoint_bytes=checkpoint,
        # The newest, the best and the one that was best before, and the one that is being written.
        disk_bytes=(training.keep + 3) * checkpoint + model,
        free_bytes=shutil.disk_usage(place).free,
        decoded_bytes=round(estimated_bytes(batches)),
        parameters=sum(p.numel() for p in state.step.network.parameters()),
        while_training=sum(p.numel() for p in state.step.parameters()),
    )


def _validation_seconds(recipe: Recipe, pairs: Any, state: Any, device: torch.device, tell: Any) -> float:
    """Return what all validations take: one an epoch, and three at the end."""
    some = pairs[: recipe.training.batch]
    if not some:
        return 0.0
    pictures = held_out_pictures(recipe, some, device=device, warn=tell, between=lambda: None)
    began = time.perf_counter()
    score(state.step.network, pictures, weighted=recipe.validation.score == "weighted_f")
    return (time.perf_counter() - began) / len(some) * len(pairs) * (recipe.training.epochs + 3)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows keeps no such account
        return 0
    # Linux counts kibibytes, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
