"""The CPU's squeeze and excitation has the values and gradients of the single operators."""

import pytest
import torch
import torch.nn.functional as F

from effnet.fast import squeeze
from effnet.model import EfficientNet, MBConv, OnePixel, pool


def plain(x, reduce, expand):
    x = F.silu(x)
    gate = expand(F.silu(reduce(pool(x))))
    return x * torch.sigmoid(gate)[:, :, None, None]


@pytest.mark.parametrize("side", [1, 2, 7])
def test_values_and_gradients_are_those_of_the_operators(side):
    torch.manual_seed(0)
    reduce, expand = OnePixel(12, 3, 1).double(), OnePixel(3, 12, 1).double()
    x = torch.randn(5, 12, side, side + 1, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    inputs = (x, *reduce.parameters(), *expand.parameters())
    ours, theirs = squeeze.excite(x, reduce, expand), plain(x, reduce, expand)
    torch.testing.assert_close(ours, theirs)
    grad = torch.randn_like(theirs)
    got, expected = (torch.autograd.grad(y, inputs, grad) for y in (ours, theirs))
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_a_block_takes_it_and_gets_the_same_gradients(monkeypatch):
    torch.manual_seed(0)
    block = MBConv(8, 8, 3, 1, 4, 0.0, "same", False, torch.nn.BatchNorm2d)
    block = block.to(memory_format=torch.channels_last).train()
    images = torch.randn(4, 8, 9, 9).contiguous(memory_format=torch.channels_last)
    used, ours = [], squeeze._Excite.apply
    monkeypatch.setattr(squeeze._Excite, "apply", lambda *a: used.append(1) or ours(*a))

    def gradients():
        return torch.autograd.grad(block(images).square().sum(), list(block.parameters()))

    got = gradients()
    assert used == [1]
    monkeypatch.setattr(squeeze, "applies", lambda _: False)
    for a, b in zip(got, gradients(), strict=True):
        assert (a - b).norm() <= 1e-5 * b.norm() + 1e-5


def test_a_second_derivative_is_refused_rather_than_wrong():
    reduce, expand = OnePixel(8, 2, 1), OnePixel(2, 8, 1)
    x = torch.randn(2, 8, 3, 3).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = squeeze.excite(x, reduce, expand).square().sum()
    (grad,) = torch.autograd.grad(y, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_evaluation_autocast_and_other_layouts_keep_the_operators():
    x = torch.randn(2, 8, 3, 3).contiguous(memory_format=torch.channels_last).requires_grad_()
    assert squeeze.applies(x)
    assert not squeeze.applies(x.detach())
    assert not squeeze.applies(torch.randn(2, 8, 3, 3, requires_grad=True))
    with torch.autocast("cpu", torch.bfloat16):
        assert not squeeze.applies(x)
    with torch.no_grad():
        hooked, model = [], EfficientNet(0.25, 0.35, num_classes=2).eval()
        model._blocks[0]._se_reduce.register_forward_hook(lambda *_: hooked.append(1))
        model(torch.randn(1, 3, 32, 32).contiguous(memory_format=torch.channels_last))
    assert hooked, "layers are counted and watched through their modules"
