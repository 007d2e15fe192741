"""Everything that is wrong with one or more data sets, found in one pass that writes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, NamedTuple

from standout.data.copies import EXACT, MIRRORED, Copy, Seen, find_copies
from standout.data.findings import Finding, Item
from standout.data.layouts import LIST, TRAIN
from standout.data.looks import Fault, Look, agreement, look_at_all
from standout.data.survey import Part, Survey, survey
from standout.errors import EXIT_USAGE, StandoutError
from standout.images import mask_findings

FRAMED = 0.9
"""Share of a mask's border that is foreground from which one mask alone looks inverted."""

DISAGREEING = 0.5
"""Intersection over union of two masks of one picture below which they tell different objects."""

Progress = Callable[[Iterable[Look], int], Iterable[Look]]
"""Wraps the looks as they come, told how many there will be; for a progress bar."""


class Report(NamedTuple):
    """The parts that were checked, and the findings: faults first, then notes."""

    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that make the check fail."""
        return tuple(found for found in self.findings if found.is_fault)

    def document(self) -> dict[str, Any]:
        """Return the report for `--json`."""
        return {
            "schema": 1,
            "sets": [
                {"set": p.label, "folder": str(p.folder), "layout": p.layout, "part": p.part, "pairs": len(p.pairs)}
                for p in self.parts
            ],
            "faults": len(self.faults),
            "notes": len(self.findings) - len(self.faults),
            "findings": [found.document() for found in self.findings],
        }


def check_data(
    folders: Sequence[str | Path],
    *,
    mask_class: int | None = None,
    jobs: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Return everything that is wrong with the sets, alone and together.

    Parameters
    ----------
    folders : of data sets, or list files; all their parts are checked, each picture against all others.
    mask_class : the palette index or grey value that is the object, for masks of several classes.
    jobs : processes; 0 for all processors. Their number changes nothing in the report.

    Raises
    ------
    StandoutError : exit code 2; there is nothing to check: a missing, unrecognised or empty folder; or a set is given
        twice, in whole or in part.
    """
    surveys = [survey(Path(folder), label) for folder, label in zip(folders, _labels(folders), strict=True)]
    _refuse_twice(folders, surveys)
    parts = tuple(part for one in surveys for part in one.parts)
    findings = [found for one in surveys for found in one.findings]
    pairs = [pair for part in parts for pair in part.pairs]
    looks: Iterable[Look] = look_at_all(pairs, mask_class, jobs)
    looks = list(looks if progress is None else progress(looks, len(pairs)))
    groups = [number for number, part in enumerate(parts) for _ in part.pairs]
    for number, part in enumerate(parts):
        findings += part_findings(
            part.label, [look for look, group in zip(looks, groups, strict=True) if group == number]
        )
    findings += _copy_findings(parts, looks, groups)
    order = {part.label: number for number, part in enumerate(parts)}
    findings.sort(key=lambda found: (not found.is_fault, [order.get(label, -1) for label in found.sets], found.code))
    return Report(parts, tuple(findings))


def _labels(folders: Sequence[str | Path]) -> list[str]:
    """Return the folders' names, or their whole paths where two have one name."""
    names = [Path(folder).name or Path(folder).resolve().name for folder in folders]
    counts = Counter(names)
    return [name if counts[name] == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]


def _refuse_twice(folders: Sequence[str | Path], surveys: Sequence[Survey]) -> None:
    """Refuse two sets of one folder, under whatever paths: every picture would be told as shared."""
    seen: dict[tuple[int, int], int] = {}
    for number, (folder, one) in enumerate(zip(folders, surveys, strict=True)):
        for place in _places(Path(folder), one):
            first = seen.setdefault(place, number)
            if first != number:
                both = f"{folders[first]} and {folder}"
                raise StandoutError("set-twice", "a set is given twice", both, "give it once", exit_code=EXIT_USAGE)


def _places(folder: Path, whole: Survey) -> set[tuple[int, int]]:
    """Return what tells the list files and the folders of pictures that a set is made of, under any path."""
    paths = {folder}
    if not folder.is_file():
        # Two lists in one folder are two sets, so a list stands for itself.
        paths |= {part.folder for part in whole.parts if part.layout == LIST}
        paths |= {pair.image.parent for part in whole.parts if part.layout != LIST for pair in part.pairs}
    return {(found.st_dev, found.st_ino) for found in (path.stat() for path in paths)}


