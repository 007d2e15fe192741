"""All parts of a data set by the names of its files, and everything about the names that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from standout.data import layouts, lists
from standout.data.findings import Finding, Item
from standout.data.known import known_findings
from standout.data.layouts import TRAIN, VALIDATION, Found
from standout.data.pairing import Pair, Pairing, key, pair_folders, pair_listed, same_names
from standout.data.pairs import names_held_out
from standout.errors import StandoutError


class Part(NamedTuple):
    """The pairs of one part of a set.

    Attributes
    ----------
    label : folder and part, for messages.
    folder : as it was given.
    layout : the name of its line in `standout.data.layouts.LAYOUTS`, or "list file".
    part : "train", "validation", "test", or "" where the set has no parts.
    pairs : in the order of their names.
    """

    label: str
    folder: Path
    layout: str
    part: str
    pairs: tuple[Pair, ...]


class Survey(NamedTuple):
    """The parts of a set, and what its names show."""

    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]


def survey(folder: Path, label: str) -> Survey:
    """Return all parts of a set, given its folder or a list file; no picture is opened.

    A training part with a file `names_val.txt` comes as two parts: what is trained on and what is held out.

    Parameters
    ----------
    label : what the set is called in messages.

    Raises
    ------
    StandoutError : exit code 2; there is nothing to check: a missing, unrecognised or empty folder, or a list that
        cannot be read.
    """
    if folder.is_file():
        whole = _listed(folder, label, "")
    elif (recognised := layouts.recognise(folder)) is not None:
        whole = _placed(folder, label, recognised)
    else:
        listed = lists.lists_in(folder)
        if not listed:
            raise layouts.unrecognised(folder)
        whole = _joined([_listed(path, label, part) for part, path in listed.items()])
    if not any(part.pairs for part in whole.parts) and not any(found.is_fault for found in whole.findings):
        raise StandoutError("set-empty", "there is no picture with a mask", folder, "check the folder", exit_code=2)
    return _joined([_with_held_out(part, label) for part in whole.parts] + [Survey((), whole.findings)])


def _joined(surveys: Sequence[Survey]) -> Survey:
    return Survey(
        tuple(part for one in surveys for part in one.parts),
        tuple(found for one in surveys for found in one.findings),
    )


def _labelled(label: str, part: str) -> str:
    return f"{label} {part}" if part else label


def _placed(folder: Path, label: str, recognised: layouts.Recognised) -> Survey:
    by_part: dict[str, list[Found]] = {}
    for found in recognised.found:
        by_part.setdefault(found.place.part, []).append(found)
    parts, findings = [], []
    for name, places in by_part.items():
        called = _labelled(label, name)
        pairs: list[Pair] = []
        twice: list[str] = []
        for found in places:
            others = [other.images for other in recognised.found if other.masks == found.masks and other is not found]
            pairing = pair_folders(found, others)
            pairs += pairing.pairs
            twice += [path.name for both in pairing.twice for path in both]
            findings += _name_findings(called, pairing)
        findings += _twice(called, [(first.image, second.image) for first, second in same_names(pairs)])
        findings += known_findings(recognised.layout, name, called, pairs, twice)
        parts.append(Part(called, folder, recognised.layout, name, tuple(sorted(pairs))))
    return Survey(tuple(parts), tuple(findings))


def _listed(path: Path, label: str, part: str) -> Survey:
    lines = lists.read_list(path)
    called = _labelled(label, part)
    if lines[0].mask:
        pairing, missing = pair_listed(path, lines)
        findings = _missing(called, [Item(file.name, str(file)) for file in missing])
        findings += _twice(called, [(first.image, second.image) for first, second in same_names(pairing.pairs)])
        return Survey((Part(called, path, layouts.LIST, part, tuple(sorted(pairing.pairs))),), tuple(findings))
    with lists.beside(path):
        whole = survey(path.parent, label)
    wanted = {key(text): line.image for line in lines for text in (line.image, lists.name_of(line.image))}
    named = {key(pair.name) for one in whole.parts for pair in one.pairs}
    absent = [line.image for line in lines if not {key(line.image), key(lists.name_of(line.image))} & named]
    parts = [
        one._replace(folder=path, pairs=chosen)
        for one in whole.parts
        if (chosen := tuple(pair for pair in one.pairs if key(pair.name) in wanted))
    ]
    return Survey(tuple(parts), (*whole.findings, *_missing(called, [Item(name, name) for name in absent])))


def _with_held_out(part: Part, label: str) -> Survey:
    """Return a training part with the pairs that its `names_val.txt` holds out as a part of their own."""
    if part.part not in ("", TRAIN):
        return Survey((part,), ())
    try:
        held = names_held_out(part.pairs, part.folder)
    except StandoutError as error:
        return Survey((part,), (Finding(error.code, (part.label,), str(error)),))
    if not held:
        return Survey((part,), ())
    split = {
        TRAIN: tuple(pair for pair in part.pairs if pair.name not in held),
        VALIDATION: tuple(pair for pair in part.pairs if pair.name in held),
    }
    return Survey(
        tuple(part._replace(label=_labelled(label, name), part=name, pairs=pairs) for name, pairs in split.items()), ()
    )


def _name_findings(label: str, pairing: Pairing) -> list[Finding]:
    found = []
    for code, files, one, many in (
        ("unpaired-picture", pairing.without_mask, "picture has no mask", "pictures have no mask"),
        ("unpaired-mask", pairing.without_image, "mask has no picture", "masks have no picture"),
    ):
        if files:
            items = tuple(Item(file.name, str(file)) for file in files)
            found.append(Finding(code, (label,), f"{len(files)} {one if len(files) == 1 else many}", items))
    found += _twice(label, pairing.twice)
    found += [Finding("left-out", (label,), note) for note in pairing.notes]
    return found


def _twice(label: str, twice: Sequence[tuple[Path, Path]]) -> list[Finding]:
    if not twice:
        return []
    items = tuple(
        Item(second.name, str(second), f"{first.name} and {second.name}", str(first)) for first, second in twice
    )
    count = "2 files have one name" if len(items) == 1 else f"{len(items)} times two files have one name"
    return [Finding("name-twice", (label,), count, items)]


def _missing(label: str, items: Sequence[Item]) -> list[Finding]:
    if not items:
        return []
    what = "listed file is not there" if len(items) == 1 else "listed files are not there"
    return [Finding("list-missing", (label,), f"{len(items)} {what}", tuple(items))]
