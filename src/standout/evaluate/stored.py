"""A picture's score as one small JSON object, and back to the last bit."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from standout.metrics import PROTOCOLS, PictureScore

_CURVES = ("right", "wrong")
_BYTES = len(_CURVES) * 256 * 4


def packed(score: PictureScore) -> dict[str, Any]:
    """Return the score as JSON values; its two curves of whole numbers as the compressed steps from point to point."""
    steps = np.diff(np.stack([score.right, score.wrong]), axis=1, prepend=0).astype("<u4")
    fields = {name: value for name, value in score._asdict().items() if name not in _CURVES}
    fields["protocol"] = score.protocol.name
    return {**fields, "found": base64.b64encode(zlib.compress(steps.tobytes())).decode("ascii")}


def unpacked(stored: Mapping[str, Any]) -> PictureScore:
    """Return the score that `packed` was given.

    Raises
    ------
    ValueError, TypeError, KeyError : the object is no packed score.
    """
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(stored["found"], validate=True), _BYTES + 1)
    except zlib.error as error:
        raise ValueError("the curves of a stored score are damaged") from error
    if len(content) != _BYTES:
        raise ValueError("the curves of a stored score have another length")
    found = np.frombuffer(content, "<u4").reshape(len(_CURVES), 256).astype(np.int64).cumsum(axis=1)
    fields = {name: value for name, value in stored.items() if name not in ("found", "protocol")}
    if not all(value is None or isinstance(value, int | float) for value in fields.values()):
        raise ValueError("a stored score holds what is no number")
    fields |= {**dict(zip(_CURVES, found, strict=True)), "protocol": PROTOCOLS[stored["protocol"]]}
    return PictureScore(**fields)
