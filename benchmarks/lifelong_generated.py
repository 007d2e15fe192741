"""Every method of `standout lifelong` on the generated stream of twelve experiences, and the paper's figure.

    python benchmarks/lifelong_generated.py --pretrained mobilenetv2_100_tf.safetensors --runs runs/generated

The stream is written below --runs first, from a seed. One run a (row, seed), one after the other; what is finished is
skipped and what was interrupted goes on. After each run docs/results/lifelong_generated.json is written anew, and
docs/images/lifelong_generated.png, the mean accuracy after each experience, with the paper's own curves (other data,
read by eye) beside it. Settings are those that were chosen on PACS, none are chosen here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lifelong_pacs import folder_of, is_whole, learn_apart, learn_one, rows_with, write
from measuring import RESULTS, ROOT

from standout.files import atomic_write
from standout.train.allocator import keep_freed_memory

FIGURE = ROOT / "docs" / "images" / "lifelong_generated.png"
OBJECTS, TRAINING, TEST, SIDE, SEED = 20, 16, 5, 128, 0
IN_FIGURE = ("naive", "sdkd", "cumulative", "sdkd without saliency", "naive without saliency")
PROTOCOL = (
    f"the generated stream: {OBJECTS} objects; illumination, occlusion, size in pixels, clutter at three levels each; "
    f"{TRAINING} pictures to learn from and {TEST} to test of each object and level, {SIDE} x {SIDE}, seed {SEED}"
)


def main() -> None:
    """Write the stream, make the runs that are missing, and write table and figure after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrained", type=Path, required=True, help="a safetensors file of MobileNetV2")
    parser.add_argument("--saliency", type=Path, help="a run of cascade_mobilenetv2_100, for two rows more")
    parser.add_argument("--runs", type=Path, required=True, help="where the stream and the runs' folders lie")
    parser.add_argument("--rows", help="only these, separated by semicolons")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", type=Path, default=RESULTS / "lifelong_generated.json")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    keep_freed_memory()
    from standout.lifelong import open_stream, read_results, write_generated_stream
    from standout.lifelong.plot import plot_accuracy

    place, done = given.runs / "stream", given.runs / "stream-is-whole"
    if not done.exists():
        if place.exists():
            sys.exit(f"{place} was half written: remove it and start again")
        write_generated_stream(place, objects=OBJECTS, training=TRAINING, test=TEST, seed=SEED, side=SIDE)
        atomic_write(done, b"")
    rows = rows_with(given.saliency)
    if given.one:
        label, seed = given.one
        stream = open_stream(place, "domains")
        learn_one(rows[label], label, int(seed), stream, given.pretrained, given.runs, given.saliency)
    seeds = [int(seed) for seed in given.seeds.split(",")]
    for seed in seeds:
        for label in given.rows.split(";") if given.rows else rows:
            if not is_whole(folder_of(given.runs, label, seed)):
                learn_apart(__file__, label, seed)
            write(given.output, rows, given.runs, seeds, PROTOCOL, "lifelong_generated")
            whole = {
                name: [read_results(f)[0] for s in seeds if is_whole(f := folder_of(given.runs, name, s))]
                for name in IN_FIGURE
            }
            shown = {name: matrices for name, matrices in whole.items() if matrices}
            if shown:
                given.figure.parent.mkdir(parents=True, exist_ok=True)
                atomic_write(given.figure, plot_accuracy(shown, published=True))


if __name__ == "__main__":
    main()
