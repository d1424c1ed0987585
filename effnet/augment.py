"""The thesis's training transforms on batches of cached pixels (thesis section 5.3).

`RandomHorizontalFlip(0.5)`, `RandomAffine(25, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=8)`
(nearest neighbour, black fill, shear in x only), `ToTensor`, `Normalize`; without `ColorJitter()`,
which changes nothing when it is called without arguments.

The parameters of each image are drawn on their own, from torchvision's distributions. Pillow, on
which torchvision's per-image transforms run, walks through the source image in steps of 1/65536
pixel. `steps` computes these integers, with the flip folded in, and both ways of applying them
(Pillow itself on the CPU, one batched gather elsewhere) give exactly torchvision's pixels.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

FLIP_PROBABILITY = 0.5
DEGREES = 25.0
TRANSLATE = 0.1  # of the image's side
SCALE = (0.9, 1.1)
SHEAR_DEGREES = 8.0

_ONE = 65536  # Pillow's fixed point: a pixel in units of 2^-16


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
    fixed = torch.from_numpy(np.floor(matrix * _ONE + 0.5).astype(np.int64))
    # Reading the mirrored image at pixel i is reading the image at W - 1 - i; and
    # W - 1 - (v >> 16) = (W 2^16 - 1 - v) >> 16.
    sign = torch.where(parameters.flip, -1, 1)[:, None]
    start = torch.where(parameters.flip, width * _ONE - 1, 0)
    fixed[:, :3] *= sign
    fixed[:, 2] += start
    return fixed.to(torch.int32)


def warp(images: Tensor, steps: Tensor) -> Tensor:
    """Apply `steps` (B, 6) to uint8 images (B, C, H, W) on their device; channels_last result."""
    if images.device.type != "cpu":
        return warp_gather(images, steps)
    warped = [image.clone() for image in _pillow_images(images, steps)]
    batch, channels, height, width = images.shape
    return torch.stack(warped).view(batch, height, width, channels).permute(0, 3, 1, 2)


def _pillow_images(images: Tensor, steps: Tensor) -> Iterator[Tensor]:
    """Warp one image after another with Pillow, on a CPU several times faster than the gather.

    Yields uint8 (H, W x C), each time the same tensor, overwritten.
    """
    _, channels, height, width = images.shape
    mode, size = ("RGB" if channels == 3 else "L"), (width, height)
    source = images.permute(0, 2, 3, 1).contiguous().numpy()
    result = torch.empty(height, width * channels, dtype=torch.uint8)
    flat = result.view(-1).numpy()
    for pixels, (a, b, c, d, e, f) in zip(source, steps.tolist(), strict=True):
        # Pillow adds these halves again and rounds to 2^-16: it finds the very integers of steps.
        c, f = c - 0.5 * (a + b), f - 0.5 * (d + e)
        matrix = [v / _ONE for v in (a, b, c, d, e, f)]
        image = Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)
        image = image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)
        flat[:] = np.frombuffer(image.tobytes(), np.uint8)
        yield result


def warp_gather(images: Tensor, steps: Tensor) -> Tensor:
    """`warp` as batched array operations, for accelerators; tensors only, so it can be compiled."""
    batch, channels, height, width = images.shape
    x = torch.arange(width, dtype=torch.int32, device=images.device)
    y = torch.arange(height, dtype=torch.int32, device=images.device)[:, None]
    a, b, c, d, e, f = steps.to(images.device, non_blocking=True)[:, :, None, None].unbind(1)
    column = (a * x + (b * y + c)) >> 16
    row = (d * x + (e * y + f)) >> 16
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = torch.where(inside, row * width + column, 0).long().view(batch, -1, 1)
    pixels = images.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
    result = pixels.gather(1, index.expand(-1, -1, channels))
    result = result * inside.view(batch, -1, 1)
    return result.view(batch, height, width, channels).permute(0, 3, 1, 2)


class Augment(nn.Module):
    """uint8 batches to normalised float32 ones, augmented in training.

    Args:
        mean, std: per channel, of pixels in [0, 1].
        channels_last: memory format of the result.
    """

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], channels_last: bool = True
    ) -> None:
        super().__init__()
        mean, std = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # (x / 255 - mean) / std as one multiplication and one addition.
        self.register_buffer("factor", (1 / (255 * std)).float(), persistent=False)
        self.register_buffer("offset", (-mean / std).float(), persistent=False)

    def forward(
        self, images: Tensor, train: bool, generator: torch.Generator | None = None
    ) -> Tensor:
        """uint8 (B, C, H, W) to float32 (B, C, H, W).

        With `train` each image is flipped and warped by parameters drawn from `generator`.
        """
        if not train:
            return self.normalise(images)
        return self.apply_steps(images, self.draw(images, generator))

    def draw(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """int32 (B, 6) for `apply_steps`: how each image is flipped and warped, on the CPU."""
        height, width = images.shape[-2:]
        return steps(draw(len(images), height, width, generator), height, width)

    def apply_steps(self, images: Tensor, steps: Tensor) -> Tensor:
        """uint8 (B, C, H, W) and int32 (B, 6) to float32: warped and normalised."""
        if images.device.type == "cpu":
            return self._normalise_each(_pillow_images(images, steps), images.shape)
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
