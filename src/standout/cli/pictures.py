"""What `cut` and `predict` share: their options, one picture through pipes, a folder with progress, and the report."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from standout.errors import EXIT_FAILED, EXIT_USAGE, StandoutError, printable

if TYPE_CHECKING:
    from standout.cutout.jobs import Job, Summary, Told

Command = TypeVar("Command", bound=Callable[..., Any])

PIPE = "-"


def _pixels(_ctx: click.Context, _option: click.Parameter, value: str) -> int:
    found = re.fullmatch(r"(\d{1,12})([kKmM]?)", value)
    if found is None or int(found[1]) == 0:
        raise click.BadParameter(f"{value!r} is no number of pixels such as 250M")
    return int(found[1]) * {"": 1, "k": 1000, "m": 1_000_000}[found[2].lower()]


_OPTIONS = (
    click.argument("inputs", metavar="PHOTO|DIR...", nargs=-1, required=True),
    click.option(
        "--output", "-o", metavar="FILE|DIR", required=True, help="Where the result goes; - is standard output."
    ),
    click.option(
        "--model", "-m", metavar="RUN|FILE|NAME", help="A run, an .onnx or .safetensors file, or a shipped name."
    ),
    click.option(
        "--sharpness", type=click.FloatRange(0, 65536, min_open=True), help="Factor on the logits; 1: as trained."
    ),
    click.option("--size", type=click.IntRange(1, 65536), help="Side that pictures are resized to for the network."),
    click.option(
        "--jobs", type=click.IntRange(1, 256), help="Pictures worked on at once.  [default: processors, at most 4]"
    ),
    click.option(
        "--max-pixels",
        metavar="NUMBER",
        callback=_pixels,
        default="100M",
        show_default=True,
        help="Refuse larger pictures.",
    ),
    click.option("--keep-extension", is_flag=True, help="Name results a.jpg.png instead of a.png."),
    click.option("--follow-links", is_flag=True, help="Walk linked folders too, each once."),
    click.option("--overwrite", is_flag=True, help="Replace files that this command did not write."),
    click.option("--verify", is_flag=True, help="Compare what is done by sha256, not by size and time."),
    click.option("--fail-fast", is_flag=True, help="Stop at the first picture that fails."),
    click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
)


def picture_options(command: Command) -> Command:
    """Add the shared argument and options to a verb."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_pictures(
    inputs: tuple[str, ...], output: str, form: str, *, max_pixels: int, dry_run: bool, as_json: bool, **settings: Any
) -> int:
    """Do the verb's work and return the exit code: 0, or 1 where a picture failed.

    Raises
    ------
    StandoutError : nothing could be started, or the only picture failed.
    """
    from standout.cutout.jobs import Job
    from standout.images.limits import Limits

    job = Job(form=form, limits=Limits(pixels=max_pixels), **settings)
    if PIPE in inputs or output == PIPE:
        if dry_run or as_json:
            raise _usage("--dry-run and --json do not go with a picture on standard input or output", "name files")
        _through_pipe(job, inputs, output)
        return 0
    if dry_run:
        _preview(job, inputs, output, as_json)
        return 0
    return _work(job, inputs, output, as_json)


def _through_pipe(job: Job, inputs: tuple[str, ...], output: str) -> None:
    """Make one picture's result from standard input, or to standard output, or both; nothing else is printed there."""
    if len(inputs) != 1:
        raise _usage("standard input or output takes one picture", "name one input")
    if output == PIPE and sys.stdout.isatty():
        raise _usage("a picture is not for a terminal", "send it on: standout cut … --output - > FILE")
    from standout.cutout.jobs import make_one

    source: bytes | Path = Path(inputs[0])
    if inputs[0] == PIPE:
        if sys.stdin.isatty():
            raise _usage("no picture comes from a terminal", "send one: standout cut - … < FILE")
        # One byte more than the cap, so that the cap is what refuses it, and no stream is read for ever.
        source = sys.stdin.buffer.read(job.limits.file_bytes + 1 if job.limits else -1)
    content = make_one(job, source, None if output == PIPE else Path(output))
    if output == PIPE:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _preview(job: Job, inputs: tuple[str, ...], output: str, as_json: bool) -> None:
    from standout.cutout.jobs import preview

    todo, kept = preview(job, inputs, output)
    if as_json:
        pairs = [{"input": printable(item.source), "output": printable(item.output)} for item in todo]
        click.echo(json.dumps({"schema": 1, "dry_run": True, "write": pairs, "skipped": len(kept)}))
        return
    for item in todo:
        click.echo(f"{printable(item.source)} -> {printable(item.output)}")
    click.echo(f"{len(todo)} to write, {len(kept)} done already")


def _work(job: Job, inputs: tuple[str, ...], output: str, as_json: bool) -> int:
    from standout.cutout.jobs import run_job

    one = len(inputs) == 1 and not Path(inputs[0]).is_dir()
    with _progress(quiet=as_json or one) as told:
        summary = run_job(job, inputs, output, told)
    if one and summary.failed:
        raise summary.failed[0].error
    if as_json:
        click.echo(json.dumps(_document(summary, output)))
    elif not one or summary.skipped:
        click.echo(_line(summary))
    if not as_json:
        for reason, count in sorted(summary.passed_over.items()):
            click.echo(f"standout: note: passed over: {count} {reason}", err=True)
        for note, count in sorted(summary.notes.items()):
            click.echo(f"standout: note: {printable(note)}" + (f": {count} pictures" if count > 1 else ""), err=True)
    return EXIT_FAILED if summary.failed else 0


def _line(summary: Summary) -> str:
    """Return the one line that ends a job, such as "998 done, 2 failed"."""
    parts = [f"{summary.done} done"]
    if summary.skipped:
        parts.append(f"{summary.skipped} done already")
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    return ", ".join(parts)


def _document(summary: Summary, output: str) -> dict[str, Any]:
    failed = [
        {"code": e.code, "message": str(e), "item": printable(source), "hint": e.how} for source, e in summary.failed
    ]
    return {
        "schema": 1,
        "output": printable(output),
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": failed,
        "passed_over": summary.passed_over,
        "notes": dict(summary.notes),
    }


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Told | None]:
    """Give what is called after each picture: it tells failures at once, and shows progress on a terminal."""

    def complain(error: StandoutError | None) -> None:
        if error is not None:
            click.echo(f"standout: error: {error}", err=True)

    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield lambda made, _number, _total: complain(made.error)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("pictures", total=None)

            def told(made: Any, number: int, total: int) -> None:
                bar.update(task, completed=number, total=total)
                if made.error is not None:
                    bar.console.print(f"standout: error: {made.error}", markup=False, highlight=False, soft_wrap=True)

            yield told


def _usage(what: str, how: str) -> StandoutError:
    return StandoutError("usage", what, "", how, exit_code=EXIT_USAGE)
