"""A small data set that can be learnt: bright discs on dark, noisy ground, with soft borders."""

import numpy as np
import pytest
import torch

from standout.images import write_image, write_map
from standout.train.loop import train
from standout.train.recipe import check_recipe


def draw_disc(random, height=40, width=48):
    rows, columns = np.mgrid[:height, :width]
    centre, radius = (random.uniform(12, height - 12), random.uniform(12, width - 12)), random.uniform(6, 12)
    distance = np.hypot(rows - centre[0], columns - centre[1])
    mask = np.clip(radius - distance + 0.5, 0, 1)
    colour, ground = random.uniform(140, 255, 3), random.uniform(0, 110, 3)
    image = mask[..., None] * colour + (1 - mask[..., None]) * ground + random.normal(0, 12, (height, width, 3))
    return np.clip(image, 0, 255).astype(np.uint8), np.rint(mask * 255).astype(np.uint8)


def write_discs(folder, count, seed=0):
    random = np.random.default_rng(seed)
    for number in range(count):
        image, mask = draw_disc(random)
        write_image(folder / "images" / f"disc{number:03}.png", image)
        write_map(folder / "masks" / f"disc{number:03}.png", mask)
    return folder


@pytest.fixture(scope="session")
def discs(tmp_path_factory):
    """26 pairs: 22 to train on and 4 held out."""
    return write_discs(tmp_path_factory.mktemp("discs"), 26)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


SMALL = {
    "network": {"name": "tiny"},
    "training": {"epochs": 2, "batch": 4, "size": 32, "workers": 1, "ema": 0.9, "log_steps": 1, "threads": 1},
    "validation": {"split": 0.15},
    "optimiser": {"name": "adamw", "rate": 0.01, "backbone_factor": 1.0},
    "schedule": {"name": "cosine"},
}


def merged(first, second):
    both = dict(first)
    for key, value in second.items():
        both[key] = merged(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both


@pytest.fixture
def small(discs):
    """Return a recipe for a run of two epochs of five steps, changed by nested tables."""

    def make(**tables):
        return check_recipe(merged({**SMALL, "data": {"train": str(discs)}}, tables))

    return make


@pytest.fixture
def warnings_of():
    """Run `train` and return its outcome and its warnings."""

    def run(recipe, output, **options):
        warned = []
        return train(recipe, output, warn=warned.append, **options), warned

    return run
