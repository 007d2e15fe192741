"""A run's curves as one picture: the terms that are minimised, the measures held out, the rate."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from standout.evaluate.plots import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, SOFT, RULE = "#222222", "#666666", "#dddddd"
SMOOTHED_SHARE = 0.04
SHOWN_HIGHER = {"f_max": "F max", "s": "S", "e_max": "E max", "iou": "IoU"}


def plot_curves(lines: Iterable[Mapping[str, Any]], *, title: str, score: str = "mae") -> bytes:
    """Return a PNG of the curves of a run.

    Parameters
    ----------
    lines : of `metrics.jsonl`.
    title : above the picture.
    score : the measure by which the best epoch is chosen; that epoch is marked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps: list[Mapping[str, Any]] = []
    epochs: list[Mapping[str, Any]] = []
    for line in lines:
        if line["kind"] == "epoch" and "mae" not in line:
            continue  # nothing was held out; the line tells what the strategies did
        {"step": steps, "epoch": epochs}.get(line["kind"], []).append(line)
    figure = Figure(figsize=(12.6, 3.9), dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.008, ha="left", fontsize=12, fontweight="bold", color=INK)
    panels = figure.subplots(1, 4, width_ratios=(1.5, 1.2, 1.2, 0.8))
    _plot_terms(panels[0], steps)
    _plot_error(panels[1], epochs, score)
    _plot_measures(panels[2], epochs, score)
    _plot_rate(panels[3], steps)
    for panel in panels:
        dress(panel)
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def smoothed(values: Sequence[float], share: float = SMOOTHED_SHARE) -> NDArray[np.float64]:
    """Return a running mean over `share` of the points, cut off at both ends; NaN counts as missing."""
    numbers = np.asarray(values, np.float64)
    reach = max(1, round(len(numbers) * share / 2))
    known = np.isfinite(numbers)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, numbers, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    at = np.arange(len(numbers))
    first, last = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(numbers))
    found = count[last] - count[first]
    return np.where(found > 0, (total[last] - total[first]) / np.maximum(found, 1), np.nan)


def _plot_terms(panel: Axes, steps: Sequence[Mapping[str, Any]]) -> None:
    panel.set_title("terms that are minimised")
    panel.set_xlabel("step")
    names = list(dict.fromkeys(name for line in steps for name in line["terms"]))
    at = [line["step"] for line in steps]
    for name, colour in zip(names, _cycle(len(names)), strict=True):
        values = [_number(line["terms"].get(name)) for line in steps]
        panel.plot(at, values, color=colour, alpha=0.18, linewidth=0.8)
        panel.plot(at, smoothed(values), color=colour, linewidth=1.8, label=name.replace("_", " "))
    skipped = [line["step"] for line in steps if line["total"] is None]
    if skipped:
        panel.plot(skipped, [0] * len(skipped), "x", color=INK, label="left out, not finite", clip_on=False)
    if names:
        panel.set_ylim(bottom=0 if min(_number(v) for line in steps for v in line["terms"].values()) >= 0 else None)
        panel.legend(frameon=False, fontsize=8, labelcolor=SOFT, ncols=1 if len(names) < 6 else 2)


def _plot_error(panel: Axes, epochs: Sequence[Mapping[str, Any]], score: str) -> None:
    panel.set_title("MAE held out, lower is better")
    panel.set_xlabel("epoch")
    at, values = [line["epoch"] for line in epochs], [line["mae"] for line in epochs]
    panel.plot(at, values, color=COLOURS[1], linewidth=1.8, marker="o", markersize=3.5)
    if values:
        panel.set_xlim(min(at) - 0.5, max(at) + 0.5)
        panel.set_ylim(0, max(values) * 1.1)
        _mark_best(panel, epochs, score, "mae", COLOURS[1])


def _plot_measures(panel: Axes, epochs: Sequence[Mapping[str, Any]], score: str) -> None:
    panel.set_title("measures held out, higher is better")
    panel.set_xlabel("epoch")
    shown = dict(SHOWN_HIGHER)
    if score != "mae":
        shown.setdefault(score, score.replace("_", " "))
    at = [line["epoch"] for line in epochs]
    for (name, label), colour in zip(shown.items(), _cycle(len(shown)), strict=True):
        values = [_number(line.get(name)) for line in epochs]
        panel.plot(at, values, color=colour, linewidth=1.8, marker="o", markersize=3.5, label=label)
        if name == score:
            _mark_best(panel, epochs, score, name, colour)
    if epochs:
        panel.set_xlim(min(at) - 0.5, max(at) + 0.5)
        panel.legend(frameon=False, fontsize=8, labelcolor=SOFT, loc="best")


def _mark_best(panel: Axes, epochs: Sequence[Mapping[str, Any]], score: str, name: str, colour: str) -> None:
    choose = min if score == "mae" else max
    best = choose(epochs, key=lambda line: float(line[score]))
    panel.plot([best["epoch"]], [best[name]], "o", markersize=9, markerfacecolor="none", markeredgecolor=colour)
    panel.annotate(
        f"best {best[name]:.4f}",
        (best["epoch"], best[name]),
        xytext=(0, -17 if name == "mae" else 11),
        textcoords="offset points",
        ha="right" if best["epoch"] > epochs[-1]["epoch"] / 2 else "left",
        fontsize=8,
        color=colour,
    )


def _plot_rate(panel: Axes, steps: Sequence[Mapping[str, Any]]) -> None:
    panel.set_title("learning rate")
    panel.set_xlabel("step")
    panel.plot([line["step"] for line in steps], [line["rate"] for line in steps], color=COLOURS[2], linewidth=1.8)
    panel.set_ylim(bottom=0)


def dress(panel: Axes) -> None:
    """Give a panel the house's look: soft words, level lines only, no frame but the floor."""
    from matplotlib.ticker import MaxNLocator

    panel.title.set(fontsize=9.5, color=INK, ha="left", x=0.0)
    panel.xaxis.label.set(fontsize=8.5, color=SOFT)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, steps=[1, 2, 5, 10]))
    panel.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    panel.tick_params(labelsize=8, colors=SOFT, length=0)
    panel.grid(axis="y", color=RULE, linewidth=0.7)
    panel.set_axisbelow(True)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.spines["bottom"].set_color(RULE)


def _cycle(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
