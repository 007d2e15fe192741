"""Scores as a table: for the screen, JSON, CSV, Markdown, LaTeX. Each names its protocol; PARTIAL comes first."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from standout import __version__
from standout.data.pairs import shown
from standout.errors import printable
from standout.evaluate.score import Scored
from standout.metrics import MEASURES

HEADINGS: Mapping[str, str] = {
    "mae": "MAE",
    "f_max": "max F",
    "f_max_pr": "max F of PR",
    "f_mean": "mean F",
    "f_adaptive": "adaptive F",
    "weighted_f": "weighted F",
    "s": "S",
    "e_max": "max E",
    "e_mean": "mean E",
    "e_adaptive": "adaptive E",
    "iou": "IoU",
}
DIGITS = 4
RESIZE_RULE = "bilinear to the mask's size, 8-bit maps rounded, before any stretching"
THRESHOLDS = "255 down to 0, at or above; masks above 128"
MAXIMA = "f_max and e_max of the mean curve, f_max_pr of the mean precision and the mean recall"
ADAPTIVE = "twice the map's mean and at most 1, at or above"
EMPTY = {"zero": "F, weighted F and IoU are 0", "agree": "1 where nothing is found; weighted F is 1 - mean of the map"}


def render(scores: Sequence[Scored], format: str = "table", *, command: str = "") -> str:  # noqa: A002
    """Return the rows as one text that ends with a line break.

    Parameters
    ----------
    scores : rows of one protocol; every row keeps its own count of pictures.
    format : one of `FORMATS`. JSON and CSV hold all digits, the others four decimals of the same numbers.
    command : kept in the JSON, where it is known.

    Raises
    ------
    ValueError : no rows, rows of different protocols, or an unknown format.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    if not scores or len({(row.protocol, row.sums.weighted) for row in scores}) != 1:
        raise ValueError("a table needs at least one row, and all rows under one protocol and the same measures")
    return _RENDERERS[format](scores, command)


def document(scores: Sequence[Scored], command: str = "") -> dict[str, Any]:
    """Return the table as the JSON document that results are stored as."""
    return {
        "schema": 1,
        "command": command,
        "partial": partial_mark(scores),
        "protocol": scores[0].protocol.name,
        "protocol_version": scores[0].protocol.version,
        "scaling": scores[0].protocol.told,
        "thresholds": THRESHOLDS,
        "resize": RESIZE_RULE,
        "maxima": MAXIMA,
        "adaptive_threshold": ADAPTIVE,
        "empty_masks": EMPTY[scores[0].protocol.empty],
        "e_divided_by": {"less one": "pixels less one", "all": "pixels"}[scores[0].protocol.e_over],
        "versions": _versions(),
        "rows": [
            {
                "label": printable(row.label),
                "sharpness": row.sharpness,
                **row.measures,
                "pictures": row.sums.count,
                "expected": row.expected,
                "list_sha256": row.list_sha256,
                "resized": row.resized,
                "empty_masks": row.sums.empty_masks,
                "full_masks": row.sums.full_masks,
                "constant_maps": row.sums.constant_maps,
                "notes": [printable(note) for note in row.notes],
                "problems": [{**problem._asdict(), "name": printable(problem.name)} for problem in row.problems],
            }
            for row in scores
        ],
    }


def notes(scores: Sequence[Scored]) -> list[str]:
    """Return what a reader must know to compare the figures: one sentence a line, PARTIAL first."""
    lines = rules_told(scores)
    accounts = dict.fromkeys(account_of(row) for row in scores)
    for account in accounts:
        rows = [_name(row) for row in scores if account_of(row) == account]
        lines.append(account if len(accounts) == 1 else f"{', '.join(rows)}: {account}")
    return lines


def rules_told(scores: Sequence[Scored]) -> list[str]:
    """Return the mark PARTIAL where it is due, and the rules that all rows share."""
    rules = scores[0].protocol
    partial = partial_mark(scores)
    named = f"Protocol {rules.name} (version {rules.version})"
    told = f"{named}: {rules.told}; thresholds {THRESHOLDS}; standout {__version__}"
    return [partial, told] if partial else [told]


def account_of(row: Scored) -> str:
    """Return how many pictures a row holds, and what is special about them."""
    counts = (
        (row.resized, f"maps resized ({RESIZE_RULE})"),
        (row.sums.empty_masks, "empty masks"),
        (row.sums.full_masks, "full masks"),
        (row.sums.constant_maps, "constant maps"),
    )
    told = [f"{row.sums.count} pictures (list {row.list_sha256[:12]})"]
    told += [f"{count} {what}" for count, what in counts if count]
    for kind in dict.fromkeys(problem.kind for problem in row.problems):
        names = [problem.name for problem in row.problems if problem.kind == kind]
        told.append(f"{len(names)} {kind}: {shown(names)}")
    told += map(printable, row.notes)
    return "; ".join(told)


