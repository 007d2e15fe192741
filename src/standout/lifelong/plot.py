"""What streams did to recognisers, as pictures: the matrix, each experience over time, and the paper's figure."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from standout.evaluate.plots import COLOURS
from standout.lifelong.measures import AccuracyMatrix
from standout.train.plot import INK, SOFT, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Mapping[str, Sequence[AccuracyMatrix]]

PUBLISHED: Mapping[str, tuple[float, ...]] = {
    "SDKD": (0.59, 0.75, 0.79, 0.85, 0.87, 0.86, 0.90, 0.90, 0.885, 0.895, 0.95, 0.965),
    "without distillation": (0.58, 0.75, 0.695, 0.835, 0.855, 0.82, 0.86, 0.865, 0.87, 0.875, 0.86, 0.845),
    "VGG-16": (0.215, 0.27, 0.295, 0.445, 0.495, 0.50, 0.57, 0.61, 0.635, 0.67, 0.655, 0.655),
}
"""Mean accuracy after each of the 12 experiences of OpenLORIS-Object, read by eye (±0.01) from the plot of the paper
and its poster (Yang 2019)."""

MOST_NAMES = 24
"""Experiences that an axis of names has room for."""
LONGEST_NAME = 24


def plot_matrices(rows: Rows) -> bytes:
    """Return a PNG with one heat map a label: accuracy on each experience (across) after each experience (down).

    Several runs of a label give their mean; what was not measured stays white.
    """
    many = len(rows)
    across = min(4, many)
    down = -(-many // across)
    count = max(len(matrix) for matrices in rows.values() for matrix in matrices)
    side = 1.6 + 0.34 * min(count, 12)
    figure = _figure((across * (side + 0.5), down * (side + 0.7)))
    panels = figure.subplots(down, across, squeeze=False)
    for panel in panels.flat[many:]:
        panel.set_axis_off()
    for panel, (label, matrices) in zip(panels.flat, rows.items(), strict=False):
        values = _mean([matrix.values for matrix in matrices])
        panel.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="equal")
        panel.set_title(label, fontsize=9.5, color=INK, loc="left")
        names = _short(matrices[0].names)
        panel.set_xticks(range(len(names)), names, rotation=90, fontsize=7, color=SOFT)
        panel.set_yticks(range(len(names)), [f"after {name}" for name in names], fontsize=7, color=SOFT)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        for i, j in zip(*np.nonzero(~np.isnan(values)), strict=True):
            ink = "white" if values[i, j] > 0.6 else INK
            panel.text(j, i, f"{100 * values[i, j]:.0f}", ha="center", va="center", fontsize=7, color=ink)
    return _png(figure)


def plot_experiences(rows: Rows) -> bytes:
    """Return a PNG with one panel an experience: the accuracy on it after each experience, a line a label."""
    first = next(iter(rows.values()))[0]
    count, names = len(first), _short(first.names)
    across = min(4, count)
    down = -(-count // across)
    figure = _figure((3.1 * across + 1.8, 2.3 * down + 0.4))
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for panel in panels.flat[count:]:
        panel.set_axis_off()
    for place, panel in enumerate(panels.flat[:count]):
        panel.set_title(f"on {names[place]}")
        panel.axvline(place + 1, color=SOFT, linewidth=0.8, linestyle=":")  # when it was learnt
        for (label, matrices), colour, style in zip(rows.items(), *_looks(len(rows)), strict=True):
            values = _mean([matrix.values for matrix in matrices])
            at = np.arange(1, len(values) + 1)
            panel.plot(at, values[:, place], color=colour, linestyle=style, linewidth=1.5, marker="o", markersize=2.5,
                       label=label)  # fmt: skip
        _frame(panel, count)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8, labelcolor=SOFT)
    return _png(figure)


def plot_accuracy(rows: Rows, *, published: bool = False) -> bytes:
    """Return a PNG of the paper's figure: mean accuracy on all experiences after each, a line a label.

    A band is one deviation over a label's runs either way. Experiences are named where all runs had them in one order.

    Parameters
    ----------
    published : adds the paper's own curves, dotted.
    """
    figure = _figure((8.4, 3.9))
    panel = figure.subplots()
    for (label, matrices), colour, style in zip(rows.items(), *_looks(len(rows)), strict=True):
        curves = np.stack([matrix.values.mean(1) for matrix in matrices])
        at, middle = np.arange(1, curves.shape[1] + 1), curves.mean(0)
        panel.plot(at, middle, color=colour, linestyle=style, linewidth=1.8, marker="o", markersize=3, label=label)
        if len(curves) > 1:
            spread = curves.std(0, ddof=1)
            panel.fill_between(at, middle - spread, middle + spread, color=colour, alpha=0.13, linewidth=0)
    if published:
        for (label, values), colour in zip(PUBLISHED.items(), (INK, SOFT, "#aaaaaa"), strict=True):
            panel.plot(np.arange(1, 13), values, ":", color=colour, linewidth=1.4,
                       label=f"{label}: published, other data, read by eye")  # fmt: skip
    panel.set_title("mean accuracy on all experiences")
    longest = max(len(matrix) for matrices in rows.values() for matrix in matrices)
    _frame(panel, max(longest, 12 if published else 0))
    orders = {tuple(matrix.names) for matrices in rows.values() for matrix in matrices}
    if len(orders) == 1 and longest <= MOST_NAMES:
        names = _short(orders.pop())
        panel.set_xticks(range(1, longest + 1), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8, labelcolor=SOFT)
    return _png(figure)


def _short(names: Sequence[str]) -> list[str]:
    """Return names that leave room for the drawing beside them."""
    return [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in names]


def _frame(panel: Axes, count: int) -> None:
    """Show all experiences, those that were not measured too, and all accuracies, so that a line at 0 is seen whole."""
    room = 0.04 * count if count > 1 else 0.5
    panel.set_xlim(1 - room, count + room)
    panel.set_ylim(-0.02, 1.02)
    panel.set_xlabel("after experience")
    dress(panel)


def _mean(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.stack(values).mean(0)  # a hole in one run is a hole of the mean
    return mean


def _looks(count: int) -> tuple[list[str], list[Any]]:
    """Return colours and line styles, so that no two of up to 32 labels look alike."""
    styles: list[Any] = ["-", "--", "-.", (0, (5, 1, 1, 1, 1, 1))]
    return [COLOURS[i % len(COLOURS)] for i in range(count)], [styles[i // len(COLOURS) % 4] for i in range(count)]


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # names of folders and runs may hold dollars
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()
