"""The most memory that this process has held, and how it is counted anew."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path


def forget_peak_memory() -> None:
    """Let `peak_memory` count from now on; where the system cannot, it still counts from the process's start."""
    with contextlib.suppress(OSError), Path("/proc/self/clear_refs").open("w") as told:
        told.write("5")  # Linux: the peak becomes what is held now


def peak_memory() -> int | None:
    """Return the most bytes of memory that this process has held; None where the system does not tell."""
    # Linux first: its getrusage counts what the process that started this one had held.
    with contextlib.suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)
