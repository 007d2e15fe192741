"""Measures of several methods as a table; each convention has a table of its own."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import standout
from standout.errors import printable
from standout.lifelong.measures import CONVENTIONS, AccuracyMatrix

HEADINGS: Mapping[str, Mapping[str, str]] = {
    "openloris": {
        "accuracy_openloris": "accuracy",
        "backward_openloris": "BWT",
        "forward_openloris": "FWT",
        "overall": "over-all",
    },
    "gem": {
        "accuracy_gem": "ACC",
        "backward_gem": "BWT",
        "forward_gem": "FWT",
        "forgetting": "forgetting",
    },
}
TITLES = {
    "openloris": "OpenLORIS convention: means over triangles of the accuracy matrix",
    "gem": "GEM convention: BWT and FWT are differences of accuracies",
}
DIGITS = 4
Rows = Mapping[str, Sequence[AccuracyMatrix]]


class Spread:
    """A measure over several runs: mean, sample deviation (None for one run), and how many gave it."""

    def __init__(self, values: Sequence[float | None]) -> None:
        known = [value for value in values if value is not None]
        whole = len(known) == len(values)  # a mean over some of the runs would pass for one over all
        self.mean = math.fsum(known) / len(known) if whole and known else None
        self.deviation = statistics.stdev(known) if whole and len(known) > 1 else None

    def __str__(self) -> str:
        if self.mean is None:
            return "-"
        tail = "" if self.deviation is None else f" ± {self.deviation:.{DIGITS}f}"
        return f"{self.mean:.{DIGITS}f}{tail}"


def render(rows: Rows, convention: str, format: str = "markdown") -> str:  # noqa: A002 - the field's word
    """Return one table of one convention, as a text that ends with a line break.

    Parameters
    ----------
    rows : label -> the matrices of its runs, one for each seed or order; several give mean ± sample deviation.
    convention : a key of `CONVENTIONS`.
    format : a key of `FORMATS`. JSON and CSV hold all digits, the others four decimals.

    Raises
    ------
    ValueError : an unknown convention or format, no rows, or a row without runs.
    """
    for what, name, known in (("convention", convention, CONVENTIONS), ("format", format, FORMATS)):
        if name not in known:
            raise ValueError(f"{what} must be one of {', '.join(known)}, not {name!r}")
    if not rows or not all(rows.values()):
        raise ValueError("a table needs at least one row, and every row at least one matrix")
    spreads = {printable(label): _spreads(matrices, convention) for label, matrices in rows.items()}
    return FORMATS[format](rows, spreads, convention)


def _spreads(matrices: Sequence[AccuracyMatrix], convention: str) -> dict[str, Spread]:
    summaries = [matrix.summary() for matrix in matrices]
    return {key: Spread([summary[key] for summary in summaries]) for key in CONVENTIONS[convention]}


_Spreads = Mapping[str, Mapping[str, Spread]]


def _notes(rows: Rows) -> list[str]:
    """Return what a reader must know of each row, a line each."""
    return [f"{printable(label)}: {note}" for label, matrices in rows.items() for note in _notes_of(matrices)]


def _notes_of(matrices: Sequence[AccuracyMatrix]) -> list[str]:
    """Return which accuracies are missing, and which are low because the network had no name for a class yet.

    A hole is never counted as 0, so its measures are missing. Runs of which the same is true share a line.
    """
    notes = []
    for matrix in matrices:
        if holes := matrix.holes():
            notes.append(f"not measured: {', '.join(map(printable, holes))}")
        if wrong := matrix.counted_as_wrong():
            notes.append(f"pictures of classes not learnt yet, counted as wrong: {'; '.join(map(printable, wrong))}")
    return list(dict.fromkeys(notes))


def _markdown(rows: Rows, spreads: _Spreads, convention: str) -> str:
    headings = ["", *HEADINGS[convention].values(), "runs"]
    lines = [TITLES[convention], "", _line(headings), _line(["---", *["---:"] * (len(headings) - 1)])]
    for (label, cells), matrices in zip(spreads.items(), rows.values(), strict=True):
        lines.append(_line([label.replace("|", "\\|"), *map(str, cells.values()), str(len(matrices))]))
    notes = _notes(rows)
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _latex(rows: Rows, spreads: _Spreads, convention: str) -> str:
    headings = list(HEADINGS[convention].values())
    lines = [
        f"% {TITLES[convention]}",
        *(f"% {note}" for note in _notes(rows)),
        f"\\begin{{tabular}}{{l{'r' * len(headings)}}}",
        "\\hline",
        " & ".join(["", *headings]) + r" \\",
        "\\hline",
    ]
    for label, cells in spreads.items():
        numbers = [str(cell).replace(" ± ", r" $\pm$ ") for cell in cells.values()]
        lines.append(" & ".join([escaped(label), *numbers]) + r" \\")
    return "\n".join([*lines, "\\hline", "\\end{tabular}"]) + "\n"


def escaped(text: str) -> str:
    """Return a text as LaTeX prints it."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def _csv(rows: Rows, spreads: _Spreads, convention: str) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    keys = CONVENTIONS[convention]
    writer.writerow(["label", *(name for key in keys for name in (key, f"{key}_deviation")), "runs", "notes"])
    for (label, cells), matrices in zip(spreads.items(), rows.values(), strict=True):
        numbers = ["" if v is None else repr(v) for c in cells.values() for v in (c.mean, c.deviation)]
        writer.writerow([label, *numbers, len(matrices), ". ".join(_notes_of(matrices))])
    return written.getvalue()


def _json(rows: Rows, spreads: _Spreads, convention: str) -> str:
    entries: list[dict[str, Any]] = []
    for (label, cells), matrices in zip(spreads.items(), rows.values(), strict=True):
        entries.append(
            {
                "label": label,
                **{key: cell.mean for key, cell in cells.items()},
                "deviation": {key: cell.deviation for key, cell in cells.items()},
                "notes": _notes_of(matrices),
                "runs": [
                    {
                        "experiences": [printable(name) for name in matrix.names],
                        "matrix": [[None if math.isnan(v) else v for v in row] for row in matrix.values.tolist()],
                        "untrained": None
                        if matrix.untrained is None
                        else [None if math.isnan(v) else v for v in matrix.untrained.tolist()],
                        "holes": [printable(hole) for hole in matrix.holes()],
                        "not_learnt_yet": matrix.unlearnt.tolist(),
                    }
                    for matrix in matrices
                ],
            }
        )
    document = {"schema": 1, "convention": convention, "standout": standout.__version__, "rows": entries}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


FORMATS: Mapping[str, Callable[[Rows, _Spreads, str], str]] = {
    "markdown": _markdown,
    "csv": _csv,
    "json": _json,
    "latex": _latex,
}
