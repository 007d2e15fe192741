"""One run in two processes: it learns what one process learns, stops as one, and leaves whole checkpoints."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from test_run import last_state

from conftest import SMALL, merged
from standout import checkpoint
from standout.cli import main
from standout.errors import StandoutError
from standout.losses.numerics import reduce, shared_count
from standout.train.processes import Processes, check_parts, launched
from standout.train.recipe import as_tables, check_recipe

SCRIPT = Path(__file__).with_name("one_of_many.py")
# Plain steps in place of a norm-free optimiser's, which turn a difference in the last bit of a gradient into a whole
# step where the gradient is nearly 0.
EQUAL = {
    "training": {"freeze_batch_norm": True, "ema": 0.9},
    "optimiser": {"name": "sgd", "rate": 0.05, "backbone_factor": 1.0},
}
STRATEGIES = {
    "plain": [],
    "non_negative_feedback": [{"name": "non_negative_feedback"}],
    "dynamic_dropout": [{"name": "dynamic_dropout", "inner": {"name": "virtual_teacher"}}],
    "dynamic_dropout by kept pixels": [
        {"name": "dynamic_dropout", "norm": "kept", "tau_max": 0.6, "inner": {"name": "virtual_teacher"}}
    ],
}


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def start(work, folder, count=2):
    """Start processes as torchrun does; `work` is a list of (output, tables, options)."""
    file = folder / "work.json"
    file.write_text(json.dumps(work))
    around = {
        **os.environ,
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
    }
    return [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(file)],
            env={**around, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def ended(processes, seconds=400):
    said = [one.communicate(timeout=seconds) for one in processes]
    return [one.returncode for one in processes], [out for out, _ in said], [err for _, err in said]


def tables_of(small, **changes):
    return as_tables(small(**merged(EQUAL, changes)))


def test_t13_two_processes_learn_what_one_learns_of_the_same_batches(small, warnings_of, tmp_path):
    work = []
    for name, strategies in STRATEGIES.items():
        tables = tables_of(small, strategies=strategies)
        work.append((str(tmp_path / f"two {name}"), tables, {}))
        warnings_of(check_recipe(tables), tmp_path / f"one {name}")

    # What one process finds wrong ends all before the first step: the last folder holds a run, and the first looks.
    codes, said, why = ended(start([*work, work[0]], tmp_path))

    assert codes == [2, 1]
    assert "holds a run already" in why[0]
    assert "another process of this run failed" in why[1]
    for number, models in enumerate(said):
        told = [json.loads(line) for line in models.splitlines()]
        assert told == [{"steps": 10, "signal": None, "model": number == 0}] * len(STRATEGIES)
    for name in STRATEGIES:
        one, two = last_state(tmp_path / f"one {name}"), last_state(tmp_path / f"two {name}")
        assert one.keys() == two.keys()
        for tensor in one:
            if "streams" not in tensor and one[tensor].is_floating_point():
                assert torch.allclose(one[tensor], two[tensor], rtol=0, atol=1e-5), (name, tensor)
        # Without learning they would be equal too.
        started = checkpoint.load(sorted((tmp_path / f"one {name}" / "checkpoints").iterdir())[0]).network
        assert max(float((one[n] - started[n]).abs().max()) for n in started if started[n].is_floating_point()) > 1e-3
    manifest = json.loads((tmp_path / "two plain" / "manifest.json").read_bytes())
    assert manifest["machine"]["processes"] == 2
    lines = [json.loads(line) for line in (tmp_path / "two plain" / "metrics.jsonl").read_text().splitlines()]
    other = [json.loads(line) for line in (tmp_path / "one plain" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [line["step"] for line in other]
    for line, expected in zip(lines, other, strict=True):
        assert line.get("total") == pytest.approx(expected.get("total"), abs=1e-5)


def test_t13_a_signal_to_one_process_stops_all_and_resumes_bit_equal(small, tmp_path):
    whole = as_tables(small(training={"epochs": 3, "save_steps": 1, "keep": 200}))
    running = start([(str(tmp_path / "run"), whole, {})], tmp_path)
    folder = tmp_path / "run" / "checkpoints"
    wait_for(lambda: folder.is_dir() and checkpoint.listed(folder), running)
    running[1].send_signal(signal.SIGTERM)
    codes, said, _ = ended(running)
    assert codes == [0, 0]
    stopped = [json.loads(out) for out in said]
    assert stopped[0]["steps"] == stopped[1]["steps"]
    assert [one["signal"] for one in stopped] in ([15, 15], [None, None])
    if stopped[0]["signal"]:  # else the signal came after the last step
        assert json.loads((tmp_path / "run" / "manifest.json").read_bytes())["resumable"] is True

    work = [(str(tmp_path / "run"), whole, {"resume": True}), (str(tmp_path / "again"), whole, {})]
    codes, _, said = ended(start(work, tmp_path))

    assert codes == [0, 0], said
    one, two = last_state(tmp_path / "run"), last_state(tmp_path / "again")
    seconds = ("training_seconds", "validation_seconds")
    assert [name for name in one if not torch.equal(one[name], two[name]) and not name.endswith(seconds)] == []


def wait_for(condition, running, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        assert all(one.poll() is None for one in running), ended(running)
        time.sleep(0.02)


def test_t13_a_lost_process_ends_all_and_leaves_whole_checkpoints(small, tmp_path):
    tables = as_tables(small(training={"epochs": 500, "save_steps": 2, "process_minutes": 0.5}))
    running = start([(str(tmp_path / "run"), tables, {})], tmp_path)
    folder = tmp_path / "run" / "checkpoints"
    wait_for(lambda: folder.is_dir() and checkpoint.listed(folder), running)

    running[1].kill()
    codes, _, said = ended(running)

    assert codes == [1, -signal.SIGKILL]
    assert "another process of this run is lost" in said[0]
    assert checkpoint.newest(folder, lambda line: pytest.fail(line)) is not None


def test_t05_t13_the_report_of_a_run_that_diverges_lists_the_files_of_all_processes(small, tmp_path):
    tables = as_tables(
        small(training={"batch": 8, "nonfinite_limit": 1}, optimiser={"name": "sgd", "rate": 1e30, "clip": 0.0})
    )

    codes, _, why = ended(start([(str(tmp_path / "run"), tables, {})], tmp_path))

    assert codes == [1, 1], why
    (entry,) = json.loads((tmp_path / "run" / "nonfinite.json").read_bytes())["steps"]
    assert len(entry["files"]) == len(set(entry["files"])) == 8
    for said in why:
        assert f"last batch {', '.join(entry['files'][:3])}, …" in said


def test_the_command_runs_under_torchrun(discs, tmp_path):
    tables = merged(SMALL, {"data": {"train": str(discs)}, "training": {"epochs": 1}})
    from standout.toml import format_toml

    (tmp_path / "recipe.toml").write_text(format_toml(as_tables(check_recipe(tables))))
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    command += ["-m", "standout", "train", "--recipe", str(tmp_path / "recipe.toml"), "--output", str(tmp_path / "run")]

    done = subprocess.run(
        [sys.executable, *command, "--json"], capture_output=True, text=True, timeout=400, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)  # one document, though two processes ran
    assert Path(document["model"]).is_file()
    assert document["resumable"] is False


def test_a_batch_without_equal_parts_is_refused():
    check_parts(8, 4)
    with pytest.raises(StandoutError, match="a batch of 9 has no 2 equal parts") as caught:
        check_parts(9, 2)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_k01_a_count_of_processes_that_is_none_is_refused_by_its_variables_name(name, discs, tmp_path, monkeypatch):
    monkeypatch.setenv(name, "abc")
    words = ["train", str(discs), "--network", "tiny", "--size", "32", "--output", str(tmp_path / "run")]

    with pytest.raises(StandoutError, match=f"environment variable holds no whole number: {name}=abc") as caught:
        main.main(words, standalone_mode=False)

    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()


def test_a_variable_called_rank_is_nothing_to_a_process_that_is_alone(monkeypatch):
    monkeypatch.setenv("RANK", "major")
    assert launched() == (0, 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(StandoutError, match="RANK=major"):
        launched()
    monkeypatch.setenv("RANK", "1")
    assert launched() == (1, 2)


def test_alone_nothing_is_sent():
    alone = Processes("cpu", 1)
    tensor = torch.tensor([3.0])
    alone.average([tensor])

    assert (alone.number, alone.count, alone.first, alone.device) == (0, 1, True, torch.device("cpu"))
    assert tensor.item() == 3
    assert alone.share({"a": [1.5]}) == {"a": [1.5]}
    assert alone.from_first(lambda: 4) == 4
    assert alone.joined(["a", "b"]) == ["a", "b"]
    assert alone.mean_of({"kept": 0.25}) == {"kept": 0.25}
    assert shared_count(torch.tensor(0)) == 1
    assert reduce(torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)) == 0
