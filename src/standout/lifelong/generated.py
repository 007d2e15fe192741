"""A generated stream like OpenLORIS-Object: the same objects under four factors at three levels, one level at a time.

Objects are generated, or cut out of somebody's own photos by `standout cut`. Every picture is a function of
(seed, experience, object, number). Factors and levels are those of Q. She et al., "OpenLORIS-Object", ICRA 2020.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.cutout.compose import without_white
from standout.data.layouts import SUFFIXES, is_junk
from standout.data.outlines import OUTLINES, outline
from standout.data.textures import COATS, GROUNDS, Field, paint, palette, random_texture, relief
from standout.errors import EXIT_USAGE, StandoutError, printable
from standout.files import check_destination
from standout.images import read_image, resize, write_image
from standout.lifelong.layouts import FACTORS, LEVELS
from standout.lifelong.streams import natural, pictures, subfolders

Pixels = NDArray[np.uint8]
SPRITE = 192
VIEWS = 6
FRAME = 256
"""Side of the pictures for which the sizes in pixels below are stated; others are in proportion."""


class Condition(NamedTuple):
    """How an object is met.

    light : factor on all colours. noise : deviation of the sensor's noise, of 0..1.
    covered : share of the object that something hides.
    size : least and largest length of the object's longer side in a frame of 256 pixels.
    clutter : least and largest number of other things behind it.
    """

    light: float = 1.0
    noise: float = 0.01
    covered: float = 0.0
    size: tuple[int, int] = (110, 180)
    clutter: tuple[int, int] = (0, 0)


CONDITIONS: Mapping[str, tuple[Condition, ...]] = {
    "illumination": (Condition(light=1.5), Condition(), Condition(light=0.22, noise=0.025)),
    "occlusion": (Condition(), Condition(covered=0.25), Condition(covered=0.5)),
    "pixel": (Condition(size=(201, 236)), Condition(size=(30, 200)), Condition(size=(20, 29))),
    "clutter": (Condition(), Condition(clutter=(3, 5)), Condition(clutter=(10, 14))),
}


def write_generated_stream(
    folder: str | Path,
    *,
    objects: int = 10,
    training: int = 20,
    test: int = 10,
    seed: int = 0,
    side: int = 128,
    cutouts: str | Path | None = None,
    dry_run: bool = False,
) -> list[str]:
    """Write twelve experiences EXPERIENCE/{train,test}/OBJECT/NUMBER.jpg; return the objects' names.

    Parameters
    ----------
    folder : made where it is missing; an existing picture of the same name is an error.
    objects : generated ones, at least 2; each is a class.
    training, test : pictures of each object in each experience, at least 1.
    seed : of everything.
    side : of the square pictures, at least 32 pixels.
    cutouts : a folder of pictures with transparency, such as `standout cut` writes, instead of generated objects:
        CLASS/cutouts, or cut-outs alone, each a class of its own.
    dry_run : refuse what would be refused, and write nothing.

    Raises
    ------
    ValueError : a number out of its range.
    StandoutError : no two classes of cut-outs, a cut-out without transparency, a picture exists, or the disk refuses.
    """
    for name, value, least in (("objects", objects, 2), ("training", training, 1), ("test", test, 1),
                               ("seed", seed, 0), ("side", side, 32)):  # fmt: skip
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    sprites = _cutouts(Path(cutouts)) if cutouts else {
        f"object {number + 1:02}": [] if dry_run else [generated_object(seed, number, view) for view in range(VIEWS)]
        for number in range(objects)
    }  # fmt: skip
    # Never a class: what stands around.
    things = [] if dry_run else [generated_object(seed, 10_000 + number, 0) for number in range(12)]
    places = [(factor, level) for factor in FACTORS for level in range(LEVELS)]
    for place, (factor, level) in enumerate(places):
        for kind, (name, views) in enumerate(sprites.items()):
            for part, first, count in (("train", 0, training), ("test", 100_000, test)):
                for number in range(first, first + count):
                    path = Path(folder) / f"{place + 1:02} {factor} {level + 1}" / part / name
                    path /= f"{number - first:04}.jpg"
                    if dry_run:
                        with _nothing_there(folder):
                            check_destination(path, overwrite=False)
                        continue
                    rng = np.random.Generator(np.random.PCG64((seed, place, kind, number)))
                    pixels = compose(rng, views, things, CONDITIONS[factor][level], side)
                    with _nothing_there(folder):
                        write_image(path, pixels)
    return list(sprites)


@contextlib.contextmanager
def _nothing_there(folder: str | Path) -> Iterator[None]:
    """Say what can be done about a picture that exists: a stream goes into a folder of its own."""
    try:
        yield
    except StandoutError as error:
        if error.code != "file-exists":
            raise
        how = f"name another folder, or remove {printable(folder)} first"
        raise StandoutError(error.code, error.what, error.where, how, exit_code=error.exit_code) from None


def generated_object(seed: int, number: int, view: int) -> Pixels:
    """Return object `number` of the series `seed`, (H, W, 4) RGBA, cut to its own box, as one of `VIEWS` shows it.

    Form and coat are the object's; how it is turned and lit is the view's.
    """

    def stream(what: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64((seed, number, what)))

    rng = stream(0)
    name = tuple(OUTLINES)[number % len(OUTLINES)]
    turn = 0.5 * (view - (VIEWS - 1) / 2) / VIEWS * math.pi
    distance = outline(name, stream(1), SPRITE, turn=turn)
    coats = tuple(COATS.values())
    texture = random_texture(palette(coats[int(rng.integers(len(coats)))], rng), rng)
    angle = 2.2 * view / max(1, VIEWS - 1) - 1.1
    light = (-math.cos(angle), math.sin(angle))
    colours = paint(texture, stream(2), (SPRITE, SPRITE), SPRITE, light=light)
    cushion = np.tanh(distance / np.float32(0.12 * SPRITE))
    colours = colours * relief(cushion, 0.3 * SPRITE, light)[..., None]
    alpha = np.clip(distance / np.float32(1.2) + 0.5, 0, 1)
    whole = np.concatenate([np.clip(colours, 0, 1), alpha[..., None]], -1)
    return _boxed(np.asarray(np.rint(whole * 255), np.uint8))


def compose(
    rng: np.random.Generator, views: Sequence[Pixels], things: Sequence[Pixels], condition: Condition, side: int
) -> Pixels:
    """Return a picture (side, side, 3) of an object under a condition.

    Parameters
    ----------
    views : of the object, RGBA.
    things : that may stand behind it, RGBA.
    """
    grounds = tuple(GROUNDS.values())
    ground = random_texture(palette(grounds[int(rng.integers(len(grounds)))], rng), rng)
    canvas = np.clip(paint(ground, rng, (side, side), side, blur=0.006 * side), 0, 1)
    for _ in range(int(rng.integers(condition.clutter[0], condition.clutter[1] + 1))):
        thing = things[int(rng.integers(len(things)))]
        _put(canvas, _sized(thing, rng.uniform(0.2, 0.4) * side), *rng.uniform(-0.1, 0.9, 2))
    length = rng.uniform(*condition.size) * side / FRAME
    sprite = _sized(views[int(rng.integers(len(views)))], length)
    if rng.random() < 0.5:
        sprite = sprite[:, ::-1]
    room = 1 - np.array(sprite.shape[:2]) / side
    alpha = _put(canvas, sprite, *(rng.uniform(0, 1, 2) * np.maximum(room, 0)))
    if condition.covered:
        cover = paint(
            random_texture(palette(grounds[int(rng.integers(len(grounds)))], rng), rng), rng, (side, side), side
        )
        hidden = hiding(alpha, condition.covered, rng.uniform(0, 2 * math.pi))
        canvas += (np.clip(cover, 0, 1) - canvas) * hidden[..., None]
    warmth = rng.normal(0, 0.03)
    canvas *= np.asarray([1 + warmth, 1, 1 - warmth], np.float32) * np.float32(condition.light * rng.uniform(0.9, 1.1))
    # Bright parts fade into white as sensors let them, not at an edge.
    canvas /= 1 + np.maximum(canvas - 0.8, 0) * np.float32(0.5)
    canvas += rng.standard_normal(canvas.shape, np.float32) * np.float32(condition.noise)
    return np.asarray(np.rint(np.clip(canvas, 0, 1) * 255), np.uint8)


def hiding(alpha: Field, share: float, angle: float) -> Field:
    """Return where a board lies (H, W), 0..1, that hides this share of an object and stands a little beyond it.

    Parameters
    ----------
    alpha : the object's coverage (H, W).
    angle : of the side that is hidden.
    """
    rows, columns = np.nonzero(alpha > 0)
    across = np.float32(math.cos(angle)) * np.arange(alpha.shape[1], dtype=np.float32)[None]
    along = across + np.float32(math.sin(angle)) * np.arange(alpha.shape[0], dtype=np.float32)[:, None]
    order = np.argsort(-along[rows, columns], kind="stable")
    mass = np.cumsum(alpha[rows, columns][order], dtype=np.float64)
    edge = along[rows, columns][order][int(np.searchsorted(mass, share * mass[-1]))]
    margin = max(2, round(0.12 * max(np.ptp(rows), np.ptp(columns))))
    board = np.zeros_like(alpha)
    board[max(0, rows.min() - margin) : rows.max() + margin + 1,
          max(0, columns.min() - margin) : columns.max() + margin + 1] = 1  # fmt: skip
    return np.asarray(board * np.clip(along - edge + np.float32(0.5), 0, 1), np.float32)


def _put(canvas: Field, sprite: Pixels, top: float, left: float) -> Field:
    """Lay a sprite over the canvas, its corner at these shares of the side; return what it covers (H, W), 0..1."""
    side = len(canvas)
    y, x = round(top * side), round(left * side)
    rows, columns = sprite.shape[:2]
    inside = slice(max(-y, 0), min(rows, side - y)), slice(max(-x, 0), min(columns, side - x))
    window = slice(max(y, 0), min(y + rows, side)), slice(max(x, 0), min(x + columns, side))
    part = sprite[inside].astype(np.float32) / 255
    alpha = np.zeros((side, side), np.float32)
    alpha[window] = part[..., 3]
    canvas[window] += (part[..., :3] - canvas[window]) * part[..., 3:]
    return alpha


def _sized(sprite: Pixels, length: float) -> Pixels:
    """Return the sprite with its longer side at this many pixels, at least 2."""
    factor = max(2.0, length) / max(sprite.shape[:2])
    return resize(sprite, (max(1, round(sprite.shape[0] * factor)), max(1, round(sprite.shape[1] * factor))))


def _boxed(sprite: Pixels) -> Pixels:
    """Return the sprite without the empty rows and columns around it."""
    rows, columns = np.nonzero(sprite[..., 3] > 8)
    return sprite[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _cutouts(folder: Path) -> dict[str, list[Pixels]]:
    """Return the cut-outs of a folder by class.

    Raises
    ------
    StandoutError : exit code 2; fewer than two classes, or a picture without transparency, or one that is empty.
    """
    found: dict[str, list[Path]] = {}
    for example in pictures(folder):
        found.setdefault(example.label, []).append(example.path)
    if not found and not subfolders(folder):
        alone = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not is_junk(p.name)]
        found = {path.stem: [path] for path in sorted(alone, key=lambda path: natural(path.name))}
    if len(found) < 2:
        raise StandoutError(
            "cutouts-few", f"folder holds cut-outs of {len(found)} classes", folder,
            "give at least two: CLASS/cutouts, or cut-outs alone", exit_code=EXIT_USAGE,
        )  # fmt: skip
    return {name: [_sprite(path) for path in paths] for name, paths in found.items()}


def _sprite(path: Path) -> Pixels:
    picture = read_image(path, longest=4 * SPRITE)
    if picture.alpha is None or picture.alpha.max() <= 8:
        raise StandoutError(
            "cutout-opaque", "cut-out has no transparency, or nothing else", path, "make it with standout cut",
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    colours = without_white(picture.pixels, picture.alpha)
    return _boxed(np.concatenate([colours, picture.alpha[..., None]], -1))
