"""The command line: one file a verb; this one finds verbs late, and turns errors into exits.

`--help` must start fast, so the table below holds each verb's one line of help and no verb is imported for it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from standout import __version__
from standout.cli.verbs import Verbs
from standout.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PIPE, EXIT_USAGE, StandoutError, printable
from standout.names import nearest

VERBS = {
    "quickstart": (
        "standout.cli.quickstart:quickstart",
        "Try the whole path on generated pictures, in minutes.",
    ),
    "data": ("standout.cli.data:data", "Check data sets before they are trusted: standout data check DIR."),
    "train": ("standout.cli.train:train", "Train a light network, with any list of strategies."),
    "eval": ("standout.cli.eval:evaluate", "Score maps against masks with the field's measures."),
    "predict": ("standout.cli.predict:predict", "Turn pictures into maps."),
    "cut": ("standout.cli.cut:cut", "Cut the object out of photos."),
    "export": ("standout.cli.export:export", "Write a trained network as one ONNX file, proven equal."),
    "models": ("standout.cli.models:models", "Look at models: standout models inspect FILE."),
    "lifelong": ("standout.cli.lifelong:lifelong", "Recognise objects, and learn more of them without forgetting."),
}


class _Verbs(Verbs):
    table = VERBS


def _print_version(ctx: click.Context, _option: click.Option, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    click.echo(f"standout {__version__}")
    # The libraries' versions are read from their metadata: importing them would take seconds.
    for name in ("numpy", "pillow", "onnxruntime", "safetensors", "click", "torch", "onnx"):
        with contextlib.suppress(PackageNotFoundError):
            click.echo(f"{name} {version(name)}")
    ctx.exit()


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show versions and exit.",
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the whole traceback of a failure.")
def main() -> None:
    """Find the object that stands out in a picture, or hides in it, and train small networks to do so."""


class _Terminated(BaseException):
    """A signal that asks to stop, where no verb handles it itself."""

    def __init__(self, number: int) -> None:
        self.number = number


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated(number)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    numbers = [n for name in ("SIGTERM", "SIGHUP") if (n := getattr(signal, name, None)) is not None]
    # What `nohup` asked to be ignored stays ignored.
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process: 0 done, 1 failed, 2 usage, 128 + n for a signal."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    try:
        with _signals():
            code = main.main(args=arguments, prog_name="standout", standalone_mode=False)
            # A closed pipe may show only when the last bytes leave
            sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except (KeyboardInterrupt, click.exceptions.Abort):
        _leave(EXIT_INTERRUPTED)
    except _Terminated as signalled:
        _leave(128 + signalled.number)
    except SystemExit:
        # Click leaves with 1 where the reader of our output has left, and marks it by wrapping the stream.
        # By its name, which click keeps private.
        if type(sys.stdout).__name__.endswith("PacifyFlushWrapper"):
            _leave_pipe()
        raise
    except BrokenPipeError:
        _leave_pipe()
    except (StandoutError, click.ClickException) as error:
        if debug:
            raise
        sys.exit(fail(as_failure(error), arguments))
    except MemoryError:
        if debug:
            raise
        sys.exit(
            fail(
                StandoutError("memory", "out of memory", "", "use smaller pictures, a smaller batch or fewer workers"),
                arguments,
            )
        )
    except OSError as error:
        # What the system refuses about a path or the output, wherever it was met, is no bug.
        if debug:
            raise
        from standout.files import disk_error

        sys.exit(fail(disk_error(error, error.filename or "standard output"), arguments))
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        sys.exit(
            fail(
                StandoutError(
                    "bug",
                    "this is a bug of standout",
                    what,
                    "run again with --debug and report what it prints",
                ),
                arguments,
            )
        )


def as_failure(error: StandoutError | click.ClickException) -> StandoutError:
    """Return click's complaint about options as our one-line failure; our own passes through."""
    if isinstance(error, StandoutError):
        return error
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return StandoutError("usage", "no verb given", "", f"see {error.ctx.command_path} --help", exit_code=EXIT_USAGE)
    message = printable(" ".join(error.format_message().rstrip(".").split()))
    # Click names its own kinds of options.
    message = message.replace("a valid integer range", "a whole number").replace("a valid integer", "a whole number")
    message = message.replace("a valid float range", "a number").replace("a valid float", "a number")
    if isinstance(error, click.NoSuchOption):
        parameters = error.ctx.command.get_params(error.ctx) if error.ctx else []
        known = [option for parameter in parameters for option in parameter.opts if option.startswith("--")]
        return StandoutError(
            "unknown-option",
            "unknown option",
            error.option_name,
            nearest(error.option_name, known),
            exit_code=EXIT_USAGE,
        )
    verb = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        verb = error.ctx.command_path
    return StandoutError(
        "usage",
        message[:1].lower() + message[1:],
        "",
        f"see {verb or 'standout'} --help",
        exit_code=error.exit_code,
    )


def fail(error: StandoutError, arguments: Sequence[str] = ()) -> int:
    """Print one failure, on stderr as a line and with `--json` on stdout as a document; return its exit code."""
    options = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    if "--json" in options or ("--format", "json") in itertools.pairwise(options):
        document: dict[str, Any] = {
            "schema": 1,
            "error": {
                "code": error.code,
                "message": str(error),
                "item": printable(error.where),
                "hint": error.how,
            },
        }
        click.echo(json.dumps(document))
    click.echo(f"standout: error: {error}", err=True)
    return error.exit_code or EXIT_FAILED


def _leave_pipe() -> NoReturn:
    # Quietly, and without a second complaint from the interpreter when it flushes.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _leave(EXIT_PIPE)


def _leave(code: int) -> NoReturn:
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    sys.exit(code)
