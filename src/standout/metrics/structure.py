"""The S-measure (Fan et al. 2017): half object similarity, half region similarity about the mask's centroid."""

from __future__ import annotations

import math

import numpy as np

from standout.metrics.counts import Counts, Floats, PictureCounts, weighed_sum
from standout.metrics.curves import EPSILON

ALPHA = 0.5


def s_measure(picture: PictureCounts) -> float:
    """Return the S-measure, at least 0.

    An empty mask scores 1 - mean(map), a full mask mean(map). A quadrant without pixels, which arises where the
    centroid falls in the last row or column, has weight 0. A quadrant counts as constant where one value occurs.
    """
    pixels, foreground = picture.pixels, picture.foreground
    background_counts, foreground_counts = picture.counts.sum(axis=0)
    mean = weighed_sum(background_counts + foreground_counts, picture.values) / pixels
    if foreground == 0:
        return 1 - mean
    if foreground == pixels:
        return mean
    share = foreground / pixels
    objects = share * _object(foreground_counts, picture.values)
    objects += (1 - share) * _object(background_counts, 1 - picture.values)
    regions = 0.0
    for quadrant in picture.counts:
        if quadrant.any():
            regions += int(quadrant.sum()) / pixels * _similarity(quadrant, picture.values)
    return max(0.0, ALPHA * objects + (1 - ALPHA) * regions)


def _object(counts: Counts, values: Floats) -> float:
    """Return how bright and how even the values are over one side of the mask, in 0..1."""
    total = int(counts.sum())
    mean = weighed_sum(counts, values) / total
    # One pixel has no sample deviation; it counts as even.
    deviation = math.sqrt(weighed_sum(counts, (values - mean) ** 2) / (total - 1)) if total > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + deviation + EPSILON)


def _similarity(quadrant: Counts, values: Floats) -> float:
    """Return the structural similarity of map and mask over one quadrant, (2, L) counts with at least one pixel."""
    of_value, of_mask = quadrant.sum(axis=0), quadrant.sum(axis=1)
    map_constant = np.count_nonzero(of_value) == 1
    mask_constant = np.count_nonzero(of_mask) == 1
    if map_constant or mask_constant:
        # No covariance. The formula then means 1 where neither side varies and 0 where only one does; computed
        # in floats, the rounding of the mean would decide.
        return float(map_constant and mask_constant)
    pixels = int(of_mask.sum())
    map_mean = weighed_sum(of_value, values) / pixels
    mask_mean = int(of_mask[1]) / pixels
    freedom = pixels - 1 + EPSILON
    apart = values - map_mean
    map_variance = weighed_sum(of_value, apart**2) / freedom
    # Products, not powers: a power may differ in the last bit from the compiled path's product.
    beyond = 1 - mask_mean
    mask_variance = (int(of_mask[1]) * (beyond * beyond) + int(of_mask[0]) * (mask_mean * mask_mean)) / freedom
    from_background, from_foreground = (weighed_sum(side, apart) for side in quadrant)
    covariance = (from_foreground * beyond - from_background * mask_mean) / freedom
    above = 4 * map_mean * mask_mean * covariance
    below = (map_mean * map_mean + mask_mean * mask_mean) * (map_variance + mask_variance)
    return above / (below + EPSILON) if above != 0 else 0.0
