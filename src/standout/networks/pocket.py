"""Backbones small enough to learn from scratch: one for phones, one for tests."""

from __future__ import annotations

from standout.networks.mobile import Row, Table

POCKET = Table(
    16,
    "relu6",
    [
        [Row(0, 16, 3, 1)],
        [Row(48, 24, 3, 2), Row(48, 24, 3, 1)],
        [Row(72, 32, 5, 2), Row(64, 32, 5, 1)],
        [Row(96, 48, 5, 2), Row(96, 48, 5, 1), Row(96, 48, 5, 1)],
        [Row(144, 80, 5, 2, gate=True), Row(160, 80, 5, 1, gate=True)],
    ],
)

TINY = Table(
    8,
    "relu",
    [
        [Row(0, 8, 3, 2)],
        [Row(16, 8, 3, 2)],
        [Row(16, 12, 3, 2)],
        [Row(24, 16, 3, 2)],
    ],
)
