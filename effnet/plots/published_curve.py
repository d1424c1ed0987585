"""The one run whose whole history is published, SAN-469, beside ours of that setting."""

import pandas as pd
from matplotlib.figure import Figure

from effnet.plots.curve_parts import ACCURACY, LOSS, SPLITS, TITLES, whole_epochs
from effnet.plots.groups import PUBLISHED, group_label, run_label
from effnet.plots.listing import lr_drops
from effnet.plots.style import GREY, footnote, new_figure, plain, styled, titled_legend
from effnet.runs import metrics

RUN = "SAN-469"


def run_of_cell(runs: pd.DataFrame, grid: pd.DataFrame) -> pd.Series | None:
    """Our run of SAN-469's setting; None where the report has none.

    It is the run of that name, or one of that group, dropout, decay, batch size and learning rate.
    """
    if runs.empty:
        return None
    cell = grid[grid["run"] == RUN].iloc[0]
    fields = ["group", "dropout_rate", "weight_decay", "batch_size", "initial_lr"]
    same = (runs[fields] == cell[fields]).all(axis=1) | (runs["name"] == RUN)
    return runs[same].iloc[0] if same.any() else None


@styled
def published_curve(
    runs: pd.DataFrame, histories: pd.DataFrame, grid: pd.DataFrame, source: str
) -> Figure:
    """Learning rate, losses and accuracies of SAN-469 against epochs; ours, if any, over them.

    `histories` and `grid` are the thesis's tables. Published curves are pale and dashed.
    """
    cell, ours = grid[grid["run"] == RUN].iloc[0], run_of_cell(runs, grid)
    theirs = histories[histories["run"] == RUN].sort_values("epoch")
    history = None if ours is None else metrics(ours)
    figure, (top, left, right) = new_figure(1, 3, height=4.2)
    pale = {"ls": "--", "alpha": 0.6}
    top.step(theirs["epoch"], theirs["lr"], where="post", color=GREY, label=PUBLISHED, **pale)
    if history is not None:
        top.step(history["epoch"], history["lr"], where="post", color="black", label="here")
    top.set(yscale="log", title="learning rate")
    for ax, kind, column in ((left, "loss", LOSS), (right, "acc", ACCURACY)):
        for split, colour, name in SPLITS:
            values, label = theirs[f"{split}_{kind}"], f"{name}, {PUBLISHED}"
            ax.plot(theirs["epoch"], values, color=colour, label=label, **pale)
            if history is not None:
                values = history[f"{split}_{column}"]
                ax.plot(history["epoch"], values, color=colour, label=f"{name}, here")
        ax.set_title(TITLES[column])
    right.set_ylim(0, 1.03)
    for ax in (top, left, right):
        ax.set_xlabel("epoch")
        whole_epochs(ax, 5)
    drops = ", ".join(map(str, lr_drops(theirs)))
    best = theirs[["train_acc", "val_acc"]].max()
    note = f"{RUN}: {len(theirs)} epochs, the rate falls at {drops}; best training accuracy "
    note += f"{best['train_acc']:.3f}, best validation accuracy {best['val_acc']:.3f}"
    if ours is None or history is None:
        beside = "no run of this setting here"
    else:
        beside = f"here: {plain(run_label(ours))}, best validation accuracy "
        beside += f"{history['val_acc_batch_mean'].max():.3f}"
    setting = f"dropout {cell['dropout_rate']:g}, decay {cell['weight_decay']:g}"
    setting += f", batch size {cell['batch_size']}, first rate {cell['initial_lr']:g}"
    title = f"{RUN}, {group_label(cell['group'])}: {setting}"
    titled_legend(figure, title, right.get_legend_handles_labels()[0], 2)
    footnote(figure, f"{source}; {beside}\n{note}")
    return figure
