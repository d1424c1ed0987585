"""Figure 3, drawn from what hooks see in real blocks (thesis section 2.1).

Every thickness and label comes from hooks on the blocks' own convolutions, run on the meta device.
"""

import copy
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon
from torch import Tensor, nn

from effnet.plots.style import BLACK, BLUE, VERMILLION, footnote, hide_axes, new_figure, styled


class Slab(NamedTuple):
    """A tensor in figure 3: its channels, its side, and the convolution that reads it."""

    channels: int
    side: int
    operation: str


@styled
def residual_blocks(residual: list[Slab], inverted: list[Slab], names: tuple[str, str]) -> Figure:
    """Figure 3: a residual block beside an inverted one, thickness in proportion to channels.

    Arguments from `block_slabs`. Hatched tensors come out of a convolution without an activation.
    """
    figure, axes = new_figure(1, 2, height=3.5)
    thickest = max(slab.channels for slab in (*residual, *inverted))
    panels = zip(
        axes,
        (residual, inverted),
        ("(a) Residual block", "(b) Inverted residual block"),
        names,
        strict=True,
    )
    for ax, slabs, title, name in panels:
        _slabs(ax, slabs, thickest, hatched=slabs is inverted)
        ax.set_title(f"{title}\n{name}")
    footnote(
        figure,
        "Thickness: channels, one scale for both panels. Hatched: no activation. "
        "The shortcut joins many channels in (a), few in (b).",
    )
    return figure


def block_slabs(
    model: nn.Module, name: str, image_size: int, activation: str, last: str = "linear"
) -> list[Slab]:
    """The tensors along the main path of the block called `name` in a model for RGB images.

    Hooks watch the block's input and convolutions while an image of `image_size` pixels passes
    the model on the meta device. Those inside a squeeze-and-excitation (of one pixel) are
    left out; the block must have a plain shortcut. `activation` follows every convolution but the
    last, which `last` describes.
    """
    model = copy.deepcopy(model).to("meta").eval()
    block = model.get_submodule(name)
    inputs: list[Tensor] = []
    seen: list[tuple[nn.Conv2d, Tensor]] = []
    block.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda conv, _, output: seen.append((conv, output)))
    with torch.no_grad():
        model(torch.empty(1, 3, image_size, image_size, device="meta"))
    main = [(conv, output) for conv, output in seen if output.dim() == 4]
    operations = []
    for i, (conv, _) in enumerate(main):
        kind = f"{conv.kernel_size[0]}x{conv.kernel_size[1]}"
        kind += "\ndepthwise" if conv.groups > 1 else ""
        operations.append(f"{kind}\n{last if i == len(main) - 1 else activation}")
    tensors = [inputs[0], *(output for _, output in main)]
    return [
        Slab(tensor.shape[1], tensor.shape[-1], operation)
        for tensor, operation in zip(tensors, [*operations, ""], strict=True)
    ]


def _slabs(ax: Axes, slabs: list[Slab], thickest: int, hatched: bool) -> None:
    """Tensors as blocks in parallel perspective, with kernels between and the shortcut below."""
    step, height, lean = 2.0, 2.0, 0.7
    for i, slab in enumerate(slabs):
        x, thickness = i * step, slab.channels / thickest
        linear = hatched and i in (0, len(slabs) - 1)
        style: dict[str, Any] = {
            "facecolor": "#CFE3F2" if linear else BLUE,
            "edgecolor": BLACK,
            "hatch": "///" if linear else None,
            "linewidth": 0.8,
        }
        front = [(x, 0), (x + thickness, 0), (x + thickness, height), (x, height)]
        ax.add_patch(Polygon(front, **style))
        top = [front[3], front[2], (front[2][0] + lean, height + 0.5), (x + lean, height + 0.5)]
        ax.add_patch(Polygon(top, alpha=0.75, **style))
        side = [front[1], (front[1][0] + lean, 0.5), (front[2][0] + lean, height + 0.5), front[2]]
        ax.add_patch(Polygon(side, alpha=0.9, **style))
        ax.text(x + thickness / 2, -0.25, f"{slab.channels}", ha="center", va="top")
        if slab.operation:
            middle = x + (step + thickness + lean) / 2
            ax.text(
                middle,
                height + 0.75,
                slab.operation,
                ha="center",
                va="bottom",
                fontsize=9,
                color=VERMILLION,
            )
            ax.annotate(
                "",
                (x + step - 0.03, 1.0),
                (x + thickness + lean / 2, 1.0),
                arrowprops={"arrowstyle": "->", "color": VERMILLION, "linewidth": 1.6},
            )
    end = (len(slabs) - 1) * step
    ax.add_patch(
        FancyArrowPatch(
            (0.1, -0.75),
            (end + 0.1, -0.75),
            arrowstyle="-|>",
            color=BLACK,
            connectionstyle="arc3,rad=0.22",
            mutation_scale=14,
        )
    )
    ax.text(
        end / 2,
        -1.95,
        "+",
        ha="center",
        va="center",
        fontsize=15,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )
    ax.text(-0.15, height / 2, f"{slabs[0].side} px", rotation=90, ha="right", va="center")
    ax.set(xlim=(-0.7, end + 1.8), ylim=(-2.5, height + 2.1))
    hide_axes(ax)
