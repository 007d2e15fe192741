"""How the field's streams lie on disk, and which kind a folder is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from standout.errors import EXIT_USAGE, StandoutError
from standout.lifelong.streams import (
    TEST_SHARE,
    Example,
    Experience,
    Stream,
    checked,
    class_stream,
    domain_stream,
    hash_split,
    pictures,
    subfolders,
)
from standout.names import unknown

FACTORS = ("illumination", "occlusion", "pixel", "clutter")
"""OpenLORIS-Object's, in the order of its sequence; `pixel` is the object's size in pixels."""
HELD_OUT_PARTS = ("test", "validation", "val")
"""Names of the part to be tested on; the first one that is there is taken."""
LEVELS = 3
SEGMENTS = 9
CORE50_TEST_SESSIONS = (3, 7, 10)
CORE50_OBJECTS_A_CATEGORY = 5
_SEGMENT = re.compile(r"segment_?(\d+)", re.IGNORECASE)
_SESSION, _OBJECT = re.compile(r"s(\d{1,2})"), re.compile(r"o(\d{1,2})")


def openloris_stream(root: str | Path, *, factor: str = "", test_share: float = TEST_SHARE) -> Stream:
    """Return a stream of OpenLORIS-Object (Q. She et al., ICRA 2020): PART/FACTOR/segmentN/OBJECT/pictures.

    PART is `train` or `test`; where there is no `test`, `validation` or `val` is tested on. N counts 9 segments, three
    of each level of difficulty.

    Parameters
    ----------
    factor : "" gives the sequence of 12 experiences, three levels of each factor, as the data set's documentation
        describes it; a factor's name gives that factor's 9 segments.
    test_share : held out by hash, where the tree has no part to be tested on.

    Raises
    ------
    StandoutError : exit code 2, an unknown factor, a segment that is missing, or an experience that is empty.
    """
    root = Path(root)
    if factor and factor not in FACTORS:
        raise unknown("factor", factor, FACTORS)
    parts = {child.name.lower(): child for child in subfolders(root)}
    if "train" not in parts:
        raise _no_layout(root, "train/illumination/segment1/OBJECT/pictures")
    learnt = _segments(parts["train"], (factor,) if factor else FACTORS)
    held_out = [name for name in HELD_OUT_PARTS if name in parts]
    tested = _segments(parts[held_out[0]], (factor,) if factor else FACTORS) if held_out else {}
    groups = (
        {f"{factor} {number}": [(factor, number)] for number in range(1, SEGMENTS + 1)}
        if factor
        else {
            f"{name} {level}": [(name, 3 * (level - 1) + view) for view in (1, 2, 3)]
            for name in FACTORS
            for level in range(1, LEVELS + 1)
        }
    )
    notes = [] if held_out else ["no folder test: neighbouring frames may be learnt from and tested on"]
    if held_out and held_out != ["test"]:
        left = " and ".join(held_out[1:])
        notes = [f"folder {held_out[0]} is tested on" + (f", {left} left out" if left else "")]
    experiences = []
    for name, places in groups.items():
        if tested:
            training = [example for place in places for example in pictures(learnt[place])]
            test = [example for place in places for example in pictures(tested[place])]
        else:
            training, test = [], []
            for place in places:
                more, held = hash_split(pictures(learnt[place]), learnt[place], test_share, notes)
                training += more
                test += held
        experiences.append(Experience(name, tuple(training), tuple(test)))
    return checked(Stream("OpenLORIS-Object", tuple(experiences), notes=tuple(notes)), root)


def _segments(part: Path, factors: tuple[str, ...]) -> dict[tuple[str, int], Path]:
    """Return the folder of each factor's segments.

    Raises
    ------
    StandoutError : exit code 2; one is missing.
    """
    found = {}
    folders = {child.name.lower(): child for child in subfolders(part)}
    for factor in factors:
        if factor in folders:
            for child in subfolders(folders[factor]):
                if match := _SEGMENT.fullmatch(child.name):
                    found[factor, int(match[1])] = child
    for factor in factors:
        for number in range(1, SEGMENTS + 1):
            if (factor, number) not in found:
                raise _no_layout(part, f"{factor}/segment{number}")
    return found


def core50_stream(root: str | Path, *, categories: bool = False, test_share: float = TEST_SHARE) -> Stream:
    """Return the stream of CORe50 (V. Lomonaco, D. Maltoni, CoRL 2017): sM/oN/pictures, 11 sessions, 50 objects.

    Each of the eight sessions to learn from is one experience with new conditions for the same objects (NI);
    sessions 3, 7 and 10 are held out, as the data set's authors do.

    Parameters
    ----------
    categories : the classes are the ten categories of five objects each, instead of the objects.

    Raises
    ------
    StandoutError : exit code 2, no session to learn from, or one that is empty.
    """
    root = Path(root)
    sessions = {int(match[1]): child for child in subfolders(root) if (match := _SESSION.fullmatch(child.name.lower()))}
    if not set(sessions) - set(CORE50_TEST_SESSIONS):
        raise _no_layout(root, "s1/o1/pictures")

    def labelled(folder: Path) -> list[Example]:
        found = []
        for example in pictures(folder):
            match = _OBJECT.fullmatch(example.label.lower())
            if match is None:
                raise _no_layout(folder, "o1 to o50")
            category = (int(match[1]) - 1) // CORE50_OBJECTS_A_CATEGORY + 1
            found.append(example._replace(label=f"category {category}") if categories else example)
        return found

    notes = ["tests of a session are frames beside those learnt from; the held-out sessions 3, 7 and 10 are not"]
    experiences = []
    for number, folder in sorted(sessions.items()):
        if number not in CORE50_TEST_SESSIONS:
            training, test = hash_split(labelled(folder), folder, test_share, notes)
            experiences.append(Experience(folder.name, training, test))
    held_out = tuple(example for number in CORE50_TEST_SESSIONS if number in sessions
                     for example in labelled(sessions[number]))  # fmt: skip
    return checked(Stream("CORe50", tuple(experiences), held_out, tuple(notes)), root)


def _no_layout(folder: Path, wanted: str) -> StandoutError:
    return StandoutError(
        "stream-layout", "folder is not laid out as this kind of stream", f"{folder} has no {wanted}",
        "check the path or the kind", exit_code=EXIT_USAGE,
    )  # fmt: skip


KINDS: Mapping[str, str] = {
    "classes": "any tree DOMAIN/CLASS/pictures; each experience brings new classes",
    "core50": "CORe50, sM/oN/pictures; each session is an experience",
    "core50-categories": "the same, with the ten categories as classes instead of the fifty objects",
    "domains": "any tree EXPERIENCE/CLASS/pictures; each folder is an experience",
    "openloris": "OpenLORIS-Object, PART/FACTOR/segmentN/OBJECT/pictures; 12 experiences",
    **{f"openloris-{factor}": f"OpenLORIS-Object, {factor} alone; 9 experiences" for factor in FACTORS},
}


def open_stream(root: str | Path, kind: str = "", *, experiences: int = 0, test_share: float = TEST_SHARE) -> Stream:
    """Return the stream that a folder holds.

    Parameters
    ----------
    kind : a key of `KINDS`; "" looks at the folders' names.
    experiences : number of them, for kind "classes".
    test_share : of each class, held out by hash where the tree has no test part; 0 to below 1.

    Raises
    ------
    StandoutError : exit code 2, an unknown kind, a tree that is not of this kind, an empty experience, or a number of
        experiences for another kind than "classes".
    ValueError : a share out of range.
    """
    if not 0 <= test_share < 1:
        raise ValueError(f"test_share must be from 0 to below 1, not {test_share}")
    root = Path(root)
    kind = kind or kind_of(root)
    makers: dict[str, Callable[[], Stream]] = {
        "classes": lambda: class_stream(root, experiences, test_share=test_share),
        "core50": lambda: core50_stream(root, test_share=test_share),
        "core50-categories": lambda: core50_stream(root, categories=True, test_share=test_share),
        "domains": lambda: domain_stream(root, test_share=test_share),
        "openloris": lambda: openloris_stream(root, test_share=test_share),
        **{
            f"openloris-{factor}": lambda factor=factor: openloris_stream(root, factor=factor, test_share=test_share)  # type: ignore[misc]
            for factor in FACTORS
        },
    }
    if kind not in makers:
        raise unknown("kind of stream", kind, KINDS)
    if bool(experiences) != (kind == "classes"):
        what, how = (
            (f"a stream of kind {kind} has its own number of experiences", "pass --kind classes, or leave it out")
            if experiences
            else ("a stream of kind classes needs a number of experiences", "pass --experiences N")
        )
        raise StandoutError("stream-classes", what, f"experiences={experiences}", how, exit_code=EXIT_USAGE)
    return makers[kind]()


def kind_of(root: Path) -> str:
    """Return the kind that the names of the folders speak for: "openloris", "core50" or "domains"."""
    folders = {child.name.lower(): child for child in subfolders(root)}
    if "train" in folders and {child.name.lower() for child in subfolders(folders["train"])} >= set(FACTORS):
        return "openloris"
    sessions = [child for name, child in folders.items() if _SESSION.fullmatch(name)]
    if sessions and all(_OBJECT.fullmatch(c.name.lower()) for s in sessions for c in subfolders(s)):
        return "core50"
    return "domains"
