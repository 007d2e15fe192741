"""What a model file says of itself, and the rules for JSON from outside. Loads no torch."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from standout.errors import StandoutError

FORMAT = 1
KEY = "standout"
"""The one metadata string of a model file, safetensors or ONNX."""

JSON_BYTES = 16 * 2**20
JSON_DEPTH = 64
_LEAST, _MOST = -(2**63), 2**64 - 1

# A whole string, an unfinished one up to the end (so that no character is looked at twice), or a bracket.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def parse_json(content: bytes | str, where: str | Path) -> Any:
    """Return the value of a JSON text from outside.

    Raises
    ------
    StandoutError : over 16 MiB, nested deeper than 64, a key given twice, NaN or Infinity, an integer beyond
        64 bits, no UTF-8, or no JSON; `where` is the file it came from.
    """
    if len(content) > JSON_BYTES:
        raise _bad_json(where, f"is over {JSON_BYTES // 2**20} MiB")
    try:
        text = content if isinstance(content, str) else content.decode()
        if _depth(text) > JSON_DEPTH:
            raise _bad_json(where, f"is nested deeper than {JSON_DEPTH}")
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are such
        raise _bad_json(where, f"cannot be read ({error})") from error


def _bad_json(where: str | Path, why: str) -> StandoutError:
    return StandoutError("json-refused", f"JSON {why}", where, "take the file from its source again")


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key given twice: {twice[:80]!r}")
    return found


def _no_constant(token: str) -> float:
    raise ValueError(f"{token} is no JSON number")


def _integer(digits: str) -> int:
    # The length first: turning thousands of digits into an integer is slow, and Python refuses it its own way.
    if len(digits) > 20 or not _LEAST <= int(digits) <= _MOST:
        raise ValueError("an integer beyond 64 bits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number beyond 64-bit floats")
    return value


def metadata_text(metadata: Mapping[str, Any], where: str | Path = "") -> str:
    """Return the one string that goes into a model file: checked, and the same for equal metadata.

    Raises
    ------
    StandoutError : as `check_metadata`.
    ValueError : something in it that JSON cannot hold.
    """
    text = json.dumps(check_metadata(metadata, where), sort_keys=True, separators=(",", ":"), allow_nan=False)
    parse_json(text, where)  # what we write we can read
    return text


def parse_metadata(strings: Mapping[str, str], where: str | Path) -> dict[str, Any]:
    """Return the checked metadata from a model file's string map (safetensors or onnxruntime gives it).

    Raises
    ------
    StandoutError : the file has none, so it is no model of ours; or as `parse_json` and `check_metadata`.
    """
    if KEY not in strings:
        raise StandoutError(
            "not-a-model",
            "file has no standout metadata",
            where,
            "give a model that standout wrote; backbone weights go to --backbone-weights",
        )
    return check_metadata(parse_json(strings[KEY], where), where)


def check_metadata(metadata: Any, where: str | Path) -> dict[str, Any]:
    """Return a model's metadata as a dict, if it is whole.

    Keys: `format` (1), `release` (that wrote it), `network`, `options`, `input` (`size`, `mean`, `std`,
    `padding`), `sharpness`, `training`, `licence`, `measures`, `source_sha256` (empty or 64 hexadecimal digits).

    Raises
    ------
    StandoutError : a newer format (says which release reads it), or a key that is missing or of a wrong kind.
    """
    if not isinstance(metadata, Mapping):
        raise _bad_metadata(where, "is no object")
    number = metadata.get("format")
    if not is_whole(number) or number < 1:
        raise _bad_metadata(where, "has no format number")
    if number > FORMAT:
        release = metadata.get("release")
        newer = release if isinstance(release, str) and release else "a newer release"
        raise StandoutError(
            "format-newer",
            f"model file has format {number}, this release reads up to {FORMAT}",
            where,
            f"install standout {newer} or later",
        )
    for key, (kind, words) in _KINDS.items():
        if not isinstance(metadata.get(key), kind):
            raise _bad_metadata(where, f"has no {key} that is {words}")
    if not is_number(metadata["sharpness"]) or metadata["sharpness"] <= 0:
        raise _bad_metadata(where, "has no sharpness above 0")
    source = metadata["source_sha256"]
    if source and not re.fullmatch(r"[0-9a-f]{64}", source):
        raise _bad_metadata(where, "has a source_sha256 that is no sha256")
    _check_input(metadata["input"], where)
    return dict(metadata)


_KINDS: Mapping[str, tuple[Any, str]] = {
    "release": (str, "a text"),
    "network": (str, "a text"),
    "options": (Mapping, "an object"),
    "input": (Mapping, "an object"),
    "sharpness": ((int, float), "a number"),
    "training": (Mapping, "an object"),
    "licence": (str, "a text"),
    "measures": (Mapping, "an object"),
    "source_sha256": (str, "a text"),
}


def _check_input(entry: Mapping[str, Any], where: str | Path) -> None:
    size, padding = entry.get("size"), entry.get("padding")
    if not is_whole(size) or not 1 <= size <= 65536:
        raise _bad_metadata(where, "has no input size from 1 to 65536")
    if padding not in ("plain", "same"):
        raise _bad_metadata(where, "has no input padding plain or same")
    for key in ("mean", "std"):
        values = entry.get(key)
        if not isinstance(values, list | tuple) or len(values) != 3 or not all(is_number(v) for v in values):
            raise _bad_metadata(where, f"has no input {key} of three numbers")
    if min(entry["std"]) <= 0:
        raise _bad_metadata(where, "has an input std that is not above 0")


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number, and not true or false."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a finite number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _bad_metadata(where: str | Path, why: str) -> StandoutError:
    return StandoutError("metadata-damaged", f"model metadata {why}", where, "take the file from its source again")
