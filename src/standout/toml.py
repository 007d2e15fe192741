"""TOML as we write it: Python only reads it, and the core, which shows recipes, has no package for it (promise U1)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
"""What a key may hold without quotes."""


def format_toml(tables: Mapping[str, Any]) -> str:
    """Return nested tables as TOML: plain values first, then tables, then lists of tables.

    Raises
    ------
    TypeError : a value that TOML does not hold, such as None.
    """
    return "\n".join(_table(tables, ())).strip() + "\n"


def _table(tables: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"{_key(key)} = {_inline(value)}" for key, value in tables.items() if not _is_block(value)]
    for key, value in tables.items():
        name = ".".join(_key(part) for part in (*path, key))
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", *_table(value, (*path, key))]
        elif _is_block(value):
            for item in value:
                lines += ["", f"[[{name}]]", *_table(item, (*path, key))]
    return lines


def _is_block(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    # A JSON string is a TOML string, but for the delete character, which TOML wants escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)  # the shortest text that reads back as the same number; inf and nan are TOML too
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    raise TypeError(f"TOML cannot hold {value!r} ({type(value).__name__})")
