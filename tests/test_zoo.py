"""Other libraries' classifiers through the same door."""

import sys

import pytest
import torch
from torch import nn

from effnet.errors import EffnetError
from effnet.model import EfficientNet, build_model
from effnet.weights.load import freeze_pretrained, load_weights, save_weights
from effnet.zoo import classifier_name, takes_dropout

pytestmark = pytest.mark.usefixtures("freed_at_once")


def check(model, in_channels, size, classes=7):
    """A training step: logits of the right shape, gradients up to the stem."""
    logits = model.train()(torch.randn(2, in_channels, size, size))
    assert logits.shape == (2, classes)
    logits.square().sum().backward()
    assert next(model.parameters()).grad is not None
    head = model.get_submodule(classifier_name(model))
    assert classes == (head.out_features if isinstance(head, nn.Linear) else head.out_channels)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", 64),
        ("resnet50", 64),
        ("mobilenet_v3_small", 64),
        ("squeezenet1_1", 64),
        ("shufflenet_v2_x0_5", 64),
        ("densenet121", 64),
        ("googlenet", 64),
        ("regnet_y_400mf", 64),
        ("efficientnet_b0", 64),
    ],
)
@pytest.mark.parametrize("in_channels", [3, 1])
def test_torchvision(name, size, in_channels):
    model = build_model(f"torchvision:{name}", num_classes=7, in_channels=in_channels)
    check(model, in_channels, size)


@pytest.mark.parametrize("name", ["vit_b_16", "maxvit_t", "inception_v3", "swin_t"])
def test_torchvision_models_of_one_size(name):
    size = {"inception_v3": 299}.get(name, 224)
    with torch.device("meta"):
        model = build_model(f"torchvision:{name}", num_classes=7, in_channels=1, image_size=size)
        logits = model.train()(torch.empty(2, 1, size, size))
    assert logits.shape == (2, 7)
    if name == "vit_b_16":
        with torch.device("meta"):
            small = build_model("torchvision:vit_b_16", num_classes=7, image_size=64)
            assert small(torch.empty(2, 3, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize(
    "name", ["ghostnet_100", "resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_100"]
)
@pytest.mark.parametrize("in_channels", [3, 1])
def test_timm(name, in_channels):
    pytest.importorskip("timm")
    model = build_model(
        f"timm:{name}", num_classes=7, in_channels=in_channels, image_size=64, dropout_rate=0.1
    )
    check(model, in_channels, 64)


def test_dropout_rate_reaches_the_library():
    model = build_model("torchvision:efficientnet_b0", dropout_rate=0.37)
    assert model.classifier[0].p == 0.37
    pytest.importorskip("timm")
    assert build_model("timm:resnet18", dropout_rate=0.37).drop_rate == 0.37
    for name in ("resnet18", "densenet121", "convnext_tiny"):
        with pytest.raises(EffnetError, match=rf"torchvision:{name}.*dropout_rate=0.37.*dropout"):
            build_model(f"torchvision:{name}", dropout_rate=0.37)


def test_which_models_take_dropout():
    state = torch.random.get_rng_state()
    with_it = {"alexnet", "efficientnet_b0", "mobilenet_v2", "googlenet", "swin_t", "vit_b_32"}
    without = {"resnet50", "densenet121", "shufflenet_v2_x1_0", "regnet_y_400mf", "convnext_tiny"}
    for name in with_it | without:
        assert takes_dropout(f"torchvision:{name}", image_size=64) == (name in with_it), name
    pytest.importorskip("timm")
    assert takes_dropout("timm:resnet18") and takes_dropout("timm:vit_tiny_patch16_224", 1, 64)
    assert torch.equal(state, torch.random.get_rng_state())


def test_unknown_names_list_what_there_is():
    with pytest.raises(EffnetError, match=r"'resnet5'.*resnet50.*vit_b_16"):
        build_model("torchvision:resnet5")
    with pytest.raises(EffnetError, match="torchvision or timm"):
        build_model("keras:resnet50")
    pytest.importorskip("timm")
    with pytest.raises(EffnetError, match=r"'ghostnet'.*ghostnet_100.*list_models"):
        build_model("timm:ghostnet")


def test_without_timm_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(EffnetError, match="pip install timm"):
        build_model("timm:ghostnet_100")


@pytest.mark.parametrize(
    "option",
    [
        {"padding": "same"},
        {"drop_connect_rate": 0.2},
        {"batch_norm_momentum": 0.1},
        {"width_coefficient": 2.0},
    ],
)
def test_options_of_efficientnet_are_refused_elsewhere(option):
    with pytest.raises(EffnetError, match=next(iter(option))):
        build_model("torchvision:resnet18", **option)


def test_classifier_of_efficientnet():
    assert classifier_name(EfficientNet(0.3, 0.3)) == "_fc"


def test_weights_of_another_librarys_model(tmp_path):
    torch.manual_seed(0)
    source = build_model("torchvision:resnet18", num_classes=5)
    save_weights(source, tmp_path / "resnet.pth")
    model = build_model("torchvision:resnet18", num_classes=9)
    report = load_weights(model, tmp_path / "resnet.pth")
    assert report.left_out == ("fc.weight", "fc.bias")
    assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    freeze_pretrained(model, report)
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trainable == ["fc.weight", "fc.bias"]
    with pytest.raises(EffnetError, match=r"layer1\.0\.conv1\.weight has shape"):
        load_weights(build_model("torchvision:resnet50"), tmp_path / "resnet.pth")
