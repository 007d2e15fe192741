"""The C library's allocator, told to keep what a training step frees: the next step asks for the same again."""

from __future__ import annotations

import ctypes

# Names and numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_LARGEST = 2**31 - 1
_PAD = 2**28


def keep_freed_memory() -> bool:
    """Keep freed memory in this process instead of handing it back to the system; return whether that took effect.

    A step on a CPU frees and takes some gigabytes of activations. Handed back, every page of them is cleared and
    mapped anew, which is a good part of the step's time. The price is that the process stays as large as it once was.
    Call it before other threads start. Where the C library is not glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none that can be asked
        return False
    settings = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST), (_TOP_PAD, _PAD))
    taken = [mallopt(name, value) for name, value in settings]  # each of them, even after one was refused
    return all(taken)
