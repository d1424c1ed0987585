"""Parameters, multiply-adds and shapes, read off the model itself.

Everything that depends on the input runs on the meta device: shapes without numbers, so B7 at
600 pixels costs no more memory or time than B0 at 224.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from effnet.model import STAGES, EfficientNet, MBConv


def count_parameters(model: nn.Module) -> int:
    """Number of parameters; running statistics are buffers and do not count."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_trainable_parameters(model: nn.Module) -> int:
    """Number of parameters that are not frozen."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_flops(model: nn.Module, image_size: int | tuple[int, int]) -> int:
    """Multiply-adds of one image's forward pass in eval mode.

    Counts what torch's FlopCounterMode counts: convolutions (squeeze-and-excitation included),
    matrix products and attention. Batch norm, activations, pooling and additions are left out,
    as in the literature. torch counts a multiply-add as two operations; the EfficientNet paper's
    "FLOPS" are multiply-adds, so this is half of torch's number.

    Args:
        image_size: side in pixels, or (height, width).
    """
    counter = FlopCounterMode(display=False)
    with counter:
        _forward_on_meta(model, image_size)
    return counter.get_total_flops() // 2


def block_shapes(model: EfficientNet, image_size: int | tuple[int, int]) -> pd.DataFrame:
    """One row per layer of an EfficientNet: stem, every MBConv block, head, classifier.

    Columns: name (as in the model), stage (1 to 9 as in the paper), operator, kernel_size,
    stride, expand_ratio, in_channels, in_height, in_width, out_channels, out_height, out_width,
    squeezed_channels, shortcut (bool), drop_rate, parameters (batch norm that belongs to the layer
    included). Fields that a layer lacks are 0. The classifier's input is the pooled 1 x 1 map.
    """
    rows: dict[str, dict[str, Any]] = {}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            rows[name] = _in_and_out(inputs[0], output)

        return hook

    layers: dict[str, nn.Module] = {"_conv_stem": model._conv_stem}
    layers |= {f"_blocks.{i}": block for i, block in enumerate(model._blocks)}
    layers |= {"_conv_head": model._conv_head, "_fc": model._fc}
    handles = [layer.register_forward_hook(record(name)) for name, layer in layers.items()]
    try:
        _forward_on_meta(model, image_size)
    finally:
        for handle in handles:
            handle.remove()

    stage_of_block = [
        stage for stage, layers_ in enumerate(model.stage_layers, start=2) for _ in range(layers_)
    ]
    plain = {"expand_ratio": 0, "squeezed_channels": 0, "shortcut": False, "drop_rate": 0.0}
    described = {
        "_conv_stem": {"stage": 1, "operator": "Conv3x3", "kernel_size": 3, "stride": 2} | plain,
        "_conv_head": {"stage": 9, "operator": "Conv1x1", "kernel_size": 1, "stride": 1} | plain,
        "_fc": {"stage": 9, "operator": "FC", "kernel_size": 0, "stride": 0} | plain,
    }
    for i, block in enumerate(model._blocks):
        assert isinstance(block, MBConv)
        described[f"_blocks.{i}"] = {
            "stage": stage_of_block[i],
            "operator": _operator(block.expand_ratio, block.kernel_size),
            "kernel_size": block.kernel_size,
            "stride": block.stride,
            "expand_ratio": block.expand_ratio,
            "squeezed_channels": 0 if block.lite else block._se_reduce.out_channels,
            "shortcut": block.has_shortcut,
            "drop_rate": block.drop_rate if block.has_shortcut else 0.0,
        }
    own = {name: count_parameters(layer) for name, layer in layers.items()}
    own["_conv_stem"] += count_parameters(model._bn0)
    own["_conv_head"] += count_parameters(model._bn1)
    columns = [
        *("name", "stage", "operator", "kernel_size", "stride", "expand_ratio"),
        *("in_channels", "in_height", "in_width", "out_channels", "out_height", "out_width"),
        *("squeezed_channels", "shortcut", "drop_rate", "parameters"),
    ]
    table = [
        {"name": name, "parameters": own[name]} | described[name] | rows[name] for name in layers
    ]
    return pd.DataFrame(table, columns=columns)


def layer_table(model: EfficientNet, image_size: int | tuple[int, int]) -> pd.DataFrame:
    """The paper's Table 1 for this model: stage, operator, resolution, channels, layers.

    The paper's convention: `resolution` is what a stage's first layer receives, `channels` what
    its layers return. So stage 3 (stride 2) is listed with the 112 x 112 it reads from stage 2,
    not with the 56 x 56 it makes. Stage 9 is the 1x1 convolution with pooling and classifier.
    """
    shapes = block_shapes(model, image_size)
    first = shapes.groupby("stage", sort=True).first()
    rows = []
    for stage, row in first.iterrows():
        last_row = stage == len(STAGES) + 2
        rows.append(
            {
                "stage": stage,
                "operator": "Conv1x1 & Pooling & FC" if last_row else row["operator"],
                "resolution": f"{row['in_height']}x{row['in_width']}",
                "channels": row["out_channels"],
                "layers": 1 if last_row else int((shapes["stage"] == stage).sum()),
            }
        )
    return pd.DataFrame(rows)


def _operator(expand_ratio: int, kernel_size: int) -> str:
    return f"MBConv{expand_ratio}, k{kernel_size}x{kernel_size}"


def _in_and_out(x: Tensor, y: Tensor) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for side, tensor in (("in", x), ("out", y)):
        channels, height, width = (*tensor.shape[1:], 1, 1)[:3]
        sizes |= {f"{side}_channels": channels, f"{side}_height": height, f"{side}_width": width}
    return sizes


def _forward_on_meta(model: nn.Module, image_size: int | tuple[int, int]) -> None:
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    weights = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    on_meta = {name: tensor.detach().to("meta") for name, tensor in weights.items()}
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    image = torch.empty(1, first.in_channels, height, width, device="meta")
    with _shapes_only(model), torch.no_grad():
        torch.func.functional_call(model, on_meta, (image,))


@contextmanager
def _shapes_only(model: nn.Module) -> Iterator[None]:
    """Eval mode without batch norms: they change no shape, and are half of a pass on meta."""
    modes = {module: module.training for module in model.modules()}
    norms = [module for module in modes if isinstance(module, nn.BatchNorm2d)]
    model.eval()
    for norm in norms:
        vars(norm)["forward"] = lambda x: x
    try:
        yield
    finally:
        for norm in norms:
            del vars(norm)["forward"]
        for module, training in modes.items():
            module.training = training
