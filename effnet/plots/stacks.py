"""Figure 4: five ways to scale a network, as a schematic and to scale (thesis section 2.2)."""

import math

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from effnet.count import block_shapes, count_flops
from effnet.model import SCALES, EfficientNet, build_model
from effnet.plots.style import (
    BLACK,
    COLOURS,
    GREY,
    LIGHT,
    footnote,
    hide_axes,
    new_figure,
    styled,
)

Coefficients = tuple[float, float, float]  # width, depth, resolution
# The last one is the compound model of the paper's comparison.
SCALINGS: dict[str, Coefficients] = {
    "baseline": (1.0, 1.0, 1.0),
    "wider": (2.0, 1.0, 1.0),
    "deeper": (1.0, 2.0, 1.0),
    "higher resolution": (1.0, 1.0, 2.0),
    "compound": (1.2, 1.4, 1.3),
}
# The schematic's baseline: five stages of two layers, which get wider and lower upwards.
WIDTHS, HEIGHTS, LAYERS = (0.5, 0.65, 0.85, 1.1, 1.4), (0.85, 0.6, 0.4, 0.27, 0.17), 2
GAP = 0.2
ARROW = {"color": BLACK, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}


@styled
def scaling_schematic(scalings: dict[str, Coefficients] = SCALINGS) -> Figure:
    """Figure 4: stacks of layers from the input (bottom) upwards, what grows marked by arrows.

    A block's width stands for its channels, its height for the side of its map; depth multiplies
    the number of blocks of each stage, rounded up. The dashed frame is the baseline's size.
    """
    figure, ax = new_figure(height=5.4)
    hide_axes(ax)
    base_width, base_height = WIDTHS[-1], _height(_blocks(1, 1))
    right = highest = 0.0
    for letter, (name, (width, depth, resolution)) in zip(
        "abcdefgh", scalings.items(), strict=False
    ):
        blocks = _blocks(depth, resolution)
        half, top = width * base_width / 2, _height(blocks)
        x = right + half + (0.75 if depth != 1 else 0.2)
        ax.add_patch(
            Rectangle((x - base_width / 2, 0), base_width, base_height,
                      fill=False, edgecolor=GREY, linestyle=(0, (4, 3)), linewidth=1)
        )  # fmt: skip
        flow = ARROW | {"arrowstyle": "->", "color": GREY}
        ax.annotate("", (x, top + 0.5), (x, -0.75), arrowprops=flow, zorder=0)
        bottom = 0.0
        for stage, height in blocks:
            wide = width * WIDTHS[stage]
            ax.add_patch(Rectangle((x - wide / 2, bottom), wide, height, color=COLOURS[stage]))
            bottom += height + GAP
        right = x + half
        if width != 1 or name == "baseline":
            y = top + 0.85
            highest = max(highest, y + 1.6)
            _span(ax, (x - half, y), (x + half, y))
            text = f"wider\n$w$ = {width:g}" if width != 1 else "channels"
            ax.text(x, y + 0.15, text, ha="center", va="bottom", fontweight="bold")
        if depth != 1:
            _span(ax, (x - half - 0.2, 0), (x - half - 0.2, top))
            ax.text(x - half - 0.3, top / 2, f"deeper, $d$ = {depth:g}", rotation=90, ha="right",
                    va="center", fontweight="bold")  # fmt: skip
        if resolution != 1 or name == "baseline":
            side = x + width * WIDTHS[0] / 2 + 0.15
            _span(ax, (side, 0), (side, blocks[0][1]))
            text = f"higher\nresolution\n$r$ = {resolution:g}" if resolution != 1 else "resolution"
            ax.text(side + 0.1, blocks[0][1] / 2, text, va="center", fontweight="bold",
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
            right = max(right, side + 1.35)
        words = f"({letter}) {name}".replace("higher ", "higher\n")
        ax.text(x, -0.85, words, ha="center", va="top", fontsize=11)
        highest = max(highest, top + 0.6)
        right += 0.35
    ax.set(xlim=(0, right), ylim=(-2.2, highest))
    footnote(
        figure,
        "A schematic: a block is a layer, its width the channels, its height the side of the map; "
        "dashed: the baseline's size.",
    )
    return figure


def network(coefficients: Coefficients) -> tuple[EfficientNet, int]:
    """B0 at these coefficients, without weights, and its image side in pixels."""
    width, depth, resolution = coefficients
    with torch.device("meta"):
        model = build_model("b0", width_coefficient=width, depth_coefficient=depth)
    assert isinstance(model, EfficientNet)
    return model, round(SCALES["b0"].resolution * resolution)


@styled
def scaling_to_scale(scalings: dict[str, Coefficients] = SCALINGS) -> Figure:
    """Each scaled B0's own layers from the input (bottom) upwards, all on one scale.

    A bar is a layer: as wide as its output has channels, as high as its output map has rows.
    Colours tell the seven stages of blocks apart.
    """
    models = {name: network(coefficients) for name, coefficients in scalings.items()}
    shapes = {name: block_shapes(*model).iloc[:-2] for name, model in models.items()}
    widest = max(table["out_channels"].max() for table in shapes.values())
    highest = max(table["out_height"].sum() for table in shapes.values())
    figure, axes = new_figure(1, len(models), height=5.6, squeeze=False)
    for ax, (name, table) in zip(axes[0], shapes.items(), strict=True):
        bottom = 0
        for layer in table.itertuples():
            colour = COLOURS[(layer.stage - 1) % len(COLOURS)] if layer.stage > 1 else LIGHT
            ax.add_patch(
                Rectangle(
                    (-layer.out_channels / 2, bottom),
                    layer.out_channels,
                    layer.out_height,
                    facecolor=colour,
                    edgecolor="white",
                    linewidth=0.4,
                )
            )
            bottom += layer.out_height
        model, size = models[name]
        width = table["out_channels"].max()
        y = bottom + 0.015 * highest
        _span(ax, (-width / 2, y), (width / 2, y))
        ax.text(0, y + 0.012 * highest, f"{width} channels", ha="center", va="bottom", fontsize=9)
        ax.set(xlim=(-widest * 0.55, widest * 0.55), ylim=(-0.02 * highest, 1.09 * highest))
        changed = zip("wdr", scalings[name], strict=True)
        ax.set_title(f"{name}\n" + (" ".join(f"${k}$={v:g}" for k, v in changed if v != 1) or " "))
        ax.set_xlabel(
            f"{len(table) - 1} blocks\n{size} px\n"
            f"{count_flops(model, size) / 1e9:.2f} billion FLOPs"
        )
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    footnote(
        figure,
        "A bar is a layer, the stem at the bottom: width its channels, height the rows of its "
        "output, colours the stages; the figure is to scale.",
    )
    return figure


def _blocks(depth: float, resolution: float) -> list[tuple[int, float]]:
    """(stage, height) of the schematic's blocks from the bottom upwards."""
    layers = math.ceil(LAYERS * depth)
    return [(stage, resolution * h) for stage, h in enumerate(HEIGHTS) for _ in range(layers)]


def _height(blocks: list[tuple[int, float]]) -> float:
    return sum(height + GAP for _, height in blocks) - GAP


def _span(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A length, from bar to bar."""
    bars = {"arrowstyle": "|-|,widthA=0.3,widthB=0.3"}
    ax.annotate("", end, start, arrowprops=ARROW | bars)
    ax.annotate("", end, start, arrowprops=ARROW | {"arrowstyle": "<->"})
