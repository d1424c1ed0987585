"""Regularisation heatmaps (figures 21-24, 27, 28, 30, 31): ours beside the thesis's.

For each value of dropout_rate or weight_decay: maximum and mean, over the runs with that value, of
the run's best validation and training accuracy, and the number of runs.
"""

from typing import Any

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
from effnet.plots.style import (
    GREY,
    KEPT,
    draw_cells,
    footnote,
    hide_axes,
    keep_scale,
    new_figure,
    styled,
)

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
    runs: pd.DataFrame, figure: str, source: str, published: pd.DataFrame, printed: pd.DataFrame
) -> Figure:
    """Our heatmap and the published one of one of `FIGURES`, with the same rows.

    `published` is the thesis's table `heatmaps_exact`, `printed` its `heatmaps`, whose two digits
    stand small below the exact ones. Rows are the values that either side has.
    """
    group, parameter = FIGURES[figure]
    theirs, digits = (
        table[(table["group"] == group) & (table["parameter"] == parameter)].set_index("value")
        for table in (published, printed)
    )
    ours = regularisation(runs, group, parameter).set_index("value")
    rows = {
        value: f"{value:g}" if value else "0.0" for value in sorted({*ours.index, *theirs.index})
    }
    name = "all groups" if group == "all" else group_label(group)
    words = parameter.removesuffix("_rate").replace("_", " ")
    note = f"{source}; {SMALL_PRINT}\n{spread_note(of_group(runs, group))}\n"
    note += "thesis: exact, from the accuracies of its single runs; small, the two digits it prints"
    return _pair(ours, theirs, rows, f"Accuracy by {words}: {name}", words, note, digits)


@styled
def patience_figure(runs: pd.DataFrame, source: str, published: pd.DataFrame) -> Figure:
    """Heatmaps by the scheduler's patience, which the thesis made and left out: a row for each
    group and value, ours beside the published ones (those of `heatmaps_exact` without a figure).
    """
    theirs = published[published["parameter"] == "lr_patience"].set_index(["group", "value"])
    parts = {g: regularisation(runs, g, "lr_patience").set_index("value") for g in ("all", *GRID)}
    ours = pd.concat(parts, names=["group", "value"])
    rows = {
        (group, value): f"{'all' if group == 'all' else group_label(group, 14)}, {value:g}"
        for group in parts
        for value in sorted({v for g, v in (*ours.index, *theirs.index) if g == group})
    }
    note = f"{source}; {SMALL_PRINT}\n"
    note += "thesis: exact, from its single runs, with SAN-414, which no other heatmap has"
    title = "Accuracy by the scheduler's patience (epochs before the rate falls)"
    return _pair(ours, theirs, rows, title, "", note)


def _pair(
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    rows: dict,
    title: str,
    label: str,
    note: str,
    printed: pd.DataFrame | None = None,
) -> Figure:
    """Two tables of `STATISTICS` and `n_experiments`; `rows` gives the order of their common index
    and what stands beside it. A row without runs is left white.
    """
    sides = {f"here, {_runs(ours)}": ours, f"{PUBLISHED}, {_runs(theirs)}": theirs}
    cells = [side.reindex(list(rows)) for side in sides.values()]
    ranges = _ranges([cell[list(STATISTICS)].to_numpy(float) for cell in cells])
    figure, axes = new_figure(1, 2, height=2.9 + 0.42 * max(3, len(rows)))
    small = [None, None if printed is None else printed.reindex(list(rows))]
    for ax, name, cell, colours, digits in zip(axes, sides, cells, ranges, small, strict=True):
        ax.set_title(name, loc="left")
        ax.set_yticks(range(len(rows)), rows.values() if ax is axes[0] else [])
        if colours is None:
            hide_axes(ax)
            ax.text(0.5, 0.5, "no finished run", ha="center", va="center", transform=ax.transAxes)
            continue
        _draw_side(ax, cell, colours, digits)
    axes[0].set_ylabel(label)
    known = [(ax, colours) for ax, colours in zip(axes, ranges, strict=True) if colours is not None]
    shared = [(list(axes), ranges[0])] if len(set(map(id, ranges))) == 1 else known
    few = rocket.resampled(40)  # from 50 steps on, a bar would be a picture among paths
    for of, colours in shared:
        look: dict[str, Any] = {"location": "bottom", "shrink": 0.8, "aspect": 30, "pad": 0.03}
        bar = figure.colorbar(ScalarMappable(colours, few), ax=of, label="accuracy", **look)
        bar.outline.set_visible(False)
        keep_scale(bar)
    figure.suptitle(title)
    footnote(figure, note)
    return figure


def _runs(table: pd.DataFrame) -> str:
    count = int((table.loc["all"] if "all" in table.index else table)["n_experiments"].sum())
    return f"{count or 'no'} run{'s' * (count > 1)}"


def _ranges(sides: list[np.ndarray]) -> list[Normalize | None]:
    """A range of colours for each side: one and the same where both sides fill it, else each its
    own; None for a side without runs.
    """
    known = [side[np.isfinite(side)] for side in sides]
    ends = [(values.min(), values.max()) if len(values) else None for values in known]
    both = [end for end in ends if end]
    low, high = min(end[0] for end in both), max(end[1] for end in both)
    if len(both) == len(ends) and all(high - low <= 1.5 * (end[1] - end[0]) for end in both):
        return [Normalize(low, high)] * len(ends)
    # Equal values: without room below them, the scale would have no width.
    return [Normalize(min(end[0], end[1] - 0.01), end[1]) if end else None for end in ends]


def _draw_side(
    ax: Axes, table: pd.DataFrame, colours: Normalize, printed: pd.DataFrame | None
) -> None:
    """Coloured cells with their numbers, dark on light and light on dark, and small below them
    those of `printed`; the counts of runs beside them are plain.
    """
    cells = table[list(STATISTICS)].to_numpy(float)
    draw_cells(ax, cells, cmap=rocket, norm=colours)
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    for (row, column), value in np.ndenumerate(cells):
        if not np.isfinite(value):
            ax.text(column, row, "–", color=GREY, fontsize=9, **middle)
            continue
        red, green, blue, _ = rocket(colours(value))
        colour = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
        digits = np.nan if printed is None else printed[STATISTICS[column]].iloc[row]
        up = 0.16 if np.isfinite(digits) else 0.0
        ax.text(column, row - up, f"{value:.3f}", color=colour, fontsize=9, gid=KEPT, **middle)
        if up:
            look: dict[str, Any] = {"color": colour, "fontsize": 7.5, "gid": KEPT} | middle
            ax.text(column, row + 0.24, f"{digits:g}", **look)
    for row, count in enumerate(table["n_experiments"]):
        ax.text(4, row, f"{count:.0f}" if count > 0 else "–", fontsize=9.5, **middle)
    ax.set_xticks(range(5), [*LABELS, "runs"], fontsize=8.5)
    ax.set_xlim(-0.5, 4.4)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
