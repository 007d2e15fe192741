"""Checkpoint folders: everything a run needs to go on, committed by one rename, checked by sha256.

`step-00012000/` holds `network.safetensors`, `training.safetensors`, `state.json` and `manifest.json`, which is
written last and holds the sha256 of the others and of itself. Only safetensors and JSON are read or written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from standout.errors import StandoutError
from standout.files import commit_folder, disk_error, is_temporary, sha256_of, temporary_path
from standout.metadata import JSON_BYTES, parse_json
from standout.weights import load_weights, safetensors_bytes

FORMAT = 1
NETWORK, TRAINING, STATE, MANIFEST = "network.safetensors", "training.safetensors", "state.json", "manifest.json"
_FILES = (NETWORK, TRAINING, STATE)
_NAME = re.compile(r"step-(\d{8,})")
_REPLACED = "replaced-"
"""Before the name of a checkpoint while another of the same step takes its place; see `_put_back`."""


class Checkpoint(NamedTuple):
    """What a checkpoint folder holds: its path, the step it was made after, the network's tensors, the rest."""

    path: Path
    step: int
    network: dict[str, Tensor]
    training: dict[str, Any]


def flatten(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """Split nested state into named tensors and a tree that JSON can hold.

    Takes dicts (with string or whole-number keys), lists, tuples, tensors, strings, finite numbers, booleans
    and None. This is the only mapping of state to safetensors and JSON.

    Raises
    ------
    TypeError : anything else, by its place.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _flatten(state, "", tensors)


def _flatten(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = place or "_"
        while name in tensors:  # a key that holds a slash reads like two keys
            name += "'"
        tensors[name] = value
        return {"$tensor": name}
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        items = [_flatten(item, f"{place}/{i}", tensors) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _flatten(item, f"{place}/{key}".lstrip("/"), tensors) for key, item in value.items()}
        if all(type(key) is int for key in value):
            return {"$numbered": {str(k): _flatten(v, f"{place}/{k}", tensors) for k, v in value.items()}}
    raise TypeError(f"a checkpoint cannot hold {value!r:.60} ({type(value).__name__}) at {place or 'its root'}")


def unflatten(tensors: Mapping[str, Tensor], tree: Any) -> Any:
    """Return the nested state that `flatten` split."""
    if isinstance(tree, list):
        return [unflatten(tensors, item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "$tensor" in tree:
        return tensors[tree["$tensor"]]
    if "$tuple" in tree:
        return tuple(unflatten(tensors, item) for item in tree["$tuple"])
    if "$numbered" in tree:
        return {int(key): unflatten(tensors, item) for key, item in tree["$numbered"].items()}
    return {key: unflatten(tensors, item) for key, item in tree.items()}


def save(folder: Path, step: int, network: Mapping[str, Tensor], training: Mapping[str, Any]) -> Path:
    """Write a checkpoint into `folder` and return its path; until the last rename it has no name.

    Parameters
    ----------
    folder : holds a run's checkpoints; made where missing.
    step : optimiser steps done; the name is made of it.
    network : the network's tensors.
    training : everything else, nested as `flatten` takes it.

    Raises
    ------
    StandoutError : the disk refuses; nothing of this checkpoint is left and older ones are as they were.
    """
    tensors, tree = flatten(training)
    final = folder / name_of(step)
    temporary = temporary_path(final)
    try:
        temporary.mkdir(parents=True)
        digests = {
            NETWORK: _write(temporary / NETWORK, safetensors_bytes(network)),
            TRAINING: _write(temporary / TRAINING, safetensors_bytes(tensors)),
            STATE: _write(temporary / STATE, _json({"format": FORMAT, "step": step, "tree": tree})),
        }
        manifest: dict[str, Any] = {"format": FORMAT, "files": digests}
        _write(temporary / MANIFEST, _json({**manifest, "sha256": _own_digest(manifest)}))
        _put_back(folder)
        if final.exists():
            # A run that was stopped while it validated saves the same step again at the epoch's end.
            final.rename(final.with_name(_REPLACED + final.name))
        commit_folder(temporary, final)
        _put_back(folder)
        return final
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            _put_back(folder)
        if isinstance(error, OSError):
            raise disk_error(error, final) from error
        raise


def load(path: Path) -> Checkpoint:
    """Read a checkpoint folder after checking every file against its sha256.

    Raises
    ------
    StandoutError : `checkpoint-newer` where a newer release made it, `checkpoint-damaged` where any bit differs.
    """
    try:
        manifest = _read_json(path / MANIFEST)
        own = manifest.pop("sha256", None)
        if own != _own_digest(manifest) or (path / MANIFEST).read_bytes() != _json({**manifest, "sha256": own}):
            raise _damaged(path, f"{MANIFEST} fails its sha256")
        if manifest["format"] != FORMAT:
            raise StandoutError(
                "checkpoint-newer", "checkpoint was made by a newer release", f"{path} has format {manifest['format']}",
                f"this release reads up to {FORMAT}; upgrade standout",
            )  # fmt: skip
        if set(manifest["files"]) != set(_FILES):
            raise _damaged(path, f"{MANIFEST} lists other files")
        for name, digest in manifest["files"].items():
            if not stat.S_ISREG((path / name).lstat().st_mode) or sha256_of(path / name) != digest:
                raise _damaged(path, f"{name} fails its sha256")
        state = _read_json(path / STATE)
        return Checkpoint(
            path, state["step"], _read_tensors(path / NETWORK), unflatten(_read_tensors(path / TRAINING), state["tree"])
        )
    except StandoutError as error:
        if error.code.startswith("checkpoint-"):
            raise
        raise _damaged(path, str(error)) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def listed(folder: Path) -> list[Path]:
    """Return the committed checkpoints of a run, oldest first."""
    if not folder.is_dir():
        return []
    named = [
        path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    ]
    return sorted(named, key=step_of)


def name_of(step: int) -> str:
    """Return the name of the checkpoint that is made after `step` steps."""
    return f"step-{step:08d}"


def step_of(path: Path) -> int:
    """Return the step that a checkpoint's name states.

    Raises
    ------
    ValueError : it is no checkpoint's name.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is no checkpoint's name")
    return int(match[1])


def newest(folder: Path, warn: Callable[[str], object] = lambda _: None) -> Checkpoint | None:
    """Return the newest whole checkpoint; damaged ones are moved aside as `bad-…`, each told to `warn` in a line.

    Raises
    ------
    StandoutError : the newest was made by a newer release; or the disk refuses.
    """
    try:
        _put_back(folder)
    except OSError as error:
        raise disk_error(error, folder) from error
    for path in reversed(listed(folder)):
        try:
            return load(path)
        except StandoutError as error:
            if error.code != "checkpoint-damaged":
                raise
            aside = move_aside(path)
            warn(f"checkpoint damaged, using the previous one: {error.where} -> {aside.name}")
    return None


def _put_back(folder: Path) -> None:
    """Give a checkpoint that was being replaced its name back; where its successor has the name by now, delete it.

    Raises
    ------
    OSError : the rename failed.
    """
    for replaced in folder.glob(f"{_REPLACED}step-*"):
        final = folder / replaced.name.removeprefix(_REPLACED)
        if final.exists():
            _delete(replaced)
        else:
            replaced.rename(final)


def move_aside(path: Path) -> Path:
    """Rename a damaged checkpoint to a free `bad-…` name beside it, so that its step can be made again.

    Raises
    ------
    StandoutError : ten thousand lie there already.
    OSError : the rename failed.
    """
    for number in range(1, 10_000):
        aside = path.with_name(f"bad-{path.name}" + (f"-{number}" if number > 1 else ""))
        if not aside.exists():
            path.rename(aside)
            return aside
    raise StandoutError("checkpoint-damaged", "too many damaged checkpoints", path.parent, "check the disk")


def prune(folder: Path, keep: int, precious: set[str]) -> list[Path]:
    """Delete all but the newest `keep` checkpoints and those named in `precious`; return what went.

    Call it only after a newer checkpoint is committed. Links are never followed.
    """
    gone = [path for path in listed(folder)[:-keep] if path.name not in precious]
    for path in gone:
        _delete(path)
    return gone


def _delete(path: Path) -> None:
    # First out of the list, then away: a kill in between leaves a temporary name, never half a checkpoint.
    doomed = temporary_path(path)
    with contextlib.suppress(OSError):
        path.rename(doomed)
        shutil.rmtree(doomed)


def remove_partial(folder: Path) -> None:
    """Delete the temporary folders that killed processes left; call it only while holding the run's lock."""
    if folder.is_dir():
        for path in folder.iterdir():
            if is_temporary(path) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, content: bytes) -> str:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(content).hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _own_digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(manifest)).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    mode = path.lstat()
    if not stat.S_ISREG(mode.st_mode) or mode.st_size > JSON_BYTES:
        raise ValueError(f"{path.name} is no file of at most 16 MiB")
    value = parse_json(path.read_bytes(), path)
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return value


