"""Learning rate, losses and accuracies against epochs (figures 15, 19, 20, 25, 26, 29).

Accuracies are the thesis's: the unweighted mean of batch accuracies (`*_batch_mean`). Where
numbers are listed, the plain share of images stands beside them. A published accuracy is a line
only where a maker is told that the runs are `comparable`: they saw the whole of Stanford Cars.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from effnet.plots.chosen import BEST, CHARTED, FELL, also_shown, charted, falling
from effnet.plots.curve_parts import (
    ACCURACY,
    BESTS,
    LOSS,
    TITLES,
    draw_drops,
    draw_level,
    draw_pair,
    draw_range,
    draw_rate,
    limit_accuracy,
    limit_loss,
    whole_epochs,
    write_ends,
)
from effnet.plots.groups import (
    PUBLISHED,
    PUBLISHED_BEST,
    best_of,
    group_label,
    no_runs,
    of_group,
    published_run,
    run_label,
    siblings,
)
from effnet.plots.listing import draw_listing, listing, lr_drops
from effnet.plots.style import GREY, TRAIN, VALIDATION, footnote, new_figure, plain, styled
from effnet.runs import metrics, predictions


def best_of_group(
    runs: pd.DataFrame,
    group: str,
    source: str,
    published: pd.DataFrame | None = None,
    comparable: bool = False,
) -> Figure:
    """The best run of a group in the thesis's three-row form (figures 20, 26 and 29).

    `runs` as from `load_runs`; `source` names the data in the small print; `published` is the
    thesis's table of runs, from which the counterpart's listing is taken.
    """
    run = best_of(runs, group)
    title = f"Best run, {group_label(group)}"
    count = len(of_group(runs, group))
    note = f"{source}; highest validation accuracy among {count} run{'s' * (count != 1)}"
    note += also_shown(runs, run, next((figure for figure in BEST if BEST[figure] == group), ""))
    reference = published_run(published, PUBLISHED_BEST.get(group, ""))
    repeats = None if run is None else siblings(runs, run)
    return three_rows(run, title, note, repeats, reference, group, comparable)


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
    words = ["epoch, from 0", "learning rate", "training loss", "validation loss"]
    words += ["training accuracy", "validation accuracy", "time (s)"]
    return table.round(4).tail(count).set_axis(words, axis=1)


def schedule(
    runs: pd.DataFrame,
    source: str,
    published: pd.DataFrame | None = None,
    comparable: bool = False,
) -> Figure:
    """What the scheduler does to a run (figure 19, the thesis's grayscale SAN-459): the run of
    `falling`.
    """
    run, fell = falling(runs)
    group = "scratch_gray" if run is None else run["group"]
    title = f"Learning rate scheduling, {group_label(group)}"
    if run is None:
        return no_runs(title, group, source)
    own = run["name"] == FELL
    why = "the thesis's own choice" if own else "most drops of the learning rate in its group"
    if not fell:
        title = f"The learning rate fell in no run; the best, {group_label(group)}"
        why = "every run ended before its rate fell"
    note = f"{source}; {why}{also_shown(runs, run, '19')}"
    return three_rows(run, title, note, None, published_run(published, FELL), group,
                      comparable and own)  # fmt: skip


@styled
def three_rows(
    run: pd.Series | None,
    title: str,
    source: str,
    repeats: pd.DataFrame | None = None,
    published: pd.Series | None = None,
    group: str = "other",
    comparable: bool = False,
) -> Figure:
    """Learning rate, losses and accuracies of a run, and below them its hyperparameters.

    The run's name follows the title; without a run the figure says that `group` has none.
    `repeats` are runs of the same setting with other seeds: their range is shaded. `published` is
    the thesis's counterpart, whose values stand in the listing; where the two are `comparable` its
    best validation accuracy is a dashed line, its drops of the learning rate are triangles.
    """
    if run is None:
        return no_runs(title, group, source)
    history = metrics(run)
    figure, panels = new_figure(4, 1, height=9.2, height_ratios=[1, 1.7, 1.9, 1.9])
    top, middle, bottom, below = panels
    for ax in (top, middle):
        ax.sharex(bottom)
        ax.tick_params(labelbottom=False)
    shown = published if comparable else None
    draw_rate(top, history, shown)
    ends = {ax: draw_pair(ax, history, column)
            for ax, column in ((middle, LOSS), (bottom, ACCURACY))}  # fmt: skip
    seeds = "one seed"
    if repeats is not None and len(repeats) > 1:
        seeds = f"shaded: range over {len(repeats)} seeds of this setting"
        draw_range(middle, repeats, LOSS)
        draw_range(bottom, repeats, ACCURACY)
    if shown is not None:
        ends[bottom] += draw_level(bottom, shown["max_val_acc"], "validation")
    bottom.set_xlabel("epoch")
    limit_accuracy(bottom)
    cut = limit_loss({middle: history})
    whole_epochs(bottom)
    for ax, column in ((middle, LOSS), (bottom, ACCURACY)):
        draw_drops(ax, history)
        write_ends(ax, ends[ax])
        ax.set_ylabel(TITLES[column].replace(" (", "\n("))
    draw_listing(below, listing(run, history, published))
    figure.suptitle(f"{title}: {plain(run_label(run, group=False))}")
    dotted = "; dotted: the learning rate falls" if lr_drops(history) else ""
    footnote(figure, f"{source}\n{BESTS}{cut}{dotted}; {seeds}")
    return figure


def charts(
    runs: pd.DataFrame, source: str, published: pd.DataFrame, comparable: bool = False
) -> Figure:
    """The dashboard's charts of one run (figure 15): of SAN-471, which the thesis shows by all
    that can be read, else of the best grayscale run from scratch.
    """
    run = charted(runs)
    own = run is not None and run["name"] == CHARTED
    why = "the thesis's own choice" if own else "the best run of its group"
    title = f"Charts of one run, {group_label('scratch_gray')}"
    note = f"{source}; {why}{also_shown(runs, run, '15')}"
    theirs = published_run(published, CHARTED)
    return four_charts(run, title, note, theirs, "scratch_gray", comparable and own)


@styled
def four_charts(
    run: pd.Series | None,
    title: str,
    source: str,
    published: pd.Series | None = None,
    group: str = "other",
    comparable: bool = False,
) -> Figure:
    """The four charts the thesis's dashboard showed of a run (figures 15 and 25), and below them
    its hyperparameters.

    Learning rate against epochs; epoch, losses and accuracies against steps. A step is a batch of
    training images; their number per epoch follows from the run's predictions and batch size.
    """
    if run is None:
        return no_runs(title, group, source)
    history = metrics(run)
    steps = steps_per_epoch(run)
    figure, grid = new_figure(3, 2, height=8.6, height_ratios=[1, 1.2, 1.1])
    (rate, epochs), (losses, accuracies) = grid[:2]
    shown = published if comparable else None
    draw_rate(rate, history, shown)
    rate.set(title="learning rate", xlabel="epoch", ylabel="")
    # A value of epoch e is known after its last batch, as the dashboard counted.
    at = history.assign(epoch=(history["epoch"] + 1) * steps)
    epochs.plot(at["epoch"], history["epoch"], color=GREY, label="epoch")
    epochs.set(title=f"epoch ({steps} steps each)", xlabel="step")
    epochs.yaxis.set_major_locator(MaxNLocator(integer=True))
    ends = {ax: draw_pair(ax, at, column)
            for ax, column in ((losses, LOSS), (accuracies, ACCURACY))}  # fmt: skip
    if shown is not None:
        ends[accuracies] += draw_level(accuracies, shown["max_train_acc"], "training", TRAIN)
        ends[accuracies] += draw_level(accuracies, shown["max_val_acc"], "validation", VALIDATION)
    limit_accuracy(accuracies)
    cut = limit_loss({losses: at})
    for ax, column in ((losses, LOSS), (accuracies, ACCURACY)):
        write_ends(ax, ends[ax])
        ax.set(title=TITLES[column], xlabel="step")
    whole_epochs(rate, 5)
    for ax in (epochs, losses, accuracies):
        whole_epochs(ax, 4)
    below = figure.add_subplot(grid[2, 0].get_gridspec()[2, :])
    for ax in grid[2]:
        ax.remove()
    draw_listing(below, listing(run, history, published))
    figure.suptitle(f"{title}: {plain(run_label(run, group=False))}")
    footnote(figure, f"{source}\n{BESTS}{cut}")
    return figure


def steps_per_epoch(run: pd.Series) -> int:
    """Batches of training images in an epoch; the last, shorter one counts."""
    return int(np.ceil(len(predictions(run, "train")) / run["batch_size"]))
