"""Dynamic dropout as its definition reads: one pixel at a time, Python floats."""

import math

from oracles.teachers import sigmoid


def difficulties(logits, labels, confidence):
    return [abs((1 - confidence) + (2 * confidence - 1) * g - sigmoid(z)) for z, g in zip(logits, labels, strict=True)]


def keep_threshold(d, capability, tau_min, tau_max):
    return [x <= tau_min + (tau_max - tau_min) * capability for x in d]


def keep_quantile(d, capability, r_max, delta):
    dropped = math.floor(r_max * (1 - capability) * len(d))
    hardest = sorted(range(len(d)), key=lambda i: (-d[i], i))[:dropped]
    return [i not in hardest or d[i] <= delta for i in range(len(d))]


def keep_bernoulli(d, capability, rho_max, delta, draws):
    return [x <= delta or u >= rho_max * (1 - capability) for x, u in zip(d, draws, strict=True)]


def distilled(per_pixel, keep, norm):
    total = math.fsum(x for x, k in zip(per_pixel, keep, strict=True) if k)
    return total / (len(keep) if norm == "valid" else max(1, sum(keep)))


def capabilities(measures, beta):
    """Return the capability after each step's measure."""
    average, found = 0.0, []
    for t, measure in enumerate(measures, start=1):
        average = beta * average + (1 - beta) * measure
        found.append(average / (1 - beta**t))
    return found
