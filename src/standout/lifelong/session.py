"""One session of learning: the loop over experiences, the same for every method."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from standout.counter_hash import hash64
from standout.data.augment import Augmentation
from standout.files import atomic_write, sha256_of
from standout.lifelong.measures import AccuracyMatrix
from standout.lifelong.memory import Kept
from standout.lifelong.methods.method import Meeting
from standout.lifelong.model import write_recogniser
from standout.lifelong.network import Recogniser
from standout.lifelong.pictures import Labelled, Reader, Wanted, chunks, shuffled
from standout.lifelong.prepare import gradient_norms, named, on_device
from standout.lifelong.recipe import LifelongRecipe
from standout.lifelong.results import (
    RESULTS,
    as_bytes,
    inference_milliseconds,
    matrix_of,
    results_of,
    tensor_bytes,
)
from standout.lifelong.state import LearnerState
from standout.lifelong.streams import Example, Experience, Stream
from standout.peak import forget_peak_memory, peak_memory
from standout.shapes import Progress
from standout.train.guard import NonFiniteGuard
from standout.train.optimise import clip_gradients, set_rates, training_mode
from standout.train.recipe import as_tables
from standout.train.run import MODEL, Run
from standout.train.saving import Saver
from standout.train.schedule import rate_factor
from standout.train.show import Shown
from standout.train.state import seed_streams
from standout.train.stop import StopOnSignal, StoppedError

KEPT_FROM = {"never": math.inf, "after_first": 1, "always": 0}
"""From which experience on batch norms keep their statistics."""


def ratios_due(step: int, steps: int, every: int) -> bool:
    """Whether gradient norms are logged at a step of an experience, counted from 0: some in a short experience too.

    Never at the first one: there a student still is its teacher, and soft targets have no gradient.

    Parameters
    ----------
    steps : of the experience.
    every : the most steps from one to the next; 0 is never.
    """
    return every > 0 and step > 0 and step % min(every, max(1, steps // 4)) == 0


class Learnt(NamedTuple):
    """How a run ended.

    matrix : accuracies after each experience that is learnt; None where the first one is not.
    network : the recogniser.
    signal : number of the signal that stopped the run, or None.
    """

    folder: Path
    matrix: AccuracyMatrix | None
    network: Recogniser
    signal: int | None


class Session:
    """One call of `learn` on an opened run: what its parts share, and its parameters.

    Parameters
    ----------
    stream : what is met.
    state : recogniser, method and memory, at their place in the stream.
    saver : of the run's checkpoints.
    """

    def __init__(
        self,
        recipe: LifelongRecipe,
        run: Run,
        stream: Stream,
        state: LearnerState,
        saver: Saver,
        device: torch.device,
        *,
        stop: StopOnSignal,
        shown: Shown,
    ) -> None:
        self.recipe, self.run, self.stream, self.state, self.saver = recipe, run, stream, state, saver
        self.device, self.stop, self.shown = device, stop, shown
        self.method = state.step.method
        training = recipe.training
        common: dict[str, Any] = {
            "size": training.size, "seed": recipe.seed, "workers": training.workers,
            "channels_last": training.channels_last, "cache_bytes": training.cache_mebibytes << 20,
            "between": stop.check,
        }  # fmt: skip
        self.learning = Reader(augmentation=Augmentation(**msgspec.structs.asdict(recipe.augmentation)), **common)
        self.looking = Reader(augmentation=None, **common)
        self._written = False

    def work(self) -> Learnt:
        """Learn what is left to learn; or stop where a signal came."""
        finished = False
        with contextlib.suppress(StoppedError):
            self._learn_stream()
            finished = True
        state = self.state
        status = {"status": "finished"} if finished else {"status": "stopped", "resumable": True}
        self.run.update_manifest(
            **status, steps=state.steps_done, skipped_steps=state.skipped, unreadable=self.learning.failures
        )
        matrix = matrix_of(self._names(), state.rows, state.untrained) if state.rows else None
        return Learnt(self.run.folder, matrix, state.network.eval(), None if finished else self.stop.number)

    def _learn_stream(self) -> None:
        """Meet the experiences that are left: the whole of lifelong learning."""
        state = self.state
        if not state.untrained:
            state.untrained = [self._accuracy(experience.test) for experience in self.stream.experiences]
        while state.experience < len(self.stream.experiences):
            experience = self.stream.experiences[state.experience]
            if not state.begun:
                self._begin(experience)
            self._learn_experience()
            self._end(experience)
        if not self._written:  # a kill came between the last checkpoint and the results
            self._write_results()

    def _begin(self, experience: Experience) -> None:
        """Let the method prepare, then make room for new classes and start a new optimiser."""
        state = self.state
        self.shown.line(f"experience {self._place()} {experience.name}: {len(experience.training)} pictures")
        forget_peak_memory()
        began = time.monotonic()  # what a method does before and after the steps counts as learning too
        self.method.begin(state.network, self._meeting())
        new = [name for name in experience.classes() if name not in state.network.classes]
        state.network.grow(new, seed=self._own_seed())
        state.make_optimiser(self.recipe.optimiser)
        state.begun, state.seconds = True, time.monotonic() - began

    def _learn_experience(self) -> None:
        """Make the steps that are left of an experience."""
        state, training = self.state, self.recipe.training
        number = state.experience
        pool = [w for n in range(number + 1) for w in self._numbered(n)] if self.method.cumulative else None
        pool = pool or self._numbered(number)
        batch, length, epochs = self._plan(number)
        before, every = self._steps_until(number), self._steps_until(len(self.stream.experiences))
        guard = NonFiniteGuard(state, self.run.folder, training.nonfinite_limit)
        training_mode(state.step, freeze_batch_norm=number >= KEPT_FROM[training.freeze_batch_norm])
        self.method.freeze(state.network, number)
        began = time.monotonic()
        while state.steps_here < epochs * length:
            epoch = state.steps_here // length
            # No two epochs of a run share a number, so no two of its views are drawn alike.
            order = shuffled(pool, self.recipe.seed, (number << 20) + epoch)[: length * batch]
            for met in self._with_memory(chunks(order, batch)[state.steps_here % length :], pool):
                progress = Progress(state.steps_here, epochs * length, epoch, epochs)
                terms, rate = self._step(on_device(met, self.device), progress, guard)
                now = time.monotonic()
                state.seconds += now - began
                speed, began = len(met.label) / (now - began), now
                words = f"experience {self._place()}, epoch {epoch + 1}/{epochs}"
                self.shown.step(before + state.steps_here, every, words, terms, rate, speed)
                if self.stop.number is not None or (self.saver.due() and state.steps_here < progress.steps):
                    self.saver.save()
                self.stop.check()
        guard.check_end(max(1, epochs * length))
        if self.saver.unsaved():
            self.saver.save()

    def _plan(self, number: int) -> tuple[int, int, int]:
        """Return an experience's pictures a step, steps an epoch, and epochs; all methods make as many."""
        training, count = self.recipe.training, len(self.stream.experiences[number].training)
        batch = min(training.batch, count) or 1  # where the pictures of a past experience are gone
        return batch, count // batch, (training.first_epochs if number == 0 else 0) or training.epochs

    def _steps_until(self, number: int) -> int:
        plans = [self._plan(earlier) for earlier in range(number)]
        return sum(length * epochs for _, length, epochs in plans)

    def _with_memory(self, groups: list[list[Wanted]], pool: Sequence[Wanted]) -> Iterator[Labelled]:
        """Yield the groups as batches, each with its share of what is remembered."""
        memory, kind = self.state.memory, self.method.memory
        count = round(self.recipe.memory.share * self.recipe.training.batch) if kind else 0
        recalled = [memory.draw(count, step) for step, _ in enumerate(groups, self.state.steps_done)]
        if kind == "pictures":
            for step, (group, kept) in enumerate(zip(groups, recalled, strict=True), self.state.steps_done):
                group += [one.wanted(step) for one in kept]
        rows = self._rows()
        replayed = len(recalled[0]) if recalled else 0
        batches = self.learning.groups(groups, rows, replayed=replayed if kind == "pictures" else 0, substitutes=pool)
        for batch, kept in zip(batches, recalled, strict=True):
            payloads = tuple(one.payload for one in kept if one.payload is not None)
            if kind == "latents":
                label = torch.tensor([rows[one.label] for one in kept], dtype=torch.int64)
                number = torch.tensor([one.number for one in kept], dtype=torch.int64)
                yield batch._replace(
                    label=torch.cat([batch.label, label]), number=torch.cat([batch.number, number]),
                    replayed=len(kept), remembered=payloads,
                )  # fmt: skip
            else:
                yield batch._replace(remembered=payloads)

    def _step(self, batch: Labelled, progress: Progress, guard: NonFiniteGuard) -> tuple[dict[str, float], float]:
        """Make one step: the heart of learning."""
        state, schedule, training = self.state, self.recipe.schedule, self.recipe.training
        if state.optimiser is None:
            raise RuntimeError("an experience is begun before it is learnt")
        seed_streams(self.recipe.seed, state.steps_done)
        factor = rate_factor(progress, schedule.name, warmup=schedule.warmup, power=schedule.power,
                             floor=schedule.floor, per=schedule.per)  # fmt: skip
        rate = set_rates(state.optimiser, factor)
        guard.before()
        terms: dict[str, torch.Tensor] = state.step(batch)
        norms = {}
        if len(terms) > 1 and ratios_due(state.steps_here, progress.steps, training.ratio_steps):
            norms = gradient_norms(terms, [p for p in state.network.parameters() if p.requires_grad])
        total = torch.stack(list(terms.values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
        norm = clip_gradients(state.parameters(), self.recipe.optimiser.clip).item()
        values = {name: term.item() for name, term in terms.items()}
        if guard.passes(total.item(), norm):
            state.optimiser.step()
            self.method.after_step(state.network)
            state.skipped_in_a_row = 0
        else:
            guard.leave_out(values, norm, self._paths(batch))
        state.optimiser.zero_grad(set_to_none=True)
        state.steps_done += 1
        state.steps_here += 1
        if state.steps_here % training.log_steps == 0 or norms:
            finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
            place = {"step": state.steps_done, "experience": state.experience + 1, "epoch": progress.epoch + 1}
            ratios = {"norms": norms} if norms else {}
            self.run.log("step", **place, terms=finite, rate=rate, skipped=state.skipped, **ratios)
        return values, rate

    def _end(self, experience: Experience) -> None:
        """Test on every experience, fill the memory, and commit what was learnt."""
        state = self.state
        accuracies = [self._accuracy(other.test) for other in self.stream.experiences]
        unseen = [sum(e.label not in state.network.classes for e in other.test) for other in self.stream.experiences]
        for other, count in zip(self.stream.experiences, unseen, strict=True):
            if count:
                of = f"{count} of {len(other.test)} pictures to be tested on"
                self.shown.line(f"{other.name} has {of} of classes that were not met yet")
        skipped = state.skipped - sum(row.get("skipped", 0) for row in state.rows)
        if skipped:
            steps = "1 step" if skipped == 1 else f"{skipped} steps"
            why = "loss or gradient was no finite number"
            self.shown.line(f"standout: warning: {steps} of {experience.name} left out: {why}")
        held_out = self._accuracy(self.stream.held_out)
        state.network.eval().requires_grad_(True)
        began = time.monotonic()
        self.method.end(state.network, self._meeting())
        self._remember()
        state.seconds += time.monotonic() - began
        row = {
            "name": experience.name,
            "accuracies": accuracies,
            "not_learnt_yet": unseen,
            "held_out": held_out,
            "classes": len(state.network.classes),
            "pictures": len(experience.training),
            "seconds": round(state.seconds, 2),
            "skipped": skipped,
            "memory_bytes": state.memory.bytes,
            "memory_pictures": len(state.memory),
            "method_bytes": tensor_bytes(self.method.state()),
            "peak_bytes": peak_memory(),
        }
        state.rows.append(row)
        state.experience += 1
        state.steps_done += 1
        state.steps_here, state.begun, state.optimiser = 0, False, None
        self.learning.forget()
        self.run.log("experience", step=state.steps_done, experience=state.experience, **row)
        seen = [a for a in accuracies[: state.experience] if a is not None]
        if seen:
            words = "  ".join(f"{a:.4f}" for a in seen)
            self.shown.line(f"after {experience.name}: accuracy {sum(seen) / len(seen):.4f} on what was met ({words})")
        if held_out is not None:
            self.shown.line(f"accuracy {held_out:.4f} on what is held out from every experience")
        if self.method.memory:
            none = "" if state.memory.slots else f"; one picture takes {state.memory.item_bytes}"
            words = f"memory: {len(state.memory)} pictures, {state.memory.bytes} of {state.memory.limit} bytes{none}"
            self.shown.line(words)
        self.saver.save(last=state.experience == len(self.stream.experiences))
        self._write_results()
        self.stop.check()

    @torch.no_grad()
    def _remember(self) -> None:
        """Offer the experience's pictures to the memory, and let the method add to those that stay."""
        memory, network = self.state.memory, self.state.network
        memory.measure(self.method.item_bytes(network, self.recipe.training.size))
        if not self.method.memory:
            return
        for wanted in shuffled(self._numbered(self.state.experience), self.recipe.seed, -1):
            path = wanted.example.path
            if str(path) not in self.learning.failures:
                memory.offer(Kept(str(path.resolve()), wanted.example.label, wanted.number, sha256_of(path)))
        new = [kept.wanted(0) for kept in memory.kept if kept.number >> 32 == self.state.experience]
        payloads: dict[int, torch.Tensor] = {}
        for batch in self.looking.groups(chunks(new, self.recipe.training.batch), self._rows()):
            found = self.method.payload(network, on_device(batch, self.device))
            if found is None:
                return
            payloads |= {number: row.cpu().clone() for number, row in zip(batch.number.tolist(), found, strict=True)}
        memory.attach(payloads)

    def _write_results(self) -> None:
        """Write `results.json` and `model.safetensors` for the experiences learnt so far."""
        state, recipe = self.state, self.recipe
        matrix = matrix_of(self._names(), state.rows, state.untrained)
        prints = self.saver.settled["fingerprints"]
        said = {"method": recipe.method, "seed": recipe.seed, "experiences": self._names()[: state.experience]}
        known = {key: value for key, value in matrix.summary().items() if value is not None}
        write_recogniser(
            self.run.folder / MODEL, state.network, size=recipe.training.size, training=said,
            licence=recipe.training.licence, measures=known,
            source_sha256=prints["network.sal_weights"] or prints["network.pretrained"],
        )  # fmt: skip
        last = state.experience == len(self.stream.experiences)
        took = inference_milliseconds(state.network.eval(), recipe.training.size) if last else None
        deployed = {
            "parameters": sum(p.numel() for p in state.network.parameters()),
            "model_bytes": (self.run.folder / MODEL).stat().st_size,
            "inference_ms": took,
        }
        document = results_of(matrix, state.rows, deployed=deployed, settings=as_tables(recipe))
        atomic_write(self.run.folder / RESULTS, as_bytes(document))
        self._written = True

    @torch.no_grad()
    def _accuracy(self, examples: Sequence[Example]) -> float | None:
        """Return the share of pictures whose class is found; a class not learnt yet is never found."""
        if not examples:
            return None
        network, rows = self.state.network.eval(), self._rows()
        right = 0
        for batch in self.looking.groups(chunks(named(examples), self.recipe.training.batch), rows):
            self.stop.check()
            met = on_device(batch, self.device)
            right += int((network(met.image).scores.argmax(1) == met.label).sum())
        return right / len(examples)

    def _meeting(self) -> Meeting:
        # In a stream they lie class by class: a method that looks at the first few must meet all classes.
        pool = shuffled(self._numbered(self.state.experience), self._own_seed(), 0)
        groups = chunks(pool, self.recipe.training.batch)

        def pictures() -> Iterator[Labelled]:
            for batch in self.looking.groups(groups, self._rows(), substitutes=pool):
                self.stop.check()
                yield on_device(batch, self.device)

        return Meeting(self.state.experience, pictures, self._own_seed())

    def _numbered(self, experience: int) -> list[Wanted]:
        """Return an experience's training pictures under numbers that no other picture of the stream has."""
        return named(self.stream.experiences[experience].training, first=experience << 32)

    def _own_seed(self) -> int:
        return int(hash64(self.recipe.seed, self.state.experience)) >> 1

    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.state.network.classes)}

    def _names(self) -> list[str]:
        return [experience.name for experience in self.stream.experiences]

    def _place(self) -> str:
        return f"{self.state.experience + 1}/{len(self.stream.experiences)}"

    def _paths(self, batch: Labelled) -> list[str]:
        """Return where the pictures of a batch lie; what is remembered may be gone from the stream."""
        kept = {one.number: one.path for one in self.state.memory.kept}
        return [
            kept.get(number) or str(self.stream.experiences[number >> 32].training[number & 0xFFFFFFFF].path)
            for number in batch.number.tolist()
        ]
