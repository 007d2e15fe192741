"""Randomness as a pure function of what it is for."""

import numpy as np
import pytest
import torch

from standout.counter_hash import hash64, uniform
from standout.distill.device_hash import pixel_draws

WORD = 2**64 - 1


def splitmix_by_hand(*counters: int) -> int:
    state = 0
    for counter in counters:
        state = (state + (counter + 1) * 0x9E3779B97F4A7C15) & WORD
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & WORD
        state ^= state >> 31
    return state


def test_the_hash_follows_its_definition_in_whole_numbers():
    cases = [(0, 0, 0, 0, 0), (7, 3, 10_552, 1, 123_903), (2**64 - 1, 31, 5, 0, 2), (1, 2, 3, 4, 5)]
    for counters in cases:
        assert int(hash64(*counters)) == splitmix_by_hand(*counters)


def test_the_hash_is_frozen():
    """A new release must repeat the runs of an older one."""
    assert int(hash64(0)) == 0x78AE5A9A6B5FD45E
    assert int(hash64(7, 3, 10_552, 1, 123_903)) == 0x5FE2D896A50C8AAC
    assert float(uniform(7, 3, 10_552, 1, 123_903)) == 0.3745551460061042


def test_counters_broadcast_and_order_does_not_matter():
    index = np.arange(5)[:, None]
    pixel = np.arange(7)[None, :]

    grid = uniform(3, 2, index, 1, pixel)

    assert grid.shape == (5, 7)
    assert grid[4, 6] == uniform(3, 2, 4, 1, 6)
    assert np.array_equal(grid[::-1], uniform(3, 2, index[::-1], 1, pixel))


@pytest.mark.parametrize("place", range(5))
def test_every_counter_changes_the_draw(place):
    counters = [11, 3, 40, 1, 900]
    other = list(counters)
    other[place] += 1

    assert uniform(*counters) != uniform(*other)


def test_swapping_two_counters_changes_the_draw():
    assert uniform(1, 2, 3, 4, 5) != uniform(1, 3, 2, 4, 5)


def test_draws_are_uniform_and_neighbours_are_independent():
    draws = uniform(5, 1, np.arange(400)[:, None], 0, np.arange(500)[None, :])
    counts = np.histogram(draws, bins=64, range=(0, 1))[0]
    expected = draws.size / 64
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    beside = np.corrcoef(draws[:, 1:].ravel(), draws[:, :-1].ravel())[0, 1]
    below = np.corrcoef(draws[1:].ravel(), draws[:-1].ravel())[0, 1]

    assert draws.min() >= 0
    assert draws.max() < 1
    assert chi_square < 63 + 4 * np.sqrt(2 * 63)
    assert abs(beside) < 4 / np.sqrt(draws.size)
    assert abs(below) < 4 / np.sqrt(draws.size)


def test_a_counter_that_is_no_integer_is_refused():
    with pytest.raises(TypeError, match="integer"):
        uniform(0, 0, np.array([0.5]))


@pytest.mark.parametrize("seed", [0, 12345, -1, 2**63 + 5])
def test_the_twin_on_the_device_gives_the_same_bits(seed):
    index = torch.tensor([0, 3, 10_552, 2**40])

    twin = pixel_draws(seed, 17, index, 300)

    expected = uniform(seed, 17, index.numpy()[:, None], 0, np.arange(300)[None, :])
    assert np.array_equal(twin.numpy() * 2.0**-53, expected)
