"""Outlines of animals, plants and things as distance fields, drawn anew every time from a few dozen numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from standout.data.textures import Field

Outline = Callable[[np.random.Generator, Field, Field], Field]
"""Of a generator and coordinates x (right) and y (down), -1..1: about the distance to the outline, inside positive."""


def outline(name: str, rng: np.random.Generator, side: int, *, turn: float | None = None) -> Field:
    """Return the distance in pixels (side, side) to the outline of a new `name`, positive inside.

    Parameters
    ----------
    name : a key of `OUTLINES`.
    turn : rotation in radians; None takes what suits the shape: upright things lean a little, others lie anyhow.
    """
    line = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / side) - 1
    if turn is None:
        turn = rng.normal(0, 0.12) if name in UPRIGHT else rng.uniform(-math.pi, math.pi)
    cosine, sine = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    side_sign = np.float32(rng.choice((-1.0, 1.0)))
    x = (line[None] * cosine + line[:, None] * sine) * side_sign
    y = line[:, None] * cosine - line[None] * sine
    return np.asarray(OUTLINES[name](rng, x, y) * np.float32(side / 2), np.float32)


def blob(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw a closed curve whose radius is a short Fourier series: stones, fruit, puddles."""
    return _radial(rng, x, y, 0.72, {k: 0.24 / k for k in range(2, 7)})


