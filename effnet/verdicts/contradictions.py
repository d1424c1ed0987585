"""Contradictions among the thesis's own published results, recomputed from its tables."""

import math

import pandas as pd

from effnet import thesis
from effnet.trial import Trial
from effnet.verdicts.finding import COUNT, EXACT, Finding, close, holds

STEPS_PER_EPOCH = 170  # of the frozen run: 17,000 steps in 100 epochs (figure 25)
BEST = ("SAN-396", "SAN-448", "SAN-437")  # pretrained, RGB, grayscale; batch sizes in grid.csv
FLOAT32 = 2e-7  # the listings are means in 32-bit arithmetic
SIX_DIGITS = 5.1e-7  # the dashboard prints six


def findings(expected: dict[str, str], script: Trial) -> dict[str, Finding]:
    """Findings by claim id; `script` is the thesis's printed script as a trial."""
    runs = thesis.published_runs().set_index("run")
    gray = 100 * runs.at["SAN-437", "max_val_acc"]
    heat = thesis.heatmaps().set_index(["figure", "value"])
    last = heat.loc[31].iloc[-1]
    return {
        "X07": close(
            gray,
            expected["X07"],
            0.005,
            "two decimals",
            f"Confirmed: the listing rounds to {gray:.1f}, the text has 81.2",
            digits=2,
        ),
        "X08": _means(expected["X08"], heat["max_val_acc_mean"]),
        "X10": _columns(expected["X10"]),
        "X11": _leading(expected["X11"], runs),
        "X12": _frozen_batch(expected["X12"]),
        "X16": _batch_means(expected["X16"], runs),
        "X17": close(
            [last["max_val_acc_max"], last["max_val_acc_mean"]],
            expected["X17"],
            0.0,
            "as printed",
            f"Confirmed: weight decay 0.3 in figure 31; up to 0.2 the best is "
            f"{heat.loc[31]['max_val_acc_max'].iloc[:-1].min():g} or more",
            digits=2,
        ),
        "X18": _script_is_none(script),
    }


def _means(expected: str, means: pd.Series) -> Finding:
    text = []
    for figure, name in ((23, "dropout"), (24, "weight decay")):
        values = means.loc[figure]
        falls = "fall" if values.is_monotonic_decreasing else "do not fall throughout"
        text.append(f"{name} means {falls}, best {values.max():g} at {values.idxmax():g}")
    rising = not (means.loc[23].is_monotonic_decreasing or means.loc[24].is_monotonic_decreasing)
    best = float(means.loc[24].max())
    found = f"Confirmed: {'; '.join(text)}"
    return holds(rising and best == float(expected), f"{best:g}", EXACT, "as printed", found)


def _columns(expected: str) -> Finding:
    table = thesis.prediction_matrix_runs()
    drawn = table.dropna(subset=["drawn_identical_to"])
    sets = {frozenset([row.run, *row.drawn_identical_to.split(";")]) for row in drawn.itertuples()}
    distinct = len(table) - sum(len(names) - 1 for names in sets)
    sizes = ", ".join(str(size) for size in sorted(map(len, sets), reverse=True))
    found = f"Confirmed: {len(sets)} sets of {sizes} runs are drawn identically; the grid has "
    found += f"{len(thesis.grid())} runs"
    return close([len(table), distinct], expected, 0.0, COUNT, found)


def _leading(expected: str, runs: pd.DataFrame) -> Finding:
    order = thesis.prediction_matrix_runs()["run"]
    grid = thesis.grid().dropna(subset=["run"]).set_index("run")
    pretrained = order.isin(grid.index[grid["group"] == "pretrained"])
    leading = int(pretrained.cumprod().sum())
    known = grid["published_max_val_acc"].reindex(order).dropna()
    falls = sum(a >= b for a, b in zip(known, known[1:], strict=False))
    found = (
        f"Confirmed: runs are columns; of {len(known)} with a known accuracy {falls} of "
        f"{len(known) - 1} steps to the right do not rise"
    )
    return close(leading, expected, 0.0, COUNT, found)


def _frozen_batch(expected: str) -> Finding:
    images = int((thesis.annotations()["split"] == "train").sum())
    sizes = [size for size in range(1, 257) if math.ceil(images / size) == STEPS_PER_EPOCH]
    found = (
        f"Confirmed: {STEPS_PER_EPOCH} steps for {images} images; batches of 32 would make "
        f"{math.ceil(images / 32)}"
    )
    return close(sizes, expected, 0.0, "the only whole number that fits", found)


def _batch_means(expected: str, runs: pd.DataFrame) -> Finding:
    """Which published accuracies are unweighted means over batches with a short last one."""
    test = int((thesis.annotations()["split"] == "test").sum())
    rows = runs["dashboard_val_acc_max"].dropna()
    fits = sum(_is_batch_mean(value, test, 32, SIX_DIGITS) for value in rows)
    batches = math.ceil(test / 32)
    grid = thesis.grid().dropna(subset=["run"]).set_index("run")
    best = []
    for name in BEST:
        size = int(grid.at[name, "batch_size"])
        fitting = _is_batch_mean(runs.at[name, "max_val_acc"], test, size, FLOAT32)
        best.append(f"{name} {'fits' if fitting else 'does not fit'} batches of {size}")
    found = (
        f"Confirmed: {fits} of {len(rows)} dashboard values fit batches of 32; {', '.join(best)}"
    )
    agrees = batches == int(expected) and fits == len(rows)
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


def _script_is_none(script: Trial) -> Finding:
    grid = thesis.grid().dropna(subset=["run"]).set_index("run")
    fields = ("dropout_rate", "weight_decay", "lr_patience")
    differences = []
    for name in BEST:
        row = grid.loc[name]
        names = [f for f in fields if getattr(script, f) != row[f]]
        differences.append(f"{name}: {', '.join(names) or 'nothing'}")
    different = all(not text.endswith("nothing") for text in differences)
    found = f"Confirmed: the script differs from {'; '.join(differences)}"
    return holds(different, "not set; not set", EXACT, "settings beside the listings", found)
