"""Figures 1 and 4, drawn from what hooks see in real models (thesis sections 2.1 and 2.2).

Every box, width and label comes from `effnet.count.block_shapes`; no size is written here.
"""

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from effnet.count import block_shapes, count_flops
from effnet.model import SCALES, EfficientNet, build_model
from effnet.plots.style import (
    BLACK,
    BLUE,
    COLOURS,
    GREY,
    LIGHT,
    VERMILLION,
    footnote,
    hide_axes,
    new_figure,
    styled,
)

PER_ROW = 19  # boxes in a row of figure 1: all of B0


@styled
def chain(model: EfficientNet, image_size: int, title: str = "EfficientNet-B0") -> Figure:
    """Figure 1: the layers from left to right, the size of the tensor on every arrow.

    Tall boxes have 5x5 kernels; the colour tells the operator. Deeper models wrap into rows.
    """
    shapes = block_shapes(model, image_size)
    rows = -(-len(shapes) // PER_ROW)
    figure, ax = new_figure(height=2.6 * rows + 0.3)
    operators = list(dict.fromkeys(shapes["operator"]))
    palette = dict(zip(operators, [GREY, BLACK, VERMILLION, BLUE, *COLOURS[2:]], strict=False))
    for i, layer in enumerate(shapes.itertuples()):
        x, y = i % PER_ROW, -3.2 * (i // PER_ROW)
        tall = 1.15 if layer.kernel_size == 5 else 0.9
        box = FancyBboxPatch(
            (x, y - tall),
            0.5,
            2 * tall,
            boxstyle="round,pad=0,rounding_size=0.05",
            facecolor="white",
            edgecolor=palette[layer.operator],
            linewidth=1.6,
        )
        ax.add_patch(box)
        ax.text(
            x + 0.25,
            y,
            layer.operator,
            rotation=90,
            ha="center",
            va="center",
            color=palette[layer.operator],
            fontsize=9,
            fontweight="bold",
        )
        _arrow(ax, x - 0.5, x, y, _size(layer.in_height, layer.in_width, layer.in_channels))
    _arrow(ax, x + 0.5, x + 1, y, str(layer.out_channels))
    ax.set(xlim=(-0.6, PER_ROW + 0.1), ylim=(-3.2 * (rows - 1) - 1.3, 1.3))
    ax.set_title(f"{title}: {len(model._blocks)} MBConv blocks between stem and head")
    hide_axes(ax)
    return figure


def five_scalings(
    factor: float = 2.0, compound: tuple[float, float, float] = (1.2, 1.4, 1.3)
) -> dict[str, tuple[EfficientNet, int]]:
    """The networks of figure 4: B0, and B0 wider, deeper, on larger images, or all three.

    `factor` scales a single dimension; `compound` is (width, depth, resolution), by default the
    compound model of the paper's comparison. Returns label -> (model without weights, image size).
    """
    base = SCALES["b0"].resolution

    def network(width: float, depth: float, resolution: float) -> tuple[EfficientNet, int]:
        with torch.device("meta"):
            model = build_model("b0", width_coefficient=width, depth_coefficient=depth)
        assert isinstance(model, EfficientNet)
        return model, round(base * resolution)

    w, d, r = compound
    return {
        "(a) baseline\n": network(1, 1, 1),
        f"(b) width\n$w$ = {factor:g}": network(factor, 1, 1),
        f"(c) depth\n$d$ = {factor:g}": network(1, factor, 1),
        f"(d) resolution\n$r$ = {factor:g}": network(1, 1, factor),
        f"(e) compound\n$w$ {w:g}, $d$ {d:g}, $r$ {r:g}": network(w, d, r),
    }


@styled
def scaling_stacks(models: dict[str, tuple[EfficientNet, int]]) -> Figure:
    """Figure 4: each model's layers from the input (bottom) upwards, all on one scale.

    `models`: label -> (model, image size). A bar is a layer: as wide as its output has channels,
    as high as its output map has rows. Colours tell the seven stages apart.
    """
    shapes = {name: block_shapes(model, size).iloc[:-2] for name, (model, size) in models.items()}
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
        _bracket(ax, table["out_channels"].max(), bottom, highest)
        ax.set(xlim=(-widest * 0.55, widest * 0.55), ylim=(-0.02 * highest, 1.09 * highest))
        ax.set_title(name)
        ax.set_xlabel(
            f"{len(table) - 1} blocks\n{size} px\n{count_flops(model, size) / 1e9:.2f} billion\n"
            "multiply-adds"
        )
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    footnote(
        figure,
        "A bar is a layer, the stem at the bottom: width its channels, height the rows of its "
        "output, colours the stages; the figure is to scale.",
    )
    return figure


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
            "squeezed": shapes["squeezed_channels"],
            "drop connect": shapes["drop_rate"].round(4),
            "parameters": shapes["parameters"],
        }
    )


def _size(height: int, width: int, channels: int) -> str:
    return f"{height}x{width}x{channels}"


def _arrow(ax: Axes, start: float, end: float, y: float, label: str) -> None:
    arrow = {"arrowstyle": "->", "color": GREY, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (end, y - 0.45), (start, y - 0.45), arrowprops=arrow)
    ax.text((start + end) / 2, y - 0.35, label, rotation=90, ha="center", va="bottom", fontsize=9)


def _bracket(ax: Axes, width: int, top: float, highest: float) -> None:
    """The widest layer's channels above a stack."""
    y = top + 0.015 * highest
    ax.annotate(
        "",
        (-width / 2, y),
        (width / 2, y),
        arrowprops={
            "arrowstyle": "|-|,widthA=0.25,widthB=0.25",
            "color": GREY,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )
    ax.text(0, y + 0.012 * highest, f"{width} channels", ha="center", va="bottom", fontsize=9)
