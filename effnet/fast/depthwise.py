"""Depthwise convolution whose weight gradient is fast on a CPU: same sums, other order.

oneDNN has a fast weight gradient for kernels up to three wide over maps wider than they are. For
others (B0's 5 x 5 layers, and every layer once the map has shrunk to 2 x 2) it computes sixteen
by sixteen channel pairs and keeps the diagonal: at 64 px a fifth of a whole training step.
"""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Of an input pixel and an output pixel; above it, a copy for the fast kernel is cheaper.
MOST_PAIRS = 64


def applies(x: Tensor, weight: Tensor) -> bool:
    """Whether `depthwise` is the faster way for this input (B, C, H, W) and weight (C, 1, k, k)."""
    side = x.shape[2]
    # On large maps the copy that `weight_grad` makes costs what its kernel saves.
    slow = side <= 2 or (weight.shape[2] == 5 and side <= 32)
    native = x.device.type == "cpu" and x.dtype == torch.float32
    last = x.is_contiguous(memory_format=torch.channels_last)
    return slow and native and last and x.requires_grad and not torch.is_autocast_enabled("cpu")


def depthwise(x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int]) -> Tensor:
    """F.conv2d(x, weight, None, stride, padding, groups=C) of x (B, C, H, W), any layout."""
    return _Depthwise.apply(x, weight, stride, padding)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x, _ = _native(x, weight, grad, ctx.stride, ctx.padding, (True, False))
        if ctx.needs_input_grad[1]:
            grad_weight = weight_grad(x, weight, grad, ctx.stride, ctx.padding)
        return grad_x, grad_weight, None, None


def weight_grad(
    x: Tensor, weight: Tensor, grad: Tensor, stride: int, padding: tuple[int, int]
) -> Tensor:
    """Gradient (C, 1, k, k) of the weight from the input and the gradient of the output."""
    pairs = x.shape[2] * x.shape[3] * grad.shape[2] * grad.shape[3]
    if pairs <= MOST_PAIRS and not torch.compiler.is_compiling():
        return _by_pairs(x, weight, grad, stride, padding)
    return _by_columns(x, weight, grad, stride, padding)


def _by_pairs(
    x: Tensor, weight: Tensor, grad: Tensor, stride: int, padding: tuple[int, int]
) -> Tensor:
    """Every pixel of the input times every pixel of the gradient, then what each tap saw."""
    batch, channels, *side_in = x.shape
    side_out, kernel = grad.shape[2:], tuple(weight.shape[2:])
    inputs = x.permute(0, 2, 3, 1).reshape(batch, 1, -1, channels)
    outputs = grad.permute(0, 2, 3, 1).reshape(batch, -1, 1, channels)
    pairs = (outputs * inputs).sum(0).view(-1, channels)
    seen = _taps(tuple(side_in), tuple(side_out), kernel, stride, padding).to(pairs.dtype)
    return (pairs.t() @ seen).view(channels, 1, *kernel)


@cache
def _taps(
    side_in: tuple[int, int],
    side_out: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    padding: tuple[int, int],
) -> Tensor:
    """1 where a tap of the kernel joins a pixel of the output and one of the input, else 0.

    (output pixels x input pixels, taps), float32.
    """

    def along(axis: int) -> Tensor:
        outputs = torch.arange(side_out[axis])[:, None, None]
        inputs = torch.arange(side_in[axis])[:, None]
        taps = torch.arange(kernel[axis])
        return inputs == outputs * stride + taps - padding[axis]

    both = along(0)[:, None, :, None, :, None] & along(1)[None, :, None, :, None, :]
    return both.reshape(-1, kernel[0] * kernel[1]).float()


def _by_columns(
    x: Tensor, weight: Tensor, grad: Tensor, stride: int, padding: tuple[int, int]
) -> Tensor:
    """Three columns of the kernel at a time, over an input whose padding is written out.

    Each such part is narrow enough for the fast kernel.
    """
    (top, left), (_, _, rows, columns) = padding, weight.shape
    above = below = 0
    if x.shape[2] <= rows:  # over higher maps the fast kernel pads above and below by itself
        above, below = top, (grad.shape[2] - 1) * stride + rows - top - x.shape[2]
    parts = []
    for first in range(0, columns, 3):
        last = min(first + 3, columns)
        # The input columns that these taps see; a negative padding cuts off.
        end = (grad.shape[3] - 1) * stride + last - left - x.shape[3]
        seen, part = F.pad(x, (left - first, end, above, below)), weight[..., first:last]
        parts.append(_native(seen, part, grad, stride, (top - above, 0), (False, True))[1])
    return torch.cat(parts, 3)


def _native(
    x: Tensor,
    weight: Tensor,
    grad: Tensor,
    stride: int,
    padding: tuple[int, int],
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor]:
    """torch's own gradients of input and weight; torch.nn.grad's loses the memory format."""
    backward = torch.ops.aten.convolution_backward
    both = [stride, stride], list(padding), [1, 1], False, [0, 0], len(weight)
    return backward(grad, x, weight, None, *both, [*wanted, False])[:2]
