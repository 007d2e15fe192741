"""Promise T1 on real processes: killed eight times at random moments, two runs end as if they never had been."""

from kill_training import STRATEGIES as KILLED
from kill_training import kill_runs

from standout.distill import STRATEGIES


def test_t01_t13_after_kill_9_at_any_moment_a_run_ends_bit_equal():
    settings = [("non_negative_feedback + pyramid", 1), ("dynamic_dropout", 2)]

    rows = list(kill_runs(8, settings, seed=1))

    assert [row["processes"] for row in rows] == [1, 2]
    assert sum(row["kills"] for row in rows) == 8
    assert [row for row in rows if not row["bit_equal"]] == []


def test_t01_every_strategy_is_killed_in_turn():
    words = " ".join(word for strategies in KILLED.values() for word in strategies)

    assert [name for name in STRATEGIES if name not in words] == []
