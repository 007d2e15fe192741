"""Run by tests as one process of several: trains by each of the recipes in a JSON file, one after the other."""

import json
import sys
from pathlib import Path

import torch

from standout.errors import StandoutError
from standout.train.loop import train
from standout.train.recipe import check_recipe


def main(file):
    torch.set_num_threads(1)
    for output, tables, options in json.loads(Path(file).read_bytes()):
        try:
            outcome = train(check_recipe(tables), output, **options)
        except StandoutError as error:
            sys.stderr.write(f"{error}\n")
            return error.exit_code
        told = {"steps": outcome.steps, "signal": outcome.signal, "model": outcome.finished is not None}
        sys.stdout.write(f"{json.dumps(told)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
