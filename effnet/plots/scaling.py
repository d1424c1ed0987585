"""Figures 5, 6 and 9: the paper's points, and our own models beside them.

Accuracies on ImageNet are published ones throughout; parameters and multiply-adds are counted on
the models of this kit at the published coefficients (thesis sections 2.1 to 2.5).
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from effnet.count import count_flops, count_parameters
from effnet.model import SCALES, build_model
from effnet.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
    footnote,
    new_figure,
    styled,
)

METHODS = {  # colour, line, marker, label
    "width": (ORANGE, "--", "o", "scale by width"),
    "depth": (BLUE, ":", "X", "scale by depth"),
    "resolution": (GREEN, "-.", "*", "scale by resolution"),
    "compound": (VERMILLION, "-", "s", "compound scaling (B0 to B4)"),
}
BASE = SCALES["b0"].resolution


@cache
def measure(
    width_coefficient: float = 1.0, depth_coefficient: float = 1.0, image_size: int = BASE
) -> tuple[int, int]:
    """(parameters, multiply-adds) of an EfficientNet with 1000 classes at these coefficients."""
    with torch.device("meta"):  # shapes without numbers: B7 costs no more than B0
        model = build_model(
            "b0", width_coefficient=width_coefficient, depth_coefficient=depth_coefficient
        )
    return count_parameters(model), count_flops(model, image_size)


def scaling_points(published: pd.DataFrame) -> pd.DataFrame:
    """The points of figures 5 and 6 with the coefficients and FLOPs of our own models.

    `published`: figure, method, coefficient, flops_billions, top1 (`thesis.scaling_paper`). Adds
    width_coefficient, depth_coefficient, image_size (pixels) and measured_flops_billions. Points of
    figure 6 carry no coefficients; they are figure 5's in order, and B0, B1, ... for compound.
    """
    points = published.copy()
    order = points.groupby(["figure", "method"]).cumcount()
    single = points[points["figure"] == 5].groupby("method")["coefficient"].apply(list)
    rows = []
    for point, i in zip(points.itertuples(), order, strict=True):
        if point.method == "compound":
            rows.append(tuple(SCALES.values())[i][:3])
            continue
        value = single[point.method][i]
        width = value if point.method == "width" else 1.0
        depth = value if point.method == "depth" else 1.0
        rows.append((width, depth, round(BASE * (value if point.method == "resolution" else 1.0))))
    columns = ["width_coefficient", "depth_coefficient", "image_size"]
    points[columns] = pd.DataFrame(rows, index=points.index)
    measured = {row: measure(*row)[1] / 1e9 for row in dict.fromkeys(rows)}
    points["measured_flops_billions"] = [measured[row] for row in rows]
    return points


@styled
def single_dimensions(points: pd.DataFrame) -> Figure:
    """Figure 5: width, depth and resolution alone. `points` from `scaling_points`."""
    figure, axes = new_figure(1, 3, height=4.0, sharey=True)
    letters = {"width": "w", "depth": "d", "resolution": "r"}
    for ax, (method, letter) in zip(axes, letters.items(), strict=True):
        rows = points[(points["figure"] == 5) & (points["method"] == method)]
        _both(ax, rows, method)
        for row in rows.itertuples():
            ax.annotate(
                f"${letter}$={row.coefficient:g}",
                (row.flops_billions, row.top1),
                xytext=(6, -14),
                textcoords="offset points",
                fontsize=8.5,
            )
        right = rows[["flops_billions", "measured_flops_billions"]].max(axis=None)
        ax.set(title=method, xlabel="multiply-adds (billions)", xlim=(0, 1.22 * right))
    axes[0].set(ylabel="ImageNet top-1 accuracy (%)", ylim=(75, 81))
    figure.legend(handles=_legend(), loc="outside upper center", ncols=2)
    return figure


@styled
def scaling_methods(points: pd.DataFrame) -> Figure:
    """Figure 6: the four ways to scale in one panel. `points` from `scaling_points`."""
    figure, ax = new_figure(height=5.0)
    for method in METHODS:
        _both(ax, points[(points["figure"] == 6) & (points["method"] == method)], method)
    ax.set(xlim=(0, 5.2), ylim=(75, 83), xlabel="multiply-adds (billions)")
    ax.set_ylabel("ImageNet top-1 accuracy (%), published")
    methods = ax.legend(loc="lower right")
    ax.add_artist(methods)
    ax.legend(handles=_legend(), loc="upper left")
    return figure


@styled
def accuracy_against_parameters(points: pd.DataFrame) -> Figure:
    """Figure 9: accuracy against parameters of EfficientNets and others.

    `points`: model, params_millions, top1, series (`thesis.params_vs_accuracy`).
    """
    figure, ax = new_figure(height=5.6)
    lines = {"efficientnet": (VERMILLION, "-", "s"), "blue_dashed": (BLUE, "--", "o")}
    lines |= {"grey_dotted": (GREY, ":", "o"), "single": (BLACK, "none", "o")}
    for series, (colour, line, marker) in lines.items():
        rows = points[points["series"] == series]
        ax.plot("params_millions", "top1", data=rows, color=colour, ls=line, marker=marker)
    ours = points[points["series"] == "efficientnet"]
    counts = [measure(*SCALES[short_name(name)][:3])[0] / 1e6 for name in ours["model"]]
    ax.plot(counts, ours["top1"], ls="none", marker="o", ms=12, mfc="none", color=GREY)
    for row in points.itertuples():
        family = row.series == "efficientnet"
        left = family or row.model == "AmoebaNet-A"  # the others would run into a neighbour
        ax.annotate(
            row.model.removeprefix("EfficientNet-").replace("unlabelled", ""),
            (row.params_millions, row.top1),
            xytext=(-9, 3) if left else (7, -12),
            ha="right" if left else "left",
            textcoords="offset points",
            fontsize=9,
            color=VERMILLION if family else BLACK,
        )
    ax.set(xlabel="parameters (millions)", ylabel="ImageNet top-1 accuracy (%), published")
    ax.set(xlim=(-4, 182), ylim=(72.5, 85))
    handles = _legend("published; EfficientNets red", "parameters of our B0 to B7")
    ax.legend(handles=handles, loc="lower right")
    footnote(figure, "Lines join what the published figure joins; one of its markers has no name.")
    return figure


def _both(ax: Axes, rows: pd.DataFrame, method: str) -> None:
    """Published points joined by a line; ours as open circles at the same accuracy."""
    colour, line, marker, label = METHODS[method]
    ring: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 12, "mfc": "none"}
    x, y = rows["flops_billions"], rows["top1"]
    ax.plot(x, y, color=colour, ls=line, marker=marker, ms=7, label=label)
    ax.plot(rows["measured_flops_billions"], y, mec=colour, mew=1.6, **ring)


def _legend(
    published: str = "published", here: str = "FLOPs of our own model at that coefficient"
) -> Iterable[object]:
    dot = Line2D([], [], color=GREY, marker="o", ms=6, label=published)
    ring = Line2D([], [], color=GREY, ls="none", marker="o", ms=12, mfc="none", label=here)
    return [dot, ring]


def short_name(model: str) -> str:
    """The kit's name of a published one: EfficientNet-B0 is b0."""
    return model.removeprefix("EfficientNet-").lower()
