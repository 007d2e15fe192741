"""Training from a recipe to a model file; the only place that unpacks a recipe."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor

from standout import checkpoint as checkpoints
from standout.data.pairs import fingerprint
from standout.errors import StandoutError
from standout.files import FolderLock, atomic_write
from standout.shapes import Batch, Progress
from standout.train.build import build_strategy, build_task, check_precision
from standout.train.contention import Contention
from standout.train.finish import Finished, finish
from standout.train.guard import NonFiniteGuard
from standout.train.optimise import clip_gradients, running_statistics, set_rates, training_mode
from standout.train.parts import learn
from standout.train.pictures import held_out_pictures, training_batches
from standout.train.prepare import check_network, find_data, new_state, on_device, resolve_backbone
from standout.train.processes import Processes, check_parts
from standout.train.recipe import Recipe, as_tables, as_toml
from standout.train.report import Made, Report
from standout.train.resume import check_settings, check_surroundings
from standout.train.run import RECIPE, Run, surroundings, told
from standout.train.saving import Saver
from standout.train.schedule import rate_factor
from standout.train.show import Shown, Silent
from standout.train.state import seed_streams
from standout.train.stop import StopOnSignal, StoppedError
from standout.train.validate import better, score

ECHO = 10.0
"""Seconds in which a launcher may pass a signal on that its processes have been sent already."""


class Outcome(NamedTuple):
    """How a training ended.

    folder, steps : of the run; the steps made so far.
    finished : the model, in the process that made it; None where the run was stopped and may go on.
    signal : the number of the one that stopped it, or None.
    first : whether this is the process that speaks and writes; of several, one does.
    """

    folder: Path
    steps: int
    finished: Finished | None
    signal: int | None
    first: bool = True


def train(
    recipe: Recipe,
    output: str | Path,
    *,
    resume: bool = False,
    overrides: Collection[str] = (),
    strict: bool = False,
    command: Sequence[str] = (),
    shown: Shown | None = None,
    warn: Callable[[str], object] = told,
) -> Outcome:
    """Train by the recipe into the folder `output`, or go on with the run that it holds.

    Started by `torchrun` or its like in many processes, it trains in all of them together.

    Parameters
    ----------
    resume : go on from the newest whole checkpoint, bit-equal to a run that was never stopped; where there is
        none yet, start.
    overrides : settings that may differ from the stored run's on resume.
    strict : refuse to go on where the result could not be bit-equal: with other threads, processes, libraries or on
        another device.
    command : recorded in the manifest.
    shown : where progress goes; None shows nothing.
    warn : takes each warning as one line.

    Raises
    ------
    StandoutError : settings, data, disk, damaged checkpoints, or a loss that stopped being a number.
    """
    processes = Processes(recipe.training.device, recipe.training.process_minutes)
    if not processes.first:
        shown, warn = Silent(), _silent
    with processes.agreed():
        session = _Session(recipe, Silent() if shown is None else shown, warn, resume, processes)
    with contextlib.ExitStack() as held:
        with processes.agreed():
            # A record lock belongs to one process; the first holds the folder for all.
            if processes.first:
                held.enter_context(FolderLock(output))
            stop = held.enter_context(StopOnSignal(ECHO if processes.count > 1 else 0.0))
        run = Run(Path(output), keep=recipe.training.keep, writes=processes.first)
        session.open(run, stop, resume, overrides, command, strict)
        try:
            return session.work()
        except StandoutError as error:
            with contextlib.suppress(StandoutError):  # a full disk refuses this too, and is not what is told
                run.update_manifest(status="failed", failure=str(error), **session.report.account())
            raise


def _silent(_line: str) -> None:
    """Say nothing: of several processes, the first speaks."""


class _Session:
    """One call of `train`: what its parts share, and its parameters.

    It is made without touching the disk, so that a wrong setting leaves nothing behind.
    """

    def __init__(
        self, recipe: Recipe, shown: Shown, warn: Callable[[str], object], resume: bool, processes: Processes
    ) -> None:
        training, self.shown, self.warn, self.processes = recipe.training, shown, warn, processes
        self.notes: list[str] = []
        if training.threads:
            torch.set_num_threads(training.threads)
        self.device = processes.device
        check_precision(training.precision, self.device)
        check_parts(training.batch, processes.count * training.accumulation)
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
        self,
        run: Run,
        stop: StopOnSignal,
        resume: bool,
        overrides: Collection[str],
        command: Sequence[str],
        strict: bool,
    ) -> None:
        """Take the run's folder: a new one, or go on from its newest whole checkpoint."""
        recipe, self.run, self.stop, processes = self.recipe, run, stop, self.processes
        found = None
        with processes.agreed():
            run.begin(resume)
            found = checkpoints.newest(run.checkpoints, self.warn) if processes.first else None
        name = processes.share(found.path.name if found else None)
        with processes.agreed():
            if name is not None and found is None:
                found = checkpoints.load(run.checkpoints / name)
        prints = {"network.backbone_weights": self.backbone}
        prints["data"] = processes.from_first(lambda: fingerprint([*self.pairs, *self.held_out]))
        around = surroundings(command, torch.get_num_threads(), str(self.device), processes.count)
        before = run.read_manifest() if found else {}
        with processes.agreed():
            if found:
                check_surroundings(before, around, strict=strict, warn=self.warn)
            changes = check_settings(found.training, recipe, prints, overrides) if found else []
            if found and not self.backbone:
                prints["network.backbone_weights"] = found.training["fingerprints"]["network.backbone_weights"]
            self.state = new_state(
                recipe,
                self.strategies,
                self.task,
                samples=len(self.pairs),
                backbone=recipe.network.backbone_weights if found is None else "",
                device=self.device,
                processes=processes.count,
            )
            if found:
                fields = [change["field"] for change in changes]
                for anew in self.state.load(found.network, found.training["state"], fields):
                    self.warn(f"begun anew under the changed settings: {anew}")
            self._open_pictures()
        weights = sum(float(value.double().sum()) for value in self.state.network_tensors().values())
        processes.same("settings, pictures or weights", f"{as_toml(recipe)!r} {len(self.pairs)} {weights!r}")
        settled = {"recipe": as_tables(recipe), "fingerprints": prints}
        self.saver = Saver(
            run,
            self.state,
            settled,
            steps=recipe.training.save_steps,
            minutes=recipe.training.save_minutes,
            warn=self.warn,
        )
        with processes.agreed():
            self.saver.check_space_at_start()
            run.rewind_log(self.state.steps_done)
            if processes.first:
                atomic_write(run.folder / RECIPE, as_toml(recipe).encode())
            self._open_manifest(prints, changes, around, before)
        self.report = Report(run, recipe, self.state, self.batches, self.shown, self.warn)
        self._guard = NonFiniteGuard(self.state, run.folder, recipe.training.nonfinite_limit, self.processes)
        self._contention = Contention(torch.get_num_threads() if self.device.type == "cpu" else 1, self.warn)
        limit = 60 * recipe.training.time_limit
        self._deadline = time.monotonic() + limit if limit else math.inf

    def _open_pictures(self) -> None:
        recipe = self.recipe
        self.batches = training_batches(
            recipe,
            self.pairs,
            views=self.state.step.views,
            device=self.device,
            warn=self.warn,
            part=(self.processes.number, self.processes.count),
            # Of several processes none leaves alone: the others would wait for it.
            between=self.stop.check if self.processes.count == 1 else lambda: None,
        )
        self.pictures = held_out_pictures(
            recipe, self.held_out, device=self.device, warn=self.warn, between=self.stop.check
        )

    def _open_manifest(
        self,
        prints: Mapping[str, str],
        changes: list[dict[str, Any]],
        around: Mapping[str, Any],
        before: Mapping[str, Any],
    ) -> None:
        step = self.state.step
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
        finished, number = None, None
        try:
            self._learn()
            self.shown.line("choosing the logit scale and writing the model")
            finished = self.processes.in_first(self._finish)
        except StoppedError:
            number = self.stop.number or self._signal
            self.saver.save_what_is_new()
        record = {"status": "stopped", "resumable": True} if finished is None else {"status": "finished"}
        self.run.update_manifest(**record, **self.report.account(), **(finished.record() if finished else {}))
        return Outcome(self.run.folder, self.state.steps_done, finished, number, self.processes.first)

    def _finish(self) -> Finished:
        finished = finish(
            self.run,
            self.state.step.network,
            self.pictures,
            best=self.state.best,
            final=self.recipe.training.final,
            sharpness=self.recipe.validation.sharpness,
            size=self.pictures.size,
            training=self.saver.settled,
            warn=self.warn,
        )
        self.report.draw()
        return finished

    def _learn(self) -> None:
        """Make the steps that are left, with validation and a checkpoint at each epoch's end."""
        state, epochs, length = self.state, self.recipe.training.epochs, len(self.batches)
        while state.epochs_done < epochs:
            epoch = state.epochs_done
            began = time.monotonic()
            training_mode(state.step, freeze_batch_norm=self.recipe.training.freeze_batch_norm)
            end = state.epoch_began + length
            total = end + (epochs - 1 - epoch) * length
            for batch in self.batches.epoch(epoch, state.steps_done - state.epoch_began):
                progress = Progress(state.steps_done, total, epoch, epochs)
                made = self._step(on_device(batch, self.device), progress)
                began = self.report.step(progress, made, began)
                if self._stopping:
                    raise StoppedError
                if self.saver.due() and state.steps_done != end:
                    self.saver.save()
            if epoch == epochs - 1:
                self._guard.check_end(total)
            self._end_epoch(Progress(state.steps_done - 1, total, epoch, epochs))

    def _step(self, batch: Batch, progress: Progress) -> Made:
        """Make one step: the heart of training."""
        state, step, guard = self.state, self.state.step, self._guard
        seed_streams(self.recipe.seed, progress.step, self.processes.number)
        rate = set_rates(state.optimiser, self._rate_factor(progress))
        guard.before()
        with self._contention.step():
            terms, total = learn(step, batch, progress, parts=step.parts, precision=self._precision)
        terms, total = self._together(terms, total)
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

    def _together(self, terms: dict[str, Tensor], total: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Average gradients, statistics and terms over the processes, so that all make one step; and agree to stop."""
        asked, late = self.stop.number is not None, time.monotonic() > self._deadline
        if self.processes.count == 1:
            self._stopping = asked or late
            return terms, total
        means = torch.stack([*terms.values(), total])
        flags = torch.tensor([float(asked), float(late)], device=self.device)
        gradients = [p.grad for p in self.state.step.parameters() if p.grad is not None]
        self.processes.average([*gradients, *running_statistics(self.state.step), means, flags])
        self._heed(*(flag > 0 for flag in flags.tolist()))
        return dict(zip(terms, means, strict=False)), means[-1]

    def _heed(self, asked: bool, late: bool) -> None:
        """Take notice of a signal or of the end of the time in any process."""
        self._stopping = asked or late
        if asked:
            self._signal = int(signal.SIGTERM)

    _stopping = False
    _signal: int | None = None
    """What another process was asked by."""

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
        state, measure, processes = self.state, self.recipe.validation.score, self.processes
        began = time.monotonic()
        scores: dict[str, float] = {}
        if len(self.pictures):
            scores = processes.from_first(self._score)
        state.step.after_epoch(progress, scores)
        seconds = time.monotonic() - began
        state.epochs_done, state.epoch_began = state.epochs_done + 1, state.steps_done
        state.validation_seconds += seconds
        best_before = state.best
        if scores and better(scores[measure], best_before["score"] if best_before else None, measure):
            earlier = best_before["checkpoints"][:1] if best_before else []
            name = checkpoints.name_of(state.steps_done)
            state.best = {"score": scores[measure], "epoch": state.epochs_done, "checkpoints": [name, *earlier]}
        told = processes.mean_of(state.step.diagnostics())
        self.report.epoch(progress.epochs, scores, told, seconds)
        if not self.saver.save(last=state.epochs_done == progress.epochs):
            state.best = best_before  # what was not saved cannot be the best to come back to
        self.report.draw(now=False)
        self._heed(processes.any(self.stop.number is not None), processes.any(time.monotonic() > self._deadline))
        if self._stopping and state.epochs_done < progress.epochs:
            raise StoppedError

    def _score(self) -> dict[str, float]:
        with self.state.averaged() as network:
            return score(network, self.pictures, weighted=self.recipe.validation.score == "weighted_f")
