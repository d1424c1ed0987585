"""Pictures of the prediction matrix: runs, hard classes and hard images (figure 34, section 6.3).

The tables behind them come from `effnet.plots.answers`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from seaborn.cm import rocket  # the thesis's colour scale, even to the eye

from effnet.plots.answers import agreement, identical_columns
from effnet.plots.gallery import Tile, gallery
from effnet.plots.groups import PUBLISHED, absent, group_colour, group_label, labels, present
from effnet.plots.style import LIGHT, OURS, footnote, new_figure, plain, styled

NO_MATRIX = "No finished run with validation predictions in this report."


def column_groups(matrix: pd.DataFrame, runs: pd.DataFrame) -> pd.Series:
    """The group of every column of a matrix, in the columns' order."""
    return runs.set_index(labels(runs).to_numpy())["group"].reindex(matrix.columns)


@styled
def matrix_figure(matrix: pd.DataFrame, runs: pd.DataFrame, source: str) -> Figure:
    """All runs by all validation images, light where the answer is right (figure 34).

    `matrix` as from `answers.correct`, columns by falling best validation accuracy. Left in the
    annotation's order as in the thesis, right with the images sorted by how many runs get them
    right. Above each column its share of right answers, coloured by group; runs whose columns are
    equal carry the same letter.
    """
    if matrix.shape[1] == 0:
        return absent("Prediction matrix", NO_MATRIX, source)
    group_of = column_groups(matrix, runs)
    values = matrix.to_numpy(dtype=np.uint8)
    order = np.argsort(-values.sum(axis=1, dtype=int), kind="stable")
    same = identical_columns(matrix)
    letters = {name: f" ({chr(97 + i % 26)})" for i, names in enumerate(same) for name in names}
    names = [plain(name, 40) + letters.get(name, "") for name in matrix.columns]
    x = np.arange(len(names))
    many = len(names) > 24
    ratios: dict[str, Any] = {"height_ratios": [1, 5], "width_ratios": [2.8 if many else 1.7, 1]}
    figure, axes = new_figure(2, 2, height=9.0, sharex="col", sharey="row", **ratios)
    for upper, lower, cells, title in (
        (axes[0, 0], axes[1, 0], values, "images in the annotation's order"),
        (axes[0, 1], axes[1, 1], values[order], "sorted by runs right"),
    ):
        upper.bar(x, values.mean(axis=0), color=group_of.map(group_colour), width=0.85)
        upper.set_title(title)
        upper.tick_params(bottom=False, labelbottom=False)
        upper.grid(False, axis="x")
        lower.imshow(cells, aspect="auto", cmap=rocket, vmin=0, vmax=1)
        lower.grid(False)
        lower.set_xticks(x, names, rotation=90, fontsize=6 if many else 8.5)
    axes[1, 1].tick_params(labelbottom=False)
    axes[1, 1].set_xlabel("the same runs")
    axes[0, 0].set(ylabel="share right", ylim=(0, 1))
    axes[1, 0].set_ylabel("validation image")
    handles = [Patch(color=group_colour(g), label=group_label(g)) for g in present(group_of)]
    for value, name in ((1.0, "right"), (0.0, "wrong")):
        handles.append(Patch(color=rocket(value), label=name))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
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
    """Share of right answers of every column, ours above the thesis's, both in falling order of
    the best validation accuracy.

    Published bars are the runs' exact best accuracies (`published`, its table of runs); the dots
    are what its picture shows (`columns`, its table of figure 34's columns): the last epoch's
    answers, and one drawing for several runs.
    """
    if matrix.shape[1] == 0:
        return absent("Share of right answers", NO_MATRIX, source)
    theirs = columns.merge(published[["run", "group", "max_val_acc"]], on="run")
    figure, (upper, lower) = new_figure(2, 1, height=6.6)
    size = 8.5 if matrix.shape[1] <= 24 else 7.5
    for ax, names, shares, groups, fontsize in (
        (upper, matrix.columns, matrix.mean(), column_groups(matrix, runs), size),
        (lower, theirs["run"], theirs["max_val_acc"], theirs["group"], 7.5),
    ):
        ax.bar(range(len(names)), shares, color=groups.map(group_colour), width=0.8)
        ax.set_xticks(
            range(len(names)), [plain(n, 40) for n in names], rotation=90, fontsize=fontsize
        )
        ax.set(ylim=(0, 1), xlim=(-0.7, len(names) - 0.3), ylabel="share right")
        ax.grid(False, axis="x")
    lower.plot(range(len(theirs)), theirs["drawn_correct_share"], ".", color="black", ms=4)
    upper.set_title(f"here: {matrix.shape[1]} runs, {len(matrix)} images")
    lower.set_title(f"{PUBLISHED}: {len(theirs)} runs; bars: best accuracy, dots: drawn, to ±0.02")
    shown = present([*column_groups(matrix, runs), *theirs["group"]])
    handles = [Patch(color=group_colour(g), label=group_label(g)) for g in shown]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    footnote(figure, source)
    return figure


