"""A comparison as tables: rows are methods, the best three of a column are marked, runs become mean ± deviation."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from standout.errors import printable
from standout.evaluate.attribute_scores import Block, attribute_blocks, attribute_rows
from standout.evaluate.comparison import COMPARED, LOWER_IS_BETTER, Comparison, Series
from standout.evaluate.costs import COST_HEADINGS, costs_told
from standout.evaluate.significance import Significance
from standout.evaluate.table import (
    DIGITS,
    HEADINGS,
    account_of,
    document,
    latex_text,
    markdown_text,
    partial_mark,
    rules_told,
)
from standout.metrics import MEASURES

MARKED = 3
PLAIN_MARKS = ("¹", "²", "³")
MARKDOWN_MARKS = (("**", "**"), ("<u>", "</u>"), ("*", "*"))
LATEX_MARKS = ((r"\textbf{", "}"), (r"\underline{", "}"), (r"\textit{", "}"))


class Figure(NamedTuple):
    """One measure of one method on one set.

    value : the measure, or the mean over the method's runs.
    deviation : the sample deviation over the runs, None where there is one run.
    rank : 1, 2 or 3 among the set's methods as printed, None beyond, or where the rows must not be ranked.
    interval : the middle 95 % over resamples of the pictures, None where significance was not asked for.
    star : whether it is better than every other beyond doubt, see `standout.evaluate.significance`.
    """

    value: float
    deviation: float | None
    rank: int | None
    interval: tuple[float, float] | None = None
    star: bool = False

    @property
    def text(self) -> str:
        """The figure without marks."""
        return f"{self.value:.{DIGITS}f}" + ("" if self.deviation is None else f" ± {self.deviation:.{DIGITS}f}")


class Shown(NamedTuple):
    """A comparison and how it is shown."""

    comparison: Comparison
    keys: Sequence[str]
    significance: Significance | None
    command: str


def figures(
    comparison: Comparison, data: str, keys: Sequence[str], significance: Significance | None = None
) -> dict[tuple[str, str], Figure]:
    """Return the figures of one set by (method, measure).

    Rows are ranked where there are several methods and all were scored on the same pictures. Values that print
    alike share a rank.
    """
    found = {}
    ranked = len(comparison.methods) > 1 and comparison.same_pictures(data)
    measures = {method: [run.scored.measures for run in comparison.of(method, data)] for method in comparison.methods}
    for key in keys:
        values = {method: [run[key] for run in runs] for method, runs in measures.items()}
        means = {method: statistics.fmean(those) for method, those in values.items()}
        sign = 1 if key in LOWER_IS_BETTER else -1
        printed = {method: sign * round(mean, DIGITS) for method, mean in means.items()}
        for method, those in values.items():
            rank = 1 + sum(other < printed[method] for other in printed.values())
            deviation = statistics.stdev(those) if len(those) > 1 else None
            figure = Figure(means[method], deviation, rank if ranked and rank <= MARKED else None)
            if significance is not None and (data, method, key) in significance.intervals:
                star = rank == 1 and significance.star(data, method, key)
                figure = figure._replace(interval=significance.intervals[data, method, key], star=star)
            found[method, key] = figure
    return found


def render_comparison(
    comparison: Comparison,
    format: str = "table",  # noqa: A002
    *,
    keys: Sequence[str] = COMPARED,
    significance: Significance | None = None,
    command: str = "",
) -> str:
    """Return the comparison as one text that ends with a line break.

    Parameters
    ----------
    format : one of `standout.evaluate.FORMATS`. JSON and CSV hold every measure with all digits, one row for each
        run; the others the measures asked for, to four decimals, one row for each method.
    keys : the measures to show, of `standout.metrics.MEASURES`.
    significance : adds stars, and intervals and tests to the JSON; see `find_significance`.
    command : kept in the JSON, where it is known.

    Raises
    ------
    ValueError : an unknown format or measure, or weighted F where it was left out.
    """
    if format not in _RENDERERS:
        raise ValueError(f"format must be one of {', '.join(_RENDERERS)}, not {format!r}")
    check_keys(comparison, keys)
    return _RENDERERS[format](Shown(comparison, keys, significance, command))


def check_keys(comparison: Comparison, keys: Sequence[str]) -> None:
    """Refuse what is no measure, or was left out of this comparison, with a ValueError."""
    if unknown := [key for key in keys if key not in MEASURES]:
        raise ValueError(f"measures are {', '.join(MEASURES)}, not {', '.join(unknown)}")
    if "weighted_f" in keys and not comparison.rules.weighted:
        raise ValueError("this comparison was made without weighted F")


def comparison_document(
    comparison: Comparison, significance: Significance | None = None, command: str = ""
) -> dict[str, Any]:
    """Return the comparison as JSON: `rows` as every table has them, one a run, and `summary`, one a method.

    With `significance` also `tests`: every two methods on every set by every measure that was tested.
    """
    stored = document(_rows(comparison), command)
    for row, series in zip(stored["rows"], comparison.series, strict=True):
        row.update({"method": printable(series.method), "run": series.run, "set": printable(series.data)})
    if comparison.attributes:
        stored["attributes"] = attribute_rows(comparison)
    stored["summary"] = [
        {
            "set": printable(data),
            "method": printable(method),
            "runs": len(comparison.of(method, data)),
            **{key: found[method, key]._asdict() for key in _measured(comparison)},
        }
        for data in comparison.sets
        for found in [figures(comparison, data, _measured(comparison), significance)]
        for method in comparison.methods
    ]
    if comparison.costs:
        stored["costs"] = [{"method": printable(name), **cost._asdict()} for name, cost in comparison.costs.items()]
    if significance is not None:
        stored["significance"] = significance.told()
        stored["tests"] = [
            {**pair._asdict(), **{name: printable(getattr(pair, name)) for name in ("data", "first", "second")}}
            for pair in significance.pairs
        ]
    return stored


def comparison_notes(comparison: Comparison, significance: Significance | None = None) -> list[str]:
    """Return what a reader must know, one sentence a line; PARTIAL first."""
    lines = rules_told(_rows(comparison))
    for data in comparison.sets:
        accounts: dict[str, list[str]] = {}
        for row in (series.scored for series in comparison.series if series.data == data):
            accounts.setdefault(account_of(row), []).append(printable(row.label))
        for account, labels in accounts.items():
            lines.append(f"{printable(data) if len(accounts) == 1 else ', '.join(labels)}: {account}")
    if len(comparison.methods) > 1:
        unranked = [printable(data) for data in comparison.sets if not comparison.same_pictures(data)]
        if len(unranked) < len(comparison.sets):
            lines.append("The best three of a column are marked, as printed")
        if unranked:
            lines.append(f"Not ranked, since its rows were scored on different pictures: {', '.join(unranked)}")
    if any(series.run > 1 for series in comparison.series):
        lines.append("Mean ± sample deviation over the runs of a method")
    if significance is not None and significance.pairs:
        lines.append(significance.told())
    return [*lines, *costs_told(comparison.costs)]


def blocks(
    comparison: Comparison, keys: Sequence[str], significance: Significance | None, mark: Callable[[Figure], str]
) -> list[Block]:
    """Return heading and rows of each set; the heading starts with the set's name, costs come last where known."""
    found = []
    costs = COST_HEADINGS if comparison.costs else ()
    for data in comparison.sets:
        of_set = figures(comparison, data, keys, significance)
        rows = [[_name(comparison, method, data), *(mark(of_set[method, key]) for key in keys),
                 *cost_cells(comparison, method)] for method in comparison.methods]  # fmt: skip
        found.append(([printable(data), *(HEADINGS[key] for key in keys), *costs], rows))
    return found


