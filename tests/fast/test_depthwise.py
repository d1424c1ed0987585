"""The CPU's depthwise gradients are torch's own, whichever way they are summed."""

import copy

import pytest
import torch
import torch.nn.functional as F

from effnet.fast import depthwise
from effnet.model import EfficientNet, MBConv

GEOMETRIES = [
    (side, kernel, stride, padding)
    for side in (1, 2, 3, 5, 8)
    for kernel in (3, 5)
    for stride in (1, 2)
    for padding in (kernel // 2, 0)
    if side + 2 * padding >= kernel
]


@pytest.mark.parametrize(("side", "kernel", "stride", "padding"), GEOMETRIES)
def test_gradients_are_those_of_conv2d(side, kernel, stride, padding):
    torch.manual_seed(0)
    x = torch.randn(3, 6, side, side + 1, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    ours = depthwise.depthwise(x, weight, stride, (padding, padding))
    theirs = F.conv2d(x, weight, None, stride, padding, groups=6)
    torch.testing.assert_close(ours, theirs)
    grad = torch.randn_like(theirs)
    got = torch.autograd.grad(ours, (x, weight), grad)
    expected = torch.autograd.grad(theirs, (x, weight), grad)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def network(**values):
    torch.manual_seed(0)
    model = EfficientNet(0.25, 0.35, num_classes=4, drop_connect_rate=0.0, **values)
    return model.to(memory_format=torch.channels_last).train()


@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_a_whole_network_gets_the_same_gradients(padding, monkeypatch):
    model = network(padding=padding, dropout_rate=0.0)
    images = torch.randn(6, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    used = []
    ours = depthwise.weight_grad
    monkeypatch.setattr(depthwise, "weight_grad", lambda *a: used.append(1) or ours(*a))

    def gradients(model):
        F.cross_entropy(model(images), torch.tensor([0, 1, 2, 3, 0, 1])).backward()
        return [p.grad for p in model.parameters()]

    reference = copy.deepcopy(model)
    got = gradients(model)
    assert len(used) >= 3, "the fast way was not taken"
    monkeypatch.setattr(depthwise, "applies", lambda *_: False)
    for a, b in zip(got, gradients(reference), strict=True):
        assert (a - b).norm() <= 1e-4 * b.norm() + 1e-7


def test_frozen_filters_get_no_gradient():
    model = network()
    model._blocks[3]._depthwise_conv.weight.requires_grad_(False)
    images = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    model(images).sum().backward()
    assert model._blocks[3]._depthwise_conv.weight.grad is None
    assert model._blocks[2]._depthwise_conv.weight.grad is not None


def test_it_compiles_without_a_break():
    torch.manual_seed(0)
    large = MBConv(8, 16, 5, 2, 4, 0.0, "same", False, torch.nn.BatchNorm2d)  # 25 x 24 to 13 x 12
    small = MBConv(16, 16, 3, 1, 4, 0.5, "same", False, torch.nn.BatchNorm2d)  # 2 x 2
    model = torch.nn.Sequential(large, torch.nn.AvgPool2d(6), small).train()
    model = model.to(memory_format=torch.channels_last)
    images = torch.randn(4, 8, 25, 24).contiguous(memory_format=torch.channels_last)
    images.requires_grad_()
    torch.manual_seed(1)
    expected = copy.deepcopy(model)(images)
    torch._dynamo.reset()
    torch.manual_seed(1)
    got = torch.compile(model, backend="aot_eager", fullgraph=True)(images)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    got.sum().backward()
    assert all(block._depthwise_conv.weight.grad.abs().sum() > 0 for block in (large, small))


def test_autocast_and_contiguous_tensors_keep_torchs_way():
    weight = torch.randn(8, 1, 5, 5)
    x = torch.randn(2, 8, 6, 6, requires_grad=True)
    assert not depthwise.applies(x, weight)
    last = x.contiguous(memory_format=torch.channels_last)
    assert depthwise.applies(last, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not depthwise.applies(last, weight)
