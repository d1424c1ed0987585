"""What one does with a model: evaluate, compile, export, store and train it."""

import copy
import io
import pickle

import pytest
import torch
import torch.nn.functional as F
from reference_models import calibrated

from effnet.model import EfficientNet, build_model


@pytest.fixture(scope="module")
def small():
    """Every part of the network at a fraction of its size."""
    torch.manual_seed(0)
    model = EfficientNet(0.5, 0.4, num_classes=4, dropout_rate=0.0, drop_connect_rate=0.0)
    return calibrated(model, torch.randn(4, 3, 64, 64))


def test_eval_mode_drops_nothing_and_trains_no_statistics(small):
    model, images = copy.deepcopy(small), torch.randn(8, 3, 64, 64)
    model._dropout.p = 0.9
    for block in model._blocks:
        block.drop_rate = 0.9
    before = copy.deepcopy(model.state_dict())
    assert torch.equal(model(images), small(images))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not torch.allclose(model.train()(images), small(images))


def test_extract_features_and_any_channels_and_classes():
    model = build_model("b1", num_classes=7, in_channels=5).eval()
    images = torch.randn(2, 5, 64, 96)
    features = model.extract_features(images)
    assert features.shape == (2, 1280, 2, 3)
    assert model(images).shape == (2, 7)
    torch.testing.assert_close(model._fc(features.mean((2, 3))), model(images))


@pytest.mark.parametrize(("padding", "training"), [("same", True), ("symmetric", False)])
def test_compiles_without_graph_breaks(padding, training):
    torch.manual_seed(0)
    model = EfficientNet(0.25, 0.26, num_classes=4, drop_connect_rate=0.5, padding=padding)
    assert any(block.has_shortcut and block.drop_rate for block in model._blocks)
    images = torch.randn(4, 3, 48, 33)
    calibrated(model, images).train(training)
    torch.manual_seed(1)
    expected = copy.deepcopy(model)(images)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)  # a break is an error
    torch.manual_seed(1)
    with torch.set_grad_enabled(training):
        got = compiled(images)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    if training:
        got.sum().backward()
        assert model._conv_stem.weight.grad.abs().sum() > 0


def test_channels_last(small):
    images = torch.randn(2, 3, 64, 48)
    model = copy.deepcopy(small).to(memory_format=torch.channels_last)
    images_last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(images_last), small(images), rtol=1e-4, atol=1e-5)
    features = model.extract_features(images_last)
    assert features.is_contiguous(memory_format=torch.channels_last)


def test_bf16_autocast(small):
    model, images = copy.deepcopy(small), torch.randn(8, 3, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images)
    assert logits.dtype == torch.bfloat16
    expected = small(images)
    assert (logits - expected).abs().mean() < 0.05 * expected.std()
    model.train()
    for block in model._blocks:
        block.drop_rate = 0.3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(images).float().square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_export(small):
    images = torch.randn(2, 3, 64, 48)
    program = torch.export.export(small, (images,))
    torch.testing.assert_close(program.module()(images), small(images))


def test_pickle_and_state_dict_round_trips(small):
    images = torch.randn(2, 3, 48, 48)
    for twin in (pickle.loads(pickle.dumps(small)), copy.deepcopy(small)):
        assert torch.equal(twin(images), small(images))
    buffer = io.BytesIO()
    torch.save(small.state_dict(), buffer)
    buffer.seek(0)
    twin = EfficientNet(0.5, 0.4, num_classes=4).eval()
    twin.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(twin(images), small(images))


def test_learns():
    """A few steps on four images bring the loss down: gradients reach every parameter."""
    torch.manual_seed(0)
    model = EfficientNet(0.25, 0.4, num_classes=4, drop_connect_rate=0.0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 4
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())
    assert losses[-1] < 0.5 * losses[0]
