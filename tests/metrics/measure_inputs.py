"""Small maps and masks for hypothesis, and the frozen figures of pysodmetrics 1.6.2."""

from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

PEER_PROTOCOLS = ("pysodmetrics-1.6.2", "raw")
"""The protocols under which the peer's figures are frozen; `sane` has rules of its own."""
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9)).filter(lambda shape: shape != (1, 1))


@st.composite
def pairs(draw, shapes=SHAPES):
    """A uint8 map, now and then of few levels, and a bool mask of its size."""
    shape = draw(shapes)
    levels = draw(st.sampled_from([st.integers(0, 255), st.sampled_from([0, 255]), st.sampled_from([0, 60, 120, 180])]))
    return draw(arrays.arrays(np.uint8, shape, elements=levels)), draw(arrays.arrays(np.bool_, shape))


@cache
def reference():
    with np.load(Path(__file__).with_name("reference.npz")) as archive:
        return dict(archive)


def stored_pairs():
    """Yield (kind, map, mask) as they were scored by the peer."""
    data, at = reference(), 0
    for kind, (height, width) in zip(data["kinds"], data["shapes"], strict=True):
        part = slice(at, at + height * width)
        yield str(kind), data["maps"][part].reshape(height, width), data["masks"][part].reshape(height, width)
        at += height * width
