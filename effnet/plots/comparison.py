"""Best runs of two groups beside each other (figures 32 and 33, thesis section 6.2.3)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from effnet.plots.curve_parts import (
    ACCURACY,
    BESTS,
    LOSS,
    TITLES,
    draw_drops,
    draw_pair,
    drop_line,
    limit_accuracy,
    limit_loss,
    published_drops,
    whole_epochs,
    write_ends,
)
from effnet.plots.groups import (
    PUBLISHED,
    PUBLISHED_BEST,
    best_of,
    group_label,
    group_name,
    no_runs,
    published_run,
    run_label,
    siblings,
)
from effnet.plots.listing import DROPS, LAST_EPOCH, lr_drops
from effnet.plots.style import footnote, hide_axes, new_figure, plain, styled, titled_legend
from effnet.runs import metrics


@styled
def side_by_side(runs: pd.DataFrame, groups: tuple[str, str], source: str) -> Figure:
    """Losses and accuracies of the best runs of two groups beside each other (figures 32, 33).

    Both columns share their vertical axes, so that heights compare; dotted lines are drops of the
    learning rate; beside each curve stands its best value. A group without runs leaves its column
    empty and says so.
    """
    best = [best_of(runs, group) for group in groups]
    title = "Best runs: " + " beside ".join(map(group_label, groups))
    if all(run is None for run in best):
        return no_runs(title, groups[0], source)
    figure, axes = new_figure(2, 2, height=6.6, sharex="col", sharey="row")
    ends, drawn = {}, {}
    for (upper, lower), group, run in zip(axes.T, groups, best, strict=True):
        if run is None:
            hide_axes((upper, lower))
            text = f"no finished run: {group_label(group)}"
            upper.text(0.5, 0.0, text, ha="center", va="center", transform=upper.transAxes)
            continue
        history = drawn[upper] = metrics(run)
        for ax, column in ((upper, LOSS), (lower, ACCURACY)):
            ends[ax] = draw_pair(ax, history, column, named=False)
            draw_drops(ax, history)
            ax.set_ylabel(TITLES[column])
            ax.tick_params(labelleft=True, labelbottom=True)
        lower.set_xlabel("epoch")
        whole_epochs(lower, 6)
        name = plain(run_label(run, group=False), 44)
        upper.set_title(f"{group_label(group)}:\n{name}")
    limit_accuracy(*axes[1])
    cut = limit_loss(drawn)
    for ax, of_ax in ends.items():  # now that both columns have their heights
        write_ends(ax, of_ax)
    handles = [*next(iter(ends)).get_legend_handles_labels()[0], drop_line()]
    titled_legend(figure, title, handles, 3)
    footnote(figure, f"{source}; {BESTS}{cut}")
    return figure


def comparison_table(
    runs: pd.DataFrame,
    groups: tuple[str, ...],
    published: pd.DataFrame | None = None,
    epoch: int = 20,
) -> pd.DataFrame:
    """The numbers behind the comparisons: a row for each group's best run, and for the thesis's
    where its table of runs is given.

    Accuracies by both definitions (the thesis gives means of batches only), the spread over seeds
    of that setting, the drops of the learning rate, and the gap between validation and training
    loss at `epoch` (the thesis speaks of the beginning; in a shorter run the epoch at the same
    share of it). Groups without runs are left out.
    """
    rows = []
    for group in groups:
        run = best_of(runs, group)
        if run is not None:
            rows.append(_row(runs, group, run, epoch))
        theirs = published_run(published, PUBLISHED_BEST.get(group, ""))
        if theirs is not None:
            rows.append(
                {
                    "group": group_name(group),
                    "run": f"{theirs['run']}, {PUBLISHED}",
                    "validation accuracy (batches)": theirs["max_val_acc"],
                    "training accuracy (batches)": theirs["max_train_acc"],
                    "batch size": theirs["batch_size"],
                    "decay": theirs["weight_decay"],
                    LAST_EPOCH: theirs["epochs"],
                    DROPS: ", ".join(map(str, published_drops(theirs))) or "–",
                }
            )
    table = pd.DataFrame(rows)
    whole = [LAST_EPOCH, "gap at epoch", "seeds", "batch size", "trained parameters"]
    for column in table.columns.intersection(whole):
        table[column] = table[column].astype("Int64")  # whole numbers that may be missing
    return table


def _row(runs: pd.DataFrame, group: str, run: pd.Series, epoch: int) -> dict[str, Any]:
    history = metrics(run)
    last = len(history) - 1
    at = epoch if last >= 2 * epoch else round(last * epoch / 150)
    gap = history["val_loss_batch_mean"] - history["train_loss_batch_mean"]
    seeds = siblings(runs, run)["max_val_acc_batch_mean"]
    return {
        "group": group_name(group),
        "run": run_label(run, group=False),
        "validation accuracy (batches)": history["val_acc_batch_mean"].max(),
        "validation accuracy (images)": history["val_acc"].max(),
        "training accuracy (batches)": history["train_acc_batch_mean"].max(),
        "training accuracy (images)": history["train_acc"].max(),
        "seeds": len(seeds),
        "range over seeds": seeds.max() - seeds.min() if len(seeds) > 1 else np.nan,
        "batch size": run["batch_size"],
        "decay": run["weight_decay"],
        "trained parameters": run.get("trainable_parameters"),
        LAST_EPOCH: last,
        DROPS: ", ".join(map(str, lr_drops(history))) or "none",
        "loss gap, validation less training": gap.iloc[at],
        "gap at epoch": int(history["epoch"].iloc[at]),
    }
