"""A stream of three experiences that small recognisers can meet in a second."""

import pytest
import torch
from stream_trees import COLOURS, domains, fill


@pytest.fixture(scope="session")
def three(tmp_path_factory):
    """Three experiences of three classes: twelve pictures to learn from and three to be tested on, each."""
    return domains(tmp_path_factory.mktemp("three"), count=5)


@pytest.fixture(scope="session")
def growing(tmp_path_factory):
    """Three experiences, the last of which brings a class more."""
    root = domains(tmp_path_factory.mktemp("growing"), count=4)
    fill(root / "street" / "mug", COLOURS["mug"], 4, seed=77)
    return root


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
