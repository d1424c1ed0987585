"""Evaluation without batch norms and in larger batches gives the numbers of the plain network."""

import copy

import pytest
import torch

from effnet.augment import Augment
from effnet.model import EfficientNet
from effnet.training.fold import folded
from effnet.training.module import Classifier
from effnet.training.trainer import EVALUATED_PIXELS, together
from effnet.trial import Trial


def trained_statistics(model):
    """Batch norms as after training: none of their numbers is a default."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return model


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_logits_of_a_folded_network(padding, memory_format):
    torch.manual_seed(0)
    model = trained_statistics(EfficientNet(0.25, 0.35, num_classes=5, padding=padding)).double()
    model = model.to(memory_format=memory_format).train()
    before = copy.deepcopy(model.state_dict())
    images = torch.randn(4, 3, 50, 50, dtype=torch.float64).to(memory_format=memory_format)
    with torch.no_grad():
        fold = folded(model)
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fold.modules())
        assert not fold.training and model.training, "the network itself goes on training"
        expected = copy.deepcopy(model).eval()(images)
        assert expected.std() > 0.01, "logits that say nothing"
        torch.testing.assert_close(fold(images), expected, rtol=1e-10, atol=1e-10)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_folded_network_has_gradients_too():
    torch.manual_seed(0)
    model = trained_statistics(EfficientNet(0.25, 0.35, num_classes=5)).eval()
    model = model.to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last)
    grads = []
    for network in (model, folded(model)):
        x = images.clone(memory_format=torch.preserve_format).requires_grad_()
        network(x).square().sum().backward()
        grads.append(x.grad)
    assert (grads[0] - grads[1]).norm() <= 1e-4 * grads[0].norm()


def test_small_images_are_evaluated_several_batches_at_once():
    assert together(32, 64) == 4 and together(16, 64) == 8
    assert together(32, 224) == 1, "large ones gain nothing and need the memory"
    assert together(256, 64) == 1
    assert together(32, 64) * 32 * 64**2 <= EVALUATED_PIXELS


@pytest.mark.parametrize("together", [1, 2, 5])
def test_joined_batches_count_one_by_one(together):
    """The mean of batch means stays the thesis's, whatever goes through the network at once."""
    torch.manual_seed(0)
    trial = Trial(recipe="thesis", batch_size=4, image_size=32)
    model = trained_statistics(EfficientNet(0.25, 0.35, num_classes=5))
    classifier = Classifier(model, trial, Augment((0.5,) * 3, (0.2,) * 3)).eval()
    images = torch.randint(0, 256, (18, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 5, (18,))
    with torch.no_grad():
        logits = model(classifier.augment.normalise(images))
        batches = [
            (classifier.loss(a, b), (a.argmax(1) == b).double().mean())
            for a, b in zip(logits.split(4), labels.split(4), strict=True)
        ]
        classifier.on_validation_epoch_start()
        for batch in zip(images.split(4 * together), labels.split(4 * together), strict=True):
            classifier.validation_step(batch, 0)
    row = classifier.val_meter.row("val")
    losses, hits = (torch.stack(column).double() for column in zip(*batches, strict=True))
    assert row["val_loss_batch_mean"] == pytest.approx(losses.mean().item(), rel=1e-5)
    assert row["val_acc_batch_mean"] == pytest.approx(hits.mean().item(), rel=1e-12)
    assert row["val_loss"] == pytest.approx(classifier.loss(logits, labels).item(), rel=1e-5)
    assert row["val_acc_batch_mean"] != row["val_acc"], "the last batch is shorter"


def test_only_plain_float32_is_folded():
    model = EfficientNet(0.25, 0.35, num_classes=5)
    augment = Augment((0.5,) * 3, (0.2,) * 3)
    for changed, folds in (
        ({}, True), ({"precision": "bf16-mixed"}, False), ({"compile": True}, False),
        ({"cuda_graphs": True}, False),
    ):  # fmt: skip
        classifier = Classifier(model, Trial(image_size=32, **changed), augment).eval()
        assert (classifier.evaluator() != model.__call__) == folds, changed