def partial_mark(scores: Sequence[Scored]) -> str | None:
    """Return the mark of a table over less than all pictures, or None."""
    marks = dict.fromkeys(row.partial for row in scores if row.partial)
    return "; ".join(marks) if marks else None


def _name(row: Scored) -> str:
    return printable(row.label) if row.sharpness is None else f"{printable(row.label)} (sharpness {row.sharpness:g})"


def cells(scores: Sequence[Scored]) -> tuple[list[str], list[list[str]]]:
    """Return the heading and the rows as text."""
    keys = [key for key in MEASURES if key in scores[0].measures]
    rows = [[_name(row), *(f"{row.measures[key]:.{DIGITS}f}" for key in keys)] for row in scores]
    return ["", *(HEADINGS[key] for key in keys)], rows


def _table(scores: Sequence[Scored], _: str) -> str:
    heading, rows = cells(scores)
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in (heading, *rows))
    ]
    told = notes(scores)
    first = told[:1] if partial_mark(scores) else []
    return "\n".join([*first, *lines, *told[len(first) :]]) + "\n"


def _json(scores: Sequence[Scored], command: str) -> str:
    return json.dumps(document(scores, command), indent=1, allow_nan=False) + "\n"


def _csv(scores: Sequence[Scored], _: str) -> str:
    """One row a line with all digits; every line carries the protocol and the mark, so that none is lost."""
    text = io.StringIO()
    facts = ["label", "sharpness", "protocol", "partial", "pictures", "expected", "resized", "list_sha256"]
    keys = list(scores[0].measures)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*facts, *keys])
    for row in scores:
        sharpness = "" if row.sharpness is None else repr(row.sharpness)
        writer.writerow([
            printable(row.label), sharpness, row.protocol.name, row.partial or "", row.sums.count, row.expected,
            row.resized, row.list_sha256, *(repr(row.measures[key]) for key in keys),
        ])  # fmt: skip
    partial = partial_mark(scores)
    return (f"# {partial}\n" if partial else "") + text.getvalue()


def _markdown(scores: Sequence[Scored], _: str) -> str:
    heading, rows = cells(scores)
    told = notes(scores)
    first = [f"**{told.pop(0)}**", ""] if partial_mark(scores) else []
    body = [
        heading,
        ["---", *(["---:"] * (len(heading) - 1))],
        *([markdown_text(cell) for cell in row] for row in rows),
    ]
    lines = ["| " + " | ".join(cells) + " |" for cells in body]
    return "\n".join([*first, *lines, "", *(f"{line}  " for line in told)]).rstrip() + "\n"


def markdown_text(cell: str) -> str:
    """Return a text that Markdown shows as it is."""
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")


_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "±": r"$\pm$", "<": "$<$", ">": "$>$", "|": r"\textbar{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
})  # fmt: skip


def latex_text(text: str) -> str:
    """Return a text that LaTeX shows as it is."""
    return text.translate(_LATEX)


def _latex(scores: Sequence[Scored], _: str) -> str:
    """Return a booktabs table; what a reader must know stands in comments and in the caption."""
    heading, rows = cells(scores)
    told = [latex_text(line) for line in notes(scores)]
    partial = f"\\textbf{{{told[0]}}}. " if partial_mark(scores) else ""
    lines = [
        *([f"% {told[0]}"] if partial else []),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{partial}{'. '.join(told[bool(partial) :])}.}}",
        r"\begin{tabular}{l" + "r" * (len(heading) - 1) + "}",
        r"\toprule",
        *(
            " & ".join(map(latex_text, cells)) + r" \\"
            + ("\n\\midrule" if at == 0 else "")
            for at, cells in enumerate([heading, *rows])
        ),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _versions() -> dict[str, str]:
    found = {"standout": __version__}
    for name in ("numpy", "pillow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # vendored by a distribution under another name
            continue
    return found


_RENDERERS: Mapping[str, Callable[[Sequence[Scored], str], str]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "markdown": _markdown,
    "latex": _latex,
}
FORMATS = tuple(_RENDERERS)
"""What `render` can write."""
SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown", ".tex": "latex", ".txt": "table"}
"""The format that a file's name asks for."""
