"""Lets torchvision be imported beside a build of torch that its compiled part does not fit."""

import importlib.util
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "networks"))

DESCRIBED = ("nms", "qnms")
"""Operators that torchvision describes while it is imported, whether they are there or not."""


def declare_missing_operators():
    """Declare the names of torchvision's operators where these cannot be loaded.

    The index' torchvision is compiled for torch's build with CUDA; beside the build for processors alone importing
    it fails, although timm and segmentation_models_pytorch import it and our tests call none of its operators.

    Returns
    -------
    What must live as long as the declarations.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None:
        return None
    compiled = [path for path in Path(found.origin).parent.glob("_C*") if path.suffix in (".so", ".pyd")]
    try:
        for path in compiled:
            torch.ops.load_library(path)
    except OSError:
        compiled = []
    if compiled:
        return None
    library = torch.library.Library("torchvision", "DEF")
    for name in DESCRIBED:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


KEPT = declare_missing_operators()
