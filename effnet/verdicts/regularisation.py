"""Claims about dropout and weight decay over many runs (figures 21 to 24, 27, 28, 30, 31)."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from effnet import thesis
from effnet.plots.heatmaps import FIGURES, regularisation
from effnet.plots.scatter import range_limit
from effnet.verdicts.finding import (
    CANNOT_BE_CHECKED,
    COUNT,
    DIFFERS,
    Finding,
    close,
    holds,
    same,
)
from effnet.verdicts.results import unless_scattered
from effnet.verdicts.trained import Trained, judge_trained

RUNS = {"C083": "pretrained", "C084": "all", "C101": "scratch_rgb", "C113": "scratch_gray"}
# claim: (figure, statistic over the runs with one value)
CELLS = {
    "C085": ("fig23", "max_val_acc_mean"),
    "C086": ("fig24", "max_val_acc_mean"),
    "C100": ("fig27", "max_val_acc_max"),
    "C111": ("fig30", "max_val_acc_max"),
    "C112": ("fig31", "max_val_acc_max"),
}
INTERRUPTED = "two published runs look interrupted, and pull the means of their rows down (X27)"


def findings(
    expected: dict[str, str], exact: dict[str, str], trained: Trained
) -> dict[str, Finding]:
    """Findings by claim id; `exact` has the published values with more digits where they exist."""
    judges: dict[str, Callable[..., Finding]] = {
        "C081": lambda: _influence(trained, "fig21"),
        "C082": lambda: _influence(trained, "fig22"),
        "C099": lambda: _best_decay(expected["C099"], trained),
    }
    for claim, group in RUNS.items():
        judges[claim] = lambda c=claim, g=group: _count(expected[c], trained, g)
    for claim in CELLS:
        judges[claim] = lambda c=claim: _cells(exact[c], trained, *CELLS[c])
    return judge_trained(trained, judges)


def _table(trained: Trained, figure: str) -> pd.DataFrame:
    group, parameter = FIGURES[figure]
    return regularisation(trained.grid(group), group, parameter)


def _count(expected: str, trained: Trained, group: str) -> Finding:
    grid = thesis.grid()
    rows = len(grid) if group == "all" else int((grid["group"] == group).sum())
    found = f"The thesis's grid has {rows}"
    return same(len(trained.grid(group)), int(expected), COUNT, found)


def _influence(trained: Trained, figure: str) -> Finding:
    """'Almost no influence': the best runs by value span no more than runs of one setting do."""
    group, _ = FIGURES[figure]
    best = _table(trained, figure).set_index("value")["max_val_acc_max"]
    if best.empty:  # networks without dropout
        return Finding(CANNOT_BE_CHECKED, "none", found="No run has a value of it")
    width = float(best.max() - best.min())
    cells = ", ".join(f"{value:g}: {accuracy:.3f}" for value, accuracy in best.items())
    scatter = trained.scatter(group)
    limit = range_limit(scatter, len(best))
    reason = (
        f"{len(best)} runs of one setting span less in 95 of 100 cases; sd {scatter.sd:.4f} of "
    )
    return holds(
        width <= limit,
        f"{width:.4f}",
        f"at most {limit:.4f}",
        f"'almost no influence': {reason}{scatter.words}",
        f"Best by value {cells}",
    )


def _best_decay(expected: str, trained: Trained) -> Finding:
    low, high = map(float, expected.split("-"))
    best = _table(trained, "fig28").set_index("value")["max_val_acc_max"]
    winner = float(best.idxmax())
    inside = best[(best.index >= low) & (best.index <= high)]
    default = f"{best[0.01]:.3f} at the default 0.01" if 0.01 in best.index else "0.01 not tried"
    found = f"Best accuracy {best.max():.3f} there, {default}; confounded with patience (X23)"
    finding = holds(
        low <= winner <= high, f"{winner:g}", expected, "a range of tried values", found
    )
    if finding.verdict != DIFFERS or inside.empty:
        return finding
    lead = float(best.max() - inside.max())
    finding = replace(finding, found=f"{found}; ahead of the range by {lead:.4f}")
    return unless_scattered(finding, lead, trained, "scratch_rgb")


def _cells(exact: str, trained: Trained, figure: str, statistic: str) -> Finding:
    """The rows of a heatmap; each may differ as means, or single runs, of its groups do."""
    group, parameter = FIGURES[figure]
    table, runs = _table(trained, figure), trained.grid(group)
    is_mean = statistic.endswith("_mean")
    limits, groups = [], list(runs["group"].unique())
    for row in table.itertuples():
        here = runs.loc[runs[parameter] == row.value, "group"].value_counts()
        widest = [
            trained.tolerance(g, (n, n) if is_mean else (1, 1), len(table))[0]
            for g, n in here.items()
        ]
        limits.append(max(widest))
    found = f"{parameter} {', '.join(f'{value:g}' for value in table['value'])}"
    found += f"; {INTERRUPTED}" if is_mean else ""
    reason = (
        trained.tolerance(groups[0])[1]
        if len(groups) == 1
        else "95 % intervals, the widest group's"
    )
    reason += f"; {len(table)} rows at once"
    return close(list(table[statistic]), exact, limits, reason, found, digits=4)
