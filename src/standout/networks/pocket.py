"""Backbones small enough to learn from scratch: one for phones, one for tests."""

from __future__ import annotations

from standout.networks.mobile import Row, Table

# 164 thousand parameters and 0.15 billion multiply-adds at 320 pixels with a fusion of width 32. Depth and 5x5 kernels
# sit at strides 16 and 32, where a wide view is cheap.
POCKET = Table(
    16,
    "relu6",
    [
        [Row(0, 16, 3, 1)],
        [Row(48, 24, 3, 2), Row(48, 24, 3, 1)],
        [Row(72, 32, 5, 2), Row(96, 32, 5, 1)],
        [Row(96, 56, 5, 2), Row(144, 56, 5, 1), Row(144, 56, 5, 1)],
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

TINY_OF_SEVEN = Table(
    8,
    "relu6",
    [
        [Row(0, 8, 3, 1)],
        [Row(16, 8, 3, 2)],
        [Row(16, 12, 3, 2)],
        [Row(24, 12, 3, 2)],
        [Row(24, 16, 3, 1)],
        [Row(32, 24, 3, 2)],
        [Row(48, 24, 3, 1)],
    ],
)
"""Seven stages with MobileNetV2's strides, small enough for tests and first tries."""
