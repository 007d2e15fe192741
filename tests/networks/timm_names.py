"""What timm 1.0.31 says of the five backbones: names, shapes and features, written down once.

The features are timm's own (`features_only=True`, eval mode) for the weights of `stated_weights` and the picture of
`stated_image`, at strides 4, 8, 16 and 32: mean of the absolute values, and the value at channel 3, row 1, column 1.
"""

import zlib

import numpy as np
import torch


def stated_weights(shapes):
    """Return a tensor for every (name, shape), a pure function of both."""
    tensors = {}
    for name, shape in shapes.items():
        numbers = np.random.default_rng(zlib.crc32(name.encode()))
        if len(shape) == 4 and not name.endswith("bias"):
            values = numbers.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        elif name.endswith(("running_var", "weight")):
            values = numbers.uniform(0.7, 1.3, shape)
        else:
            values = numbers.normal(0, 0.1, shape)
        tensors[name] = torch.from_numpy(values.astype(np.float32))
    return tensors


def stated_image():
    """Return the picture (1, 3, 65, 98), already normalised."""
    return torch.from_numpy(np.random.default_rng(7).normal(0, 1, (1, 3, 65, 98)).astype(np.float32))


def digest(shapes):
    """Return the CRC of all names and shapes, in the names' order."""
    return zlib.crc32("\n".join(f"{name} {tuple(shape)}" for name, shape in sorted(shapes.items())).encode())


# (backbone, padding): number of tensors, `digest`, and per stride its channels and the two features
TIMM = {
    ("mobilenetv2_100", "plain"): (
        255, 3977191037,
        [(24, 2.9144, 5.62452), (32, 4.01693, -4.31793), (96, 3.67022, 1.19388), (320, 2.34359, 2.69182)],
    ),
    ("mobilenetv2_100", "same"): (
        255, 3977191037,
        [(24, 2.91376, 3.05563), (32, 3.98604, -2.82907), (96, 3.6267, -3.14589), (320, 2.31785, -0.840671)],
    ),
    ("tf_efficientnet_lite0", "same"): (
        240, 2948709973,
        [(24, 2.90822, 3.05247), (40, 3.07967, -3.02702), (112, 3.93966, -6.4418), (320, 2.45023, -3.36485)],
    ),
    ("mobilenetv3_small_100", "plain"): (
        206, 945860507,
        [(16, 0.494484, -0.147427), (24, 1.149, -1.17872), (48, 0.707427, 0.452678), (576, 0.440508, 0.0368747)],
    ),
    ("resnet18", "plain"): (
        100, 447993758,
        [(64, 3.13155, 19.3962), (128, 6.12132, 8.50356), (256, 13.149, 0.0), (512, 20.7313, 0.0)],
    ),
    ("resnet50", "plain"): (
        265, 2921312807,
        [(256, 6.3701, 17.5992), (512, 28.2206, 5.46557), (1024, 370.403, 0.0), (2048, 1044.62, 0.0)],
    ),
}  # fmt: skip
