"""The measures written out pixel by pixel from their definitions, in float64, slow and plain."""

import math

EPSILON = 2.0**-52


def stretched(map_, stretch=True):
    """Rows of uint8 levels -> rows of floats in 0..1."""
    rows = [[level / 255 for level in row] for row in map_]
    low, high = min(map(min, rows)), max(map(max, rows))
    if stretch and low != high:
        rows = [[(value - low) / (high - low) for value in row] for row in rows]
    return rows


def pixels(map_, mask):
    return [
        (value, bool(label))
        for row, labels in zip(map_, mask, strict=True)
        for value, label in zip(row, labels, strict=True)
    ]


def mae(map_, mask):
    return math.fsum(abs(value - label) for value, label in pixels(map_, mask)) / len(pixels(map_, mask))


def precision_recall(map_, mask, threshold):
    """Both at `floor(255 value) >= threshold`."""
    found = [label for value, label in pixels(map_, mask) if int(value * 255) >= threshold]
    objects = sum(label for _, label in pixels(map_, mask))
    return sum(found) / max(len(found), 1), sum(found) / max(objects, 1)


def f(precision, recall):
    return 1.3 * precision * recall / (0.3 * precision + recall) if precision * recall else 0.0


def e(found, mask):
    """Enhanced alignment of two boolean pictures: Fan et al. 2018, equations 2 to 4, over N - 1."""
    called = [bool(value) for row in found for value in row]
    labels = [bool(value) for row in mask for value in row]
    count = len(labels)
    if not any(labels):
        total = count - sum(called)
    elif all(labels):
        total = sum(called)
    else:
        mean_called, mean_label = sum(called) / count, sum(labels) / count
        total = 0.0
        for one, other in zip(called, labels, strict=True):
            a, b = one - mean_called, other - mean_label
            total += (2 * a * b / (a * a + b * b + EPSILON) + 1) ** 2 / 4
    return total / (count - 1 + EPSILON)


def found_at(map_, threshold):
    return [[int(value * 255) >= threshold for value in row] for row in map_]


def found_adaptive(map_):
    """At twice the mean, at most 1, in exact fractions."""
    from fractions import Fraction

    values = [Fraction(value).limit_denominator(10**6) for row in map_ for value in row]
    threshold = min(2 * sum(values) / len(values), Fraction(1))
    columns = len(map_[0])
    return [[value >= threshold for value in values[at : at + columns]] for at in range(0, len(values), columns)]


def adaptive(map_, mask):
    found = found_adaptive(map_)
    called = [
        label for row, labels in zip(found, mask, strict=True) for one, label in zip(row, labels, strict=True) if one
    ]
    objects = sum(bool(label) for row in mask for label in row)
    return f(sum(map(bool, called)) / max(len(called), 1), sum(map(bool, called)) / max(objects, 1)), e(found, mask)


def iou(map_, mask):
    both = sum(int(value * 255) >= 128 and label for value, label in pixels(map_, mask))
    either = sum(int(value * 255) >= 128 or label for value, label in pixels(map_, mask))
    return both / max(either, 1)


def s(map_, mask):
    """Fan et al. 2017: 0.5 object + 0.5 region."""
    pairs = pixels(map_, mask)
    share = sum(label for _, label in pairs) / len(pairs)
    mean = math.fsum(value for value, _ in pairs) / len(pairs)
    if share == 0:
        return 1 - mean
    if share == 1:
        return mean
    objects = share * _object([value for value, label in pairs if label])
    objects += (1 - share) * _object([1 - value for value, label in pairs if not label])
    inside = [(r, c) for r, row in enumerate(mask) for c, label in enumerate(row) if label]
    row = round(sum(r for r, _ in inside) / len(inside)) + 1
    column = round(sum(c for _, c in inside) / len(inside)) + 1
    regions = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for columns in (slice(None, column), slice(column, None)):
            part = pixels([line[columns] for line in map_[rows]], [line[columns] for line in mask[rows]])
            if part:
                regions += len(part) / len(pairs) * _similarity(part)
    return max(0.0, 0.5 * objects + 0.5 * regions)


def _object(values):
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + deviation + EPSILON)


def _similarity(part):
    if len({value for value, _ in part}) == 1 or len({label for _, label in part}) == 1:
        return float(len(set(part)) == 1)
    count = len(part)
    x, y = math.fsum(value for value, _ in part) / count, sum(label for _, label in part) / count
    varies_x = math.fsum((value - x) ** 2 for value, _ in part) / (count - 1)
    varies_y = math.fsum((label - y) ** 2 for _, label in part) / (count - 1)
    together = math.fsum((value - x) * (label - y) for value, label in part) / (count - 1)
    above = 4 * x * y * together
    return above / ((x * x + y * y) * (varies_x + varies_y) + EPSILON) if above else 0.0


def nearest(mask, r, c):
    """(squared distance, row, column) of the nearest foreground pixel; leftmost column, then topmost row."""
    inside = [(i, j) for i, row in enumerate(mask) for j, label in enumerate(row) if label]
    squared, column, row = min(((i - r) ** 2 + (j - c) ** 2, j, i) for i, j in inside)
    return squared, row, column


def weighted_f(map_, mask):
    """Margolin et al. 2014, with the published code's window and distances."""
    height, width = len(mask), len(mask[0])
    if not any(map(any, mask)):
        return 0.0
    error = [[abs(map_[r][c] - bool(mask[r][c])) for c in range(width)] for r in range(height)]
    near = [[nearest(mask, r, c) for c in range(width)] for r in range(height)]
    spread = [[error[near[r][c][1]][near[r][c][2]] for c in range(width)] for r in range(height)]
    window = [[math.exp(-(i * i + j * j) / 50) for j in range(-3, 4)] for i in range(-3, 4)]
    total = math.fsum(map(math.fsum, window))
    missed = wrong = objects = 0.0
    for r in range(height):
        for c in range(width):
            if not mask[r][c]:
                wrong += error[r][c] * (2 - math.exp(math.log(0.5) / 5 * math.sqrt(near[r][c][0])))
                continue
            objects += 1
            smooth = math.fsum(
                window[i + 3][j + 3] / total * spread[r + i][c + j]
                for i in range(-3, 4)
                for j in range(-3, 4)
                if 0 <= r + i < height and 0 <= c + j < width
            )
            missed += min(error[r][c], smooth)
    right = objects - missed
    recall, precision = 1 - missed / objects, right / (right + wrong + EPSILON)
    return 2 * recall * precision / (recall + precision + EPSILON)
