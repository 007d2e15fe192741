"""Sets to check, and what is found in them."""

import numpy as np
from data_sets import write
from PIL import Image
from test_perceptual import photo

from standout.data import check_data


def findings(*folders, **options):
    """Findings by code; a code that occurs for several sets has a list of all its files."""
    found = {}
    for one in check_data(folders, **options).findings:
        found.setdefault(one.code, []).extend(one.items or (one.message,))
    return found


def names(items):
    return [item.name for item in items]


def faults(*folders, **options):
    return {one.code for one in check_data(folders, **options).faults}


def photos(folder, first, count):
    """A set of pictures that differ at every scale, with discs as masks."""
    for number in range(first, first + count):
        write(folder / "images" / f"p{number}.png", photo(number))
        write(folder / "masks" / f"p{number}.png", disc(number))
    return folder


def disc(seed=0, rows=120, columns=160):
    y, x = np.mgrid[:rows, :columns]
    return (np.hypot(y - rows / 2, x - columns / 2 - seed % 9) < 30).astype(np.uint8) * np.uint8(255)


def smooth():
    return np.asarray(Image.fromarray(disc()).resize((80, 60)).resize((160, 120)))


def masks_of(folder, *masks):
    for number, mask in enumerate(masks):
        write(folder / "images" / f"{number}.png", photo(number))
        write(folder / "masks" / f"{number}.png", mask)
    return folder
