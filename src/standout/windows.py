"""Names and paths that Windows refuses; asked on every system, so that it can be tested on any."""

from __future__ import annotations

WINDOWS_PATH = 259
"""Characters that a whole path may have on Windows, unless long paths are switched on."""
DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"}
)
"""Names that Windows gives to devices in every folder, whatever their suffix."""


def refused_by_windows(name: str) -> str:
    """Return why Windows would not give a file this name, or would give it another one; empty where it would."""
    if any(sign in '<>:"/\\|?*' or ord(sign) < 32 for sign in name):
        return "it holds a sign that Windows keeps for itself"
    if name != name.rstrip(". "):
        return "Windows drops a full stop or blank at its end"
    if name.split(".")[0].rstrip().casefold() in DEVICES:
        return "it is the name of a device"
    return ""


def takes_long_paths() -> bool:
    """Whether this Windows takes paths of over `WINDOWS_PATH` characters."""
    import ctypes

    library = getattr(ctypes, "WinDLL", None)
    return library is not None and bool(library("ntdll").RtlAreLongPathsEnabled())
