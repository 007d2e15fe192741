"""Small real data sets on disk for the tests of the data room."""

import io

import numpy as np
from PIL import Image


def scene(rows=40, columns=56, seed=0):
    """Return a smooth picture (rows, columns, 3) and its soft mask, both uint8 and of one shape."""
    y, x = np.mgrid[:rows, :columns].astype(float)
    random = np.random.default_rng(seed)
    centre_y, centre_x = random.uniform(0.3, 0.7) * rows, random.uniform(0.3, 0.7) * columns
    distance = np.hypot(y - centre_y, x - centre_x)
    mask = np.clip((min(rows, columns) / 4 - distance) / 4 + 0.5, 0, 1)
    base = np.stack([x / columns, y / rows, (x + y) / (rows + columns)], axis=2)
    picture = base * 0.6 + mask[..., None] * random.uniform(0.1, 0.4, 3)
    return np.rint(picture * 255).astype(np.uint8), np.rint(mask * 255).astype(np.uint8)


def encoded(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def write(path, pixels, kind="PNG", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(pixels, kind, **options))
    return path


def make_set(folder, names, *, images="images", masks="masks", rows=40, columns=56):
    """Write a picture and a mask for each name; return the folder."""
    for number, name in enumerate(names):
        picture, mask = scene(rows, columns + number % 5, seed=number)
        write(folder / images / f"{name}.png", picture)
        write(folder / masks / f"{name}.png", mask)
    return folder


def touch(folder, *files):
    """Make empty files, where only names matter."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder
