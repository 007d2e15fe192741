"""The learner: a recogniser meets a stream, and goes on with what it was, by one method or another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from standout import checkpoint as checkpoints
from standout.data.pairs import shown as named_paths
from standout.errors import EXIT_USAGE, StandoutError
from standout.files import FolderLock, atomic_write
from standout.lifelong.history import Past, folders_to_meet, past_in, past_of, split_prints
from standout.lifelong.memory import Memory
from standout.lifelong.methods import build_method
from standout.lifelong.methods.method import Method
from standout.lifelong.prepare import check_memory, check_start, fingerprints, made_whole, make_recogniser, open_recipe
from standout.lifelong.readable import refuse_unreadable
from standout.lifelong.recipe import FREE, LifelongRecipe, check_lifelong
from standout.lifelong.session import Learnt, Session
from standout.lifelong.state import LearnerState
from standout.lifelong.streams import Stream, checked
from standout.train.build import choose_device
from standout.train.recipe import as_tables, as_toml, read_recipe
from standout.train.resume import check_settings, other_surroundings
from standout.train.run import RECIPE, Run, surroundings, told
from standout.train.saving import Saver
from standout.train.show import Shown, Silent
from standout.train.stop import StopOnSignal


def learn(
    stream: Stream | str | Path | None,
    method: str | Mapping[str, Any] | None = None,
    output: str | Path = "runs/lifelong",
    *,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    overrides: Collection[str] = (),
    command: Sequence[str] = (),
    shown: Shown | None = None,
    warn: Callable[[str], object] = told,
) -> Learnt:
    """Let a recogniser meet a stream, one experience after another, or go on with the run in `output`.

    Parameters
    ----------
    stream : a stream or its folder; None takes the one that `settings` name.
    method : a key of `METHODS`, or its `name` and options; None takes what `settings` say, "sdkd" by default.
    output : the run's folder; receives the recipe, metrics, checkpoints, `results.json` and `model.safetensors`.
    settings : tables of a `LifelongRecipe`, such as {"training": {"epochs": 5}, "memory": {"bytes": 2**20}}.
    resume : go on from the newest whole checkpoint, bit-equal to a run that was never stopped.
    overrides : settings that may differ from the stored run's on resume.
    command : recorded in the manifest.
    shown, warn : where progress goes, and each warning as one line.

    Raises
    ------
    StandoutError : settings, pictures, disk, damaged checkpoints, or a loss that stopped being a number.
    """
    tables: dict[str, Any] = dict(settings or {})
    if method is not None:
        tables["method"] = {"name": method} if isinstance(method, str) else dict(method)
    if isinstance(stream, str | Path):
        # In full, so that the run can go on from any folder.
        tables["stream"] = {**tables.get("stream", {}), "path": str(Path(stream).resolve())}
    recipe = check_lifelong(tables)
    chosen = build_method(recipe.method)
    check_memory(recipe, chosen, warn)
    check_start(recipe, chosen, fresh=not resume)
    device = choose_device(recipe.training.device)
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    known = stream if isinstance(stream, Stream) else None
    if known is None and not resume:
        known = open_recipe(recipe.stream)  # refused before the folder is touched
    with FolderLock(output), StopOnSignal() as stop:
        run = Run(Path(output), keep=recipe.training.keep)
        run.begin(resume)
        session = _open(
            recipe, chosen, run, known, device,
            overrides=overrides, command=command, stop=stop, shown=Silent() if shown is None else shown, warn=warn,
        )  # fmt: skip
        try:
            return session.work()
        except StandoutError as error:
            run.update_manifest(status="failed", failure=str(error))
            raise


def learn_more(
    run: str | Path, folders: Sequence[str | Path], *, settings: Sequence[tuple[str, Any]] = (), **options: Any
) -> Learnt:
    """Let a saved learner meet further folders CLASS/pictures, each an experience; their new classes are learnt too.

    Parameters
    ----------
    run : the learner's folder.
    folders : in the order in which they are met.
    settings : path and new value of settings that differ from now on, such as ("training.epochs", 20).
    options : `command`, `shown` and `warn` of `learn`.

    Raises
    ------
    StandoutError : exit code 2, the folder holds no learner or no folder is given; or as `learn`.
    """
    tables = _with_more(Path(run), folders, settings, past_in(Path(run)))
    try:
        return learn(None, None, run, settings=tables, resume=True, overrides=[path for path, _ in settings], **options)
    except StandoutError as error:
        if error.code != "settings-changed":
            raise
        how = f"first finish the run with standout lifelong run --resume --output {run}; it takes --override"
        raise StandoutError(error.code, error.what, error.where, how, exit_code=EXIT_USAGE) from error


def plan_more(
    run: str | Path, folders: Sequence[str | Path], *, settings: Sequence[tuple[str, Any]] = ()
) -> tuple[LifelongRecipe, Stream, list[str]]:
    """Return what `learn_more` would work on, without touching the run: recipe, stream, names of what is learnt.

    Raises
    ------
    StandoutError : exit code 2, as `learn_more` before it begins.
    """
    past = past_in(Path(run))
    recipe = check_lifelong(_with_more(Path(run), folders, settings, past))
    stream = open_recipe(recipe.stream, past.own, past.more)
    if past.learnt == len(past.names):
        return recipe, stream, past.names
    note = "the run was interrupted: it goes on from its newest checkpoint, and what it has met is listed too"
    return recipe, stream._replace(notes=(*stream.notes, note)), []


def stored_tables(run: str | Path) -> dict[str, Any]:
    """Return the settings that a learner's folder holds.

    Raises
    ------
    StandoutError : exit code 2, the folder holds no learner.
    """
    recipe = Path(run) / RECIPE
    tables = read_recipe(str(recipe)) if recipe.is_file() else {}
    if "stream" not in tables:  # a recipe of `standout train` has none
        raise StandoutError(
            "run-missing", "folder holds no learner", run, "make one with standout lifelong run", exit_code=EXIT_USAGE
        )
    return tables


def _with_more(
    run: Path, folders: Sequence[str | Path], settings: Sequence[tuple[str, Any]], past: Past
) -> dict[str, Any]:
    """Return the run's settings with further folders at the end of its stream."""
    tables = stored_tables(run)
    if not folders:
        raise StandoutError("usage", "no folder to learn from", "", "name at least one", exit_code=EXIT_USAGE)
    for path, value in settings:
        table, _, key = path.rpartition(".")
        (tables.setdefault(table, {}) if table else tables)[key] = value
    known = tables.setdefault("stream", {})
    asked = [str(Path(folder).resolve()) for folder in folders]
    finished = Run(run).read_manifest().get("status") == "finished"
    known["more"] = folders_to_meet(known.get("more", []), asked, past, finished=finished)
    return tables


