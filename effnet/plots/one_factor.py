"""What one hyperparameter does when nothing else changes, over seeds."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from effnet.plots.groups import (
    WORDS,
    absent,
    group_colour,
    group_label,
    of_group,
    present,
    run_label,
    setting_keys,
)
from effnet.plots.heatmaps import PARAMETERS
from effnet.plots.scatter import mean_interval, seeds_apart
from effnet.plots.style import footnote, new_figure, spread, styled

ACCURACY = "max_val_acc_batch_mean"
WHOLE = "whole_photographs"  # the group of runs on uncropped images


def one_factor(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy by dropout and by weight decay, of grid runs that are equal in all else.

    A row per parameter, set of such runs (`line`, a number), and value: `parameter`, `group`,
    `line`, `value`, `seeds`, `mean`, `interval` (half of the 95 % interval of the mean over seeds;
    NaN with one seed), `others` (what the other parameter is fixed at). Sets with one value are
    left out: they vary nothing.
    """
    rows = []
    known = of_group(runs, "all") if len(runs) else runs
    for parameter in PARAMETERS if len(known) else ():
        (other,) = set(PARAMETERS) - {parameter}
        for line, (_, part) in enumerate(known.groupby(setting_keys(known, parameter), sort=False)):
            if part[parameter].nunique() < 2:
                continue
            for value, cell in part.drop_duplicates([parameter, "seed"]).groupby(parameter):
                rows.append(
                    {
                        "parameter": parameter,
                        "group": cell["group"].iloc[0],
                        "line": line,
                        "value": float(value),
                        "seeds": len(cell),
                        "mean": cell[ACCURACY].mean(),
                        "interval": mean_interval(cell[ACCURACY]),
                        "others": f"{WORDS[other]} {cell[other].iloc[0]:g}",
                    }
                )
    columns = ["parameter", "group", "line", "value", "seeds", "mean", "interval", "others"]
    return pd.DataFrame(rows, columns=columns)


def crop_table(runs: pd.DataFrame) -> pd.DataFrame:
    """What cropping to the annotated boxes is worth: the same settings on both kinds of images.

    A row per setting of `whole_photographs`: `setting` (as `run_label`), the `group` that has it
    cropped, seeds and mean accuracy `whole` and `cropped`, their `difference` and half of its 95 %
    interval (Welch; NaN with one seed).
    """
    rows = []
    for whole, cropped in whole_settings(runs):
        if len(cropped):
            a, b = cropped[ACCURACY], whole[ACCURACY]
            names = run_label(whole.iloc[0]), cropped["group"].iloc[0]
            rows.append((*names, len(b), b.mean(), len(a), a.mean(), *seeds_apart(a, b)))
    columns = ["setting", "group", "seeds whole", "whole", "seeds cropped", "cropped"]
    return pd.DataFrame(rows, columns=[*columns, "difference", "interval"])


def whole_settings(runs: pd.DataFrame) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The runs of each setting on whole photographs, and those of the same setting on boxes."""
    if runs.empty:
        return []
    keys = setting_keys(runs, "group", "data_dir")
    is_whole = runs["group"] == WHOLE
    pairs = []
    for key in keys[is_whole].unique():
        same = runs[keys == key]
        sides = same[same["group"] == WHOLE], same[same["group"] != WHOLE]
        pairs.append(tuple(side.drop_duplicates("seed") for side in sides))
    return pairs


@styled
def one_factor_figure(table: pd.DataFrame, source: str) -> Figure:
    """The table of `one_factor` as lines, a panel for each parameter; bars are 95 % intervals."""
    if table.empty:
        text = "No two runs in this report differ in dropout or in weight decay alone."
        return absent("One hyperparameter at a time", text, source)
    figure, axes = new_figure(1, 2, height=4.4, sharey=True)
    for ax, parameter in zip(axes, PARAMETERS, strict=True):
        for (group, _), line in table[table["parameter"] == parameter].groupby(["group", "line"]):
            ax.errorbar(
                line["value"], line["mean"], yerr=line["interval"].fillna(0), marker="o",
                capsize=3, color=group_colour(group),
            )  # fmt: skip
        ax.set(xlabel=parameter.removesuffix("_rate").replace("_", " "))
        ax.margins(x=0.2)
    for ax, parameter in zip(axes, PARAMETERS, strict=True):  # now that both axes are known
        _label_lines(ax, table[table["parameter"] == parameter])
    axes[0].set_ylabel("best validation accuracy")
    for group in present(table["group"]):
        axes[0].plot([], [], color=group_colour(group), label=group_label(group))
    figure.legend(loc="outside upper center", ncols=3)
    seeds = (
        "one seed each: no interval" if table["seeds"].max() < 2 else "95 % intervals over seeds"
    )
    footnote(figure, f"{source}; runs on a line are equal in all else; {seeds}")
    return figure


def _label_lines(ax: Axes, table: pd.DataFrame) -> None:
    """What each line's other hyperparameter is fixed at, beside the line's last point."""
    low, high = ax.get_ylim()
    ends = table.groupby(["group", "line"]).tail(1).sort_values("mean")
    heights = [0.038 * (high - low)] * len(ends)
    places = spread(ends["mean"], heights, low, high) if len(ends) else []
    look: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7.5, "va": "center"}
    for row, y in zip(ends.itertuples(), places, strict=True):
        ax.annotate(row.others, (row.value, y), (7, 0), **look)
