"""EfficientNet against three independent implementations.

The references write their own random weights; nothing is downloaded.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from campaign import CAMPAIGN
from reference_models import as_ours, calibrated, filled, lukemelas, timm_tf, torchvision_model
from torch import nn

from effnet.errors import EffnetError
from effnet.model import SCALES, STAGES, build_model, drop_connect, round_filters, round_repeats

pytestmark = pytest.mark.usefixtures("freed_at_once")
TOLERANCE = 1e-5
NATIVE = ("b0", "b1", "b2", "b3")
# 66, 87 and 480 million parameters. Their depth is computed with at half of B0's width; that their
# full width is the packages' is read off the shapes, which need no memory.
LARGEST = ("b7", "b8", "l2")
LITE = [name for name in SCALES if name.startswith("lite")]
WITHOUT_LITE = [name for name in SCALES if name not in LITE]
USUAL = [name for name in WITHOUT_LITE if name not in LARGEST]


def coefficients(name):
    width, depth, _, _ = SCALES[name]
    sizes = {"width_coefficient": width, "depth_coefficient": depth, "num_classes": 10}
    return sizes | {"lite": name in LITE}


def images_for(name):
    """Two images of the native size for B0 to B3; small ones above, where depth is the point."""
    count, size = (2, SCALES[name].resolution) if name in NATIVE else (8, 64)
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def written(build, name, **options):
    """A reference with the weights its package gives it, where that takes no minutes."""
    if name == "b6" or name in LARGEST:
        return filled(lambda: build(name, **options))
    return build(name, **options)


def assert_same_logits(ours, reference, images):
    with torch.no_grad():
        expected, got = reference(images), ours(images)
    assert expected.std() > 0.1, "the logits are too small for an absolute tolerance"
    assert (got - expected).abs().max() <= TOLERANCE


@pytest.mark.parametrize("name", WITHOUT_LITE)
def test_logits_of_efficientnet_pytorch(name):
    pytest.importorskip("efficientnet_pytorch")
    images = images_for(name)
    narrow = {"width_coefficient": 0.5} if name in LARGEST else {}
    reference = calibrated(written(lukemelas, name, **narrow), images)
    ours = as_ours(reference, **coefficients(name) | narrow)
    assert_same_logits(ours, reference, images[:1])


@pytest.mark.parametrize("name", [*USUAL, *LITE])
def test_logits_of_timm(name):
    pytest.importorskip("timm")
    images = images_for(name)
    reference = calibrated(written(timm_tf, name), images)
    assert_same_logits(as_ours(reference, **coefficients(name)), reference, images[:1])


@pytest.mark.parametrize("name", USUAL)
def test_logits_of_torchvision_with_symmetric_padding(name):
    images = images_for(name)
    reference = calibrated(written(torchvision_model, name, dropout=0.0), images)
    options = {"padding": "symmetric", "batch_norm_eps": reference.features[0][1].eps}
    ours = as_ours(reference, **coefficients(name), **options)
    assert_same_logits(ours, reference, images[:1])
    other = as_ours(reference, **coefficients(name), **options | {"padding": "same"})
    with torch.no_grad():
        assert (other(images[:1]) - reference(images[:1])).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize(
    ("build", "name"), [(timm_tf, "b7"), (timm_tf, "b8"), (torchvision_model, "b7")]
)
def test_the_largest_of_timm_and_torchvision(build, name):
    """Every tensor has a place of its shape in ours, and no place is left."""
    pytest.importorskip("timm")
    with torch.device("meta"):
        reference = build(name)
    as_ours(reference, **coefficients(name))


@pytest.mark.parametrize("size", [(65, 97), (33, 64), (130, 31), (225, 223), (7, 224), (1, 1)])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_odd_non_square_and_tiny_inputs(size, padding):
    torch.manual_seed(2)
    # One pixel has no batch statistics worth the name, so rounding is amplified: in float64.
    dtype = torch.float64 if size == (1, 1) else torch.float32
    images = torch.randn(2 if min(size) > 200 else 4, 3, *size, dtype=dtype)
    options = coefficients("b0")
    if padding == "same":
        pytest.importorskip("efficientnet_pytorch")
        reference = lukemelas("b0")
    else:
        reference = torchvision_model("b0", dropout=0.0)
        options |= {"padding": padding, "batch_norm_eps": 1e-5}
    reference = calibrated(reference.to(dtype), images)
    assert_same_logits(as_ours(reference, **options), reference, images)


def train_once(model, images, labels):
    model.train().zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    return loss.item()


@pytest.mark.parametrize(
    "package, name",
    [("efficientnet_pytorch", "b0"), ("timm", "b0"), ("torchvision", "b0")]
    + [("timm", name) for name in (LITE if CAMPAIGN else LITE[:1])],  # the others are its scales
)
@pytest.mark.parametrize("size", [(64, 64), (75, 50)])
def test_gradients_and_running_statistics_of_a_training_step(package, name, size):
    pytest.importorskip(package)
    torch.manual_seed(0)
    options = coefficients(name) | {"dropout_rate": 0.0, "drop_connect_rate": 0.0}
    if package == "efficientnet_pytorch":
        reference = lukemelas("b0")
    elif package == "timm":
        # timm keeps torch's momentum of 0.1 unless told; the published value is 0.01.
        reference = timm_tf(name, bn_momentum=0.01)
    else:
        norm = {"norm_layer": lambda n: nn.BatchNorm2d(n, eps=1e-3, momentum=0.01)}
        reference = torchvision_model("b0", dropout=0.0, stochastic_depth_prob=0.0, **norm)
        options |= {"padding": "symmetric"}
    # In float64, so that a difference is one of the function and not of rounding.
    reference = reference.double().train()
    ours = copy.deepcopy(as_ours(reference, **options))
    images = torch.randn(4, 3, *size, dtype=torch.float64)
    labels = torch.arange(4)
    loss, expected = train_once(ours, images, labels), train_once(reference, images, labels)
    assert loss == pytest.approx(expected, abs=1e-12)

    shared = as_ours(reference, **options)  # the reference's values under our names
    # assign=True makes new parameters of the same storage, so gradients are paired by storage.
    expected_gradients = {p.data_ptr(): p.grad for p in reference.parameters()}
    shared_parameters = dict(shared.named_parameters())
    largest = max(p.grad.abs().max() for p in reference.parameters())
    for name, parameter in ours.named_parameters():
        expected_gradient = expected_gradients[shared_parameters[name].data_ptr()]
        torch.testing.assert_close(
            parameter.grad, expected_gradient, rtol=1e-8, atol=1e-10 * float(largest), msg=name
        )
    for (name, got), wanted in zip(ours.named_buffers(), shared.buffers(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12, msg=name)
    assert ours._bn0.running_mean.abs().max() > 0


def test_same_seed_drops_the_same_as_efficientnet_pytorch():
    pytest.importorskip("efficientnet_pytorch")
    reference = lukemelas("b0", rate=0.4).train()
    options = coefficients("b0") | {"dropout_rate": 0.4, "drop_connect_rate": 0.4}
    ours = copy.deepcopy(as_ours(reference, **options))
    images = torch.randn(8, 3, 64, 64)
    torch.manual_seed(3)
    expected = reference(images)
    torch.manual_seed(3)
    torch.testing.assert_close(ours(images), expected, rtol=1e-3, atol=1e-4)


def test_drop_connect_rate_of_every_block():
    """Block i of n drops a sample with probability 0.2 i / n, and only where it has a shortcut."""
    torch.manual_seed(0)
    # A third of the width leaves the rates as they are, and the test quick.
    model = build_model("b0", num_classes=2, width_coefficient=0.3).train()
    count, samples, dropping = len(model._blocks), 1000, []
    for i, block in enumerate(model._blocks):
        in_channels = (block._expand_conv if i else block._depthwise_conv).in_channels
        x = torch.randn(samples, in_channels, 1, 1)
        with torch.no_grad():
            y = block(x)
            block.drop_rate, rate = 0.0, block.drop_rate
            undropped = block(x)
        if not block.has_shortcut:
            torch.testing.assert_close(y, undropped)
            continue
        dropping.append(i)
        expected = 0.2 * i / count
        assert rate == pytest.approx(expected)
        dropped = (y == x).flatten(1).all(1)
        sigma = (expected * (1 - expected) / samples) ** 0.5
        assert abs(dropped.float().mean() - expected) < 4 * sigma, f"block {i}"
        torch.testing.assert_close(
            (y - x)[~dropped], (undropped - x)[~dropped] / (1 - expected), rtol=1e-4, atol=1e-5
        )
    assert dropping == [2, 4, 6, 7, 9, 10, 12, 13, 14]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_drop_connect_keeps_its_rate_in_any_precision(dtype):
    torch.manual_seed(0)
    samples, rate = 1_000_000, 0.025
    kept = drop_connect(torch.ones(samples, 1, 1, 1, dtype=dtype), rate)
    sigma = (rate * (1 - rate) / samples) ** 0.5
    assert abs((kept == 0).float().mean() - rate) < 4 * sigma
    assert kept.dtype == dtype
    assert kept.max().item() == pytest.approx(1 / (1 - rate), rel=4e-3)


@pytest.mark.parametrize("name", WITHOUT_LITE)
def test_scales(name):
    """Coefficients, resolution, dropout, every width and depth as efficientnet_pytorch has it."""
    package = pytest.importorskip("efficientnet_pytorch")
    assert tuple(SCALES[name]) == package.utils.efficientnet_params(f"efficientnet-{name}")
    with torch.device("meta"):
        ours, reference = build_model(name), lukemelas(name, classes=1000)
    shapes = {key: value.shape for key, value in ours.state_dict().items()}
    assert shapes == {key: value.shape for key, value in reference.state_dict().items()}
    assert ours._dropout.p == SCALES[name].dropout_rate


@pytest.mark.parametrize(
    "name, millions",
    [("lite0", 4.7), ("lite1", 5.4), ("lite2", 6.1), ("lite3", 8.2), ("lite4", 13.0)],
)
def test_lite_has_its_published_size(name, millions):
    with torch.device("meta"):
        model = build_model(name)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == millions
    assert model._conv_stem.out_channels == 32 and model._fc.in_features == 1280
    assert not [key for key in model.state_dict() if "_se_" in key]
    assert {"lite0": 224, "lite1": 240, "lite2": 260, "lite3": 280, "lite4": 300}[name] == (
        SCALES[name].resolution
    )


@pytest.mark.parametrize("width", [0.3, 0.5, 1.0, 1.3, 2.0, 3.8, 5.0])
@pytest.mark.parametrize("depth", [0.4, 1.0, 2.5])
def test_any_coefficients(width, depth):
    package = pytest.importorskip("efficientnet_pytorch")
    params = package.utils.GlobalParams(
        width_coefficient=width, depth_coefficient=depth, depth_divisor=8
    )
    with torch.device("meta"):
        model = build_model("b0", width_coefficient=width, depth_coefficient=depth)
    assert model._conv_stem.out_channels == package.utils.round_filters(32, params)
    blocks = iter(model._blocks)
    for stage in STAGES:
        for _ in range(package.utils.round_repeats(stage.layers, params)):
            expected = package.utils.round_filters(stage.channels, params)
            assert next(blocks)._project_conv.out_channels == expected
    assert next(blocks, None) is None
    assert model._fc.in_features == package.utils.round_filters(1280, params)


def test_rounding():
    # TensorFlow's rule: multiples of 8, ties up, never below 8 nor more than 10 % lost.
    assert [round_filters(32, w) for w in (0.1, 1.0, 1.1, 1.2, 1.4)] == [8, 32, 32, 40, 48]
    assert round_filters(12, 1.0) == 16
    assert round_filters(32, 0.3) == 16  # the nearest multiple of 9.6 is 8, which loses 17 %
    assert [round_repeats(n, 1.1) for n in (1, 2, 3, 4)] == [2, 3, 4, 5]


def test_batch_norm_settings():
    norms = [m for m in build_model("b0").modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 49
    assert {(n.momentum, n.eps) for n in norms} == {(0.01, 1e-3)}
    model = build_model("b0", batch_norm_momentum=0.1, batch_norm_eps=1e-5)
    assert {(n.momentum, n.eps) for n in model.modules() if isinstance(n, nn.BatchNorm2d)} == {
        (0.1, 1e-5)
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "b99"}, ["'b99'", "b0", "l2", "torchvision:"]),
        ({"padding": "valid"}, ["padding", "'valid'", "same", "symmetric"]),
        ({"dropout_rate": 1.0}, ["dropout_rate", "1.0", "[0, 1)"]),
        ({"drop_connect_rate": -0.1}, ["drop_connect_rate", "-0.1"]),
        ({"num_classes": 0}, ["num_classes", "0"]),
        ({"in_channels": 0}, ["in_channels", "0"]),
        ({"width_coefficient": 0.0}, ["width_coefficient", "0.0"]),
        ({"depth_coefficient": float("nan")}, ["depth_coefficient", "nan"]),
    ],
)
def test_bad_values_are_refused_by_name(options, words):
    with pytest.raises(EffnetError) as error:
        build_model(**options)
    assert all(word in str(error.value) for word in words), str(error.value)
