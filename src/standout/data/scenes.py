"""Generated pictures with exact masks: objects that stand out, and objects that hide.

A stranger without data trains and scores on these. A scene is a function of (seed, index) and the other arguments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from standout.data.outlines import ANIMALS, OUTLINES, UPRIGHT, outline
from standout.data.textures import (
    COATS,
    GROUNDS,
    SKIES,
    Field,
    Texture,
    bent,
    field,
    paint,
    palette,
    random_texture,
    relief,
    slow_field,
)
from standout.errors import StandoutError
from standout.images import write_image, write_map

KINDS = ("salient", "camouflaged")
SMALLEST = 32

_THINGS = tuple(OUTLINES)
# A mask below this part of the picture teaches little and makes measures jump.
_LEAST_OBJECT = 0.01


@dataclass
class _Scene:
    """A picture while it is painted: colours (H, W, 3) and the objects' coverage (H, W), both 0..1."""

    colours: Field
    mask: Field
    light: tuple[float, float]

    @property
    def scale(self) -> int:
        return int(min(self.mask.shape))


def generate_scene(
    seed: int, index: int, *, size: tuple[int, int] = (192, 192), kind: str = "salient", difficulty: float = 0.5
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return picture number `index` of the series `seed`, (H, W, 3) RGB, and its mask (H, W), soft at the edges.

    Parameters
    ----------
    size : height and width, each at least 32.
    kind : "salient", objects of another colour, texture and focus than what is around them; or "camouflaged",
        objects that wear the texture of their surroundings and betray themselves by outline, grain and shade.
    difficulty : 0..1. Salient: less contrast, more clutter, smaller objects, a sharper background. Camouflaged: the
        grain turns less, the shade is fainter, the outline softer.

    Raises
    ------
    ValueError : an unknown kind, a size below 32, a difficulty outside 0..1, or a negative seed or index.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if min(size) < SMALLEST:
        raise ValueError(f"size must be at least {SMALLEST} each way, not {size}")
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty must lie in 0..1, not {difficulty}")
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must not be negative, not {seed} and {index}")
    compose = _salient if kind == "salient" else _camouflaged
    for attempt in count():
        # The number of the attempt is part of the stream: a rare scene whose object is covered is drawn anew.
        rng = np.random.Generator(np.random.PCG64((seed, index, KINDS.index(kind), attempt)))
        scene = compose(rng, size, difficulty)
        if scene.mask.mean() >= _LEAST_OBJECT:
            break
    picture = _photographed(scene, rng)
    return picture, np.asarray(np.rint(np.clip(scene.mask, 0, 1) * 255), np.uint8)


def write_scenes(
    folder: str | Path,
    count: int,
    *,
    seed: int,
    size: tuple[int, int] = (192, 192),
    camouflaged: float = 0.3,
    difficulty: float = 0.5,
    suffix: str = ".jpg",
) -> list[str]:
    """Write `count` scenes as `Image/NAME.jpg` and `Mask/NAME.png` under `folder`; return their names.

    Parameters
    ----------
    folder : made where it is missing; an existing picture of the same name is an error.
    count : number of scenes, at least 1.
    camouflaged : part of the scenes that hide their object, 0..1, spread evenly over the series.
    seed, size, difficulty : see `generate_scene`.
    suffix : of the pictures: ".jpg", ".png" or ".webp".

    Raises
    ------
    ValueError : a number out of its range.
    StandoutError : a picture exists, or the disk refuses.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if not 0 <= camouflaged <= 1:
        raise ValueError(f"camouflaged must lie in 0..1, not {camouflaged}")
    images, masks = Path(folder) / "Image", Path(folder) / "Mask"
    for place in (images, masks):
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StandoutError(
                "folder", f"cannot make the folder ({error.strerror})", place, "name a folder that may be written"
            ) from error
    names = []
    for index in range(count):
        hides = math.floor((index + 1) * camouflaged) > math.floor(index * camouflaged)
        kind = KINDS[hides]
        picture, mask = generate_scene(seed, index, size=size, kind=kind, difficulty=difficulty)
        name = f"{kind}-{index:05d}"
        write_image(images / f"{name}{suffix}", picture)
        write_map(masks / f"{name}.png", mask)
        names.append(name)
    return names


def _salient(rng: np.random.Generator, size: tuple[int, int], difficulty: float) -> _Scene:
    scene, horizon = _place(rng, size, blur=(1 - difficulty) * rng.uniform(0.5, 4), may_have_sky=True)
    around = scene.colours[::4, ::4].mean((0, 1))
    for _ in range(rng.poisson(1 + 3 * difficulty)):
        _put_clutter(scene, rng, horizon, difficulty)
    coat, texture = _coat(rng, around, difficulty)
    name = str(rng.choice(_THINGS))
    several = rng.choice((1, 1, 1, 2, 2, 3))
    height = rng.uniform(0.75, 1.15) - 0.3 * difficulty
    for number in range(several):
        side = int(height * scene.scale * (1 if number == 0 else rng.uniform(0.4, 0.8)) * several**-0.3)
        centre = _centre(rng, size, horizon, side, upright=name in UPRIGHT, spread=0.35 + 0.3 * (several > 1))
        if rng.random() < 0.15:
            coat, texture = _coat(rng, around, difficulty)
        _put(scene, rng, name, side, centre, texture, coat, shade=rng.uniform(0.35, 0.7), shadow=rng.uniform(0.25, 0.6))
    for _ in range(rng.poisson(0.6 * difficulty)):
        _put_clutter(scene, rng, 1.0, difficulty, in_front=True)
    return scene


def _camouflaged(rng: np.random.Generator, size: tuple[int, int], difficulty: float) -> _Scene:
    light = _light(rng)
    colours = palette(GROUNDS[str(rng.choice(list(GROUNDS)))], rng)
    texture = random_texture(colours, rng)
    drift = slow_field(rng, size, min(size))
    scene = _Scene(paint(texture, rng, size, min(size), light=light, drift=drift), np.zeros(size, np.float32), light)
    for _ in range(rng.poisson(1 + 2 * difficulty)):
        _put_clutter(scene, rng, 0.0, difficulty, like=texture)
    ease = 1 - difficulty
    turn = float(rng.choice((-1, 1))) * (0.4 + 0.8 * ease)
    own = texture.turned(turn)
    own = Texture(
        np.clip(colours * (1 + float(rng.choice((-1, 1))) * (0.17 + 0.23 * ease)), 0, 1),
        own.slope, own.cells * (1 + 0.5 * ease * rng.uniform(-0.6, 1)), own.stretch, own.angle, own.form, own.relief,
        own.bend,
    )  # fmt: skip
    name = str(rng.choice(ANIMALS if rng.random() < 0.8 else _THINGS))
    for number in range(rng.choice((1, 1, 1, 2))):
        side = int(scene.scale * rng.uniform(0.55, 1.0) * (1 if number == 0 else 0.6))
        centre = _centre(rng, size, 0.0, side, upright=False, spread=0.6)
        shade, shadow = 0.6 + 0.3 * ease, 0.3 + 0.2 * ease
        _put(scene, rng, name, side, centre, own, None, shade=shade, shadow=shadow, soft=1 + difficulty, drift=drift)
    return scene


def _place(rng: np.random.Generator, size: tuple[int, int], *, blur: float, may_have_sky: bool) -> tuple[_Scene, float]:
    """Return an empty scene and its horizon, 0 at the top: a ground alone, or a ground before a far side."""
    scale = min(size)
    blur *= scale / 192
    light = _light(rng)
    ground = random_texture(palette(GROUNDS[str(rng.choice(list(GROUNDS)))], rng), rng)
    colours = paint(ground, rng, size, scale, blur=blur, light=light)
    scene = _Scene(colours, np.zeros(size, np.float32), light)
    if not may_have_sky or rng.random() < 0.4:
        return scene, 0.0
    horizon = rng.uniform(0.2, 0.7)
    rows = size[0]
    line = horizon * rows
    # Towards the horizon the ground's rows crowd together, as they do before a camera.
    depth = np.maximum(np.arange(rows) - line, 0) / (rows - line)
    colours = colours[(rows - 1 - (rows - 1) * (1 - depth) ** 1.8).astype(int)]
    if rng.random() < 0.5:
        sky = palette(SKIES[str(rng.choice(list(SKIES)))], rng)
        far = Texture(sky, 2.4, 1.5, rng.uniform(1, 3), 0.0, relief=0.0)
    else:
        far = random_texture(palette(GROUNDS[str(rng.choice(list(GROUNDS)))], rng), rng)
    behind = paint(far, rng, size, scale, blur=blur + 2 * scale / 192, light=light)
    waves = slow_field(rng, (1, size[1]), scale / 3)[0] * np.float32(rng.uniform(0, 0.02) * rows)
    above = line + waves[None] - np.arange(rows, dtype=np.float32)[:, None]
    part = np.clip(above / np.float32(1.5 + blur) + 0.5, 0, 1)[..., None]
    haze = np.clip(1 - np.abs(above) / (0.25 * rows), 0, 1)[..., None] * np.float32(rng.uniform(0, 0.35))
    mixed = colours + (behind - colours) * part
    scene.colours = mixed + (behind.mean((0, 1)) - mixed) * haze
    return scene, horizon


def _coat(rng: np.random.Generator, around: Field, difficulty: float) -> tuple[Field, Texture]:
    """Return the colours and the texture of an object that stands out from the mean colour `around`."""
    choices = [palette(colours, rng) for colours in (*COATS.values(), *GROUNDS.values())]
    far = np.array([np.abs(colours.mean(0) - around).sum() for colours in choices])
    # The easier the scene, the more surely its colours are among the most different ones.
    chance = np.exp((4 - 3.5 * difficulty) * far)
    coat = choices[int(rng.choice(len(choices), p=chance / chance.sum()))]
    coat = coat + (around - coat) * np.float32(0.45 * difficulty)
    return coat, random_texture(coat, rng)


def _put(
    scene: _Scene,
    rng: np.random.Generator,
    name: str,
    side: int,
    centre: tuple[float, float],
    texture: Texture,
    coat: Field | None,
    *,
    shade: float,
    shadow: float,
    soft: float = 1.2,
    blur: float = 0.0,
    drift: Field | None = None,
    counts: float = 1.0,
) -> None:
    """Paint one thing into the scene, with its shadow; `counts` is what it adds to the mask, 0 for clutter.

    coat : colours for eyes, bellies and patches; None for a thing of its texture alone.
    """
    side = max(side, 16)
    distance = outline(name, rng, side)
    if rng.random() < 0.6:  # fur, petals, rough stone
        distance = distance + field(rng, (side, side), side, 1.3, 10) * np.float32(rng.uniform(0.2, 0.8) * side / 150)
    top, left = int(centre[0] - side / 2), int(centre[1] - side / 2)
    rows, columns = scene.mask.shape
    _cast(scene, distance, top, left, rng, shadow)
    inside = (slice(max(-top, 0), min(side, rows - top)), slice(max(-left, 0), min(side, columns - left)))
    if inside[0].start >= inside[0].stop or inside[1].start >= inside[1].stop:
        return
    window = (slice(inside[0].start + top, inside[0].stop + top), slice(inside[1].start + left, inside[1].stop + left))
    part = np.clip(distance / np.float32(soft + blur) + 0.5, 0, 1)[inside]
    local = None if drift is None else drift[window]
    colours = paint(texture, rng, part.shape, scene.scale, blur=blur, light=scene.light, drift=local)
    if coat is not None and rng.random() < 0.4:  # a patch, a saddle, a cap
        cut = np.clip(field(rng, part.shape, side, 3.0, 1.5) * 4 + rng.normal(0, 1), 0, 1)[..., None]
        colours = colours + (coat[rng.integers(4)] - colours) * cut * np.float32(0.8)
    # Height of a cushion over the outline: light from the side makes it round.
    cushion = np.tanh(distance / np.float32(0.12 * side))[inside]
    colours *= relief(cushion, shade * 0.6 * side, scene.light)[..., None]
    part = part[..., None]
    scene.colours[window] += (colours - scene.colours[window]) * part
    scene.mask[window] += (np.float32(counts) - scene.mask[window]) * part[..., 0]


def _cast(scene: _Scene, distance: Field, top: int, left: int, rng: np.random.Generator, strength: float) -> None:
    """Darken what lies in the shadow of an outline, on the side away from the light."""
    side = len(distance)
    far = rng.uniform(0.03, 0.12) * side
    top -= int(scene.light[0] * far)
    left -= int(scene.light[1] * far)
    rows, columns = scene.mask.shape
    inside = (
        slice(max(-top, 0), max(min(side, rows - top), 0)),
        slice(max(-left, 0), max(min(side, columns - left), 0)),
    )
    window = (slice(inside[0].start + top, inside[0].stop + top), slice(inside[1].start + left, inside[1].stop + left))
    depth = np.clip(distance[inside] / np.float32(0.08 * side) + 0.5, 0, 1)
    scene.colours[window] *= (1 - np.float32(strength) * depth * depth)[..., None]


def _put_clutter(
    scene: _Scene,
    rng: np.random.Generator,
    horizon: float,
    difficulty: float,
    *,
    like: Texture | None = None,
    in_front: bool = False,
) -> None:
    """Paint something that is no object: stones, leaves and plants in the colours of grounds."""
    if like is None:
        # Half-way to the colours of the place, or the clutter would stand out as much as the object does.
        colours = palette(GROUNDS[str(rng.choice(list(GROUNDS)))], rng)
        around = scene.colours[::8, ::8].mean((0, 1))
        texture = random_texture(colours + (around - colours) * np.float32(0.55), rng)
    else:
        texture = like.turned(rng.normal(0, 0.5))
    name = str(rng.choice(("plant", "leaf") if in_front else ("blob", "plant", "leaf", "blob", "flower")))
    rows, columns = scene.mask.shape
    side = int(scene.scale * rng.uniform(0.1, 0.22 + 0.08 * difficulty))
    centre = (rng.uniform(min(horizon, 0.9), 1.0) * rows, rng.uniform(0, 1) * columns)
    blur = rng.uniform(0, 2) * (1 - difficulty) * scene.scale / 192 if like is None else 0.0
    _put(scene, rng, name, side, centre, texture, None, shade=0.3, shadow=0.3, blur=blur, counts=0.0)


def _centre(
    rng: np.random.Generator, size: tuple[int, int], horizon: float, side: int, *, upright: bool, spread: float
) -> tuple[float, float]:
    """Return where an object of this side goes: near the middle, upright ones with their feet on the ground."""
    across = size[1] * (0.5 + spread * rng.uniform(-0.5, 0.5))
    if upright and horizon > 0:
        feet = rng.uniform(max(horizon + 0.1, 0.6), 1.0) * size[0]
        return feet - 0.4 * side, across
    return size[0] * (0.5 + spread * rng.uniform(-0.5, 0.5)), across


def _light(rng: np.random.Generator) -> tuple[float, float]:
    """Return where light comes from (down, right): from above, more or less from one side."""
    angle = rng.uniform(-1.1, 1.1)
    return -math.cos(angle), math.sin(angle)


def _photographed(scene: _Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the scene as a camera gives it: uneven light, vignette, exposure, noise, 8 bits."""
    rows, columns = scene.mask.shape
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, columns, dtype=np.float32)[None]
    slope = rng.uniform(0, 0.25)
    light = 1 + np.float32(slope) * (np.float32(scene.light[0]) * y + np.float32(scene.light[1]) * x)
    light = light * (1 - np.float32(rng.uniform(0, 0.22)) * (x * x + y * y))
    if rng.random() < 0.25:  # light through leaves
        spots = bent(slow_field(rng, (rows, columns), scene.scale / 4), rng, scene.scale, 0.04)
        light = light * (1 + np.float32(rng.uniform(0.1, 0.3)) * np.tanh(2 * spots))
    warmth = rng.normal(0, 0.04)
    colours = scene.colours * (light[..., None] * np.asarray([1 + warmth, 1, 1 - warmth], np.float32))
    colours = np.clip(colours, 0, 1.2) * np.float32(rng.uniform(0.85, 1.1))
    # Bright parts fade into white as film and sensors let them, not at an edge.
    colours = colours / (1 + np.maximum(colours - 0.8, 0) * np.float32(0.5))
    colours += rng.standard_normal(colours.shape, np.float32) * np.float32(rng.uniform(0.004, 0.025))
    return np.asarray(np.rint(np.clip(colours, 0, 1) * 255), np.uint8)
