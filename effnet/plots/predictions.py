"""Pictures of the prediction matrix: runs, hard classes and hard images (figure 34, section 6.3).

The tables behind them come from `effnet.plots.answers`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from seaborn.cm import rocket  # the thesis's colour scale, even to the eye

from effnet.plots.answers import agreement, column_groups, identical_columns, short_names
from effnet.plots.gallery import Tile, gallery
from effnet.plots.groups import (
    PUBLISHED,
    absent,
    group_colour,
    group_label,
    group_name,
    present,
)
from effnet.plots.style import (
    KEPT,
    LIGHT,
    OURS,
    VERMILLION,
    draw_cells,
    footnote,
    new_figure,
    plain,
    styled,
)

MOST_ROWS = 400  # of images that a pointer can tell apart
NO_MATRIX = "No finished run with validation predictions in this report."
MANY = 24  # runs whose names need smaller type


@styled
def matrix_figure(matrix: pd.DataFrame, runs: pd.DataFrame, source: str) -> Figure:
    """All runs by all validation images, light where the answer is right (figure 34).

    `matrix` as from `answers.correct`, columns by falling share of right answers, which stands
    above them, coloured by group. Left the images in the annotation's order as in the thesis, right
    sorted by how many runs get them right. Runs whose columns are equal carry the same letter.
    """
    if matrix.shape[1] == 0:
        return absent("Prediction matrix", NO_MATRIX, source)
    group_of = column_groups(matrix, runs)
    values = matrix.to_numpy(dtype=np.uint8)
    order = np.argsort(-values.sum(axis=1, dtype=int), kind="stable")
    same = identical_columns(matrix)
    letters = {name: f" ({chr(97 + i % 26)})" for i, names in enumerate(same) for name in names}
    short = short_names(matrix, runs)
    names = [short[name] + letters.get(name, "") for name in matrix.columns]
    many = len(names) > MANY
    wide = 5.4 if many else 1.7  # room for the names
    ratios: dict[str, Any] = {"height_ratios": [1, 5], "width_ratios": [wide, 1]}
    figure, axes = new_figure(2, 2, height=9.0, sharex="col", sharey="row", **ratios)
    for upper, lower, cells, title in (
        (axes[0, 0], axes[1, 0], values, "images in the annotation's order"),
        (axes[0, 1], axes[1, 1], values[order], "sorted" + " by runs right" * (not many)),
    ):
        _bars(upper, matrix.mean(), short.to_list(), group_of)
        upper.set_title(title)
        upper.tick_params(bottom=False, labelbottom=False)
        lower.imshow(cells, aspect="auto", cmap=rocket, vmin=0, vmax=1)
        lower.grid(False)
        _name(lower, names, 6)
    for column, (name, share) in enumerate(matrix.mean().items()):  # under the pointer: the run
        words = f"title:{name}: {share:.1%} right"
        axes[1, 0].axvspan(column - 0.5, column + 0.5, alpha=0, lw=0, gid=words)
    if len(matrix) <= MOST_ROWS:  # the image
        for row, path in enumerate(matrix.index[order]):
            words = f"title:{path}: right in {values[order[row]].sum()} of {len(names)} runs"
            axes[1, 1].axhspan(row - 0.5, row + 0.5, alpha=0, lw=0, gid=words)
    axes[1, 1].tick_params(bottom=False, labelbottom=False)
    axes[1, 1].set_xlabel("the same runs")
    axes[0, 0].set(ylabel="share right", ylim=(0, 1))
    axes[1, 0].set_ylabel("validation image")
    handles = [Patch(color=group_colour(g), label=group_label(g)) for g in present(group_of)]
    for value, name in ((1.0, "right"), (0.0, "wrong")):
        handles.append(Patch(color=rocket(value), label=name))
    legend = figure.legend(handles=handles, loc="outside upper center", ncols=5)
    for patch in legend.get_patches()[-2:]:
        patch.set_gid(KEPT)
    distinct = len(names) - sum(len(names) - 1 for names in same)
    never = int((~matrix.any(axis=1)).sum())
    counts = f"{len(names)} columns, {distinct} distinct; {never} of {len(matrix)} images"
    footnote(figure, f"{source}; {counts} right in no run")
    return figure


@styled
def shares_figure(
    matrix: pd.DataFrame,
    runs: pd.DataFrame,
    source: str,
    columns: pd.DataFrame,
    published: pd.DataFrame,
) -> Figure:
    """Share of right answers of every column, ours above the thesis's; bars fall.

    Published bars are the runs' exact best accuracies (`published`, its table of runs); the dots
    are what its picture shows (`columns`, its table of figure 34's columns): the last epoch's
    answers, and one drawing for several runs.
    """
    if matrix.shape[1] == 0:
        return absent("Share of right answers", NO_MATRIX, source)
    theirs = columns.merge(published[["run", "group", "max_val_acc"]], on="run")
    theirs = theirs.sort_values("max_val_acc", ascending=False, kind="stable", ignore_index=True)
    figure, (upper, lower) = new_figure(2, 1, height=6.8)
    ours = column_groups(matrix, runs)
    _bars(upper, matrix.mean(), short_names(matrix, runs).to_list(), ours)
    _bars(lower, theirs["max_val_acc"], theirs["run"].to_list(), theirs["group"])
    for ax, names in ((upper, short_names(matrix, runs)), (lower, theirs["run"])):
        _name(ax, list(names), 8)
        ax.set(ylim=(0, 1), xlim=(-0.7, len(names) - 0.3), ylabel="share right")
    lower.plot(range(len(theirs)), theirs["drawn_correct_share"], ".", color="black", ms=4)
    upper.set_title(f"here: {matrix.shape[1]} runs, {len(matrix)} images")
    lower.set_title(f"{PUBLISHED}: {len(theirs)} runs; bars: best accuracy, dots: drawn, to ±0.02")
    shown = present([*ours, *theirs["group"]])
    handles = [Patch(color=group_colour(g), label=group_label(g)) for g in shown]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    footnote(figure, source)
    return figure


def _name(ax: Axes, names: list[str], few: int) -> None:
    """The runs' names below their columns: level where they are `few`, else upright."""
    level = len(names) <= few
    size = 7.5 if len(names) > MANY else 8 if level else 8.5
    shown = [plain(name, 40, 13 if level else 0) for name in names]
    ax.set_xticks(range(len(names)), shown, rotation=0 if level else 90, fontsize=size)


def _bars(ax: Axes, shares: pd.Series, names: list[str], groups: pd.Series) -> None:
    """A bar for each run, in its group's colour; the page shows the name and share on hovering."""
    bars = ax.bar(range(len(names)), shares, color=groups.map(group_colour), width=0.85)
    for bar, name, group, share in zip(bars, names, groups, shares, strict=True):
        words = plain(f"{group_name(group)}, {name}", 90).replace(r"\$", "$")
        bar.set_gid(f"title:{words}: {share:.1%} right")
    ax.grid(False, axis="x")


@styled
def agreement_figure(matrix: pd.DataFrame, runs: pd.DataFrame, source: str) -> Figure:
    """How far the runs agree: images by the number of runs that get them right, and the mean
    agreement of two runs, group by group.

    The dots tell what the histogram would be if every run erred independently of the others with
    its own share of right answers: hard images exist where the bars on the left rise above them.
    """
    if matrix.shape[1] == 0:
        return absent("Agreement between runs", NO_MATRIX, source)
    figure, (left, right) = new_figure(1, 2, height=4.4, width_ratios=[1.25, 1])
    count = matrix.shape[1]
    images = np.bincount(matrix.sum(axis=1), minlength=count + 1)
    left.bar(range(count + 1), images, color=OURS, width=0.85, label="images")
    chance = np.ones(1)  # distribution of a sum of independent yes-or-no answers
    for share in matrix.mean():
        chance = np.convolve(chance, [1 - share, share])
    label = "if runs erred independently"
    left.plot(range(count + 1), chance * len(matrix), ".", color="black", ms=6, label=label)
    left.set(xlabel="runs that are right", ylabel="validation images")
    handles = left.get_legend_handles_labels()[0][::-1]
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    table = agreement(matrix, column_groups(matrix, runs))
    cells = table.to_numpy()
    draw_cells(right, cells, cmap=rocket, vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(cells):
        text = f"{value:.2f}" if np.isfinite(value) else "one run"
        colour = "white" if value < 0.6 else "black"
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9, "gid": KEPT}
        right.text(column, row, text, color=colour, **look)
    names = [group_label(group, 11) for group in table]
    right.set_xticks(range(len(names)), names, fontsize=8.5)
    right.set_yticks(range(len(names)), names, fontsize=8.5)
    right.set_title("two runs: both right or both wrong", fontsize=10.5)
    left.set_title("images by the number of runs that are right", fontsize=10.5)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    footnote(figure, source)
    return figure


@styled
def classes_figure(classes: pd.DataFrame, source: str, count: int = 20) -> Figure:
    """The hardest classes, from the table of `answers.hardest_classes` and in its order: how many
    of a class's images no run gets right, and the share of right answers over runs and images.
    """
    if classes.empty:
        return absent("Hardest classes", NO_MATRIX, source)
    shown = classes.head(count)
    figure, (left, right) = new_figure(1, 2, height=1.7 + 0.27 * len(shown), sharey=True)
    y = range(len(shown))
    left.barh(y, shown["images"], color=LIGHT, label="images of the class")
    left.barh(y, shown["never_right"], color=VERMILLION, label="of them right in no run")
    names = [f"{plain(r.class_name, 40)} ({r.class_id})" for r in shown.itertuples()]
    left.set_yticks(y, names, fontsize=9)
    left.set(xlabel="validation images")
    left.set_ylim(len(shown) - 0.4, -0.6)  # hardest on top
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.barh(y, shown["share_right"], color=OURS)
    right.set(xlim=(0, 1), xlabel="share of right answers")
    right.tick_params(left=False)
    for ax in (left, right):
        ax.grid(False, axis="y")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    note = "sorted by images right in no run, then by share; class numbers count from 0"
    footnote(figure, f"{source}; {len(shown)} of {len(classes)} classes; {note}")
    return figure


@styled
def images_figure(
    images: pd.DataFrame, data_dir: Path | str, source: str, count: int = 12
) -> Figure:
    """The hardest images as pictures, each with its class and the commonest wrong answer.

    `images` as from `answers.hardest_images`; paths are relative to `data_dir`. Shown are the
    images that no run gets right; where there are none, those that the fewest runs get right. An
    image file that is not there (any more) is a grey tile with its path.
    """
    if images.empty:
        return absent("Hardest images", NO_MATRIX, source)
    never = images[images["runs_right"] == 0]
    shown = (never if len(never) else images).head(count)
    tiles = []
    for image in shown.itertuples():
        said = [f"{image.runs_right} of {image.runs} right"] if image.runs_right else []
        if image.mostly_taken_for:
            said.append(f"taken for {image.mostly_taken_for}")
        tiles.append(
            Tile(image.path, f"{image.class_name[:50]} ({image.class_id})", "; ".join(said))
        )
    title = f"{len(never)} of {len(images)} validation images are right in no run"
    title = title if len(never) else "Every image is right in some run; the rarest"
    note = f"{source}; {len(shown)} shown; class numbers count from 0"
    return gallery(tiles, Path(data_dir), title, note)
