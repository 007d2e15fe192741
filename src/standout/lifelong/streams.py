"""Streams: one experience after another, each with pictures to learn from and pictures to be tested on."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from standout.data.layouts import SUFFIXES, is_junk
from standout.data.pairs import digest_file, shown
from standout.errors import EXIT_USAGE, StandoutError
from standout.files import disk_error

TEST_SHARE = 0.2
TRAIN_FOLDERS, TEST_FOLDERS = ("train", "training"), ("test", "testing", "val", "validation")


class Example(NamedTuple):
    """A picture and its class."""

    path: Path
    label: str


class Experience(NamedTuple):
    """What is met at one time.

    training : learnt from, once it is this experience's turn and never after.
    test : of the same kind, never learnt from.
    """

    name: str
    training: tuple[Example, ...]
    test: tuple[Example, ...]

    def classes(self) -> list[str]:
        """Return the classes to learn, in their natural order."""
        return sorted({example.label for example in self.training}, key=natural)


class Stream(NamedTuple):
    """Experiences in their order.

    held_out : pictures that belong to no experience, on which the recogniser is tested too.
    notes : what a user should know about how the stream was made, each a sentence.
    """

    name: str
    experiences: tuple[Experience, ...]
    held_out: tuple[Example, ...] = ()
    notes: tuple[str, ...] = ()

    def reordered(self, names: Sequence[str]) -> Stream:
        """Return the stream with its experiences in another order, or with some of them only.

        Raises
        ------
        StandoutError : exit code 2, a name that no experience has, or one given twice.
        """
        known = {experience.name: experience for experience in self.experiences}
        strange = [name for name in names if name not in known] or [n for n in names if names.count(n) > 1]
        if strange or not names:
            raise StandoutError(
                "stream-order", "order names no experience, or one twice", strange[0] if strange else "",
                f"the stream has {', '.join(known)}", exit_code=EXIT_USAGE,
            )  # fmt: skip
        return self._replace(experiences=tuple(known[name] for name in names))


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts `part_2` before `part_10`, the same on every machine."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def domain_stream(root: str | Path, *, test_share: float = TEST_SHARE) -> Stream:
    """Return the stream of a tree EXPERIENCE/CLASS/pictures: each folder of the root is one experience, by name.

    An experience that holds folders `train` and `test`, each with the classes, keeps that split. Elsewhere a fifth of
    each class is held out by the hash of its names, so the same pictures are on every machine.

    Raises
    ------
    StandoutError : no such folder, no experience in it, or one without pictures.
    """
    return checked(domains_of(Path(root), test_share), Path(root))


def domains_of(root: Path, test_share: float) -> Stream:
    """Return what `domain_stream` does, whether or not there is something to learn in it.

    Raises
    ------
    StandoutError : no such folder.
    """
    notes: list[str] = []
    experiences = [experience_of(folder, test_share, notes) for folder in subfolders(root)]
    return Stream(root.name, tuple(experiences), notes=tuple(notes))


def experience_of(folder: Path, share: float, notes: list[str]) -> Experience:
    """Return the experience that a folder CLASS/pictures is; what a user should know goes to `notes`."""
    return Experience(folder.name, *_split_of(folder, share, notes))


def class_stream(root: str | Path, experiences: int, *, test_share: float = TEST_SHARE) -> Stream:
    """Return the stream of a tree DOMAIN/CLASS/pictures in which each experience brings new classes.

    The classes, in their natural order, are dealt out evenly; the first experiences have one more where that does
    not come out even. Each has its classes' pictures from all domains.

    Raises
    ------
    StandoutError : as `domain_stream`; or more experiences than classes.
    """
    domains = domain_stream(root, test_share=test_share)
    classes = sorted({c for experience in domains.experiences for c in experience.classes()}, key=natural)
    if not 1 <= experiences <= len(classes):
        raise StandoutError(
            "stream-classes", f"{len(classes)} classes do not make {experiences} experiences", root,
            f"ask for 1 to {len(classes)}", exit_code=EXIT_USAGE,
        )  # fmt: skip
    size, left = divmod(len(classes), experiences)
    made, start = [], 0
    for number in range(experiences):
        group = classes[start : start + size + (number < left)]
        start += len(group)

        def of_group(part: Iterable[Example], group: Sequence[str] = tuple(group)) -> tuple[Example, ...]:
            return tuple(example for example in part if example.label in group)

        training = of_group(e for domain in domains.experiences for e in domain.training)
        test = of_group(e for domain in domains.experiences for e in domain.test)
        name = group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}"
        made.append(Experience(name, training, test))
    return domains._replace(experiences=tuple(made))


def held_out_by_hash(
    examples: Sequence[tuple[str, Example]], share: float = TEST_SHARE
) -> tuple[list[Example], list[Example]]:
    """Return the pictures of one class to learn from and to test on: those with the smallest SHA-1 of the name.

    Parameters
    ----------
    examples : (name, picture); the names are relative to what the machine does not decide.
    share : held out, rounded; at least one where there are two pictures or more, none where there is one.
    """
    hashed = sorted(examples, key=lambda entry: hashlib.sha1(_composed(entry[0]), usedforsecurity=False).digest())
    count = 0 if share == 0 or len(examples) < 2 else min(len(examples) - 1, max(1, round(share * len(examples))))
    test = {example for _, example in hashed[:count]}
    parts: tuple[list[Example], list[Example]] = ([], [])
    for _, example in examples:
        parts[example in test].append(example)
    return parts


def _composed(name: str) -> bytes:
    return os.fsencode(unicodedata.normalize("NFC", name))


def _split_of(folder: Path, share: float, notes: list[str]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return an experience's pictures to learn from and to test on."""
    inside = {child.name.lower(): child for child in subfolders(folder)}
    given = next((inside[name] for name in TRAIN_FOLDERS if name in inside), None)
    tests = [inside[name] for name in TEST_FOLDERS if name in inside]
    if given and tests:
        return tuple(pictures(given)), tuple(example for test in tests for example in pictures(test))
    return hash_split(pictures(folder), folder, share, notes)


