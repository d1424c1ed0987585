"""The published scales of EfficientNet, names and numbers: what checks a trial needs no torch."""

from typing import NamedTuple


class Scale(NamedTuple):
    """Compound scaling: multipliers of B0's channels and layers, native input side, dropout."""

    width_coefficient: float
    depth_coefficient: float
    resolution: int
    dropout_rate: float


SCALES = {
    "b0": Scale(1.0, 1.0, 224, 0.2),
    "b1": Scale(1.0, 1.1, 240, 0.2),
    "b2": Scale(1.1, 1.2, 260, 0.3),
    "b3": Scale(1.2, 1.4, 300, 0.3),
    "b4": Scale(1.4, 1.8, 380, 0.4),
    "b5": Scale(1.6, 2.2, 456, 0.4),
    "b6": Scale(1.8, 2.6, 528, 0.5),
    "b7": Scale(2.0, 3.1, 600, 0.5),
    "b8": Scale(2.2, 3.6, 672, 0.5),
    "l2": Scale(4.3, 5.3, 800, 0.5),
    # For phones (tensorflow/tpu, models/official/efficientnet/lite): no squeeze-and-excitation,
    # ReLU6 for SiLU, and stem, head, first and last stage as B0 has them.
    "lite0": Scale(1.0, 1.0, 224, 0.2),
    "lite1": Scale(1.0, 1.1, 240, 0.2),
    "lite2": Scale(1.1, 1.2, 260, 0.3),
    "lite3": Scale(1.2, 1.4, 280, 0.3),
    "lite4": Scale(1.4, 1.8, 300, 0.3),
}
