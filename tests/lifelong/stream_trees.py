"""Generated trees of small pictures, laid out as the streams' folders."""

import numpy as np

from standout.images import write_image

COLOURS = {"cup": (200, 40, 40), "shoe": (40, 180, 60), "spoon": (50, 60, 210), "mug": (190, 180, 40)}


def picture(colour, seed, side=32, background=(90, 90, 90)):
    """A disc of a colour, anywhere, on a noisy background."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    centre, radius = random.uniform(0.35, 0.65, 2) * side, random.uniform(0.2, 0.32) * side
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    pixels = np.where(inside[..., None], np.array(colour), np.array(background)) + random.normal(0, 12, (side, side, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def fill(folder, colour, count, seed=0, **options):
    """Write `count` pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        write_image(folder / f"{number:03}.png", picture(colour, seed * 1000 + number, **options))


def domains(root, names=("home", "office", "street"), classes=("cup", "shoe", "spoon"), count=10, **options):
    """EXPERIENCE/CLASS/*.png, each experience on another background."""
    backgrounds = [(90, 90, 90), (220, 220, 200), (20, 30, 60), (120, 160, 120)]
    for number, name in enumerate(names):
        for kind, label in enumerate(classes):
            fill(
                root / name / label, COLOURS[label], count, seed=10 * number + kind,
                background=backgrounds[number], **options,
            )  # fmt: skip
    return root


SMALL = {
    "network": {"name": "sdkd_tiny", "options": {"refine": "sigmoid"}},
    "training": {
        "epochs": 2, "batch": 4, "size": 32, "threads": 1, "workers": 1, "log_steps": 1, "ratio_steps": 2,
        "save_minutes": 0, "cache_mebibytes": 4,
    },
    "optimiser": {"name": "sgd", "rate": 0.02},
    "schedule": {"name": "constant"},
}  # fmt: skip
MEMORY = 8 * 3 * 32 * 32
"""Eight pictures."""
REMEMBERING = ("derpp", "latent_replay", "replay", "sdkd_replay")


def settings_for(method, **tables):
    """Return small settings that a method takes."""
    network = {"name": "tiny"} if method == "sdkd_without_saliency" else SMALL["network"]
    memory = {"bytes": MEMORY if method in REMEMBERING else 0}
    made = {**SMALL, "network": network, "memory": memory}
    return {**made, **{name: {**made.get(name, {}), **table} for name, table in tables.items()}}
