"""Learning rate, losses and accuracies against epochs (figures 15, 19, 20, 25, 26, 29).

Accuracies are the thesis's: the unweighted mean of batch accuracies (`*_batch_mean`). Where
numbers are listed, the plain share of images stands beside them.
"""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from effnet.plots.groups import (
    PUBLISHED,
    PUBLISHED_BEST,
    best_of,
    group_label,
    no_runs,
    of_group,
    published_run,
    siblings,
)
from effnet.plots.listing import draw_listing, listing, lr_drops
from effnet.plots.style import (
    GREY,
    TRAIN,
    VALIDATION,
    footnote,
    new_figure,
    plain,
    styled,
)
from effnet.runs import metrics, predictions

# Figure 19 is of the first of these groups in which a learning rate fell.
FALLING = ("scratch_gray", "scratch_rgb", "pretrained")
LOSS, ACCURACY = "loss (label smoothing)", "accuracy (mean of batches)"


def best_of_group(
    runs: pd.DataFrame, group: str, source: str, published: pd.DataFrame | None = None
) -> Figure:
    """The best run of a group in the thesis's three-row form (figures 20, 26 and 29).

    `runs` as from `load_runs`; `source` names the data in the small print; `published` is the
    thesis's table of runs, from which the counterpart's listing is taken.
    """
    run = best_of(runs, group)
    title = f"Best run, {group_label(group)}"
    count = len(of_group(runs, group))
    note = f"{source}; highest validation accuracy among {count} run{'s' * (count != 1)}"
    reference = published_run(published, PUBLISHED_BEST.get(group, ""))
    repeats = None if run is None else siblings(runs, run)
    return three_rows(run, title, note, repeats, reference, group)


def best_listing(runs: pd.DataFrame, group: str, published: pd.DataFrame) -> pd.DataFrame:
    """`listing` of a group's best run beside its published counterpart; empty without a run."""
    run = best_of(runs, group)
    if run is None:
        return pd.DataFrame(columns=["hyperparameter", "here", PUBLISHED])
    return listing(run, metrics(run), published_run(published, PUBLISHED_BEST[group]))


def last_epochs(run: pd.Series | None, count: int = 5) -> pd.DataFrame:
    """The last epochs of a run, a row each, by images; empty without a run.

    They count from 0, unlike the lines that the training printed, and say so.
    """
    columns = ["epoch", "lr", "train_loss", "val_loss", "train_acc", "val_acc", "seconds"]
    table = pd.DataFrame(columns=columns) if run is None else metrics(run)[columns]
    return table.round(4).tail(count).rename(columns={"epoch": "epoch, from 0"})


def _drops(runs: pd.DataFrame, group: str) -> pd.Series:
    """How often the learning rate of each run of a group fell."""
    known = of_group(runs, group)
    counts = {run["trial_id"]: len(lr_drops(metrics(run))) for run in _rows(known)}
    return known["trial_id"].map(counts).astype(int)


def schedule(runs: pd.DataFrame, source: str, published: pd.DataFrame | None = None) -> Figure:
    """What the scheduler does to a run (figure 19, the thesis's grayscale SAN-459).

    Shown is SAN-459 where the report has it; else the run with the most drops of the learning rate
    among the grayscale ones, or where none of those has any, of the next group that has. Among
    equals it is the best.
    """
    chosen = runs[runs["name"] == "SAN-459"]
    if len(chosen):
        run, group, why = chosen.iloc[0], FALLING[0], "the thesis's own choice"
    else:
        drops = {group: _drops(runs, group) for group in FALLING}
        group = next((g for g in FALLING if drops[g].any()), FALLING[0])
        run = best_of(of_group(runs, group)[drops[group] == drops[group].max()], group)
        why = "most drops of the learning rate in its group"
        if not drops[group].any():
            why = "in no run of the profile the rate fell before the last epoch"
    title = f"Learning rate scheduling, {group_label(group)}"
    if run is None:
        return no_runs(title, group, source)
    reference = published_run(published, "SAN-459")
    return three_rows(run, title, f"{source}; {why}", None, reference)


@styled
def three_rows(
    run: pd.Series | None,
    title: str,
    source: str,
    repeats: pd.DataFrame | None = None,
    published: pd.Series | None = None,
    group: str = "other",
) -> Figure:
    """Learning rate, losses and accuracies of a run, and the listing of its hyperparameters.

    The run's name follows the title; without a run the figure says that `group` has none.
    `repeats` are runs of the same setting with other seeds: their range is shaded. `published` is
    the thesis's counterpart: its best validation accuracy is a dashed line, its drops of the
    learning rate are triangles where the axis reaches them, its values stand in the listing.
    """
    if run is None:
        return no_runs(title, group, source)
    history = metrics(run)
    figure, grid = new_figure(3, 2, height=8.0, width_ratios=[1.55, 1], squeeze=False)
    top, middle, bottom = grid[:, 0]
    for ax in (top, middle):
        ax.sharex(bottom)
        ax.tick_params(labelbottom=False)
    _draw_lr(top, history, published)
    draw_pair(middle, history, "loss_batch_mean", LOSS)
    draw_pair(bottom, history, "acc_batch_mean", ACCURACY)
    count = 1
    if repeats is not None and len(repeats) > 1:
        count = len(repeats)
        _draw_range(middle, repeats, "loss_batch_mean")
        _draw_range(bottom, repeats, "acc_batch_mean", f"range of {count} seeds")
    if published is not None and pd.notna(published["max_val_acc"]):
        label = f"{PUBLISHED}, validation: {published['max_val_acc']:.3f}"
        bottom.axhline(published["max_val_acc"], color=GREY, ls="--", lw=1.3, label=label)
    bottom.set(xlabel="epoch", ylim=(0, 1.03))
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(middle, "upper right")
    legend(bottom, "best")
    for ax in grid[:, 1]:
        ax.remove()
    draw_listing(
        figure.add_subplot(grid[0, 1].get_gridspec()[:, 1]), listing(run, history, published)
    )
    figure.suptitle(f"{title}: {plain(run['name'])}")
    seeds = f"{count} seeds of this setting" if count > 1 else "one seed"
    footnote(figure, f"{source}; {seeds}")
    return figure


