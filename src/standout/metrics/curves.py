"""F, precision, recall and E at every threshold, at the adaptive threshold, and IoU.

F is Achanta et al. 2009 (beta squared 0.3). E is the enhanced alignment of Fan et al. 2018. Thresholds run
from 255 down to 0 with `>=`, so point 0 holds only the brightest level and point 255 is the whole picture.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from standout.metrics.counts import Counts, Floats, PictureCounts

BETA_SQUARED = 0.3
THRESHOLDS = 256
IOU_LEVEL = 128
EPSILON = float(np.spacing(1.0))


class Found(NamedTuple):
    """Pixels called foreground at some thresholds: `right` lie in the mask, `wrong` outside it; any shape."""

    right: Counts
    wrong: Counts


def found_by_threshold(picture: PictureCounts) -> Found:
    """Return the pixels found at thresholds 255, 254, ..., 0; two arrays of shape (256,)."""
    wrong, right = (
        np.bincount(picture.bins, weights=of_mask, minlength=THRESHOLDS).astype(np.int64)[::-1].cumsum()
        for of_mask in picture.counts.sum(axis=0)
    )
    return Found(right, wrong)


def found_adaptive(picture: PictureCounts) -> Found:
    """Return the pixels found at the adaptive threshold; two arrays of shape ()."""
    wrong, right = picture.counts.sum(axis=0)[:, picture.adaptive].sum(axis=1)
    return Found(np.asarray(right), np.asarray(wrong))


def precision_recall(found: Found, foreground: int) -> tuple[Floats, Floats]:
    """Return precision and recall; both are 0 where nothing is found or the mask is empty."""
    called = found.right + found.wrong
    return found.right / np.maximum(called, 1), found.right / max(foreground, 1)


def f_measure(precision: Floats, recall: Floats) -> Floats:
    """Return F with beta squared 0.3; 0 where precision and recall are 0."""
    above = (1 + BETA_SQUARED) * precision * recall
    below = np.where(above == 0, 1, BETA_SQUARED * precision + recall)
    return np.asarray(above / below, dtype=np.float64)


def e_measure(found: Found, foreground: int, pixels: int) -> Floats:
    """Return the enhanced alignment between the pixels found and the mask.

    The sum over pixels is divided by `pixels - 1`, as its authors do: a perfect map scores slightly above 1.
    An empty mask scores the share of pixels called background, a full mask the share called foreground.
    """
    called = found.right + found.wrong
    if foreground == 0:
        aligned = np.asarray(pixels - called, dtype=np.float64)
    elif foreground == pixels:
        aligned = np.asarray(called, dtype=np.float64)
    else:
        mean_found, mean_mask = called / pixels, foreground / pixels
        missed = foreground - found.right
        left = pixels - called - missed
        aligned = (
            found.right * _enhanced(1 - mean_found, 1 - mean_mask)
            + found.wrong * _enhanced(1 - mean_found, -mean_mask)
            + missed * _enhanced(-mean_found, 1 - mean_mask)
            + left * _enhanced(-mean_found, -mean_mask)
        )
    return np.asarray(aligned / (pixels - 1 + EPSILON), dtype=np.float64)


def over_all_pixels(e: Floats, pixels: int) -> Floats:
    """Return E divided by all pixels instead of one less: at most 1, also where rounding went up."""
    return np.asarray(np.minimum(e * ((pixels - 1 + EPSILON) / pixels), 1), dtype=np.float64)


def intersection_over_union(found: Found, foreground: int) -> float:
    """Return intersection over union of the pixels at 8-bit level 128 or above; 0 where both are empty."""
    at = THRESHOLDS - 1 - IOU_LEVEL
    union = foreground + int(found.wrong[at])
    return int(found.right[at]) / max(union, 1)


def _enhanced(first: Floats, second: float) -> Floats:
    """Return the enhanced alignment, in 0..1, of two values from which their means were taken."""
    # Products, not powers: a power of one number may differ in the last bit from the compiled path's product.
    alignment = 2 * first * second / (first * first + second * second + EPSILON)
    return np.asarray((alignment + 1) * (alignment + 1) / 4, dtype=np.float64)
