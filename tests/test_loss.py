"""The smoothed loss against torch's own and against the sum written out."""

import math

import pytest
import torch

from effnet.errors import EffnetError
from effnet.loss import LabelSmoothingCrossEntropy

CLASSES = 196


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(32, CLASSES, generator=generator)
    return logits, torch.randint(CLASSES, (32,), generator=generator)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_equals_torch(batch, epsilon, reduction):
    logits, labels = batch
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = LabelSmoothingCrossEntropy(epsilon, reduction)(ours, labels)
    reference = torch.nn.CrossEntropyLoss(label_smoothing=epsilon, reduction=reduction)
    expected = reference(theirs, labels)
    assert loss.shape == expected.shape
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    loss.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_equals_torch_under_bf16_autocast(batch, reduction):
    logits, labels = batch
    weights = torch.eye(CLASSES, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = logits @ weights
        assert low.dtype == torch.bfloat16
        loss = LabelSmoothingCrossEntropy(0.1, reduction)(low, labels)
        reference = torch.nn.CrossEntropyLoss(label_smoothing=0.1, reduction=reduction)
        expected = reference(low, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected.float(), rtol=1e-6, atol=1e-6)
    loss.sum().backward()
    assert torch.isfinite(weights.grad).all()


def test_targets_are_those_of_the_docstring():
    """For N = 196 and epsilon = 0.1: 0.90051 on the right class, 0.00051 on each other one."""
    logits = torch.randn(1, CLASSES, dtype=torch.float64)
    log_p = logits.log_softmax(1)[0]
    target = [0.1 / CLASSES] * CLASSES
    target[7] += 0.9
    assert [round(t, 5) for t in sorted({round(t, 12) for t in target})] == [0.00051, 0.90051]
    assert math.isclose(sum(target), 1.0)
    expected = -sum(t * p.item() for t, p in zip(target, log_p, strict=True))
    loss = LabelSmoothingCrossEntropy(0.1)(logits, torch.tensor([7]))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_large_logits_stay_finite():
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = LabelSmoothingCrossEntropy(0.1)(logits, torch.tensor([1]))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epsilon": 1.0}, ["epsilon", "1.0", "[0, 1)"]),
        ({"epsilon": -0.1}, ["epsilon", "-0.1"]),
        ({"reduction": "median"}, ["reduction", "median", "mean, sum, none"]),
    ],
)
def test_bad_values_are_refused(options, words):
    with pytest.raises(EffnetError) as error:
        LabelSmoothingCrossEntropy(**options)
    assert all(word in str(error.value) for word in words)
