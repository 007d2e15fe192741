"""One tiny network with random weights, as a model file and exported; made once for all tests that need a model."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import torch

from standout.export import export_onnx
from standout.networks import build_network
from standout.weights import write_model

SIZE = 64
SHARPNESS = 1.5


def tiny_network(seed=0, name="tiny"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(name).eval()
        # Random weights give logits of one sign and size on most pictures; this centres and spreads the maps.
        with torch.no_grad():
            logits = network(torch.rand(4, 3, SIZE, SIZE)).logits
            network.score.weight /= logits.std()
            network.score.bias -= logits.mean() / logits.std()
    return network


@functools.cache
def model_folder():
    """Return a folder with `model.safetensors` and its export `model.onnx`: what a finished run holds."""
    folder = Path(tempfile.mkdtemp(prefix="standout-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_model(
        folder / "model.safetensors", tiny_network(), size=SIZE, sharpness=SHARPNESS, licence="CC0-1.0",
        measures={"mae": 0.25},
    )  # fmt: skip
    export_onnx(folder, folder / "model.onnx")
    return folder


def onnx_model():
    return model_folder() / "model.onnx"


def torch_model():
    return model_folder() / "model.safetensors"
