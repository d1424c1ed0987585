"""Claims about dropout and weight decay over many runs (figures 21 to 24, 27, 28, 30, 31)."""

from collections.abc import Callable

import pandas as pd

from effnet import thesis
from effnet.plots.heatmaps import FIGURES, regularisation
from effnet.verdicts.finding import COUNT, WITHIN_SPREAD, Finding, close, holds, same
from effnet.verdicts.trained import Trained, judge_trained, with_spread

RUNS = {"C083": "pretrained", "C084": "all", "C101": "scratch_rgb", "C113": "scratch_gray"}
# claim: (figure, statistic over the runs with one value, tolerance)
CELLS = {
    "C085": ("fig23", "max_val_acc_mean", 0.05),
    "C086": ("fig24", "max_val_acc_mean", 0.05),
    "C100": ("fig27", "max_val_acc_max", 0.03),
    "C111": ("fig30", "max_val_acc_max", 0.03),
    "C112": ("fig31", "max_val_acc_max", 0.03),
}
CELL_REASON = "two printed digits, and few unseeded runs a cell"
# Two published runs, RGB (0.2, 0.05) and grayscale (0.2, 0.3), were very likely interrupted.
INTERRUPTED = "two published runs with dropout 0.2 were probably interrupted, so that mean is low"
NO_INFLUENCE = 0.015


def findings(expected: dict[str, str], trained: Trained) -> dict[str, Finding]:
    """Findings by claim id."""
    judges: dict[str, Callable[..., Finding]] = {
        "C081": lambda: _influence(trained, "fig21"),
        "C082": lambda: _influence(trained, "fig22"),
        "C099": lambda: _best_decay(expected["C099"], trained),
    }
    for claim, group in RUNS.items():
        judges[claim] = lambda c=claim, g=group: _count(expected[c], trained, g)
    for claim in CELLS:
        judges[claim] = lambda c=claim: _cells(expected[c], trained, *CELLS[c])
    return judge_trained(trained, judges)


def _table(trained: Trained, figure: str) -> pd.DataFrame:
    group, parameter = FIGURES[figure]
    return regularisation(trained.grid(group), group, parameter)


def _count(expected: str, trained: Trained, group: str) -> Finding:
    grid = thesis.grid()
    rows = len(grid) if group == "all" else int((grid["group"] == group).sum())
    found = f"The reconstructed grid has {rows}"
    return same(len(trained.grid(group)), int(expected), COUNT, found)


def _influence(trained: Trained, figure: str) -> Finding:
    group, _ = FIGURES[figure]
    table = _table(trained, figure)
    best = table.set_index("value")["max_val_acc_max"]
    width = float(best.max() - best.min())
    cells = ", ".join(f"{value:g}: {accuracy:.3f}" for value, accuracy in best.items())
    finding = holds(
        width <= NO_INFLUENCE,
        f"{width:.4f}",
        f"at most {NO_INFLUENCE}",
        "'almost no influence': the published 0.01 and half a digit",
        f"Best by value {cells}",
    )
    return with_spread(finding, trained.spread(group))


def _best_decay(expected: str, trained: Trained) -> Finding:
    low, high = map(float, expected.split("-"))
    best = _table(trained, "fig28").set_index("value")["max_val_acc_max"]
    winner = float(best.idxmax())
    inside = best[(best.index >= low) & (best.index <= high)]
    default = f"{best[0.01]:.3f} at the default 0.01" if 0.01 in best.index else "0.01 not tried"
    found = f"Best accuracy {best.max():.3f} there, {default}"
    finding = holds(low <= winner <= high, f"{winner:g}", expected, "a range of tried values")
    finding = Finding(finding.verdict, finding.got, finding.tolerance, finding.reason, found)
    spread = trained.spread("scratch_rgb")
    lead = best.max() - inside.max() if len(inside) else float("inf")
    if not low <= winner <= high and lead <= spread:
        text = f"{found}; ahead of the range by {lead:.4f}"
        finding = Finding(WITHIN_SPREAD, finding.got, finding.tolerance, finding.reason, text)
    return with_spread(finding, spread)


def _cells(
    expected: str, trained: Trained, figure: str, statistic: str, tolerance: float
) -> Finding:
    group, parameter = FIGURES[figure]
    table = _table(trained, figure)
    found = f"{parameter} {', '.join(f'{value:g}' for value in table['value'])}"
    if figure == "fig23":
        found += f"; {INTERRUPTED}"
    spread = trained.spread(*trained.grid(group)["group"].unique())
    values = list(table[statistic])
    finding = close(values, expected, tolerance, CELL_REASON, found, digits=2, spread=spread)
    return with_spread(finding, spread)
