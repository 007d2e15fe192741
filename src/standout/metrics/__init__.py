"""The field's measures in NumPy, float64, and their running sums. Nothing here loads torch.

- `SaliencyMeasures`: all measures over many pictures, from one pass over each.
- `score_picture`: all measures of one picture.
- `PROTOCOLS`: the named rules under which maps are scaled.
"""

from standout.names import late_names

_LATE = {
    "DEFAULT_PROTOCOL": "standout.metrics.protocols:DEFAULT_PROTOCOL",
    "MEASURES": "standout.metrics.saliency:MEASURES",
    "MaskWeights": "standout.metrics.weighted:MaskWeights",
    "PROTOCOLS": "standout.metrics.protocols:PROTOCOLS",
    "PictureScore": "standout.metrics.saliency:PictureScore",
    "Protocol": "standout.metrics.protocols:Protocol",
    "SaliencyMeasures": "standout.metrics.saliency:SaliencyMeasures",
    "mask_weights": "standout.metrics.weighted:mask_weights",
    "score_picture": "standout.metrics.saliency:score_picture",
}

__all__ = [  # noqa: PLE0604 - every name is a string of the table above
    *_LATE,
]

__getattr__, __dir__ = late_names(__name__, _LATE)
