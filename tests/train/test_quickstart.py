"""The main job on generated scenes, small."""

import json

import pytest

from standout.errors import StandoutError
from standout.images import read_image
from standout.train.quickstart import quickstart


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart") / "made"
    lines = []
    return quickstart(folder, pictures=40, test_pictures=15, epochs=1, say=lines.append), lines


def test_it_scores_the_plain_and_the_distilled_network_at_both_scales(made):
    labels = [(row.label, row.sharpness == 1) for row in made[0].scored]

    assert labels[0] == ("plain", True)
    assert ("distilled", True) in labels
    assert len(labels) >= 2
    assert all(0 <= row.measures["mae"] <= 1 for row in made[0].scored)


def test_everything_that_it_names_is_there(made):
    folder = made[0].folder
    table = json.loads((folder / "table.json").read_text())

    assert table["protocol"] == "pysodmetrics-1.6.2"
    assert [row["label"] for row in table["rows"]] == [row.label for row in made[0].scored]
    assert "| plain" in (folder / "table.md").read_text()
    assert len(list((folder / "maps").glob("*.png"))) == len(list((folder / "cutouts").glob("*.png"))) > 5
    assert read_image(folder / "grid.png").pixels.shape[1] > 4 * 200
    for name in ("plain", "distilled"):
        assert (folder / name / "model.safetensors").is_file()


def test_the_two_networks_cost_the_same_when_they_run(made):
    parameters = [
        json.loads((made[0].folder / name / "manifest.json").read_text())["parameters"]["network"]
        for name in ("plain", "distilled")
    ]

    assert parameters[0] == parameters[1]


def test_run_again_it_keeps_what_is_finished(made):
    folder = made[0].folder
    before = {path: path.stat().st_mtime_ns for path in (folder / "maps").glob("*.png")}
    model = (folder / "plain" / "model.safetensors").read_bytes()

    again = quickstart(folder, pictures=40, test_pictures=15, epochs=1)

    assert [row.measures for row in again.scored] == [row.measures for row in made[0].scored]
    assert (folder / "plain" / "model.safetensors").read_bytes() == model
    assert {path: path.stat().st_mtime_ns for path in (folder / "maps").glob("*.png")} == before


def test_other_settings_in_the_same_folder_are_refused(made):
    with pytest.raises(StandoutError, match="holds 40 scenes, not 41"):
        quickstart(made[0].folder, pictures=41, test_pictures=15, epochs=1)
    with pytest.raises(StandoutError, match="seed"):
        quickstart(made[0].folder, pictures=40, test_pictures=15, epochs=1, seed=5)
