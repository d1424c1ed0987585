"""EfficientNet (Tan and Le 2019, arXiv:1905.11946), B0 to B8, L2, Lite0 to Lite4, and between.

Submodule names are those of the published PyTorch checkpoints (`_conv_stem`, `_blocks.N._bn0`,
`_fc`, ...), so that their files load as they are. Shapes in comments: B batch, C channels,
H x W pixels.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effnet.errors import EffnetError
from effnet.fast import depthwise
from effnet.fast.squeeze import excite, pool
from effnet.scales import SCALES
from effnet.zoo import LIBRARIES, build_other


class Stage(NamedTuple):
    """One MBConv row of the paper's Table 1; only its first layer has the stride."""

    expand_ratio: int
    kernel_size: int
    stride: int
    channels: int
    layers: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
SQUEEZE_RATIO = 0.25  # of a block's input channels, not of the expanded ones
PADDINGS = ("same", "symmetric")


def round_filters(channels: int, width_coefficient: float) -> int:
    """Scaled channels, to the nearest multiple of 8 that loses no more than 10 %."""
    scaled = channels * width_coefficient
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def round_repeats(layers: int, depth_coefficient: float) -> int:
    """Scaled number of layers, rounded up."""
    return math.ceil(layers * depth_coefficient)


class Conv2d(nn.Conv2d):
    """Convolution whose output side is ceil(input side / stride), without bias until it is folded.

    `padding="symmetric"` puts kernel_size // 2 zeros on all sides. `padding="same"` is
    TensorFlow's: as many zeros as needed, an odd one on the far side. The two differ only for
    strided convolutions of an even side, so only those pay for a padded copy.
    """

    padding: tuple[int, int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        padding: str = "same",
    ) -> None:
        half = kernel_size // 2
        super().__init__(
            in_channels, out_channels, kernel_size, stride, half, groups=groups, bias=False
        )
        self.far_side = padding == "same" and stride > 1

    def forward(self, x: Tensor) -> Tensor:
        padding = self.padding
        if self.far_side:
            top, bottom = self._same(x.shape[2])
            left, right = self._same(x.shape[3])
            padding = (top, left)
            if top != bottom or left != right:
                x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
        if self.groups > 1 and self.bias is None and depthwise.applies(x, self.weight):
            return depthwise.depthwise(x, self.weight, self.stride[0], padding)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)

    def _same(self, side: int) -> tuple[int, int]:
        kernel_size, stride = self.kernel_size[0], self.stride[0]
        total = max((math.ceil(side / stride) - 1) * stride + kernel_size - side, 0)
        return total // 2, total - total // 2


