"""The most memory that this process has held, counted anew for each experience."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path


def forget_peak_memory() -> None:
    """Let `peak_memory` count from now on; where the system cannot, it still counts from the process's start."""
    with contextlib.suppress(OSError), Path("/proc/self/clear_refs").open("w") as told:
        told.write("5")  # Linux: the peak becomes what is held now


def peak_memory() -> int | None:
    """Return the most bytes of memory that this process has held; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)
