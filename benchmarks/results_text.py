"""What the pages of results are made of: result files, tables, and blocks with a blank line between them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from measuring import RESULTS, ROOT

DOCS = ROOT / "docs"
MEASURES = ("mae", "f_max", "f_max_pr", "f_mean", "weighted_f", "s", "e_max", "iou")


def load(name: str) -> dict[str, Any]:
    """Return a result file."""
    found: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return found


def blocks(*parts: str | Sequence[str]) -> list[str]:
    """Return lines, or groups of lines such as tables, with a blank line between them."""
    lines: list[str] = []
    for part in parts:
        lines += ["", part] if isinstance(part, str) else ["", *part]
    return lines[1:]


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Return a Markdown table whose first `words` columns are words and the others numbers."""
    rule = ["---" if at < words else "---:" for at in range(len(heading))]
    return [f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows)]


def spread(values: Sequence[float]) -> str:
    """Return mean and deviation."""
    mean = f"{statistics.mean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


def words(value: object) -> str:
    """Return a cell's text."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
