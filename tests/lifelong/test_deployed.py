"""A learnt recogniser in use: answers for pictures, as one ONNX file, and side by side with others."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from stream_trees import COLOURS, fill, settings_for

from standout.cli import run
from standout.errors import StandoutError
from standout.evaluate.plots import COLOURS as LINES
from standout.images import read_image, write_image
from standout.lifelong import AccuracyMatrix, build_recogniser, learn, read_results
from standout.lifelong.compare import Compared, labelled
from standout.lifelong.deployed import ObjectRecogniser, deployed
from standout.lifelong.export import export_recogniser, same_answers
from standout.lifelong.model import read_recogniser, write_recogniser
from standout.lifelong.plot import PUBLISHED, plot_accuracy, plot_experiences, plot_matrices
from standout.lifelong.sheet import costs_of, score_sheet
from standout.models import read_graph


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A saliency recogniser and a plain one, untrained."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for name in ("sdkd_tiny", "tiny"):
        write_recogniser(folder / f"{name}.safetensors", build_recogniser(name, ["cup", "shoe", "mug"]), size=32)
    return folder


@pytest.fixture(scope="module")
def runs(growing, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    for method, seed in (("naive", 0), ("naive", 1), ("replay", 0)):
        settings = {**settings_for(method, training={"epochs": 1}), "seed": seed}
        learn(growing, method, folder / f"{method}-{seed}", settings=settings)
    return folder


@pytest.fixture
def photo(tmp_path):
    fill(tmp_path / "photos", COLOURS["cup"], 2, side=48)
    return tmp_path / "photos" / "000.png"


@pytest.mark.parametrize("name", ["sdkd_tiny", "tiny"])
def test_an_answer_has_a_class_its_probability_and_where(name, models, photo):
    recogniser = ObjectRecogniser(models / f"{name}.safetensors")
    answer = recogniser.recognise(photo)
    network, _ = read_recogniser(models / f"{name}.safetensors")

    from standout.images import resize

    small = resize(read_image(photo).pixels, (32, 32)).transpose(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = network(torch.from_numpy(small.astype(np.float32))).scores.softmax(1)[0]
    assert recogniser.classes == ("cup", "shoe", "mug")
    assert answer.label == recogniser.classes[int(expected.argmax())]
    assert answer.confidence == max(answer.probabilities.values()) == next(iter(answer.probabilities.values()))
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.confidence == pytest.approx(float(expected.max()), abs=1e-6)
    if name == "tiny":
        assert answer.map is None
    else:
        assert answer.map.shape == (48, 48)
        assert 0 <= answer.map.min() < answer.map.max() <= 1


@pytest.fixture(scope="module")
def graphs(models):
    """Both recognisers, exported: the one by the function, whose facts are kept, the other by the command."""
    with pytest.raises(SystemExit) as left:
        run(["lifelong", "export", str(models / "tiny.safetensors"), "--output", str(models / "tiny.onnx")])
    assert left.value.code == 0
    return {"sdkd_tiny": export_recogniser(models / "sdkd_tiny.safetensors", models / "sdkd_tiny.onnx")}


@pytest.mark.parametrize("name", ["sdkd_tiny", "tiny"])
def test_an_exported_recogniser_answers_alike_without_torch(name, models, graphs, photo):
    path = models / f"{name}.onnx"
    if name in graphs:
        assert graphs[name].bytes == path.stat().st_size
        assert graphs[name].proof.probability <= 1e-4
        assert graphs[name].proof.map <= 1e-3
    graph = read_graph(path, output="scores")
    assert graph.outputs == (("scores",) if name == "tiny" else ("scores", "map"))
    assert graph.metadata["classes"] == ["cup", "shoe", "mug"]
    one = ObjectRecogniser(models / f"{name}.safetensors").recognise(photo)
    other = ObjectRecogniser(path).recognise(photo)
    assert other.label == one.label
    assert other.confidence == pytest.approx(one.confidence, abs=1e-4)
    with pytest.raises(StandoutError, match="file exists already"):
        export_recogniser(models / f"{name}.safetensors", path)


def test_the_command_answers_from_a_graph(models, graphs, photo, capsys):
    with pytest.raises(SystemExit) as left:
        run(["lifelong", "predict", str(photo.parent), "--model", str(graphs["sdkd_tiny"].path), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (left.value.code, document["failed"], len(document["answers"])) == (0, 0, 2)
    assert all(sum(a["probabilities"].values()) == pytest.approx(1) for a in document["answers"])


def test_a_graph_that_says_something_else_is_caught(models, graphs):
    network, _ = read_recogniser(models / "tiny.safetensors")
    with torch.no_grad():
        network.classifier.bias[1] += 0.01
    with pytest.raises(StandoutError, match=r"exported graph differs from the recogniser: .*scores by"):
        same_answers(deployed(network), (models / "tiny.onnx").read_bytes(), "m.onnx", [(32, 32)])


def test_a_graph_may_differ_as_much_as_the_recogniser_rounds(tmp_path):
    """Two scores of millions that nearly agree: their last digits decide, in the recogniser as in its graph."""
    torch.manual_seed(0)
    network = build_recogniser("tiny", ["cup", "shoe"]).eval()
    with torch.no_grad():
        network.classifier.weight.copy_(1e6 * network.classifier.weight[:1].abs() + torch.rand(2, 32))
    path = write_recogniser(tmp_path / "steep.safetensors", network, size=32)
    found = export_recogniser(path, tmp_path / "steep.onnx")

    assert found.proof.probability > 1e-4
    with torch.no_grad():
        network.classifier.weight[1] += 20
    with pytest.raises(StandoutError, match="exported graph differs from the recogniser"):
        same_answers(deployed(network), (tmp_path / "steep.onnx").read_bytes(), "m.onnx", [(32, 32)])


def test_a_file_that_is_no_recogniser_is_refused(tmp_path):
    from standout.networks import build_network
    from standout.weights import write_model

    write_model(tmp_path / "m.safetensors", build_network("tiny"), size=32)
    with pytest.raises(StandoutError, match="model file is no recogniser"):
        ObjectRecogniser(tmp_path / "m.safetensors")
    with pytest.raises(StandoutError, match="there is no such recogniser"):
        ObjectRecogniser(tmp_path / "nothing")


def test_runs_of_one_recipe_are_averaged_over_seeds(runs):
    found = labelled([str(path) for path in sorted(runs.iterdir())] + [f"mine={runs / 'naive-0'}"])

    assert list(found) == ["naive on sdkd_tiny", "replay on sdkd_tiny with 0.02 MiB", "mine"]
    compared = Compared(found)
    text = compared.text("markdown")
    first, second = (read_results(runs / f"naive-{seed}")[0].summary()["accuracy_gem"] for seed in (0, 1))
    assert f"| naive on sdkd_tiny | {(first + second) / 2:.4f} ± {abs(first - second) / 2**0.5:.4f} |" in text
    assert text.count("OpenLORIS convention") == text.count("GEM convention") == 1


def test_runs_that_differ_in_more_than_seed_and_order_are_not_averaged(runs, tmp_path):
    def other(name, change):
        folder = tmp_path / name
        shutil.copytree(runs / "naive-0", folder)
        document = json.loads((folder / "results.json").read_text())
        change(document["recipe"])
        (folder / "results.json").write_text(json.dumps(document))
        return str(folder)

    def faster(recipe):
        recipe["optimiser"]["rate"] = 0.04

    def sod(recipe):
        recipe["network"]["options"]["sal_init"] = "sod"

    def elsewhere(recipe):
        recipe["stream"] |= {"path": "/nowhere", "order": ["street", "office", "home"]}
        recipe["seed"] = 7

    same = [str(runs / "naive-0"), str(runs / "naive-1"), other("elsewhere", elsewhere)]
    assert labelled(same) == {"naive on sdkd_tiny": same}
    one, another = other("faster", faster), other("sod", sod)
    words = "naive on sdkd_tiny, network.options.sal_init={}, optimiser.rate={}".format
    expected = {words("imagenet", 0.02): same, words("imagenet", 0.04): [one], words("sod", 0.02): [another]}
    assert labelled([*same, one, another]) == expected
    assert list(labelled([f"mine={one}", another])) == ["mine", "naive on sdkd_tiny"]


def test_runs_that_met_other_experiences_are_not_averaged(runs, tmp_path):
    """Two streams of as many experiences: nothing in the recipe tells them apart but the folder, which may move."""
    other = tmp_path / "other"
    shutil.copytree(runs / "naive-0", other)
    document = json.loads((other / "results.json").read_text())
    document["experiences"][0] = "cellar"
    document["recipe"]["stream"]["path"] = "/some/flat"
    (other / "results.json").write_text(json.dumps(document))
    here = Path(document_of(runs / "naive-0")["recipe"]["stream"]["path"]).name

    found = labelled([str(runs / "naive-0"), str(runs / "naive-1"), str(other)])
    assert {label: len(folders) for label, folders in found.items()} == {
        f"naive on sdkd_tiny, stream={here}": 2, "naive on sdkd_tiny, stream=flat": 1,
    }  # fmt: skip
    compared = Compared(found)
    assert [note[:30] for note in compared.notes] == [
        "runs met different experiences",
        "experiences or their orders di",
    ]
    with pytest.raises(StandoutError, match="runs of one label met other experiences: mine"):
        Compared({"mine": [runs / "naive-0", other]})
    with pytest.raises(StandoutError, match="label is empty"):
        labelled([f"={other}"])
    assert Compared(labelled([str(runs / "naive-0")])).notes == []


def test_l02_compared_runs_say_which_classes_they_had_not_met_when_they_were_tested(runs):
    compared = Compared({"mine": [runs / "naive-0", runs / "naive-1"]})

    note = "mine: pictures of classes not learnt yet, counted as wrong: 1 of street after home, office"
    assert note in compared.text().splitlines()
    assert compared.matrices["mine"][0].unlearnt.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def document_of(run):
    return json.loads((run / "results.json").read_text())


def test_what_is_held_out_from_every_experience_has_a_column_where_there_is_any(runs):
    document = document_of(runs / "naive-0")
    assert "held out" not in score_sheet({"a": [document]})
    document["after"][-1]["held_out"] = 0.625
    for form, cell in (
        ("markdown", "| 0.6250 |"),
        ("csv", ",0.625,"),
        ("json", '"held_out": 0.625'),
        ("latex", "& 0.6250 &"),
    ):
        assert cell in score_sheet({"a": [document]}, form)
    assert "| - |" in score_sheet({"a": [document], "b": [document_of(runs / "naive-1")]})


def drawn(picture, colour):
    """Return where pixels of nearly this colour are, (H, W) bool."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return (np.abs(read_image(picture).pixels.astype(int) - wanted) < 40).all(-1)


