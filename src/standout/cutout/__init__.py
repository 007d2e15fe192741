"""From maps to cut-outs and overlays, for one picture or a folder of them. Loads no torch."""

from standout.names import late_names

_LATE = {
    "Job": "standout.cutout.jobs:Job",
    "cutout": "standout.cutout.compose:cutout",
    "overlay": "standout.cutout.compose:overlay",
    "run_job": "standout.cutout.jobs:run_job",
}

__all__ = [*_LATE]  # noqa: PLE0604 - every name is a string of the table above

__getattr__, __dir__ = late_names(__name__, _LATE)
