"""Data sets: how they lie on disk, pairs of picture and mask, augmentation and batches.

Only `augment` and `batches` need torch; the others, `check` among them, load without it.
"""

from standout.names import late_names

_LATE = {
    "LAYOUTS": "standout.data.layouts:LAYOUTS",
    "Augmentation": "standout.data.augment:Augmentation",
    "Batches": "standout.data.batches:Batches",
    "Pair": "standout.data.pairing:Pair",
    "Pairs": "standout.data.pairs:Pairs",
    "check_data": "standout.data.check:check_data",
    "find_overlap": "standout.data.overlap:find_overlap",
    "find_pairs": "standout.data.pairs:find_pairs",
    "fingerprint": "standout.data.pairs:fingerprint",
    "refuse_overlap": "standout.data.overlap:refuse_overlap",
    "split_validation": "standout.data.pairs:split_validation",
}

__all__ = list(_LATE)

__getattr__, __dir__ = late_names(__name__, _LATE)
