"""Contradictions among the thesis's own published results, recomputed from its tables."""

import math
from dataclasses import replace

import pandas as pd

from effnet import thesis
from effnet.verdicts.finding import COUNT, DIFFERS, EXACT, Finding, close, holds

STEPS_PER_EPOCH = 170  # of the frozen run: 17,000 steps in 100 epochs (figure 25)
SIX_DIGITS = 5.1e-7  # the dashboard prints six


def findings(expected: dict[str, str], exact: dict[str, str]) -> dict[str, Finding]:
    """Findings by claim id; `exact` has the published values with more digits where they exist."""
    runs = thesis.published_runs().set_index("run")
    gray = 100 * runs.at["SAN-437", "max_val_acc"]
    heat = thesis.heatmaps_exact().dropna(subset=["figure"]).set_index(["figure", "value"])
    last = heat.loc[31].iloc[-1]
    return {
        "X07": close(
            gray,
            expected["X07"],
            0.005,
            "two decimals",
            f"The listing rounds to {gray:.1f}, the text has 81.2",
            digits=2,
        ),
        "X08": _means(exact["X08"], heat["max_val_acc_mean"]),
        "X10": _columns(expected["X10"]),
        "X11": _leading(expected["X11"], runs),
        "X12": _frozen_batch(expected["X12"]),
        "X16": _batch_means(expected["X16"], runs),
        "X17": close(
            [last["max_val_acc_max"], last["max_val_acc_mean"]],
            exact["X17"],
            SIX_DIGITS,
            "six published digits",
            f"Weight decay 0.3 in figure 31; up to 0.2 the best is "
            f"{heat.loc[31]['max_val_acc_max'].iloc[:-1].min():.4f} or more",
        ),
    }


def _means(exact: str, means: pd.Series) -> Finding:
    text, best, falling = [], [], []
    for figure, name in ((23, "dropout"), (24, "weight decay")):
        values = means.loc[figure]
        falling.append(values.is_monotonic_decreasing)
        falls = "fall" if falling[-1] else "do not fall throughout"
        text.append(f"{name} means {falls}, best {values.max():.4f} at {values.idxmax():g}")
        best.append(float(values.max()))
    finding = close(best, exact, SIX_DIGITS, "six published digits", "; ".join(text))
    return replace(finding, verdict=DIFFERS) if any(falling) else finding


def _columns(expected: str) -> Finding:
    table = thesis.prediction_matrix_runs()
    drawn = table.dropna(subset=["drawn_identical_to"])
    sets = {frozenset([row.run, *row.drawn_identical_to.split(";")]) for row in drawn.itertuples()}
    distinct = len(table) - sum(len(names) - 1 for names in sets)
    sizes = ", ".join(str(size) for size in sorted(map(len, sets), reverse=True))
    found = f"{len(sets)} sets of {sizes} runs are drawn identically; the grid has "
    found += f"{len(thesis.grid())} runs"
    return close([len(table), distinct], expected, 0.0, COUNT, found)


def _leading(expected: str, runs: pd.DataFrame) -> Finding:
    order = thesis.prediction_matrix_runs()["run"]
    accuracy = runs["max_val_acc"].reindex(order)
    leading = int((runs["group"].reindex(order) == "pretrained").cumprod().sum())
    falls = int((accuracy.diff().iloc[1:] <= 0).sum())
    found = (
        f"Runs are columns, and their best accuracy falls or stays in {falls} of "
        f"{len(order) - 1} steps to the right"
    )
    return close(leading, expected, 0.0, COUNT, found)


def _frozen_batch(expected: str) -> Finding:
    images = int((thesis.annotations()["split"] == "train").sum())
    sizes = [size for size in range(1, 257) if math.ceil(images / size) == STEPS_PER_EPOCH]
    found = (
        f"{STEPS_PER_EPOCH} steps for {images} images; batches of 32 would make "
        f"{math.ceil(images / 32)}"
    )
    return close(sizes, expected, 0.0, "the only whole number that fits", found)


def _batch_means(expected: str, runs: pd.DataFrame) -> Finding:
    """Which published accuracies are unweighted means over batches with a short last one."""
    test = int((thesis.annotations()["split"] == "test").sum())
    rows = runs["dashboard_val_acc_max"].dropna()
    fits = sum(_is_batch_mean(value, test, 32, SIX_DIGITS) for value in rows)
    grid = thesis.grid()
    own = sum(
        _is_batch_mean(row.published_max_val_acc, test, row.batch_size, SIX_DIGITS)
        for row in grid.itertuples()
    )
    batches = math.ceil(test / 32)
    found = f"{fits} of {len(rows)} dashboard values fit batches of 32; {own} of {len(grid)} grid "
    found += "runs fit batches of their own size"
    agrees = batches == int(expected) and fits == len(rows) and own == len(grid)
    return holds(agrees, str(batches), EXACT, "arithmetic of short last batches", found)


def _is_batch_mean(value: float, images: int, size: int, precision: float) -> bool:
    """Whether (whole / size + last / rest) / batches gives `value` for whole numbers of hits."""
    batches, rest = math.ceil(images / size), images % size or size
    for last in range(rest + 1):
        hits = (value * batches - last / rest) * size
        nearest = (round(hits) / size + last / rest) / batches
        if 0 <= round(hits) <= size * (batches - 1) and abs(nearest - value) <= precision:
            return True
    return False