def test_a_line_at_zero_is_seen_whole_and_what_was_not_measured_keeps_its_place():
    ones = np.ones((6, 6))
    middle = drawn(plot_accuracy({"a": [AccuracyMatrix(0.5 * ones)]}), LINES[0])
    assert middle.sum() > 1000
    for level in (0.0, 1.0):
        assert drawn(plot_accuracy({"a": [AccuracyMatrix(level * ones)]}), LINES[0]).sum() > 0.95 * middle.sum()
    holes = 0.5 * ones
    holes[:4, 5] = np.nan  # learnt later: the mean over all is known from the fifth on
    late = drawn(plot_accuracy({"a": [AccuracyMatrix(holes)]}), LINES[0])
    assert late.sum() < 0.5 * middle.sum()
    body = slice(0, int(0.93 * middle.shape[1]))  # without the legend
    spans = [np.flatnonzero(found[:, body].any(0))[[0, -1]] for found in (middle, late)]
    assert spans[1][0] > spans[0].mean()
    assert spans[1][1] == spans[0][1]


def test_the_axis_names_experiences_that_all_runs_had_in_one_order_whatever_their_names():
    half = 0.5 * np.ones((3, 3))

    def matrix(*names):
        return AccuracyMatrix(half, names=names)

    plain = plot_accuracy({"a": [matrix("x", "y", "z")]})
    assert plot_accuracy({"a": [matrix("x", "y", "w")]}) != plain
    turned = {"a": [matrix("x", "y", "z")], "b": [matrix("z", "y", "x")]}
    assert plot_accuracy(turned) == plot_accuracy({"a": [matrix("k", "l", "m")], "b": [matrix("m", "l", "k")]})
    odd = [matrix("$\\frac{", "a" * 200, "_^$\\nothing$")]
    assert drawn(plot_accuracy({"a": odd}), LINES[0]).sum() > 0.7 * drawn(plain, LINES[0]).sum()
    assert plot_matrices({"$_^$": odd})
    assert plot_experiences({"$_^$": odd})


