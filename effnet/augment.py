"""The thesis's training transforms on batches of cached pixels (thesis section 5.3).

`RandomHorizontalFlip(0.5)`, `RandomAffine(25, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=8)`
(nearest neighbour, black fill, shear in x only), `ToTensor`, `Normalize`; without `ColorJitter()`,
which changes nothing when it is called without arguments.

The parameters of each image are drawn on their own, from torchvision's distributions. Pillow, on
which torchvision's per-image transforms run, walks through the source image in steps of 1/65536
pixel. `steps` computes these integers, with the flip folded in, and both ways of applying them
(`effnet.fast.warp`) give exactly torchvision's pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from effnet.fast.warp import ONE, pillow_images, warp_gather

FLIP_PROBABILITY = 0.5
DEGREES = 25.0
TRANSLATE = 0.1  # of the image's side
SCALE = (0.9, 1.1)
SHEAR_DEGREES = 8.0

# (mean, standard deviation) per channel of pixels in [0, 1], by name and number of channels.
# For one channel, where a checkpoint has none of its own, the mean over its three.
NORMALIZATIONS: dict[tuple[str, int], tuple[tuple[float, ...], tuple[float, ...]]] = {
    ("imagenet", 3): ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ("imagenet", 1): ((0.449,), (0.226,)),
    # AdvProp's networks were trained on inputs in [-1, 1].
    ("advprop", 3): ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ("advprop", 1): ((0.5,), (0.5,)),
    # The Lite networks' (127 and 128 of 255, tensorflow/tpu, efficientnet_lite_builder.py).
    ("lite", 3): ((127 / 255,) * 3, (128 / 255,) * 3),
    ("lite", 1): ((127 / 255,), (128 / 255,)),
    # Thesis section 5.3; how it came to them is in its code (`effnet.datasets.normalisation`).
    ("thesis", 3): ((0.470, 0.460, 0.455), (0.267, 0.266, 0.270)),
    ("thesis", 1): ((0.462,), (0.270,)),
}


@dataclass(frozen=True)
class Parameters:
    """What was drawn for each of B images; every field is a CPU tensor of shape (B,).

    flip: bool, mirrored left to right before the affine map.
    angle: degrees, clockwise. translate_x, translate_y: whole pixels. scale: factor.
    shear: degrees, along x.
    """

    flip: Tensor
    angle: Tensor
    translate_x: Tensor
    translate_y: Tensor
    scale: Tensor
    shear: Tensor

    def __len__(self) -> int:
        return len(self.flip)


def draw(
    batch: int, height: int, width: int, generator: torch.Generator | None = None
) -> Parameters:
    """Draw the parameters of `batch` images from a CPU generator (None: torch's global one)."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(batch).uniform_(low, high, generator=generator)

    def pixels(side: int) -> Tensor:
        return uniform(-TRANSLATE * side, TRANSLATE * side).round().long()

    return Parameters(
        flip=uniform(0.0, 1.0) < FLIP_PROBABILITY,
        angle=uniform(-DEGREES, DEGREES),
        translate_x=pixels(width),
        translate_y=pixels(height),
        scale=uniform(*SCALE),
        shear=uniform(-SHEAR_DEGREES, SHEAR_DEGREES),
    )


def steps(parameters: Parameters, height: int, width: int) -> Tensor:
    """Return int32 (B, 6), a b c d e f: where output pixel (x, y) comes from.

    The source pixel is ((a x + b y + c) >> 16, (d x + e y + f) >> 16); outside the image it is
    black. Same numbers as torchvision's inverse matrix about (W/2, H/2) in Pillow's fixed point.
    """
    as_float64 = [
        getattr(parameters, name).double().numpy()
        for name in ("angle", "translate_x", "translate_y", "scale", "shear")
    ]
    angle, tx, ty, scale, shear = as_float64
    angle, shear = np.radians(angle), np.radians(shear)
    sin, cos, tan = np.sin(angle), np.cos(angle), np.tan(shear)
    # Inverse of rotation x scale x shear (its determinant is scale^2).
    a, b = (cos - sin * tan) / scale, (cos * tan + sin) / scale
    d, e = -sin / scale, cos / scale
    x0, y0 = width * 0.5, height * 0.5
    c = a * (-x0 - tx) + b * (-y0 - ty) + x0
    f = d * (-x0 - tx) + e * (-y0 - ty) + y0
    # Pillow samples at pixel centres, half a pixel from the corner.
    matrix = np.stack([a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5], axis=1)
    fixed = torch.from_numpy(np.floor(matrix * ONE + 0.5).astype(np.int64))
    # Reading the mirrored image at pixel i is reading the image at W - 1 - i; and
    # W - 1 - (v >> 16) = (W 2^16 - 1 - v) >> 16.
    sign = torch.where(parameters.flip, -1, 1)[:, None]
    start = torch.where(parameters.flip, width * ONE - 1, 0)
    fixed[:, :3] *= sign
    fixed[:, 2] += start
    return fixed.to(torch.int32)


class Augment(nn.Module):
    """uint8 batches to normalised float32 ones, augmented in training.

    Args:
        mean, std: per channel, of pixels in [0, 1].
        channels_last: memory format of the result.
    """

    factor: Tensor
    offset: Tensor

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], channels_last: bool = True
    ) -> None:
        super().__init__()
        average, deviation = (torch.tensor(v, dtype=torch.float64) for v in (mean, std))
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # (x / 255 - mean) / std as one multiplication and one addition.
        self.register_buffer("factor", (1 / (255 * deviation)).float(), persistent=False)
        self.register_buffer("offset", (-average / deviation).float(), persistent=False)

    def forward(
        self, images: Tensor, train: bool, generator: torch.Generator | None = None
    ) -> Tensor:
        """uint8 (B, C, H, W) to float32 (B, C, H, W).

        With `train` each image is flipped and warped by parameters drawn from `generator`.
        """
        if not train:
            return self.normalise(images)
        return self.apply_steps(images, self.draw(images, generator))

    def draw(
        self, images: Tensor, generator: torch.Generator | None = None, batch: int | None = None
    ) -> Tensor:
        """int32 (B, 6) for `apply_steps`: how each image is flipped and warped, on the CPU.

        With `batch` for so many images, of which `images` are a part.
        """
        height, width = images.shape[-2:]
        return steps(draw(batch or len(images), height, width, generator), height, width)

    def apply_steps(self, images: Tensor, steps: Tensor) -> Tensor:
        """uint8 (B, C, H, W) and int32 (B, 6) to float32: warped and normalised."""
        if images.device.type == "cpu":
            return self._normalise_each(pillow_images(images, steps), images.shape)
        return self.normalise(warp_gather(images, steps))

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) to (x / 255 - mean) / std, float32 (B, C, H, W)."""
        if images.device.type == "cpu":
            rows = images.permute(0, 2, 3, 1).flatten(2)
            return self._normalise_each(rows, images.shape)
        return self.normalise_batch(images)

    def normalise_batch(self, images: Tensor) -> Tensor:
        """`normalise` in whole-batch operations, for accelerators."""
        factor, offset = self.factor.view(-1, 1, 1), self.offset.view(-1, 1, 1)
        result = torch.addcmul(offset, images.float(), factor)
        return result.contiguous(memory_format=self.memory_format)

    def _normalise_each(self, rows: Iterable[Tensor], shape: torch.Size) -> Tensor:
        """Image by image, each uint8 (H, W x C), so that the CPU's cache holds what it works on.

        The inner loop runs over W x C numbers, long enough to be vectorised.
        """
        batch, channels, height, width = shape
        factor, offset = self.factor.repeat(width), self.offset.repeat(width)
        result = torch.empty(batch, height, width * channels)
        pixels = torch.empty(height, width * channels)
        for image, out in zip(rows, result, strict=True):
            torch.addcmul(offset, pixels.copy_(image), factor, out=out)
        result = result.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return result.contiguous(memory_format=self.memory_format)
