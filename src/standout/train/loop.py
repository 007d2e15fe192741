"""Training from a recipe to a model file; the only place that unpacks a recipe."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from standout import checkpoint as checkpoints
from standout.data.augment import Augmentation
from standout.data.batches import Batches
from standout.data.pairs import fingerprint
from standout.errors import StandoutError
from standout.files import FolderLock, atomic_write
from standout.shapes import Batch, Progress
from standout.train.build import build_strategy, build_task, check_precision, choose_device
from standout.train.finish import Finished, finish
from standout.train.guard import NonFiniteGuard
from standout.train.held_out import HeldOutPictures
from standout.train.optimise import clip_gradients, make_average, make_optimiser, parameter_groups, set_rates
from standout.train.plot import plot_curves
from standout.train.prepare import build_step, check_network, class_of, find_data, on_device, resolve_backbone
from standout.train.recipe import Recipe, as_tables, as_toml
from standout.train.resume import check_settings, other_surroundings
from standout.train.run import CURVES, RECIPE, Run, surroundings, told
from standout.train.saving import Saver
from standout.train.schedule import rate_factor
from standout.train.show import Shown, Silent
from standout.train.state import TrainingState, seed_streams
from standout.train.stop import StopOnSignal, StoppedError
from standout.train.validate import better, score

SECONDS_BETWEEN_CURVES = 60.0
SHOWN_MEASURES = ("mae", "f_max", "s")


class Outcome(NamedTuple):
    """How a training ended: its folder, the steps made, the model; or the number of the signal that stopped it."""

    folder: Path
    steps: int
    finished: Finished | None
    signal: int | None


class Made(NamedTuple):
    """One step's numbers: every term by name, their sum, the gradient's norm before clipping, the rate."""

    terms: dict[str, float]
    total: float
    norm: float
    rate: float


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
    session = _Session(recipe, shown or Silent(), warn, resume)
    with FolderLock(output), StopOnSignal() as stop:
        session.open(Run(Path(output), keep=recipe.training.keep), stop, resume, overrides, command)
        try:
            return session.work()
        except StandoutError as error:
            session.run.update_manifest(status="failed", failure=str(error), **session.account())
            raise


class _Session:
    """One call of `train`: what its parts share, and its parameters.

    It is made without touching the disk, so that a wrong setting leaves nothing behind.
    """

    def __init__(self, recipe: Recipe, shown: Shown, warn: Callable[[str], object], resume: bool) -> None:
        training, self.shown, self.warn = recipe.training, shown, warn
        self.notes: list[str] = []
        if training.threads:
            torch.set_num_threads(training.threads)
        self.device = choose_device(training.device)
        check_precision(training.precision, self.device)
        self.strategies = [build_strategy(entry, recipe.seed) for entry in recipe.strategies]
        self.task = build_task(recipe.task)
        options, self.backbone = resolve_backbone(
            recipe.network.options, recipe.network.backbone_weights, resume=resume
        )
        check_network(recipe.network.name, options)
        network = msgspec.structs.replace(recipe.network, options=options)
        self.recipe = msgspec.structs.replace(recipe, network=network)
        self.pairs, self.held_out = find_data(
            recipe.data, split=recipe.validation.split, batch=training.batch, tell=self._note, workers=training.workers
        )

    def _note(self, line: str) -> None:
        self.notes.append(line)
        self.shown.line(line)

    def open(
        self, run: Run, stop: StopOnSignal, resume: bool, overrides: Collection[str], command: Sequence[str]
    ) -> None:
        """Take the run's folder: a new one, or go on from its newest whole checkpoint."""
        recipe, self.run, self.stop = self.recipe, run, stop
        run.begin(resume)
        found = checkpoints.newest(run.checkpoints, self.warn)
        prints = {"data": fingerprint([*self.pairs, *self.held_out]), "network.backbone_weights": self.backbone}
        changes = check_settings(found.training, recipe, prints, overrides) if found else []
        if found and not self.backbone:
            prints["network.backbone_weights"] = found.training["fingerprints"]["network.backbone_weights"]
        self.state = self._new_state(recipe.network.backbone_weights if found is None else "")
        if found:
            self.state.load(found.network, found.training["state"])
        self._open_pictures()
        settled = {"recipe": as_tables(recipe), "fingerprints": prints}
        self.saver = Saver(
            run,
            self.state,
            settled,
            steps=recipe.training.save_steps,
            minutes=recipe.training.save_minutes,
            warn=self.warn,
        )
        self.saver.check_space_at_start()
        run.rewind_log(self.state.steps_done)
        atomic_write(run.folder / RECIPE, as_toml(recipe).encode())
        self._open_manifest(prints, changes, command, resumed=found is not None)

    def _new_state(self, backbone: str) -> TrainingState:
        recipe, settings = self.recipe, self.recipe.optimiser
        step = build_step(
            recipe.network.name,
            recipe.network.options,
            self.strategies,
            self.task,
            samples=len(self.pairs),
            seed=recipe.seed,
            backbone=backbone,
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
        return TrainingState(step, optimiser, make_average(step.network, recipe.training.ema))

    def _open_pictures(self) -> None:
        recipe, settings = self.recipe, self.recipe.training
        augmentation: dict[str, Any] = msgspec.structs.asdict(recipe.augmentation)
        self.batches = Batches(
            self.pairs,
            size=settings.size,
            batch=settings.batch,
            augmentation=Augmentation(**augmentation),
            seed=recipe.seed,
            workers=settings.workers,
            views=self.state.step.views,
            channels_last=settings.channels_last,
            mask_class=class_of(recipe.data),
            unknown=recipe.data.unknown,
        )
        self.size = recipe.validation.size or settings.size
        self.pictures = HeldOutPictures(
            self.held_out,
            size=self.size,
            batch=settings.batch,
            device=self.device,
            workers=settings.workers,
            warn=self.warn,
            between=self.stop.check,
            mask_class=class_of(recipe.data),
            unknown=recipe.data.unknown,
        )

    def _open_manifest(
        self, prints: Mapping[str, str], changes: list[dict[str, Any]], command: Sequence[str], resumed: bool
    ) -> None:
        before, step = self.run.read_manifest() if resumed else {}, self.state.step
        around = surroundings(command, torch.get_num_threads(), str(self.device))
        for difference in other_surroundings(before, around):
            self.warn(f"resumed close, not bit-equal: {difference}")
        self.run.write_manifest(
            {
                **around,
                "status": "running",
                "seed": self.recipe.seed,
                "data": {"training": len(self.pairs), "validation": len(self.held_out), "notes": self.notes},
                "fingerprints": prints,
                "parameters": {
                    "network": sum(p.numel() for p in step.network.parameters()),
                    "while_training": sum(p.numel() for p in step.parameters()),
                },
                "changes": [*before.get("changes", []), *({**c, "step": self.state.steps_done} for c in changes)],
            }
        )

    def work(self) -> Outcome:
        """Learn what is left to learn, then make the model; or stop where a signal came."""
        finished = None
        with contextlib.suppress(StoppedError):
            self._learn()
            self.shown.line("choosing the logit scale and writing the model")
            finished = finish(
                self.run,
                self.state.step.network,
                self.pictures,
                best=self.state.best,
                final=self.recipe.training.final,
                sharpness=self.recipe.validation.sharpness,
                size=self.size,
                training=self.saver.settled,
                warn=self.warn,
            )
            self._draw()
        record = {"status": "stopped", "resumable": True} if finished is None else {"status": "finished"}
        self.run.update_manifest(**record, **self.account(), **(finished.record() if finished else {}))
        return Outcome(self.run.folder, self.state.steps_done, finished, None if finished else self.stop.number)

    def _learn(self) -> None:
        """Make the steps that are left, with validation and a checkpoint at each epoch's end."""
        state, epochs, length = self.state, self.recipe.training.epochs, len(self.batches)
        guard = NonFiniteGuard(state, self.run.folder, self.recipe.training.nonfinite_limit)
        while state.epochs_done < epochs:
            epoch = state.epochs_done
            began = time.monotonic()
            state.step.train()
            for batch in self.batches.epoch(epoch, state.steps_done - epoch * length):
                progress = Progress(state.steps_done, length * epochs, epoch, epochs)
                made = self._step(on_device(batch, self.device), progress, guard)
                began = self._account_step(progress, made, len(batch.image), began)
                whole = state.steps_done == (epoch + 1) * length
                if self.stop.number is not None or (self.saver.due() and not whole):
                    self.saver.save()
                self.stop.check()
            self._end_epoch(Progress(state.steps_done - 1, length * epochs, epoch, epochs))

    def _step(self, batch: Batch, progress: Progress, guard: NonFiniteGuard) -> Made:
        """Make one step: the heart of training."""
        state, step = self.state, self.state.step
        seed_streams(self.recipe.seed, progress.step)
        rate = set_rates(state.optimiser, self._rate_factor(progress))
        guard.before()
        with self._precision():
            terms = step(batch, progress)
        total = torch.stack(list(terms.values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
        norm = clip_gradients(step.parameters(), self.recipe.optimiser.clip)
        made = Made({name: term.item() for name, term in terms.items()}, total.item(), norm.item(), rate)
        if guard.passes(made.total, made.norm):
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

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.training.precision == "bfloat16")

    def _names(self, batch: Batch) -> list[str]:
        return [] if batch.index is None else [self.batches.pairs[i].name for i in batch.index.tolist()]

    def _end_epoch(self, progress: Progress) -> None:
        """Score the held-out pictures, tell the strategies, remember the best, and save."""
        state, measure = self.state, self.recipe.validation.score
        began = time.monotonic()
        scores: dict[str, float] = {}
        if len(self.pictures):
            with state.averaged() as network:
                scores = score(network, self.pictures, weighted=measure == "weighted_f")
        state.step.after_epoch(progress, scores)
        seconds = time.monotonic() - began
        state.epochs_done += 1
        state.validation_seconds += seconds
        best_before = state.best
        if scores and better(scores[measure], best_before["score"] if best_before else None, measure):
            earlier = best_before["checkpoints"][:1] if best_before else []
            name = checkpoints.name_of(state.steps_done)
            state.best = {"score": scores[measure], "epoch": state.epochs_done, "checkpoints": [name, *earlier]}
        told = state.step.diagnostics()
        if scores or told:
            values = {**scores, **({"strategies": told} if told else {})}
            self.run.log("epoch", step=state.steps_done, epoch=state.epochs_done, seconds=round(seconds, 2), **values)
        if scores:
            words = "  ".join(f"{name} {scores[name]:.4f}" for name in dict.fromkeys((*SHOWN_MEASURES, measure)))
            self.shown.line(f"epoch {state.epochs_done}/{progress.epochs}  held out: {words}")
        if not self.saver.save(last=state.epochs_done == progress.epochs):
            state.best = best_before  # what was not saved cannot be the best to come back to
        if time.monotonic() - self._drawn > SECONDS_BETWEEN_CURVES:
            self._draw()
        self.stop.check()

    def _account_step(self, progress: Progress, made: Made, pictures: int, began: float) -> float:
        """Show and log a step; return the moment to which its time is accounted."""
        now = time.monotonic()
        self.state.training_seconds += now - began
        speed = pictures / (now - began)
        done = progress.step + 1
        self.shown.step(done, progress.steps, f"{progress.epoch + 1}/{progress.epochs}", made.terms, made.rate, speed)
        if done % self.recipe.training.log_steps == 0 or _finite(made.total) is None or _finite(made.norm) is None:
            self.run.log(
                "step",
                step=done,
                epoch=progress.epoch + 1,
                total=_finite(made.total),
                terms={name: _finite(value) for name, value in made.terms.items()},
                norm=_finite(made.norm),
                rate=made.rate,
                skipped=self.state.skipped,
                pictures_per_second=round(speed, 2),
            )
        return now

    _drawn = -math.inf

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        names = [self.recipe.network.name, *(entry["name"] for entry in self.recipe.strategies)]
        picture = plot_curves(self.run.metrics.read(), title=" + ".join(names), score=self.recipe.validation.score)
        atomic_write(self.run.folder / CURVES, picture)

    def account(self) -> dict[str, Any]:
        """Return what the manifest says of the work done so far."""
        state = self.state
        # From the log and not from the strategies: a run that is resumed when it is done has made no step.
        lines = self.run.metrics.read() if self.run.metrics.path.exists() else []
        told = [line["strategies"] for line in lines if line["kind"] == "epoch" and "strategies" in line]
        seconds = {"training": round(state.training_seconds, 1), "validation": round(state.validation_seconds, 1)}
        pictures = state.steps_done * self.recipe.training.batch
        return {
            "steps": state.steps_done,
            "skipped_steps": state.skipped,
            "best": state.best,
            "seconds": seconds,
            "pictures_per_second": round(pictures / state.training_seconds, 2) if state.training_seconds else None,
            "strategies": told[-1] if told else {},
            "unreadable": self.batches.failures,
            "masks_of_another_size": len(self.batches.refitted),
        }


def _finite(value: float) -> float | None:
    # JSON has no word for what is not a number.
    return value if math.isfinite(value) else None