def test_a_comparison_is_written_in_every_format_with_its_plots(runs, tmp_path):
    compared = Compared(labelled([str(path) for path in runs.iterdir()]))
    written = {path.name: path for path in compared.write(tmp_path / "out", published=True)}

    assert len(written) == 4 * 3 + 3
    assert json.loads(written["sheet.json"].read_text())["rows"][0]["parameters"] > 1000
    for name in ("accuracy.png", "matrices.png", "experiences.png"):
        pixels = read_image(written[name]).pixels
        assert min(pixels.shape[:2]) > 200
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert all(len(curve) == 12 for curve in PUBLISHED.values())


def test_runs_of_other_orders_have_tables_but_no_matrices_laid_over_each_other(growing, runs, tmp_path):
    settings = settings_for("naive", training={"epochs": 1}, stream={"order": ["street", "office", "home"]})
    learn(growing, "naive", tmp_path / "other", settings=settings)
    compared = Compared(labelled([str(runs / "naive-0"), str(tmp_path / "other")]))

    assert not compared.same_order
    assert {path.suffix for path in compared.write(tmp_path / "out")} == {".md", ".csv", ".json", ".tex", ".png"}
    assert not (tmp_path / "out" / "matrices.png").exists()


def test_the_score_sheet_says_what_a_run_cost(runs):
    document = read_results(runs / "replay-0")[1]
    costs = costs_of(document)

    assert costs["memory_bytes"] == 8 * 3 * 32 * 32
    assert costs["seconds"] == pytest.approx(sum(row["seconds"] for row in document["after"]) / 3)
    sheet = score_sheet({"replay | ours": [document]})
    assert "replay \\| ours" in sheet
    assert f"| {document['parameters'] / 1e6:.2f} |" in sheet
    assert "seconds" in score_sheet({"a": [document]}, "csv").splitlines()[0]
    assert "\\hline" in score_sheet({"a_b": [document]}, "latex")
    with pytest.raises(ValueError, match="format must be one of"):
        score_sheet({"a": [document]}, "html")
    with pytest.raises(ValueError, match="at least one row"):
        score_sheet({})


def test_a_run_without_results_is_named(runs, tmp_path):
    with pytest.raises(StandoutError, match="run has no results yet"):
        labelled([str(tmp_path)])
    shutil.copytree(runs / "naive-0", tmp_path / "broken")
    (tmp_path / "broken" / "results.json").write_text('{"matrix": 3}')
    with pytest.raises(StandoutError, match="results are damaged"):
        labelled([str(tmp_path / "broken")])


def test_the_overlay_shows_where_the_recogniser_looked(models, photo, tmp_path):
    from standout.cutout.compose import overlay

    picture = read_image(photo)
    answer = ObjectRecogniser(models / "sdkd_tiny.safetensors").answer_for(picture)
    path = write_image(tmp_path / "seen.png", overlay(picture, answer.map))

    assert read_image(path).size == (48, 48)