def hash_split(
    examples: Iterable[Example], folder: Path, share: float, notes: list[str]
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return the pictures below a folder split by the hash of their names in it, each class on its own."""
    by_class: dict[str, list[tuple[str, Example]]] = {}
    for example in examples:
        name = f"{folder.name}/{example.path.relative_to(folder).with_suffix('').as_posix()}"
        by_class.setdefault(example.label, []).append((name, example))
    training: list[Example] = []
    test: list[Example] = []
    for label, named in by_class.items():
        learnt, held = held_out_by_hash(named, share)
        training += learnt
        test += held
        if len(named) == 1:
            notes.append(f"{folder.name}/{label} has one picture, which is learnt from and not tested on")
    return tuple(training), tuple(test)


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder in natural order, without what operating systems leave behind.

    Raises
    ------
    StandoutError : exit code 2, there is no such folder.
    """
    try:
        found = [child for child in folder.iterdir() if child.is_dir() and not is_junk(child.name)]
    except (FileNotFoundError, NotADirectoryError):
        raise StandoutError(
            "stream-missing", "there is no such folder", folder, "check the path", exit_code=EXIT_USAGE
        ) from None
    except OSError as error:
        raise disk_error(error, folder) from error
    return sorted(found, key=lambda child: natural(child.name))


def pictures(folder: Path) -> Iterator[Example]:
    """Yield the pictures of a folder CLASS/…/picture, by class and name; each class may have folders of its own."""
    for kind in subfolders(folder):
        for path in sorted(_walk(kind), key=lambda path: natural(path.relative_to(kind).as_posix())):
            yield Example(path, unicodedata.normalize("NFC", kind.name))


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_junk(name)]
        yield from (Path(place, n) for n in files if not is_junk(n) and Path(n).suffix.lower() in SUFFIXES)


def checked(stream: Stream, root: Path) -> Stream:
    """Return the stream, if there is something to learn in each experience.

    Raises
    ------
    StandoutError : exit code 2, no experience, or one with fewer than two pictures to learn from, by name.
    """
    if not stream.experiences:
        raise StandoutError(
            "stream-empty", "folder holds no experience", root, "it must hold EXPERIENCE/CLASS/pictures",
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    for experience in stream.experiences:
        if len(experience.training) < 2:
            count = len(experience.training)
            raise StandoutError(
                "experience-empty", "experience is empty" if count == 0 else "experience has one picture to learn from",
                f"{experience.name} of {root}", "put its pictures into folders named by class, or take it out",
                exit_code=EXIT_USAGE,
            )  # fmt: skip
    return stream


class Contents(NamedTuple):
    """What the files of a stream hold: one SHA-256 over all, and one for each path."""

    fingerprint: str
    digests: dict[Path, str]


def contents_of(stream: Stream) -> Contents:
    """Return what identifies a stream: names, classes, order and the contents of all pictures; not where they lie.

    Raises
    ------
    StandoutError : a file cannot be read.
    """
    total = hashlib.sha256()
    digests: dict[Path, str] = {}
    parts = [(e.name, part, getattr(e, part)) for e in stream.experiences for part in ("training", "test")]
    for name, part, examples in [*parts, ("", "held out", stream.held_out)]:
        for example in examples:
            if example.path not in digests:
                digests[example.path] = digest_file(example.path)[0]
            words = (name, part, example.label, digests[example.path])
            total.update("\0".join(words).encode("utf-8", "surrogateescape") + b"\n")
    return Contents(total.hexdigest(), digests)


def refuse_leaks(stream: Stream, digests: dict[Path, str]) -> None:
    """Refuse a stream in which a picture that is tested on is also learnt from, in any experience, byte for byte.

    Raises
    ------
    StandoutError : exit code 2; names the pictures.
    """
    learnt = {digests[e.path] for experience in stream.experiences for e in experience.training}
    tested = [e.path for experience in stream.experiences for e in experience.test]
    leaks = [path for path in [*tested, *(e.path for e in stream.held_out)] if digests[path] in learnt]
    if leaks:
        raise StandoutError(
            "stream-leak", f"{len(leaks)} pictures are tested on and learnt from", shown(leaks),
            "take them out, or pass --allow-overlap", exit_code=EXIT_USAGE,
        )  # fmt: skip
