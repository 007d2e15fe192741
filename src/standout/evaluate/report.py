"""A comparison as one HTML file that needs nothing else: table, curves, pictures, errors. It fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple

import numpy as np

from standout import __version__
from standout.data.pairs import shown as shown_names
from standout.errors import printable
from standout.evaluate.attribute_scores import Block
from standout.evaluate.comparison import COMPARED, LOWER_IS_BETTER, Comparison
from standout.evaluate.comparison_table import (
    PLAIN_MARKS,
    Figure,
    by_attribute,
    check_keys,
    comparison_notes,
    cost_cells,
    figures,
)
from standout.evaluate.costs import COST_HEADINGS
from standout.evaluate.plots import COLOURS
from standout.evaluate.shown_pictures import EACH, chosen_pictures, deciding_measure, picture_addresses
from standout.evaluate.significance import Significance
from standout.evaluate.table import DIGITS, HEADINGS, partial_mark

DASHES = ("none", "7 3", "2 2", "7 3 2 3")
"""As `standout.evaluate.plots.DASHES`, in SVG's words."""
_GROUPS = (("best", "Best"), ("worst", "Worst"), ("disputed", "Most disputed"))


class _Column(NamedTuple):
    heading: str
    kind: str
    first: str


def report_page(
    comparison: Comparison, keys: Sequence[str] = COMPARED, significance: Significance | None = None
) -> str:
    """Return the comparison as one HTML page with everything in it.

    The table sorts and filters; curves and errors follow one threshold; of each set the six best, worst and most
    disputed pictures are shown with every method's map. All of it works by keyboard. A policy in the page forbids the
    browser to fetch anything.

    Parameters
    ----------
    keys : the measures in the table, of `standout.metrics.MEASURES`.
    significance : adds intervals, stars and the table of tests.

    Raises
    ------
    ValueError : an unknown measure, or weighted F where it was left out.
    """
    check_keys(comparison, keys)
    style, script = _asset("report.css"), _asset("report.js")
    options = "".join(f"<option>{escape(printable(data))}</option>" for data in comparison.sets)
    partial = partial_mark([series.scored for series in comparison.series])
    notes = comparison_notes(comparison, significance)[1 if partial else 0 :]
    key = deciding_measure(keys)
    pictures, lost = _pictures(comparison, key)
    further = _further(comparison, keys, significance, notes)
    sections = ["Scores", "Curves", "Pictures", *(name for name, _ in further)]
    return Template(_asset("report.html")).substitute(
        title=escape(_title(comparison)),
        version=escape(__version__),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        partial=f'<p class="partial" id="partial">{escape(partial)}</p>' if partial else "",
        rules=escape(notes[0]),
        sections="".join(f'<li><a href="#{name.lower()}">{name}</a></li>' for name in sections),
        set_options=options,
        method_boxes="".join(
            f'<label><input type="checkbox" id="method-{at}" checked> {escape(printable(method))}</label>'
            for at, method in enumerate(comparison.methods)
        ),
        scores=_scores(comparison, keys, significance),
        legend=_legend(comparison, significance),
        pictures=_picture_section(comparison, key, pictures, lost, options),
        further="".join(body for _, body in further),
        data=_data(comparison, key, pictures),
    )


def _title(comparison: Comparison) -> str:
    methods, sets = len(comparison.methods), len(comparison.sets)
    names = ", ".join(printable(data) for data in comparison.sets)
    return f"{methods} {'method' if methods == 1 else 'methods'} on {names if sets < 6 else f'{sets} sets'}"