def flower(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw petals around a centre."""
    petals = int(rng.integers(4, 9))
    return _radial(rng, x, y, 0.62, {petals: rng.uniform(0.12, 0.3), 2 * petals: 0.05, 2: 0.03}, exact=True)


def quadruped(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw a body on four legs, with neck, head, ears and tail."""
    length, deep = rng.uniform(0.36, 0.5), rng.uniform(0.18, 0.32)
    body = _ellipse(x, y, -0.05, 0.0, length + 0.06, deep, rng.normal(0, 0.08))
    head = (0.05 + length + rng.uniform(0.02, 0.18), -rng.uniform(0.05, 0.5))
    size = rng.uniform(0.1, 0.16)
    shape = _join(body, _limb(x, y, (length - 0.2, -0.04), head, deep * 0.75, size * 0.8), 0.1)
    shape = _join(shape, _ellipse(x, y, head[0] + 0.05, head[1] + 0.02, size * 1.4, size, rng.uniform(0, 0.5)), 0.05)
    for ear in (-0.06, 0.02):
        tip = (head[0] + ear + rng.normal(0, 0.02), head[1] - size * rng.uniform(1.3, 2.2))
        shape = np.maximum(shape, _limb(x, y, (head[0] + ear, head[1]), tip, size * 0.5, 0.012))
    ground = rng.uniform(0.5, 0.8)
    for hip in (-length + 0.06, -length + 0.2, length - 0.26, length - 0.14):
        foot = (hip + rng.normal(0, 0.09), ground + rng.normal(0, 0.015))
        shape = _join(
            shape, _limb(x, y, (hip, deep * 0.4), foot, rng.uniform(0.07, 0.11), rng.uniform(0.03, 0.05)), 0.04
        )
    bow = (-length - 0.2, rng.uniform(-0.3, 0.1))
    shape = _join(shape, _limb(x, y, (-length, -0.05), bow, 0.05, 0.04), 0.04)
    end = (bow[0] - rng.uniform(0, 0.15), bow[1] + rng.normal(0, 0.2))
    return np.maximum(shape, _limb(x, y, bow, end, 0.04, rng.uniform(0.015, 0.07)))


def bird(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw a bird on thin legs."""
    lean = rng.uniform(0.2, 0.9)
    body = _ellipse(x, y, 0, 0, rng.uniform(0.4, 0.5), rng.uniform(0.2, 0.3), -lean)
    head = (0.36 * math.cos(lean) + 0.08, -0.36 * math.sin(lean) - rng.uniform(0.1, 0.3))
    size = rng.uniform(0.13, 0.18)
    shape = _join(body, _limb(x, y, (0.15, -0.12), head, 0.16, size), 0.08)
    shape = np.maximum(shape, _limb(x, y, head, (head[0] + rng.uniform(0.25, 0.4), head[1] + 0.06), size * 0.5, 0.008))
    tail = (-rng.uniform(0.65, 0.9), 0.5 * lean + rng.normal(0, 0.08))
    shape = np.maximum(shape, _limb(x, y, (-0.2, 0.1), tail, 0.13, rng.uniform(0.04, 0.09)))
    for foot in (-0.05, 0.08):
        shape = np.maximum(shape, _limb(x, y, (foot, 0.15), (foot + rng.normal(0, 0.04), 0.75), 0.035, 0.022))
    return shape


def fish(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw a body with a forked tail and fins, bent as it swims."""
    y = y + np.float32(rng.normal(0, 0.18)) * x * x
    deep = rng.uniform(0.18, 0.4)
    shape = _ellipse(x, y, 0.12, 0, 0.62, deep, 0)
    for way in (-1, 1):
        tail = _limb(x, y, (-0.42, 0), (-0.86, way * rng.uniform(0.2, 0.36)), 0.05, 0.12)
        shape = _join(shape, tail, 0.12)
        fin = _limb(x, y, (0.1, way * deep * 0.7), (-0.15, way * (deep + rng.uniform(0.06, 0.2))), 0.1, 0.02)
        shape = np.maximum(shape, fin)
    return shape


def butterfly(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw two pairs of wings, nearly mirrored, and feelers."""
    near = np.abs(x)
    spread, fall = rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.8)
    shape = _ellipse(near, y, 0.4, -0.25, 0.42, rng.uniform(0.24, 0.34), -spread)
    shape = np.maximum(shape, _ellipse(near, y, 0.3, 0.32, 0.34, rng.uniform(0.2, 0.28), fall))
    shape = np.maximum(shape, _limb(near, y, (0, -0.35), (0, 0.5), 0.07, 0.04))
    return np.maximum(shape, _limb(near, y, (0.02, -0.35), (0.2, -0.8), 0.02, 0.018))


def crawler(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw a winding body with legs: lizards, newts, and snakes without."""
    bends, phase, sway = rng.uniform(2, 5), rng.uniform(0, 6.28), rng.uniform(0.08, 0.25)
    along = np.linspace(-0.85, 0.75, 9)
    spine = [(float(a), float(sway * math.sin(bends * a + phase))) for a in along]
    thick = rng.uniform(0.08, 0.15) * np.sin(np.linspace(0.15, 2.6, 9))
    shape = _limb(x, y, spine[0], spine[1], float(thick[0]), float(thick[1]))
    for i in range(1, 8):
        shape = _join(shape, _limb(x, y, spine[i], spine[i + 1], float(thick[i]), float(thick[i + 1])), 0.02)
    shape = _join(shape, _ellipse(x, y, spine[-1][0] + 0.06, spine[-1][1], 0.15, 0.1, 0), 0.04)
    if rng.random() < 0.7:
        for joint in (4, 7):
            for way in (-1, 1):
                foot = (spine[joint][0] + rng.normal(0.04, 0.08), spine[joint][1] + way * rng.uniform(0.26, 0.36))
                shape = _join(shape, _limb(x, y, spine[joint], foot, 0.05, 0.035), 0.03)
    return shape


def beetle(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw an oval body on six bent legs."""
    near = np.abs(y)
    shape = _ellipse(x, y, -0.08, 0, 0.5, rng.uniform(0.24, 0.38), 0)
    shape = _join(shape, _ellipse(x, y, 0.45, 0, 0.18, 0.17, 0), 0.05)
    for hip in (-0.35, -0.02, 0.28):
        knee = (hip + rng.normal(0, 0.08), rng.uniform(0.45, 0.6))
        shape = np.maximum(shape, _limb(x, near, (hip, 0.1), knee, 0.04, 0.03))
        shape = np.maximum(shape, _limb(x, near, knee, (knee[0] + rng.normal(0, 0.15), 0.85), 0.03, 0.015))
    return np.maximum(shape, _limb(x, near, (0.55, 0.04), (0.85, rng.uniform(0.15, 0.4)), 0.02, 0.012))


def plant(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw leaves on a stem that rises from the ground."""
    lean = rng.normal(0, 0.15)
    shape = _limb(x, y, (0, 0.9), (lean, -0.3), 0.045, 0.025)
    for i in range(int(rng.integers(4, 8))):
        root_y = 0.5 - i * rng.uniform(0.12, 0.2)
        way = -1 if i % 2 else 1
        shape = np.maximum(shape, _leaf(x, y, lean * (0.9 - root_y) / 1.2, root_y, way * rng.uniform(0.3, 1.2), rng))
    return np.maximum(shape, _leaf(x, y, lean, -0.2, rng.normal(0, 0.2), rng))


def leaf(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw one leaf with its stalk."""
    width, tooth = rng.uniform(0.22, 0.42), rng.uniform(0, 0.03)
    y = y + np.float32(rng.normal(0, 0.15)) * x * x
    part = np.clip((x + np.float32(0.75)) / np.float32(1.5), 0, 1)
    half = width * np.sin(math.pi * part**0.8) * (1 - 0.3 * part) + tooth * np.sin(part * 70)
    shape = np.minimum(half - np.abs(y), 0.75 - np.abs(x)) * np.float32(0.8)
    return np.asarray(np.maximum(shape, _limb(x, y, (-0.7, 0), (-0.97, rng.normal(0, 0.05)), 0.03, 0.02)), np.float32)


def vessel(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw a turned thing: vases, bottles, lamps, mushrooms; at times with a handle, which leaves a hole."""
    knots = rng.uniform(0.14, 0.5, 6)
    knots[0] *= rng.uniform(0.5, 1)
    part = (y + np.float32(0.8)) * np.float32(5 / 1.6)
    # Smooth between the knots: the sum of six bells, as wide as the knots are apart.
    bells = np.exp(-((part[..., None] - np.arange(6, dtype=np.float32)) ** 2) * np.float32(1.1))
    half = (bells * knots.astype(np.float32)).sum(-1) / (bells.sum(-1) + np.float32(1e-3))
    shape = np.minimum(half - np.abs(x), 0.8 - np.abs(y)) * np.float32(0.85)
    if rng.random() < 0.4:
        inner, outer = rng.uniform(0.13, 0.2), rng.uniform(0.07, 0.1)
        ring = np.hypot(x - np.float32(np.mean(knots) + 0.08), y * np.float32(0.8) - np.float32(rng.uniform(-0.2, 0.2)))
        shape = np.maximum(shape, outer / 2 - np.abs(ring - np.float32(inner + outer / 2)))
    return np.asarray(shape, np.float32)


def ring(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw a wreath with a hole."""
    outer = _radial(rng, x, y, 0.75, {k: 0.1 / k for k in range(2, 6)})
    hole = np.float32(rng.uniform(0.2, 0.4)) - np.hypot(x - np.float32(0.05), y)
    return np.asarray(np.minimum(outer, -hole), np.float32)


OUTLINES: Mapping[str, Outline] = {
    f.__name__: f
    for f in (
        blob, flower, quadruped, bird, fish, butterfly, crawler, beetle, plant, leaf, vessel, ring,
    )
}  # fmt: skip
UPRIGHT = frozenset({"quadruped", "bird", "fish", "plant", "vessel"})
ANIMALS = ("quadruped", "bird", "fish", "butterfly", "crawler", "beetle")


def _limb(x: Field, y: Field, start: tuple[float, float], end: tuple[float, float], thick: float, thin: float) -> Field:
    """Draw a bone from start to end that tapers from thick to thin."""
    across, down = end[0] - start[0], end[1] - start[1]
    length = max(across * across + down * down, 1e-8)
    px, py = x - np.float32(start[0]), y - np.float32(start[1])
    part = np.clip(px * np.float32(across / length) + py * np.float32(down / length), 0, 1)
    far = np.hypot(px - part * np.float32(across), py - part * np.float32(down))
    return np.asarray(np.float32(thick) + np.float32(thin - thick) * part - far, np.float32)


def _ellipse(x: Field, y: Field, cx: float, cy: float, wide: float, high: float, angle: float) -> Field:
    cosine, sine = math.cos(angle), math.sin(angle)
    px, py = x - np.float32(cx), y - np.float32(cy)
    u = (px * np.float32(cosine) + py * np.float32(sine)) / np.float32(wide)
    v = (py * np.float32(cosine) - px * np.float32(sine)) / np.float32(high)
    return np.asarray((1 - np.hypot(u, v)) * np.float32(min(wide, high)), np.float32)


def _leaf(x: Field, y: Field, root_x: float, root_y: float, angle: float, rng: np.random.Generator) -> Field:
    """Draw a pointed leaf that grows from its root, `angle` radians to the right of upwards."""
    length, width = rng.uniform(0.35, 0.6), rng.uniform(0.06, 0.12)
    px, py = x - np.float32(root_x), y - np.float32(root_y)
    along = px * np.float32(math.sin(angle)) - py * np.float32(math.cos(angle))
    across = px * np.float32(math.cos(angle)) + py * np.float32(math.sin(angle))
    part = np.clip(along / np.float32(length), 0, 1)
    half = np.float32(4 * width) * part * (1 - part) + np.float32(0.01)
    outside = np.maximum(np.maximum(-along, along - np.float32(length)), 0)
    return np.asarray(half - np.abs(across) - outside, np.float32)


def _join(first: Field, second: Field, reach: float) -> Field:
    """Return the union of two shapes with the corner between them filled, as flesh does."""
    part = np.clip(0.5 + (first - second) * np.float32(0.5 / reach), 0, 1)
    return np.asarray(second + (first - second) * part + np.float32(reach) * part * (1 - part), np.float32)


def _radial(
    rng: np.random.Generator, x: Field, y: Field, radius: float, waves: Mapping[int, float], *, exact: bool = False
) -> Field:
    """Draw a shape whose radius, by direction, is `radius` (1 + waves), scaled to fit."""
    around = np.linspace(0, 2 * math.pi, 512, endpoint=False)
    profile = np.ones(512)
    for count, strength in waves.items():
        size = strength if exact else strength * rng.normal()
        profile += size * np.cos(count * around + rng.uniform(0, 2 * math.pi))
    profile = np.maximum(profile, 0.25)
    profile = (profile * radius * 1.2 / max(profile.max(), 1.2)).astype(np.float32)
    direction = (np.arctan2(y, x) * np.float32(512 / (2 * math.pi))).astype(np.int32) & 511
    return np.asarray((profile[direction] - np.hypot(x, y)) * np.float32(0.85), np.float32)