def _read_tensors(path: Path) -> dict[str, Tensor]:
    # A strategy's memory may hold infinity on purpose; what belongs here the sha256 has already decided.
    return load_weights(path, allow_nonfinite=True)[0]


def _damaged(path: Path, why: str) -> StandoutError:
    return StandoutError("checkpoint-damaged", "checkpoint is damaged", f"{path.name} ({why})", "use an older one")


def load_tensors(module: torch.nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load tensors into a module, keeping its memory format.

    Raises
    ------
    StandoutError : missing, surplus or mis-shaped tensors; the first five are named and nothing is loaded.
    """
    own = module.state_dict()
    wrong = [f"{n} is missing" for n in own if n not in tensors]
    wrong += [f"{n} is surplus" for n in tensors if n not in own]
    wrong += [
        f"{n} has shape {tuple(tensors[n].shape)}, not {tuple(v.shape)}"
        for n, v in own.items()
        if isinstance(v, Tensor) and n in tensors and tensors[n].shape != v.shape
    ]
    if wrong:
        raise StandoutError(
            "weights-mismatch", f"{what} does not fit the network", ", ".join(wrong[:5]) + (", …" if wrong[5:] else ""),
            "use the recipe that made it",
        )  # fmt: skip
    module.load_state_dict(dict(tensors))
