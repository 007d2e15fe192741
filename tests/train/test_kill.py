"""Promise T1 on real processes: killed eight times at random moments, a run ends as if it never had been."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_training.py"


def test_t01_after_kill_9_at_any_moment_a_run_ends_bit_equal():
    spec = importlib.util.spec_from_file_location("kill_training", SCRIPT)
    kill_training = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kill_training)
    rows = kill_training.kill_until(8, seed=1, strategies={"both": ["non_negative_feedback", "pyramid"]}, per_run=8)
    assert sum(row["kills"] for row in rows) >= 8
    assert [row for row in rows if not row["bit_equal"]] == []
