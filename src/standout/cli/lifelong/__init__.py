"""`standout lifelong`: a recogniser that goes on learning; one file a verb."""

from __future__ import annotations

import click

from standout.cli.verbs import Verbs

_HERE = "standout.cli.lifelong"
LIFELONG = {
    "run": (f"{_HERE}.run:run", "Let a recogniser meet a stream of experiences."),
    "learn": (f"{_HERE}.learn:learn", "Go on with a run on new folders, new classes included."),
    "predict": (f"{_HERE}.predict:predict", "Say what is in a picture, how surely, and where."),
    "compare": (f"{_HERE}.compare:compare", "Put runs side by side: tables and plots."),
    "generate": (f"{_HERE}.generate:generate", "Write a stream like OpenLORIS-Object, of your own cut-outs or not."),
    "export": (f"{_HERE}.export:export", "Write a recogniser as one ONNX file, proven equal."),
}


class _Lifelong(Verbs):
    table = LIFELONG


@click.group(cls=_Lifelong, context_settings={"help_option_names": ["-h", "--help"]})
def lifelong() -> None:
    """Recognise objects, and learn more of them without forgetting the old ones.

    A stream is a folder of folders EXPERIENCE/CLASS/pictures; experiences are met in the order of their names.
    """
