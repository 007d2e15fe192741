"""Folders of generated maps and masks."""

import os
import subprocess
import sys

import numpy as np
from PIL import Image

from standout.images import resize

SIZES = {"ECSSD": 6, "PASCAL-S": 4}
"""The sets of `make_methods`, and how many masks each has."""


def write(path, pixels):
    """Write a picture without waiting for the disk, as `write_map` would: the tests make thousands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def shapes(random, height, width):
    """A mask of one ellipse, and a map that found it roughly; both uint8."""
    rows, columns = np.mgrid[0:height, 0:width]
    row, column = random.uniform(0.3, 0.7, 2) * (height, width)
    inside = ((rows - row) / (0.3 * height)) ** 2 + ((columns - column) / (0.25 * width)) ** 2
    mask = (inside < 1) * np.uint8(255)
    noise = resize(random.integers(0, 256, (4, 5)).astype(np.uint8), (height, width))
    found = np.clip(255 * np.exp(-(inside**2)) * 0.8 + 0.2 * noise, 0, 255).astype(np.uint8)
    return found, mask


def make_set(folder, count, seed=0, size=(24, 32)):
    """Write `count` maps to `folder/maps` and masks to `folder/masks`; return both folders."""
    random = np.random.default_rng(seed)
    for at in range(count):
        found, mask = shapes(random, *size)
        write(folder / "maps" / f"p{at:04}.png", found)
        write(folder / "masks" / f"p{at:04}.png", mask)
    return folder / "maps", folder / "masks"


def make_pictures(folder, count, seed=0, size=(30, 40)):
    """Write a data set of `count` pictures and masks in the layout `images/masks`; return its folder."""
    random = np.random.default_rng(seed)
    for at in range(count):
        found, mask = shapes(random, *size)
        picture = np.stack([found, 255 - found, random.integers(0, 256, size)], axis=2).astype(np.uint8)
        write(folder / "images" / f"p{at:04}.png", picture)
        write(folder / "masks" / f"p{at:04}.png", mask)
    return folder


def make_methods(folder, methods, sizes=None, size=(24, 32)):
    """Write masks to `folder/masks/SET` and maps to `folder/METHOD/SET`; a method's value says how noisy it is."""
    for data, count in (sizes or SIZES).items():
        for at in range(count):
            of_mask = np.random.default_rng([count, at])
            found, mask = shapes(of_mask, *size)
            write(folder / "masks" / data / f"p{at:04}.png", mask)
            for method, noise in methods.items():
                own = np.random.default_rng([at, *method.encode()]).integers(0, 256, size)
                levels = (1 - noise) * (0.5 * mask + 0.5 * found) + noise * own
                write(folder / method / data / f"p{at:04}.png", levels.astype(np.uint8))
    return folder


def sources(folder, methods="abc", sets=tuple(SIZES)):
    return [(name, folder / name) for name in methods], [(name, folder / "masks" / name) for name in sets]


def standout_eval(*arguments, wait=True):
    command = [sys.executable, "-m", "standout", "eval", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if not wait:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
