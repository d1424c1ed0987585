"""SiLU, then squeeze and excitation; as one node of autograd on a CPU: same numbers, fewer walks.

In single operators the gradient takes six walks over the map (two products, a sum, the
spread-out mean, the addition of both ways, SiLU's); here it takes four, and one block of memory.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def pool(x: Tensor) -> Tensor:
    """Mean over all pixels, (B, C, H, W) to (B, C)."""
    # With the channels last, so that the gradient is spread out in that order too: as a mean
    # over (2, 3) its gradient comes contiguous, and adding it to the other one is slow.
    return x.permute(0, 2, 3, 1).mean((1, 2))


def applies(x: Tensor) -> bool:
    """Whether the single node is the faster way for this map (B, C, H, W)."""
    eager = not torch.compiler.is_compiling() and not torch.is_autocast_enabled("cpu")
    last = x.is_contiguous(memory_format=torch.channels_last)
    return eager and last and x.device.type == "cpu" and x.requires_grad


def excite(
    x: Tensor, reduce: torch.nn.Conv2d, expand: torch.nn.Conv2d, inplace: bool = False
) -> Tensor:
    """y = silu(x), times the gate of each sample and channel, (B, C, H, W).

    The gate is sigmoid(expand(silu(reduce(mean of y over all pixels)))). `inplace` puts the
    result where `x` was.
    """
    if applies(x):
        return _Excite.apply(x, reduce.weight, reduce.bias, expand.weight, expand.bias)
    y = F.silu(x, inplace)
    gate = torch.sigmoid(expand(F.silu(reduce(pool(y)))))[:, :, None, None]  # (B, C, 1, 1)
    return y.mul_(gate) if inplace else y * gate


class _Excite(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        w1, w2 = w1.flatten(1), w2.flatten(1)  # (squeezed, C), (C, squeezed)
        y = F.silu(x)
        mean = pool(y)
        squeezed = torch.addmm(b1, mean, w1.t())
        active = F.silu(squeezed)
        gate = torch.sigmoid(torch.addmm(b2, active, w2.t()))
        ctx.save_for_backward(x, y, w1, w2, mean, squeezed, active, gate)
        return y * gate[:, :, None, None]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, y, w1, w2, mean, squeezed, active, gate = ctx.saved_tensors
        product = grad * y
        grad_gate = product.permute(0, 2, 3, 1).sum((1, 2))
        after = torch.ops.aten.sigmoid_backward(grad_gate, gate)
        before = torch.ops.aten.silu_backward(after @ w2, squeezed)
        # Both ways at once: through the product, and through the mean of all pixels.
        through_mean = (before @ w1).div_(x.shape[2] * x.shape[3])
        spread = through_mean[:, :, None, None]
        grad_y = torch.addcmul(spread, grad, gate[:, :, None, None], out=product)
        grad_x = torch.ops.aten.silu_backward.grad_input(grad_y, x, grad_input=grad_y)
        grad_w1, grad_w2 = before.t() @ mean, after.t() @ active
        return grad_x, _pixel(grad_w1), before.sum(0), _pixel(grad_w2), after.sum(0)


def _pixel(weight: Tensor) -> Tensor:
    """A matrix as the weight of a 1 x 1 convolution."""
    return weight[:, :, None, None]
