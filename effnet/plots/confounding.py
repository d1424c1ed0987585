"""Figures of what the thesis's published runs can and cannot tell; nothing of them is ours.

The tables behind them come from `effnet.plots.published_grid` and `data/thesis`.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import stats

from effnet import thesis
from effnet.plots.groups import PUBLISHED, group_label
from effnet.plots.published_grid import ACCURACY, LIKE, sweep
from effnet.plots.scatter import mean_interval
from effnet.plots.style import (
    BLUE,
    GREY,
    LIGHT,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    footnote,
    new_figure,
    styled,
)

SOURCE = (
    f"{PUBLISHED}: its 65 grid runs, exact best validation accuracies; nothing was trained here"
)
# How a run was trained beside dropout and decay: (patience of the scheduler, initial rate).
TRAINING = {
    (3, 1e-3): (SKY, "patience 3, rate 1e-3"),
    (7, 1e-3): (BLUE, "patience 7, rate 1e-3"),
    (7, 1e-4): (VERMILLION, "patience 7, rate 1e-4"),
}
MARKERS = {32: "o", 96: "s"}  # by batch size
LEVELS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]  # of dropout


@styled
def dropout_figure(grid: pd.DataFrame) -> Figure:
    """Accuracy against dropout in the three groups, with what else differs between the runs.

    Runs of one rate stand side by side by their weight decay, the number above them. Colour:
    patience and learning rate; shape: batch size. `grid` as from `published_grid`.
    """
    figure, axes = new_figure(3, 1, height=8.6, sharex=True, height_ratios=[1.5, 1.5, 1])
    for ax, group in zip(axes, ("scratch_rgb", "scratch_gray", "pretrained"), strict=True):
        runs = grid[grid["group"] == group].sort_values(["dropout_rate", "weight_decay"])
        of_rate = runs.groupby("dropout_rate")
        slot = of_rate.cumcount() - (of_rate["run"].transform("size") - 1) / 2
        runs = runs.assign(slot=runs["dropout_rate"] + 0.0125 * slot)
        _points(ax, runs, "slot")
        for row in runs.itertuples():
            at = (row.slot, row.published_max_val_acc)
            place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
            text = f"{row.weight_decay:g}"
            ax.annotate(text, at, **place, rotation=90, fontsize=7.5, color=GREY)
        ax.margins(y=0.3)
        ax.set_title(group_label(group), loc="left")
        for edge in np.arange(-0.05, 0.7, 0.1):
            ax.axvline(edge, color=LIGHT, lw=0.8)
        ax.grid(False, axis="x")
    axes[1].set_ylabel("best validation accuracy")
    axes[-1].set(xlabel="dropout", xlim=(-0.05, 0.65), xticks=LEVELS)
    _legend(figure, grid)
    footnote(
        figure, f"{SOURCE}.\nNumbers are weight decays; each panel has a vertical axis of its own"
    )
    return figure


@styled
def decay_figure(grid: pd.DataFrame) -> Figure:
    """Accuracy of the runs from scratch against weight decay, and against decay per epoch.

    Filled: RGB; open: grayscale. Colours and shapes as in `dropout_figure`.
    """
    figure, axes = new_figure(1, 2, height=4.8, sharey=True)
    scratch = grid[grid["group"] != "pretrained"]
    for ax, column, label in (
        (axes[0], "weight_decay", "weight decay"),
        (axes[1], "decay_per_epoch", "decay per epoch: rate x decay x steps"),
    ):
        _points(ax, scratch, column, open_gray=True)
        ax.set(xscale="log", xlabel=label)
    axes[0].set_ylabel("best validation accuracy")
    handles = [Line2D([], [], marker="o", ls="", color=GREY, label="filled: RGB")]
    handles += [Line2D([], [], marker="o", ls="", mfc="white", color=GREY, label="open: grayscale")]
    _legend(figure, scratch, handles)
    footnote(figure, SOURCE)
    return figure


@styled
def noise_figure(grid: pd.DataFrame) -> Figure:
    """How far like runs lie from their mean (left), and where the headline stands among 15 draws.

    Bars are one standard deviation to either side. The curve on the right is the normal
    distribution with the pretrained runs' mean and deviation.
    """
    figure, (left, right) = new_figure(1, 2, height=5.0, width_ratios=[1.25, 1])
    sibling = thesis.sibling_runs()
    repeats = sibling[sibling["experiment"].isin(["C-26", "C-27", "C-28", "C-29"])]
    sets = {name: grid.query(query)[ACCURACY] for name, query in LIKE.items()}
    low = "group == 'scratch_gray' and weight_decay <= 0.1 and run != 'SAN-463'"
    sets["grayscale"] = grid.query(low)[ACCURACY]
    names = [f"{name} ({len(values)})" for name, values in sets.items()]
    sets["sibling"] = repeats["best_valid_acc"]
    names += [f"GhostNet, equal settings ({len(repeats)})"]
    for row, values in enumerate(sets.values()):
        off = 100 * (values - values.mean())
        left.barh(row, 2 * off.std(), left=-off.std(), height=0.55, color=LIGHT)
        left.plot(off, np.full(len(off), row), "o", color=BLUE, ms=4, alpha=0.7)
        names[row] += f"\nsd {off.std():.2f}"
    left.set_yticks(range(len(names)), names)
    left.set(ylim=(len(names) - 0.5, -0.5), xlabel="percentage points from the mean of like runs")
    left.grid(False, axis="y")
    tuned = grid.loc[grid["group"] == "pretrained", ACCURACY]
    mean, sd = tuned.mean(), tuned.std()
    x = np.linspace(mean - 4 * sd, mean + 7 * sd, 300)
    right.plot(x, stats.norm.pdf(x, mean, sd), color=GREY, lw=1.2)
    right.plot(tuned, np.full(len(tuned), -6), "|", color=BLUE, ms=9, label="15 pretrained runs")
    singles = thesis.published_runs().set_index("run")["max_val_acc"]
    right.axvline(
        expected_best(mean, sd, len(tuned)), color=BLUE, ls=":", label="expected best of 15"
    )
    for run, colour in (("SAN-396", BLUE), ("SAN-474", ORANGE), ("SAN-319", PURPLE)):
        away = (singles[run] - mean) / sd
        label = f"{run}: {singles[run]:.4f}, {away:+.1f} sd"
        right.axvline(singles[run], color=colour, label=label)
    right.set(xlabel="best validation accuracy", yticks=[], ylim=(-12, None))
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=8.5)
    footnote(
        figure, f"{SOURCE}.\nGhostNet: a colleague's four runs of one setting on the same data"
    )
    return figure


@styled
def sibling_figure(grid: pd.DataFrame) -> Figure:
    """A colleague's clean sweeps on the same data beside the thesis's RGB runs from scratch.

    Each line joins single runs that differ in one hyperparameter alone; the bar is the 95 %
    interval of a mean over runs of one setting.
    """
    figure, axes = new_figure(1, 2, height=4.4, sharey=True)
    runs = grid[grid["group"] == "scratch_rgb"]
    for ax, ours, theirs, label in (
        (axes[0], "dropout_rate", "dropout", "dropout"),
        (axes[1], "weight_decay", "weight_decay", "weight decay"),
    ):
        whole = runs[~runs["interrupted"]]
        ax.plot(whole[ours], whole[ACCURACY], "o", color=LIGHT, ms=6, label="thesis, all RGB runs")
        for line in sweep(theirs):
            plateau = line["lr_scheduler"].notna().all()
            name = "GhostNet, plateau schedule" if plateau else "GhostNet, constant rate"
            of_level = line.groupby(theirs)["best_valid_acc"]
            means = of_level.mean()
            ax.errorbar(
                means.index, means, yerr=of_level.agg(mean_interval), marker="o",
                color=BLUE if plateau else ORANGE, capsize=3, label=name,
            )  # fmt: skip
        ax.set(xlabel=label)
    axes[0].set_ylabel("best validation accuracy")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    footnote(
        figure, "Published runs of two repositories on the same split; nothing was trained here"
    )
    return figure


def expected_best(mean: float, sd: float, runs: int) -> float:
    """The expected maximum of normal draws (Blom's approximation)."""
    return float(mean + sd * stats.norm.ppf((runs - 0.375) / (runs + 0.25)))


def _points(ax: Axes, runs: pd.DataFrame, column: str, open_gray: bool = False) -> None:
    for row in runs.itertuples():
        colour, _ = TRAINING[row.lr_patience, row.initial_lr]
        hollow = open_gray and row.group == "scratch_gray"
        x = getattr(row, column) * (1.07 if hollow else 1)  # beside the RGB run of equal decay
        face = "white" if hollow else colour
        ax.plot(x, row.published_max_val_acc, MARKERS[row.batch_size], color=colour, mfc=face, ms=6)
        if row.interrupted:
            ax.plot(x, row.published_max_val_acc, "x", color="black", ms=10)


def _legend(figure: Figure, grid: pd.DataFrame, more: list[Line2D] | None = None) -> None:
    kinds = set(grid[["lr_patience", "initial_lr"]].itertuples(index=False, name=None))
    handles = [
        Line2D([], [], marker="o", ls="", color=colour, label=name)
        for kind, (colour, name) in TRAINING.items()
        if kind in kinds
    ]
    handles += [
        Line2D([], [], marker=shape, ls="", color="black", mfc="none", label=f"batch {size}")
        for size, shape in MARKERS.items()
    ]
    handles += [Line2D([], [], marker="x", ls="", color="black", ms=9, label="looks interrupted")]
    figure.legend(handles=handles + (more or []), loc="outside upper center", ncols=4)