def _open(
    recipe: LifelongRecipe,
    method: Method,
    run: Run,
    stream: Stream | None,
    device: torch.device,
    *,
    overrides: Collection[str],
    command: Sequence[str],
    stop: StopOnSignal,
    shown: Shown,
    warn: Callable[[str], object],
) -> Session:
    """Take the run's folder: a new one, or go on from its newest whole checkpoint."""
    found = checkpoints.newest(run.checkpoints, warn)
    stored = found.training if found else {"experiences": [], "fingerprints": {}}
    past = past_of(stored) if found else Past()
    if stream is None:
        stream = open_recipe(recipe.stream, past.own, past.more)
    for note in stream.notes:
        shown.line(note)
    classes = stored["state"]["classes"] if found else stream.experiences[0].classes()
    network, sources, recipe = make_recogniser(recipe, classes, fresh=found is None)
    prints, digests = fingerprints(stream, allow_overlap=recipe.stream.allow_overlap)
    changes: list[dict[str, Any]] = []
    if found:
        names = [experience.name for experience in stream.experiences]
        # What is past may have changed, so that it is this which tells another stream.
        allowed = any(name.startswith("experience ") or name == "stream" for name in overrides)
        if not allowed and any(new != old for new, old in zip(names, past.names, strict=False)):
            raise StandoutError(
                "stream-changed", "stream is not the run's", f"it has {', '.join(names)}",
                f"the run's has {', '.join(past.names)}: name its folder, or start a new run",
                exit_code=EXIT_USAGE,
            )  # fmt: skip
        changed, fixed = split_prints(prints, past, cumulative=method.cumulative)
        changes = check_settings(stored, recipe, {**fixed, **sources}, overrides, check=made_whole, free=FREE)
        for name, new in changed.items():
            changes.append({"field": name, "old": past.prints[name][:12], "new": new[:12]})
            words = "is learnt already and its pictures have changed: it is tested on what is there now"
            shown.line(f"{name} ({names[int(name.split()[1]) - 1]}) {words}")
    layout = torch.channels_last if recipe.training.channels_last else torch.contiguous_format
    network = network.to(device, memory_format=layout)  # type: ignore[call-overload]
    state = LearnerState(network, method, Memory(recipe.memory.bytes, recipe.memory.policy, seed=recipe.seed))
    if found:
        state.load(found.network, found.training["state"], recipe.optimiser)
    left = stream.experiences[state.experience :]
    gone = [experience.name for experience in left if not experience.training]
    if gone:
        raise StandoutError(
            "stream-missing", "experience that is still to be learnt has no pictures any more", gone[0],
            "put its folder back", exit_code=EXIT_USAGE,
        )  # fmt: skip
    if left:
        checked(Stream("", left), Path(recipe.stream.path))
    if found and method.memory == "pictures":
        changes += _find_memory(state.memory, stream, digests, shown)
    _refuse_unreadable(stream, prints, past, recipe, stop, shown)
    before = {**stored["fingerprints"], **past.prints}
    kept = {name: digest or before.get(name, "") for name, digest in {**prints, **sources}.items()}
    settled = {
        "recipe": as_tables(recipe),
        "fingerprints": kept,
        "experiences": [experience.name for experience in stream.experiences],
    }
    training = recipe.training
    saver = Saver(run, state, settled, steps=training.save_steps, minutes=training.save_minutes, warn=warn)
    saver.check_space_at_start()
    run.rewind_log(state.steps_done)
    atomic_write(run.folder / RECIPE, as_toml(recipe).encode())
    earlier = run.read_manifest() if found else {}
    around = surroundings(command, torch.get_num_threads(), str(device))
    for difference in other_surroundings(earlier, around):
        warn(f"resumed close, not bit-equal: {difference}")
    run.write_manifest(
        {
            **around,
            "status": "running",
            "seed": recipe.seed,
            "experiences": {e.name: [len(e.training), len(e.test)] for e in stream.experiences},
            "notes": list(stream.notes),
            "changes": [*earlier.get("changes", []), *({**change, "step": state.steps_done} for change in changes)],
        }
    )
    if changes:
        saver.save()  # so that what was accepted is not asked again
    return Session(recipe, run, stream, state, saver, device, stop=stop, shown=shown)