@styled
def agreement_figure(matrix: pd.DataFrame, runs: pd.DataFrame, source: str) -> Figure:
    """How far the runs agree: images by the number of runs that get them right, and the mean
    agreement of two runs, group by group.

    The dots tell what the histogram would be if every run erred independently of the others with
    its own share of right answers: hard images exist where the bars on the left rise above them.
    """
    if matrix.shape[1] == 0:
        return absent("Agreement between runs", NO_MATRIX, source)
    figure, (left, right) = new_figure(1, 2, height=4.2, width_ratios=[1.25, 1])
    count = matrix.shape[1]
    images = np.bincount(matrix.sum(axis=1), minlength=count + 1)
    left.bar(range(count + 1), images, color=OURS, width=0.85, label="images")
    chance = np.ones(1)  # distribution of a sum of independent yes-or-no answers
    for share in matrix.mean():
        chance = np.convolve(chance, [1 - share, share])
    label = "if runs erred independently"
    left.plot(range(count + 1), chance * len(matrix), ".", color="black", ms=6, label=label)
    left.set(xlabel="runs that are right", ylabel="validation images")
    left.legend(loc="upper center")
    table = agreement(matrix, column_groups(matrix, runs))
    cells = table.to_numpy()
    right.imshow(np.ma.masked_invalid(cells), cmap=rocket, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(cells):
        text = f"{value:.2f}" if np.isfinite(value) else "one run"
        colour = "white" if value < 0.6 else "black"
        right.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    names = [group_label(group, 11) for group in table]
    right.set_xticks(range(len(names)), names, fontsize=8.5)
    right.set_yticks(range(len(names)), names, fontsize=8.5)
    right.grid(False)
    right.set_title("two runs: both right or both wrong")
    left.set_title("images by the number of runs that are right")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    footnote(figure, source)
    return figure


@styled
def classes_figure(classes: pd.DataFrame, source: str, count: int = 20) -> Figure:
    """The hardest classes, from the table of `answers.hardest_classes`: share of right answers
    over all runs and images, and the number of images that no run gets right.
    """
    if classes.empty:
        return absent("Hardest classes", NO_MATRIX, source)
    shown = classes.head(count)
    figure, (left, right) = new_figure(
        1, 2, height=1.5 + 0.27 * len(shown), width_ratios=[1.2, 1], sharey=True
    )
    y = range(len(shown))
    left.barh(y, shown["share_right"], color=OURS)
    names = [f"{plain(r.class_name, 40)} ({r.class_id})" for r in shown.itertuples()]
    left.set_yticks(y, names, fontsize=9)
    left.set(xlim=(0, 1), title="share of right answers")
    left.set_ylim(len(shown) - 0.4, -0.6)  # hardest on top
    right.barh(y, shown["images"], color=LIGHT)
    right.barh(y, shown["never_right"], color="black")
    right.set_title("images; black: never right")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.tick_params(left=False)
    for ax in (left, right):
        ax.grid(False, axis="y")
    footnote(figure, f"{source}; {len(shown)} of {len(classes)} classes")
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
    return gallery(tiles, Path(data_dir), title, f"{source}; {len(shown)} shown")
