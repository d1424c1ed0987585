"""Figures 5, 6 and 9: the paper's points, and our own models beside them.

Accuracies on ImageNet are published ones throughout; parameters and FLOPs are counted on
the models of this kit at the published coefficients (thesis sections 2.1 to 2.5).
"""

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
FLOPS = "FLOPs (billions)"
TOP1 = "ImageNet top-1 accuracy (%), published"


@cache
def measure(
    width_coefficient: float = 1.0, depth_coefficient: float = 1.0, image_size: int = BASE
) -> tuple[int, int]:
    """(parameters, FLOPs) of an EfficientNet with 1000 classes at these coefficients."""
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
    figure, axes = new_figure(1, 3, height=4.2, sharey=True)
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
        ax.set(title=method, xlabel=FLOPS, xlim=(0, 1.22 * right))
    axes[0].set(ylabel=TOP1, ylim=(75, 81))
    figure.legend(handles=_legend(), loc="outside upper center", ncols=3)
    return figure


@styled
def scaling_methods(points: pd.DataFrame) -> Figure:
    """Figure 6: the four ways to scale in one panel. `points` from `scaling_points`."""
    figure, ax = new_figure(height=5.2)
    ends = {"width": (0, -9, "right", "top"), "depth": (6, 4, "left", "bottom")}
    ends |= {"resolution": (0, -9, "center", "top"), "compound": (-6, 8, "right", "bottom")}
    for method, (colour, *_, label) in METHODS.items():
        rows = points[(points["figure"] == 6) & (points["method"] == method)]
        _both(ax, rows, method)
        last = rows.loc[rows["flops_billions"].idxmax()]
        x, y, ha, va = ends[method]
        ax.annotate(label, (last["flops_billions"], last["top1"]), xytext=(x, y), ha=ha, va=va,
                    textcoords="offset points", color=colour, fontweight="bold")  # fmt: skip
    ax.set(xlim=(0, 5.2), ylim=(75, 83.5), xlabel=FLOPS, ylabel=TOP1)
    ax.legend(handles=_legend(), loc="lower right")
    return figure


# Where the name of a point of figure 9 stands: beside it (points to the right and up), and how.
RIGHT = (6, -3, "left", "top")
BESIDE = {
    "AmoebaNet-A": (-4, 8, "right", "bottom"),
    "SENet": (0, -10, "center", "top"),
    "AmoebaNet-C": (0, 8, "center", "bottom"),
}


@styled
def accuracy_against_parameters(points: pd.DataFrame) -> Figure:
    """Figure 9: accuracy against parameters of EfficientNets and others, each beside its name.

    `points`: model, params_millions, top1, series (`thesis.params_vs_accuracy`).
    """
    figure, ax = new_figure(height=5.6)
    lines = {"efficientnet": (VERMILLION, "-", "s"), "blue_dashed": (BLUE, "--", "o")}
    lines |= {"grey_dotted": (GREY, ":", "o"), "single": (BLACK, "none", "o")}
    for series, (colour, line, marker) in lines.items():
        rows = points[points["series"] == series]
        ax.plot("params_millions", "top1", data=rows, color=colour, ls=line, marker=marker)
        for row in rows.itertuples():
            x, y, ha, va = BESIDE.get(row.model, RIGHT)
            if series == "efficientnet":
                x, y, ha, va = -9, 3, "right", "center"
            ax.annotate(
                row.model.removeprefix("EfficientNet-").replace("unlabelled", ""),
                (row.params_millions, row.top1),
                xytext=(x, y),
                ha=ha,
                va=va,
                textcoords="offset points",
                fontsize=9,
                color=colour,
            )
    ours = points[points["series"] == "efficientnet"]
    counts = [measure(*SCALES[short_name(name)][:3])[0] / 1e6 for name in ours["model"]]
    ax.plot(counts, ours["top1"], ls="none", marker="o", ms=12, mfc="none", color=GREY)
    last = (counts[-1], ours["top1"].iloc[-1])
    ax.annotate("EfficientNet", last, xytext=(12, 5), textcoords="offset points",
                color=VERMILLION, fontweight="bold")  # fmt: skip
    ax.annotate("ring: parameters counted on our own B0 to B7", last, xytext=(12, -11),
                textcoords="offset points", fontsize=9, color=GREY)  # fmt: skip
    ax.set(xlabel="parameters (millions)", ylabel=TOP1, xlim=(-4, 172), ylim=(72.5, 85.2))
    footnote(figure, "Lines join what the published figure joins; one of its points has no name.")
    return figure


def _both(ax: Axes, rows: pd.DataFrame, method: str) -> None:
    """Published points joined by a line; ours as rings at the same accuracy, tied to them."""
    colour, line, marker, _ = METHODS[method]
    ring: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 9, "mfc": "none"}
    x, own, y = rows["flops_billions"], rows["measured_flops_billions"], rows["top1"]
    ax.hlines(y, own, x, color=colour, lw=0.8, alpha=0.7)
    ax.plot(x, y, color=colour, ls=line, marker=marker, ms=6)
    ax.plot(own, y, mec=colour, mew=1.4, **ring)


def _legend() -> list[Line2D]:
    dot = Line2D([], [], color=GREY, marker="o", ms=6, label="published")
    ring = Line2D([], [], color=GREY, ls="none", marker="o", ms=9, mfc="none",
                  label="FLOPs of our own model at that coefficient")  # fmt: skip
    tie = Line2D([], [], color=GREY, lw=0.8, label="the same network")
    return [dot, ring, tie]


def short_name(model: str) -> str:
    """The kit's name of a published one: EfficientNet-B0 is b0."""
    return model.removeprefix("EfficientNet-").lower()