def _asset(name: str) -> str:
    return (files("standout.evaluate") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _scores(comparison: Comparison, keys: Sequence[str], significance: Significance | None) -> str:
    """Return the table of scores, a row for each method on each set."""
    columns = [_Column("Set", "text", "ascending"), _Column("Method", "text", "ascending")]
    columns += [
        _Column(HEADINGS[key], "number", "ascending" if key in LOWER_IS_BETTER else "descending") for key in keys
    ]
    columns += [_Column(heading, "number", "ascending") for heading in COST_HEADINGS if comparison.costs]
    rows = []
    for data in comparison.sets:
        found = figures(comparison, data, keys, significance)
        for method in comparison.methods:
            runs = len(comparison.of(method, data))
            of_set, name = escape(printable(data)), escape(printable(method))
            cells = [
                f'<td class="text" data-value="{of_set}">{of_set}</td>',
                f'<th scope="row" data-value="{name}">{name}{f" <small>{runs} runs</small>" if runs > 1 else ""}</th>',
                *(_cell(found[method, key]) for key in keys),
                *_costs(comparison, method),
            ]
            rows.append(f'<tr data-set="{of_set}" data-method="{name}">{"".join(cells)}</tr>')
    return _sorted_table("scores-table", columns, rows)


def _sorted_table(name: str, columns: Iterable[_Column], rows: Iterable[str]) -> str:
    heads = "".join(
        f'<th scope="col" class="{column.kind}" aria-sort="none" data-kind="{column.kind}" '
        f'data-first="{column.first}"><button type="button">{escape(column.heading)}</button></th>'
        for column in columns
    )
    return f'<table id="{name}"><thead><tr>{heads}</tr></thead><tbody>\n' + "\n".join(rows) + "\n</tbody></table>"


def _cell(figure: Figure) -> str:
    mark = (PLAIN_MARKS[figure.rank - 1] if figure.rank else "") + ("*" if figure.star else "")
    low_high = (
        "" if figure.interval is None else "<br><small>{:.{d}f} to {:.{d}f}</small>".format(*figure.interval, d=DIGITS)
    )
    rank = f' class="rank{figure.rank}"' if figure.rank else ""
    mean, sign, deviation = figure.text.partition(" ± ")
    text = f"{mean} <small>{sign.strip()} {deviation}</small>" if sign else mean
    return f'<td{rank} data-value="{figure.value!r}">{text}<span class="mark">{mark}</span>{low_high}</td>'


def _costs(comparison: Comparison, method: str) -> list[str]:
    cost = comparison.costs.get(method)
    values = (None,) * len(COST_HEADINGS) if cost is None else cost[: len(COST_HEADINGS)]
    cells = zip(values, cost_cells(comparison, method), strict=False)
    return [f'<td data-value="{"" if value is None else value}">{cell}</td>' for value, cell in cells]


def _legend(comparison: Comparison, significance: Significance | None) -> str:
    told = []
    if any(comparison.same_pictures(data) for data in comparison.sets) and len(comparison.methods) > 1:
        told.append("¹ ² ³ are the best three of a set by that measure, as printed.")
    if significance is not None:
        told.append("Below a figure: the middle 95 % over resamples of the pictures.")
        if significance.pairs:
            told.append("* is better than every other method beyond doubt, see Tests.")
    return escape(" ".join(told))


def _pictures(comparison: Comparison, key: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the chosen pictures, and the names of those whose files cannot be shown."""
    scored = {
        (series.data, series.method): {picture.name: picture for picture in series.pictures}
        for series in comparison.series
        if series.run == 1
    }
    shown, lost = [], []
    for chosen in chosen_pictures(comparison, key):
        lie = comparison.files.get((chosen.data, chosen.name))
        scores = {method: scored[chosen.data, method][chosen.name].score for method in chosen.values}
        addresses = None if lie is None else picture_addresses(lie, chosen.name, comparison.rules, scores)
        if addresses is None:
            lost.append(f"{chosen.data}/{chosen.name}")
        else:
            addresses["maps"] = {printable(method): address for method, address in addresses["maps"].items()}
            shown.append({
                "set": printable(chosen.data), "name": printable(chosen.name), "groups": chosen.groups,
                "values": {printable(method): value for method, value in chosen.values.items()}, **addresses,
            })  # fmt: skip
    return shown, lost


def _picture_section(
    comparison: Comparison, key: str, pictures: Sequence[Any], lost: Sequence[str], options: str
) -> str:
    why = (
        "their masks or maps could not be read, or are not those that were scored. Make the report on a machine where "
        "they lie under the paths that they were scored under."
    )
    if not pictures:
        none = "No picture has a score by every method."
        told = f"None of the {len(lost)} chosen pictures is shown: {why}" if lost else none
        return f'<p class="soft">{told}</p>'
    told = f"{len(lost)} of {len(lost) + len(pictures)} are not shown ({escape(shown_names(lost))}): {why}"
    groups = [
        f'<input type="radio" name="group" value="{value}"{" checked" if value == "worst" else ""}> {words}'
        for value, words in _GROUPS
        if value != "disputed" or len(comparison.methods) > 1
    ]
    return Template(_asset("pictures.html")).substitute(
        each=EACH,
        measure=escape(HEADINGS[key]),
        stretched=", stretched" if comparison.series[0].scored.protocol.stretch else "",
        set_options=options,
        groups="".join(f"<label>{group}</label>" for group in groups),
        lost=f'<p class="soft">{told}</p>' if lost else "",
    )


def _further(
    comparison: Comparison, keys: Sequence[str], significance: Significance | None, notes: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the sections below the pictures: name and content."""
    sections = []
    if made := by_attribute(comparison, keys):
        sections.append(("Attributes", f'<div class="blocks">{"".join(map(_block, made))}</div>'))
    if significance is not None and significance.pairs:
        sections.append(("Tests", _tests(significance)))
    problems = [
        f"<li>{escape(printable(series.scored.label))}: {escape(printable(problem.name))} {problem.kind}"
        f"{f' ({escape(printable(problem.text))})' if problem.text else ''}</li>"
        for series in comparison.series
        for problem in series.scored.problems
    ]
    told = "".join(f"<p>{escape(note)}</p>" for note in notes)
    if problems:
        told += f"<details><summary>{len(problems)} without a score</summary><ul>{''.join(problems)}</ul></details>"
    sections.append(("Notes", told))
    return [
        (name, f'<section id="{name.lower()}" aria-labelledby="{name.lower()}-heading">'
               f'<h2 id="{name.lower()}-heading">{name}</h2>{body}</section>')
        for name, body in sections
    ]  # fmt: skip


def _block(block: Block) -> str:
    heading, rows = block
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in heading[1:])
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    title = escape(heading[0])
    return (
        f'<div><h3>{title}</h3><div class="wide" tabindex="0" role="region" aria-label="{title}"><table><thead><tr>'
        f'<th scope="col" class="text">Method</th>{heads}</tr></thead><tbody>{body}</tbody></table></div></div>'
    )


def _tests(significance: Significance) -> str:
    columns = [_Column(name, "text", "ascending") for name in ("Set", "Measure", "First", "Second", "Better")]
    columns += [_Column(name, "number", "ascending") for name in ("Difference from", "to", "p", "p, Holm")]
    rows = []
    for pair in significance.pairs:
        words = (pair.data, HEADINGS[pair.measure], pair.first, pair.second, pair.better() or "")
        cells = [escape(printable(word), quote=True) for word in words]
        row = "".join(f'<td class="text" data-value="{cell}">{cell}</td>' for cell in cells)
        numbers = ((pair.low, f"{pair.low:+.4f}"), (pair.high, f"{pair.high:+.4f}"),
                   (pair.p, f"{pair.p:.2g}"), (pair.p_holm, f"{pair.p_holm:.2g}"))  # fmt: skip
        row += "".join(f'<td data-value="{value!r}">{text}</td>' for value, text in numbers)
        rows.append(f"<tr>{row}</tr>")
    table = _sorted_table("tests-table", columns, rows)
    return (
        f'<p class="soft">{escape(significance.told())}</p>'
        f'<div class="wide tall" tabindex="0" role="region" aria-labelledby="tests-heading">{table}</div>'
    )


def _data(comparison: Comparison, key: str, pictures: Sequence[Any]) -> str:
    """Return what the page's program draws from, safe inside HTML."""
    curves = []
    for data in comparison.sets:
        for method in comparison.methods:
            runs = [series.curves() for series in comparison.of(method, data)]
            mean = {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}
            rounded = {name: [round(float(value), 5) for value in curve] for name, curve in mean.items()}
            curves.append({"set": printable(data), "method": printable(method), **rounded})
    document = {
        "methods": [printable(method) for method in comparison.methods],
        "colours": COLOURS,
        "dashes": DASHES,
        "measure": HEADINGS[key],
        "lower": key in LOWER_IS_BETTER,
        "curves": curves,
        "pictures": pictures,
    }
    return json.dumps(document, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
