"""What a run and its model say of themselves: no local path, the shares kept, the masks' findings, the licence."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from standout.errors import StandoutError
from standout.files import Ledger
from standout.images import write_image, write_map
from standout.weights import read_model


def test_a_model_file_tells_no_path_of_the_machine_that_made_it(small, warnings_of, discs, tmp_path):
    names = tmp_path / "held.txt"
    names.write_text("disc000\ndisc001\n")
    recipe = small(validation={"split": str(names)}, training={"epochs": 1})
    outcome, _ = warnings_of(recipe, tmp_path / "run")
    content = outcome.finished.model.read_bytes()
    assert str(discs).encode() not in content
    assert str(discs.parent).encode() not in content
    assert str(tmp_path).encode() not in content
    told = read_model(outcome.finished.model)[1]["training"]["recipe"]
    assert told["data"]["train"] == discs.name
    assert told["validation"]["split"] == "held.txt"
    # the run itself, which stays on the machine, keeps where its data lie
    assert str(discs) in (tmp_path / "run" / "recipe.toml").read_text()


def test_the_share_of_pixels_kept_is_logged_for_each_epoch_and_in_the_manifest(small, warnings_of, tmp_path):
    dropout = {"name": "dynamic_dropout", "rule": "quantile", "inner": {"name": "virtual_teacher"}}
    recipe = small(strategies=[dropout], training={"epochs": 2}, validation={"split": 0.0})
    warnings_of(recipe, tmp_path / "run")
    epochs = [line for line in Ledger(tmp_path / "run" / "metrics.jsonl").read() if line["kind"] == "epoch"]
    kept = [line["strategies"]["dynamic_dropout.kept"] for line in epochs]
    assert len(kept) == 2
    assert all(0.5 <= share <= 1 for share in kept)  # quantile drops half of the pixels at most
    assert min(kept) < 1
    # going on with what is done makes no step, and the manifest still tells of the last epoch
    for resume in (False, True):
        if resume:
            warnings_of(recipe, tmp_path / "run", resume=True)
        manifest = json.loads((tmp_path / "run" / "manifest.json").read_bytes())
        assert manifest["strategies"] == {"dynamic_dropout.kept": kept[-1]}


def test_the_licence_of_the_weights_stands_in_the_model_file(small, warnings_of, tmp_path):
    outcome, _ = warnings_of(small(training={"licence": "CC-BY-NC-4.0", "epochs": 1}), tmp_path / "run")
    assert read_model(outcome.finished.model)[1]["licence"] == "CC-BY-NC-4.0"


def notes_of(folder):
    return json.loads((folder / "manifest.json").read_bytes())["data"]["notes"]


def test_m07_m10_what_the_masks_show_is_said_and_recorded_before_the_first_step(small, warnings_of, tmp_path):
    ground, edge = np.zeros((40, 48), np.uint8), np.zeros((40, 48), np.uint8)
    ground[15:25, 15:30] = 255
    for number in range(10):
        write_image(tmp_path / "data" / "images" / f"{number}.png", np.full((40, 48, 3), 20 * number, np.uint8))
        write_map(tmp_path / "data" / "masks" / f"{number}.png", edge if number == 3 else 255 - ground)
    recipe = small(data={"train": str(tmp_path / "data")}, training={"epochs": 1}, validation={"split": 0.0})
    warnings_of(recipe, tmp_path / "run")
    inverted, empty = notes_of(tmp_path / "run")
    assert inverted.startswith("9 of 10 masks look inverted")
    assert empty == "1 mask is empty: 3"


@pytest.fixture
def two_classes(tmp_path):
    """Eight pictures whose masks hold two objects, of grey values 1 and 2; the second one alone is bright."""
    random = np.random.default_rng(0)
    for number in range(8):
        image, label = random.integers(0, 60, (40, 48, 3)).astype(np.uint8), np.zeros((40, 48), np.uint8)
        label[2:18, 2:46], label[20:38, 22:44] = 1, 2
        image[label == 2] += 180
        write_image(tmp_path / "classes" / "images" / f"{number}.png", image)
        write_palette_mask(tmp_path / "classes" / "masks" / f"{number}.png", label)
    return tmp_path / "classes"


def write_palette_mask(path, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(label, "P")
    picture.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30])
    picture.save(path)


def test_m02_masks_of_several_classes_are_refused_before_training_without_a_class(small, warnings_of, two_classes):
    with pytest.raises(StandoutError, match=r"0\.png.*--class"):
        warnings_of(small(data={"train": str(two_classes)}), two_classes / "run")
    assert not (two_classes / "run" / "manifest.json").exists()


def test_m02_the_named_class_is_what_is_learnt_and_scored(small, warnings_of, two_classes):
    data = {"train": str(two_classes), "mask_class": 2}
    recipe = small(data=data, validation={"split": 0.25}, training={"epochs": 40, "batch": 3})
    outcome, _ = warnings_of(recipe, two_classes / "run")
    # Of both classes together the named one is a third, of the other one it holds nothing.
    assert outcome.finished.scores["iou"] > 0.6


def test_d07_a_test_set_that_shares_a_picture_is_refused_by_name(small, warnings_of, discs, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "other" / folder).mkdir(parents=True)
        shutil.copy(discs / folder / "disc007.png", tmp_path / "other" / folder / "renamed.png")
    data = {"train": str(discs), "test": str(tmp_path / "other")}
    with pytest.raises(StandoutError, match=r"1 pictures to test on.*renamed \(as disc007\).*--allow-overlap"):
        warnings_of(small(data=data), tmp_path / "refused")
    recipe = small(data={**data, "allow_overlap": True}, training={"epochs": 1})
    warnings_of(recipe, tmp_path / "allowed")
    assert "renamed (as disc007)" in notes_of(tmp_path / "allowed")[0]


def test_d07_a_copy_that_was_encoded_again_is_refused_where_pictures_are_compared_by_look(
    small, warnings_of, discs, tmp_path
):
    for folder in ("images", "masks"):
        (tmp_path / "other" / folder).mkdir(parents=True)
    shutil.copy(discs / "masks" / "disc007.png", tmp_path / "other" / "masks" / "copy.png")
    picture = Image.open(discs / "images" / "disc007.png")
    picture.save(tmp_path / "other" / "images" / "copy.jpg", quality=90)
    data = {"train": str(discs), "test": str(tmp_path / "other")}
    warnings_of(small(data=data, training={"epochs": 1}), tmp_path / "exact")
    with pytest.raises(StandoutError, match=r"pictures to test on.*copy \(as disc007\).*--allow-overlap"):
        warnings_of(small(data={**data, "overlap": "perceptual"}), tmp_path / "refused")
