"""`sal_init=sod`: a recogniser that starts from a saliency network which `standout train` made."""

import json
import shutil
import signal

import numpy as np
import pytest
import torch
from stream_trees import COLOURS, fill, settings_for
from test_lifelong_resume import StopsAt, same_end

from standout.cli import run
from standout.data.scenes import write_scenes
from standout.errors import StandoutError
from standout.lifelong import (
    ObjectRecogniser,
    build_recogniser,
    export_recogniser,
    learn,
    learn_more,
    load_saliency,
    read_recogniser,
    read_saliency,
)
from standout.networks import build_network
from standout.weights import load_weights, read_model, write_model

CLASSES = ("cup", "shoe", "spoon")


def typed(capsys, *words):
    """Type a command and return exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as left:
        run(list(map(str, words)))
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A run of `standout train` that made a small cascade with both maps supervised."""
    folder = tmp_path_factory.mktemp("saliency")
    write_scenes(folder / "scenes", 24, size=(48, 48), seed=3)
    words = ["train", folder / "scenes", "--recipe", "wu2019_cascade", "--network", "cascade_tiny", "--size", 32]
    words += ["--batch", 4, "--epochs", 2, "--threads", 1, "--output", folder / "run"]
    words += ["--set", "training.log_steps=1"]
    with pytest.raises(SystemExit) as left:
        run(list(map(str, words)))
    assert left.value.code == 0
    return folder / "run"


def started(detector, **tables):
    tables.setdefault("network", {})
    options = {"refine": "sigmoid", "sal_init": "sod", **tables["network"].pop("options", {})}
    tables["network"] = {"name": "sdkd_tiny", "sal_weights": str(detector), "options": options}
    return settings_for("sdkd", **tables)


def quiet(*_):
    """Take a warning and let it go."""


def test_the_trained_cascades_file_holds_the_saliency_parts_names(detector):
    tensors, _ = load_weights(detector / "model.safetensors")
    own = build_recogniser("sdkd_tiny", CLASSES).cascade.state_dict()

    assert {name: tensor.shape for name, tensor in tensors.items()} == {name: t.shape for name, t in own.items()}


def test_both_maps_were_supervised(detector):
    lines = [json.loads(line) for line in (detector / "metrics.jsonl").read_text().splitlines()]
    assert {tuple(line["terms"]) for line in lines if line["kind"] == "step"} == {("task", "attention_map")}


@pytest.mark.parametrize("from_file", [True, False])
def test_the_saliency_part_starts_as_the_saliency_network_and_its_map_is_the_same(detector, from_file):
    saliency = read_saliency(detector / "model.safetensors" if from_file else detector)
    torch.manual_seed(9)
    recogniser = build_recogniser("sdkd_tiny", CLASSES, refine="sigmoid", sal_init="sod").eval()
    random = {name: tensor.clone() for name, tensor in recogniser.state_dict().items()}
    load_saliency(recogniser, saliency)

    network, _ = read_model(detector / "model.safetensors")
    theirs = {f"cascade.{name}": tensor for name, tensor in network.state_dict().items()}
    for name, tensor in recogniser.state_dict().items():
        assert torch.equal(tensor, theirs.get(name, random[name])), name
    image = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        found, maps = recogniser(image), network(image, ("attention16", "decoder16"))
        torch.testing.assert_close(found.map, network.head(maps.features["decoder16"], (4, 4)).sigmoid())
        torch.testing.assert_close(found.attention_logits, maps.features["attention16"])
        full = torch.nn.functional.interpolate(found.map_logits, (64, 64), mode="bilinear")
        torch.testing.assert_close(full, maps.logits)


def test_a_run_from_it_resumes_bit_for_bit_and_goes_on_without_it(detector, three, tmp_path):
    moved = tmp_path / "detector"
    shutil.copytree(detector, moved)
    settings = started(moved, training={"epochs": 1})
    learn(three, "sdkd", tmp_path / "whole", settings=settings, warn=quiet)
    stopped = learn(three, "sdkd", tmp_path / "stopped", settings=settings, shown=StopsAt(5), warn=quiet)
    assert stopped.signal == signal.SIGTERM
    shutil.rmtree(moved)  # a run has its weights; what it started from may be gone
    learn(three, "sdkd", tmp_path / "stopped", settings=settings, resume=True, warn=quiet)
    same_end(tmp_path / "whole", tmp_path / "stopped")

    recogniser, metadata = read_recogniser(tmp_path / "stopped")
    assert (recogniser.sal_init, metadata["options"]["sal_init"]) == ("sod", "sod")
    assert metadata["source_sha256"] == read_saliency(detector).sha256
    fill(tmp_path / "more" / "mug", COLOURS["mug"], 4)
    assert learn_more(tmp_path / "stopped", [tmp_path / "more"], warn=quiet).network.classes[-1] == "mug"


