"""The plain losses by their definitions, slowly, in float64: probabilities, loops and no trick for stability."""

import math

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, np.float64)))


def binary_cross_entropy(z, g):
    p = sigmoid(z)
    return float(np.mean(-g * np.log(p) - (1 - g) * np.log(1 - p)))


def focal(z, g, gamma, alpha):
    total = 0.0
    for logit, label in zip(np.ravel(z), np.ravel(g), strict=True):
        p = float(sigmoid(logit))
        right = p if label > 0.5 else 1 - p
        weight = 1 if alpha is None else (alpha if label > 0.5 else 1 - alpha)
        total += -weight * (1 - right) ** gamma * math.log(right)
    return total / np.size(z)


def dice(z, g, smooth, squared):
    each = []
    for logits, mask in zip(z, g, strict=True):
        p = sigmoid(logits)
        sizes = (p**2).sum() + (mask**2).sum() if squared else p.sum() + mask.sum()
        each.append(1 - (2 * (p * mask).sum() + smooth) / (sizes + smooth))
    return float(np.mean(each))


def intersection_over_union(z, g, smooth):
    each = []
    for logits, mask in zip(z, g, strict=True):
        p = sigmoid(logits)
        shared = (p * mask).sum()
        each.append(1 - (shared + smooth) / (p.sum() + mask.sum() - shared + smooth))
    return float(np.mean(each))


def window_mean(mask, window):
    rows, columns = mask.shape
    reach = window // 2
    result = np.zeros(mask.shape)
    for i in range(rows):
        for j in range(columns):
            seen = mask[max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
            result[i, j] = seen.sum() / window**2
    return result


def structure(z, g, window, gain, weight_bce):
    cross, overlap = [], []
    for logits, mask in zip(z[:, 0], g[:, 0], strict=True):
        p = sigmoid(logits)
        weight = 1 + gain * np.abs(window_mean(mask, window) - mask)
        each = -mask * np.log(p) - (1 - mask) * np.log(1 - p)
        cross.append((weight * each).sum() / weight.sum() if weight_bce else each.mean())
        shared = (weight * p * mask).sum()
        overlap.append(1 - (shared + 1) / ((weight * (p + mask)).sum() - shared + 1))
    return float(np.mean(cross) + np.mean(overlap))


def similarity(first, second):
    """Mean structural similarity of two maps (H, W), pixel by pixel over an 11x11 window with zeros outside."""
    place = np.arange(-5, 6)
    bell = np.exp(-(place[:, None] ** 2 + place[None] ** 2) / (2 * 1.5**2))
    bell /= bell.sum()
    x, y = np.pad(first, 5), np.pad(second, 5)
    values = []
    for i in range(first.shape[0]):
        for j in range(first.shape[1]):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mean_a, mean_b = (bell * a).sum(), (bell * b).sum()
            var_a, var_b = (bell * (a - mean_a) ** 2).sum(), (bell * (b - mean_b) ** 2).sum()
            both = (bell * (a - mean_a) * (b - mean_b)).sum()
            luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
            values.append(luminance * (2 * both + 0.03**2) / (var_a + var_b + 0.03**2))
    return float(np.mean(values))


def basnet_hybrid(z, g, smooth=0.0):
    likeness = np.mean([similarity(sigmoid(a[0]), b[0]) for a, b in zip(z, g, strict=True)])
    return binary_cross_entropy(z, g) + 1 - likeness + intersection_over_union(z, g, smooth)


def lovasz_hinge(z, g):
    """Sum over errors, worst first, of the error times what the Jaccard loss of the set of worst pixels grows by."""
    each = []
    for logits, mask in zip(z, g, strict=True):
        labels = np.ravel(mask) > 0.5
        errors = 1 - (2.0 * labels - 1) * np.ravel(logits)
        order = sorted(range(errors.size), key=lambda i: -errors[i])
        total, before, wrong = 0.0, 0.0, np.zeros(labels.shape, bool)
        for i in order:
            wrong[i] = True
            found = labels ^ wrong
            either = (labels | found).sum()
            loss = 1 - (labels & found).sum() / either if either else 0.0
            total += max(errors[i], 0) * (loss - before)
            before = loss
        each.append(total)
    return float(np.mean(each))
