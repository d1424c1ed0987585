"""Affine maps of batches of pixels: Pillow itself on the CPU, one batched gather elsewhere."""

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

ONE = 65536  # Pillow's fixed point: a pixel in units of 2^-16


def warp(images: Tensor, steps: Tensor) -> Tensor:
    """Apply `steps` (B, 6) to uint8 images (B, C, H, W) on their device; channels_last result.

    The source of output pixel (x, y) is ((a x + b y + c) >> 16, (d x + e y + f) >> 16) for the six
    integers of its image (`effnet.augment.steps`); outside the image it is black.
    """
    if images.device.type != "cpu":
        return warp_gather(images, steps)
    warped = [image.clone() for image in pillow_images(images, steps)]
    batch, channels, height, width = images.shape
    return torch.stack(warped).view(batch, height, width, channels).permute(0, 3, 1, 2)


def pillow_images(images: Tensor, steps: Tensor) -> Iterator[Tensor]:
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
        matrix = [v / ONE for v in (a, b, c, d, e, f)]
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