def cost_cells(comparison: Comparison, method: str) -> list[str]:
    """Return the method's cost as text, dashes where it has no model, nothing where no method has one."""
    if method in comparison.costs:
        return comparison.costs[method].cells
    return ["-"] * len(COST_HEADINGS) if comparison.costs else []


def plain_mark(figure: Figure) -> str:
    """Return the figure with its rank as a raised digit and its star; spaces where it has none, for even columns."""
    return figure.text + (PLAIN_MARKS[figure.rank - 1] if figure.rank else " ") + ("*" if figure.star else " ")


def _name(comparison: Comparison, method: str, data: str) -> str:
    runs = len(comparison.of(method, data))
    return printable(method) + (f" ({runs} runs)" if runs > 1 else "")


def _rows(comparison: Comparison) -> list[Any]:
    return [series.scored for series in comparison.series]


def _measured(comparison: Comparison) -> list[str]:
    return [key for key in MEASURES if key != "weighted_f" or comparison.rules.weighted]


def _table(shown: Shown) -> str:
    comparison, keys, significance, _ = shown
    # What carries no mark gets the spaces of one, for even columns.
    made = [
        (_spaced(heading, 1), [_spaced(row, 1 + len(keys)) for row in rows])
        for heading, rows in blocks(comparison, keys, significance, plain_mark)
    ]
    widths = _widths(made)
    told = comparison_notes(comparison, significance)
    lines = [told.pop(0)] if partial_mark(_rows(comparison)) else []
    for heading, rows in made:
        for row in (heading, *rows):
            columns = zip(row[1:], widths[1:], strict=True)
            cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in columns)]
            lines.append("  ".join(cells).rstrip())
        lines.append("")
    for heading, rows in by_attribute(comparison, keys):
        widths = _widths([(heading, rows)])
        for row in (heading, *rows):
            columns = zip(row[1:], widths[1:], strict=True)
            lines.append("  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in columns)]))
        lines.append("")
    return "\n".join([*lines, *told]) + "\n"


def _spaced(row: Sequence[str], plain: int) -> list[str]:
    return [*row[:plain], *(f"{cell}  " for cell in row[plain:])]


def _widths(made: Sequence[Block]) -> list[int]:
    every = (row for heading, rows in made for row in (heading, *rows))
    return [max(map(len, column)) for column in zip(*every, strict=True)]


def by_attribute(comparison: Comparison, keys: Sequence[str]) -> list[Block]:
    """Return the blocks of scores by attribute, none where no attributes were measured."""
    return attribute_blocks(comparison, keys) if comparison.attributes else []


def _json(shown: Shown) -> str:
    return (
        json.dumps(comparison_document(shown.comparison, shown.significance, shown.command), indent=1, allow_nan=False)
        + "\n"
    )


def _csv(shown: Shown) -> str:
    """One row a run; a method of several runs has two more, its mean and its sample deviation."""
    comparison = shown.comparison
    keys = _measured(comparison)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    of_cost = ("parameters", "multiply_adds", "milliseconds", "megabytes") if comparison.costs else ()
    facts = ["set", "method", "run", "protocol", "partial", "pictures", "expected", "list_sha256"]
    writer.writerow([*facts, *keys, *of_cost])
    for data in comparison.sets:
        found = figures(comparison, data, keys)
        for method in comparison.methods:
            runs = comparison.of(method, data)
            costs = [getattr(comparison.costs.get(method), name, None) for name in of_cost]
            for series in runs:
                facts = _facts(series, str(series.run))
                writer.writerow([*facts, *(repr(series.scored.measures[key]) for key in keys), *costs])
            if len(runs) > 1:
                mean, deviation = _facts(runs[0], "mean"), _facts(runs[0], "deviation")
                writer.writerow([*mean, *(repr(found[method, key].value) for key in keys), *costs])
                writer.writerow(
                    [*deviation, *(repr(found[method, key].deviation) for key in keys), *("" for _ in costs)]
                )
    partial = partial_mark(_rows(comparison))
    return (f"# {partial}\n" if partial else "") + text.getvalue()


def _facts(series: Series, run: str) -> list[Any]:
    row = series.scored
    names = [printable(series.data), printable(series.method), run]
    return [*names, row.protocol.name, row.partial or "", row.sums.count, row.expected, row.list_sha256]


def _markdown(shown: Shown) -> str:
    comparison, keys, significance, _ = shown
    told = comparison_notes(comparison, significance)
    lines = [f"**{told.pop(0)}**", ""] if partial_mark(_rows(comparison)) else []
    made = [*blocks(comparison, keys, significance, _markdown_mark), *by_attribute(comparison, keys)]
    for heading, rows in made:
        lines.append("| " + " | ".join(map(markdown_text, heading)) + " |")
        lines.append("| " + " | ".join(["---", *(["---:"] * (len(heading) - 1))]) + " |")
        lines += ["| " + " | ".join([markdown_text(row[0]), *row[1:]]) + " |" for row in rows]
        lines.append("")
    return "\n".join([*lines, *(f"{markdown_text(line)}  " for line in told)]).rstrip() + "\n"


def _markdown_mark(figure: Figure) -> str:
    return _between(figure, figure.text, MARKDOWN_MARKS) + (r"\*" if figure.star else "")


def _latex_mark(figure: Figure) -> str:
    return _between(figure, latex_text(figure.text), LATEX_MARKS) + ("$^{*}$" if figure.star else "")


def _latex(shown: Shown) -> str:
    """Return one booktabs table, a group of columns for each set; needs the packages booktabs and (to fit) graphicx."""
    comparison, keys, significance, _ = shown
    told = [latex_text(line) for line in comparison_notes(comparison, significance)]
    partial = told.pop(0) if partial_mark(_rows(comparison)) else ""
    made = blocks(comparison, keys, significance, _latex_mark)
    width = len(keys)
    costs = [latex_text(name) for name in COST_HEADINGS] if comparison.costs else []
    arrows = [rf"{latex_text(HEADINGS[key])} $\{'down' if key in LOWER_IS_BETTER else 'up'}arrow$" for key in keys]
    groups = [rf"\multicolumn{{{width}}}{{c}}{{{latex_text(heading[0])}}}" for heading, _ in made]
    rules = [rf"\cmidrule(lr){{{2 + at * width}-{1 + (at + 1) * width}}}" for at in range(len(made))]
    names = [latex_text(row[0]) for row in made[0][1]]
    body = [
        [name, *(cell for _, rows in made for cell in rows[at][1 : 1 + width]), *made[0][1][at][1 + width :]]
        for at, name in enumerate(names)
    ]
    lines = [
        *([f"% {partial}"] if partial else []),
        r"\begin{table*}",
        r"\centering",
        r"\caption{" + (rf"\textbf{{{partial}}}. " if partial else "") + ". ".join(told) + ".}",
        r"\resizebox{\textwidth}{!}{%",
        r"\begin{tabular}{l" + "r" * (width * len(made) + len(costs)) + "}",
        r"\toprule",
        " & ".join(["", *groups, *("" for _ in costs)]) + r" \\",
        " ".join(rules),
        " & ".join(["Method", *(arrows * len(made)), *costs]) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in body),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table*}",
    ]
    for heading, rows in by_attribute(comparison, keys):
        title, *groups = map(latex_text, heading)
        lines += [
            "", r"\begin{table}", r"\centering", rf"\caption{{{partial}{'. ' * bool(partial)}{title}.}}",
            r"\resizebox{\linewidth}{!}{%", r"\begin{tabular}{l" + "r" * len(groups) + "}", r"\toprule",
            " & ".join(["Method", *groups]) + r" \\", r"\midrule",
            *(" & ".join(map(latex_text, row)) + r" \\" for row in rows),
            r"\bottomrule", r"\end{tabular}}", r"\end{table}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _between(figure: Figure, text: str, marks: Sequence[tuple[str, str]]) -> str:
    before, after = marks[figure.rank - 1] if figure.rank else ("", "")
    return f"{before}{text}{after}"


_RENDERERS: Mapping[str, Callable[[Shown], str]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "markdown": _markdown,
    "latex": _latex,
}
