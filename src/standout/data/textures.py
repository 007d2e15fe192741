"""Surfaces composed by code: noise with a spectrum, a grain, a pattern, a relief and a palette.

Natural pictures have spectra that fall as a power of the frequency; everything here starts from such a field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

# Dark to light, sRGB. Grounds are what scenes are made of; coats are what stands out in front of them.
GROUNDS = {
    "grass": ((24, 38, 14), (62, 88, 30), (112, 138, 54), (176, 184, 98)),
    "forest": ((14, 24, 16), (40, 58, 32), (82, 92, 48), (148, 150, 92)),
    "leaves": ((36, 22, 12), (98, 58, 26), (158, 104, 48), (204, 164, 96)),
    "sand": ((104, 82, 58), (164, 136, 98), (202, 178, 136), (234, 216, 182)),
    "rock": ((40, 38, 38), (88, 84, 80), (132, 126, 118), (186, 182, 172)),
    "bark": ((30, 22, 18), (72, 54, 42), (116, 94, 74), (168, 148, 122)),
    "sea": ((8, 34, 52), (22, 74, 98), (62, 124, 142), (152, 196, 198)),
    "snow": ((128, 140, 158), (186, 196, 208), (222, 228, 234), (250, 250, 252)),
    "reef": ((34, 30, 48), (86, 62, 78), (148, 108, 98), (214, 184, 150)),
    "soil": ((28, 20, 16), (66, 48, 36), (104, 80, 60), (146, 120, 94)),
    "wall": ((126, 112, 98), (168, 154, 138), (198, 186, 172), (224, 216, 206)),
    "night": ((8, 10, 20), (24, 28, 44), (52, 58, 78), (104, 108, 124)),
}
SKIES = {
    "blue": ((70, 120, 178), (124, 168, 212), (176, 206, 232), (232, 240, 246)),
    "grey": ((126, 132, 140), (160, 166, 172), (192, 196, 200), (226, 228, 230)),
    "dusk": ((84, 62, 92), (170, 104, 100), (226, 158, 112), (248, 214, 166)),
}
COATS = {
    "fox": ((74, 32, 12), (168, 82, 28), (214, 130, 58), (242, 206, 164)),
    "white": ((128, 124, 120), (190, 188, 184), (228, 226, 222), (252, 251, 248)),
    "black": ((8, 8, 10), (26, 24, 26), (48, 46, 48), (96, 94, 98)),
    "red": ((74, 6, 10), (156, 20, 24), (206, 48, 42), (240, 128, 104)),
    "yellow": ((120, 74, 4), (208, 150, 16), (244, 200, 48), (254, 236, 150)),
    "blue": ((8, 20, 74), (24, 62, 148), (60, 116, 204), (158, 196, 238)),
    "pink": ((110, 26, 66), (196, 70, 122), (234, 128, 168), (250, 206, 222)),
    "brown": ((38, 22, 12), (92, 58, 34), (146, 102, 66), (206, 172, 132)),
    "green": ((10, 52, 18), (28, 118, 42), (90, 178, 66), (190, 228, 132)),
    "violet": ((36, 14, 72), (86, 48, 148), (142, 98, 202), (212, 186, 240)),
    "teal": ((4, 50, 54), (14, 112, 112), (64, 172, 162), (176, 226, 214)),
    "zebra": ((10, 10, 12), (16, 16, 18), (226, 222, 214), (250, 248, 242)),
}
FORMS = ("plain", "billow", "ridge", "spots", "stripes")


@dataclass(frozen=True)
class Texture:
    """What a surface looks like; lengths and frequencies go by the picture's shorter side.

    palette : (4, 3), dark to light, 0..1.
    slope : of the spectrum; 1 is rough, 3 is smooth.
    cells : coarsest features along the shorter side.
    stretch : length of the grain over its width, at least 1.
    angle : direction of the grain in radians.
    form : "plain", "billow" (cushions with dark creases), "ridge", "spots" or "stripes".
    relief : how strongly light from the side shows the surface's height.
    bend : how far a slow field bends the grain, in parts of the shorter side.
    """

    palette: Field
    slope: float = 1.8
    cells: float = 6.0
    stretch: float = 1.0
    angle: float = 0.0
    form: str = "plain"
    relief: float = 0.2
    bend: float = 0.0

    def turned(self, angle: float) -> Texture:
        """Return the same texture with its grain turned by `angle` radians."""
        return replace(self, angle=self.angle + angle)


def palette(colours: tuple[tuple[int, int, int], ...], rng: np.random.Generator, jitter: float = 0.06) -> Field:
    """Return the colours as (4, 3) in 0..1, with brightness, warmth and tint moved by about `jitter`."""
    table = np.asarray(colours, np.float32) / 255
    warmth, tint, light = rng.normal(0, jitter, 3)
    return np.asarray(
        np.clip(table * (1 + light) * (1 + np.asarray([warmth, tint / 2, -warmth], np.float32)), 0, 1), np.float32
    )


def random_texture(colours: Field, rng: np.random.Generator) -> Texture:
    """Return one of the natural surfaces in these colours: meadow, fur, wood, rock, foliage, sand, coat patterns."""
    angle = rng.uniform(0, math.pi)
    kind = rng.integers(7)
    if kind == 0:  # grass and fur: long thin strokes that bend
        return Texture(
            colours, rng.uniform(1.2, 1.7), rng.uniform(5, 12), rng.uniform(3, 7), angle, "plain", 0.35, 0.08
        )
    if kind == 1:  # wood and bark
        form = "stripes" if rng.random() < 0.5 else "ridge"
        return Texture(colours, 1.9, rng.uniform(3, 7), rng.uniform(4, 8), angle, form, 0.3, 0.05)
    if kind == 2:  # rock
        return Texture(colours, rng.uniform(1.8, 2.3), rng.uniform(2, 6), rng.uniform(1, 2), angle, "ridge", 0.7)
    if kind == 3:  # foliage, pebbles
        return Texture(
            colours, rng.uniform(2.1, 2.8), rng.uniform(8, 18), rng.uniform(1, 1.8), angle, "billow", 0.6, 0.04
        )
    if kind == 4:  # sand, soil, moss: fine and even
        return Texture(colours, rng.uniform(1.0, 1.5), rng.uniform(8, 24), rng.uniform(1, 2), angle, "plain", 0.45)
    if kind == 5:  # coats and corals
        return Texture(
            colours, rng.uniform(2.4, 3.2), rng.uniform(7, 16), rng.uniform(1, 2.5), angle, "spots", 0.15, 0.03
        )
    return Texture(
        colours, rng.uniform(2.0, 2.6), rng.uniform(1.5, 4), rng.uniform(1, 2), angle, "plain", 0.15
    )  # clouds


def paint(
    texture: Texture,
    rng: np.random.Generator,
    size: tuple[int, int],
    scale: float,
    *,
    blur: float = 0.0,
    light: tuple[float, float] = (-0.7, -0.7),
    drift: Field | None = None,
) -> Field:
    """Return a picture (H, W, 3) of the surface, about 0..1.

    Parameters
    ----------
    scale : pixels of the picture's shorter side, which `texture` counts in.
    blur : deviation of the defocus in pixels.
    light : direction (down, right) that the light comes from.
    drift : (H, W) slow change of brightness along the palette; a new one when None.
    """
    height = surface(texture, rng, size, scale, blur=blur)
    if drift is None:
        drift = slow_field(rng, size, scale)
    place = 0.5 + 0.2 * height + 0.09 * drift
    # A table of 256 steps: interpolating every pixel in three channels would take half of the scene's time.
    steps = np.linspace(0, len(texture.palette) - 1, 256)
    below = np.minimum(steps.astype(int), len(texture.palette) - 2)
    part = (steps - below)[:, None].astype(np.float32)
    table = texture.palette[below] * (1 - part) + texture.palette[below + 1] * part
    picture: Field = table[np.clip(place * 255, 0, 255).astype(np.uint8)]
    if texture.relief:
        picture *= relief(height, texture.relief * 10 / texture.cells**0.5 * scale / 192, light)[..., None]
    return picture


def surface(
    texture: Texture, rng: np.random.Generator, size: tuple[int, int], scale: float, *, blur: float = 0.0
) -> Field:
    """Return the texture's height (H, W), mean about 0 and deviation about 1."""
    height = field(
        rng, size, scale, texture.slope, texture.cells, stretch=texture.stretch, angle=texture.angle, blur=blur
    )
    if texture.bend:
        height = bent(height, rng, scale, texture.bend)
    if texture.form == "billow":
        return np.float32(1.6) * (np.abs(height) - np.float32(0.8))
    if texture.form == "ridge":
        return np.float32(0.8) - np.float32(1.4) * np.abs(height) + np.float32(0.3) * height
    if texture.form == "spots":
        sharp = 1.2 + 2.5 / (1 + blur)
        return np.asarray(np.tanh(sharp * (height - np.float32(0.25))) + np.float32(0.15) * height, np.float32)
    if texture.form == "stripes":
        across = np.float32(texture.cells * 2 * math.pi / scale)
        y, x = np.ogrid[: size[0], : size[1]]
        phase = (np.cos(texture.angle) * y - np.sin(texture.angle) * x).astype(np.float32) * across
        fade = math.exp(-0.5 * (blur * float(across)) ** 2)
        waves = np.float32(fade) * np.sin(phase + np.float32(1.7) * height)
        return np.asarray(waves + np.float32(0.3) * height, np.float32)
    return height


