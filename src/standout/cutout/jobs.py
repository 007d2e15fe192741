"""Pictures to results, one or a hundred thousand: resumable, and no bad picture stops the others.

A folder of results holds a ledger beside them. Before a result gets its name, the ledger says which bytes it will have;
so after a kill at any moment we know which files are ours, skip what is done, and overwrite nothing else.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from standout.cutout.plan import Item, Plan, make_plan
from standout.cutout.record import Record, facts_of
from standout.errors import EXIT_USAGE, StandoutError
from standout.files import FolderLock, atomic_write, disk_error, remove_leftovers, sha256_of

if TYPE_CHECKING:
    from standout.images import Limits, Source
    from standout.predict import Segmenter

LOCK = ".standout-lock"
MOST_JOBS = 4


@dataclass(frozen=True)
class Job:
    """What is done to every picture, and how a folder of results is treated.

    Parameters
    ----------
    model : a run, a model file, a shipped name, or None for the shipped default.
    form : "cutout", "overlay" or "map".
    sharpness, size : as `standout.predict.Segmenter`.
    limits : caps on a picture; those of the command line by default.
    keep_extension : name results `a.jpg.png` instead of `a.png`.
    follow_links : walk linked folders too.
    overwrite : replace files that this job did not write.
    verify : compare what is done by sha256, not by size and time.
    fail_fast : stop at the first picture that fails.
    jobs : pictures worked on at once; by default the processors that are free to us, 4 at most.
    """

    model: str | Path | None = None
    form: str = "cutout"
    sharpness: float | None = None
    size: int | None = None
    limits: Limits | None = None
    keep_extension: bool = False
    follow_links: bool = False
    overwrite: bool = False
    verify: bool = False
    fail_fast: bool = False
    jobs: int | None = None


class Failure(NamedTuple):
    """A picture that gave no result, and why."""

    source: Path
    error: StandoutError


@dataclass
class Summary:
    """What a job did.

    done, skipped : results written now; results that were there already.
    failed : pictures without a result.
    passed_over : what was found and is no picture: reason to count.
    notes : what was done to pictures that a user may want to know: sentence to count.
    """

    done: int = 0
    skipped: int = 0
    failed: list[Failure] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)


class Made(NamedTuple):
    """The result of one picture, not yet written; or why there is none."""

    item: Item
    content: bytes = b""
    facts: dict[str, Any] = {}  # noqa: RUF012 - never changed
    notes: tuple[str, ...] = ()
    error: StandoutError | None = None


Told = Callable[[Made, int, int], None]
"""Called after each picture: what became of it, how many are through, how many there are."""


def run_job(job: Job, inputs: Sequence[str | Path], output: str | Path, told: Told | None = None) -> Summary:
    """Write the result of every picture and return what was done.

    Parameters
    ----------
    inputs : pictures and folders.
    output : a file where one picture is given, else a folder; see `standout.cutout.plan.make_plan`.
    told : called after each picture.

    Raises
    ------
    StandoutError : nothing can be started (exit code 2: wrong paths, colliding names, results that would overwrite
        other files; also a damaged model, or a folder in use), or the disk refuses to go on; the ledger stays whole.
    """
    plan = make_plan(inputs, output, keep_extension=job.keep_extension, follow_links=job.follow_links)
    if plan.folder is None:
        return _one(job, plan, told)
    segmenter = _segmenter(job, len(plan.items))
    with FolderLock(plan.folder, name=LOCK):
        for folder in sorted({item.output.parent for item in plan.items}):
            if folder.is_dir():
                remove_leftovers(folder)
        record = Record(plan.folder, segmenter, job.form, overwrite=job.overwrite, verify=job.verify)
        todo = [item for item in plan.items if not record.is_done(item)]
        record.check_foreign(todo)
        summary = Summary(skipped=len(plan.items) - len(todo), passed_over=plan.passed_over)
        made = _in_parallel(_Work(segmenter, job.form, job.limits), todo, job.jobs or _default_jobs(len(todo)))
        with contextlib.closing(made):
            for number, one in enumerate(made, 1):
                error = one.error or record.write(one.item, one.content, one.facts)
                _count(summary, one, error)
                if told is not None:
                    told(one._replace(error=error), number, len(todo))
                if error is not None and job.fail_fast:
                    break
    return summary


def preview(job: Job, inputs: Sequence[str | Path], output: str | Path) -> tuple[list[Item], list[Item]]:
    """Return what `run_job` would make and what it would skip; writes nothing.

    Raises
    ------
    StandoutError : as `run_job` before it starts.
    """
    plan = make_plan(inputs, output, keep_extension=job.keep_extension, follow_links=job.follow_links)
    if plan.folder is None:
        _check_free(plan.items[0].output, job.overwrite)
        return list(plan.items), []
    record = Record(plan.folder, _segmenter(job, len(plan.items)), job.form, overwrite=job.overwrite, verify=job.verify)
    todo = [item for item in plan.items if not record.is_done(item)]
    record.check_foreign(todo)
    kept = set(todo)
    return todo, [item for item in plan.items if item not in kept]


def make_one(job: Job, source: str | Path | bytes, output: Path | None) -> bytes:
    """Return the result of one picture that comes or goes through a pipe; write it to `output` where one is given.

    Raises
    ------
    StandoutError : as `run_job`; or exit code 2, `output` is a folder or the very input.
    """
    kind = "PNG"
    if output is not None:
        kind = _format_of(output, job.form)
        _check_free(output, job.overwrite)
    content = make(_segmenter(job, 1), source, job.form, kind, job.limits)
    if output is not None:
        atomic_write(output, content, overwrite=job.overwrite)
    return content


def make(segmenter: Segmenter, source: Source, form: str, kind: str = "PNG", limits: Limits | None = None) -> bytes:
    """Return the bytes of the result for one picture.

    Parameters
    ----------
    form : "cutout", "overlay" or "map".
    kind : "PNG", "WEBP" or "TIFF"; "JPEG" for an overlay.

    Raises
    ------
    StandoutError : the source makes no whole picture that we read.
    """
    return _make(segmenter, source, form, kind, limits)[0]


def _make(
    segmenter: Segmenter,
    source: Source,
    form: str,
    kind: str,
    limits: Limits | None,
) -> tuple[bytes, tuple[str, ...]]:
    from standout.cutout.compose import FORMS
    from standout.images import Limits, encode_image, read_image

    picture = read_image(source, limits=limits or Limits())
    return encode_image(FORMS[form](picture, segmenter.map_of(picture)), kind), picture.notes


class _Work:
    """Makes the result of one item; sent to threads, or to processes where joblib is told so."""

    def __init__(self, segmenter: Segmenter, form: str, limits: Limits | None, kind: str = "PNG") -> None:
        self.segmenter = segmenter
        self.form = form
        self.limits = limits
        self.kind = kind

    def __call__(self, item: Item) -> Made:
        try:
            facts = facts_of(item.source)  # before reading: a change while we read shows at the next run
            content, notes = _make(self.segmenter, item.source, self.form, self.kind, self.limits)
            facts["input_sha256"] = sha256_of(item.source)
        except StandoutError as error:
            return Made(item, error=error)
        except OSError as error:
            return Made(item, error=disk_error(error, item.source))
        except MemoryError:
            how = "make it smaller, or pass --jobs 1"
            return Made(item, error=StandoutError("memory", "not enough memory for this picture", item.source, how))
        return Made(item, content, facts, notes)


def _one(job: Job, plan: Plan, told: Told | None) -> Summary:
    """Make the one result that goes to a file; it has no ledger."""
    item = plan.items[0]
    kind = _format_of(item.output, job.form)
    _check_free(item.output, job.overwrite)
    made = _Work(_segmenter(job, 1), job.form, job.limits, kind)(item)
    if made.error is None:
        atomic_write(item.output, made.content, overwrite=job.overwrite)
    summary = Summary(passed_over=plan.passed_over)
    _count(summary, made, made.error)
    if told is not None:
        told(made, 1, 1)
    return summary


def _count(summary: Summary, made: Made, error: StandoutError | None) -> None:
    if error is not None:
        summary.failed.append(Failure(made.item.source, error))
        return
    summary.done += 1
    summary.notes.update(made.notes)


def _segmenter(job: Job, items: int) -> Segmenter:
    from standout.predict import Segmenter

    # Many pictures at once use the processors better than many threads for one.
    threads = None if (job.jobs or _default_jobs(items)) == 1 else 1
    return Segmenter(job.model, sharpness=job.sharpness, size=job.size, threads=threads)


def _default_jobs(items: int) -> int:
    from standout.predict import free_processors

    return max(1, min(items, free_processors(), MOST_JOBS))


def _format_of(path: Path, form: str) -> str:
    from standout.images.write import format_of

    kind = format_of(path)
    if kind == "JPEG" and form != "overlay":
        what = "a JPEG holds no transparency" if form == "cutout" else "a JPEG changes a map's values"
        raise StandoutError("output-format", what, path, "name it .png", exit_code=EXIT_USAGE)
    return kind


def _check_free(path: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise StandoutError(
            "file-exists", "file exists already", path, "pass --overwrite or another --output", exit_code=EXIT_USAGE
        )


def _in_parallel(work: _Work, items: Sequence[Item], jobs: int) -> Generator[Made]:
    """Yield what becomes of each item, in any order; memory does not grow with their number."""
    if jobs == 1 or len(items) < 2:
        yield from map(work, items)
        return
    from joblib import Parallel, delayed

    from standout.images.quiet import quiet

    # Threads, unless the caller chose a backend of joblib: decoding, the network and packing all release the lock.
    parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator_unordered", pre_dispatch="2*n_jobs")
    made = parallel(delayed(work)(item) for item in items)
    try:
        # Not `yield from`, which would close it before the warning below is silenced.
        for one in made:  # noqa: UP028
            yield one
    finally:
        with quiet:  # that pictures begun beyond a stop are dropped is meant
            made.close()
