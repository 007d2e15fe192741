"""Promise M3: what a third value in masks means, from the files to the loss and the score."""

import json

import numpy as np
import pytest
import torch

from direct import Direct, batch_of, progress_at
from standout.data.batches import Augmentation, Batches
from standout.data.pairs import find_pairs
from standout.errors import StandoutError
from standout.images import read_mask, write_image, write_map
from standout.losses import TASKS
from standout.networks import build_network
from standout.train.build import build_strategy, build_task
from standout.train.held_out import HeldOutPictures
from standout.train.step import TrainingStep
from standout.train.validate import score

LABEL_STRATEGIES = ["virtual_teacher", "non_negative_feedback", "mean_squared", "label_smoothing"]


def trimap(path, number, unknown=128):
    """A disc whose surroundings nobody drew: 255 inside, 0 outside, a ring between."""
    random = np.random.default_rng(number)
    rows, columns = np.mgrid[:40, :48]
    distance = np.hypot(rows - random.uniform(16, 24), columns - random.uniform(18, 30))
    label = np.where(distance < 9, 255, np.where(distance < 14, unknown, 0)).astype(np.uint8)
    bright = np.where(distance < 11, 190, 40)[..., None] + random.normal(0, 12, (40, 48, 3))
    write_image(path / "images" / f"{number:02}.png", bright.clip(0, 255).astype(np.uint8))
    write_map(path / "masks" / f"{number:02}.png", label)


@pytest.fixture(scope="module")
def trimaps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trimaps")
    for number in range(12):
        trimap(folder, number)
    return folder


def gradient(step, batch):
    step.network.logits.grad = None
    terms = step(batch, progress_at())
    torch.stack(list(terms.values())).sum().backward()
    step.skip()
    return step.network.logits.grad.clone()


@pytest.mark.parametrize("strategy", [None, *LABEL_STRATEGIES])
@pytest.mark.parametrize("task", sorted(TASKS))
def test_m03_no_loss_asks_anything_of_pixels_that_are_not_known(task, strategy):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 40, 40, generator=generator, dtype=torch.float64)
    mask = (torch.rand(2, 1, 40, 40, generator=generator) > 0.5).double()
    known = torch.rand(2, 1, 40, 40, generator=generator) > 0.3
    strategies = [] if strategy is None else [build_strategy({"name": strategy})]
    step = TrainingStep(Direct(logits), strategies, task=build_task({"name": task}), samples=2)
    batch = batch_of(mask, torch.arange(2))._replace(known=known)

    found = gradient(step, batch)
    other = gradient(step, batch._replace(mask=torch.where(known, mask, 1 - mask)))

    assert (found[~known] == 0).all()
    assert (found[known] != 0).float().mean() > 0.7  # a hinge is flat beyond its margin
    assert torch.equal(found, other), "what stands at unknown pixels of the label reaches no loss"


def test_m03_known_pixels_of_a_loss_of_single_pixels_learn_as_if_all_were_known():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 1, 16, 16, generator=generator, dtype=torch.float64)
    mask = torch.rand(2, 1, 16, 16, generator=generator).double()
    known = torch.rand(2, 1, 16, 16, generator=generator) > 0.3
    step = TrainingStep(Direct(logits))

    whole, part = gradient(step, batch_of(mask)), gradient(step, batch_of(mask)._replace(known=known))

    torch.testing.assert_close(part, torch.where(known, whole, torch.zeros_like(whole)))


@pytest.mark.parametrize("rotation", [0, 20])
def test_m03_every_view_knows_where_its_label_speaks(trimaps, rotation):
    pairs = find_pairs(trimaps).pairs
    settings = {"size": 48, "batch": 6, "augmentation": Augmentation(rotation=rotation, scale=(0.9, 1.1))}
    ignoring = Batches(pairs, unknown="ignore", views=("other",), **settings)
    soft = Batches(pairs, views=("other",), **settings)

    for told, plain in zip(ignoring.epoch(0), soft.epoch(0), strict=True):
        for one, same in ((told, plain), (told.views["other"], plain.views["other"])):
            assert one.known.shape == one.mask.shape
            assert one.known.dtype == torch.bool
            assert torch.equal(one.image, same.image)
            assert torch.equal(one.mask, same.mask)
            assert same.known is None
            # All of the ring is unknown, and of the rest at most what lies at its edges.
            assert not one.known[(one.mask > 0.48) & (one.mask < 0.52)].any()
            assert one.known.float().mean() > 0.6
            assert one.known[one.mask > 0.999].float().mean() > 0.8


def test_m03_a_label_that_speaks_everywhere_costs_nothing(discs):
    batches = Batches(find_pairs(discs).pairs, size=32, batch=4, unknown="ignore")

    assert next(batches.epoch(0)).known is None


def test_m03_held_out_pictures_are_scored_where_their_label_speaks(trimaps):
    pairs = find_pairs(trimaps).pairs[:4]

    class Painted(torch.nn.Module):
        """Gives the true discs, and a wrong answer exactly where nobody knows."""

        def forward(self, image):
            masks = [read_mask(pair.mask).values for pair in pairs]
            wrong = np.stack([np.where(mask == 128, 255, mask) for mask in masks]).astype(np.float32)
            logits = torch.from_numpy(wrong)[:, None] / 255 * 40 - 20
            return type("Maps", (), {"logits": logits})()

    def mae(unknown):
        pictures = HeldOutPictures(
            pairs, size=32, batch=4, device=torch.device("cpu"), workers=0, warn=print, unknown=unknown
        )
        return score(Painted(), pictures)["mae"]

    assert mae("ignore") == 0
    assert mae("soft") > 0.05


def test_m03_a_run_ignores_or_refuses_and_says_so(small, warnings_of, trimaps, tmp_path):
    def run(name, unknown):
        tables = {"data": {"train": str(trimaps), "unknown": unknown}, "validation": {"split": 0.3}}
        return warnings_of(small(**tables, training={"epochs": 1}), tmp_path / name)

    run("ignoring", "ignore")
    run("soft", "soft")
    with pytest.raises(StandoutError, match=r"12 masks have a third value over an area: 0.*--unknown soft") as caught:
        run("refused", "refuse")

    assert caught.value.exit_code == 2
    assert not (tmp_path / "refused" / "manifest.json").exists()
    notes = [
        json.loads((tmp_path / name / "manifest.json").read_bytes())["data"]["notes"] for name in ("ignoring", "soft")
    ]
    assert "third value over an area; it counts as no label" in notes[0][0]
    assert "third value over an area; it counts as a half label" in notes[1][0]


def test_m03_masks_without_a_third_value_pass_where_it_is_refused(small, warnings_of, discs, tmp_path):
    recipe = small(data={"train": str(discs), "unknown": "refuse"}, training={"epochs": 1})

    assert warnings_of(recipe, tmp_path / "run")[0].finished


def test_m03_pyramid_trains_with_unknown_pixels():
    torch.manual_seed(0)
    network = build_network("tiny")
    step = TrainingStep(network, [build_strategy({"name": "pyramid"})])
    mask = torch.zeros(2, 1, 32, 32)
    known = torch.ones_like(mask, dtype=torch.bool)
    known[:, :, :16] = False
    batch = batch_of(mask)._replace(image=torch.rand(2, 3, 32, 32), known=known)

    terms = step(batch, progress_at())
    torch.stack(list(terms.values())).sum().backward()

    assert all(torch.isfinite(term) for term in terms.values())
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in step.parameters())
