"""The memory: its budget in bytes, its two policies, and what it draws."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from standout.lifelong.memory import Kept, Memory


def offered(memory, count, labels=("cup", "shoe"), first=0):
    for number in range(first, first + count):
        memory.offer(Kept(f"/{number}.png", labels[number % len(labels)], number, "0" * 64))
    return memory


def of_ten(limit, policy="reservoir", seed=0):
    memory = Memory(limit, policy, seed=seed)
    memory.measure(10)
    return memory


@given(st.integers(0, 130), st.integers(0, 60), st.sampled_from(["reservoir", "balanced"]))
def test_the_budget_is_never_exceeded(limit, count, policy):
    memory = offered(of_ten(limit, policy), count)

    assert memory.bytes <= limit
    assert len(memory) == min(count, limit // 10)
    assert len({kept.number for kept in memory.kept}) == len(memory)


def test_a_budget_of_nothing_keeps_nothing():
    memory = offered(of_ten(0), 50)

    assert (len(memory), memory.bytes, memory.draw(5, 0)) == (0, 0, [])


def test_the_reservoir_keeps_every_picture_with_the_same_chance():
    """Of 40 pictures 10 are kept; over 400 seeds each is kept in a quarter of them."""
    counts = Counter(kept.number for seed in range(400) for kept in offered(of_ten(100, seed=seed), 40).kept)

    # Five deviations of a binomial of 400 draws at 1/4.
    assert all(abs(counts[number] - 100) < 5 * 75**0.5 for number in range(40))


def test_the_balanced_policy_gives_each_class_its_share_however_rare():
    memory = of_ten(90, "balanced")
    for number in range(100):
        memory.offer(Kept(f"/{number}.png", "rare" if number % 25 == 0 else f"often {number % 2}", number, "0" * 64))

    counts = Counter(kept.label for kept in memory.kept)
    assert counts["rare"] == 3  # of four that came
    assert sorted(counts.values()) == [3, 3, 3]


def test_pictures_give_way_where_each_counts_more():
    memory = offered(of_ten(100), 10)
    memory.measure(25)

    assert (len(memory), memory.bytes) == (4, 100)


def test_a_draw_is_of_different_pictures_and_depends_on_the_step_alone():
    memory = offered(of_ten(100), 30)
    first, again, other = memory.draw(6, 3), memory.draw(6, 3), memory.draw(6, 4)

    assert first == again
    assert first != other
    assert len({kept.number for kept in first}) == 6
    assert len(memory.draw(99, 0)) == 10


def test_what_a_memory_holds_survives():
    memory = offered(of_ten(40), 30)
    memory.attach({memory.kept[1].number: torch.tensor([1.0, 2.0])})
    other = Memory(40)
    other.load(memory.state())

    assert [kept[:4] for kept in other.kept] == [kept[:4] for kept in memory.kept]
    assert torch.equal(other.kept[1].payload, torch.tensor([1.0, 2.0]))
    assert other.kept[0].payload is None
    offered(memory, 30, first=30)
    offered(other, 30, first=30)
    assert [kept[:4] for kept in other.kept] == [kept[:4] for kept in memory.kept]


@pytest.mark.parametrize(("limit", "policy"), [(-1, "reservoir"), (1, "newest")])
def test_what_makes_no_memory_is_refused(limit, policy):
    with pytest.raises(ValueError, match="limit must be at least 0 and policy one of"):
        Memory(limit, policy)
