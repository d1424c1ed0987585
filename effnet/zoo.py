"""Classifiers of torchvision and timm with our head and channels: one more word in a trial.

To offer another library, add a builder to `LIBRARIES` that returns an nn.Module from images
(B, in_channels, H, W) to logits (B, num_classes).
"""

import difflib
import warnings
from functools import cache
from typing import Any

import torch
from torch import nn

from effnet.errors import EffnetError

# torchvision's models that are built for one input size, and what they call it.
FIXED_SIZE = {"vit": "image_size", "maxvit": "input_size"}
# These return a tuple in train mode unless their auxiliary classifiers are left out.
WITHOUT_AUXILIARY = {"googlenet", "inception_v3"}


def build_other(
    name: str,
    num_classes: int,
    in_channels: int = 3,
    dropout_rate: float | None = None,
    image_size: int | None = None,
) -> nn.Module:
    """`torchvision:<model>` or `timm:<model>` with random weights.

    Args:
        name: with its library, as "torchvision:resnet50" or "timm:ghostnet_100".
        num_classes, in_channels: of the logits and of the image. A torchvision stem for other
            than 3 channels starts from torch's default initialisation.
        dropout_rate: the library's own option (`dropout`, `drop_rate`); None keeps its default.
            Refused where the model has none (`takes_dropout`).
        image_size: side in pixels, for models that are built for one size; others ignore it.

    Raises:
        EffnetError: unknown library or model, timm missing, or an option the model refuses.
    """
    library, _, model_name = name.partition(":")
    if library not in LIBRARIES:
        raise EffnetError(f"model name is {name!r}; the library must be {' or '.join(LIBRARIES)}.")
    try:
        model = LIBRARIES[library](model_name, num_classes, in_channels, dropout_rate, image_size)
        if dropout_rate and dropout_rate not in _rates(model):  # ConvNeXt takes any word
            raise TypeError("it has no dropout")
        return model
    except EffnetError:
        raise
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise EffnetError(
            f"{name} cannot be built with num_classes={num_classes}, in_channels={in_channels}, "
            f"dropout_rate={dropout_rate}, image_size={image_size}: {error}"
        ) from error


@cache
def takes_dropout(name: str, in_channels: int = 3, image_size: int | None = None) -> bool:
    """Whether a model has a dropout to set the rate of; raises as `build_other` without one."""
    _outline(name, in_channels, None, image_size)
    try:
        _outline(name, in_channels, 0.3125, image_size)  # a rate that no model has of its own
    except EffnetError:
        return False
    return True


def _outline(name: str, in_channels: int, rate: float | None, image_size: int | None) -> None:
    """Build a model without numbers; with them where its builder computes some (RegNet's)."""
    try:
        with torch.device("meta"):
            build_other(name, 2, in_channels, rate, image_size)
    except EffnetError as error:
        if "meta tensor" not in str(error):
            raise
        with torch.random.fork_rng(devices=[]):
            build_other(name, 2, in_channels, rate, image_size)


def _rates(model: nn.Module) -> set[float]:
    """The rates of a model's dropouts, which are layers or numbers that it keeps."""
    kept = [getattr(m, name, None) for m in model.modules() for name in ("p", "drop_rate")]
    return {rate for rate in kept if isinstance(rate, float)}


def classifier_name(model: nn.Module) -> str:
    """Name of the layer that makes the logits, "_fc" for an EfficientNet.

    The last linear layer, or in a network without any (SqueezeNet) the last convolution.
    """
    layers = [(name, layer) for name, layer in model.named_modules()]
    for kind in (nn.Linear, nn.Conv2d):
        if names := [name for name, layer in layers if isinstance(layer, kind)]:
            return names[-1]
    raise EffnetError(f"{type(model).__name__} has no linear layer or convolution as classifier.")


def _torchvision(
    name: str, num_classes: int, in_channels: int, dropout: float | None, image_size: int | None
) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise EffnetError(f"torchvision has no classifier {name!r}; it has {', '.join(known)}.")
    options: dict[str, Any] = {"num_classes": num_classes}
    if dropout is not None:
        options["dropout"] = dropout
    if name in WITHOUT_AUXILIARY:
        options |= {"aux_logits": False, "init_weights": True}
    size_option = FIXED_SIZE.get(name.partition("_")[0])
    if size_option and image_size is not None:
        options[size_option] = image_size if size_option == "image_size" else (image_size,) * 2
    model = models.get_model(name, weights=None, **options)
    if in_channels != 3:
        _replace_stem(model, in_channels)
    return model


def _replace_stem(model: nn.Module, in_channels: int) -> None:
    stem: Any  # a convolution's sizes: to torch's stubs tuples of any length
    name, stem = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    parent, _, attribute = name.rpartition(".")
    replacement = nn.Conv2d(
        in_channels,
        stem.out_channels,
        stem.kernel_size,
        stem.stride,
        stem.padding,
        stem.dilation,
        bias=stem.bias is not None,
        padding_mode=stem.padding_mode,
    )
    setattr(model.get_submodule(parent), attribute, replacement)


def _timm(
    name: str, num_classes: int, in_channels: int, dropout: float | None, image_size: int | None
) -> nn.Module:
    try:
        with warnings.catch_warnings():  # in notebooks, of a progress bar that nothing here draws
            warnings.filterwarnings("ignore", message="IProgress not found")
            import timm
    except ImportError:
        raise EffnetError(
            f"timm:{name} needs the package timm, which is not installed: pip install timm."
        ) from None
    known = timm.list_models()
    if name.partition(".")[0] not in known:
        near = difflib.get_close_matches(name, known, n=8, cutoff=0.5)
        raise EffnetError(
            f"timm has no classifier {name!r}; "
            + (f"it has {', '.join(near)}, and " if near else "it has ")
            + f"{len(known)} models in all: timm.list_models() names them."
        )
    options: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels}
    if dropout is not None:
        options["drop_rate"] = dropout
    published = timm.get_pretrained_cfg(name)
    if image_size is not None and published is not None and published.fixed_input_size:
        options["img_size"] = image_size
    return timm.create_model(name, pretrained=False, **options)


# First word of a model's name -> who builds it.
LIBRARIES = {"torchvision": _torchvision, "timm": _timm}