def test_another_saliency_network_on_resume_is_told_by_name(detector, three, tmp_path):
    settings = started(detector, training={"epochs": 1})
    learn(three, "sdkd", tmp_path / "run", settings=settings, shown=StopsAt(2), warn=quiet)
    other = write_model(tmp_path / "other.safetensors", build_network("cascade_tiny"), size=32)
    with pytest.raises(StandoutError, match=r"network\.sal_weights was"):
        learn(three, "sdkd", tmp_path / "run", settings=started(other, training={"epochs": 1}), resume=True)


def test_what_the_cascade_was_built_with_is_taken_over(detector, three, tmp_path):
    made = build_network("cascade_tiny", ha_kernel=5, padding="same", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    path = write_model(tmp_path / "other.safetensors", made, size=32)
    learn(three, "sdkd", tmp_path / "run", settings=started(path, training={"epochs": 1}), shown=StopsAt(1), warn=quiet)
    stored = (tmp_path / "run" / "recipe.toml").read_text()

    for words in ("ha_kernel = 5", 'padding = "same"', "mean = [0.5, 0.5, 0.5]", 'sal_init = "sod"'):
        assert words in stored


def refused(*words, **options):
    with pytest.raises(StandoutError) as caught:
        learn(*words, **options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_refused_in_one_line_that_names_it(detector, three, tmp_path):
    folder, files = tmp_path / "run", tmp_path / "files"

    def saying(settings):
        said = refused(three, "sdkd", folder, settings=settings, warn=quiet)
        assert not (folder / "checkpoints").exists()
        return said

    def made(name, **options):
        return write_model(files / f"{name}.safetensors", build_network(name, **options), size=32)

    assert "standout train DATA --recipe wu2019_cascade" in saying(started(tmp_path / "nowhere"))
    assert "none is given" in saying(settings_for("sdkd", network={"options": {"sal_init": "sod"}}))
    unused = settings_for("sdkd", network={"sal_weights": str(detector)})
    assert "--set network.options.sal_init=sod" in saying(unused)
    assert "tiny is no cascade" in saying(started(made("tiny")))
    said = saying(started(made("cascade_tiny", width=4)))
    assert "parameter attention_decoder.field5.point.0.weight is 4 x 16 x 1 x 1, not 8 x 16 x 1 x 1" in said
    said = saying(started(detector, network={"options": {"ha_kernel": 5}}))
    assert "parameter attention.kernel is 1 x 1 x 3 x 3, not 1 x 1 x 5 x 5" in said
    said = saying(started(detector, network={"options": {"padding": "same"}}))
    assert "it was trained with padding plain, not same" in said
    plain = {"name": "tiny", "sal_weights": str(detector), "options": {"sal_init": "sod"}}
    said = refused(three, "naive", folder, settings={"network": plain}, warn=quiet)
    assert "unknown option of tiny: sal_init" in said


def test_a_strangers_command(detector, three, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["lifelong", "run", three, "--recogniser", "sdkd_tiny", "--saliency", detector, "--size", 32]
    words += ["--batch", 4, "--epochs", 1, "--threads", 1, "--output", "mine"]
    code, out, err = typed(capsys, *words)

    assert (code, out.splitlines()[-1][:5]) == (0, "next:"), err
    assert read_recogniser("mine")[1]["options"]["sal_init"] == "sod"
    code, out, err = typed(capsys, *words[:5], "--saliency", "nowhere", "--output", "other")
    assert (code, err.count("\n")) == (2, 1)
    assert "no such saliency network" in err


def test_an_export_of_one_size_that_started_from_a_saliency_network_answers_alike(detector, three, tmp_path):
    settings = started(detector, training={"epochs": 1}, network={"options": {"refine": "conv", "head": "flatten"}})
    learn(three, "sdkd", tmp_path / "run", settings=settings, warn=quiet)
    exported = export_recogniser(tmp_path / "run", tmp_path / "run.onnx")
    one, other = ObjectRecogniser(tmp_path / "run"), ObjectRecogniser(tmp_path / "run.onnx")

    assert exported.proof.sizes == ((32, 32),)
    assert exported.proof.probability <= 1e-4
    assert exported.proof.map <= 1e-3
    assert (other.metadata["options"]["sal_init"], other.classes, other.looks) == ("sod", CLASSES, True)
    assert other.metadata["source_sha256"] == read_saliency(detector).sha256
    for picture in sorted((three / "office").rglob("*.png")):
        answer, expected = other.recognise(picture), one.recognise(picture)
        assert answer.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
        np.testing.assert_allclose(answer.map, expected.map, rtol=0, atol=1e-3)
        assert answer.map.shape == (32, 32)
        assert answer.map.max() > answer.map.min()
