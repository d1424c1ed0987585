"""Figure 1, drawn from what hooks see in a real model (thesis section 2.1).

Every box, kernel and label comes from `effnet.count.block_shapes`; no size is written here.
"""

import itertools

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from effnet.count import block_shapes
from effnet.model import EfficientNet
from effnet.plots.style import (
    BLACK,
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    VERMILLION,
    footnote,
    hide_axes,
    new_figure,
    styled,
)

PER_ROW = 19  # boxes in a row of figure 1: all of B0
BOX = 0.5  # its width, and that of the arrow before it
APART = 3.6  # from row to row


@styled
def chain(
    model: EfficientNet,
    image_size: int,
    drawn: pd.DataFrame | None = None,
    title: str = "EfficientNet-B0",
) -> Figure:
    """Figure 1: the layers from left to right, the size of the tensor on every arrow.

    Tall boxes have 5x5 kernels; the colour tells the operator. Deeper models wrap into rows. Where
    the thesis's drawing (`drawn`, from `thesis.b0_drawing`) has something else, it is marked.
    """
    shapes = block_shapes(model, image_size)
    rows = -(-len(shapes) // PER_ROW)
    figure, ax = new_figure(height=2.9 * rows + 0.3)
    operators = list(dict.fromkeys(shapes["operator"]))
    palette = dict(zip(operators, [GREY, BLACK, VERMILLION, BLUE, *COLOURS[2:]], strict=False))
    for i, layer in enumerate(shapes.itertuples()):
        x, y = _place(i)
        tall = 1.15 if layer.kernel_size == 5 else 0.9
        box = FancyBboxPatch(
            (x, y - tall),
            BOX,
            2 * tall,
            boxstyle="round,pad=0,rounding_size=0.05",
            facecolor="white",
            edgecolor=palette[layer.operator],
            linewidth=1.6,
        )
        ax.add_patch(box)
        ax.text(
            x + BOX / 2,
            y,
            layer.operator,
            rotation=90,
            ha="center",
            va="center",
            color=palette[layer.operator],
            fontsize=9,
            fontweight="bold",
        )
        _arrow(ax, x - BOX, x, y, _size(layer.in_height, layer.in_width, layer.in_channels))
    _arrow(ax, x + BOX, x + 2 * BOX, y, str(layer.out_channels))
    if drawn is not None:
        _mark(ax, differences(shapes, drawn))
        footnote(figure, "Sizes and boxes: the model. Tinted: where the thesis's drawing differs.")
    ax.set(xlim=(-0.6, PER_ROW + 0.1), ylim=(-APART * (rows - 1) - 1.9, 1.3))
    ax.set_title(f"{title}: {len(model._blocks)} MBConv blocks between stem and head")
    hide_axes(ax)
    return figure


def differences(shapes: pd.DataFrame, drawn: pd.DataFrame) -> list[tuple[int, bool, str]]:
    """Layer, whether it is about the arrow behind it, and what the thesis's drawing has there.

    `shapes` from `effnet.count.block_shapes`, `drawn` from `thesis.b0_drawing`.
    """
    found = []
    boxes = [*drawn.itertuples(), *[None] * (len(shapes) - len(drawn))]
    for i, (layer, box) in enumerate(zip(shapes.itertuples(), boxes, strict=True)):
        if box is None:
            found.append((i, False, "no such box"))
            continue
        if layer.operator.replace(" k", " ") != box.operator:
            found.append((i, False, box.operator))
        if _size(layer.out_height, layer.out_width, layer.out_channels) != box.output:
            found.append((i, True, box.output))
    return found


def shape_table(model: EfficientNet, image_size: int) -> pd.DataFrame:
    """The rows behind figure 1, short: layer, input and output size, parameters."""
    shapes = block_shapes(model, image_size)
    return pd.DataFrame(
        {
            "layer": shapes["name"],
            "stage": shapes["stage"],
            "operator": shapes["operator"],
            "stride": shapes["stride"],
            "input": [_size(r.in_height, r.in_width, r.in_channels) for r in shapes.itertuples()],
            "output": [
                _size(r.out_height, r.out_width, r.out_channels) for r in shapes.itertuples()
            ],
            "squeezed channels": shapes["squeezed_channels"],
            "drop connect": shapes["drop_rate"].round(4),
            "parameters": shapes["parameters"],
        }
    )


def _place(layer: int) -> tuple[float, float]:
    """Left edge and middle of a layer's box."""
    return layer % PER_ROW, -APART * (layer // PER_ROW)


def _size(height: int, width: int, channels: int) -> str:
    return f"{height}x{width}x{channels}"


def _arrow(ax: Axes, start: float, end: float, y: float, label: str) -> None:
    arrow = {"arrowstyle": "->", "color": GREY, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (end, y - 0.45), (start, y - 0.45), arrowprops=arrow)
    ax.text((start + end) / 2, y - 0.35, label, rotation=90, ha="center", va="bottom", fontsize=9)


def _mark(ax: Axes, found: list[tuple[int, bool, str]]) -> None:
    """A tint behind each difference, and one note below neighbours that differ alike."""
    for (behind, text), group in itertools.groupby(found, key=lambda difference: difference[1:]):
        places = [_place(layer) for layer, *_ in group]
        shift, width, height = (BOX, BOX, 1.65) if behind else (-0.15, BOX + 0.3, 2.2)
        for x, y in places:
            low = y - 0.6 if behind else y - 1.1
            ax.add_patch(
                Rectangle((x + shift, low), width, height, color=ORANGE, alpha=0.35, lw=0, zorder=0)
            )
        (left, y), (right, _) = places[0], places[-1]
        ends = left + shift, right + shift + width
        ax.plot([ends[0], *ends, ends[1]], [y - 1.25, y - 1.35, y - 1.35, y - 1.25], color=ORANGE)
        note = f"the thesis's drawing\nhas {text}"
        ax.text(sum(ends) / 2, y - 1.42, note, ha="center", va="top", fontsize=9)
