"""Which of two paths makes the measures: the compiled loops, or NumPy. Both give the same bits.

The compiled path serves 8-bit maps; maps of other values take NumPy's path, with the mask's part from the compiled
one. It is chosen when this module loads: where the extension was not built, or the environment variable
`STANDOUT_KERNEL` is `numpy`, everything runs in NumPy.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

compiled: ModuleType | None = None
if os.environ.get("STANDOUT_KERNEL") != "numpy":
    try:
        from standout.metrics import _kernel

        compiled = _kernel
    except ImportError:  # not built: no compiler, or a checkout that was not installed
        compiled = None

KERNEL = "numpy" if compiled is None else "compiled"
"""`compiled` or `numpy`: the path that was chosen."""

MOST_PIXELS = 2**31 - 1


def kernel_now() -> ModuleType | None:
    """Return the compiled kernel, None where NumPy's path runs."""
    return compiled


def kernel_for(picture: NDArray[Any]) -> ModuleType | None:
    """Return the compiled kernel if it is there and takes a picture (H, W) of this size, else None."""
    return compiled if picture.size <= MOST_PIXELS else None
