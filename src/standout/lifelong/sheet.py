"""The challenge's score sheet: what each method costs, beside its accuracy; in the formats of the tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from standout.errors import printable
from standout.lifelong.table import FORMATS, escaped

# key -> (heading, digits, what one unit of the heading is)
COLUMNS: Mapping[str, tuple[str, int, float]] = {
    "accuracy_gem": ("accuracy at the end", 4, 1.0),
    "held_out": ("on what is held out", 4, 1.0),
    "parameters": ("parameters, M", 2, 1e6),
    "model_bytes": ("model, MiB", 2, 2**20),
    "inference_ms": ("inference, ms", 1, 1.0),
    "memory_bytes": ("memory, MiB", 2, 2**20),
    "method_bytes": ("kept by the method, MiB", 2, 2**20),
    "seconds": ("training per experience, s", 1, 1.0),
    "peak_bytes": ("peak memory, MiB", 0, 2**20),
}
Sheet = Mapping[str, Sequence[Mapping[str, Any]]]


def costs_of(document: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the sheet's numbers of one run's results: the largest of what is kept, the mean time of an experience."""
    after = document["after"]

    def most(key: str) -> float | None:
        return max((row[key] for row in after if row.get(key) is not None), default=None)

    return {
        "accuracy_gem": document["gem"]["accuracy_gem"],
        "held_out": after[-1].get("held_out"),
        **{key: document.get(key) for key in ("parameters", "model_bytes", "inference_ms")},
        **{key: most(key) for key in ("memory_bytes", "method_bytes", "peak_bytes")},
        "seconds": math.fsum(row["seconds"] for row in after) / len(after),
    }


def score_sheet(rows: Sheet, format: str = "markdown") -> str:  # noqa: A002 - the field's word
    """Return the sheet as a text that ends with a line break; several runs of a label give their mean.

    Parameters
    ----------
    rows : label -> the results of its runs, as `read_results` gives them.
    format : "markdown", "csv", "json" or "latex".

    Raises
    ------
    ValueError : an unknown format, no rows, or a row without runs.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    if not rows or not all(rows.values()):
        raise ValueError("a sheet needs at least one row, and every row at least one run")
    means = {printable(label): _means([costs_of(run) for run in runs]) for label, runs in rows.items()}
    # CORe50 alone holds pictures out from every experience; elsewhere a column of nothing would say nothing.
    shown = [key for key in COLUMNS if key != "held_out" or any(values[key] is not None for values in means.values())]
    if format == "json":
        entries = [{"label": label, **values, "runs": len(rows[key])}
                   for key, (label, values) in zip(rows, means.items(), strict=True)]  # fmt: skip
        return json.dumps({"schema": 1, "rows": entries}, indent=1, allow_nan=False) + "\n"
    if format == "csv":
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow(["label", *shown])
        for label, values in means.items():
            writer.writerow([label, *("" if values[key] is None else repr(values[key]) for key in shown)])
        return written.getvalue()
    headings = [COLUMNS[key][0] for key in shown]
    table = {label: [_cell(values[key], key) for key in shown] for label, values in means.items()}
    if format == "latex":
        lines = [f"\\begin{{tabular}}{{l{'r' * len(headings)}}}", "\\hline", " & ".join(["", *headings]) + r" \\"]
        lines += ["\\hline", *(" & ".join([escaped(label), *cells]) + r" \\" for label, cells in table.items())]
        return "\n".join([*lines, "\\hline", "\\end{tabular}"]) + "\n"
    cells = [["", *headings], ["---", *["---:"] * len(headings)]]
    cells += [[label.replace("|", "\\|"), *found] for label, found in table.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"


def _means(runs: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    means: dict[str, float | None] = {}
    for key in COLUMNS:
        values = [value for run in runs if (value := run[key]) is not None]
        means[key] = math.fsum(values) / len(values) if len(values) == len(runs) else None
    return means


def _cell(value: float | None, key: str) -> str:
    _, digits, unit = COLUMNS[key]
    return "-" if value is None else f"{value / unit:.{digits}f}"
