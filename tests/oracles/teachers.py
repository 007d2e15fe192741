"""The hand-made teacher's losses as their definitions read: probabilities, one pixel at a time, Python floats."""

import math


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def xlogy(x, y):
    return 0.0 if x == 0 else x * math.log(y)


def cross_entropy(z, g):
    p = sigmoid(z)
    return -xlogy(g, p) - xlogy(1 - g, 1 - p)


def bernoulli_kl(student, teacher, temperature):
    b, a = student / temperature, teacher / temperature
    object_ = sigmoid(a) * math.log(sigmoid(a) / sigmoid(b))
    # 1 - p would round: the other side's probability is that of the logit turned round.
    ground = sigmoid(-a) * math.log(sigmoid(-a) / sigmoid(-b))
    return temperature**2 * (object_ + ground)


def softened(confidence, temperature, soften):
    """Return the softened confidence and the student's temperature."""
    if soften == "none":
        return confidence, 1.0
    if soften == "prob":
        return sigmoid((2 * confidence - 1) / temperature), 1.0
    if confidence == 1:
        return 1.0, temperature
    return sigmoid(math.log(confidence / (1 - confidence)) / temperature), temperature


def scale(temperature, soften, t_scale):
    return {"T2": temperature**2, "T": temperature, "none": 1.0}[t_scale] if soften == "logit" else 1.0


def virtual_teacher(z, g, confidence, temperature, form="kl", soften="logit", t_scale="T2"):
    a, at = softened(confidence, temperature, soften)
    q, p = (1 - a) + (2 * a - 1) * g, sigmoid(z / at)
    value = xlogy(q, q) - xlogy(q, p)
    if form == "kl":
        value += xlogy(1 - q, 1 - q) - xlogy(1 - q, 1 - p)
    return scale(temperature, soften, t_scale) * value


def non_negative_feedback(
    z, g, confidence, temperature, form="split", soft="gate", const="kl", soften="logit", t_scale="T2"
):
    a, at = softened(confidence, temperature, soften)
    factor = scale(temperature, soften, t_scale)
    p, plain = sigmoid(z / at), sigmoid(z)
    if soft == "hard_only" and 0 < g < 1:
        return 0.0
    label = float(g >= 0.5) if soft == "binarise" else g
    q = (1 - a) + (2 * a - 1) * label
    aim = q if form != "split" and soft != "binarise" else label
    opens = soft == "hard_only" or (p - aim) * (plain - g) >= 0
    if form == "split":
        top = a if const == "kl" else 1.0
        value = factor * a * (xlogy(label, top / p) + xlogy(1 - label, top / (1 - p)))
        return value if opens else 0.0
    value = virtual_teacher(z, label, confidence, temperature, soften=soften, t_scale=t_scale)
    if form == "gate_grad":
        return value
    behind = p < q if label >= 0.5 else p > q
    return value if behind and opens else 0.0


def softmax(z, temperature):
    powers = [math.exp(x / temperature) for x in z]
    return [x / sum(powers) for x in powers]


def class_teacher(true, classes, confidence, temperature, soften):
    """Return the teacher's softened distribution over the classes and the student's temperature."""
    hard = [confidence if k == true else (1 - confidence) / (classes - 1) for k in range(classes)]
    if soften == "none":
        return hard, 1.0
    if soften == "prob":
        return softmax(hard, temperature), 1.0
    powers = [x ** (1 / temperature) if x > 0 else 0.0 for x in hard]
    return [x / sum(powers) for x in powers], temperature


def class_virtual_teacher(z, true, confidence, temperature, soften="logit", t_scale="T2"):
    q, at = class_teacher(true, len(z), confidence, temperature, soften)
    p = softmax(z, at)
    return scale(temperature, soften, t_scale) * sum(xlogy(a, a) - xlogy(a, b) for a, b in zip(q, p, strict=True))


def class_non_negative_feedback(z, true, confidence, temperature, soften="logit", t_scale="T2"):
    q, at = class_teacher(true, len(z), confidence, temperature, soften)
    return scale(temperature, soften, t_scale) * q[true] * math.log(q[true] / softmax(z, at)[true])


def mean(values, counts=None):
    """Return the mean of the values that count; 0 where none does."""
    counts = counts if counts is not None else [1] * len(values)
    kept = [v for v, c in zip(values, counts, strict=True) if c]
    return math.fsum(kept) / max(1, len(kept))