@styled
def four_charts(
    run: pd.Series | None,
    title: str,
    source: str,
    published: pd.Series | None = None,
    group: str = "other",
) -> Figure:
    """The four charts the thesis's dashboard showed of a run (figures 15 and 25).

    Learning rate against epochs; epoch, losses and accuracies against steps. A step is a batch of
    training images; their number per epoch follows from the run's predictions and batch size.
    """
    if run is None:
        return no_runs(title, group, source)
    history = metrics(run)
    steps = steps_per_epoch(run)
    figure, axes = new_figure(2, 2, height=6.6)
    _draw_lr(axes[0, 0], history, published)
    axes[0, 0].set(title="learning rate", xlabel="epoch")
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    # A value of epoch e is known after its last batch, as the dashboard counted.
    at = history.assign(epoch=(history["epoch"] + 1) * steps)
    axes[0, 1].plot(at["epoch"], history["epoch"], color=GREY)
    axes[0, 1].set(title=f"epoch ({steps} steps each)", xlabel="step", ylabel="epoch")
    axes[0, 1].yaxis.set_major_locator(MaxNLocator(integer=True))
    draw_pair(axes[1, 0], at, "loss_batch_mean", LOSS)
    axes[1, 0].set(title="training and validation loss", xlabel="step")
    draw_pair(axes[1, 1], at, "acc_batch_mean", ACCURACY)
    axes[1, 1].set(title="training and validation accuracy", xlabel="step")
    if published is not None:
        train, val = published["max_train_acc"], published["max_val_acc"]
        for value, colour in ((train, TRAIN), (val, VALIDATION)):
            axes[1, 1].axhline(value, color=colour, ls="--", lw=1.1)
        label = f"{PUBLISHED}: best {train:.3f} and {val:.3f}"
        axes[1, 1].plot([], [], color="black", ls="--", lw=1.1, label=label)
    axes[1, 1].set_ylim(0, 1.03)
    legend(axes[1, 1], "best")
    legend(axes[1, 0], "upper right")
    for ax in (axes[0, 1], axes[1, 0], axes[1, 1]):
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    figure.suptitle(f"{title}: {plain(run['name'])}")
    footnote(figure, source)
    return figure


def steps_per_epoch(run: pd.Series) -> int:
    """Batches of training images in an epoch; the last, shorter one counts."""
    return int(np.ceil(len(predictions(run, "train")) / run["batch_size"]))


def _rows(runs: pd.DataFrame) -> list[pd.Series]:
    return [row for _, row in runs.iterrows()]


def _draw_lr(ax: Axes, history: pd.DataFrame, published: pd.Series | None) -> None:
    ax.step(history["epoch"], history["lr"], where="post", color="black", label="learning rate")
    ax.plot(history["epoch"].iloc[-1:], history["lr"].iloc[-1:], "k.", ms=4)
    ax.set(yscale="log", ylabel="learning rate (log)")
    low, high = history["lr"].min(), history["lr"].max()
    ax.set_ylim(low / 3, high * 3)
    ax.yaxis.set_minor_formatter(NullFormatter())
    drops = [] if published is None else _published_drops(published)
    if drops := [epoch for epoch in drops if epoch <= history["epoch"].max()]:
        ax.plot(drops, [high] * len(drops), "v", color=GREY, label=f"drops, {PUBLISHED}")
        legend(ax, "lower left")


def _published_drops(published: pd.Series) -> list[int]:
    text = published["lr_drops_at_epochs"]
    return [int(float(part)) for part in str(text).split(";")] if pd.notna(text) and text else []


def legend(ax: Axes, place: Literal["best", "upper right", "lower left"]) -> None:
    """A legend on white, so that no line runs through its words."""
    ax.legend(loc=place, frameon=True, framealpha=0.9, edgecolor="none")


def draw_pair(ax: Axes, history: pd.DataFrame, column: str, label: str) -> None:
    """Training and validation values of `column` against epochs, in the two fixed colours."""
    marker = "." if len(history) <= 40 else None
    for split, colour, name in (("train", TRAIN, "training"), ("val", VALIDATION, "validation")):
        values = history[f"{split}_{column}"]
        ax.plot(history["epoch"], values, marker=marker, color=colour, label=name)
    ax.set_ylabel(label)


def _draw_range(ax: Axes, repeats: pd.DataFrame, column: str, label: str | None = None) -> None:
    """Shade smallest to largest validation value over the seeds, epoch by epoch."""
    curves = [metrics(run).set_index("epoch")[f"val_{column}"] for run in _rows(repeats)]
    table = pd.concat(curves, axis=1)
    low, high = table.min(axis=1), table.max(axis=1)
    ax.fill_between(table.index, low, high, color=VALIDATION, alpha=0.2, lw=0, label=label)