class OnePixel(nn.Conv2d):
    """1 x 1 convolution of a map of one pixel, (B, in) to (B, out): just a matrix product.

    Its weight keeps a convolution's shape, as the published checkpoints have it.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.flatten(1), self.bias)


def drop_connect(x: Tensor, rate: float) -> Tensor:
    """Zero whole samples with probability `rate` and divide the others by 1 - rate.

    Args:
        x: a block's output before its shortcut, (B, C, H, W).
        rate: in [0, 1).
    """
    keep = 1 - rate
    # In float32 whatever x is: in bfloat16 keep + rand has 8 bits and drops at another rate.
    noise = torch.rand(x.shape[0], 1, 1, 1, dtype=torch.float32, device=x.device)
    return x * (torch.floor(keep + noise) / keep).to(x.dtype)


def activate(x: Tensor, lite: bool, inplace: bool) -> Tensor:
    """ReLU6 in the Lite networks, SiLU in the others."""
    return F.relu6(x, inplace) if lite else F.silu(x, inplace)


class MBConv(nn.Module):
    """Inverted bottleneck: expand, filter per channel, squeeze-and-excite, project, shortcut.

    Maps (B, in_channels, H, W) to (B, out_channels, ceil(H/stride), ceil(W/stride)).
    The shortcut, and with it drop connect, exists where input and output have the same shape.
    `lite` leaves out squeeze-and-excitation, and has ReLU6 for SiLU.
    """

    inplace = False  # effnet.training.fold: a map may take the place of the one before it

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        expand_ratio: int,
        drop_rate: float,
        padding: str,
        lite: bool,
        batch_norm: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.expand_ratio = kernel_size, stride, expand_ratio
        self.drop_rate, self.lite = drop_rate, lite
        self.has_shortcut = stride == 1 and in_channels == out_channels
        expanded = in_channels * expand_ratio
        squeezed = max(1, int(in_channels * SQUEEZE_RATIO))
        if expand_ratio != 1:
            self._expand_conv = Conv2d(in_channels, expanded, 1)
            self._bn0 = batch_norm(expanded)
        self._depthwise_conv = Conv2d(expanded, expanded, kernel_size, stride, expanded, padding)
        self._bn1 = batch_norm(expanded)
        if not lite:
            self._se_reduce = OnePixel(expanded, squeezed, 1)
            self._se_expand = OnePixel(squeezed, expanded, 1)
        self._project_conv = Conv2d(expanded, out_channels, 1)
        self._bn2 = batch_norm(out_channels)

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs  # (B, in, H, W)
        if self.expand_ratio != 1:
            x = self._bn0(self._expand_conv(x))
            x = activate(x, self.lite, self.inplace)  # (B, in * expand_ratio, H, W)
        x = self._bn1(self._depthwise_conv(x))  # (B, in * expand_ratio, H/s, W/s)
        if self.lite:
            x = activate(x, self.lite, self.inplace)
        else:
            x = excite(x, self._se_reduce, self._se_expand, self.inplace)
        x = self._bn2(self._project_conv(x))  # (B, out, H/s, W/s)
        if not self.has_shortcut:
            return x
        if self.training and self.drop_rate > 0:
            x = drop_connect(x, self.drop_rate)
        return x.add_(inputs) if self.inplace else x + inputs


class EfficientNet(nn.Module):
    """Stem, seven stages of MBConv blocks, head, pooling, dropout, classifier.

    Args:
        width_coefficient, depth_coefficient: multipliers of B0's channels and layers (> 0).
        num_classes: length of the logits.
        in_channels: 3 for RGB, 1 for grayscale.
        dropout_rate: before the classifier, in [0, 1).
        drop_connect_rate: the last block's; block i of n has drop_connect_rate * i / n. [0, 1).
        padding: "same" (TensorFlow's, which the published checkpoints were trained with) or
            "symmetric" (what the thesis ran, and torchvision's).
        batch_norm_momentum, batch_norm_eps: in torch's sense. The published values are 0.01 and
            1e-3; torchvision's B0 to B4 have 0.1 and 1e-5.
        lite: the Lite networks' blocks and ReLU6; stem and head are not widened, the first and the
            last stage not deepened.

    Weights start from torch's defaults, as in the thesis. Raises EffnetError for a value outside
    its range.
    """

    inplace = False

    def __init__(
        self,
        width_coefficient: float = 1.0,
        depth_coefficient: float = 1.0,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout_rate: float = 0.2,
        drop_connect_rate: float = 0.2,
        padding: str = "same",
        batch_norm_momentum: float = 0.01,
        batch_norm_eps: float = 1e-3,
        lite: bool = False,
    ) -> None:
        super().__init__()
        _in_range("width_coefficient", width_coefficient, "> 0", width_coefficient > 0)
        _in_range("depth_coefficient", depth_coefficient, "> 0", depth_coefficient > 0)
        _in_range("num_classes", num_classes, ">= 1", num_classes >= 1)
        _in_range("in_channels", in_channels, ">= 1", in_channels >= 1)
        _in_range("dropout_rate", dropout_rate, "in [0, 1)", 0 <= dropout_rate < 1)
        _in_range("drop_connect_rate", drop_connect_rate, "in [0, 1)", 0 <= drop_connect_rate < 1)
        _in_range("padding", padding, f"one of {', '.join(PADDINGS)}", padding in PADDINGS)
        self.width_coefficient, self.depth_coefficient = width_coefficient, depth_coefficient
        self.num_classes, self.in_channels, self.padding = num_classes, in_channels, padding
        self.lite = lite
        batch_norm = partial(nn.BatchNorm2d, eps=batch_norm_eps, momentum=batch_norm_momentum)

        ends_width = 1.0 if lite else width_coefficient  # of stem and head
        channels = round_filters(STEM_CHANNELS, ends_width)
        self._conv_stem = Conv2d(in_channels, channels, 3, stride=2, padding=padding)
        self._bn0 = batch_norm(channels)

        self.stage_layers = [round_repeats(stage.layers, depth_coefficient) for stage in STAGES]
        if lite:
            self.stage_layers[0], self.stage_layers[-1] = STAGES[0].layers, STAGES[-1].layers
        count = sum(self.stage_layers)
        self._blocks = nn.ModuleList()
        for stage, layers in zip(STAGES, self.stage_layers, strict=True):
            out_channels = round_filters(stage.channels, width_coefficient)
            for layer in range(layers):
                self._blocks.append(
                    MBConv(
                        in_channels=channels,
                        out_channels=out_channels,
                        kernel_size=stage.kernel_size,
                        stride=stage.stride if layer == 0 else 1,
                        expand_ratio=stage.expand_ratio,
                        drop_rate=drop_connect_rate * len(self._blocks) / count,
                        padding=padding,
                        lite=lite,
                        batch_norm=batch_norm,
                    )
                )
                channels = out_channels

        features = round_filters(HEAD_CHANNELS, ends_width)
        self._conv_head = Conv2d(channels, features, 1)
        self._bn1 = batch_norm(features)
        self._dropout = nn.Dropout(dropout_rate)
        self._fc = nn.Linear(features, num_classes)

    def extract_features(self, x: Tensor) -> Tensor:
        """Images (B, in_channels, H, W) to the head's output (B, features, H/32, W/32)."""
        x = activate(self._bn0(self._conv_stem(x)), self.lite, self.inplace)  # (B, stem, H/2, W/2)
        for block in self._blocks:
            x = block(x)
        return activate(self._bn1(self._conv_head(x)), self.lite, self.inplace)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (B, in_channels, H, W) to logits (B, num_classes)."""
        x = pool(self.extract_features(x))  # (B, features)
        return self._fc(self._dropout(x))


def build_model(
    name: str = "b0",
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout_rate: float | None = None,
    drop_connect_rate: float | None = None,
    padding: str | None = None,
    batch_norm_momentum: float | None = None,
    image_size: int | None = None,
    *,
    width_coefficient: float | None = None,
    depth_coefficient: float | None = None,
    batch_norm_eps: float | None = None,
) -> nn.Module:
    """Build a classifier with random weights.

    Args:
        name: "b0" to "b8", "l2", "lite0" to "lite4"; or another library's classifier,
            "torchvision:resnet50", "timm:ghostnet_100" (timm must be installed).
        num_classes: length of the logits.
        in_channels: 3 for RGB, 1 for grayscale.
        dropout_rate: before the classifier; None takes the architecture's own.
        drop_connect_rate, padding, batch_norm_momentum, batch_norm_eps, width_coefficient,
            depth_coefficient: as in `EfficientNet`; None takes its default, or the coefficient of
            `name`. Another library's model keeps its own: there, a value is refused.
        image_size: side of the input in pixels. EfficientNet takes any and needs none; vision
            transformers of the other libraries are built for it.

    Raises:
        EffnetError: an unknown name, a value out of range, or one that does not apply.
    """
    given: dict[str, Any] = {
        "drop_connect_rate": drop_connect_rate,
        "padding": padding,
        "batch_norm_momentum": batch_norm_momentum,
        "batch_norm_eps": batch_norm_eps,
        "width_coefficient": width_coefficient,
        "depth_coefficient": depth_coefficient,
    }
    given = {key: value for key, value in given.items() if value is not None}
    if ":" in name:
        if given:
            raise EffnetError(
                f"{name} does not take {', '.join(given)}: only EfficientNet "
                f"({', '.join(SCALES)}) does. Leave them at None."
            )
        return build_other(name, num_classes, in_channels, dropout_rate, image_size)
    if name not in SCALES:
        raise EffnetError(
            f"model name is {name!r}; allowed are {', '.join(SCALES)}, "
            f"{' and '.join(repr(f'{library}:<model>') for library in LIBRARIES)}."
        )
    scale = SCALES[name]
    given.setdefault("width_coefficient", scale.width_coefficient)
    given.setdefault("depth_coefficient", scale.depth_coefficient)
    given["dropout_rate"] = scale.dropout_rate if dropout_rate is None else dropout_rate
    given["lite"] = name.startswith("lite")
    return EfficientNet(num_classes=num_classes, in_channels=in_channels, **given)


def _in_range(parameter: str, value: object, allowed: str, holds: bool) -> None:
    if not holds:
        raise EffnetError(f"{parameter} is {value!r}; it must be {allowed}.")
