"""The balance of a method's terms is logged at steps in which it can be seen."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from stream_trees import settings_for

from standout.files import Ledger
from standout.lifelong import learn

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(("ratio_steps", "logged"), [(50, [1, 2, 3, 4, 5]), (3, [1, 2, 3, 4, 5]), (0, [])])
def test_ratios_of_a_short_experience_are_logged_but_for_its_first_step(ratio_steps, logged, three, tmp_path):
    learn(three, "lwf", tmp_path / "run", settings=settings_for("lwf", training={"ratio_steps": ratio_steps}))

    assert [place for place, _ in ratios(tmp_path / "run", 2)] == logged
    assert [place for place, _ in ratios(tmp_path / "run", 3)] == logged
    assert all(ratio > 1e-3 for _, ratio in ratios(tmp_path / "run", 3)[1:])


def test_ratios_of_a_long_experience_are_logged_every_ratio_steps_steps(three, tmp_path):
    learn(three, "lwf", tmp_path / "run", settings=settings_for("lwf", training={"epochs": 6, "ratio_steps": 4}))

    assert [place for place, _ in ratios(tmp_path / "run", 2)] == [4, 8, 12, 16]


def ratios(folder, experience):
    """Give the steps of an experience, from 0, in which norms were logged, and what they were beside the task's."""
    found, ends = [], [0]
    for line in Ledger(folder / "metrics.jsonl").read():
        if line["kind"] == "experience":
            ends.append(line["step"])
        elif line["experience"] == experience and "norms" in line:
            found.append((line["step"] - ends[-1] - 1, line["norms"]["soft_targets"] / line["norms"]["task"]))
    return found


def test_quartiles_leave_out_the_first_step_of_runs_that_logged_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("lifelong_pacs", BENCHMARKS / "lifelong_pacs.py")
    lifelong_pacs = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lifelong_pacs", lifelong_pacs)
    spec.loader.exec_module(lifelong_pacs)

    def step(number, ratio):
        return {"kind": "step", "step": number, "experience": 2, "norms": {"task": 2.0, "soft_targets": 2.0 * ratio}}

    lines = [
        {"kind": "step", "step": 5, "experience": 1},
        {"kind": "experience", "step": 6, "experience": 1},
        step(7, 1e-7), step(57, 0.5), step(107, 0.5),
        {"kind": "experience", "step": 120, "experience": 2},
        step(121, 1e-7), step(171, 0.5),
    ]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert lifelong_pacs.norm_ratios(tmp_path) == {"soft_targets": [0.5, 0.5, 0.5]}