def field(
    rng: np.random.Generator,
    size: tuple[int, int],
    scale: float,
    slope: float,
    cells: float,
    *,
    stretch: float = 1.0,
    angle: float = 0.0,
    blur: float = 0.0,
) -> Field:
    """Return noise (H, W) of mean 0 and deviation 1 whose amplitude falls as frequency to the power -`slope`.

    Parameters
    ----------
    scale : pixels of the length that `cells` counts in.
    cells : frequency below which the spectrum is flat.
    stretch, angle : length over width of the grain, and its direction in radians.
    blur : deviation of a Gaussian blur in pixels.
    """
    # Round sizes transform fast, and the cut takes away the wrap-around of opposite borders.
    rows, columns = (-(-length // 32) * 32 for length in size)
    down, right, square = _frequencies(rows, columns)
    cosine, sine = math.cos(angle), math.sin(angle)
    along = (right * cosine + down * sine) * np.float32(stretch)
    across = down * cosine - right * sine
    power = (along * along + across * across) * np.float32(scale**2) + np.float32(cells**2)
    log_amplitude = np.float32(-slope / 2) * np.log(power)
    if blur:
        log_amplitude -= np.float32(2 * (math.pi * blur) ** 2) * square
    noise = rng.standard_normal((rows, right.shape[1], 2), np.float32).view(np.complex64)[..., 0]
    noise *= np.exp(log_amplitude - log_amplitude.max())
    noise[0, 0] = 0
    result = np.fft.irfft2(noise, (rows, columns))[: size[0], : size[1]].astype(np.float32)
    result -= result.mean()
    return result / np.float32(max(float(result.std()), 1e-6))


def slow_field(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Field:
    """Return a smooth field (H, W) of deviation about 1: a few waves across the picture."""
    y = np.arange(size[0], dtype=np.float32)[:, None] * np.float32(2 * math.pi / scale)
    x = np.arange(size[1], dtype=np.float32)[None] * np.float32(2 * math.pi / scale)
    total = np.zeros(size, np.float32)
    for down, right, phase in rng.uniform((-1.2, -1.2, 0), (1.2, 1.2, 2 * math.pi), (4, 3)).astype(np.float32):
        # A wave over a sum of angles is two products of vectors: nothing is computed per pixel but the product.
        total += np.sin(down * y + phase) * np.cos(right * x) + np.cos(down * y + phase) * np.sin(right * x)
    return total / np.float32(math.sqrt(2))


def bent(height: Field, rng: np.random.Generator, scale: float, amount: float) -> Field:
    """Return the field read at places moved by up to about `amount` parts of the scale, smoothly."""
    rows, columns = height.shape
    shift = slow_field(rng, height.shape, scale / 2) * np.float32(amount * scale)
    other = slow_field(rng, height.shape, scale / 2) * np.float32(amount * scale)
    y = np.arange(rows, dtype=np.float32)[:, None] + shift
    x = np.arange(columns, dtype=np.float32)[None] + other
    # Mirrored at the borders, so that no seam shows.
    y = np.abs(y.astype(np.int32))
    x = np.abs(x.astype(np.int32))
    y = np.where(y >= rows, 2 * rows - 1 - y, y).clip(0, rows - 1)
    x = np.where(x >= columns, 2 * columns - 1 - x, x).clip(0, columns - 1)
    return np.asarray(height[y, x], np.float32)


def relief(height: Field, strength: float, light: tuple[float, float]) -> Field:
    """Return the factor (H, W), about 1, by which light from `light` (down, right) brightens slopes that face it."""
    shade = np.ones_like(height)
    # A slope that rises away from the light's side faces it.
    shade[1:] -= np.float32(0.08 * strength * light[0]) * np.diff(height, axis=0)
    shade[:, 1:] -= np.float32(0.08 * strength * light[1]) * np.diff(height, axis=1)
    return np.asarray(np.clip(shade, 0.35, 1.7), np.float32)


@lru_cache(maxsize=64)
def _frequencies(rows: int, columns: int) -> tuple[Field, Field, Field]:
    down = np.fft.fftfreq(rows).astype(np.float32)[:, None]
    right = np.fft.rfftfreq(columns).astype(np.float32)[None]
    return down, right, down * down + right * right
