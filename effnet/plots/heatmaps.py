"""Regularisation heatmaps (figures 21-24, 27, 28, 30, 31): ours beside the thesis's.

For each value of dropout_rate or weight_decay: maximum and mean, over the runs with that value, of
the run's best validation and training accuracy, and the number of runs.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from seaborn.cm import rocket  # the thesis's colour scale, even to the eye and colour-blind-safe

from effnet.plots.groups import (
    GRID,
    PUBLISHED,
    group_label,
    of_group,
    seed_spread,
    spread_note,
)
from effnet.plots.style import GREY, footnote, hide_axes, new_figure, styled

PARAMETERS = ("dropout_rate", "weight_decay")
STATISTICS = ("max_val_acc_max", "max_val_acc_mean", "max_train_acc_max", "max_train_acc_mean")
LABELS = ("validation,\nmax", "validation,\nmean", "training,\nmax", "training,\nmean")
SMALL_PRINT = "best epoch of each run, mean of batch accuracies"
# figure: (group, parameter), as published
FIGURES = {
    "fig21": ("pretrained", "dropout_rate"),
    "fig22": ("pretrained", "weight_decay"),
    "fig23": ("all", "dropout_rate"),
    "fig24": ("all", "weight_decay"),
    "fig27": ("scratch_rgb", "dropout_rate"),
    "fig28": ("scratch_rgb", "weight_decay"),
    "fig30": ("scratch_gray", "dropout_rate"),
    "fig31": ("scratch_gray", "weight_decay"),
}


def regularisation(
    runs: pd.DataFrame, group: str, parameter: str, accuracy: str = "batches"
) -> pd.DataFrame:
    """The table behind a heatmap: a row per value of `parameter`, sorted.

    Columns `value`, the four `STATISTICS` (fractions of 1), `n_experiments`, and `seed_spread`,
    the widest range of the best validation accuracy among runs that differ in the seed only (NaN
    where no setting was repeated). `accuracy` is "batches" (the thesis's unweighted mean of batch
    accuracies) or "images" (the plain share). Empty when the group has no runs.
    """
    suffix = {"batches": "_batch_mean", "images": ""}[accuracy]
    known = of_group(runs, group)
    val, train = f"max_val_acc{suffix}", f"max_train_acc{suffix}"
    rows = []
    for value, part in known.groupby(parameter, sort=True) if len(known) else ():
        rows.append(
            {
                "value": float(value),
                "max_val_acc_max": part[val].max(),
                "max_val_acc_mean": part[val].mean(),
                "max_train_acc_max": part[train].max(),
                "max_train_acc_mean": part[train].mean(),
                "n_experiments": len(part),
                "seed_spread": seed_spread(part, val)[1],
            }
        )
    columns = ["value", *STATISTICS, "n_experiments", "seed_spread"]
    return pd.DataFrame(rows, columns=columns)


def influence(runs: pd.DataFrame, group: str, published: pd.DataFrame) -> pd.DataFrame:
    """How much a group's best validation accuracy changes over the values of each parameter.

    The difference of the best and the worst of the values' maxima, here and in the thesis
    (`published`: its exact heatmaps), beside the range over seeds of one
    setting: a smaller difference decides nothing.
    """
    rows = []
    for parameter in PARAMETERS:
        ours = regularisation(runs, group, parameter)["max_val_acc_max"]
        chosen = (published["group"] == group) & (published["parameter"] == parameter)
        theirs = published.loc[chosen, "max_val_acc_max"]
        rows.append(
            {
                "parameter": parameter,
                "values here": len(ours),
                "range here": ours.max() - ours.min(),
                "range over seeds": seed_spread(of_group(runs, group))[1],
                f"values, {PUBLISHED}": len(theirs),
                f"range, {PUBLISHED}": theirs.max() - theirs.min(),
            }
        )
    return pd.DataFrame(rows)


@styled
def regularisation_figure(
    runs: pd.DataFrame, figure: str, source: str, published: pd.DataFrame
) -> Figure:
    """Our heatmap and the published one of one of `FIGURES`, with the same rows.

    `published` is the thesis's table `heatmaps_exact`. Rows are the values that either side has.
    """
    group, parameter = FIGURES[figure]
    chosen = (published["group"] == group) & (published["parameter"] == parameter)
    theirs = published[chosen].set_index("value")
    ours = regularisation(runs, group, parameter).set_index("value")
    rows = {
        value: f"{value:g}" if value else "0.0" for value in sorted({*ours.index, *theirs.index})
    }
    name = "all groups" if group == "all" else group_label(group)
    note = f"{source}; {SMALL_PRINT}; {spread_note(of_group(runs, group))}"
    return _pair(ours, theirs, rows, f"Accuracy by {parameter}: {name}", parameter, note)


@styled
def patience_figure(runs: pd.DataFrame, source: str, published: pd.DataFrame) -> Figure:
    """Heatmaps by the scheduler's patience, which the thesis made and left out: a row for each
    group and value, ours beside the published ones (those of `heatmaps_exact` without a figure).
    """
    theirs = published[published["parameter"] == "lr_patience"].set_index(["group", "value"])
    parts = {g: regularisation(runs, g, "lr_patience").set_index("value") for g in ("all", *GRID)}
    ours = pd.concat(parts, names=["group", "value"])
    rows = {
        (group, value): f"{'all' if group == 'all' else group_label(group, 10)}, {value:g}"
        for group in parts
        for value in sorted({v for g, v in (*ours.index, *theirs.index) if g == group})
    }
    note = f"{source}; {SMALL_PRINT}; published with SAN-414, which no other heatmap has"
    return _pair(ours, theirs, rows, "Accuracy by the scheduler's patience", "", note)


def _pair(
    ours: pd.DataFrame, theirs: pd.DataFrame, rows: dict, title: str, label: str, note: str
) -> Figure:
    """Two tables of `STATISTICS` and `n_experiments` in one colour range; `rows` gives the order
    of their common index and what stands beside it. A row without runs is left white; counts have
    a colour range of their own, as in the thesis.
    """
    sides = {f"here, {_runs(ours)}": ours, f"{PUBLISHED}, {_runs(theirs)}": theirs}
    height = 2.4 + 0.42 * max(3, len(rows))
    figure, axes = new_figure(1, 4, height=height, width_ratios=[4, 1, 4, 1])
    cells = [side.reindex(list(rows)) for side in sides.values()]
    stack = np.concatenate([c[list(STATISTICS)].to_numpy(float).ravel() for c in cells])
    colour_range = Normalize(np.nanmin(stack), np.nanmax(stack))
    for number, (name, cell) in enumerate(zip(sides, cells, strict=True)):
        left, right = axes[2 * number : 2 * number + 2]
        _draw_cells(left, cell[list(STATISTICS)].to_numpy(float), colour_range, "{:.3f}")
        counts = cell[["n_experiments"]].to_numpy(float)
        _draw_cells(right, counts, _count_range(counts), "{:.0f}")
        left.set_xticks(range(4), LABELS, fontsize=8.5)
        right.set_xticks([0], ["runs"], fontsize=8.5)
        left.set_yticks(range(len(rows)), rows.values() if number == 0 else [])
        right.set_yticks([])
        left.set_title(name, loc="left")
        if not np.isfinite(counts).any():
            hide_axes((left, right))
            left.text(2.0, (len(rows) - 1) / 2, "no finished run", ha="center", va="center")
    axes[0].set_ylabel(label)
    bar = figure.colorbar(ScalarMappable(colour_range, rocket), ax=axes[-1], pad=0.15, fraction=0.4)
    bar.set_label("accuracy")
    bar.outline.set_visible(False)
    figure.suptitle(title)
    footnote(figure, note)
    return figure


def _runs(table: pd.DataFrame) -> str:
    count = int((table.loc["all"] if "all" in table.index else table)["n_experiments"].sum())
    return f"{count} run{'s' * (count != 1)}"


def _count_range(counts: np.ndarray) -> Normalize:
    known = counts[np.isfinite(counts)]
    if not len(known):
        return Normalize(0, 1)
    # One count for every value: without room below it, the colour scale would have no width.
    return Normalize(min(known.min(), known.max() - 1), known.max())


def _draw_cells(ax: Axes, cells: np.ndarray, colour_range: Normalize, form: str) -> None:
    """Coloured cells (rows, columns) with their numbers, dark on light and light on dark."""
    ax.imshow(np.ma.masked_invalid(cells), cmap=rocket, norm=colour_range, aspect="auto")
    for (row, column), value in np.ndenumerate(cells):
        if not np.isfinite(value):
            if np.isfinite(cells).any():
                ax.text(column, row, "–", ha="center", va="center", color=GREY, fontsize=9)
            continue
        red, green, blue, _ = rocket(colour_range(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        colour = "white" if dark else "black"
        ax.text(column, row, form.format(value), ha="center", va="center", color=colour, fontsize=9)
    ax.grid(False)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
