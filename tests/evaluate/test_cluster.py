"""A dask cluster stands where the processes stood, and gives the same bits."""

import json
import subprocess
import sys

import pytest
from eval_sets import make_methods, sources

from standout.evaluate import compare, render_comparison

pytest.importorskip("distributed")

# Workers are processes that import the program that starts them, so it is a file of its own.
PROGRAM = """
import json, sys
import joblib
from dask.distributed import Client, LocalCluster, get_task_stream
from standout.evaluate import compare, render_comparison

if __name__ == "__main__":
    maps, masks = json.loads(sys.argv[1])
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        with get_task_stream(client) as ran, joblib.parallel_config(backend="dask"):
            found = compare(maps, masks, attributes=True, jobs=0)
    workers = {task["worker"] for task in ran.data}
    told = {"workers": len(workers), "table": render_comparison(found, "json"), "records": found.records_text()}
    print(json.dumps(told))
"""


def test_e06_a_dask_cluster_changes_no_digit(tmp_path):
    folder = make_methods(tmp_path / "studio", {"a": 0.1, "b": 0.3}, size=(12, 16))
    (tmp_path / "program.py").write_text(PROGRAM)
    given = [[(name, str(path)) for name, path in those] for those in sources(folder, "ab")]
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", json.dumps(given)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    expected = compare(*sources(folder, "ab"), attributes=True)
    assert told["workers"] == 2
    assert told["table"] == render_comparison(expected, "json")
    assert told["records"] == expected.records_text()
