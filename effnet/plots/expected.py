"""Every run of the published grid beside ours of the same name: expected, got, difference."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from effnet.plots.groups import PUBLISHED, absent, group_colour, group_label, present
from effnet.plots.scatter import half_width, published_scatter, seed_scatter
from effnet.plots.style import GREY, footnote, new_figure, styled


def expectations(runs: pd.DataFrame, grid: pd.DataFrame) -> pd.DataFrame:
    """A row per run of `grid` (as from `published_grid`); no row where none was trained here.

    Columns `run`, `group`, `expected` (published best validation accuracy), `got` (the mean over
    our seeds of that run; NaN where it was not trained), `seeds`, `difference`, `scatter` (the
    standard deviation of a single like run of the thesis), `in scatters` (the difference in units
    of it), `interval` (half of Welch's 95 % interval of the difference), `within`, `interrupted`
    (the published run was not trained to its end, so it says nothing).
    """
    rows = []
    for cell in grid.itertuples():
        mine = _of_run(runs, cell.run)
        theirs = published_scatter(cell.group, cell.lr_patience)
        values = mine["max_val_acc_batch_mean"] if len(mine) else pd.Series(dtype=float)
        scatter = (seed_scatter(mine) if len(mine) > 1 else None) or theirs
        difference = values.mean() - cell.published_max_val_acc
        half = half_width(scatter, theirs, (max(1, len(values)), 1))
        rows.append(
            {
                "run": cell.run,
                "group": cell.group,
                "expected": cell.published_max_val_acc,
                "got": values.mean(),
                "seeds": len(values),
                "difference": difference,
                "scatter": theirs.sd,
                "in scatters": difference / theirs.sd,
                "interval": half if len(values) else np.nan,
                "within": bool(abs(difference) <= half) if len(values) else None,
                "interrupted": cell.interrupted,
            }
        )
    table = pd.DataFrame(rows)
    return table if table["seeds"].any() else table.iloc[:0]


def summary(table: pd.DataFrame) -> str:
    """How many of the published runs were trained here, and how many of them agree."""
    if table.empty:
        return "none of the published runs was trained here"
    known = table[table["got"].notna()]
    whole = known[~known["interrupted"]]
    text = f"{len(known)} of the {len(table)} published runs were trained here"
    if len(whole):
        share = whole["within"].mean()
        text += f"; {int(whole['within'].sum())} of {len(whole)} ({share:.0%}) lie within the 95 % "
        text += "interval of a repetition"
        apart = len(known) - len(whole)
        text += f"; {apart} published as interrupted runs stand apart" if apart else ""
    return text


@styled
def expected_figure(table: pd.DataFrame, source: str) -> Figure:
    """Published against reproduced accuracy of every run (left), and the differences in units of
    a single run's scatter (right); hollow where the published run looks interrupted.
    """
    known = table[table["got"].notna()]
    title = "Published and reproduced accuracy, run by run"
    if known.empty:
        text = "No run of the published grid in this report; the profile “thesis” trains all 65."
        return absent(title, text, source)
    figure, (left, right) = new_figure(1, 2, height=4.8)
    for row in known.itertuples():
        colour = group_colour(row.group)
        face = "white" if row.interrupted else colour
        style = {"marker": "o", "color": colour, "mfc": face, "ms": 5}
        left.errorbar(row.expected, row.got, yerr=row.interval, elinewidth=0.8, **style)
        right.plot(row.difference / row.scatter, row.expected, **style)
    low, high = known[["expected", "got"]].min(axis=None), known[["expected", "got"]].max(axis=None)
    left.plot([low, high], [low, high], color=GREY, lw=1)
    left.set(xlabel=PUBLISHED, ylabel="here", title="best validation accuracy")
    right.axvline(0, color=GREY, lw=1)
    right.set(xlabel="difference, in standard deviations of a run", ylabel=PUBLISHED)
    for group in present(known["group"]):
        left.plot([], [], "o", color=group_colour(group), label=group_label(group))
    left.legend(loc="upper left")
    figure.suptitle(title)
    footnote(figure, "\n".join([source, *summary(table).split("; ")]))
    return figure


def _of_run(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """The runs that repeat a published one: of that name, or of further seeds of it."""
    if runs.empty:
        return runs
    return runs[(runs["name"] == name) | runs["name"].str.startswith(f"{name} seed ")]