def part_findings(label: str, looks: Sequence[Look]) -> list[Finding]:
    """Return what the files of one part show, each and together."""
    found = list(_fault_findings(label, looks))
    by_name = {look.pair.name: look for look in looks}
    facts = [look.facts for look in looks if look.facts is not None]

    def masks(code: str, message: str, names: Iterable[str]) -> Finding:
        return Finding(code, (label,), message, tuple(Item(name, str(by_name[name].pair.mask)) for name in names))

    common = mask_findings(facts)
    found += [masks(*one) for one in common]
    told = {
        name for one in common if one.code in ("masks-grey", "masks-jpeg", "masks-third-value") for name in one.names
    }
    soft = [one for one in facts if one.between > 0 and one.name not in told]
    if soft:
        share = sum(one.between for one in soft) / len(soft)
        message = f"{_count(len(soft), 'mask has', 'masks have')} smooth edges, {share:.1%} of their pixels in between"
        found.append(masks("masks-soft", message, (one.name for one in soft)))
    if not any(one.code == "masks-inverted" for one in common):
        framed = [one.name for one in facts if one.border >= FRAMED and one.foreground < 1]
        if framed:
            message = f"{_count(len(framed), 'mask is', 'masks are')} foreground all along the border; is it inverted?"
            found.append(masks("masks-framed", message, framed))
    for fit, code, one, many in (
        ("resized", "mask-resized", "mask has another size and is resized", "masks have another size and are resized"),
        ("unturned", "mask-unturned", "mask lies as the picture is stored, before the camera's turning",
         "masks lie as their pictures are stored, before the camera's turning"),
    ):  # fmt: skip
        names = [look.pair.name for look in looks if look.fit == fit]
        if names:
            found.append(masks(code, _count(len(names), one, many), names))
    flat = tuple(Item(look.pair.name, str(look.pair.image)) for look in looks if look.is_flat)
    if flat:
        found.append(
            Finding("picture-flat", (label,), _count(len(flat), "picture is", "pictures are") + " of one colour", flat)
        )
    return found


def _count(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _fault_findings(label: str, looks: Sequence[Look]) -> Iterator[Finding]:
    faults: defaultdict[tuple[str, str], list[tuple[Look, Fault]]] = defaultdict(list)
    for look in looks:
        for fault in look.faults:
            faults[fault.code, fault.what].append((look, fault))
    for (code, what), those in faults.items():
        items = tuple(_fault_item(look, fault) for look, fault in those)
        yield Finding(code, (label,), f"{what}, {_count(len(items), 'file', 'files')}", items)


def _fault_item(look: Look, fault: Fault) -> Item:
    kind = "mask" if fault.file == str(look.pair.mask) else "picture"
    # The name of a pair is that of two files; which of them it is, their folder says.
    file = "/".join(Path(fault.file).parts[-2:])
    return Item(look.pair.name, fault.file, file, facts=(("kind", kind), ("message", fault.line)))


def _copy_findings(parts: Sequence[Part], looks: Sequence[Look], groups: Sequence[int]) -> Iterator[Finding]:
    copies: defaultdict[tuple[int, int], list[Copy]] = defaultdict(list)
    for copy in find_copies([Seen(group, look.digest, look.print) for look, group in zip(looks, groups, strict=True)]):
        copies[groups[copy.first], groups[copy.second]].append(copy)
    for one, other in combinations_with_replacement(range(len(parts)), 2):
        those = copies.get((one, other))
        if not those:
            continue
        items = tuple(_copy_item(looks[copy.first], looks[copy.second], copy) for copy in those)
        first, second = parts[one], parts[other]
        yield from _disagreeing(dict.fromkeys((first.label, second.label)), items)
        if one == other:
            count = _count(len(items), "picture is there twice", "pictures are there twice")
            yield Finding("duplicate-picture", (first.label,), count, items)
            continue
        # Two parts for training, or two to test on, may share pictures; whoever has no part may be either.
        same_use = first.part != "" and second.part != "" and (first.part == TRAIN) == (second.part == TRAIN)
        message = f"{_count(len(items), 'picture', 'pictures')} of {second.label} {'is' if len(items) == 1 else 'are'}"
        message += f" in {first.label} too"
        yield Finding("shared" if same_use else "overlap", (first.label, second.label), message, items)


def _disagreeing(labels: Iterable[str], items: Iterable[Item]) -> Iterator[Finding]:
    those = tuple(item for item in items if dict(item.facts).get("masks_iou", 1.0) < DISAGREEING)
    if those:
        count = _count(len(those), "picture that is there twice has", "pictures that are there twice have")
        yield Finding("masks-disagree", tuple(labels), f"{count} two different masks", those)


def _copy_item(first: Look, second: Look, copy: Copy) -> Item:
    detail = second.pair.name
    told = [f"as {first.pair.name}"] if first.pair.name != second.pair.name else []
    told += [MIRRORED] if copy.how == MIRRORED else []
    detail += f" ({', '.join(told)})" if told else ""
    facts: tuple[tuple[str, Any], ...] = (("how", copy.how),)
    if copy.how != EXACT:
        facts += (("bits", copy.bits), ("correlation", round(copy.correlation, 4)))
    masks = agreement(first, second, mirrored=copy.how == MIRRORED)
    if masks is not None:
        facts += (("masks_iou", round(masks, 3)),)
    return Item(second.pair.name, str(second.pair.image), detail, str(first.pair.image), facts)
