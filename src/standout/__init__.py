"""standout: finds the object that stands out in a picture, or hides in it.

Importing this package loads nothing heavy. Public names are found late, on first use:

- `TrainingStep`, `Batch`, `Progress`: train a network with any list of strategies.
- `build_network`: a light network by name.
- `Segmenter`: a trained network, from a run or a model file, to maps.
- the rooms `losses`, `distill`, `metrics`, `networks`, `data`, `evaluate`, `cutout`, `export`, `lifelong`.
"""

from standout.names import late_names

__version__ = "0.1.0"

_LATE = {
    "Batch": "standout.shapes:Batch",
    "Maps": "standout.shapes:Maps",
    "Progress": "standout.shapes:Progress",
    "Segmenter": "standout.predict:Segmenter",
    "StandoutError": "standout.errors:StandoutError",
    "TrainingStep": "standout.train.step:TrainingStep",
    "build_network": "standout.networks:build_network",
}

__all__ = [  # noqa: PLE0604 - every name is a string of the table above
    "__version__",
    *_LATE,
]

__getattr__, __dir__ = late_names(
    __name__,
    _LATE,
    rooms=("cutout", "data", "distill", "evaluate", "export", "lifelong", "losses", "metrics", "networks", "train"),
)