def _find_memory(memory: Memory, stream: Stream, digests: Mapping[Path, str], shown: Shown) -> list[dict[str, Any]]:
    """Look for remembered pictures whose files have moved, and let go of those that are gone, which is the change."""
    before = len(memory)
    learnt = {e.path: digests[e.path] for experience in stream.experiences for e in experience.training}
    gone = memory.find_again(learnt)
    if not gone:
        return []
    shown.line(f"memory: {len(gone)} of {before} pictures are gone and forgotten: {named_paths(gone)}")
    return [{"field": "memory", "old": before, "new": len(memory)}]


def _refuse_unreadable(
    stream: Stream, prints: Mapping[str, str], past: Past, recipe: LifelongRecipe, stop: StopOnSignal, shown: Shown
) -> None:
    """Look at what this run has not looked at before: new pictures, and those that have changed since."""
    fresh = [
        (number, experience)
        for number, experience in enumerate(stream.experiences)
        if prints[f"experience {number + 1}"] != past.prints.get(f"experience {number + 1}", "")
    ]
    training = [experience.training for number, experience in fresh if number >= past.learnt]
    test = [example for _, experience in fresh for example in experience.test]
    test += stream.held_out if not past.names else ()
    if training or test:
        shown.line(f"looking at {sum(map(len, training)) + len(test)} pictures before anything is learnt")
    refuse_unreadable(
        training, test, size=recipe.training.size, workers=recipe.training.workers,
        stopped=lambda: stop.number is not None,
    )  # fmt: skip
