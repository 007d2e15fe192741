"""Training from a recipe to a model file; the only place that unpacks a recipe."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from standout import checkpoint as checkpoints
from standout.data.augment import Augmentation
from standout.data.batches import Batches
from standout.data.pairs import fingerprint
from standout.files import FolderLock, atomic_write
from standout.shapes import Batch, Progress
from standout.train.build import build_strategy, build_task, check_precision, choose_device
from standout.train.finish import Finished, finish
from standout.train.guard import NonFiniteGuard
from standout.train.held_out import HeldOutPictures
from standout.train.optimise import WeightAverage, clip_gradients, make_optimiser, parameter_groups, set_rates
from standout.train.prepare import build_step, find_data, resolve_backbone
from standout.train.recipe import Recipe, as_tables, as_toml
from standout.train.resume import check_settings, other_surroundings
from standout.train.run import RECIPE, Run, surroundings, told
from standout.train.saving import Saver
from standout.train.schedule import rate_factor
from standout.train.show import Shown, Silent
from standout.train.state import TrainingState, seed_streams
from standout.train.stop import StopOnSignal
from standout.train.validate import better, score


class Outcome(NamedTuple):
    """How a training ended: its folder, the steps made, the model; or the number of the signal that stopped it."""

    folder: Path
    steps: int
    finished: Finished | None
    signal: int | None


def train(
    recipe: Recipe,
    output: str | Path,
    *,
    resume: bool = False,
    overrides: Collection[str] = (),
    command: Sequence[str] = (),
    shown: Shown | None = None,
    warn: Callable[[str], object] = told,
) -> Outcome:
    """Train by the recipe into the folder `output`, or go on with the run that it holds.

    Parameters
    ----------
    resume : go on from the newest whole checkpoint, bit-equal to a run that was never stopped; where there is
        none yet, start.
    overrides : settings that may differ from the stored run's on resume.
    command : recorded in the manifest.
    shown : where progress goes; None shows nothing.
    warn : takes each warning as one line.

    Raises
    ------
    StandoutError : settings, data, disk, damaged checkpoints, or a loss that stopped being a number.
    """
    with FolderLock(output), StopOnSignal() as stop:
        return _Training(recipe, Run(Path(output), keep=recipe.training.keep), shown or Silent(), warn, stop).go(
            resume, overrides, command
        )


class _Training:
    """One call of `train`: what its parts share."""

    def __init__(
        self, recipe: Recipe, run: Run, shown: Shown, warn: Callable[[str], object], stop: StopOnSignal
    ) -> None:
        self.recipe, self.run, self.shown, self.warn, self.stop = recipe, run, shown, warn, stop

    def go(self, resume: bool, overrides: Collection[str], command: Sequence[str]) -> Outcome:
        """Set everything up, learn, and make the model."""
        recipe, run = self.recipe, self.run
        run.begin(resume)
        found = checkpoints.newest(run.checkpoints, self.warn)
        if recipe.training.threads:
            torch.set_num_threads(recipe.training.threads)
        self.device = choose_device(recipe.training.device)
        check_precision(recipe.training.precision, self.device)
        training, held_out = find_data(
            recipe.data.train,
            skip_unpaired=recipe.data.skip_unpaired,
            split=recipe.validation.split,
            batch=recipe.training.batch,
            shown=self.shown.line,
        )
        options, backbone = resolve_backbone(
            recipe.network.options, recipe.network.backbone_weights, resume=found is not None
        )
        recipe = self.recipe = msgspec.structs.replace(
            recipe, network=msgspec.structs.replace(recipe.network, options=options)
        )
        fingerprints = {"data": fingerprint([*training, *held_out]), "network.backbone_weights": backbone}
        changes = check_settings(found.training, recipe, fingerprints, overrides) if found else []
        if found and not backbone:
            fingerprints["network.backbone_weights"] = found.training["fingerprints"]["network.backbone_weights"]
        augmentation: dict[str, Any] = msgspec.structs.asdict(recipe.augmentation)
        self.size = recipe.validation.size or recipe.training.size
        state = self.state = self._state(len(training), start=found is None)
        self.batches = Batches(
            training,
            size=recipe.training.size,
            batch=recipe.training.batch,
            augmentation=Augmentation(**augmentation),
            seed=recipe.seed,
            workers=recipe.training.workers,
            views=state.step.views,
            channels_last=recipe.training.channels_last,
        )
        self.pictures = HeldOutPictures(
            held_out,
            size=self.size,
            batch=recipe.training.batch,
            device=self.device,
            workers=recipe.training.workers,
            warn=self.warn,
        )
        if found:
            state.load(found.network, found.training["state"])
        self.saver = Saver(
            run,
            state,
            {"recipe": as_tables(recipe), "fingerprints": fingerprints},
            steps=recipe.training.save_steps,
            minutes=recipe.training.save_minutes,
            warn=self.warn,
        )
        self.saver.check_space_at_start()
        before = run.read_manifest()
        around = surroundings(command, torch.get_num_threads(), str(self.device))
        if found:
            for difference in other_surroundings(before, around):
                self.warn(f"resumed close, not bit-equal: {difference}")
        run.rewind_log(state.steps_done)
        atomic_write(run.folder / RECIPE, as_toml(recipe).encode())
        run.write_manifest(
            {
                **around,
                "status": "running",
                "seed": recipe.seed,
                "data": {"folder": recipe.data.train, "training": len(training), "validation": len(held_out)},
                "fingerprints": fingerprints,
                "parameters": {
                    "network": sum(p.numel() for p in state.step.network.parameters()),
                    "while_training": sum(p.numel() for p in state.step.parameters()),
                },
                "changes": [*before.get("changes", []), *({**change, "step": state.steps_done} for change in changes)],
            }
        )
        self._learn()
        if self.stop.number is not None:
            run.update_manifest(status="stopped", **self._timings())
            return Outcome(run.folder, state.steps_done, None, self.stop.number)
        self.shown.line("choosing the logit scale and writing the model")
        finished = finish(
            run,
            state.step.network,
            self.pictures,
            best=state.best,
            final=recipe.training.final,
            sharpness=recipe.validation.sharpness,
            size=self.size,
            training={"recipe": as_tables(recipe), "data": fingerprints["data"]},
            backbone=fingerprints["network.backbone_weights"],
            warn=self.warn,
        )
        run.update_manifest(status="finished", **self._timings(), **finished.record())
        return Outcome(run.folder, state.steps_done, finished, None)

    def _state(self, samples: int, start: bool) -> TrainingState:
        recipe, settings = self.recipe, self.recipe.optimiser
        step = build_step(
            recipe.network.name,
            recipe.network.options,
            [build_strategy(entry, recipe.seed) for entry in recipe.strategies],
            build_task(recipe.task),
            samples=samples,
            seed=recipe.seed,
            backbone=recipe.network.backbone_weights if start else "",
            device=self.device,
            channels_last=recipe.training.channels_last,
        )
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
        average = WeightAverage(step.network, recipe.training.ema) if recipe.training.ema > 0 else None
        return TrainingState(step, optimiser, average)

    def _learn(self) -> None:
        """Make the steps that are left, with validation and a checkpoint at each epoch's end."""
        state, settings = self.state, self.recipe.training
        length = len(self.batches)
        guard = NonFiniteGuard(state, self.run.folder, settings.nonfinite_limit)
        while state.epochs_done < settings.epochs:
            epoch = state.epochs_done
            state.step.train()
            started = time.monotonic()
            # A session ends where its signal came, so what was spent is booked step by step.
            for batch in self.batches.epoch(epoch, state.steps_done - epoch * length):
                progress = Progress(state.steps_done, length * settings.epochs, epoch, settings.epochs)
                made = self._step(on_device(batch, self.device), progress, guard)
                now = time.monotonic()
                seconds, started = now - started, now
                state.training_seconds += seconds
                self._report(progress, made, len(batch.image) / seconds)
                if self.stop.number is not None:
                    self.saver.save()
                    return
                if self.saver.due() and state.steps_done < (epoch + 1) * length:
                    self.saver.save()
            self._end_epoch(Progress(state.steps_done - 1, length * settings.epochs, epoch, settings.epochs))
            self.saver.save()
            if self.stop.number is not None:
                return

    def _step(self, batch: Batch, progress: Progress, guard: NonFiniteGuard) -> _Made:
        """Make one step: the heart of training."""
        state, step = self.state, self.state.step
        seed_streams(self.recipe.seed, progress.step)
        rate = set_rates(state.optimiser, self._rate_factor(progress))
        guard.before()
        with self._autocast():
            terms = step(batch, progress)
        total = torch.stack(list(terms.values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
        norm = clip_gradients(step.parameters(), self.recipe.optimiser.clip)
        made = _Made(
            {name: float(term.detach()) for name, term in terms.items()}, float(total.detach()), float(norm), rate
        )
        if guard.passes(total, norm):
            state.optimiser.step()
            step.after_step(progress)
            state.step_made()
        else:
            guard.leave_out(made.terms, made.norm, self._names(batch))
        state.optimiser.zero_grad(set_to_none=True)
        state.steps_done += 1
        return made

    def _rate_factor(self, progress: Progress) -> float:
        schedule = self.recipe.schedule
        return rate_factor(
            progress,
            schedule.name,
            warmup=schedule.warmup,
            power=schedule.power,
            floor=schedule.floor,
            per=schedule.per,
        )

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.training.precision == "bfloat16")

    def _names(self, batch: Batch) -> list[str]:
        return [] if batch.index is None else [self.batches.pairs[i].name for i in batch.index.tolist()]

    def _end_epoch(self, progress: Progress) -> None:
        """Score the held-out pictures, tell the strategies, and remember the best."""
        state, measure = self.state, self.recipe.validation.score
        started = time.monotonic()
        scores: dict[str, float] = {}
        if len(self.pictures):
            with averaged(state):
                scores = score(state.step.network, self.pictures, weighted=measure == "weighted_f")
        state.step.after_epoch(progress, scores)
        seconds = time.monotonic() - started
        state.epochs_done += 1
        state.validation_seconds += seconds
        if scores and better(scores[measure], state.best["score"] if state.best else None, measure):
            earlier = state.best["checkpoints"][:1] if state.best else []
            name = checkpoints.name_of(state.steps_done)
            state.best = {"score": scores[measure], "epoch": state.epochs_done, "checkpoints": [name, *earlier]}
        if scores:
            self.run.log("epoch", step=state.steps_done, epoch=state.epochs_done, seconds=seconds, **scores)
            told_scores = "  ".join(
                f"{name} {scores[name]:.4f}" for name in dict.fromkeys(("mae", "f_max", "s", measure))
            )
            self.shown.line(f"epoch {state.epochs_done}/{progress.epochs}  held out: {told_scores}")

    def _report(self, progress: Progress, made: _Made, speed: float) -> None:
        done = progress.step + 1
        self.shown.step(done, progress.steps, f"{progress.epoch + 1}/{progress.epochs}", made.terms, made.rate, speed)
        if done % self.recipe.training.log_steps == 0 or not made.finite:
            self.run.log(
                "step",
                step=done,
                epoch=progress.epoch + 1,
                total=finite_or_none(made.total),
                terms={name: finite_or_none(value) for name, value in made.terms.items()},
                norm=finite_or_none(made.norm),
                rate=made.rate,
                skipped=self.state.skipped,
                pictures_per_second=round(speed, 2),
            )

    def _timings(self) -> dict[str, Any]:
        state = self.state
        pictures = state.steps_done * self.recipe.training.batch
        return {
            "steps": state.steps_done,
            "skipped_steps": state.skipped,
            "best": state.best,
            "seconds": {"training": round(state.training_seconds, 1), "validation": round(state.validation_seconds, 1)},
            "pictures_per_second": round(pictures / state.training_seconds, 2) if state.training_seconds else None,
            "failures": self.batches.failures,
            "refitted": len(self.batches.refitted),
        }


class _Made(NamedTuple):
    """One step's numbers: every term by name, their sum, the gradient's norm before clipping, the rate."""

    terms: dict[str, float]
    total: float
    norm: float
    rate: float

    @property
    def finite(self) -> bool:
        return finite_or_none(self.total) is not None and finite_or_none(self.norm) is not None


def finite_or_none(value: float) -> float | None:
    """Return the value, or None where it is not a finite number, which JSON cannot hold."""
    return value if abs(value) < float("inf") else None


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


@contextlib.contextmanager
def averaged(state: TrainingState) -> Iterator[None]:
    """While entered, the network has its averaged weights, where an average is kept."""
    if state.average is None:
        yield
        return
    network = state.step.network
    own = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(state.average.weights)
    try:
        yield
    finally:
        network.load_state_dict(own)
