"""The one run whose whole history is published, SAN-469, beside ours of that setting."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from effnet.plots.curves import ACCURACY, LOSS, legend
from effnet.plots.groups import PUBLISHED, group_label
from effnet.plots.listing import lr_drops
from effnet.plots.style import GREY, TRAIN, VALIDATION, footnote, new_figure, plain, styled
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
    top.step(theirs["epoch"], theirs["lr"], where="post", color=GREY, ls="--")
    if history is not None:
        top.step(history["epoch"], history["lr"], where="post", color="black")
    top.set(yscale="log", title="learning rate")
    for ax, kind, title in ((left, "loss", LOSS), (right, "acc", ACCURACY)):
        for split, colour, name in (
            ("train", TRAIN, "training"),
            ("val", VALIDATION, "validation"),
        ):
            column = f"{split}_{kind}"
            label = f"{name}, {PUBLISHED}"
            ax.plot(theirs["epoch"], theirs[column], "--", color=colour, alpha=0.55, label=label)
            if history is not None:
                values = history[f"{column}_batch_mean"]
                ax.plot(history["epoch"], values, color=colour, label=f"{name}, here")
        ax.set(title=title)
    right.set_ylim(0, 1.03)
    for ax in (top, left, right):
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    legend(right, "best")
    beside = "no run of this setting here" if ours is None else f"ours: {plain(ours['name'])}"
    drops = ", ".join(map(str, lr_drops(theirs)))
    setting = f"dropout {cell['dropout_rate']:g}, decay {cell['weight_decay']:g}"
    setting += f", batch {cell['batch_size']}, rate {cell['initial_lr']:g}"
    figure.suptitle(f"{RUN}, {group_label(cell['group'])}: {setting}")
    footnote(figure, f"{source}; {beside}; published: {len(theirs)} epochs, drops at {drops}")
    return figure
