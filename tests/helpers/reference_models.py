"""The same networks as other packages write them, with weights that make a difference visible."""

import torch
from torch import nn

from effnet.model import EfficientNet


def calibrated(model, images):
    """The model in eval mode with the batch statistics of `images` and random affines.

    Fresh running statistics let the signal fade to 1e-3 over the depth, statistics of other images
    let it grow to 1e6, and affines around 1 amplify rounding from block to block: none of these
    says whether two networks agree to 1e-5.
    """
    generator = torch.Generator().manual_seed(0)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momentum = [m.momentum for m in norms]
    head = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.copy_(0.4 + 0.1 * torch.randn(norm.weight.shape, generator=generator))
            norm.bias.copy_(0.3 * torch.randn(norm.bias.shape, generator=generator))
        # torchvision and timm start with a classifier so small that any logits would agree.
        head.weight.copy_(0.05 * torch.randn(head.weight.shape, generator=generator))
        head.bias.copy_(0.1 * torch.randn(head.bias.shape, generator=generator))
        model.train()(images)
    for norm, value in zip(norms, momentum, strict=True):
        norm.momentum = value
    return model.eval()


def filled(build):
    """`build()` without its own, slow initialisation: normal weights scaled by their fan-in."""
    with torch.device("meta"):
        model = build()
    model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter[0].numel()
            parameter.normal_(std=fan_in**-0.5, generator=generator)
        for norm in [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]:
            norm.reset_running_stats()
    return model


def as_ours(reference, **options):
    """Our model of the same size, sharing the reference's tensors under our names."""
    from effnet.weights.formats import our_names

    with torch.device("meta"):
        model = EfficientNet(**options)
    state = reference.state_dict()
    _, names = our_names(list(state))
    model.load_state_dict({names[k]: v for k, v in state.items()}, assign=True)
    return model.train(reference.training)


def lukemelas(name, classes=10, rate=0.0, **options):
    """The package efficientnet_pytorch with padding for the image it gets (image_size=None)."""
    from efficientnet_pytorch import EfficientNet

    return EfficientNet.from_name(
        f"efficientnet-{name}",
        num_classes=classes,
        **{"image_size": None, "dropout_rate": rate, "drop_connect_rate": rate} | options,
    )


def timm_tf(name, classes=10, **options):
    """timm's port of TensorFlow's networks; its own batch norm default is the published one."""
    import timm

    return timm.create_model(f"tf_efficientnet_{name}", num_classes=classes, **options)


def torchvision_model(name, classes=10, **options):
    """torchvision's, with symmetric padding."""
    from torchvision import models

    return models.get_model(f"efficientnet_{name}", num_classes=classes, **options)


def twin(**options):
    """A network of ours with every part at a fraction of its size."""
    return EfficientNet(**{"width_coefficient": 0.3, "depth_coefficient": 0.35} | options)


def trained_twin():
    """One for 5 classes whose weights and statistics all differ from their defaults."""
    torch.manual_seed(0)
    return calibrated(twin(num_classes=5), torch.randn(4, 3, 48, 48))
