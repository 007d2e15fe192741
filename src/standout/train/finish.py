"""The end of a run: the chosen checkpoint becomes a model file, with the logit scale that is best held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import Tensor

from standout import checkpoint as checkpoints
from standout.errors import StandoutError
from standout.networks.network import Network
from standout.train.held_out import HeldOutPictures
from standout.train.run import MODEL, Run
from standout.train.validate import choose_sharpness, score
from standout.weights import write_model

PATHS = (
    ("data", "train"),
    ("data", "test"),
    ("data", "cache"),
    ("network", "backbone_weights"),
    ("validation", "split"),
)
"""Settings that may name a file or folder of the machine."""


class Finished(NamedTuple):
    """The model file, the checkpoint it was made of, its logit scale, and the measures held out.

    scores, scores_at_one : at that scale and at scale 1; empty where nothing is held out.
    mae_by_scale : at every scale that was tried.
    """

    model: Path
    checkpoint: str
    sharpness: float
    scores: dict[str, float]
    scores_at_one: dict[str, float]
    mae_by_scale: dict[str, float]

    def record(self) -> dict[str, Any]:
        """Return the values as the manifest holds them."""
        return {**self._asdict(), "model": self.model.name}


def finish(
    run: Run,
    network: Network,
    pictures: HeldOutPictures,
    *,
    best: Mapping[str, Any] | None,
    final: Literal["best", "last"],
    sharpness: float,
    size: int,
    training: Mapping[str, Any],
    warn: Callable[[str], object],
) -> Finished:
    """Write `model.safetensors` and return how it scores.

    Parameters
    ----------
    network : takes on the chosen checkpoint's weights.
    best : the state's record of the best epoch.
    final : "best" falls back to the last checkpoint where there is no best or it is damaged.
    sharpness : above 0, this logit scale is taken; 0 searches the one with the lowest held-out MAE.
    training : recipe and fingerprints; they go into the model file, beside the measures, as `without_paths`.

    Raises
    ------
    StandoutError : no whole checkpoint is left, or the disk refuses.
    """
    chosen = _chosen(run, best if final == "best" else None, warn)
    checkpoints.load_tensors(network, final_weights(chosen), "checkpoint")
    network.eval()
    scale = sharpness or 1.0
    mae: dict[str, float] = {}
    scores: dict[str, float] = {}
    scores_at_one: dict[str, float] = {}
    if len(pictures) > 0:
        if sharpness == 0:
            scale, mae = choose_sharpness(network, pictures)
        scores = score(network, pictures, scale=scale, weighted=True)
        scores_at_one = scores if scale == 1 else score(network, pictures, weighted=True)
    model = write_model(
        run.folder / MODEL,
        network,
        size=size,
        sharpness=scale,
        training=without_paths(training),
        licence=training["recipe"]["training"]["licence"],
        measures=scores,
        source_sha256=training["fingerprints"]["network.backbone_weights"],
    )
    return Finished(model, chosen.path.name, scale, scores, scores_at_one, mae)


def without_paths(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe and fingerprints with the last part alone of every path.

    A model that is given away must not tell where on its maker's machine the files lay.
    """
    recipe = {name: dict(table) if isinstance(table, Mapping) else table for name, table in training["recipe"].items()}
    for name, key in PATHS:
        recipe[name][key] = _last_part(recipe[name][key])
    return {**training, "recipe": recipe}


def _last_part(value: Any) -> Any:
    if isinstance(value, list):
        return [_last_part(one) for one in value]
    return Path(value).name if isinstance(value, str) else value


def final_weights(chosen: checkpoints.Checkpoint) -> dict[str, Tensor]:
    """Return the weights that a checkpoint stands for: their running average where there is one."""
    average = chosen.training["state"]["average"]
    weights: dict[str, Tensor] = chosen.network if average is None else average["weights"]
    return weights


def _chosen(run: Run, best: Mapping[str, Any] | None, warn: Callable[[str], object]) -> checkpoints.Checkpoint:
    if best is not None:
        try:
            return checkpoints.load(run.checkpoints / best["checkpoints"][0])
        except StandoutError as error:
            warn(f"best checkpoint cannot be used, taking the last: {error}")
    found = checkpoints.newest(run.checkpoints, warn)
    if found is None:
        raise StandoutError("checkpoint-missing", "no whole checkpoint is left", run.checkpoints, "train again")
    return found
