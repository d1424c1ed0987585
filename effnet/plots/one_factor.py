"""What one hyperparameter does when nothing else changes, over seeds."""

import pandas as pd
from matplotlib.figure import Figure

from effnet.plots.groups import absent, group_colour, group_label, of_group, present, setting_keys
from effnet.plots.heatmaps import PARAMETERS
from effnet.plots.scatter import mean_interval, seeds_apart
from effnet.plots.style import footnote, new_figure, styled

ACCURACY = "max_val_acc_batch_mean"


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
                        "others": f"{other} {cell[other].iloc[0]:g}",
                    }
                )
    columns = ["parameter", "group", "line", "value", "seeds", "mean", "interval", "others"]
    return pd.DataFrame(rows, columns=columns)


def crop_table(runs: pd.DataFrame, group: str = "whole_photographs") -> pd.DataFrame:
    """What cropping to the annotated boxes is worth: the same settings on both kinds of images.

    A row per setting of `group`: `setting` (a run's name), seeds and mean accuracy `whole` and
    `cropped`, their `difference` and half of its 95 % interval (Welch; NaN with one seed).
    """
    columns = [
        "setting",
        "seeds whole",
        "whole",
        "seeds cropped",
        "cropped",
        "difference",
        "interval",
    ]
    rows = []
    keys = setting_keys(runs, "group", "data_dir") if len(runs) else pd.Series(dtype=object)
    whole = runs[runs["group"] == group] if len(runs) else runs
    for key, part in whole.groupby(keys[whole.index], sort=False) if len(whole) else ():
        other = runs[(keys == key) & (runs["group"] != group)].drop_duplicates("seed")
        if len(other):
            a, b = other[ACCURACY], part[ACCURACY]
            name = part["name"].iloc[0]
            rows.append((name, len(b), b.mean(), len(a), a.mean(), *seeds_apart(a, b)))
    return pd.DataFrame(rows, columns=columns)


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
            place = {"xytext": (4, 4), "textcoords": "offset points", "fontsize": 7.5}
            ax.annotate(line["others"].iloc[-1], line[["value", "mean"]].iloc[-1], **place)
        ax.set(xlabel=parameter.replace("_", " "))
        ax.margins(x=0.2)
    axes[0].set_ylabel("best validation accuracy")
    for group in present(table["group"]):
        axes[0].plot([], [], color=group_colour(group), label=group_label(group))
    figure.legend(loc="outside upper center", ncols=3)
    seeds = (
        "one seed each: no interval" if table["seeds"].max() < 2 else "95 % intervals over seeds"
    )
    footnote(figure, f"{source}; runs on a line are equal in all else; {seeds}")
    return figure
