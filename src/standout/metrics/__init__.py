"""The field's measures in float64, and their running sums. Nothing here loads torch.

- `SaliencyMeasures`: all measures over many pictures, from one pass over each.
- `score_picture`: all measures of one picture; `mask_weights` is the part that maps of one mask share.
- `PROTOCOLS`: the named rules under which maps are scaled.
- `KERNEL`: which path makes the measures, `compiled` or `numpy`; both give the same bits.
"""

from standout.metrics.kernel import KERNEL
from standout.metrics.protocols import DEFAULT_PROTOCOL, PROTOCOLS, Protocol, find_protocol
from standout.metrics.saliency import MEASURES, PictureScore, SaliencyMeasures, score_picture
from standout.metrics.weighted import MaskWeights, mask_weights

__all__ = [
    "DEFAULT_PROTOCOL",
    "KERNEL",
    "MEASURES",
    "PROTOCOLS",
    "MaskWeights",
    "PictureScore",
    "Protocol",
    "SaliencyMeasures",
    "find_protocol",
    "mask_weights",
    "score_picture",
]
