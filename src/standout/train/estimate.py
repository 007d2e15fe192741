"""What a run will take in time, memory and disk: a few of its steps are made, and nothing is written."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import statistics
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from standout import checkpoint as checkpoints
from standout.data.pairs import fingerprint
from standout.errors import EXIT_USAGE, StandoutError
from standout.files import disk_error
from standout.peak import peak_memory
from standout.shapes import Progress
from standout.train.build import build_strategy, build_task, check_precision, choose_device
from standout.train.optimise import training_mode
from standout.train.parts import learn
from standout.train.pictures import estimated_bytes, held_out_pictures, training_batches
from standout.train.prepare import check_network, find_data, new_state, on_device, resolve_backbone
from standout.train.processes import check_parts, launched
from standout.train.recipe import Recipe
from standout.train.resume import check_settings, check_surroundings
from standout.train.run import Run, surroundings
from standout.train.saving import CHECKPOINTS_OF_SPACE
from standout.train.validate import score

STEPS = 5
SETTLING = 2
"""Of these steps, the first that are not timed."""


class Estimate(NamedTuple):
    """What a run will take, or what is left of one that goes on.

    pictures, held_out : of the whole run.
    steps, steps_done : that are left to make, and that are made.
    seconds_a_step, training_seconds, validation_seconds : measured on a few steps and one batch held out;
        of several processes on one's part of each batch, which waits for no other.
    memory_bytes : the most that the process, or the graphics card, had in use.
    checkpoint_bytes, disk_bytes, free_bytes : of one checkpoint, of the whole run's folder, and what its disk has.
    decoded_bytes : about what the decoded set takes in the cache, or on the device.
    parameters, while_training : of the network, and of all that learns.
    """

    pictures: int
    held_out: int
    steps: int
    steps_done: int
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
        made = f" after {self.steps_done} that are made" if self.steps_done else ""
        return [
            f"{self.pictures} pictures to train on, {self.held_out} held out; {self.steps} steps of {batch}{made}",
            f"time: {_duration(self.training_seconds)} ({1000 * self.seconds_a_step:.0f} ms a step, "
            f"{batch / self.seconds_a_step:.1f} pictures/s) and {_duration(self.validation_seconds)} of validation",
            f"memory: {_size(self.memory_bytes)}; {self.parameters} parameters, {self.while_training} while training",
            f"disk: {_size(self.disk_bytes)}, where {_size(self.free_bytes)} are free; "
            f"{_size(self.checkpoint_bytes)} a checkpoint; {_size(self.decoded_bytes)} more with --cache",
            "nothing was written",
        ]


def estimate(
    recipe: Recipe,
    output: str | Path,
    *,
    tell: Callable[[str], object],
    resume: bool = False,
    overrides: Collection[str] = (),
    strict: bool = False,
) -> Estimate:
    """Make a few steps of a run, and return what the whole of it will take; nothing is written.

    Parameters
    ----------
    output : the folder that the run would have; it need not exist.
    tell : takes what the data show, and warnings.
    resume, overrides, strict : as `standout.train.loop.train` takes them.

    Raises
    ------
    StandoutError : what would stop the run before its first step, but for another run that holds the folder.
    """
    training, run, (_, processes) = recipe.training, Run(Path(output)), launched()
    if training.threads:
        torch.set_num_threads(training.threads)
    device = choose_device(training.device)
    if processes > 1 and device.type == "cuda":
        device = torch.device("cuda", 0)  # the first process's
    check_precision(training.precision, device)
    check_parts(training.batch, processes * training.accumulation)
    strategies = [build_strategy(entry, recipe.seed) for entry in recipe.strategies]
    task = build_task(recipe.task)
    options, backbone = resolve_backbone(recipe.network.options, recipe.network.backbone_weights, resume=resume)
    check_network(recipe.network.name, options)
    recipe = msgspec.structs.replace(recipe, network=msgspec.structs.replace(recipe.network, options=options))
    place = _nearest_folder(run.folder, "--output")
    if recipe.data.cache:
        _nearest_folder(Path(recipe.data.cache), "--cache")
    run.check_new(resume)
    pairs, held_out = find_data(
        recipe.data, split=recipe.validation.split, batch=training.batch, tell=tell, workers=training.workers
    )
    found = _newest(run.checkpoints, tell) if resume else None
    if found:
        around = surroundings((), torch.get_num_threads(), str(device), processes)
        check_surroundings(run.read_manifest(), around, strict=strict, warn=tell)
        prints = {"network.backbone_weights": backbone, "data": fingerprint([*pairs, *held_out])}
        changes = check_settings(found.training, recipe, prints, overrides)
    state = new_state(
        recipe,
        strategies,
        task,
        samples=len(pairs),
        backbone="" if found else recipe.network.backbone_weights,
        device=device,
    )
    if found:
        for anew in state.load(found.network, found.training["state"], [change["field"] for change in changes]):
            tell(f"begun anew under the changed settings: {anew}")
    Run(place).check_space(CHECKPOINTS_OF_SPACE * state.bytes(), f"{CHECKPOINTS_OF_SPACE} checkpoints")
    # Without the cache, which would be written to.
    recipe = msgspec.structs.replace(recipe, data=msgspec.structs.replace(recipe.data, cache="", resident="no"))
    steps_done, epochs_left = state.steps_done, training.epochs - state.epochs_done
    batches = training_batches(recipe, pairs, views=state.step.views, device=device, warn=tell, part=(0, processes))
    training_mode(state.step, freeze_batch_norm=training.freeze_batch_norm)
    precision = functools.partial(torch.autocast, device.type, torch.bfloat16, enabled=training.precision == "bfloat16")
    seconds = []
    steps = state.epoch_began + len(batches) * epochs_left
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
    return Estimate(
        pictures=len(pairs),
        held_out=len(held_out),
        steps=steps - steps_done,
        steps_done=steps_done,
        seconds_a_step=a_step,
        training_seconds=a_step * (steps - steps_done),
        validation_seconds=_validation_seconds(recipe, held_out, state, device, tell) * (epochs_left + 3),
        memory_bytes=_peak_memory(device),
        checkpoint_bytes=checkpoint,
        # The newest, the best and the one that was best before, and the one that is being written.
        disk_bytes=(training.keep + 3) * checkpoint + model,
        free_bytes=shutil.disk_usage(place).free,
        decoded_bytes=round(estimated_bytes(batches)),
        parameters=sum(p.numel() for p in state.step.network.parameters()),
        while_training=sum(p.numel() for p in state.step.parameters()),
    )


def _nearest_folder(folder: Path, option: str) -> Path:
    """Return the folder, or the nearest above it that exists, in which it could be made.

    Raises
    ------
    StandoutError : a file is in the way (exit code 2), or the system would not let it be made.
    """
    place = folder
    try:
        while True:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                place.lstat()
                break
            place = place.parent
        if not place.is_dir():
            what, how = "a file stands where a folder is needed", f"choose another {option}"
            raise StandoutError("not-a-folder", what, place, how, exit_code=EXIT_USAGE)
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise disk_error(error, folder) from error
    return place


def _newest(folder: Path, tell: Callable[[str], object]) -> checkpoints.Checkpoint | None:
    """Return the checkpoint that a run would go on from, and leave damaged ones where they are."""
    for path in reversed(checkpoints.listed(folder)):
        try:
            return checkpoints.load(path)
        except StandoutError as error:
            if error.code != "checkpoint-damaged":
                raise
            tell(f"checkpoint damaged, the run would use the previous one: {error.where}")
    return None


def _validation_seconds(recipe: Recipe, pairs: Any, state: Any, device: torch.device, tell: Any) -> float:
    """Return what one validation takes; there is one an epoch, and three at the end."""
    some = pairs[: recipe.training.batch]
    if not some:
        return 0.0
    pictures = held_out_pictures(recipe, some, device=device, warn=tell, between=lambda: None)
    began = time.perf_counter()
    score(state.step.network, pictures, weighted=recipe.validation.score == "weighted_f")
    return (time.perf_counter() - began) / len(some) * len(pairs)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return peak_memory() or 0  # where the system keeps no such account


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
