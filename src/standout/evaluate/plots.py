"""The curves of a comparison as a paper prints them; matplotlib is loaded only to draw."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from standout.errors import EXIT_USAGE, StandoutError, printable
from standout.evaluate.comparison import Comparison, Floats
from standout.evaluate.table import partial_mark, rules_told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A6A00", "#333333")
DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))
"""Further methods than there are colours take the next kind of line, so that 32 differ."""
FORMATS = ("pdf", "png", "svg")
ACROSS = 4
"""Panels side by side."""
PANEL = (2.35, 2.0)
"""Width and height of one, in inches: three fill a page's width."""
INK, RULE, WARNING = "#222222", "#dddddd", "#b00020"


class Curve(NamedTuple):
    """What one kind of panel shows: one mean curve against another, or against the threshold."""

    y: str
    y_label: str
    x: str | None = None
    x_label: str = "Threshold"


PLOTS: Mapping[str, tuple[Curve, ...]] = {
    "pr": (Curve("precision", "Precision", "recall", "Recall"),),
    "f": (Curve("f", "F-measure"),),
    "e": (Curve("e", "E-measure"),),
    "thresholds": (Curve("precision", "Precision"), Curve("recall", "Recall")),
}
"""The figures by the name of their files; each has these panels for every set."""


def plot_names() -> tuple[str, ...]:
    """Return the names of all files that `plot_comparison` makes."""
    return tuple(f"{name}.{kind}" for name in PLOTS for kind in FORMATS)


def check_plotting() -> None:
    """Refuse, before anything is scored, to plot where matplotlib is not installed.

    Raises
    ------
    StandoutError : exit code 2.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise StandoutError(
            "matplotlib-missing", "plots need matplotlib", "", "install standout[plots]", exit_code=EXIT_USAGE
        )


def plot_comparison(comparison: Comparison) -> dict[str, bytes]:
    """Return every figure in every format, by the name of its file.

    `pr` is precision against recall, `f` and `e` are the F- and the E-measure against the threshold, `thresholds`
    precision and recall against it: the mean curves over the pictures, with a panel for each set and a line for
    each method. Of several runs of a method the line is the mean, and each run's own is drawn faintly. The protocol
    stands in the files' own description, PARTIAL above the panel. Equal comparisons give equal bytes.
    """
    check_plotting()
    import matplotlib as mpl

    told = "; ".join(rules_told([series.scored for series in comparison.series]))
    style: Any = {
        # Times-like, as papers are set; what that font lacks comes from the next.
        "font.family": ["STIXGeneral", "DejaVu Sans"],
        "mathtext.fontset": "stix",
        # Type 42 is what publishers ask for; outlines look the same everywhere.
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "standout",
    }
    with mpl.rc_context(style):
        return {
            f"{name}.{kind}": _written(figure, kind, told)
            for name, panels in PLOTS.items()
            for figure in [comparison_figure(comparison, panels)]
            for kind in FORMATS
        }


def comparison_figure(comparison: Comparison, panels: Sequence[Curve]) -> Figure:
    """Return one figure: a panel for each of `panels` and each set, and one legend."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sets, methods = comparison.sets, comparison.methods
    across = min(ACROSS, len(sets))
    down = math.ceil(len(sets) / across)
    names = [printable(method) for method in methods]
    # So many names a line of the legend as the figure is wide enough for.
    width = max(PANEL[0] * across, 3.4)
    fitting = max(1, int(width / (0.45 + 0.075 * max(map(len, names)))))
    lines = math.ceil(len(names) / fitting)
    height = PANEL[1] * down * len(panels) + 0.16 * lines
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down * len(panels), across, squeeze=False)
    for at_kind, curve in enumerate(panels):
        for at, data in enumerate(sets):
            panel = grid[at_kind * down + at // across, at % across]
            _draw(panel, comparison, data, curve, first=at % across == 0)
        for at in range(len(sets), down * across):
            grid[at_kind * down + at // across, at % across].set_visible(False)
    drawn = [panel.get_lines()[at] for panel in grid.flat[:1] for at in range(len(methods))]
    legend = figure.legend(
        drawn, [str(at) for at in range(len(names))], loc="outside lower center", ncols=min(fitting, len(names)),
        frameon=False, fontsize=8, handlelength=2.2, columnspacing=1.4,
    )  # fmt: skip
    # Names are set afterwards, because in a label an underscore or a dollar sign would have a meaning.
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
    # Laid out once, not again for each format.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def _draw(panel: Axes, comparison: Comparison, data: str, curve: Curve, *, first: bool) -> None:
    faint = []
    for at, method in enumerate(comparison.methods):
        colour, dashes = COLOURS[at % len(COLOURS)], DASHES[at // len(COLOURS) % len(DASHES)]
        runs = [_points(series.curves(), curve) for series in comparison.of(method, data)]
        panel.plot(*np.mean(runs, axis=0), color=colour, linestyle=dashes, linewidth=1.3, zorder=3)
        faint += [(points, colour) for points in runs] if len(runs) > 1 else []
    # After the methods, whose lines the legend takes by their place.
    for points, colour in faint:
        panel.plot(*points, color=colour, linewidth=0.5, alpha=0.45, zorder=2)
    _dress(panel, curve)
    panel.set_ylabel(curve.y_label if first else "", fontsize=9, color=INK)
    partial = partial_mark([series.scored for series in comparison.series if series.data == data])
    title = panel.set_title(
        printable(data) + (f"\n{partial}" if partial else ""), fontsize=9.5, color=WARNING if partial else INK
    )
    title.set_parse_math(False)


def _points(curves: Mapping[str, Floats], curve: Curve) -> Floats:
    """Return x and y, (2, 256)."""
    y = curves[curve.y]
    # The curves run from threshold 255 down to 0.
    return np.stack([np.arange(len(y))[::-1] if curve.x is None else curves[curve.x], y])


def _dress(panel: Axes, curve: Curve) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    values = np.concatenate([np.asarray(line.get_ydata()) for line in panel.get_lines()])
    low = max(0.0, math.floor(float(values.min()) * 20) / 20)
    high = max(low + 0.05, math.ceil(float(values.max()) * 20) / 20 if values.max() <= 1 else float(values.max()))
    margin = 0.02 * (high - low)
    panel.set_ylim(low - margin, high + margin)
    if curve.x is None:
        panel.set_xlim(0, 255)
        panel.xaxis.set_major_locator(FixedLocator([0, 51, 102, 153, 204, 255]))
    else:
        panel.set_xlim(0, 1)
        panel.xaxis.set_major_locator(FixedLocator([0, 0.2, 0.4, 0.6, 0.8, 1]))
    panel.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    panel.set_xlabel(curve.x_label, fontsize=9, color=INK)
    panel.tick_params(labelsize=7.5, colors=INK, length=2, width=0.6)
    panel.grid(color=RULE, linewidth=0.5)
    panel.set_axisbelow(True)
    for spine in panel.spines.values():
        spine.set(linewidth=0.6, color=INK)


def _written(figure: Figure, kind: str, told: str) -> bytes:
    metadata: dict[str, dict[str, Any]] = {
        "pdf": {"Subject": told, "Creator": "standout", "Producer": None, "CreationDate": None},
        "png": {"Description": told, "Software": None},
        "svg": {"Description": told, "Creator": "standout", "Date": None},
    }
    written = io.BytesIO()
    figure.savefig(written, format=kind, dpi=300, metadata=metadata[kind])
    return written.getvalue()
