"""Figure 3, drawn from what hooks see in real blocks (thesis section 2.1).

Every thickness, kernel and side comes from hooks on the blocks' own convolutions, run on the meta
device.
"""

import copy
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon
from torch import Tensor, nn

from effnet.plots.style import (
    BLACK,
    BLUE,
    VERMILLION,
    footnote,
    hide_axes,
    new_figure,
    styled,
)


class Slab(NamedTuple):
    """A tensor in figure 3: its channels and side, and the convolution that reads it.

    `kernel` is 0 where none does. `activation` is what follows the convolution.
    """

    channels: int
    side: int
    kernel: int = 0
    depthwise: bool = False
    activation: str = ""


@styled
def residual_blocks(
    residual: list[Slab],
    inverted: list[Slab],
    names: tuple[str, str],
    drawn: tuple[str, str] = ("ReLU", "ReLU6"),
) -> Figure:
    """Figure 3: a residual block beside an inverted one, thickness in proportion to channels.

    Slabs from `block_slabs`. Hatched tensors come out of a convolution without an activation.
    `drawn`: the activations in the thesis's drawing, noted where the block has another.
    """
    figure, axes = new_figure(1, 2, height=4.0)
    thickest = max(slab.channels for slab in (*residual, *inverted))
    panels = zip(
        axes,
        (residual, inverted),
        ("(a) Residual block", "(b) Inverted residual block"),
        names,
        drawn,
        strict=True,
    )
    for ax, slabs, title, name, activation in panels:
        _slabs(ax, slabs, thickest, slabs is inverted, activation)
        ax.set_title(f"{title}\n{name}")
    footnote(
        figure,
        "Thickness: channels, one scale for both panels; red: what one output value is computed "
        "from (kernels not to scale).\nHatched: no activation. "
        "Squeeze-and-excitation is left out. The shortcut joins many channels in (a), few in (b).",
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
    tensors = [inputs[0], *(output for _, output in main)]
    follows = [activation] * (len(main) - 1) + [last]
    reads: list[tuple[Any, ...]] = [
        (conv.kernel_size[0], conv.groups > 1, what)
        for (conv, _), what in zip(main, follows, strict=True)
    ]
    return [
        Slab(tensor.shape[1], tensor.shape[-1], *read)
        for tensor, read in zip(tensors, [*reads, ()], strict=True)
    ]


STEP, HEIGHT = 2.1, 2.0  # from slab to slab, and the side that faces the reader
LEAN, RISE = 0.7, 0.5  # of the side that goes back


def _slabs(ax: Axes, slabs: list[Slab], thickest: int, hatched: bool, drawn: str) -> None:
    """Tensors as blocks in parallel perspective, kernels in them, and the shortcut below."""
    for i, slab in enumerate(slabs):
        x, thickness = i * STEP, slab.channels / thickest
        linear = hatched and i in (0, len(slabs) - 1)
        style: dict[str, Any] = {
            "facecolor": "#CFE3F2" if linear else BLUE,
            "edgecolor": BLACK,
            "hatch": "///" if linear else None,
            "linewidth": 0.8,
        }
        for corners, alpha in (("front", 0.55), ("top", 0.45), ("side", 0.7)):
            ax.add_patch(Polygon(_face(x, x + thickness, corners), alpha=alpha, **style))
        ax.text(x + thickness / 2, -0.2, f"{slab.channels}", ha="center", va="top")
        if slab.kernel:
            _kernel(ax, slab, x + thickness, x + STEP, thickness)
            text = f"{slab.kernel}x{slab.kernel}" + "\ndepthwise" * slab.depthwise
            middle, top = x + (STEP + thickness + LEAN) / 2, HEIGHT + RISE + 0.2
            ax.text(middle, top + 0.62, text, ha="center", va="bottom", color=VERMILLION)
            other = slab.activation != "linear" and drawn not in slab.activation
            note = slab.activation + f"\n(thesis: {drawn})" * other
            ax.text(middle, top + 0.55, note, ha="center", va="top", fontsize=9)
    end = (len(slabs) - 1) * STEP
    ax.add_patch(
        FancyArrowPatch(
            (0.1, -0.75),
            (end + 0.1, -0.75),
            arrowstyle="-|>",
            color=BLACK,
            connectionstyle="arc3,rad=0.18",
            mutation_scale=14,
        )
    )
    ax.text(
        end / 2,
        -1.75,
        "+",
        ha="center",
        va="center",
        fontsize=15,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )
    ax.text(-0.15, HEIGHT / 2, f"{slabs[0].side} px", rotation=90, ha="right", va="center")
    ax.set(xlim=(-0.7, end + 1.8), ylim=(-2.2, HEIGHT + 2.4))
    hide_axes(ax)


def _face(
    left: float, right: float, which: str, back: tuple[float, float] = (0.0, 1.0),
    up: tuple[float, float] = (0.0, 1.0),
) -> list[tuple[float, float]]:  # fmt: skip
    """Corners of a visible face of a cuboid: its span along x, going back and going up.

    `back` and `up` are shares of a slab's side.
    """

    def at(x: float, depth: float, height: float) -> tuple[float, float]:
        return x + LEAN * depth, HEIGHT * height + RISE * depth

    (near, far), (low, high) = back, up
    if which == "front":
        return [at(left, near, low), at(right, near, low), at(right, near, high),
                at(left, near, high)]  # fmt: skip
    if which == "top":
        return [at(left, near, high), at(right, near, high), at(right, far, high),
                at(left, far, high)]  # fmt: skip
    return [at(right, near, low), at(right, far, low), at(right, far, high), at(right, near, high)]


def _kernel(ax: Axes, slab: Slab, face: float, target: float, thickness: float) -> None:
    """What a convolution reads at one place: all channels or one, and the value it becomes."""
    share = 0.1 + 0.08 * (slab.kernel - 1)
    back, up = (0.5 - share / 2, 0.5 + share / 2), (0.45 - share / 2, 0.45 + share / 2)
    deep = min(0.05, thickness) if slab.depthwise else thickness
    style: dict[str, Any] = {"facecolor": VERMILLION, "edgecolor": VERMILLION, "linewidth": 0.8}
    for which in ("front", "top", "side"):
        ax.add_patch(Polygon(_face(face - deep, face, which, back, up), alpha=0.6, **style))
    low, _, high, _ = _face(face, face, "side", back, up)
    tip = (target + 0.04, HEIGHT * 0.45 + RISE / 2)
    ax.add_patch(Polygon([low, tip, high], facecolor=VERMILLION, alpha=0.3, linewidth=0))
    ax.plot(*tip, "o", ms=3, color=VERMILLION)
